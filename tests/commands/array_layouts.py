#!/usr/bin/env python3
"""Arrays as scientists store them: [array NAME] sections read the same numbers as slices by h5py and numpy, on any number of ranks."""

from arrays_test import ArraysTest, h5py, np, program


class Layouts(ArraysTest):
    def test_datasets_that_are_channels(self):
        a, b, c = self.normal(11, 6, 5), self.normal(11, 2, 6, 5).astype("f4"), self.draw.integers(0, 200, (11, 6, 5)).astype("u1")
        path = self.file("f.h5", a=a, b=b, c=c)
        x = np.concatenate([a[:, None], b, c[:, None]], axis=1)
        y = np.concatenate([c[:, None], a[:, None], b], axis=1)
        self.check(path, "[array features]\ndata = /a, /b, /c\n[array labels]\ndata = /c, /a, /b", x, y)
        self.check(path, "", x, y, data="features = /a,/b,/c\nlabels = /c,/a,/b")

    def test_columns_of_a_table(self):
        table = self.normal(23, 9)
        path = self.file("t.h5", **{"df/values": table})
        self.check(path, "[array features]\ndata = /df/values[:, 1:5]\n[array labels]\ndata = /df/values[:, 0], /df/values[:, -3:]", table[:, 1:5],
                   np.concatenate([table[:, :1], table[:, -3:]], axis=1))

    def test_members_of_records(self):
        kind = np.dtype([("index", "i8"), ("block", "f4", (6,)), ("image", "f8", (3, 4)), ("z", "f8")])
        table = np.zeros(13, kind)
        table["block"], table["image"], table["z"] = self.normal(13, 6), self.normal(13, 3, 4), self.normal(13)
        path = self.file("r.h5", **{"g/table": table, "w": self.normal(13) + 1j * self.normal(13)})
        with h5py.File(path) as file:
            w = file["w"][()]
        self.check(path, "[array features]\ndata = /g/table/block[:, 1:4]\n[array labels]\ndata = /w/r, /w/i, /g/table/z", table["block"][:, 1:4],
                   np.stack([w.real, w.imag, table["z"]], axis=1))
        self.check(path, "", table["block"], table["block"], data="features = /g/table/block\nlabels = /g/table/block")
        self.check(path, "[array features]\ndata = /g/table/image\n[array labels]\ndata = /g/table/image[:, :, :]", table["image"][:, None], table["image"][:, None],
                   splits=False)
        self.refused(path, (3,), "[array features]\ndata = /g/table", "holds records", "index, block, image, z", "/g/table/MEMBER")
        self.refused(path, (3,), "[array features]\ndata = /g/table/blox", "no member 'blox'")

    def test_any_order_of_axes(self):
        x = self.normal(9, 3, 6, 4)
        for axes in ("sample, y, x, channel", "x, y, channel, sample", "channel, sample, x, y", "y, x, channel"):
            with self.subTest(axes=axes):
                names = axes.split(", ") if "sample" in axes else ["sample", *axes.split(", ")]
                order = [("sample", "channel", "y", "x").index(name) for name in names]
                path = self.file("o.h5", u=x.transpose(order), v=x[::-1].transpose(order))
                self.check(path, f"[array features]\ndata = /u\naxes = {axes}\n[array labels]\ndata = /v\naxes = {axes}", x, x[::-1])

    def test_labels_in_another_file(self):
        x, y = self.normal(12, 2, 4, 4), self.normal(12, 2, 4, 4)
        self.file("a_x.h5", x=x[:7]), self.file("a_y.h5", y=y[:7]), self.file("b_x.h5", x=x[7:]), self.file("b_y.h5", y=y[7:])
        self.check(f"{self.folder}/*_x.h5", "[array labels]\nreplace = _x.h5 -> _y.h5", x, y)
        self.refused(f"{self.folder}/*_x.h5", (2, 4, 4), "[array labels]\nreplace = _x.h5 -> _z.h5", "a_z.h5")
        self.refused(f"{self.folder}/*_x.h5", (2, 4, 4), "[array labels]\nreplace = _q -> _z", "does not contain '_q'")
        self.file("b_y.h5", y=y[8:])
        self.refused(f"{self.folder}/*_x.h5", (2, 4, 4), "[array labels]\nreplace = _x.h5 -> _y.h5", "4 samples", "(5, 2, 4, 4), 5", "same number")

    def test_static_fields_and_numbers(self):
        u, mask = self.normal(10, 5, 6), self.normal(5, 6)
        path = self.file("s.h5", u=u, k=self.normal(10, 2), mask=mask)
        with h5py.File(path, "a") as file:
            file["u"].attrs["beta"] = 0.4
            k = file["k"][()]
        fills = np.broadcast_to(k[:, :, None, None], (10, 2, 5, 6))
        x = np.concatenate([u[:, None], fills, np.full((10, 1, 5, 6), 0.4)], axis=1)
        self.check(path, "[array features]\ndata = /u, /k, /u@beta\n[array labels]\ndata = /u, /k, /u@beta", x, x)
        self.refused(path, (1, 5, 6), "[array features]\ndata = /u@gamma", "has no attribute 'gamma'")

    def test_a_group_for_each_sample(self):
        x, y = self.normal(12, 2, 4, 3), self.normal(12, 2, 4, 3)
        path = self.folder / "g.h5"
        with h5py.File(path, "w") as file:
            for i in range(12):
                file[f"sample_{i}/image"], file[f"sample_{i}/truth"] = x[i], y[i].transpose(1, 2, 0)
        self.check(path, "[array features]\ndata = /sample_*/image\n[array labels]\ndata = /sample_*/truth\naxes = y, x, channel", x, y)
        with h5py.File(path, "a") as file:  # as many images as truths, but not of the same samples
            del file["sample_3/image"], file["sample_7/truth"]
        self.refused(path, (2, 4, 3), "[array features]\ndata = /sample_*/image\n[array labels]\ndata = /sample_*/truth\naxes = y, x, channel",
                     "not of the same samples", "/sample_4/image", "/sample_3/truth")
        with h5py.File(path, "a") as file:
            file["sample_12"] = h5py.ExternalLink("gone.h5", "/sample_12")
        self.refused(path, (2, 4, 3), "[array features]\ndata = /sample_*/image\n[array labels]\ndata = /sample_*/image", "/sample_12", "cannot be opened")

    def test_splits_of_one_file(self):
        x, y = self.normal(20, 1, 4, 4), self.normal(20, 1, 4, 4)
        path = self.file("all.h5", **{"train/x": x[:12], "train/y": y[:12], "test/x": x[12:], "test/y": y[12:]})
        self.check(f"{path}:/train", "", x[12:], y[12:], test=f"{path}:/test", data="features = x\nlabels = /y")
        both = self.file("rows.h5", x=x, y=y)
        self.check(both, "", x[-8:], y[-8:], data="train_rows = :-8\ntest_rows = -8:")
        self.refused(f"{path}:/valid", (1, 4, 4), "", "no data set '/valid/x'")

    def test_held_out_rows_that_train(self):
        x = self.normal(20, 1, 4, 4)
        path = self.file("all.h5", x=x)
        other = self.file("other.h5", x=x)
        warns = "evaluates rows of"
        for train_rows, test_rows, expected in (("", "", True), (":12", "", True), (":12", "12:", False), (":12", "11:14", True), ("3:9", "0:3", False),
                                                (":-8", "-8:", False), (":-8", "-9:-2", True), ("-12:", "-20:-12", False)):
            rows = f"features = x\nlabels = x\ntrain_rows = {train_rows}\ntest_rows = {test_rows}"
            with self.subTest(train=train_rows, test=test_rows):
                text = self.ok("train", self.deck(path, (1, 4, 4), "", rows)).text
                self.assertEqual(warns in text, expected, text)
                self.assertNotIn(warns, self.ok("train", self.deck(path, (1, 4, 4), "", rows, test=other)).text)
        self.refused(path, (1, 4, 4), "", "data.validation_rows = 3:4 selects rows of data.validation, which is not set", code=2,
                     data="features = x\nlabels = x\nvalidation_rows = 3:4")


if __name__ == "__main__":
    program.main()
