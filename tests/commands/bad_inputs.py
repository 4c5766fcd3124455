#!/usr/bin/env python3
"""Bad inputs of every kind: each ends the job within seconds with its exit code and exactly one message, which names what is wrong."""

import pathlib
import shutil
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

USAGE, DATA, CHECKPOINT, NUMERICAL = 2, 3, 4, 5

DECK = decks.digits(["flatten", "linear name=head out=10"], run={"output": "{run}"}, data={"batch": 50}, optimizer={"lr": 0.05}, train={"epochs": 2})

TABLE_DECK = """
[run]
output = {run}
[data]
train = {data}
batch = 10
shuffle = false
cache = 0
window = 20
chunk = 5
[model]
input = 2
layer = linear name=head out=3
[train]
epochs = 50
"""


class BadInputs(program.ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digits = cls.make_digits(train=200, test=60, shards=2)
        cls.reference = program.RunFolder(cls.common / "reference")
        deck = cls.common / "reference.ini"
        deck.write_text(DECK.format(run=cls.reference.path, data=cls.digits))
        result = program.run("train", deck)
        assert result.code == 0, result.text

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "run"
        self.text = DECK.format(run=self.run_folder, data=self.digits)

    def refused(self, code, words, *said, ranks=1):
        """The job ends soon, with this code and one message, in which all of `said` occur."""
        label = f"{' '.join(str(w) for w in words)} on {ranks} rank(s)"
        result = program.run(*words, ranks=ranks, timeout=30)
        self.assertEqual(result.code, code, f"{label}:\n{result.text}")
        self.assertEqual(len(result.errors()), 1, f"{label}:\n{result.text}")
        self.assertLess(result.seconds, 10, label)
        for part in said:
            self.assertIn(part, result.err[result.err.index("trireme: "):], label)
        for alarm in ("terminate called", "Segmentation", "Assertion", ".cpp:"):
            self.assertNotIn(alarm, result.text, label)
        return result

    def refused_deck(self, code, text, *said, ranks=1, overrides=()):
        with self.subTest(said=said, ranks=ranks):
            self.assertNotIn("{", text)
            self.refused(code, ["train", self.write_deck(text), *overrides], *said, ranks=ranks)
            self.assertFalse(self.run_folder.exists(), "a refused deck left a run directory")

    def changed(self, old, new):
        self.assertEqual(self.text.count(old), 1, old)
        return self.text.replace(old, new)

    # Decks

    def test_keys_and_values(self):
        for old, new, *said in (
            ("lr = 0.05", "learning_rate = 0.05", "[optimizer] has no key 'learning_rate'", "did you mean 'optimizer.lr'?", "deck.ini"),
            ("lr = 0.05", "batch = 50", "optimizer", "data.batch"),
            ("[optimizer]", "[optimzer]", "no section [optimzer]", "did you mean [optimizer]"),
            ("batch = 50", "batch = many", "data.batch", "'many' is not an integer", "line 7"),
            ("batch = 50", "batch = 0", "data.batch", "out of range", ">= 1"),
            ("lr = 0.05", "momentum = 1.5", "optimizer.momentum", "out of range", "<= 1"),
            ("lr = 0.05", "lr = fast", "optimizer.lr", "'fast' is not a real number"),
            ("lr = 0.05", "kind = sdg", "optimizer.kind", "did you mean 'sgd'"),
            ("lr = 0.05", "nesterov = maybe", "optimizer.nesterov", "neither true nor false"),
            ("lr = 0.05", "lr = 0.05\nlr = 0.1", "optimizer.lr", "given twice", "line 14"),
            ("lr = 0.05", "nesterov = true", "optimizer.nesterov", "momentum > 0"),
            ("scale = 1/255", "scale = 1/0", "data.scale", "1/0"),
            ("scale = 1/255", "mean = 0.1, 0.2, 0.3", "data.mean has 3 numbers", "1x28x28", "1 channels"),
            ("scale = 1/255", "std = 0", "data.std", "out of range"),
            ("scale = 1/255", "scale = 1e-60", "data.scale = 1e-60", "fp32", "the same number"),
            ("scale = 1/255", "scale = 0", "data.scale = 0", "the same number"),
            ("scale = 1/255", "std = 1e50", "data.std = 1e+50", "channel 0", "fp32", "the same number"),
            ("scale = 1/255", "scale = 1e60", "data.scale = 1e+60", "fp32", "infinite"),
            ("scale = 1/255", "std = 1e-320", "data.std = 1e-320", "infinite"),
            ("scale = 1/255", "mean = 1e60", "data.mean = 1e+60", "fp32", "infinite"),
            ("scale = 1/255", "scale = 1e-200\nstd = 1e200\n[train]\nprecision = fp64\n[data]", "fp64", "the same number"),
            ("input = 1x28x28", "input = 1x28xq", "model.input", "1x28xq"),
            ("input = 1x28x28\n", "", "model.input is missing"),
            ("batch = 50", "batch", "'batch' has no '='", "line 7"),
        ):
            self.refused_deck(USAGE, self.changed(old, new), *said)
        self.refused_deck(USAGE, self.changed("batch = 50", "batch = 0"), "data.batch", ranks=3)
        self.refused_deck(USAGE, "\n".join(line for line in self.text.split("\n") if not line.startswith("train =")),
                          "data.train is not set", ranks=2)

    def test_suggestions_are_near(self):
        for old, new, said in (("lr = 0.05", "velocity = 0.05", "The keys of [optimizer] are"), ("layer = flatten", "layer = attention", "Known kinds"),
                               ("lr = 0.05", "kind = newton", "one of adam, adamw"), ("out=10", "out=10 breadth=3", "The options of this layer are"),
                               ("[optimizer]", "[hyperparameters]", "The sections are")):
            text = self.refused(USAGE, ["train", self.write_deck(self.changed(old, new))], said).err
            self.assertNotIn("did you mean", text)

    def test_micro_batches_have_samples(self):
        for batch, ranks, most, *more in ((50, 1, 50), (50, 3, 17), (7, 2, 4), (50, 2, 10, "--data.virtual_ranks=5")):
            words = ["train", self.write_deck(self.text), "--dry-run", f"--data.batch={batch}", *more]
            self.ok(*words, f"--parallel.micro_batches={most}", ranks=ranks)
            for many in (most + 1, 1000000):
                self.refused(USAGE, [*words, f"--parallel.micro_batches={many}"], f"parallel.micro_batches = {many}", f"data.batch = {batch}", f"at most {most}",
                             ranks=ranks)

    def test_networks(self):
        for old, new, *said in (
            ("layer = flatten", "layer = flaten", "layer 1", "unknown layer kind 'flaten'", "did you mean 'flatten'"),
            ("out=10", "outs=10", "layer 2 (linear)", "unknown option 'outs'", "did you mean 'out'"),
            (" out=10", "", "layer 2 (linear)", "option 'out' is missing"),
            ("out=10", "out=0", "layer 2 (linear)", "out = 0"),
            ("out=10", "out 10", "layer 2", "'out' has no '='"),
            ("layer = flatten", "layer = conv out=4 kernel=30", "layer 1 (conv)", "kernel", "28"),
            ("layer = flatten", "layer = flatten\nlayer = conv out=4 kernel=3", "layer 2 (conv)", "784"),
            ("layer = flatten", "layer = dropout p=1.5\nlayer = flatten", "layer 1 (dropout)", "p = 1.5"),
            ("layer = linear name=head out=10", "layer = linear name=a out=3\nlayer = linear name=b from=flatten1 out=4\nlayer = add from=a,b",
             "layer 4 (add)", "3", "4"),
            ("layer = linear name=head out=10", "layer = linear name=head from=flaten1 out=10", "'flaten1' names no earlier layer", "'flatten1'"),
            ("layer = linear name=head out=10", "layer = linear name=a out=3\nlayer = linear name=b from=flatten1 out=10",
             "layer 2 (linear)", "no layer uses its output"),
            ("layer = linear name=head out=10", "layer = linear name=a out=3\nlayer = linear name=a out=10", "the name 'a' is already used"),
            ("layer = linear name=head out=10", "layer = add", "layer 2 (add)", "two or more inputs", "from="),
            ("layer = flatten\nlayer = linear name=head out=10", "", "layer"),
        ):
            self.refused_deck(USAGE, self.changed(old, new), *said)
        self.refused_deck(USAGE, self.changed("out=10", "outs=10"), "unknown option 'outs'", ranks=3)
        self.refused_deck(DATA, self.changed("layer = flatten\nlayer = linear name=head out=10", "layer = conv out=10 kernel=3"),
                          "one class number for each pixel of the network's output 10x26x26")

    def test_not_a_deck(self):
        self.refused_deck(USAGE, "", "is empty")
        self.refused_deck(USAGE, "# only a comment\n", "is empty")
        self.refused_deck(USAGE, "Dear sir or madam,\nplease train.\n", "line 1", "'Dear sir or madam,' has no '='")
        shard = sorted((self.digits / "train").glob("*.h5"))[0]
        self.refused(USAGE, ["train", shard], "control character", "not a checkpoint or shard")
        self.refused(USAGE, ["train", self.digits], "is a directory")
        self.refused(USAGE, ["train", self.folder / "nowhere.ini"], "nowhere.ini", "cannot be read", "Hint", ranks=2)

    def test_overrides(self):
        deck = self.write_deck(self.text)
        self.refused(USAGE, ["train", deck, "--data.bacth=3"], "command line", "[data] has no key 'bacth'", "data.batch")
        self.refused(USAGE, ["train", deck, "--data.batch=-3"], "command line", "data.batch", "out of range")
        self.refused(USAGE, ["train", deck, "--model.layer=relu"], "model.layer=relu", "not allowed", ranks=2)
        self.refused(USAGE, ["train", deck, "--data.batch"], "--data.batch", "Usage")

    def test_ranks(self):
        deck = self.write_deck(self.text)
        self.refused(USAGE, ["train", deck, "--parallel.data=3"], "parallel.data = 3, but the job has 2 rank(s)", "mpiexec -n 3", ranks=2)
        self.refused(USAGE, ["train", deck, "--parallel.data=2"], "parallel.data = 2, but the job has 1 rank(s)")

    def test_run_directory_that_cannot_be_made(self):
        (self.folder / "file").write_text("a file, not a folder")
        for ranks in (1, 3):
            self.refused(CHECKPOINT, ["train", self.write_deck(self.text), f"--run.output={self.folder}/file/run"], f"{self.folder}/file/run", "Hint", ranks=ranks)

    def test_loss_that_is_not_finite(self):
        for ranks in (1, 2):
            self.refused(NUMERICAL, ["train", self.write_deck(self.text), "--optimizer.lr=1e38", f"--run.output={self.folder}/nan{ranks}"],
                         "the loss of step", "Hint", "optimizer.lr", ranks=ranks)

    # Data

    def refused_data(self, where, *said, ranks=1, deck=None):
        deck = self.write_deck(deck or self.text)
        with self.subTest(said=said, ranks=ranks):
            self.refused(DATA, ["train", deck, f"--data.train={where}"], *said, ranks=ranks)
            self.assertFalse(self.run_folder.exists(), "refused data left a run directory")

    def shards(self, name="shards"):
        """A copy of the train shards to spoil."""
        folder = self.folder / name
        shutil.copytree(self.digits / "train", folder)
        return folder, sorted(folder.glob("*.h5"))

    def table(self, name, rows, *options):
        """Shards made of rows of numbers; returns their folder."""
        file = self.folder / f"{name}.csv"
        file.write_text("".join(",".join(str(number) for number in row) + "\n" for row in rows))
        self.ok("shard", "csv", file, "--out", self.folder / name, "--test", 0, *options)
        return self.folder / name / "train"

    def test_data_that_is_not_there(self):
        (self.folder / "empty").mkdir()
        self.refused_data(self.folder / "nowhere", "nowhere")
        self.refused_data(self.digits / "trian", "trian", "train", ranks=2)
        self.refused_data(self.folder / "empty", "found none")
        self.refused_data(self.digits, "found none", f"Hint: '{self.digits}/t")
        self.refused_data(self.folder / "*.h5", "no file matches")
        self.refused_data(f"{self.digits}/train,{self.digits}/train", "more than once")
        self.refused(DATA, ["train", self.write_deck(self.text), f"--data.test={self.folder}/nothing"], "nothing")

    def test_shards_that_are_broken(self):
        folder, files = self.shards()
        whole = files[1].read_bytes()
        for spoiled in (b"", b"x,y\n1,2\n" * 200, whole[:1000], whole[:len(whole) // 2]):
            files[1].write_bytes(spoiled)
            for ranks in (1, 2):
                self.refused_data(folder, files[1].name, ranks=ranks)

    def test_shards_that_lack_or_differ(self):
        self.refused(DATA, ["train", self.write_deck(self.text), "--data.features=/images"], "no data set '/images'", "/x", "data.features", ranks=2)
        self.refused(DATA, ["train", self.write_deck(self.text), "--data.labels=/labels"], "no data set '/labels'", "/y", "data.labels")
        self.refused(DATA, ["train", self.write_deck(self.text), "--model.input=1x28x30"],
                     "(100, 1, 28, 28)", "784", "1x28x30", "840", "input = 1x28x28", ranks=3)

        table = TABLE_DECK.format(run=self.run_folder, data="unused")
        two = self.table("two", [(i, -i, i % 3) for i in range(20)], "--classes")
        three = self.table("three", [(i, -i, 1, i % 3) for i in range(20)], "--classes")
        double = self.table("double", [(i, -i, i % 3) for i in range(20)], "--classes", "--float64")
        targets = self.table("targets", [(i, -i, 0.5, 0.5) for i in range(20)], "--targets", 2)
        self.refused_data(f"{two},{three}", "three-0000.h5", "(20, 3)", "shards of a data set must agree", "two-0000.h5", "(20, 2)", deck=table, ranks=2)
        self.refused_data(f"{two},{double}", "double-0000.h5", "float64", "two-0000.h5", "float32", deck=table)
        self.refused_data(targets, "2 numbers per sample", "class labels are one number", deck=table)
        self.refused_data(targets, "2 numbers per sample", "output is 3 numbers", deck=table + "[loss]\nkind = mse\n")

    def test_labels_out_of_range(self):
        rows = [(i, -i, i % 3) for i in range(60)]
        rows[41] = (1, 1, 3)
        bad = self.table("bad", rows, "--classes", "--shards", 2)
        for ranks in (1, 2):
            result = self.refused(DATA, ["train", self.write_deck(TABLE_DECK.format(run=self.folder / f"run-{ranks}", data=bad))],
                                  "bad-0001.h5", "row 11", "is 3", "from 0 to 2", "Hint", ranks=ranks)
            self.assertNotIn("internal", result.text)
        # In the test data, found in the evaluation after the first epoch.
        good = self.table("good", [(i, -i, i % 3) for i in range(40)], "--classes")
        self.refused(DATA, ["train", self.write_deck(TABLE_DECK.format(run=self.folder / "run-3", data=good)), f"--data.test={bad}"],
                     "bad-0001.h5", "row 11", "from 0 to 2", ranks=3)

    def spoil(self, folder, marker, value):
        """Puts another float in the place of `marker` in the shards of a folder."""
        pattern, places = struct.pack("<f", marker), 0
        for file in folder.glob("*.h5"):
            content = file.read_bytes()
            places += content.count(pattern)
            file.write_bytes(content.replace(pattern, struct.pack("<f", value)))
        self.assertEqual(places, 1)

    def test_features_that_are_not_finite(self):
        for ranks, value, word in ((1, float("nan"), "NaN"), (2, float("inf"), "infinity")):
            rows = [(i, -i, i % 3) for i in range(60)]
            rows[57] = (1, 123.456, 0)
            folder = self.table(f"spoiled{ranks}", rows, "--classes", "--shards", 2, "--contiguous")
            self.spoil(folder, 123.456, value)
            self.refused(DATA, ["train", self.write_deck(TABLE_DECK.format(run=self.run_folder, data=folder))],
                         f"spoiled{ranks}-0001.h5", "row 27", word, "Hint", ranks=ranks)

    def test_targets_that_are_not_finite(self):
        folder = self.table("targets", [(i, -i, 1, 2, 123.456 if i == 7 else 3) for i in range(20)], "--targets", 3, "--contiguous")
        self.spoil(folder, 123.456, float("nan"))
        deck = TABLE_DECK.format(run=self.run_folder, data=folder) + "[loss]\nkind = mse\n"
        self.refused(DATA, ["train", self.write_deck(deck)], "targets-0000.h5", "row 7", "/y", "NaN", ranks=2)

    # One rank alone

    def test_error_of_one_rank_while_all_train(self):
        # The last rows of each batch are the last rank's, and the bad one is met in the middle of the first epoch.
        rows = [(i % 7, -i % 5, i % 3) for i in range(400)]
        rows[259] = (1, 1, 77)
        bad = self.table("late", rows, "--classes", "--shards", 4)
        for ranks in (2, 3):
            run = program.RunFolder(self.folder / f"run-{ranks}")
            deck = self.write_deck(TABLE_DECK.format(run=run.path, data=bad).replace("epochs = 50", "epochs = 50\nlog_every = 1"))
            self.refused(DATA, ["train", deck], f"error on rank {ranks - 1} of {ranks}", "late-0002.h5", "row 59", "is 77", ranks=ranks)
            self.assertGreater(len(run.losses()), 10, "the error came before training")

    def test_file_that_one_rank_cannot_see(self):
        # As when a file system is not mounted on one node: relative paths, and another working directory for one rank.
        (self.folder / "elsewhere").mkdir()
        shutil.copytree(self.digits, self.folder / "data")
        deck = self.write_deck(self.text.replace(str(self.digits), "data"))
        here = [program.program(), "train", str(deck)]
        launcher = program.launcher()[0]
        line = [launcher, "-n", "1", "-wdir", str(self.folder), *here, ":", "-n", "1", "-wdir", str(self.folder / "elsewhere"), *here]
        with program.Job([], line=line) as job:
            result = job.wait(30)
        self.assertEqual(result.code, DATA, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        self.assertIn("data/train", result.errors()[0])

    def test_compressed_rows_that_are_damaged(self):
        # The file opens and tells its shape; that some rows cannot be unpacked is seen when they are read.
        self.ok("shard", "digits", "--train", 400, "--test", 1, "--shards", 2, "--gzip", 4, "--out", self.folder / "packed")
        file = sorted((self.folder / "packed" / "train").glob("*.h5"))[1]
        content = bytearray(file.read_bytes())
        middle = len(content) * 3 // 4
        content[middle:middle + 100] = bytes(100)
        file.write_bytes(content)
        for ranks in (1, 2):
            self.refused(DATA, ["train", self.write_deck(self.text), f"--data.train={file.parent}", f"--run.output={self.folder}/packed-{ranks}"],
                         file.name, "cannot be read", "Hint", ranks=ranks)

    def test_shards_that_vanish_while_all_train(self):
        # Files that are not open at the time are missed when they are opened again: more shards than are kept open.
        rows = [(i % 7, -i % 5, i % 3) for i in range(600)]
        folder = self.table("many", rows, "--classes", "--shards", 200)
        text = TABLE_DECK.format(run="unused", data=folder).replace("epochs = 50", "epochs = 100000\nlog_every = 1")
        run = program.RunFolder(self.folder / "run")
        with program.Job(["train", self.write_deck(text), f"--run.output={run.path}"], 2) as job:
            self.wait_until("training", lambda: len(run.losses()) > 30, job)
            shutil.rmtree(folder)
            began = time.monotonic()
            result = job.wait(30)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(result.code, DATA, result.text[-2000:])
        self.assertEqual(len(result.errors()), 1, result.text[-2000:])
        self.assertIn("many-0", result.errors()[0])

    # Checkpoints

    def test_checkpoints(self):
        (self.folder / "empty").mkdir()
        text = self.folder / "step-00000001.h5"
        text.write_text("not HDF5")
        shard = next((self.digits / "test").glob("*.h5"))
        checkpoint = self.reference.checkpoints()[-1]
        half = self.folder / "half.h5"
        half.write_bytes(checkpoint.read_bytes()[:3000])
        for ranks in (1, 2):
            self.refused(CHECKPOINT, ["evaluate", self.folder / "nowhere"], "nowhere", "does not exist", ranks=ranks)
            self.refused(CHECKPOINT, ["evaluate", text], text.name, ranks=ranks)
        self.refused(CHECKPOINT, ["evaluate", self.folder / "empty"], "empty", "no")
        self.refused(CHECKPOINT, ["evaluate", shard], shard.name, "not a checkpoint")
        self.refused(CHECKPOINT, ["evaluate", half], "half.h5", ranks=3)
        self.refused(CHECKPOINT, ["evaluate", self.digits], "digits", "no")

        wider = self.write_deck(self.text.replace("layer = linear name=head", "layer = linear name=hidden out=20\nlayer = linear name=head"))
        self.refused(CHECKPOINT, ["train", wider, f"--checkpoint.resume={self.reference.path}"], "model/", "Hint", ranks=2)
        self.assertFalse(self.run_folder.exists())
        self.refused(DATA, ["evaluate", self.reference.path, "--data", self.table("table", [(1, 2, 0)] * 5, "--classes")], "(5, 2)", "1x28x28", ranks=2)
        self.refused(USAGE, ["evaluate", self.reference.path, "--data.test="], "data.test", "--data WHERE")

    # Commands

    def test_commands(self):
        self.refused(USAGE, ["trian"], "unknown command 'trian'", "did you mean 'train'", ranks=2)
        self.refused(USAGE, ["train"], "the deck is missing", "Usage: trireme train DECK")
        self.refused(USAGE, ["evaluate"], "checkpoint", "missing", "Usage: trireme evaluate")
        self.refused(USAGE, ["evaluate", self.reference.path, "--jsno"], "unknown option '--jsno'", "--json", ranks=2)
        self.refused(USAGE, ["evaluate", self.reference.path, "--data"], "--data needs a value")
        self.refused(USAGE, ["train", "--drry-run", self.write_deck(self.text)], "unknown option '--drry-run'", "--dry-run")
        self.refused(USAGE, ["train", self.write_deck(self.text), "another.ini"], "another.ini")
        self.refused(USAGE, ["shard", "digist", "--out", self.folder / "x"], "digist", "did you mean 'digits'")
        self.refused(USAGE, ["shard", "digits"], "--out")
        self.refused(USAGE, ["shard", "digits", "--out", self.digits], str(self.digits), "--force", ranks=2)
        result = program.run()
        self.assertEqual(result.code, USAGE)
        self.assertIn("Usage: trireme COMMAND", result.text)


if __name__ == "__main__":
    program.main()
