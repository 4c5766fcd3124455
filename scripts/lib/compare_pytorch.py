"""Compares Trireme with PyTorch on this machine: same deck, data, threads and batch size, taking turns. Started by scripts/compare_pytorch.

Speed is the rate of training steps without start-up and without the first quarter of the steps. PyTorch has the whole data set in memory, and its fastest
variant (by median) counts. Memory is the largest resident set of the ranks' processes. This process imports neither torch nor numpy, because the ru_maxrss of
a child starts at the value of its parent.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from deck import Deck, DeckError, shape  # noqa: E402

DEFAULT_DECKS = ["inputs/mnist/mlp.ini", "inputs/mnist/cnn.ini", "inputs/cifar10/lenet.ini"]
MIB = 1024  # ru_maxrss counts KiB


class Failure(Exception):
    pass


def progress(text):
    print(text, file=sys.stderr, flush=True)


def run_together(commands, environments, timeout=7200):
    """Runs processes side by side; returns their outputs and the largest ru_maxrss (KiB) of any of them or of their children."""
    with tempfile.TemporaryDirectory() as folder:
        processes, files = [], []
        for number, (command, environment) in enumerate(zip(commands, environments)):
            out, err = open(f"{folder}/out{number}", "w+"), open(f"{folder}/err{number}", "w+")
            processes.append(subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=err))
            files.append((out, err))
        peak, failed, end = 0, None, time.monotonic() + timeout
        left = {process.pid: number for number, process in enumerate(processes)}
        while left:
            for pid in list(left):
                done, status, usage = os.wait4(pid, os.WNOHANG)
                if done:
                    number = left.pop(pid)
                    processes[number].returncode = os.waitstatus_to_exitcode(status)
                    peak = max(peak, usage.ru_maxrss)
                    if processes[number].returncode != 0 and failed is None:
                        failed = number
            if failed is not None or time.monotonic() > end:
                for pid in left:
                    processes[left[pid]].terminate()
            time.sleep(0.02)
        texts = []
        for out, err in files:
            out.seek(0), err.seek(0)
            texts.append((out.read(), err.read()))
            out.close(), err.close()
    if failed is not None:
        raise Failure(f"'{' '.join(map(str, commands[failed]))}' ended with {processes[failed].returncode}:\n{''.join(texts[failed])[-3000:]}")
    return [out for out, _ in texts], peak


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_torch(deck, variant, ranks, threads, overrides, options):
    command = [sys.executable, str(HERE / "torch_train.py"), deck, f"--threads={threads}", *options, *overrides]
    if "channels_last" in variant:
        command.append("--format=channels_last")
    if "compile" in variant:
        command.append("--compile")
    common = {"OMP_NUM_THREADS": str(threads)}
    for attempt in range(3):  # gloo sometimes aborts while it ends its threads
        if ranks > 1:
            common.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE=str(ranks), GLOO_SOCKET_IFNAME="lo")
        try:
            outputs, peak = run_together([command] * ranks, [{**common, "RANK": str(rank)} for rank in range(ranks)])
            return json.loads(outputs[0].strip().splitlines()[-1]), peak
        except Failure as failure:
            if ranks == 1 or attempt == 2:
                raise
            progress(f"{deck}: PyTorch failed, once more:\n{failure}")


def run_trireme(program, deck, ranks, threads, overrides):
    """Returns the run's events and its peak memory."""
    with tempfile.TemporaryDirectory(prefix="trireme-compare-") as folder:
        launch = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
        command = [*launch, program, "train", deck, f"--run.output={folder}/run", "--checkpoint.resume=never", *overrides]
        _, peak = run_together([command], [{"OMP_NUM_THREADS": str(threads)}])
        text = pathlib.Path(folder, "run", "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()], peak


def steady_rate(events, skip):
    """Samples per second after the first steps. Every step event covers the same number of steps, so the times add up."""
    rates = [e["samples_per_s"] for e in events if e["event"] == "step" and e["step"] > skip and e.get("samples_per_s", 0) > 0]
    if not rates:
        raise Failure("metrics.jsonl holds no samples_per_s after the first steps")
    return len(rates) / sum(1 / rate for rate in rates)


def variants_of(deck, compiled):
    variants = ["eager"]
    if len(shape(deck.text("model.input"))) in (3, 4) and any(layer.kind in ("conv", "conv_transpose") for layer in deck.layers):
        variants.append("channels_last")  # of 3-D samples channels_last_3d
    return variants + [f"{v}, compile" for v in variants if compiled]


def without_broken(variants, path, ranks, threads, overrides):
    """Removes the variants that torch.compile cannot run here, and prints a note."""
    working = []
    for variant in variants:
        if "compile" in variant:
            try:
                run_torch(path, variant, ranks, threads, overrides, ["--steps=3"])
            except Failure as failure:
                progress(f"{path}, {ranks} x {threads}: without '{variant}', as torch.compile does not work: {str(failure).strip().splitlines()[-1]}")
                continue
        working.append(variant)
    return working


def compare_speed(path, ranks, threads, arguments, overrides):
    deck = Deck.read(path, overrides)
    batch = deck.integer("data.batch", 32)
    probe, _ = run_torch(path, "eager", ranks, threads, overrides, ["--steps=30", "--skip=10"])
    log_every = max(2, min(1000, int(arguments.seconds * probe["samples_per_s"] / batch / 20)))
    steps, skip = 20 * log_every, 5 * log_every
    variants = without_broken(variants_of(deck, arguments.compile), path, ranks, threads, overrides)
    torch_rates, torch_peaks = {v: [] for v in variants}, {v: [] for v in variants}
    our_rates, our_peaks = [], []
    ours = [*overrides, f"--train.steps={steps}", "--train.epochs=100000", "--train.evaluate_every=0",
            f"--train.log_every={log_every}", "--checkpoint.every=0"]
    for number in range(arguments.runs):
        events, peak = run_trireme(arguments.trireme, path, ranks, threads, ours)
        our_rates.append(steady_rate(events, skip))
        our_peaks.append(peak)
        for variant in variants:
            result, peak = run_torch(path, variant, ranks, threads, overrides, [f"--steps={steps}", f"--skip={skip}"])
            torch_rates[variant].append(result["samples_per_s"])
            torch_peaks[variant].append(peak)
        progress(f"{path}, {ranks} x {threads}, round {number + 1}: Trireme {our_rates[-1]:.0f}, "
                 + ", ".join(f"{v} {torch_rates[v][-1]:.0f}" for v in variants) + " samples/s")
    best = max(variants, key=lambda v: statistics.median(torch_rates[v]))
    return {"deck": name_of(path, overrides), "ranks": ranks, "threads": threads, "batch": batch, "steps": steps, "ours": our_rates,
            "torch": torch_rates, "best": best, "our_peak": max(our_peaks), "torch_peak": max(torch_peaks[best])}


def compare_accuracy(path, ranks, threads, arguments, overrides):
    variant = variants_of(Deck.read(path, overrides), False)[-1]
    if arguments.epochs:
        overrides = [*overrides, f"--train.epochs={arguments.epochs}"]
    ours, torchs, metric = [], [], "accuracy"
    for seed in range(1, arguments.seeds + 1):
        seeded = [*overrides, f"--run.seed={seed}"]
        events, _ = run_trireme(arguments.trireme, path, ranks, threads, seeded)
        tests = [e["test"] for e in events if e["event"] == "epoch" and e.get("test")]
        if not tests:
            raise Failure(f"{path}: the run made no evaluation. Hint: set data.test and train.evaluate_every")
        result, _ = run_torch(path, variant, ranks, threads, seeded, ["--evaluate"])
        both = [name for name in tests[-1] if isinstance(tests[-1][name], (int, float)) and name in result["epochs"][-1]]
        metric = arguments.metric or ("accuracy" if "accuracy" in both else "loss")
        if metric not in both:
            raise Failure(f"{path}: there is no metric '{metric}'. Both programs compute {', '.join(both)}")
        ours.append(tests[-1][metric])
        torchs.append(result["epochs"][-1][metric])
        progress(f"{path}, seed {seed}: test {metric} Trireme {ours[-1]:.4f}, PyTorch {torchs[-1]:.4f}")
    return {"deck": name_of(path, overrides), "ranks": ranks, "threads": threads, "metric": metric, "ours": ours, "torch": torchs}


def name_of(path, overrides):
    changed = [item.lstrip("-") for item in overrides if not item.startswith(("--data.train=", "--data.test="))]
    return ", ".join(["/".join(pathlib.Path(path).with_suffix("").parts[-2:]), *changed])


def rate_cell(rates):
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def speed_tables(results):
    lines = ["| deck | batch | ranks x threads | Trireme, samples/s | PyTorch, samples/s | its best variant | ratio | memory, MiB | PyTorch's | ratio |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in results:
        best = r["torch"][r["best"]]
        lines.append(f"| {r['deck']} | {r['batch']} | {r['ranks']} x {r['threads']} | {rate_cell(r['ours'])} | {rate_cell(best)} | "
                     f"{r['best']}{', DDP' if r['ranks'] > 1 else ''} | **{statistics.median(r['ours']) / statistics.median(best):.2f}** | "
                     f"{r['our_peak'] / MIB:.0f} | {r['torch_peak'] / MIB:.0f} | {r['our_peak'] / r['torch_peak']:.2f} |")
    lines += ["", "All variants of PyTorch, median samples/s:", "", "| deck | ranks x threads | " + "variant: samples/s |", "| --- | --- | --- |"]
    for r in results:
        cells = ", ".join(f"{v}: {statistics.median(rates):,.0f}" for v, rates in r["torch"].items())
        lines.append(f"| {r['deck']} | {r['ranks']} x {r['threads']} | {cells} |")
    return lines


def accuracy_tables(results):
    lines = ["| deck | test metric | ranks x threads | seeds | Trireme, mean (least to greatest) | PyTorch | difference |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in results:
        percent = r["metric"] == "accuracy"

        def cell(values):
            one = (lambda v: f"{100 * v:.2f} %") if percent else (lambda v: f"{v:.5g}")
            return f"{one(statistics.mean(values))} ({one(min(values))} to {one(max(values))})"

        difference = statistics.mean(r["ours"]) - statistics.mean(r["torch"])
        text = f"{100 * difference:+.2f} points" if percent else f"{difference:+.3g}"
        lines.append(f"| {r['deck']} | {r['metric']} | {r['ranks']} x {r['threads']} | {len(r['ours'])} | {cell(r['ours'])} | "
                     f"{cell(r['torch'])} | {text} |")
    return lines


def processor():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def torch_version():
    return subprocess.run([sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True,
                          check=True).stdout.strip()


def report(arguments, speed, accuracy):
    command = "scripts/compare_pytorch " + " ".join(sys.argv[1:])
    lines = ["# Trireme and PyTorch on one machine", "",
             f"`{command.strip()}` on {datetime.date.today()}; {processor()}, {os.cpu_count()} cores; PyTorch {torch_version()}.", ""]
    if speed:
        lines += [f"Training samples per second of steady steps, median of {arguments.runs} runs that took turns (least to greatest); "
                  "memory is the largest resident set of a rank.", "", *speed_tables(speed), ""]
    if accuracy:
        lines += ["Test metric after training the deck to its end.", "", *accuracy_tables(accuracy), ""]
    return "\n".join(lines)


def arguments_of_command_line():
    parser = argparse.ArgumentParser(prog="scripts/compare_pytorch", description=__doc__,
                                     epilog="--section.key=value overrides a key, for both programs: behind a DECK of that deck alone, before the "
                                            "first of every deck. One deck may be given several times.")
    parser.add_argument("decks", nargs="*", metavar="DECK", help=f"default: {' '.join(DEFAULT_DECKS)}")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each program, taking turns (default 5)")
    parser.add_argument("--ranks", type=int, help="MPI ranks (default: 1 rank x 2 threads, then 2 ranks x 1 thread)")
    parser.add_argument("--threads", type=int, help="threads per rank")
    parser.add_argument("--seconds", type=float, default=6, help="length of one timed PyTorch run in seconds (default 6)")
    parser.add_argument("--compile", action="store_true", help="measure PyTorch with torch.compile too")
    parser.add_argument("--accuracy", action="store_true", help="train completely with several seeds and compare the metrics, instead of timing")
    parser.add_argument("--metric", help="with --accuracy: test metric to compare, as named in metrics.jsonl (default: accuracy, or the loss)")
    parser.add_argument("--seeds", type=int, default=3, help="with --accuracy: seeds 1 to N (default 3)")
    parser.add_argument("--epochs", type=int, help="with --accuracy: number of epochs (default: the deck's)")
    parser.add_argument("--trireme", default="build/release/trireme", help="the trireme program (default build/release/trireme)")
    parser.add_argument("--out", help="Markdown file for the table, which is also printed")
    common, decks, rest = [], [], []  # decks: each with its own overrides
    for item in sys.argv[1:]:
        if item.startswith("--") and "." in item.split("=")[0] and "=" in item:
            (decks[-1][1] if decks else common).append(item)
        elif item.endswith(".ini"):
            decks.append((item, []))
        else:
            rest.append(item)
    arguments = parser.parse_args(rest)
    if arguments.decks:
        parser.error(f"unknown argument '{arguments.decks[0]}'; a DECK ends in .ini")
    arguments.decks = [(deck, common + own) for deck, own in decks or [(deck, []) for deck in DEFAULT_DECKS]]
    return arguments


def main():
    arguments = arguments_of_command_line()
    arguments.trireme = shutil.which(arguments.trireme) or shutil.which(str(pathlib.Path(arguments.trireme).resolve()))
    if not arguments.trireme:
        raise Failure("the program is not built. Hint: run scripts/build, or use --trireme PATH")
    if arguments.ranks or arguments.threads or arguments.accuracy:
        shapes = [(arguments.ranks or 1, arguments.threads or max(1, (os.cpu_count() or 1) // (arguments.ranks or 1)))]
    else:
        shapes = [(1, 2), (2, 1)]
    compare = compare_accuracy if arguments.accuracy else compare_speed
    results = [compare(path, ranks, threads, arguments, overrides) for ranks, threads in shapes for path, overrides in arguments.decks]
    text = report(arguments, [] if arguments.accuracy else results, results if arguments.accuracy else [])
    print(text)
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)


if __name__ == "__main__":
    try:
        main()
    except (Failure, DeckError, OSError) as error:
        sys.exit(f"error: {error}")
