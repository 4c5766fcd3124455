#!/usr/bin/env python3
"""Targets with pixels: they lie as the network's output lies, on any grid, and move with the features that are flipped and cropped."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

# Ways to end: the output's pixels are split, or whole on each rank though the input's are split.
ENDINGS = {
    "split": "layer = conv out=1 kernel=3 padding=1",
    "spatial_whole": "layer = conv out=1 kernel=3 padding=1 spatial=whole",
    "layer_norm": "layer = conv out=1 kernel=3 padding=1\nlayer = layer_norm",
    "reshape": "layer = conv out=4 kernel=2 stride=2\nlayer = reshape shape=1x28x28",
    "flatten_linear": "layer = max_pool kernel=4\nlayer = flatten\nlayer = linear out=784\nlayer = reshape shape=1x28x28",
}

DECK = """
[run]
output = {run}
[data]
train = {data}/train
test = {data}/test
batch = 12
scale = 1/255
{data_keys}
[model]
input = {input}
{layers}
[loss]
kind = mse
[optimizer]
kind = sgd
lr = 0.01
[train]
epochs = 1
steps = 3
precision = fp64
log_every = 1
"""

# The identity: what comes out is what goes in, exactly.
IDENTITY = "layer = conv kernel=1 out={channels}\nlayer = scale factor=0\nlayer = add name=same from=input,scale1"


class TargetsOnGrids(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=36, test=13, shards=2)
        self.runs = 0

    def train(self, layers, data_keys, *words, ranks=1, data=None, shape="1x28x28", code=0):
        self.runs += 1
        run = program.RunFolder(self.folder / f"run{self.runs}")
        deck = self.write_deck(DECK.format(run=run.path, data=data or self.data, data_keys=data_keys, input=shape, layers=layers))
        result = program.run("train", deck, *words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        return run, result

    def numbers(self, run):
        test = run.events("end")[-1]["test"]
        return [*run.losses().values(), test["loss"], test["mae"]]

    def check_same_on_grids(self, data_keys, endings, grids):
        for name, ending in endings.items():
            layers = f"layer = conv out=2 kernel=3 padding=1\n{ending}"
            one = self.numbers(self.train(layers, data_keys)[0])
            self.assertEqual(len(one), 5)
            for grid in grids:
                many = self.numbers(self.train(layers, data_keys, *grid, ranks=2)[0])
                for a, b in zip(one, many, strict=True):
                    self.assertLess(abs(a - b), 1e-9 * max(1, abs(a)), f"{name} on {grid}, {data_keys}: {one}, {many}")

    def test_features_as_targets(self):
        self.check_same_on_grids("target = features", ENDINGS, [["--parallel.spatial=2x1"], ["--parallel.spatial=1x2"]])

    def test_features_as_targets_with_noise_flips_and_crops(self):
        keys = "target = features\nnoise = 0.3\nflip = x,y\ncrop = 2"
        some = {name: ENDINGS[name] for name in ("split", "spatial_whole", "reshape")}
        self.check_same_on_grids(keys, some, [["--parallel.spatial=2x1", "--parallel.micro_batches=2"], ["--parallel.pipeline=2"]])

    def test_labels_with_pixels(self):
        some = {name: ENDINGS[name] for name in ("split", "spatial_whole", "layer_norm")}
        self.check_same_on_grids("labels = /x\nflip = x", some, [["--parallel.spatial=2x1"], ["--parallel.spatial=1x2"]])

    def test_labels_move_with_features(self):
        grids = [(1, []), (2, []), (2, ["--parallel.spatial=2x1"]), (2, ["--parallel.spatial=1x2"]), (2, ["--parallel.pipeline=2"]), (2, ["--data.virtual_ranks=4"])]
        for ranks, grid in grids:
            for moves in ("", "flip = x,y", "crop = 3", "flip = x\ncrop = 2"):
                run, result = self.train(IDENTITY.format(channels=1), f"labels = /x\n{moves}", "--data.scale=1", *grid, ranks=ranks)
                self.assertEqual(list(run.losses().values()), [0, 0, 0], f"{moves} on {grid}")
                self.assertEqual("labels of 1 channel(s) of 28x28 pixels" in result.text, moves != "", result.text)

    def test_a_flat_output_has_labels_with_pixels_in_pytorchs_order(self):
        fields = self.common / "fields"
        if not fields.exists():
            self.ok("shard", "fields", "--train", 36, "--test", 13, "--size", 4, "--channels", 3, "--shards", 1, "--out", fields)
        layers = IDENTITY.format(channels=3)
        for end in ("", "\nlayer = flatten"):
            run, result = self.train(layers + end, "labels = /x\nflip = x,z\ncrop = 1", "--data.scale=1", data=fields, shape="3x4x4x4")
            self.assertEqual(list(run.losses().values()), [0, 0, 0])
            self.assertIn("labels of 3 channel(s) of 4x4x4 pixels", result.text)

    def test_labels_of_other_pixels_are_refused(self):
        layers = "layer = conv out=4 kernel=2 stride=2"  # 4x14x14: as many numbers as a label has
        for ranks, words in ((1, []), (2, ["--parallel.pipeline=2"])):
            for flip in ("", "\nflip = x"):
                _, result = self.train(layers + "\nlayer = relu", "labels = /x" + flip, *words, ranks=ranks, code=3)
                self.assertEqual(len(result.errors()), 1, result.text)
                for word in ("4x14x14", "(1, 28, 28)", "in another order", "Hint"):
                    self.assertIn(word, result.errors()[0])

    def test_labels_without_pixels_stay(self):
        _, result = self.train("layer = flatten\nlayer = linear out=1", "flip = x")
        self.assertIn("are not pixels and do not change", result.text)


if __name__ == "__main__":
    program.main()
