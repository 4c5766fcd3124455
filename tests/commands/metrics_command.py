#!/usr/bin/env python3
"""Metrics against sums that Python makes exactly from the predictions, on any number of ranks; where they have no meaning; and trainings that are refused
because nothing sound could come of them."""

import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from trained import program, read_array  # noqa: E402

DECK = """
[data]
train = {data}/train
test = {data}/test
batch = {batch}
[model]
input = {input}
{layers}
[loss]
kind = {loss}
[optimizer]
lr = {lr}
[train]
epochs = {epochs}
precision = fp64
"""


def mean(numbers):
    return math.fsum(numbers) / len(numbers)


def r2(outputs, targets):
    """Of columns; nothing where no target varies."""
    found = []
    for y, t in zip(outputs, targets):
        middle = mean(t)
        spread = math.fsum((v - middle) ** 2 for v in t)
        if min(t) < max(t):
            found.append(1 - math.fsum((a - b) ** 2 for a, b in zip(y, t)) / spread)
    return mean(found) if found else None


def columns(numbers, width):
    return [numbers[c::width] for c in range(width)]


class DrawnTables(program.ProgramTest):
    """Tables of three features, and decks that train on them."""

    def csv(self, name, rows, *options):
        file = self.folder / f"{name}.csv"
        file.write_text("".join(",".join(f"{v!r}" for v in row) + "\n" for row in rows))
        self.ok("shard", "csv", file, "--out", self.folder / name, "--shards", 2, "--test-shards", 1, "--test", 0.4, "--float64", "--header", "no", *options)
        return self.folder / name

    def deck(self, data, layers, loss, batch=16, epochs=1, lr=0.01, inputs=3):
        layers = "\n".join(f"layer = {layer}" for layer in layers)
        return self.write_deck(DECK.format(data=data, layers=layers, loss=loss, batch=batch, epochs=epochs, lr=lr, input=inputs))

    def rows(self, targets, count=200):
        draw = random.Random(7)
        for _ in range(count):
            x = [draw.gauss(0, 1) for _ in range(3)]
            yield x + targets(x, draw)


class MetricsTest(DrawnTables):
    def trained(self, *words, **options):
        deck = self.deck(*words, **options)
        return self.ok("train", deck, f"--run.output={self.folder}/run").out

    def evaluate(self, *words, ranks=1):
        return self.ok("evaluate", self.folder / "run", "--json", *words, ranks=ranks).json()

    def predicted(self, data, width):
        file = self.folder / "predictions.h5"
        self.ok("predict", self.folder / "run", "--out", file, "--force")
        targets = read_array(next((data / "test").glob("*.h5")), "/y", "d")
        return columns(read_array(file, "/output", "d"), width), columns(targets, width)

    def near(self, found, wanted, what, tolerance=1e-12):
        if wanted is None:
            self.assertIsNone(found, what)
        else:
            self.assertLessEqual(abs(found - wanted), tolerance * max(1, abs(wanted)), f"{what}: {found}, not {wanted}")

    def test_values_far_from_zero_and_constant_ones(self):
        # A column that never changes, one near 1e7 and an ordinary one.
        data = self.csv("far", self.rows(lambda x, draw: [0.1, 1e7 + x[0], x[1] + draw.gauss(0, 1)]), "--targets", 3)
        self.trained(data, ["linear out=3"], "mse", lr=0.001)
        outputs, targets = self.predicted(data, 3)
        wanted = r2(outputs, targets)
        mae = mean([abs(a - b) for y, t in zip(outputs, targets) for a, b in zip(y, t)])
        for ranks in (1, 2, 3, 4):
            found = self.evaluate(ranks=ranks)
            self.near(found["r2"], wanted, f"R2 on {ranks} ranks")
            self.near(found["mae"], mae, f"MAE on {ranks} ranks")
        # Virtual ranks: the same bits.
        by_ranks = [self.evaluate("--data.virtual_ranks=4", ranks=ranks) for ranks in (1, 2, 3, 4)]
        for one in by_ranks:
            self.assertEqual([one[key] for key in ("loss", "mae", "r2")], [by_ranks[0][key] for key in ("loss", "mae", "r2")])
            self.near(one["r2"], wanted, "R2 of virtual ranks")

    def test_constant_targets_have_no_r2(self):
        data = self.csv("constant", self.rows(lambda x, draw: [0.1]))
        out = self.trained(data, ["linear out=1"], "mse")
        self.assertIn("R2 n/a", out)
        for ranks in (1, 2, 3, 4):
            found = self.evaluate(ranks=ranks)
            self.assertIn("r2", found)
            self.assertIsNone(found["r2"], f"on {ranks} ranks")

    def check_binary(self, data, width, probabilities):
        outputs, targets = self.predicted(data, width)
        if not probabilities:
            outputs = [[1 / (1 + math.exp(-v)) for v in column] for column in outputs]
        pairs = [(a > 0.5, b > 0.5) for y, t in zip(outputs, targets) for a, b in zip(y, t)]
        hits, alarms, misses = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True)))
        wanted = {"accuracy": mean([a == b for a, b in pairs]),
                  "precision": hits / (hits + alarms) if hits + alarms else None,
                  "recall": hits / (hits + misses) if hits + misses else None,
                  "f1": 2 * hits / (2 * hits + alarms + misses) if hits + alarms + misses else None,
                  "mae": mean([abs(a - b) for y, t in zip(outputs, targets) for a, b in zip(y, t)]), "r2": r2(outputs, targets)}
        for ranks in (1, 3):
            found = self.evaluate(ranks=ranks)
            for key, value in wanted.items():
                self.near(found[key], value, f"{key} on {ranks} ranks")
        return wanted

    def test_binary_and_many_labels(self):
        one = self.csv("one", self.rows(lambda x, draw: [int(x[0] + 0.5 * draw.gauss(0, 1) > 0.3)]))
        out = self.trained(one, ["linear out=1"], "bce_with_logits", epochs=4, lr=0.5)
        found = self.check_binary(one, 1, False)
        self.assertGreater(found["f1"], 0.6)
        self.assertIn(f"accuracy {100 * found['accuracy']:.2f} %  precision {found['precision']:.4f}  recall {found['recall']:.4f}  F1 {found['f1']:.4f}", out)
        many = self.csv("many", self.rows(lambda x, draw: [int(x[k] + draw.gauss(0, 1) > 0.3 * k) for k in range(3)]), "--targets", 3)
        for layers, loss in ((["linear out=3"], "bce_with_logits"), (["linear out=3", "sigmoid"], "bce")):
            self.retrained(many, layers, loss)
            self.check_binary(many, 3, loss == "bce")

    def retrained(self, data, layers, loss):
        (self.folder / "run").rename(self.folder / f"before-{loss}")
        self.trained(data, layers, loss, epochs=4, lr=0.5)

    def test_nothing_positive(self):
        data = self.csv("negative", self.rows(lambda x, draw: [0]))
        out = self.trained(data, ["linear out=1"], "bce_with_logits", epochs=4, lr=1)
        found = self.check_binary(data, 1, False)
        self.assertEqual((found["accuracy"], found["recall"], found["r2"]), (1, None, None))
        self.assertIn("recall n/a", out)

    def test_two_classes(self):
        data = self.csv("two", self.rows(lambda x, draw: [int(x[0] + draw.gauss(0, 1) > 0.3)]), "--classes")
        out = self.trained(data, ["linear out=2"], "cross_entropy", epochs=3, lr=0.5)
        found = self.evaluate()
        (right, alarms), (misses, hits) = found["confusion"]
        self.assertEqual(found["precision"], hits / (hits + alarms))
        self.assertEqual(found["recall"], hits / (hits + misses))
        self.assertEqual(found["f1"], 2 * hits / (2 * hits + alarms + misses))
        self.assertEqual(found["accuracy"], (hits + right) / found["samples"])
        self.assertIn(f"F1 {found['f1']:.4f}", out)

    def test_confusion_matrices(self):
        # Not in metrics.jsonl; to look at up to 1000 classes.
        data = self.csv("classes", self.rows(lambda x, draw: [draw.randrange(3)]), "--classes")
        for classes, counted in ((3, True), (1000, True), (1001, False)):
            output = self.folder / f"run{classes}"
            self.ok("train", self.deck(data, [f"linear out={classes}"], "cross_entropy"), f"--run.output={output}")
            for event in program.RunFolder(output).events():
                self.assertNotIn("confusion", event.get("test", {}))
            found = self.ok("evaluate", output, "--json").json()
            if counted:
                self.assertEqual(sum(map(sum, found["confusion"])), found["samples"])
            else:
                self.assertIsNone(found["confusion"])

    def test_outputs_that_bce_is_not_defined_for(self):
        data = self.csv("one", self.rows(lambda x, draw: [int(x[0] > 0)]))
        deck = self.deck(data, ["linear out=1"], "bce")
        for words in ([], ["--numerics.on_nonfinite=skip"]):
            for ranks in (1, 2):
                found = program.run("train", deck, f"--run.output={self.folder}/run", *words, ranks=ranks)
                self.assertEqual(found.code, 5, found.text)
                self.assertIn("loss.kind = bce_with_logits", found.text)
        # The targets are the features, and these are no probabilities.
        found = program.run("train", self.deck(data, ["linear out=3", "sigmoid"], "bce"), "--data.target=features", f"--run.output={self.folder}/run")
        self.assertIn(found.code, (3, 5), found.text)
        self.assertRegex(found.text, r"0 to 1|\[0, 1\]")

    def test_an_epoch_of_skipped_steps_has_no_loss(self):
        data = self.csv("one", self.rows(lambda x, draw: [x[0]]))
        result = program.run("train", self.deck(data, ["linear out=1"], "mse", batch=60, lr=1e300, epochs=3), "--numerics.on_nonfinite=skip",
                             f"--run.output={self.folder}/run")
        # Outputs that are no numbers cannot be evaluated: said, with the code of losses that are not finite.
        self.assertEqual(result.code, 5, result.text)
        epochs = program.RunFolder(self.folder / "run").events("epoch")
        self.assertIn("loss", epochs[-1]["train"])
        self.assertIsNone(epochs[-1]["train"]["loss"])
        self.assertIn("epoch 3 done: train loss n/a", result.text)
        self.assertEqual(program.run("evaluate", self.folder / "run").code, 5)


class NormsTest(DrawnTables):
    """Normalization by the moments of one value."""

    LAYERS = ["linear out=6", "batch_norm{sync}", "relu", "linear out=1"]

    def setUp(self):
        super().setUp()
        self.data = self.csv("norms", self.rows(lambda x, draw: [x[0]], 70))
        self.train = len(read_array_rows(self.data / "train"))

    def dry(self, layers, *words, ranks=1, batch=16, inputs=3):
        return program.run("train", self.deck(self.data, layers, "mse", batch=batch, inputs=inputs), "--dry-run", f"--run.output={self.folder}/run", *words, ranks=ranks)

    def refused(self, result, *parts):
        self.assertEqual(result.code, 2, result.text)
        for part in ("Hint", *parts):
            self.assertIn(part, result.text)

    def layers(self, sync=False):
        return [layer.format(sync=" sync=true" if sync else "") for layer in self.LAYERS]

    def test_one_value(self):
        rows = self.train
        last_of_one = next(b for b in range(3, rows) if rows % b == 1)
        self.refused(self.dry(self.layers(), batch=last_of_one), "the last batch of an epoch (1 of", "data.batch =")
        self.refused(self.dry(self.layers(), "--train.accumulate=2", batch=last_of_one), "the last batch of an epoch")
        self.refused(self.dry(self.layers(sync=True), batch=last_of_one), "the last batch of an epoch")
        self.refused(self.dry(self.layers(), batch=1), "a larger data.batch")
        self.refused(self.dry(self.layers(), batch=2, ranks=2), "sync = true", "divided among 2 ranks")
        self.refused(self.dry(self.layers(), "--data.virtual_ranks=8", batch=8), "8 virtual ranks")
        self.refused(self.dry(self.layers(), "--parallel.pipeline=2", batch=8, ranks=2), "8 micro-batches")
        self.refused(self.dry(self.layers(), "--parallel.balance=measured", ranks=2), "parallel.balance = even")
        self.refused(program.run("plan", self.folder / "deck.ini", "--ranks", 8, "--data.batch=8"), "divided among 8 ranks")
        # The remedies that are named.
        even = next(b for b in range(2, rows) if rows % b == 0)
        more = next(b for b in range(8, rows) if rows % b != 1)
        for result in (self.dry(self.layers(), batch=more), self.dry(self.layers(sync=True), batch=even, ranks=2)):
            self.assertEqual(result.code, 0, result.text)

    def test_one_pixel_and_groups_of_one(self):
        one = ["reshape shape=3x1", "instance_norm", "flatten", "linear out=1"]
        self.refused(self.dry(one), "one pixel")
        self.refused(self.dry(["linear out=6", "group_norm groups=6", "linear out=1"]), "fewer groups")
        for layers in (["linear out=6", "group_norm groups=3", "linear out=1"], ["linear out=6", "reshape shape=3x2", "instance_norm", "flatten", "linear out=1"]):
            result = self.dry(layers)
            self.assertEqual(result.code, 0, result.text)


def read_array_rows(folder):
    return [v for file in sorted(folder.glob("*.h5")) for v in read_array(file, "/y", "d")]


if __name__ == "__main__":
    program.main()
