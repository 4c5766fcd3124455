#!/usr/bin/env python3
"""The memory that a run plans beside the memory that its processes have at their peak: six decks. It prints the table of
docs/parallelism.md; as a test each must be within 10 % (of the peak, the base taken away), or within a stated allowance where the run is small."""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

# Beside what is planned a process touches the libraries' code and their own buffers as it goes: MPI's, the matrix library's, the allocator's.
ALLOWANCE = 40 << 20

WIDE = decks.digits(["flatten", "linear out=4096", "relu", "linear out=4096", "relu", "linear name=head out=10"], data={"test": None, "batch": 64},
                    optimizer={"kind": "adam", "lr": 0.0001}, train={"steps": 4}, checkpoint={"every": 2})

CLASSES = """
[data]
train = {classes}/train
test = {classes}/test
batch = 64
[model]
input = 16
layer = linear out=2048
layer = relu
layer = linear out=2048
layer = relu
layer = linear name=head out=1000
[optimizer]
lr = 0.01
momentum = 0.9
[train]
steps = 4
"""


class MemoryPlan(program.ProgramTest):
    rows = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digits = cls.make_digits(train=2000, test=500, shards=2)
        cls.random = random.Random(7)

    @classmethod
    def table(cls, name, rows, columns, classes):
        """A table of numbers in [0, 1) and a class, as shards."""
        folder = cls.common / name
        if not folder.exists():
            file = cls.common / f"{name}.csv"
            with open(file, "w") as out:
                for row in range(rows):
                    out.write(",".join(f"{cls.random.random():.3f}" for _ in range(columns)) + f",{row % classes}\n")
            result = program.run("shard", "csv", file, "--classes", "--test", 0.5, "--header", "no", "--out", folder)
            assert result.code == 0, result.text
        return folder

    def measured(self, name, deck, *overrides, ranks=1):
        run = program.RunFolder(self.folder / name)
        self.ok("train", deck, f"--run.output={run.path}", *overrides, ranks=ranks, timeout=300)
        memory = run.events("end")[-1]["memory"]
        planned, before, peak = memory["planned"], memory["resident_before"], memory["resident_peak"]
        MemoryPlan.rows.append((name, ranks, planned, before, peak))
        self.assertLess(abs(peak - before - planned), max(0.1 * peak, ALLOWANCE), f"{name}: {memory}")
        return peak - before

    def test_digits(self):
        self.measured("digits/cnn", program.ROOT / "inputs" / "digits" / "cnn.ini", f"--data.train={self.digits}/train", f"--data.test={self.digits}/test",
                      "--train.epochs=1")

    def test_wide_layers_and_state(self):
        deck = self.write_deck(WIDE.format(data=self.digits))
        self.measured("wide mlp, adam", deck, ranks=2)
        self.measured("wide mlp, adam, optimizer.shard", deck, "--optimizer.shard=true", ranks=2)
        self.measured("wide mlp, adam, tensor = 2", deck, "--parallel.tensor=2", ranks=2)

    def test_a_thousand_classes(self):
        deck = self.write_deck(CLASSES.format(classes=self.table("classes", 8000, 16, 1000)))
        self.measured("1,000 classes, evaluated", deck)

    def test_fields(self):
        fields = self.common / "fields"
        self.ok("shard", "fields", "--train", 16, "--test", 8, "--size", 32, "--out", fields)
        self.measured("fields/cosmoflow, 32^3", program.ROOT / "inputs" / "fields" / "cosmoflow.ini", f"--data.train={fields}/train", f"--data.test={fields}/test",
                      "--train.epochs=1", "--data.batch=8", "--data.test_batch=8")

    def test_resnet(self):
        images = self.table("images", 160, 3072, 10)
        self.measured("cifar10/resnet20, made images", program.ROOT / "inputs" / "cifar10" / "resnet20.ini", f"--data.train={images}/train", f"--data.test={images}/test",
                      "--train.epochs=1", "--data.batch=32", "--data.test_batch=32", "--data.scale=1", "--data.mean=", "--data.std=")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        mib = lambda n: f"{n / 2**20:.0f}"  # noqa: E731
        print("| deck | ranks | planned, MiB | base, MiB | peak resident, MiB | peak - base | difference |\n| --- | --- | --- | --- | --- | --- | --- |")
        for name, ranks, planned, before, peak in cls.rows:
            print(f"| {name} | {ranks} | {mib(planned)} | {mib(before)} | {mib(peak)} | {mib(peak - before)} | {100 * (planned - peak + before) / peak:+.1f} % |", flush=True)


if __name__ == "__main__":
    program.main()
