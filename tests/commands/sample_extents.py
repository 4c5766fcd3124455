#!/usr/bin/env python3
"""A sample has channels and at most three spatial dimensions: more are refused before anything is computed, wherever a shape is given."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

DECK = """
[run]
output = {run}
[data]
train = {data}
batch = 16
scale = 1/255
[model]
input = {shape}
layer = flatten
layer = linear out=10
[train]
epochs = 1
"""


class SampleExtents(program.ProgramTest):
    def refused(self, *words, ranks=1, says):
        result = program.run(*words, ranks=ranks)
        self.assertEqual(result.code, 2, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for word in says:
            self.assertIn(word, result.errors()[0])

    def deck(self, shape):
        return self.write_deck(DECK.format(run=self.folder / "run", data=self.make_digits(train=64, test=16, shards=1) / "train", shape=shape))

    def test_five_to_eight_extents_are_refused_by_all_commands(self):
        for ones in (2, 3, 4, 5):
            shape = "1x" * ones + "1x28x28"
            says = [f"model.input = {shape}", f"{ones + 3} extents", "at most 4", "1x1x28x28" if ones > 1 else ""]
            for command in (("train", self.deck(shape)), ("train", self.deck(shape), "--dry-run"), ("inspect", self.deck(shape)), ("plan", self.deck(shape))):
                self.refused(*command, says=says)
        self.refused("train", self.deck("1x1x1x28x28"), ranks=2, says=["5 extents"])
        self.refused("train", self.deck("1x28x28"), "--model.input=2x2x2x2x49", says=["5 extents", "merge adjacent dimensions"])
        self.refused("train", self.deck("1x" * 8 + "28"), says=["more than 8 extents"])
        self.assertFalse((self.folder / "run").exists())

    def test_a_relative_run_directory_of_which_nothing_exists(self):
        deck, before = self.deck("1x28x28"), os.getcwd()
        os.chdir(self.folder)
        try:
            self.ok("train", deck, "--dry-run", "--run.output=none/of/this")
        finally:
            os.chdir(before)

    def test_four_extents_are_trained(self):
        self.ok("train", self.deck("1x1x28x28"))
        self.assertTrue((self.folder / "run").exists())

    def test_data_are_not_inspected_as_such_samples(self):
        self.refused("inspect", self.make_digits(train=64, test=16, shards=1) / "train", "--model.input=1x1x1x28x28", says=["model.input", "5 extents"])

    def test_layers_make_none(self):
        self.refused("inspect", self.deck("1x28x28\nlayer = reshape shape=1x1x28x4x7"), says=["layer 1 (reshape)", "5 extents"])


if __name__ == "__main__":
    program.main()
