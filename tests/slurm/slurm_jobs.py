#!/usr/bin/env python3
"""The scripts of jobs/ on a real Slurm of four nodes: whatever the queue does to a run, its end has the bits of the run that was left alone."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402
from cluster import Cluster, Unavailable  # noqa: E402

JOBS = program.ROOT / "jobs"
STEPS = 1500

DECK = decks.digits(["conv out=16 kernel=3 padding=1", "relu", "max_pool kernel=2", "flatten", "dropout p=0.2", "linear name=head out=10"], run={"seed": 3},
                    data={"batch": 40}, optimizer={"kind": "adam", "lr": 0.001},
                    train={"epochs": 1000, "steps": "{steps}", "log_every": 10, "evaluate_every": 20}, checkpoint={"every": 100})


class SlurmTest(program.ProgramTest):
    """One cluster for all tests of a class. A job's log is shown when a test fails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.common.chmod(0o711)  # munge wants its socket to be within everybody's reach
        cls.cluster = Cluster(cls.common / "slurm")
        try:
            cls.cluster.start()
        except Unavailable as error:
            super().tearDownClass()
            raise program.unittest.SkipTest(str(error)) from None
        cls.data = cls.make_digits(train=800, test=200)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.deck = self.write_deck(DECK.format(data=self.data, steps=STEPS))
        self.jobs = []
        self.failed_before = self.failed_()

    def failed_(self):
        result = getattr(self._outcome, "result", None)
        return len(result.failures) + len(result.errors) if result else 0

    def tearDown(self):
        if self.failed_() > self.failed_before:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}", flush=True)
        for job in self.jobs:
            self.cluster.run("scancel", job, check=False)

    def environment(self, **more):
        env = {"TRIREME": program.program(), "OMP_PROC_BIND": "false", "OMP_NUM_THREADS": "1", "RUN": self.folder / "run"}
        if os.environ.get("TRIREME_YIELD"):
            env["LD_PRELOAD"] = os.environ["TRIREME_YIELD"]
        return {key: str(value) for key, value in {**env, **more}.items()}

    def submit(self, *words, **env):
        """sbatch in the test's folder, two ranks on two nodes unless the words say otherwise; the job's id."""
        text = self.cluster.run("sbatch", "--parsable", "-N", 2, "--ntasks-per-node=1", "-t", 10, *words, env=self.environment(**env), cwd=self.folder)
        self.jobs.append(text.strip().split(";")[0])
        return self.jobs[-1]

    def about(self, job):
        """What scontrol says of a job, as a dictionary."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.cluster.run("scontrol", "show", "job", "-o", job)))

    def state(self, job):
        return self.about(job)["JobState"]

    def wait_for(self, job, *states, timeout=120):
        def there():
            state = self.state(job)
            if state in ("FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY") and state not in states:
                self.fail(f"job {job} is {state} instead of {' or '.join(states)}: {self.about(job)}")
            return state in states
        self.poll(f"job {job} to be {' or '.join(states)}", there, timeout)

    def poll(self, what, true, timeout=120):
        end = time.monotonic() + timeout
        while not true():
            if time.monotonic() > end:
                self.fail(f"waited {timeout} s for {what}")
            time.sleep(0.1)

    def reach(self, folder, step, timeout=120):
        self.poll(f"step {step} of {folder.path}", lambda: max(folder.losses(), default=0) >= step, timeout)

    def whole(self, *words):
        """The run that nothing interrupts, on as many ranks; made once for each choice of keys."""
        folder = program.RunFolder(self.common / ("whole-" + re.sub(r"\W", "", "".join(words))))
        if not folder.events("end"):
            self.ok("train", self.deck, f"--run.output={folder.path}", *words, ranks=2, timeout=300)
        return folder

    def assert_same(self, folder, expected, starts):
        """The bits of the run that was left alone, in the record and in the file, after so many starts, each from later than the one before."""
        self.assertEqual(folder.digest(), expected.digest())
        self.assertEqual(folder.losses(), expected.losses())
        if shutil.which("h5diff"):
            compared = subprocess.run(["h5diff", str(folder.checkpoints()[-1]), str(expected.checkpoints()[-1]), "/model", "/model"], capture_output=True, text=True)
            self.assertEqual((compared.returncode, compared.stdout), (0, ""), compared.stderr)
        begun = [event["step"] for event in folder.events("start")]
        self.assertEqual(len(begun), starts, begun)
        self.assertEqual(begun, sorted(set(begun)), "a start did not go on from where the one before stopped")
        self.assertEqual((folder.path / "exit_code").read_text(), "0\n")

    def log(self, job, name="trireme"):
        return (self.folder / f"slurm-{name}-{job}.log").read_text()


class Queue(SlurmTest):
    """What happens to a job while it runs."""

    def test_signal(self):
        job = self.submit(JOBS / "train.sbatch", self.deck)
        folder = program.RunFolder(self.folder / "run")
        self.reach(folder, 200)
        self.cluster.run("scancel", "--signal=USR1", job)
        self.wait_for(job, "COMPLETED")
        self.assertEqual(self.about(job)["Restarts"], "1")
        self.assertIn("stopped by signal", self.log(job))
        self.assert_same(folder, self.whole(), starts=2)

    def test_signal_to_the_script(self):
        job = self.submit(JOBS / "train.sbatch", self.deck)
        folder = program.RunFolder(self.folder / "run")
        self.reach(folder, 200)
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)
        self.wait_for(job, "COMPLETED")
        self.assertEqual(self.about(job)["Restarts"], "1")
        self.assert_same(folder, self.whole(), starts=2)

    def test_node_goes_down(self):
        job = self.submit(JOBS / "train.sbatch", self.deck)
        folder = program.RunFolder(self.folder / "run")
        self.reach(folder, 250)
        node = self.about(job)["BatchHost"]
        try:
            self.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
            self.wait_for(job, "COMPLETED")
        finally:
            self.cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
        self.assertEqual(self.about(job)["Restarts"], "1")
        self.assertNotEqual(self.about(job)["BatchHost"], node)
        self.assert_same(folder, self.whole(), starts=2)

    def test_urgent_job(self):
        job = self.submit(JOBS / "train.sbatch", self.deck)
        folder = program.RunFolder(self.folder / "run")
        self.reach(folder, 200)
        urgent = self.submit("-p", "urgent", "-N", 4, "--exclusive", "-o", "urgent.log", "--wrap", "sleep 1")
        self.wait_for(urgent, "COMPLETED")
        self.assertLess(max(folder.losses()), STEPS)
        self.wait_for(job, "COMPLETED")
        self.assert_same(folder, self.whole(), starts=2)

    def test_time_limit(self):
        # One minute, of which the deck wants all but some seconds for itself: several starts, each of which knows from Slurm when it must end.
        job = self.submit("-t", 1, "--signal=USR1@1", JOBS / "train.sbatch", self.deck, "--run.time_margin=56", f"--train.steps={2 * STEPS}")
        folder = program.RunFolder(self.folder / "run")
        self.wait_for(job, "COMPLETED", timeout=240)
        restarts = int(self.about(job)["Restarts"])
        self.assertGreaterEqual(restarts, 1)
        stops = [event["reason"] for event in folder.events("stop")]
        self.assertEqual(len(stops), restarts)
        for reason in stops:
            self.assertTrue(reason.startswith("the time limit"), reason)
        self.assert_same(folder, self.whole(f"--train.steps={2 * STEPS}"), starts=restarts + 1)


class Ends(SlurmTest):
    """What does not come back, and says why."""

    def test_cancelled(self):
        job = self.submit(JOBS / "train.sbatch", self.deck)
        self.reach(program.RunFolder(self.folder / "run"), 100)
        self.cluster.run("scancel", job)
        self.wait_for(job, "CANCELLED")
        time.sleep(8)  # a requeued job would be pending, then run
        self.assertEqual(self.state(job), "CANCELLED")

    def test_wrong_deck(self):
        job = self.submit(JOBS / "train.sbatch", self.deck, "--optimizer.lr=fast")
        self.wait_for(job, "FAILED")
        about = self.about(job)
        self.assertEqual((about["Restarts"], about["ExitCode"]), ("0", "2:0"))
        self.assertIn("optimizer.lr", self.log(job))

    def test_more_ranks_than_the_grid(self):
        job = self.submit(JOBS / "train.sbatch", self.deck, "--parallel.data=3")
        self.wait_for(job, "FAILED")
        self.assertEqual(self.about(job)["ExitCode"], "2:0")
        self.assertIn("parallel.data = 3, but the job has 2 rank(s)", self.log(job))

    def test_launcher_of_another_mpi(self):
        job = self.submit(JOBS / "train.sbatch", self.deck, TRIREME_MPI="none")
        self.wait_for(job, "FAILED")
        self.assertEqual(self.about(job)["ExitCode"], "2:0")
        told = [line for line in self.log(job).splitlines() if line.startswith("trireme: error")]
        self.assertEqual(len(told), 1, told)
        for words in ("srun started 2 tasks", "--mpi=pmi2", "Hint"):
            self.assertIn(words, told[0])
        self.assertFalse((self.folder / "run").exists())


class Many(SlurmTest):
    """Several jobs that belong together."""

    def test_chain(self):
        folder = program.RunFolder(self.folder / "run")
        links = self.cluster.run(JOBS / "chain.sh", 3, "-N", 2, "--ntasks-per-node=1", "-t", 10, JOBS / "train.sbatch", self.deck, env=self.environment(),
                                 cwd=self.folder).split()
        self.jobs += links
        self.assertEqual(len(links), 3)
        for link, step in zip(links[:2], (200, 500)):
            self.wait_for(link, "RUNNING", "COMPLETED")
            self.reach(folder, step)
            self.cluster.run("scancel", "--signal=USR1", link)
            self.wait_for(link, "COMPLETED")
        self.wait_for(links[2], "COMPLETED")
        self.assertEqual([self.about(link)["Restarts"] for link in links], ["0", "0", "0"])
        self.assert_same(folder, self.whole(), starts=3)

    def test_chain_ends_with_an_error(self):
        links = self.cluster.run(JOBS / "chain.sh", 2, "-N", 1, JOBS / "train.sbatch", self.deck, "--data.train=nowhere", env=self.environment(), cwd=self.folder).split()
        self.jobs += links
        self.wait_for(links[0], "FAILED")
        self.wait_for(links[1], "CANCELLED")

    def test_array(self):
        words = ["--train.steps=600"]
        array = self.submit("--array=1-3", JOBS / "ensemble.sbatch", self.deck, *words)
        stopped = program.RunFolder(self.folder / "run" / "000002")
        self.reach(stopped, 100)
        self.cluster.run("scancel", "--signal=USR1", f"{array}_2")
        for member in (1, 2, 3):
            self.wait_for(f"{array}_{member}", "COMPLETED")
            folder = program.RunFolder(self.folder / "run" / f"{member:06}")
            self.assert_same(folder, self.whole(*words, f"--run.seed={member}"), starts=2 if member == 2 else 1)

    def test_tasks_of_one_job(self):
        words = ["--train.steps=600"]
        job = self.submit("-N", 2, "--ntasks-per-node=2", JOBS / "ensemble.sbatch", self.deck, *words, MEMBERS=2)
        folders = [program.RunFolder(self.folder / "run" / "tasks" / f"{task:03}") for task in (0, 1)]
        for folder in folders:
            self.reach(folder, 100)
        self.cluster.run("scancel", "--signal=USR1", job)
        self.wait_for(job, "COMPLETED")
        self.assertEqual(self.about(job)["Restarts"], "1")
        for member, folder in enumerate(folders, start=1):
            self.assertEqual(folder.digest(), self.whole(*words, f"--run.seed={member}").digest())

    def test_scaling_studies(self):
        python = subprocess.run(["bash", "-c", f". '{program.ROOT}/scripts/lib/common.sh' && plot_python"], capture_output=True, text=True).stdout.strip()
        if not python:
            self.skipTest("no Python with numpy and matplotlib here")
        for mode in ("strong", "weak"):
            out = self.folder / mode
            words = [JOBS / f"{mode}_scaling.sh", self.deck, "--ranks", "1,2", "--repeats", 2, "--steps", 30, "--out", out, "--program", program.program(), "--wait",
                     "--poll", 0.2, "--sbatch", "-t 5"]
            said = self.cluster.run(*words, env=self.environment(), cwd=self.folder, timeout=200)
            self.assertIn("r2-t1: job", said)
            text = (out / "report.md").read_text()
            self.assertIn("all-reduce over 2 ranks", text)
            again = self.cluster.run(*words, env=self.environment(), cwd=self.folder, timeout=60)
            self.assertIn("4 of them are there already", again)
            self.assertNotIn(": job", again)

    def test_sites(self):
        # The site files as they are, on nodes that have the devices they ask for: binding, GPUs, environment.
        for site in sorted((JOBS / "sites").glob("*.env")):
            with self.subTest(site=site.name):
                devices = {"cpu-cluster": 0, "nvidia-cluster": 4, "cray-ex-amd": 8}[site.stem]
                job = self.cluster.run("bash", "-c", f". {site} && sbatch --parsable -N 1 --ntasks-per-node=2 -t 10 {JOBS}/train.sbatch {self.deck} --train.steps=20",
                                       env=self.environment(RUN=self.folder / site.stem), cwd=self.folder).strip()
                self.jobs.append(job)
                self.wait_for(job, "COMPLETED")
                self.assertEqual(program.RunFolder(self.folder / site.stem).events("start")[-1]["ranks"], 2)
                self.assertEqual("gpu" in self.about(job).get("TresPerNode", ""), devices > 0)


if __name__ == "__main__":
    program.main()
