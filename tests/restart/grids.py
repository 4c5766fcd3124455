#!/usr/bin/env python3
"""Checkpoints say nothing of the grid: a run that goes on under one plan after another ends as the run on one rank; and the plan tells the truth."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

DECK = decks.digits(["conv out=6 kernel=5 stride=2", "batch_norm sync=true", "relu", "conv out=5 kernel=4 padding=1", "max_pool kernel=2", "flatten",
                     "linear out=19", "tanh", "dropout p=0.2", "linear out=10"],
                    run={"output": "{output}", "seed": 5}, data={"batch": 31}, optimizer={"kind": "adam", "lr": 0.002, "clip_norm": 1},
                    train=decks.endless(40, evaluate_every=1000, precision="fp64", ema=0.9), parallel={"micro_batches": 1}, checkpoint={"every": 0})

FIELDS = decks.deck("4x8x8x8", ["conv out=6 kernel=3 padding=1", "tanh", "conv out=4 kernel=3 padding=1 tensor=column"], run={"output": "{output}"},
                    data={"train": "{data}/train", "test": "{data}/test", "batch": 10, "target": "features"}, loss={"kind": "mse"},
                    train={"epochs": 1000, "precision": "fp64", "evaluate_every": 1000}, parallel={"micro_batches": 1}, checkpoint={"every": 0})

GRIDS = [(2, "--parallel.tensor=2"), (4, "--parallel.spatial=2x2"), (3, "--parallel.pipeline=3"), (4, "--parallel.tensor=2", "--optimizer.shard=true"),
         (4, "--parallel.pipeline=2", "--parallel.spatial=1x2"), (1,), (3, "--parallel.spatial=3x1", "--optimizer.shard=true"), (2, "--parallel.data=2")]


class Grids(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.deck = self.write_deck(DECK.format(output=self.folder / "unused", data=self.make_digits(train=622)))

    def run_on(self, name, grid, *words):
        self.ok("train", self.deck, f"--run.output={self.folder / name}", *grid[1:], *words, ranks=grid[0], timeout=200)
        return program.RunFolder(self.folder / name)

    def test_a_run_that_changes_its_grid(self):
        one = self.run_on("one", (1,))
        for number, grid in enumerate(GRIDS):
            changing = self.run_on("changing", grid, f"--train.steps={5 * (number + 1)}")
        self.assertEqual(sorted(changing.losses()), sorted(one.losses()))
        for step, loss in one.losses().items():
            self.assertLess(abs(changing.losses()[step] - loss), 1e-9 * abs(loss), f"loss of step {step}")
        ends = [run.events("end")[-1] for run in (one, changing)]
        self.assertEqual(*[end["test"]["accuracy"] for end in ends])
        self.assertAlmostEqual(*[end["test"]["loss"] for end in ends], delta=1e-9)

    def test_outputs_that_lie_on_several_ranks(self):
        # The loss of shares of the classes, or of the values, and its evaluation are those of one rank.
        classes = DECK.replace("linear out=10", "linear out=10 tensor=column").replace("[train]", "[loss]\nlabel_smoothing = 0.1\n[train]")
        # Of fields of four channels, made again: channels and pixels of the output are cut.
        fields = self.folder / "fields"
        self.ok("shard", "fields", "--out", fields, "--train", 40, "--test", 20, "--shards", 2, "--size", 8)
        values = FIELDS.format(output=self.folder / "unused", data=fields)
        classes = classes.format(output=self.folder / "unused", data=self.make_digits(train=622))
        for name, deck, spatial in (("classes", classes, "2x1"), ("values", values, "2x1x2")):
            self.deck = self.write_deck(deck, f"{name}.ini")
            tests = []
            for grid in ((1,), (2, "--parallel.tensor=2"), (8 if name == "values" else 4, "--parallel.tensor=2", f"--parallel.spatial={spatial}"),
                         (4, "--parallel.tensor=2", "--parallel.data=2"), (6, "--parallel.tensor=3", "--parallel.pipeline=2")):
                tests.append(self.run_on("-".join([name, *grid[1:]]), grid, "--train.steps=6").events("end")[-1]["test"])
            for test in tests[1:]:
                self.assertEqual(test.get("accuracy"), tests[0].get("accuracy"))
                for key in ("loss", "mae", "r2"):
                    self.assertAlmostEqual(test.get(key, 0), tests[0].get(key, 0), delta=1e-9)

    def test_a_checkpoint_is_the_same_whatever_grid_loads_it(self):
        one = self.run_on("one", (1,), "--train.steps=7")
        for number, grid in enumerate(GRIDS):
            # Nothing is left to do: the run is loaded, evaluated and told of.
            there = self.run_on("one", grid, "--train.steps=7")
            self.assertEqual(there.events("end")[-1]["parameters_sha256"], one.digest(), f"on {grid}")
        self.assertEqual(len({event["test"]["accuracy"] for event in there.events("end")}), 1)

    def test_plans(self):
        for grid in GRIDS:
            plan = self.ok("plan", self.deck, "--ranks", grid[0], "--json", *grid[1:]).json()
            self.assertEqual(plan["ranks"], grid[0])
            self.assertEqual(len(plan["memory"]), grid[0] // plan["data"])
        whole = self.ok("plan", self.deck, "--ranks", 1, "--json").json()
        tensor = self.ok("plan", self.deck, "--ranks", 2, "--json", "--parallel.tensor=2").json()
        self.assertLess(tensor["most_memory"], whole["most_memory"])
        sharded = self.ok("plan", self.deck, "--ranks", 2, "--json", "--optimizer.shard=true").json()
        self.assertAlmostEqual(sharded["memory"][0]["state"], whole["memory"][0]["state"] / 2, delta=1)

    def test_a_run_uses_what_its_plan_says(self):
        # Memory that was allocated, and messages that were counted, axis by axis; a stage's wait is a share of a step.
        named = {"tensor": "channel all-reduces and all-gathers", "spatial": "halo exchanges and spatial all-reduces",
                 "pipeline": "activations and their gradients"}
        seen = set()
        whole = self.deck.read_text()
        cut = self.write_deck(whole.replace("linear out=10", "linear out=10 tensor=column"), "cut.ini")  # a loss of shares of the classes sends, too
        last = (4, "--parallel.pipeline=2", "--parallel.tensor=2", "--parallel.micro_batches=2")
        again = [(*grid, "--train.recompute=3") for grid in (GRIDS[1], last)]  # values of segments are computed again, and messages sent again
        for number, grid in enumerate([*GRIDS, last, *again, "cut", last]):
            if grid == "cut":
                self.deck = cut
                continue
            plan = self.ok("plan", self.deck, "--ranks", grid[0], "--json", "--data.batch=32", *grid[1:]).json()
            end = self.run_on(f"told-{number}", grid, "--data.batch=32", "--train.steps=4").events("end")[-1]
            for use in ("activations", "workspace", "messages"):
                planned, allocated = max(rank[use] for rank in plan["memory"]), end["memory"][use]["allocated"]
                self.assertEqual(end["memory"][use]["planned"], planned)
                self.assertLessEqual(abs(allocated - planned), 0.1 * planned, f"{use} on {grid}")
            lines = {line["what"]: line for line in end.get("communication", [])}
            step = end["phases"]["step"] / 4
            for axis, what in named.items():
                ranks = len(plan["memory"])
                for figure in ("messages", "bytes"):
                    planned = sum(rank.get("sent", {}).get(axis, {}).get(figure, 0) for rank in plan["memory"]) / ranks
                    self.assertAlmostEqual(lines.get(what, {}).get(figure, 0), planned, delta=0.001 * planned, msg=f"{figure} over {axis} on {grid}")
                if what in lines:
                    seen.add(axis)
            for line in lines.values():
                self.assertGreaterEqual(line["waited_s"], line["exposed_s"] * 0.999)
                self.assertLess(line["waited_s"], step)
            self.assertEqual("bubble" in end, plan["pipeline"] > 1)
            if "bubble" in end:
                self.assertEqual(end["bubble"]["theory"], plan["bubble"])
                self.assertEqual(len(end["bubble"]["by_stage"]), plan["pipeline"])
                self.assertTrue(all(0 < share < 1 for share in end["bubble"]["by_stage"]))
        self.assertEqual(seen, set(named))

    def test_what_does_not_fit_is_refused(self):
        for words, ranks, said in ((["--parallel.tensor=2"], 3, "the job has 3 rank(s), which is not a multiple"),
                                   (["--parallel.spatial=2x2x2"], 8, "Expected 2 numbers"),
                                   (["--parallel.pipeline=11"], 11, "more than the number of layers"), (["--parallel.data=3"], 2, "mpiexec -n 3"),
                                   (["--memory=0.0001"], 1, "does not fit")):
            failed = program.run("plan", self.deck, "--ranks", ranks, *words)
            self.assertEqual(failed.code, 2)
            self.assertIn(said, failed.err)


if __name__ == "__main__":
    program.main()
