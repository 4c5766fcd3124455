#!/usr/bin/env python3
"""inspect shows the datasets of a file and proposes lines that read them."""

from arrays_test import ArraysTest, h5py, np, program


class Inspect(ArraysTest):
    def test_datasets_and_a_proposal_that_reads_them(self):
        x, y = self.normal(12, 8, 9, 3).astype("f4"), self.draw.integers(0, 3, 12)
        path = self.file("look.h5", **{"scan/image": x, "scan/label": y})
        with h5py.File(path, "a") as file:
            file.create_dataset("more", data=self.normal(4, 6), chunks=(2, 3), compression="gzip")
        text = self.ok("inspect", path).text
        for part in ("/scan/image", "(12, 8, 9, 3)", "float32", "contiguous", "chunked (2, 3), gzip", "axes = sample, y, x, channel", "data = /scan/label", "input = 3x8x9"):
            self.assertIn(part, text)
        found = self.ok("inspect", path, "--json").json()
        self.assertEqual([one["name"] for one in found["datasets"]], ["/more", "/scan/image", "/scan/label"])
        # The proposal is a deck once a network is below it.
        deck = f"[data]\ntrain = {path}\n{text[text.index('[array features]'):]}layer = flatten\nlayer = linear out=3\n[run]\noutput = {self.folder}/run\n"
        self.ok("train", self.write_deck(deck, "proposed.ini"))

    def test_a_time_series(self):
        path = self.file("series.h5", u=self.normal(30, 8, 9), v=self.normal(30, 8, 9))
        text = self.ok("inspect", path).text
        self.assertIn("data = /u, /v", text)
        self.assertIn("window = 1", text)
        deck = f"[data]\ntrain = {path}\n{text[text.index('[array features]'):]}layer = conv out=2 kernel=1\n[loss]\nkind = mse\n[run]\noutput = {self.folder}/run\n"
        self.ok("train", self.write_deck(deck, "proposed.ini"))

    def test_statistics_of_arrays(self):
        u, v, mask = self.normal(14, 4, 6), 3 + 2 * self.normal(14, 4, 6), self.draw.integers(0, 2, (14, 4, 6))
        self.file("a.h5", u=u[:9], v=v[:9], m=mask[:9]), self.file("b.h5", u=u[9:], v=v[9:], m=mask[9:])

        def statistics(channels, *words, ranks=1):
            return self.ok("inspect", self.folder, "--statistics", "--json", f"--model.input={channels}x4x6", *words, ranks=ranks).json()["statistics"]

        def near(found, arrays):
            for key, of in (("mean", np.mean), ("std", np.std)):
                np.testing.assert_allclose(found[key], [of(array) for array in arrays], rtol=1e-12)

        for ranks in (1, 2):
            near(statistics(2, "--data.features=/u,/v", ranks=ranks), (u, v))
        near(statistics(2, "--array.features.data=/v, /u"), (v, u))
        near(statistics(1, "--array.features.data=/v", "--data.train_rows=:4"), (np.concatenate([v[:4], v[9:13]]),))
        near(statistics(2, "--array.features.data=/v", "--array.features.window=-1..0"), (np.concatenate([v[0:8], v[9:13]]), np.concatenate([v[1:9], v[10:14]])))
        text = self.ok("inspect", self.folder, "--statistics", "--array.a.data=/u", "--array.b.data=/v, /u", "--model.input=a:1x4x6, b:2x4x6", "--array.labels.data=/m").text
        for part in (f"[array a]\nmean = {u.mean():.6g}\n", f"[array b]\nmean = {v.mean():.6g}, {u.mean():.6g}\n", "labels /m: one row is (4, 6) int64"):
            self.assertIn(part, text)
        # The lines are a part of a deck.
        lines = text[text.index("[array a]"):].strip()
        deck = f"""[data]
train = {self.folder}
test = {self.folder}/a.h5
[array labels]
data = /m
{lines.replace("[array a]", "[array a]" + chr(10) + "data = /u").replace("[array b]", "[array b]" + chr(10) + "data = /v, /u")}
[model]
input = a:1x4x6, b:2x4x6
layer = concat from=a,b
layer = conv out=1 kernel=1
[loss]
kind = bce_with_logits
[train]
epochs = 1
[run]
output = {self.folder}/run
"""
        self.ok("train", self.write_deck(deck))
        for words, part in ((["--array.features.data=/w"], "/w"), (["--array.features.dat=/u"], "no key 'dat'"), (["--train.epochs=3"], "does not apply to data"),
                            (["--array.labels.data=/u", "--array.other.data=/v"], "[array other] is not used")):
            result = program.run("inspect", self.folder, "--statistics", *words)
            self.assertIn(result.code, (2, 3), result.text)
            self.assertIn(part, result.text)


if __name__ == "__main__":
    program.main()
