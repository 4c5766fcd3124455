"""Draws loss, learning rate and test metrics of runs, from metrics.jsonl; of a job of tasks the curves of all, and their results by what they change, from
tasks.json. Started by scripts/plot."""
import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

# Names of [test] metrics and how their axis is labelled; fractions are drawn in percent.
METRICS = {"accuracy": ("test accuracy (%)", 100), "top5": ("test top-5 accuracy (%)", 100), "precision": ("test precision", 1),
           "recall": ("test recall", 1), "f1": ("test F1", 1), "mae": ("test mean absolute error", 1), "r2": ("test R²", 1)}
COLOURS = ["#1f6fb4", "#d1495b", "#2e8b57", "#e08e0b", "#6f4fa1", "#3b9aa8", "#8c564b", "#555555"]


def finite(value):
    return isinstance(value, (int, float)) and value == value and abs(value) != float("inf")


class Run:
    """A run's events. A restart writes some steps again: the later line counts."""

    def __init__(self, where):
        path = pathlib.Path(where)
        path = path / "metrics.jsonl" if path.is_dir() else path
        if not path.is_file():
            raise SystemExit(f"error: no metrics.jsonl at '{where}'. Hint: give the run directory that trireme train wrote")
        self.name = path.parent.resolve().name
        self.steps, self.epochs = {}, {}
        for line in path.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line of a killed run may be cut
            if not isinstance(event, dict):
                continue
            if event.get("event") == "start":
                self.name = event.get("name") or event.get("run") or self.name
            elif event.get("event") == "step" and finite(event.get("step")):
                self.steps[event["step"]] = event
            elif event.get("event") == "epoch" and finite(event.get("epoch")):
                self.epochs[event["epoch"]] = event

    def of_steps(self, key):
        return curve(self.steps, lambda event: event.get(key))

    def of_epochs(self, part, key):
        return curve(self.epochs, lambda event: (event.get(part) or {}).get(key))

    def epoch_positions(self, epochs):
        """Where epochs end on the axis of steps; empty when the events do not say."""
        steps = [self.epochs[e].get("step") for e in epochs]
        return np.array(steps) if all(finite(s) for s in steps) else np.array([])


def curve(events, value_of):
    pairs = [(at, value_of(event)) for at, event in sorted(events.items())]
    pairs = [(at, value) for at, value in pairs if finite(value)]
    return np.array([at for at, _ in pairs], float), np.array([value for _, value in pairs], float)


def smoothed(values, width):
    """Running mean; its window shrinks at both ends, so the curve is as long as the data and starts where they do."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    half = np.minimum(width // 2, np.minimum(i, len(values) - 1 - i))
    return (sums[i + half + 1] - sums[i - half]) / (2 * half + 1)


def draw_loss(axis, runs):
    positive, low, high = True, np.inf, 0
    for run, colour in runs:
        steps, loss = run.of_steps("loss")
        if len(loss):
            axis.plot(steps, loss, color=colour, alpha=0.25, linewidth=0.9)
            width = max(5, len(loss) // 20)
            axis.plot(steps, smoothed(loss, width), color=colour, linewidth=1.8, label=f"{run.name}: training")
            positive = positive and loss.min() > 0
            low, high = min(low, loss.min()), max(high, loss.max())
        epochs, test = run.of_epochs("test", "loss")
        positions = run.epoch_positions(epochs)
        if len(positions):
            axis.plot(positions, test, color=colour, linewidth=1.2, linestyle="--", marker="o", markersize=4,
                      markerfacecolor="white", label=f"{run.name}: test")
            low, high = min(low, test.min()), max(high, test.max())
    if positive and high > 20 * low > 0:
        axis.set_yscale("log")
    axis.set(title="Loss", xlabel="step", ylabel="loss")


def draw_rate(axis, runs):
    for run, colour in runs:
        steps, rate = run.of_steps("lr")
        axis.plot(steps, rate, color=colour, linewidth=1.8, label=run.name)
    axis.set(title="Learning rate", xlabel="step", ylabel="learning rate")
    axis.set_ylim(bottom=0)


def draw_metric(axis, runs, key, notes=True):
    label, factor = METRICS[key]
    for run, colour in runs:
        epochs, values = run.of_epochs("test", key)
        if not len(values):
            continue
        axis.plot(epochs, factor * values, color=colour, linewidth=1.8, marker="o", markersize=5, markerfacecolor="white", label=run.name)
        if not notes:
            continue
        axis.annotate(f"{factor * values[-1]:.2f}" if factor > 1 else f"{values[-1]:.4g}", (epochs[-1], factor * values[-1]),
                      textcoords="offset points", xytext=(0, 7), ha="center", color=colour, fontsize=9)
    axis.set(title=label[0].upper() + label[1:], xlabel="epoch", ylabel=label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.margins(y=0.15)
    if np.ptp(axis.get_xlim()) < 1:  # one epoch
        axis.set_xlim(np.mean(axis.get_xlim()) - 1, np.mean(axis.get_xlim()) + 1)


def draw_speed(axis, runs):
    for run, colour in runs:
        steps, rate = run.of_steps("samples_per_s")
        axis.plot(steps, rate, color=colour, linewidth=1.4, label=run.name)
    axis.set(title="Speed", xlabel="step", ylabel="samples/s")
    axis.set_ylim(bottom=0)


def style():
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.spines.top": False,
                         "axes.spines.right": False, "axes.edgecolor": "#888888", "legend.frameon": False, "legend.fontsize": 9})


def draw(runs, out):
    panels = [draw_loss]
    # Accuracy, else the first metric that any run has.
    present = [key for key in METRICS if any(len(run.of_epochs("test", key)[0]) for run, _ in runs)]
    if present:
        panels.append(lambda axis, some: draw_metric(axis, some, "accuracy" if "accuracy" in present else present[-1]))
    panels += [draw_rate, draw_speed]
    style()
    figure = plt.figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(", ".join(run.name for run, _ in runs), fontsize=14, fontweight="bold")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1))
    places = ([grid[0, 0], grid[0, 1]] if present else [grid[0, :]]) + [grid[1, 0], grid[1, 1]]
    for panel, place in zip(panels, places):
        axis = figure.add_subplot(place)
        axis.grid(True, color="#dddddd", linewidth=0.7)
        axis.set_axisbelow(True)
        panel(axis, runs)
        if axis.get_legend_handles_labels()[1] and (len(runs) > 1 or panel is draw_loss):
            axis.legend()
    figure.savefig(out, dpi=150)


class Job:
    """A run directory of tasks: the tasks' runs, and what became of each."""

    def __init__(self, where):
        self.path = pathlib.Path(where)
        record = json.loads((self.path / "tasks.json").read_text(errors="replace"))
        self.name, self.mode, self.records = record.get("name") or self.path.name, record.get("mode", ""), record["tasks"]
        self.runs = []  # (run, record) of the tasks that have something to draw
        for task in self.records:
            folder = self.path / task["directory"]
            if (folder / "metrics.jsonl").is_file():
                run = Run(folder)
                run.name = label_of(task)
                if run.steps or run.epochs:
                    self.runs.append((run, task))


def label_of(task):
    changes = [f"{key.split('.')[-1]} {value}" for key, value in task["changes"].items()]
    return f"{task['task']}: {', '.join(changes)}" if changes else task["task"]


def colours_of(count):
    """The usual colours for a few runs; for many, a ramp in the order of the tasks."""
    if count <= len(COLOURS):
        return COLOURS[:count]
    return [plt.get_cmap("viridis")(i / (count - 1)) for i in range(count)]


def draw_curves(axis, runs):
    """Training loss only, smoothed, so that many curves stay apart."""
    many = len(runs) > 12
    positive, low, high = True, np.inf, 0
    for run, colour in runs:
        steps, loss = run.of_steps("loss")
        if not len(loss):
            continue
        loss = smoothed(loss, max(3, len(loss) // 20))
        axis.plot(steps, loss, color=colour, linewidth=1.0 if many else 1.6, alpha=0.8, label=run.name)
        positive, low, high = positive and loss.min() > 0, min(low, loss.min()), max(high, loss.max())
    if positive and high > 20 * low > 0:
        axis.set_yscale("log")
    axis.set(title="Training loss", xlabel="step", ylabel="loss")


def result_of(task):
    """Name of the axis and the task's value: the test metric, else a loss."""
    test = task.get("test") or {}
    for key, (label, factor) in METRICS.items():
        if finite(test.get(key)):
            return label, factor * test[key]
    for label, value in (("test loss", test.get("loss")), ("training loss", task.get("train_loss"))):
        if finite(value):
            return label, value
    return None


def draw_results(axis, job, colours, key):
    """One dot a task: its result over the value of `key`; with failed tasks as crosses on the axis."""
    values = [task["changes"].get(key) for task in job.records] if key else [task["task"] for task in job.records]
    shown = [str(value) if value is not None else "deck's" for value in values]
    numbers = []
    for value in shown:
        try:
            numbers.append(float(value))
        except ValueError:
            break
    distinct = sorted(set(numbers)) if key and len(numbers) == len(shown) else []
    if distinct:
        places = numbers
        if distinct[0] > 0 and distinct[-1] > 20 * distinct[0]:
            axis.set_xscale("log")
        if len(distinct) <= 12:
            axis.set_xticks(distinct, [f"{value:g}" for value in distinct])
            axis.minorticks_off()
    else:
        names = list(dict.fromkeys(shown))
        places = [names.index(value) for value in shown]
        axis.set_xticks(range(len(names)), names, rotation=45 if len(names) > 8 else 0)
    results = [result_of(task) for task in job.records]
    labels = [result[0] for result in results if result]
    label = max(set(labels), key=labels.count) if labels else "result"
    for task, place, result, colour in zip(job.records, places, results, colours):
        if result and result[0] == label and task.get("status") != "failed":
            axis.plot(place, result[1], "o", color=colour, markersize=8, markeredgecolor="white")
        else:
            axis.plot(place, 0.03, "x", color=colour, markersize=7, transform=axis.get_xaxis_transform())
    axis.set(title=f"{label[0].upper()}{label[1:]} by {key or 'task'}", xlabel=key or "task", ylabel=label)
    axis.margins(x=0.12, y=0.2)


def draw_job(job, out):
    keys = [key for key in dict.fromkeys(key for task in job.records for key in task["changes"])
            if len({task["changes"].get(key) for task in job.records}) > 1][:3] or [None]
    colours = dict(zip((task["task"] for task in job.records), colours_of(len(job.records))))
    style()
    figure = plt.figure(figsize=(11, 7.5), layout="constrained")
    done = sum(task.get("status") == "done" for task in job.records)
    figure.suptitle(f"{job.name}: {len(job.records)} tasks ({job.mode}), {done} done", fontsize=14, fontweight="bold")
    grid = figure.add_gridspec(2, 6, height_ratios=(1.25, 1))
    runs = [(run, colours[task["task"]]) for run, task in job.runs]
    panels = [(grid[0, :3], lambda axis: draw_curves(axis, runs))]
    present = [key for key in METRICS if any(len(run.of_epochs("test", key)[0]) for run, _ in runs)]
    if present:
        key = "accuracy" if "accuracy" in present else present[-1]
        panels.append((grid[0, 3:], lambda axis: draw_metric(axis, runs, key, notes=len(runs) == 1)))
    else:
        panels[0] = (grid[0, :], panels[0][1])
    width = 6 // len(keys)
    panels += [(grid[1, i * width:(i + 1) * width], lambda axis, key=key: draw_results(axis, job, colours.values(), key)) for i, key in enumerate(keys)]
    for number, (place, panel) in enumerate(panels):
        axis = figure.add_subplot(place)
        axis.grid(True, color="#dddddd", linewidth=0.7)
        axis.set_axisbelow(True)
        panel(axis)
        if number == 0 and 0 < len(runs) <= 12:
            axis.legend()
    figure.savefig(out, dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="scripts/plot", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNDIR")
    parser.add_argument("--out", help="PNG to write; default: curves.png, or tasks.png, in the first run directory")
    arguments = parser.parse_args()
    first = pathlib.Path(arguments.runs[0])
    if (first / "tasks.json").is_file():
        if len(arguments.runs) > 1:
            raise SystemExit("error: a run directory of tasks is drawn alone. Hint: name its tasks' run directories to draw them beside other runs")
        out = pathlib.Path(arguments.out or first / "tasks.png")
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_job(Job(first), out)
        print(out)
        return
    runs = [Run(where) for where in arguments.runs]
    for run, where in zip(runs, arguments.runs):
        if not run.steps and not run.epochs:
            raise SystemExit(f"error: '{where}' holds no step and no epoch yet")
    out = pathlib.Path(arguments.out or (first if first.is_dir() else first.parent) / "curves.png")
    out.parent.mkdir(parents=True, exist_ok=True)
    draw([(run, COLOURS[i % len(COLOURS)]) for i, run in enumerate(runs)], out)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
