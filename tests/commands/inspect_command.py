#!/usr/bin/env python3
"""inspect says what is there, and finds what is broken."""

import random
import statistics
import subprocess

from trained import TrainedTest, program


class Inspect(TrainedTest):
    def inspect(self, code, path, *words, ranks=1):
        result = program.run("inspect", path, "--json", *words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        return result.json()

    def check_text(self, code, path, said, *words):
        result = program.run("inspect", path, *words)
        self.assertEqual(result.code, code, result.text)
        for text in said:
            self.assertIn(text, result.text)

    # Checkpoints

    def test_a_checkpoint_is_what_training_said(self):
        end = self.run.events("end")[-1]
        newest = self.run.checkpoints()[-1]
        found = self.inspect(0, newest)
        self.assertEqual((found["kind"], found["whole"], found["damaged"]), ("checkpoint", True, []))
        self.assertEqual([found[key] for key in ("step", "epoch", "parameters_sha256")], [end[key] for key in ("step", "epoch", "parameters_sha256")])
        self.assertEqual(found["seed"], 3)
        shapes = {array["name"]: array["shape"] for array in found["arrays"]}
        self.assertEqual(shapes["model/conv1.weight"], [4, 1, 3, 3])
        self.assertEqual(shapes["model/head.weight"], [10, 4 * 13 * 13])
        self.assertEqual(sorted(name for name in shapes if name.startswith("optimizer/momentum/")),
                         sorted("optimizer/momentum/" + name.split("/")[1] for name in shapes if name.startswith("model/")))
        self.assertEqual(found["parameters"], 4 * 9 + 4 + 10 * 4 * 169 + 10)
        self.assertEqual(found["bytes"], 2 * 4 * found["parameters"])
        self.assertIn("batch = 32", found["deck"])
        self.assertEqual(self.inspect(0, newest, ranks=3), found)

    def test_people_are_told_the_same(self):
        newest, digest = self.run.checkpoints()[-1], self.run.digest()
        self.check_text(0, newest, ["intact, all checksums match", "model/conv1.weight", "(4, 1, 3, 3)", digest, "[optimizer]"])
        self.check_text(0, newest, [digest], "--checksums")
        self.check_text(0, self.run_folder, [digest, newest.name, "accuracy"])

    def test_a_flipped_bit_is_found(self):
        """Anywhere in the file: what inspect calls whole is what was written."""
        folder = self.copy_of_run()
        file, digest = folder.checkpoints()[-1], self.run.digest()
        before, dice, found = file.read_bytes(), random.Random(5), 0
        for _ in range(40):
            at, bit = dice.choice((dice.randrange(4096), dice.randrange(len(before)))), 1 << dice.randrange(8)
            file.write_bytes(before[:at] + bytes([before[at] ^ bit]) + before[at + 1:])
            result = program.run("inspect", file, "--json")
            self.assertIn(result.code, (0, 4), f"byte {at}: {result.text}")
            whole = result.json()["whole"] if result.out else False
            self.assertEqual(whole, result.code == 0)
            if whole:
                self.assertEqual(result.json()["parameters_sha256"], digest, f"byte {at}")
            found += not whole
        self.assertGreater(found, 5)

    def test_damaged_arrays_are_named(self):
        file = self.copy_of_run().checkpoints()[-1]
        found, size = 0, file.stat().st_size
        for at in range(size - 60000, size - 1000, 7000):
            data = bytearray(self.run.checkpoints()[-1].read_bytes())
            data[at] ^= 4
            file.write_bytes(data)
            result = program.run("inspect", file, "--json")
            damaged = result.json()["damaged"]
            if result.code == 0:
                self.assertEqual(damaged, [])
                continue
            found += 1
            self.assertEqual(len(damaged), 1)
            self.assertEqual([array["name"] for array in result.json()["arrays"] if not array["whole"]], damaged)
            self.check_text(4, file, [damaged[0], "DAMAGED", "Hint"])
        self.assertGreater(found, 0)

    def test_what_is_no_checkpoint_any_more(self):
        file = self.copy_of_run().checkpoints()[-1]
        data = file.read_bytes()
        for broken in (data[:-1000], data[:3000], data[:40], b"", bytes(len(data)), b"not HDF5"):
            file.write_bytes(broken)
            found = self.inspect(4, file)
            self.assertFalse(found["whole"])
            self.assertIn(file.name, found["problem"])
            self.check_text(4, file, [file.name])

    # Run directories

    def test_a_run_falls_back_on_the_newest_whole(self):
        folder = self.copy_of_run()
        files = folder.checkpoints()
        self.assertEqual(len(files), 3)
        for damaged in range(4):
            found = self.inspect(0 if damaged < 3 else 4, folder.path, ranks=1 + damaged % 2)
            self.assertEqual([one["whole"] for one in found["checkpoints"]], [i >= damaged for i in range(3)])
            self.assertEqual(found["whole"], damaged < 3)
            if damaged < 3:
                usable = files[2 - damaged]
                self.assertEqual((found["checkpoint"], found["step"]), (str(usable), int(usable.stem.split("-")[1])))
                self.assertEqual(found["parameters_sha256"], self.inspect(0, usable)["parameters_sha256"])
                usable.write_bytes(usable.read_bytes()[:-100])
            self.assertEqual(found["last"]["end"], self.run.events("end")[-1])

    def test_a_run_without_a_checkpoint(self):
        folder = self.copy_of_run()
        for file in folder.checkpoints():
            file.unlink()
        self.assertEqual(self.inspect(0, folder.path)["checkpoints"], [])
        self.check_text(0, folder.path, ["no checkpoint yet"])

    # Data

    def test_a_data_set(self):
        found = self.inspect(0, self.data / "train", "--full", ranks=2)
        self.assertEqual((found["kind"], found["rows"], found["shards"], found["whole"], found["problems"]), ("data", 640, 3, True, []))
        self.assertEqual((found["rows_least"], found["rows_most"]), (213, 214))
        self.assertEqual((found["features"]["shape"], found["features"]["type"]), ([1, 28, 28], "uint8"))
        self.assertEqual(sum(found["labels"]["histogram"].values()), 640)
        self.assertEqual(set(found["labels"]["histogram"]), {str(c) for c in range(10)})
        self.assertEqual(found["features"]["count"], 640 * 784)
        one = self.inspect(0, self.data / "train", "--full")
        for which in ("features", "labels"):
            for key in ("min", "max", "mean", "std"):
                self.assertAlmostEqual(one[which].pop(key), found[which].pop(key), places=9)
        self.assertEqual(one, found)
        shard = sorted((self.data / "train").glob("*.h5"))[1]
        self.assertEqual(self.inspect(0, shard)["rows"], self.inspect(0, f"{self.data}/train/*1.h5")["rows"])
        self.check_text(0, self.data / "train", ["640 rows in 3 shard(s)", "different sizes", "value"])

    def test_statistics_of_each_channel(self):
        self.ok("shard", "fields", "--size", 4, "--channels", 3, "--train", 50, "--test", 0, "--shards", 7, "--out", self.folder / "fields")
        where, numbers = self.folder / "fields" / "train", []
        for shard in sorted(where.glob("*.h5")):
            dump = subprocess.run(["h5dump", "-d", "/x", "-y", "-w", "0", "-m", "%.9g", str(shard)], capture_output=True, text=True, check=True).stdout
            numbers += [float(word) for word in dump[dump.index("DATA {") + 6:dump.index("}", dump.index("DATA {"))].replace(",", " ").split()]
        self.assertEqual(len(numbers), 50 * 3 * 64)
        for ranks in (1, 3):
            found = self.inspect(0, where, "--statistics", "--data.scale=1/2", ranks=ranks)["statistics"]
            self.assertEqual(found["scale"], 0.5)
            for c in range(3):
                channel = [numbers[i] / 2 for i in range(len(numbers)) if i // 64 % 3 == c]
                self.assertAlmostEqual(found["mean"][c], statistics.fmean(channel), delta=1e-7)
                self.assertAlmostEqual(found["std"][c], statistics.pstdev(channel), delta=1e-7)
        self.assertEqual(len(self.inspect(0, where, "--statistics", "--model.input=12x4x4")["statistics"]["mean"]), 12)
        self.check_text(3, where, ["one row has shape (3, 4, 4, 4)", "--model.input"], "--statistics", "--model.input=5x4x4")
        self.check_text(2, self.run_folder, ["--statistics works on data only"], "--statistics")

    def test_statistics_are_lines_of_a_deck(self):
        text = self.ok("inspect", self.data / "train", "--statistics", "--data.scale=1/255").text
        found = self.inspect(0, self.data / "train", "--statistics", "--data.scale=1/255")["statistics"]
        lines = text[text.index("[data]"):]
        self.assertEqual(lines.strip(), f"[data]\nscale = 1/255\nmean = {found['mean'][0]:.6g}\nstd = {found['std'][0]:.6g}")
        deck = (self.run_folder / "deck.ini").read_text().replace("\nmean =\nstd =\n", "\n").replace("scale = 1/255\n", "")
        file = self.write_deck(deck.replace("[data]\n", lines))
        self.assertEqual(self.inspect(0, file)["kind"], "deck")

    def test_labels_of_another_name(self):
        self.assertNotIn("labels", self.inspect(0, self.data / "test", "--data.labels="))
        self.assertEqual(self.inspect(0, self.data / "test", "--data.features=/y", "--data.labels=/x")["labels"]["shape"], [1, 28, 28])
        self.assertIn("/z", self.inspect(3, self.data / "test", "--data.labels=/z")["problems"][0])
        self.check_text(3, self.data / "test", ["/z", "holds /x, /y"], "--data.features=/z")
        self.check_text(2, self.data / "test", ["--data.batch=3"], "--data.batch=3")

    def test_each_broken_shard_is_named(self):
        folder = self.folder / "shards"
        folder.mkdir()
        for shard in (self.data / "train").glob("*.h5"):
            (folder / shard.name).write_bytes(shard.read_bytes())
        first, second, third = sorted(folder.glob("*.h5"))
        first.write_bytes(first.read_bytes()[:-5000])
        second.write_bytes(b"")
        found = self.inspect(3, folder, ranks=2)
        self.assertFalse(found["whole"])
        self.assertEqual(found["shards"], 3)
        for problem, shard in zip(found["problems"], (first, second), strict=True):
            self.assertIn(shard.name, problem)
        self.check_text(3, folder, [first.name, second.name, "2 of its 3 shards"])

    def test_the_odd_one_out_is_named(self):
        folder = self.folder / "shards"
        folder.mkdir()
        for shard in (self.data / "train").glob("*.h5"):
            (folder / shard.name).write_bytes(shard.read_bytes())
        csv = self.folder / "table.csv"
        csv.write_text("".join(f"{i},{i * 2},{i % 3}\n" for i in range(20)))
        self.ok("shard", "csv", csv, "--out", self.folder / "csv", "--shards", 1, "--targets", 1)
        stranger = folder / "aaa.h5"  # the first by name
        stranger.write_bytes(next((self.folder / "csv" / "train").glob("*.h5")).read_bytes())
        problems = self.inspect(3, folder)["problems"]
        self.assertEqual(len(problems), 1)
        self.assertIn("aaa.h5", problems[0])
        self.assertIn("(28, 28)", problems[0])

    # Decks

    def test_a_deck(self):
        deck = self.run_folder / "deck.ini"
        found = self.inspect(0, deck)
        self.assertEqual((found["kind"], found["input"], found["output"]), ("deck", [1, 28, 28], [10]))
        self.assertEqual(found["parameters"], 4 * 9 + 4 + 10 * 4 * 169 + 10)
        self.assertEqual(found["multiply_adds"], 4 * 9 * 169 + 10 * 4 * 169)
        bytes_a_rank = found["bytes_a_rank"]
        self.assertEqual(bytes_a_rank.pop("total"), sum(bytes_a_rank.values()))
        self.assertEqual(self.inspect(0, deck, "--data.batch=7")["samples_a_rank"], 7)
        self.assertEqual(self.inspect(0, deck, "--data.batch=7", ranks=2)["samples_a_rank"], 4)
        self.check_text(0, deck, ["conv1", "multiply-adds", "memory per rank"])
        self.check_text(2, deck, ["data.batch"], "--data.batch=-1")
        self.check_text(2, self.write_deck("[model]\ninput = 3\nlayer = linaer out=2\n"), ["linaer", "linear"])

    def test_nothing_there(self):
        self.check_text(2, self.folder / "none", ["does not exist"])
        self.check_text(3, self.folder, ["found none"])
        self.assertEqual(program.run("inspect").code, 2)
        self.assertEqual(program.run("inspect", self.run_folder, self.data).code, 2)


if __name__ == "__main__":
    program.main()
