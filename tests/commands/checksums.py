#!/usr/bin/env python3
"""Values of shards that changed on the disk are noticed: by inspect --full and data.verify = first_epoch anywhere, by reading where chunks have checksums."""

import with_h5py  # noqa: F401  (first)

import json
import random

import h5py
import numpy

import decks
import program

DECK = decks.deck("1x28x28", ["flatten", "linear out=10"], run={"name": "checksums", "output": "{run}"}, data={"train": "{train}", "batch": 20, "cache": 0},
                  loss={"kind": "cross_entropy"}, optimizer={"kind": "sgd", "lr": 0.0001}, train={"epochs": 1})

LAYOUTS = {"chunked": [], "compressed": ["--gzip", "4"], "contiguous": ["--contiguous"]}


class Checksums(program.ProgramTest):
    def shards(self, layout):
        out = self.folder / layout
        self.ok("shard", "digits", "--out", out, "--train", 200, "--test", 1, "--shards", 2, *LAYOUTS[layout])
        return out / "train"

    def train(self, data, verify):
        run = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        deck = self.folder / "deck.ini"
        deck.write_text(DECK.format(run=run, train=data))
        return program.run("train", deck, f"--data.verify={verify}")

    @staticmethod
    def value_bytes(shard):
        """Where in the file the stored values lie."""
        places = []
        with h5py.File(shard, "r") as file:
            for name in ("x", "y"):
                data = file[name].id
                if file[name].chunks is None:
                    places.append((data.get_offset(), data.get_storage_size()))
                else:
                    for i in range(data.get_num_chunks()):
                        info = data.get_chunk_info(i)
                        places.append((info.byte_offset, info.size))
        return [place for first, size in places for place in range(first, first + size)]

    def flips(self, layout, tries, check):
        data = self.shards(layout)
        shard = sorted(data.glob("*.h5"))[1]
        whole, draws = shard.read_bytes(), random.Random(5)
        places = self.value_bytes(shard)
        for _ in range(tries):
            changed, at = bytearray(whole), draws.choice(places)
            changed[at] ^= draws.randrange(1, 256)
            shard.write_bytes(changed)
            with self.subTest(layout=layout, byte=at):
                check(data, shard)
        shard.write_bytes(whole)
        return data

    def refused(self, result, shard):
        self.assertEqual(result.code, 3, result.text)
        self.assertIn(str(shard), result.text)
        self.assertIn("Hint", result.text)

    def test_inspect_notices_any_changed_byte(self):
        for layout in LAYOUTS:
            data = self.flips(layout, 15, lambda data, shard: self.refused(program.run("inspect", data, "--full"), shard))
            whole = json.loads(self.ok("inspect", data, "--full", "--json").text)
            self.assertEqual((whole["whole"], whole["shards_with_checksums"]), (True, 2))

    def test_training_notices_any_changed_byte(self):
        for layout, verify in (("chunked", "open"), ("compressed", "open"), ("contiguous", "first_epoch")):
            self.flips(layout, 3, lambda data, shard, verify=verify: self.refused(self.train(data, verify), shard))

    def test_never_reads_on(self):
        data = self.shards("chunked")
        shard = sorted(data.glob("*.h5"))[0]
        changed = bytearray(shard.read_bytes())
        changed[self.value_bytes(shard)[100]] ^= 1
        shard.write_bytes(changed)
        self.refused(self.train(data, "open"), shard)
        self.assertEqual(self.train(data, "never").code, 0)

    def test_shards_without_checksums_are_read_and_said(self):
        folder = self.folder / "foreign"
        folder.mkdir()
        for i in range(2):
            with h5py.File(folder / f"{i}.h5", "w") as file:
                file["x"] = numpy.zeros((40, 1, 28, 28), "u1")
                file["y"] = numpy.zeros(40, "i8")
        for verify in ("open", "first_epoch"):
            result = self.train(folder, verify)
            self.assertEqual(result.code, 0, result.text)
            self.assertEqual(result.text.count("no checksums"), 1, result.text)
        self.assertIn("no checksums", self.ok("inspect", folder, "--full").text)

    def test_the_checksum_is_the_same_however_many_ranks_write(self):
        sums = []
        for ranks in (1, 2):
            out = self.folder / f"ranks-{ranks}"
            self.ok("shard", "digits", "--out", out, "--train", 100, "--test", 10, "--shards", 3, ranks=ranks)
            sums.append([h5py.File(shard, "r")[name].attrs["trireme_checksum"] for shard in sorted((out / "train").glob("*.h5")) for name in ("x", "y")])
        self.assertEqual(sums[0], sums[1])
        self.assertEqual(len(set(sums[0])), 6)


if __name__ == "__main__":
    program.main()
