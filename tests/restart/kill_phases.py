#!/usr/bin/env python3
"""Kills in every phase of a run (start, training, evaluation, checkpoint) and on every axis of the grid: the run that goes on has the bits of the run that
nobody killed. With virtual ranks each start has another number of ranks.

    TRIREME_TEST_KILLS=200 tests/restart/kill_phases.py     # the default is two kills in each phase, dealt out over the grids
"""

import collections
import itertools
import os
import random
import signal
import time

from restart_test import RestartTest, decks, program

SEED = int(os.environ.get("TRIREME_TEST_SEED", random.SystemRandom().randrange(10**6)))
KILLS = int(os.environ.get("TRIREME_TEST_KILLS", 24))
EPOCH, STEPS = 10, 60  # steps
PHASES = ["evaluation", "start", "checkpoint", "training", "evaluation", "checkpoint"]  # half of all kills: evaluation, start, checkpoint by turns, and more

DECK = decks.digits(["conv out=6 kernel=3 stride=2", "relu", "conv out=4 kernel=3 padding=1", "max_pool kernel=2", "flatten", "dropout p=0.2", "linear out=32",
                     "tanh", "linear out=10"],
                    run={"seed": 11}, data={"batch": 36, "test_batch": 12, "flip": "x"}, optimizer={"kind": "adam", "lr": 0.002},
                    train=decks.endless("{steps}", evaluate_every=1), checkpoint={"every": 7})

# name: numbers of ranks that starts draw from, overrides
GRIDS = {
    "data": ([2], ["--optimizer.clip_norm=1"]),
    "tensor": ([2], ["--parallel.tensor=2"]),
    "spatial": ([2], ["--parallel.spatial=2x1"]),
    "pipeline": ([2], ["--parallel.pipeline=2", "--parallel.micro_batches=3"]),
    "tensor x pipeline": ([4], ["--parallel.tensor=2", "--parallel.pipeline=2"]),
    "data x spatial": ([4], ["--parallel.spatial=1x2"]),
    "shard": ([2], ["--optimizer.shard=true"]),
    "shard on three": ([3], ["--optimizer.shard=true"]),
    "virtual ranks": ([1, 2, 3, 4], ["--data.virtual_ranks=4"]),
    "virtual ranks, from files": ([1, 2, 4], ["--data.virtual_ranks=4", "--data.cache=0", "--data.chunk=12", "--data.window=72"]),
    "synchronous checkpoints": ([2], ["--checkpoint.async=false", "--train.ema=0.9"]),
    "accumulate": ([2], ["--train.accumulate=2", "--optimizer.kind=lamb", "--optimizer.lr=0.01"]),
}


class KillPhases(RestartTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=36 * EPOCH - 5, test=1500, shards=3)
        self.deck = self.write_deck(DECK.format(data=self.data, steps=STEPS))
        self.counted = collections.Counter()

    def strike(self, job, folder, phase, draw):
        """Waits for a moment in `phase`, and kills. Counts the phase in which the job was, or "over" where it had ended."""
        checkpoints = folder.path / "checkpoints"
        writing = lambda: any(checkpoints.glob("*.partial*"))  # noqa: E731
        last = lambda: max(folder.losses(), default=0)  # noqa: E731
        at = last()
        if phase == "start":
            time.sleep(draw.uniform(0, 0.4))
        elif phase == "checkpoint":
            self.wait_for(job, writing)
            time.sleep(draw.uniform(0, 0.002))
        elif phase == "evaluation":
            self.wait_for(job, lambda: last() > at and folder.events()[-1]["event"] == "step" and last() % self.epoch == 0)
            time.sleep(draw.uniform(0, 0.03))
        else:
            target = at + draw.randint(1, STEPS // 4)
            self.wait_for(job, lambda: last() >= target)
        if not job.running():
            self.counted["over"] += 1
            return
        events = folder.events()
        job.signal_ranks(signal.SIGKILL)
        job.kill()
        found = phase if phase in ("start", "training") else "checkpoint" if writing() else "training"
        if events and events[-1]["event"] == "step" and events[-1]["step"] % self.epoch == 0:
            found = "evaluation"
        self.counted[found] += 1

    @staticmethod
    def wait_for(job, true):
        end = time.monotonic() + 60
        while job.running() and not true():
            assert time.monotonic() < end, "waited 60 s for a moment to kill:\n" + job.said()
            time.sleep(0.0005)

    def test_killed_in_every_phase_on_every_axis(self):
        draw = random.Random(SEED)
        phases = itertools.cycle(PHASES)
        for place, (name, (ranks, overrides)) in enumerate(GRIDS.items()):
            kills = KILLS // len(GRIDS) + (place < KILLS % len(GRIDS))
            self.epoch = EPOCH // 2 if "--train.accumulate=2" in overrides else EPOCH
            with self.subTest(grid=name, seed=SEED):
                expected = self.whole(*overrides, ranks=ranks[-1], name=f"whole-{place}")
                done, number = 0, 0
                while done < kills:
                    folder = program.RunFolder(self.folder / f"killed-{place}-{number}")
                    words = self.words(folder.path.name, *overrides)
                    number += 1
                    while done < kills and not folder.events("end"):
                        job = program.Job(words, draw.choice(ranks))
                        self.addCleanup(job.close)
                        self.strike(job, folder, next(phases), draw)
                        done += 1
                    self.ok(*words, ranks=draw.choice(ranks))
                    self.assert_same_run(folder, expected)
        print(f"kills: {dict(self.counted)}", flush=True)
        self.assertGreater(sum(self.counted.values()) - self.counted["over"], KILLS // 2, "most kills came too late")


if __name__ == "__main__":
    print(f"random moments: TRIREME_TEST_SEED={SEED}, {KILLS} kills: TRIREME_TEST_KILLS", flush=True)
    program.main()
