#!/usr/bin/env python3
"""What changed between two starts of a run is said; what would train on samples twice, or other things than the deck says, is refused."""

from decks import MOMENTUM, RestartTest, program

SGD = MOMENTUM[:3]


class Changes(RestartTest):
    def refused(self, words, *said, code=4, ranks=1):
        result = program.run(*words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for part in said:
            self.assertIn(part, result.errors()[0])

    def begun(self, name, steps, *words):
        """20 steps an epoch."""
        self.ok(*self.words(name, *SGD, *words, f"--train.steps={steps}"))
        return program.RunFolder(self.folder / name)

    def test_the_order_moves_within_an_epoch(self):
        resharded = self.make_digits("resharded", shards=4)
        folder = self.begun("run", 30)
        before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "exit_code"}
        for change in ("run.seed=4", "run.stream=1", "data.shuffle=false", "data.chunk=16", "data.window=128", "data.batch=30", "data.batch=60", "train.accumulate=2",
                       f"data.train={resharded}/train"):
            self.refused([*self.words("run", *SGD), f"--{change}"], "middle of epoch 2", "--train.steps=40", "restart_epoch", "Hint")
        after = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "exit_code"}
        self.assertEqual(after, before)
        # The same order, from memory or not.
        self.ok(*self.words("run", *SGD, "--data.cache=0", "--train.steps=60"), ranks=1)
        self.assert_same_run(folder, self.whole(*SGD, "--train.steps=60"))

    def test_the_epoch_begins_anew(self):
        folder = self.begun("anew", 30)
        result = self.ok(*self.words("anew", *SGD, "--data.batch=60", "--checkpoint.resume_order=restart_epoch", "--train.steps=0", "--train.epochs=4"))
        self.assertIn("changed since the checkpoint: data.batch: 31 -> 60", result.text)
        self.assertIn("epoch 2 begins anew", result.text)
        # One epoch of 20 steps, half a one, and three whole ones of 10.
        self.assertEqual(folder.events("end")[-1]["step"], 60)
        self.assertEqual([(e["epoch"], e["step"]) for e in folder.events("epoch")], [(1, 20), (2, 40), (3, 50), (4, 60)])
        self.assertEqual([e["step"] for e in folder.events("step")], list(range(1, 61)))
        # Stopped and started again, it has the same bits.
        self.begun("parts", 30)
        for steps in (33, 44, 57, 0):
            self.ok(*self.words("parts", *SGD, "--data.batch=60", "--checkpoint.resume_order=restart_epoch", f"--train.steps={steps}", "--train.epochs=4"))
        self.assertEqual(program.RunFolder(self.folder / "parts").digest(), folder.digest())
        self.assertEqual(program.RunFolder(self.folder / "parts").losses(), folder.losses())

    def test_at_the_end_of_an_epoch(self):
        folder = self.begun("boundary", 40)
        result = self.ok(*self.words("boundary", *SGD, "--data.batch=60", "--run.seed=9", "--train.steps=0", "--train.epochs=4"))
        for said in ("run.seed: 3 -> 9", "data.batch: 31 -> 60"):
            self.assertIn("changed since the checkpoint: " + said, result.text)
        self.assertEqual(folder.events("end")[-1]["step"], 60)
        self.assertEqual(folder.events("start")[-1]["changed"]["run.seed"], ["3", "9"])
        self.assertNotIn("warning", self.ok(*self.words("boundary", *SGD, "--data.batch=60", "--run.seed=9", "--train.steps=0", "--train.epochs=4")).text)

    def test_another_meaning(self):
        folder = self.begun("run", 40)
        tanh = self.write_deck(self.deck.read_text().replace("layer = relu", "layer = tanh"), "tanh.ini")
        words = ["train", tanh, *self.words("run", *SGD, "--train.steps=50")[2:]]
        self.refused(words, "layer 3, relu -> layer 3, tanh", "checkpoint.allow_changes = model.layer", ranks=2)
        self.refused([*self.words("run", *SGD), "--data.scale=1"], "data.scale: 1/255 -> 1")
        result = self.ok(*words, "--checkpoint.allow_changes=model.layer")
        self.assertIn("layer 3, relu -> layer 3, tanh", result.text)
        self.assertEqual(folder.events("end")[-1]["step"], 50)
        adam = ["--optimizer.kind=adam", "--optimizer.lr=0.001"]
        self.ok(*self.words("adam", *adam, "--train.steps=40"))
        self.refused([*self.words("adam", *adam), "--optimizer.kind=lamb"], "adam -> lamb")

    def test_a_schedule_whose_end_moves(self):
        self.ok(*self.words("longer", *SGD, "--train.steps=0", "--train.epochs=2", "--schedule.kind=cosine"))
        result = self.ok(*self.words("longer", *SGD, "--train.steps=0", "--train.epochs=4", "--schedule.kind=cosine"))
        self.assertIn("train.epochs: 2 -> 4", result.text)
        self.assertIn("cosine of 40 steps -> 80 steps; step 41 has 0.025 instead of 0", result.text)

    def test_a_finished_run(self):
        folder = self.begun("done", 40)
        files = lambda: {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.path.rglob("*") if p.is_file() and p.name != "exit_code"}  # noqa: E731
        before = files()
        result = self.ok(*self.words("done", *SGD, "--train.steps=40"), ranks=2)
        self.assertIn("nothing to do", result.text)
        self.assertIn(folder.digest(), result.text)
        other = self.make_digits("other", train=700, shards=2)
        for change in ("--optimizer.lr=0.5", "--run.seed=4", f"--data.test={other}/test", f"--data.train={other}/train", "--data.flip=x"):
            self.refused([*self.words("done", *SGD, "--train.steps=40"), change], "the run is finished", "train.epochs", "Hint")
        self.assertEqual(files(), before, "something was written")

    def test_sums_of_three_ranks_keep_their_buckets(self):
        self.ok(*self.words("three", *SGD, "--train.steps=30"), ranks=3)
        inspected = lambda: self.ok("inspect", program.RunFolder(self.folder / "three").checkpoints()[-1], "--json").json()  # noqa: E731
        first = inspected()
        self.assertEqual(first["reduce_ranks"], 3)
        self.ok(*self.words("three", *SGD, "--train.steps=45"), ranks=3)
        self.assertEqual(inspected()["reduce_bucket"], first["reduce_bucket"])


if __name__ == "__main__":
    program.main()
