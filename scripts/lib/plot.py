"""Draws loss, learning rate and test metrics of runs, from metrics.jsonl. Started by scripts/plot."""
import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

# Names of [test] metrics and how their axis is labelled; fractions are drawn in percent.
METRICS = {"accuracy": ("test accuracy (%)", 100), "top5": ("test top-5 accuracy (%)", 100), "mae": ("test mean absolute error", 1),
           "r2": ("test R²", 1)}
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


def draw_metric(axis, runs, key):
    label, factor = METRICS[key]
    for run, colour in runs:
        epochs, values = run.of_epochs("test", key)
        if not len(values):
            continue
        axis.plot(epochs, factor * values, color=colour, linewidth=1.8, marker="o", markersize=5, markerfacecolor="white", label=run.name)
        axis.annotate(f"{factor * values[-1]:.2f}" if factor > 1 else f"{values[-1]:.4g}", (epochs[-1], factor * values[-1]),
                      textcoords="offset points", xytext=(0, 7), ha="center", color=colour, fontsize=9)
    axis.set(title=label[0].upper() + label[1:], xlabel="epoch", ylabel=label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.margins(y=0.15)


def draw_speed(axis, runs):
    for run, colour in runs:
        steps, rate = run.of_steps("samples_per_s")
        axis.plot(steps, rate, color=colour, linewidth=1.4, label=run.name)
    axis.set(title="Speed", xlabel="step", ylabel="samples/s")
    axis.set_ylim(bottom=0)


def draw(runs, out):
    panels = [draw_loss]
    # Accuracy, else the first metric that any run has.
    present = [key for key in METRICS if any(len(run.of_epochs("test", key)[0]) for run, _ in runs)]
    if present:
        panels.append(lambda axis, some: draw_metric(axis, some, "accuracy" if "accuracy" in present else present[-1]))
    panels += [draw_rate, draw_speed]
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.spines.top": False,
                         "axes.spines.right": False, "axes.edgecolor": "#888888", "legend.frameon": False, "legend.fontsize": 9})
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


def main():
    parser = argparse.ArgumentParser(prog="scripts/plot", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNDIR")
    parser.add_argument("--out", help="PNG to write; default: curves.png in the first run directory")
    arguments = parser.parse_args()
    runs = [Run(where) for where in arguments.runs]
    for run, where in zip(runs, arguments.runs):
        if not run.steps and not run.epochs:
            raise SystemExit(f"error: '{where}' holds no step and no epoch yet")
    first = pathlib.Path(arguments.runs[0])
    out = pathlib.Path(arguments.out or (first if first.is_dir() else first.parent) / "curves.png")
    out.parent.mkdir(parents=True, exist_ok=True)
    draw([(run, COLOURS[i % len(COLOURS)]) for i, run in enumerate(runs)], out)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
