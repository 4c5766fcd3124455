#!/usr/bin/env python3
"""Extreme values: every integer key of a deck and every whole-number option of a layer, as the program's own reference lists them, blocks that grow, tables
without end. Each is answered in words with a documented exit code; nothing crashes, wraps round or fills the memory."""

import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

USAGE, DATA = 2, 3
SEED = 20240611

DECK = """
[run]
output = {run}
[data]
train = {digits}/train
test = {digits}/test
batch = 8
[model]
input = 1x28x28
{layers}
layer = flatten
layer = linear name=head out=10
"""

# A use of each kind that has whole-number options, on 1x28x28.
LAYERS = {"linear": "layer = flatten\nlayer = linear out=4", "conv": "layer = conv out=2 kernel=3", "conv_transpose": "layer = conv_transpose out=2 kernel=3 stride=4",
          "max_pool": "layer = max_pool kernel=2", "avg_pool": "layer = avg_pool kernel=2", "upsample": "layer = upsample scale=2",
          "group_norm": "layer = group_norm groups=1", "layer_norm": "layer = layer_norm dims=1",
          "adaptive_avg_pool": "layer = adaptive_avg_pool out=4", "crop": "layer = crop pixels=1", "pad": "layer = pad pixels=1",
          "pixel_shuffle": "layer = conv out=4 kernel=1\nlayer = pixel_shuffle factor=2"}


class Limits(program.ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digits = cls.make_digits(train=40, test=20, shards=2)
        cls.reference = program.run("help", "deck").text

    def deck(self, layers="", head=""):
        return self.write_deck(head + DECK.format(run=self.folder / "run", digits=self.digits, layers=layers))

    def answered(self, *words, codes=(0, USAGE, DATA), timeout=60):
        """No more than 2 GiB are the machine's: what does not fit is refused, not tried."""
        result = program.run(*words, timeout=timeout, TRIREME_MACHINE_MEMORY="2048")
        said = f"{' '.join(str(word) for word in words)[:300]}: code {result.code}\n{result.text[:3000]}"
        self.assertIn(result.code, codes, said)
        self.assertNotIn("std::", result.text, said)
        self.assertEqual(len(result.errors()), 0 if result.code == 0 else 1, said)
        self.assertLess(len(result.text), 100_000, said[:300])
        return result

    def integers(self):
        keys, section = {}, ""
        for line in self.reference.splitlines():
            if heading := re.match(r"## \[(\w+)\]", line):
                section = heading[1]
            if row := re.match(r"\| `(\w+)` \| integer(.*?) \|", line):
                keys[f"{section}.{row[1]}"] = row[2]
        return keys

    def test_every_integer_key_has_both_ends(self):
        keys = self.integers()
        self.assertGreater(len(keys), 20)
        random.seed(SEED)
        for key, text in keys.items():
            with self.subTest(key=key):
                found = re.fullmatch(r" >= (\d+) and <= (\d+)", text)
                self.assertIsNotNone(found, f"{key}: integer{text}")
                low, high = int(found[1]), int(found[2])
                deck = self.deck()
                for value in (low - 1, high + 1, 2**63 - 1, random.randrange(high + 1, 2**63)):
                    result = self.answered("train", deck, "--dry-run", f"--{key}={value}", codes=(USAGE,))
                    self.assertIn(key, result.errors()[0])
                    self.assertIn("out of range", result.errors()[0])
                for value in {high, random.randint(low, high)}:
                    self.answered("train", deck, "--dry-run", f"--{key}={value}")

    def test_every_option_of_a_layer_has_both_ends(self):
        kinds = dict(re.findall(r"^\| `(\w+)` \| (`.*?) \|", self.reference, re.M))
        random.seed(SEED + 1)
        tried = set()
        for kind, options in kinds.items():
            for name, low, high in re.findall(r"`(\w+)` \([^);]*; (\d+) to (\d+)\)", options):
                self.assertIn(kind, LAYERS)
                tried.add(kind)
                low, high = int(low), int(high)
                line = re.sub(rf" {name}=\S+", "", LAYERS[kind])
                values = [(low - 1, True), (high + 1, True), (2**63 - 1, True), (2**60, True), (high, False), (random.randint(low, high), False)]
                for value, refused in values:
                    with self.subTest(kind=kind, name=name, value=value):
                        result = self.answered("train", self.deck(f"{line} {name}={value}"), "--dry-run", codes=(USAGE,) if refused else (0, USAGE))
                        if refused:
                            self.assertRegex(result.errors()[0], rf"{name} = {value} is too (small|large)")
        self.assertEqual(tried, set(LAYERS))

    def test_products_are_refused_in_words(self):
        for layers, words in (("layer = upsample scale=65536\nlayer = upsample scale=65536", "elements"),
                              ("layer = conv out=1 kernel=512 padding=256", "has too many elements"),
                              ("layer = conv_transpose out=1 kernel=1 stride=60000", "spans too many elements"),
                              ("layer = flatten\nlayer = linear out=100000000", "of memory in total for parameters")):
            with self.subTest(layers=layers):
                result = self.answered("train", self.deck(layers), "--dry-run", codes=(USAGE,))
                self.assertIn(words, result.errors()[0])
        self.assertIn("fewer channels", result.errors()[0])  # a smaller batch would not help
        for spatial in ("4294967296", "1000000000x1000000000", "65536x65536x65536"):
            self.answered("train", self.deck(), "--dry-run", f"--parallel.spatial={spatial}", codes=(USAGE,))
        result = self.answered("train", self.deck(), "--dry-run", "--data.batch=100000000", codes=(USAGE,))
        self.assertIn("reduce data.batch", result.errors()[0])
        self.answered("train", self.deck(), "--dry-run", "--model.input=1048576x1048576x1048576x28", codes=(USAGE,))

    def test_blocks_that_grow(self):
        def nested(depth, line):
            return "".join(f"[block b{i}]\n" + line(i) for i in range(depth))

        repeats = nested(6, lambda i: "layer = relu\n" if i == 0 else f"layer = b{i - 1} repeat=10000\n")
        doubled = nested(30, lambda i: "layer = scale factor=$x\n" if i == 0 else f"layer = b{i - 1} x=$x$x$x\n")
        deep = nested(100, lambda i: "layer = relu\n" if i == 0 else f"layer = b{i - 1}\n")
        many = nested(100_000, lambda i: "layer = relu\n")
        for blocks, use, words in ((repeats, "layer = b5", "more than 10000 layers"), (doubled, "layer = b29 x=1", "characters"), (deep, "layer = b99", "deep"),
                                   (many, "layer = b0", "more than 1000 blocks"), ("", f"layer = relu x={'a' * 10_000_000}", "characters")):
            with self.subTest(words=words):
                result = self.answered("train", self.deck(use, head=blocks), "--dry-run", codes=(USAGE,))
                self.assertIn(words, result.errors()[0])
        self.answered("train", "/dev/zero", "--dry-run", codes=(USAGE,))
        self.answered("train", self.deck(f"layer = {'a' * 1_000_000}"), "--dry-run", codes=(USAGE,))

    def test_tasks_without_end(self):
        for override in (f"--task.sweep=run.seed: {-2**63}..{2**63 - 1}", f"--task.sweep=run.seed: 0..{2**63 - 1}", "--task.table=/dev/zero",
                         "--task.sweep=run.seed: 1..99999, 1..99999; data.batch: 1..3"):
            with self.subTest(override=override):
                self.answered("train", self.deck(), "--dry-run", "--task.mode=independent", override, codes=(USAGE,))

    def test_tables_and_shards(self):
        table = self.folder / "lone.csv"
        table.write_text('1,2,"3\n' + "1,2,3\n" * 300_000)
        result = self.answered("shard", "csv", table, "--out", self.folder / "csv", codes=(DATA,))
        self.assertIn("a quoted field is not closed", result.errors()[0])
        for words in (["digits", "--shards", 10**9], ["digits", "--train", 2**62], ["digits", "--train", 5, "--shards", 10**6], ["csv", table, "--targets", 2**62]):
            self.answered("shard", *words, "--out", self.folder / "out", codes=(USAGE,))

    def test_a_cache_larger_than_the_machine(self):
        deck = self.deck()
        data = f"--data.train={self.make_digits('many', train=4000, test=10)}/train"  # 3 MB
        for ranks, memory, code in ((1, 4, 0), (2, 4, USAGE), (2, 9, 0)):
            result = program.run("train", deck, "--dry-run", data, "--data.cache=1000000", ranks=ranks, TRIREME_MACHINE_MEMORY=str(memory))
            self.assertEqual(result.code, code, result.text)
            if code != 0:
                self.assertIn("its cached rows", result.errors()[0])


if __name__ == "__main__":
    program.main()
