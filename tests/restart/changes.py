#!/usr/bin/env python3
"""What changed between two starts of a run is said; what would train on samples twice, or other things than the deck says, is refused."""

import shutil

from restart_test import MOMENTUM, RestartTest, program

SGD = MOMENTUM[:3]

TABLE = """
[data]
train = {data}/train
batch = 4
[model]
input = 2
layer = linear out=1
[loss]
kind = mse
[optimizer]
lr = 0.01
[train]
epochs = 100
steps = 10
"""


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
        self.assertIn("epoch 2 restarts in the new order", result.text)
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
        self.ok("train", self.deck, f"--run.output={folder.path}/", *SGD, "--train.steps=40")
        self.assertEqual(files(), before, "a slash behind the folder's name hides the run")
        other = self.make_digits("other", train=700, shards=2)
        for change in ("--optimizer.lr=0.5", "--run.seed=4", f"--data.test={other}/test", f"--data.train={other}/train", "--data.flip=x"):
            self.refused([*self.words("done", *SGD, "--train.steps=40"), change], "the run is finished", "train.epochs", "Hint")
        self.assertEqual(files(), before, "something was written")

    def test_files_of_equal_shapes_change_places(self):
        folder = self.begun("swapped", 30)
        self.refused([*self.words("swapped", *SGD), f"--data.train={self.swapped_digits()}/train"], "checksums differ", "middle of epoch 2")
        self.assertEqual(folder.events("end")[-1]["step"], 30)

    def swapped_digits(self):
        """The same files, the names of two of them exchanged."""
        whole, other = self.make_digits(), self.folder / "swapped_digits"
        shutil.copytree(whole, other)
        first, second = sorted((other / "train").glob("*.h5"))[:2]
        kept = first.with_suffix(".kept")
        first.rename(kept), second.rename(first), kept.rename(second)
        return other

    def test_state_that_the_checkpoint_lacks(self):
        cases = ((SGD[:2], ["--optimizer.momentum=0.9"], "optimizer.momentum: 0 -> 0.9"),
                 (["--optimizer.kind=rmsprop", "--optimizer.lr=0.001"], ["--optimizer.centered=true"], "optimizer.centered: false -> true"),
                 (SGD[:2], ["--train.ema=0.9"], "train.ema: 0 -> 0.9"),
                 (SGD[:2], ["--optimizer.kind=adam"], "optimizer.kind: sgd -> adam"),
                 (SGD[:2], ["--optimizer.kind=rmsprop", "--optimizer.momentum=0.5", "--optimizer.shard=true"], "optimizer.kind: sgd -> rmsprop"))
        for number, (before, after, said) in enumerate(cases):
            with self.subTest(said=said):
                key = said.split(":")[0]
                folder = program.RunFolder(self.folder / f"lacks{number}")
                self.ok(*self.words(folder.path.name, *before, "--train.steps=40"))
                kept = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "exit_code"}
                words = self.words(folder.path.name, *before, *after, "--train.steps=60")
                self.refused(words, "step-00000040.h5' has no", said, f"checkpoint.allow_changes = {key}", "Hint", ranks=2)
                self.assertEqual({path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "exit_code"}, kept)
                allowed = "--checkpoint.allow_changes=" + ("optimizer.kind,optimizer.momentum" if len(after) == 3 else key)
                result = self.ok(*words, allowed, "--train.steps=50", ranks=2)
                self.assertIn("it starts ", result.text)
                self.assertIn("changed since the checkpoint: " + said, result.text)
                # From now on the checkpoints have it.
                result = self.ok(*words, ranks=2)
                self.assertNotIn("it starts ", result.text)
                self.assertEqual(folder.events("end")[-1]["step"], 60)
        # After a rollback, too, the state that no checkpoint has begins anew.
        self.ok(*self.words("back", *SGD[:2], "--train.steps=40"))
        self.refused(self.words("back", *SGD[:2], "--optimizer.momentum=0.9", "--optimizer.lr=1e30", "--checkpoint.allow_changes=optimizer.momentum",
                                "--numerics.on_nonfinite=rollback", "--numerics.tries=2", "--checkpoint.every=0", "--train.steps=60"),
                     "after 2 rollbacks", code=5)

    def test_new_optimizer_state_is_that_of_a_new_run(self):
        # All rows are one batch and keep their order, so a gradient depends on the parameters alone. Rate 0 leaves these as they were.
        rows = self.table("rows")
        deck = self.write_deck(TABLE.format(data=rows).replace("batch = 4", "batch = 40\nshuffle = false"), "rows.ini")
        for new in (["--optimizer.kind=adam", "--optimizer.lr=0.01"], ["--optimizer.kind=lamb", "--optimizer.lr=0.01"],
                    ["--optimizer.momentum=0.9", "--optimizer.lr=1e-4"]):
            name = new[0].split("=")[-1]
            key = new[0][2:].split("=")[0]
            self.ok("train", deck, f"--run.output={self.folder / name}", *new, "--train.steps=10")
            changed = ["train", deck, f"--run.output={self.folder / name}-changed"]
            self.ok(*changed, "--optimizer.lr=0", "--train.steps=20")
            for steps in (23, 30):  # the checkpoint of step 23 knows where the state began
                self.ok(*changed, *new, f"--checkpoint.allow_changes={key}", f"--train.steps={steps}")
            self.assertEqual(program.RunFolder(f"{self.folder / name}-changed").digest(), program.RunFolder(self.folder / name).digest(), name)
        # The average starts as the parameters: with a decay of nearly 1 it stays there.
        average = ["train", deck, f"--run.output={self.folder / 'average'}", f"--data.test={rows}/train"]
        self.ok(*average, "--optimizer.lr=0", "--train.steps=20")
        folder = program.RunFolder(self.folder / "average")
        before = folder.events("end")[-1]["test"]["loss"]
        self.ok(*average, "--optimizer.lr=1e-4", "--train.ema=0.99999", "--checkpoint.allow_changes=train.ema", "--train.steps=40")
        self.assertAlmostEqual(folder.events("end")[-1]["test"]["loss"] / before, 1, delta=0.01)
        self.assertLess(folder.losses()[40], 0.9 * before)

    def table(self, name, factor=1, target=0.5, *words):
        file = self.folder / f"{name}.csv"
        file.write_text("\n".join(f"{(i * 7 % 13) * factor},{i % 5},{i * target}" for i in range(40)))
        self.ok("shard", "csv", file, "--test", 0, "--header", "no", "--out", self.folder / name, *words)
        return self.folder / name

    def test_a_test_loss_that_is_not_finite_at_the_end(self):
        good, bad = self.table("good"), self.table("bad", 1, 1e30)
        deck = self.write_deck(TABLE.format(data=good), "table.ini")
        folder = program.RunFolder(self.folder / "table_run")
        words = ["train", deck, f"--run.output={folder.path}", f"--data.test={bad}/train"]
        evaluated = program.run("evaluate", self.whole_table(deck), "--data", bad / "train")
        for ranks in (1, 2):
            self.refused(words, "test loss after the last step (10) is inf", "checkpoint and the records are complete", "Hint", code=5, ranks=ranks)
            self.assertEqual([path.name for path in folder.checkpoints()], ["step-00000010.h5"])
            self.assertEqual([(e["step"], e["test"]["loss"]) for e in folder.events("end")], [(10, None)])
            self.assertFalse((folder.path / "exit_code").exists())
        self.assertEqual(evaluated.code, 5, "as evaluate does")
        self.ok("evaluate", folder.path, "--data", good / "train")

    def whole_table(self, deck):
        self.ok("train", deck, f"--run.output={self.folder / 'whole_table'}")
        return self.folder / "whole_table"

    def test_tasks_whose_test_loss_is_not_finite(self):
        good, bad = self.table("good"), self.table("bad", 1, 1e30)
        deck = self.write_deck(TABLE.format(data=good), "table.ini")
        job = self.folder / "job"
        for mode in (["--task.mode=independent", "--task.sweep=run.seed: 1, 2"], ["--task.mode=average"],
                     ["--task.mode=tournament", f"--task.held_out={good}/train"]):
            shutil.rmtree(job, ignore_errors=True)
            for _ in range(2):
                result = program.run("train", deck, f"--run.output={job}", f"--data.test={bad}/train", *mode, ranks=2)
                self.assertEqual(result.code, 5, result.text)
                self.assertIn("task 001 failed (code 5): the test loss after the last step (10) is inf", result.out)
                self.assertEqual([path.name for path in program.RunFolder(job / "tasks" / "001").checkpoints()], ["step-00000010.h5"])
                if "independent" not in mode[0]:
                    self.assertEqual([path.name for path in program.RunFolder(job).checkpoints()], ["step-00000010.h5"])
        shutil.rmtree(job)
        result = program.run("train", deck, f"--run.output={job}", "--task.mode=tournament", f"--task.held_out={bad}/train", ranks=2)
        self.assertEqual(result.code, 5, result.text)
        self.assertIn("task.held_out is not finite for any task", result.text)
        self.assertEqual([path.name for path in program.RunFolder(job).checkpoints()], ["step-00000010.h5"])

    def test_a_table_standardized_anew(self):
        first, second = (self.table(name, factor, 0.5, "--standardize") for name, factor in (("first", 1), ("second", 3)))
        deck = self.write_deck(TABLE.format(data=first), "table.ini")
        words = ["train", deck, f"--run.output={self.folder / 'table_run'}"]
        self.ok(*words, "--train.steps=10")  # an epoch
        self.refused([*words, "--train.steps=20", f"--data.train={second}/train"], "standardized with other means", "checkpoint.allow_changes = data.train")
        self.ok(*words, "--train.steps=20", f"--data.train={second}/train", "--checkpoint.allow_changes=data.train")

    def test_sums_of_three_ranks_keep_their_buckets(self):
        self.ok(*self.words("three", *SGD, "--train.steps=30"), ranks=3)
        inspected = lambda: self.ok("inspect", program.RunFolder(self.folder / "three").checkpoints()[-1], "--json").json()  # noqa: E731
        first = inspected()
        self.assertEqual(first["reduce_ranks"], 3)
        self.ok(*self.words("three", *SGD, "--train.steps=45"), ranks=3)
        self.assertEqual(inspected()["reduce_bucket"], first["reduce_bucket"])


if __name__ == "__main__":
    program.main()
