#!/usr/bin/env python3
"""checkpoint.resume: what a start finds in its run directory decides where it goes on, and what does not fit is refused."""

import shutil

from restart_test import ACCUMULATE, ADAM, AUGMENT, AVERAGE, LAMB, LARS, MOMENTUM, NESTEROV, NORMALISED, RMSPROP, SHARD, STEPS, RestartTest, program

CONSTANT = [word for word in MOMENTUM if not word.startswith("--schedule")]


class Resume(RestartTest):
    def refused(self, words, code, *said, ranks=1):
        result = program.run(*words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for part in said:
            self.assertIn(part, result.errors()[0])

    def files(self, folder):
        """All but exit_code, which is the last process's that ended by itself, and which a refused start takes away."""
        return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "exit_code"}

    def test_steps_in_parts(self):
        # Stopped by the deck instead of a signal, even in the middle of an epoch.
        for steps in (1, 33, 40, STEPS):
            self.ok(*self.words("parts", *NESTEROV, f"--train.steps={steps}"), ranks=2)
        self.assert_same_run(program.RunFolder(self.folder / "parts"), self.whole(*NESTEROV, ranks=2))

    def test_other_optimizers_in_parts(self):
        for number, words in enumerate((RMSPROP, [*LARS, *AVERAGE], [*LAMB, *ACCUMULATE], [*CONSTANT, *AVERAGE, *ACCUMULATE],
                                          [*ADAM[:2], *AUGMENT])):
            ranks = 1 + number % 2
            for steps in (2, 33, STEPS):
                self.ok(*self.words(f"parts-{number}", *words, f"--train.steps={steps}"), ranks=ranks)
            whole = self.whole(*words, ranks=ranks, name=f"whole-{number}")
            self.assert_same_run(program.RunFolder(self.folder / f"parts-{number}"), whole)

    def test_sharded_state_in_parts(self):
        # Files have whole arrays: a run may change between sharded and whole state, and between numbers of ranks. Two ranks' sums have one order.
        for steps, words in ((21, SHARD), (33, []), (STEPS, SHARD)):
            self.ok(*self.words("parts", *ADAM[:2], *words, f"--train.steps={steps}"), ranks=2)
        self.assert_same_run(program.RunFolder(self.folder / "parts"), self.whole(*ADAM[:2], ranks=2))
        for steps in (21, STEPS):
            self.ok(*self.words("parts-3", *LAMB, *AVERAGE, *SHARD, "--optimizer.clip_norm=1", f"--train.steps={steps}"), ranks=3)
        self.assert_same_run(program.RunFolder(self.folder / "parts-3"),
                             self.whole(*LAMB, *AVERAGE, *SHARD, "--optimizer.clip_norm=1", ranks=3, name="whole-3"))
        for ranks, steps in ((3, 40), (1, 70), (4, 100)):
            self.ok(*self.words("mixed", *RMSPROP, *SHARD, f"--train.steps={steps}"), ranks=ranks)
        self.assert_close(program.RunFolder(self.folder / "mixed"), self.whole(*RMSPROP, "--train.steps=100", name="one"), 1e-3)

    def test_gradients_in_bf16_in_parts(self):
        # What rounding owes is in the checkpoints, and the run that goes on from one holds what the run that begins there does.
        for number, words in enumerate(([], SHARD)):
            for steps in (22, 44, STEPS):
                self.ok(*self.words(f"parts-{number}", *RMSPROP, "--parallel.reduce_dtype=bf16", "--parallel.bucket=0.03", *words, f"--train.steps={steps}"), ranks=2)
            self.assert_same_run(program.RunFolder(self.folder / f"parts-{number}"),
                                 self.whole(*RMSPROP, "--parallel.reduce_dtype=bf16", "--parallel.bucket=0.03", *words, ranks=2, name=f"whole-{number}"))

    def test_average_of_the_parameters(self):
        plain = self.whole(*ADAM, "--train.steps=60", name="plain")
        folder = self.whole(*ADAM, *AVERAGE, "--train.steps=60")
        self.assertEqual(folder.digest(), plain.digest(), "the average changed the training")
        self.assertEqual(folder.losses(), plain.losses())
        found = folder.events("end")[-1]["test"]
        self.assertNotEqual(found["loss"], plain.events("end")[-1]["test"]["loss"])
        for words, expected in (([], found), (["--train.ema=0"], plain.events("end")[-1]["test"])):
            evaluated = self.ok("evaluate", folder.path, "--json", *words, ranks=2).json()
            self.assertAlmostEqual(evaluated["loss"], expected["loss"], delta=1e-6)
            self.assertEqual(evaluated["accuracy"], expected["accuracy"])
        self.refused(["evaluate", plain.path, *AVERAGE], 4, "ema/hidden.weight", "Hint")
        self.refused(self.words("plain", *ADAM, *AVERAGE), 4, "train.ema: 0 -> 0.9", "Hint")

    def test_augmentation_is_for_training_alone(self):
        folder = self.whole(*ADAM, *AUGMENT, "--train.steps=40")
        self.assertNotEqual(folder.losses(), self.whole(*ADAM, "--train.steps=40", name="plain").losses())
        first = folder.events("end")[-1]["test"]
        evaluated = [self.ok("evaluate", folder.path, "--json", *words).json() for words in ([], ["--data.flip=", "--data.crop=0", "--data.noise=0"])]
        for metrics in evaluated:
            self.assertEqual(metrics["confusion"], evaluated[0]["confusion"])
            self.assertEqual(metrics["accuracy"], first["accuracy"])
            self.assertEqual(metrics["loss"], evaluated[0]["loss"])
        self.refused(self.words("no-axis", "--data.flip=z"), 2, "data.flip = z", "1x28x28", "x (the last axis), y")
    def test_running_moments_in_parts(self):
        # Shares of 16 and 15, and in the last batch of an epoch 6 and 5. The digest tells running moments too.
        for sync in ("", " sync=true"):
            self.deck = self.write_deck(NORMALISED.format(data=self.make_digits(), steps=STEPS, sync=sync))
            parts = f"parts{sync[1:]}"
            for steps in (1, 33, 40, STEPS):
                self.ok(*self.words(parts, *NESTEROV, f"--train.steps={steps}"), ranks=2)
            self.assert_same_run(program.RunFolder(self.folder / parts), self.whole(*NESTEROV, ranks=2, name=f"whole{sync[1:]}"))

    def test_more_epochs(self):
        # Where the schedule does not look at the length of the run, a run that was made longer is one that always was.
        for epochs in (2, 5):
            self.ok(*self.words("longer", *CONSTANT, "--train.steps=0", f"--train.epochs={epochs}"))
        self.assert_same_run(program.RunFolder(self.folder / "longer"), self.whole(*CONSTANT, "--train.steps=0", "--train.epochs=5"))

    def test_nothing_left_to_do(self):
        folder = self.whole(*ADAM)
        before = self.files(folder)
        result = self.ok(*self.words("whole", *ADAM), ranks=2)
        self.assertIn("nothing to do", result.text)
        self.assertIn(folder.digest(), result.text)
        self.assertIn(f"accuracy {100 * folder.events('end')[-1]['test']['accuracy']:.2f} %", result.text)
        self.assertEqual(self.files(folder), before, "a run that trains nothing wrote something")

    def test_never(self):
        words = self.words("once", *ADAM, "--train.steps=5", "--checkpoint.resume=never")
        self.ok(*words)
        folder = program.RunFolder(self.folder / "once")
        before = self.files(folder)
        for ranks in (1, 2):
            self.refused(words, 4, "checkpoint.resume = never", str(folder.path), "Hint", ranks=ranks)
        self.assertEqual(self.files(folder), before)
        shutil.rmtree(folder.path / "checkpoints")  # a folder without checkpoints is not occupied
        self.ok(*words)

    def test_from_another_run(self):
        first = self.whole(*CONSTANT, "--train.steps=45", name="first")
        before = self.files(first)
        expected = self.whole(*CONSTANT)
        for number, origin in enumerate((first.path, first.checkpoints()[-1])):
            name = f"second-{number}"
            self.ok(*self.words(name, *CONSTANT, f"--checkpoint.resume={origin}"))
            second = program.RunFolder(self.folder / name)
            self.assertEqual(second.digest(), expected.digest())
            self.assertEqual(sorted(second.losses()), list(range(46, STEPS + 1)))
            self.assertEqual(second.losses(), {s: loss for s, loss in expected.losses().items() if s > 45})
        self.assertEqual(self.files(first), before, "the run that lent its checkpoint was changed")

    def test_from_another_run_and_stopped(self):
        # The same command again goes on where the run stands, not where it once began.
        first = self.whole(*CONSTANT, "--train.steps=45", name="first")
        words = self.words("second", *CONSTANT, f"--checkpoint.resume={first.path}")
        self.ok(*words, "--train.steps=70")
        self.ok(*words)
        second = program.RunFolder(self.folder / "second")
        self.assertEqual([e["step"] for e in second.events("start")], [45, 70])
        self.assertEqual(second.digest(), self.whole(*CONSTANT).digest())

    def test_back_to_an_older_one_of_its_own(self):
        self.ok(*self.words("back", *CONSTANT, "--checkpoint.keep=10", "--train.steps=60"))
        folder = program.RunFolder(self.folder / "back")
        older = folder.checkpoints()[1]
        self.assertEqual(older.name, "step-00000022.h5")
        # It goes back: what came after is not of its past any more, in the record and among the checkpoints.
        self.ok(*self.words("back", *CONSTANT, f"--checkpoint.resume={older}", "--checkpoint.keep=10", "--train.steps=30"))
        self.assertEqual([path.name for path in folder.checkpoints()], [f"step-{s:08}.h5" for s in (11, 22, 30)])
        self.assertEqual(sorted(folder.losses()), list(range(1, 31)))
        self.ok(*self.words("back", *CONSTANT))
        self.assert_same_run(folder, self.whole(*CONSTANT))

    def test_what_does_not_fit(self):
        folder = self.whole(*CONSTANT, "--train.steps=30", name="fits")
        before = self.files(folder)
        words = self.words("fits", *CONSTANT)
        more = self.make_digits("more", train=700, shards=2)
        wider = self.write_deck(self.deck.read_text().replace("out=24", "out=25"), "wider.ini")
        renamed = self.write_deck(self.deck.read_text().replace("name=head", "name=top"), "renamed.ini")
        self.refused([*words, "--data.batch=60"], 4, "an epoch has 20 steps in the checkpoint and 10 in this run", "data.batch: 31 -> 60", "Hint")
        self.refused([*words, "--train.accumulate=3"], 4, "an epoch has 20 steps in the checkpoint and 7 in this run", "train.accumulate: 1 -> 3", "Hint")
        self.refused([*words, f"--data.train={more}/train"], 4, "an epoch has 20 steps in the checkpoint and 23 in this run", "600 -> 700")
        self.refused(["train", wider, *words[2:]], 4, "model/hidden.weight", "(24, 784)", "(25, 784)")
        self.refused(["train", renamed, *words[2:]], 4, "model/top.weight", "Hint", ranks=2)
        self.refused(self.words("fits", *ADAM), 4, "optimizer state (first_moment", "Hint")
        self.refused(self.words("new", *CONSTANT, f"--checkpoint.resume={self.folder}/nowhere"), 4, "nowhere", "Hint")
        self.refused(self.words("new", *CONSTANT, f"--checkpoint.resume={self.deck}"), 4, str(self.deck))
        self.assertEqual(self.files(folder), before, "a refused start changed the run directory")
        self.assertFalse((self.folder / "new").exists())

    def test_moved_run_directory(self):
        self.ok(*self.words("here", *ADAM, "--train.steps=40"))
        (self.folder / "here").rename(self.folder / "there")
        self.ok(*self.words("there", *ADAM))
        there = program.RunFolder(self.folder / "there")
        self.assertEqual([e["step"] for e in there.events("start")], [0, 40])
        self.assertEqual(there.checkpoints()[-1].name, f"step-{STEPS:08}.h5")

    def test_resolved_deck_is_the_deck(self):
        # deck.ini in the run directory, and the deck in the checkpoint, run as the deck did.
        first = self.whole(*NESTEROV, name="first")
        self.ok("train", first.path / "deck.ini", f"--run.output={self.folder / 'again'}")
        self.assert_same_run(program.RunFolder(self.folder / "again"), first)


if __name__ == "__main__":
    program.main()
