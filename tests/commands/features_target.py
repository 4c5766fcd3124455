#!/usr/bin/env python3
"""data.target = features: networks that give back their input, and ones that remove noise from it."""

from trained import decks, program, read_array

# The identity: its error is what the input differs from the target by.
IDENTITY = decks.digits(["conv kernel=1 out=1", "scale factor=0", "add from=input,scale1"], run={"output": "{folder}/identity"},
                        data={"batch": 50, "target": "features", "labels": "/there/is/no/such", "noise": 0.5}, loss={"kind": "mse"})

DENOISER = decks.digits(["conv out=8 kernel=5 padding=2", "relu", "max_pool name=half kernel=2", "conv_transpose out=8 kernel=2 stride=2",
                         "concat from=conv_transpose1,relu1", "conv out=1 kernel=5 padding=2"],
                        run={"output": "{folder}/denoiser", "seed": 4},
                        data={"batch": 31, "test_batch": 40, "target": "features", "noise": 0.5, "flip": "x", "crop": 2}, loss={"kind": "mse"},
                        optimizer={"kind": "adam", "lr": 0.005}, train={"epochs": 4, "log_every": 1})


class FeaturesTarget(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=622, test=151)

    def evaluated(self, run, *overrides, ranks=1):
        return self.ok("evaluate", run, "--json", *overrides, ranks=ranks).json()

    def test_the_target_has_no_noise(self):
        deck = self.write_deck(IDENTITY.format(folder=self.folder, data=self.data))
        self.ok("train", deck, ranks=2)
        run = program.RunFolder(self.folder / "identity")
        numbers = 151 * 784
        for loss in (run.events("epoch")[-1]["train"]["loss"], run.events("end")[-1]["test"]["loss"], self.evaluated(run.path, ranks=3)["loss"]):
            self.assertLess(abs(loss - 0.25), 5 * 0.25 * (2 / numbers) ** 0.5)
        self.assertEqual(self.evaluated(run.path, "--data.noise=0")["loss"], 0)

    def test_prediction_adds_no_noise(self):
        deck = self.write_deck(IDENTITY.format(folder=self.folder, data=self.data))
        self.ok("train", deck)
        file = self.folder / "predicted.h5"
        self.ok("predict", self.folder / "identity", "--out", file, ranks=2)
        pixels = [pixel for shard in sorted((self.data / "test").glob("*.h5")) for pixel in read_array(shard, "/x", "B")]
        predicted = read_array(file, "/output", "f")
        self.assertEqual(len(predicted), len(pixels))
        self.assertLess(max(abs(found - pixel / 255) for found, pixel in zip(predicted, pixels)), 1e-6)

    def test_any_number_of_ranks(self):
        deck = self.write_deck(DENOISER.format(folder=self.folder, data=self.data))
        losses = {}
        for ranks in (1, 2, 3):
            run = program.RunFolder(self.folder / f"ranks-{ranks}")
            self.ok("train", deck, f"--run.output={run.path}", ranks=ranks)
            losses[ranks] = run.losses()
            self.assertEqual(len(losses[ranks]), 4 * 21)
            for step, loss in losses[ranks].items():
                self.assertLess(abs(loss - losses[1][step]), 1e-4 * losses[1][step], f"step {step} on {ranks} ranks")
            ended = run.events("end")[-1]
            self.assertLess(ended["test"]["loss"], 0.25 / 3)  # most of the noise is gone
            self.assertEqual(self.ok("inspect", run.path, "--json").json()["parameters_sha256"], ended["parameters_sha256"])
            for others, batch in ((1, 151), (2, 7), (3, 40)):
                found = self.evaluated(run.path, f"--data.test_batch={batch}", ranks=others)
                self.assertEqual(found["samples"], 151)
                for metric in ("loss", "mae", "r2"):
                    self.assertAlmostEqual(found[metric], ended["test"][metric], delta=1e-6)
        self.assertNotAlmostEqual(self.evaluated(run.path, "--run.seed=5")["loss"], ended["test"]["loss"], delta=1e-6)  # other noise

    def test_what_does_not_go_together(self):
        text = IDENTITY.format(folder=self.folder, data=self.data)
        for old, new, *said in (("kind = mse", "kind = cross_entropy", "data.target = features", "cross_entropy", "Hint"),
                                ("layer = add from=input,scale1", "layer = flatten", "1x28x28", "784", "reshape shape=1x28x28"),
                                ("layer = add from=input,scale1", "layer = max_pool kernel=2", "1x28x28", "1x14x14"),
                                ("target = features", "target = feature", "data.target", "did you mean 'features'")):
            self.assertEqual(text.count(old), 1)
            deck = self.write_deck(text.replace(old, new))
            for words, ranks in ((["train", deck], 2), (["inspect", deck], 1)):
                result = program.run(*words, ranks=ranks)
                self.assertEqual(result.code, 2, result.text)
                self.assertEqual(len(result.errors()), 1, result.text)
                for part in said:
                    self.assertIn(part, result.text)


if __name__ == "__main__":
    program.main()
