#!/usr/bin/env python3
"""Predictions are the network's output for each row, in the rows' order, whatever the number of ranks."""

import os
import pathlib
import unittest.mock

from trained import CHANNELS, TrainedTest, program, read_array

PORTABLE = {"TRIREME_KERNELS": "portable"}  # a row's bits then do not depend on the rows beside it


class Predict(TrainedTest):
    def predict(self, name, *words, ranks=1, where=None):
        file = self.folder / name
        self.ok("predict", self.run_folder, "--data", where or self.data / "test", "--out", file, *words, ranks=ranks)
        return file

    def left(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_the_same_bytes_on_any_number_of_ranks(self):
        with unittest.mock.patch.dict(os.environ, PORTABLE):
            files = [self.predict(f"p{ranks}.h5", ranks=ranks).read_bytes() for ranks in (1, 2, 3, 4)]
        for ranks, found in zip((2, 3, 4), files[1:]):
            self.assertTrue(found == files[0], f"{ranks} ranks")

    def test_vendor_kernels_agree_to_rounding(self):
        outputs = [read_array(self.predict(f"p{ranks}.h5", ranks=ranks), "/output", "f") for ranks in (1, 3)]
        largest = max(map(abs, outputs[0]))
        self.assertEqual(len(outputs[0]), 151 * 10)
        self.assertLess(max(abs(a - b) for a, b in zip(*outputs)), 1e-5 * largest)

    def test_more_ranks_than_rows(self):
        with unittest.mock.patch.dict(os.environ, PORTABLE):
            few = self.make_digits("few", train=10, test=3, shards=1)
            one, four = (self.predict(f"few{ranks}.h5", ranks=ranks, where=few / "test").read_bytes() for ranks in (1, 4))
        self.assertTrue(one == four)

    def test_classes_are_those_of_the_confusion_matrix(self):
        file = self.predict("p.h5", ranks=2)
        metrics = self.ok("evaluate", self.run_folder, "--json").json()
        found = self.ok("inspect", file, "--json").json()
        self.assertEqual((found["kind"], found["rows"], found["features"]["shape"]), ("predictions", 151, [10]))
        confusion = metrics["confusion"]
        if not isinstance(confusion[0], list):
            confusion = [confusion[10 * row:10 * row + 10] for row in range(10)]
        predicted = {str(c): sum(row[c] for row in confusion) for c in range(10)}
        self.assertEqual(found["labels"]["histogram"], {c: n for c, n in predicted.items() if n > 0})

    def test_class_is_the_largest_output(self):
        file = self.predict("p.h5", ranks=2)
        output, classes = read_array(file, "/output", "f"), read_array(file, "/class", "i")
        self.assertEqual(len(classes), 151)
        for row, found in enumerate(classes):
            scores = output[10 * row:10 * row + 10]
            self.assertEqual(found, scores.index(max(scores)))

    def test_rows_stay_in_order(self):
        """What is predicted of all shards is what is predicted of each, end to end."""
        with unittest.mock.patch.dict(os.environ, PORTABLE):
            shards = sorted((self.data / "train").glob("*.h5"))
            self.assertEqual(len(shards), 3)
            parts = [read_array(self.predict("part.h5", "--force", where=shard), "/output", "f") for shard in shards]
            whole = read_array(self.predict("whole.h5", ranks=3, where=self.data / "train"), "/output", "f")
        self.assertEqual(whole, sum(parts, []))

    def test_data_without_labels(self):
        with_labels = self.predict("with.h5")
        without = self.predict("without.h5", "--data.labels=/there/is/no/such")
        self.assertEqual(read_array(with_labels, "/output", "f"), read_array(without, "/output", "f"))

    def check_channels(self, precision, code):
        fields = self.folder / "fields"
        self.ok("shard", "fields", "--out", fields, "--train", 40, "--test", 31, "--size", 8, "--channels", 4)
        deck = self.write_deck(CHANNELS.format(data=fields / "train"))
        self.ok("train", deck, f"--run.output={self.folder / 'run'}", f"--train.precision={precision}")
        file = self.folder / "p.h5"
        self.ok("predict", self.folder / "run", "--data", fields / "test", "--out", file, ranks=2)
        found = self.ok("inspect", file, "--json").json()
        self.assertEqual((found["features"]["shape"], found["features"]["type"]), ([4, 8, 8, 8], {"f": "float32", "d": "float64"}[code]))
        self.assertNotIn("labels", found)
        values = read_array(file, "/output", code)
        for row in range(0, 31, 6):
            image = values[row * 2048:(row + 1) * 2048]
            for channel in range(1, 4):
                self.assertTrue(affine(image[:512], image[512 * channel:512 * (channel + 1)]), "quarters of a sample are not its channels")
            self.assertFalse(affine(image[0::4], image[1::4][::-1]))

    def test_channels_come_first(self):
        self.check_channels("fp32", "f")

    def test_channels_come_first_in_double_precision(self):
        self.check_channels("fp64", "d")

    def check_error(self, code, command, said, ranks=1):
        """The message says all of `said`, and nothing is left over."""
        result = program.run("predict", *command, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        for text in said:
            self.assertIn(text, result.text)
        self.assertEqual([name for name in self.left() if "partial" in name], [])

    def test_what_cannot_be(self):
        out = self.folder / "p.h5"
        data = ["--data", self.data / "test"]
        shard = next((self.data / "test").glob("*.h5"))
        before = shard.read_bytes()
        self.check_error(2, [self.run_folder, *data], ["--out", "Usage"])
        self.check_error(2, [self.run_folder, *data, "--out", self.folder], ["is a folder"])
        for dash in (["--out", "-"], ["--out=-"]):
            self.check_error(2, [self.run_folder, *data, *dash], ["standard output", "Expected the name of a file"])
        self.assertFalse(pathlib.Path("-").exists())
        self.check_error(2, [self.run_folder, *data, "--out", shard], ["is a shard", "Hint"])
        self.check_error(2, [self.run_folder, *data, "--out", self.run.checkpoints()[-1]], ["is the checkpoint", "Hint"])
        self.check_error(2, [self.run_folder, *data, "--out", out, "--dta=x"], ["--dta", "did you mean"])
        self.check_error(3, [self.run_folder, *data, "--out", self.folder / "no" / "p.h5"], ["cannot be written", "Hint"], ranks=2)
        self.check_error(3, [self.run_folder, "--data", self.folder / "none", "--out", out], ["none"], ranks=2)
        self.check_error(4, [self.folder / "none", *data, "--out", out], ["does not exist"])
        self.check_error(4, [self.data, *data, "--out", out], ["no intact checkpoint"])
        self.assertEqual(self.left(), [])
        self.assertTrue(shard.read_bytes() == before)

    def test_a_broken_shard_leaves_what_stood_before(self):
        out = self.folder / "p.h5"
        out.write_text("what stood before")
        copy = self.folder / "shards"
        copy.mkdir()
        for shard in (self.data / "train").glob("*.h5"):
            (copy / shard.name).write_bytes(shard.read_bytes())
        shard = sorted(copy.glob("*.h5"))[1]
        shard.write_bytes(shard.read_bytes()[:-1000])
        self.check_error(3, [self.run_folder, "--data", copy, "--out", out, "--force"], [shard.name, "Hint"], ranks=2)
        self.assertEqual(out.read_text(), "what stood before")

    def test_what_is_there_is_not_replaced_unasked(self):
        data = ["--data", self.data / "test"]
        out = self.folder / "p.h5"
        out.write_text("a thesis")
        (self.folder / "link.h5").symlink_to(self.folder / "nowhere")
        os.mkfifo(self.folder / "pipe")
        (self.folder / "null").symlink_to("/dev/null")
        for ranks in (1, 2):
            self.check_error(2, [self.run_folder, *data, "--out", out], ["already exists", "--force"], ranks=ranks)
        self.check_error(2, [self.run_folder, *data, "--out", self.folder / "link.h5"], ["already exists"])
        for name in ("pipe", "null"):
            self.check_error(2, [self.run_folder, *data, "--out", self.folder / name, "--force"], ["is a device or a pipe"])
        self.check_error(2, [self.run_folder, *data, "--out", "/dev/null", "--force"], ["is a device or a pipe"])
        self.assertTrue(pathlib.Path("/dev/null").is_char_device())
        self.assertEqual(out.read_text(), "a thesis")
        self.ok("predict", self.run_folder, *data, "--out", out, "--force")
        self.assertEqual(out.read_bytes()[:4], b"\x89HDF")


def affine(a, b):
    """Whether b = p a + q, to rounding."""
    n = len(a)
    mean_a, mean_b = sum(a) / n, sum(b) / n
    spread = sum((x - mean_a) ** 2 for x in a)
    p = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b)) / spread
    return all(abs(p * (x - mean_a) - (y - mean_b)) < 1e-4 for x, y in zip(a, b))


if __name__ == "__main__":
    program.main()
