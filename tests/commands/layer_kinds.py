#!/usr/bin/env python3
"""Padding, products, slices and the squeeze-and-excitation block in a network that learns: the same on any grid, the same bits with virtual ranks, and errors."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

DECK = """
[run]
output = {run}
[data]
train = {data}/train
test = {data}/test
batch = 24
scale = 1/255
""" + (program.ROOT / "inputs/blocks/squeeze_excite.ini").read_text().split("\n[model]")[0] + """
[model]
input = 1x28x28
layer = conv name=first out=8 kernel=5 padding=2 padding_mode=reflect,circular
layer = prelu per_channel=true
layer = avg_pool kernel=2
layer = squeeze_excite name=se channels=8 squeeze=2
layer = pad pixels=1,0 after=2,1 mode=replicate,circular
layer = conv name=second out=16 kernel=3 padding=1 padding_mode=circular
layer = prelu
layer = crop before=1,0 after=2,1
layer = pixel_shuffle factor=2
layer = slice name=some channels=1:3
layer = adaptive_avg_pool out=7,6
layer = flatten
layer = linear out=10
[optimizer]
kind = adam
lr = 0.01
[train]
epochs = {epochs}
precision = {precision}
log_every = 1
"""
GRIDS = [(2, ["--parallel.spatial=2x1"]), (2, ["--parallel.spatial=1x2"]), (4, ["--parallel.spatial=2x2"]), (3, ["--parallel.spatial=1x3"]),
         (2, ["--parallel.tensor=2"]), (4, ["--parallel.tensor=2", "--parallel.spatial=1x2"]), (2, ["--parallel.pipeline=2"])]


class LayerKinds(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=120, test=31, shards=2)
        self.runs = 0

    def train(self, *words, ranks=1, epochs=1, precision="fp64"):
        self.runs += 1
        run = program.RunFolder(self.folder / f"run{self.runs}")
        deck = self.write_deck(DECK.format(run=run.path, data=self.data, epochs=epochs, precision=precision))
        self.ok("train", deck, *words, ranks=ranks)
        return run

    def numbers(self, run):
        return [*run.losses().values(), run.events("end")[-1]["test"]["loss"]]

    def test_every_grid_computes_the_same(self):
        one = self.numbers(self.train())
        self.assertEqual(len(one), 6)
        for ranks, grid in GRIDS:
            many = self.numbers(self.train(*grid, ranks=ranks))
            for a, b in zip(one, many, strict=True):
                self.assertLess(abs(a - b), 1e-12 * max(1, abs(a)), f"{grid}: {one}, {many}")

    def test_virtual_ranks_give_the_same_bits(self):
        digests = {self.train("--data.virtual_ranks=3", ranks=ranks, precision="fp32").digest() for ranks in (1, 2, 3)}
        self.assertEqual(len(digests), 1)

    def test_it_learns(self):
        losses = list(self.train(epochs=8, precision="fp32").losses().values())
        self.assertLess(sum(losses[-5:]), 0.5 * sum(losses[:5]))

    def test_padding_larger_than_the_sample_is_an_error(self):
        for mode, words in (("circular", "circular padding of 29 pixels needs an input of at least 29 pixels"),
                            ("reflect", "reflect padding of 29 pixel(s) needs an input of at least 30 pixels")):
            text = DECK.format(run=self.folder / "no", data=self.data, epochs=1, precision="fp32")
            text = text.replace("padding=2 padding_mode=reflect,circular", f"padding=29 padding_mode={mode}")
            result = program.run("train", self.write_deck(text))
            self.assertEqual(result.code, 2, result.text)
            self.assertEqual(len(result.errors()), 1, result.text)
            self.assertIn(words, result.errors()[0])
            self.assertIn("layer 1 (conv)", result.errors()[0])


if __name__ == "__main__":
    program.main()
