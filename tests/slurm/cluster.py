#!/usr/bin/env python3
"""A private Slurm on this machine: munged, slurmctld and some slurmd's that all play nodes, on loopback, for the calling user, root or not.

    tests/slurm/cluster.py up FOLDER [NODES]     then `. FOLDER/env.sh` and use srun, sbatch, squeue
    tests/slurm/cluster.py down FOLDER

Nothing outside of FOLDER is written. Packages: munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins (scripts/setup --slurm).
"""

import getpass
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sinfo", "squeue", "srun", "sbatch", "scontrol", "scancel")

# No cgroups, no accounting database; nodes may claim more cores and devices than there are. cred_expire is also how long a requeued job waits (default
# 120 s). Jobs of partition urgent push those of batch out, which get their signal first.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/run/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=pmi2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
ReturnToService=1
SlurmdTimeout=60
SlurmctldTimeout=30
MailProg=/bin/true
KillWait=5
KillOnBadExit=1
MinJobAge=3600
SlurmdParameters=config_overrides
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=64000 Gres=gpu:8 State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


class Unavailable(Exception):
    """This machine has no Slurm, or it does not start here; the reason is the message."""


def free_ports(count):
    for _ in range(50):
        first = random.randrange(20000, 60000 - count)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise Unavailable(f"no {count} free ports in a row")


class Cluster:
    def __init__(self, root, nodes=4, cpus=8):
        self.root, self.nodes, self.cpus = pathlib.Path(root).resolve(), nodes, cpus
        self.guard_ = None
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "PMI"))}
        self.env = dict(outside, SLURM_CONF=str(self.root / "etc" / "slurm.conf"), PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")

    def run(self, *words, check=True, timeout=60, env=None, cwd=None):
        """A command of Slurm's, or any other in its environment; its output."""
        done = subprocess.run([str(word) for word in words], env=dict(self.env, **(env or {})), cwd=cwd, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(str(word) for word in words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, guarded=True):
        """Until stop(), or, where `guarded`, until this process is gone. Throws Unavailable."""
        missing = [name for name in PROGRAMS if not shutil.which(name, path=self.env["PATH"])]
        if missing:
            raise Unavailable(f"no {', '.join(missing)} here. Hint: scripts/setup --slurm")
        if len(str(self.root)) > 60:
            raise Unavailable(f"{self.root} is too long for the names of Unix sockets")
        self.stop()  # what an earlier start left in this folder
        for folder in ("etc", "run", "state", "spool", "log", "gpus"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        for folder in ("etc", "run", "state", "spool", "log"):
            (self.root / folder).mkdir(parents=True)
        for folder in (self.root, self.root / "run"):
            folder.chmod(0o755)
        port = free_ports(self.nodes + 1)
        (self.root / "etc" / "slurm.conf").write_text(CONFIGURATION.format(
            root=self.root, host=socket.gethostname().split(".")[0], user=getpass.getuser(), port=port, first=port + 1, last=port + self.nodes,
            nodes=self.nodes, cpus=self.cpus))
        devices = self.root / "gpus"  # that nobody can compute on, but jobs can ask for
        devices.mkdir()
        for number in range(8):
            (devices / f"gpu{number}").symlink_to("/dev/null")
        (self.root / "etc" / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={devices}/gpu[0-7]\n")
        (self.root / "env.sh").write_text(f"export SLURM_CONF='{self.env['SLURM_CONF']}' PATH=\"$PATH:/usr/sbin:/sbin\"\n")
        key = self.root / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        # Whoever kills this process, the daemons go: CTest's time limit leaves no time to clean up.
        self.guard_ = subprocess.Popen([sys.executable, __file__, "guard", str(self.root), str(os.getpid())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True) if guarded else None
        try:
            self.start_daemons_(key)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            for log in sorted((self.root / "log").glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-5:], sep="\n", flush=True)
            self.stop()
            raise Unavailable(f"Slurm does not start: {str(error).strip().splitlines()[0]}") from None
        return self

    def start_daemons_(self, key):
        run = self.root / "run"
        # Daemons keep what they were given: a pipe of ours would never end.
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": self.env, "cwd": "/", "timeout": 30, "check": False}
        subprocess.run(["munged", f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid",
                        f"--log-file={self.root}/log/munged.log", f"--seed-file={run}/munged.seed", "--num-threads=4"], **quiet)
        self.run("munge", "-S", run / "munge.socket", "-n")
        subprocess.run(["slurmctld"], **quiet)
        for node in self.names():
            (self.root / "spool" / node).mkdir(exist_ok=True)
            subprocess.run(["slurmd", "-N", node], **quiet)
        self.wait_idle()
        self.run("srun", "-Q", "-N", self.nodes, "--ntasks-per-node=1", "--mpi=none", "true")
        self.wait_idle()

    def names(self):
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def wait_idle(self, timeout=60):
        end = time.monotonic() + timeout
        while True:
            states = self.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%T", check=False).split()
            if states == ["idle"] * self.nodes:
                return
            if time.monotonic() > end or "inval" in states:
                raise AssertionError(f"nodes are {states} after {timeout} s")
            time.sleep(0.1)

    def ours_(self, pid, program):
        """Whether a process is one of this cluster's: its program, and our configuration in its environment."""
        try:
            same = pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == program
            return same and f"SLURM_CONF={self.env['SLURM_CONF']}".encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def end_(self, pid, program):
        for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if not self.ours_(pid, program):
                return
            os.kill(pid, number)
            end = time.monotonic() + patience
            while self.ours_(pid, program) and time.monotonic() < end:
                time.sleep(0.05)

    def stop(self):
        """Ends its jobs and daemons, and no process of anybody else. May be called twice."""
        if not (self.root / "run").exists():
            return
        try:
            self.run("scancel", "--hurry", f"--user={getpass.getuser()}", check=False, timeout=10)
            end = time.monotonic() + 10
            while time.monotonic() < end and self.run("squeue", "-h", check=False, timeout=5).strip():
                time.sleep(0.1)
        except (OSError, subprocess.TimeoutExpired):
            pass
        for pattern in ("slurmctld.pid", "slurmd.*.pid", "munged.pid"):
            for file in sorted((self.root / "run").glob(pattern)):
                text = file.read_text().strip()
                if text.isdigit():
                    self.end_(int(text), pattern.split(".")[0])
        for entry in os.listdir("/proc"):  # a step outlives its slurmd
            if entry.isdigit() and self.ours_(int(entry), "slurmstepd"):
                self.end_(int(entry), "slurmstepd")
        if self.guard_:
            self.guard_.kill()
            self.guard_.wait()
            self.guard_ = None


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "guard":
        while os.path.isdir(f"/proc/{sys.argv[3]}"):
            time.sleep(1)
        Cluster(sys.argv[2]).stop()
        sys.exit()
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("up", "down"):
        sys.exit(__doc__)
    cluster = Cluster(sys.argv[2], nodes=int(sys.argv[3]) if len(sys.argv) == 4 else 4)
    if sys.argv[1] == "down":
        cluster.stop()
    else:
        try:
            cluster.start(guarded=False)
        except Unavailable as error:
            sys.exit(f"error: {error}")
        print(f"{cluster.nodes} nodes are idle. Use: . {cluster.root}/env.sh   Stop: tests/slurm/cluster.py down {cluster.root}")
