"""Plots loss, learning rate and test metrics of runs (metrics.jsonl). For a job with tasks, plots the curves of all tasks and their results over the keys that
they change (tasks.json). Started by scripts/plot."""
import argparse
import configparser
import json
import pathlib
import sys

import numpy as np

import plot_style
from plot_style import plt

# Names of [test] metrics and how their axis is labelled; fractions are drawn in percent.
METRICS = {"accuracy": ("test accuracy (%)", 100), "top5": ("test top-5 accuracy (%)", 100), "precision": ("test precision", 1),
           "recall": ("test recall", 1), "f1": ("test F1", 1), "mae": ("test mean absolute error", 1), "r2": ("test R²", 1)}
MOST_END_VALUES = 18  # with more curves the values would cover the plot


def finite(value):
    return isinstance(value, (int, float)) and value == value and abs(value) != float("inf")


class Run:
    """A run's events. A restart writes some steps again: the later line counts."""

    def __init__(self, where):
        path = pathlib.Path(where)
        path = path / "metrics.jsonl" if path.is_dir() else path
        if not path.is_file():
            raise SystemExit(f"error: '{where}' has no metrics.jsonl. Hint: give a run directory of trireme train")
        self.folder = path.parent.resolve()
        self.name = self.folder.name
        self.schedule = schedule_of(self.folder / "deck.ini")
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


def schedule_of(deck):
    """schedule.kind of the deck that a run directory keeps; empty if there is none."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    try:
        parser.read_string(deck.read_text(errors="replace"))
        return parser.get("schedule", "kind", fallback="")
    except (OSError, configparser.Error):
        return ""


def name_apart(runs):
    """Runs of equal names get those of their directories instead, with as many parent folders as it takes."""
    for depth in range(1, 1 + max(len(run.folder.parts) for run in runs)):
        names = [run.name for run in runs]
        same = [run for run in runs if names.count(run.name) > 1]
        for run in same:
            run.name = "/".join(run.folder.parts[-depth:])
    folders = [run.folder for run in runs]
    for run in runs:
        if folders.count(run.folder) > 1:
            raise SystemExit(f"error: '{run.folder}' is given twice. Hint: give each run directory once")


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


def mean_width(count):
    """Values in the window of the running mean of so many."""
    return max(5, count // 20)


def level(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def with_jumps(steps, rate, epoch_ends, schedule):
    """The curve of a learning rate with a corner where it falls at once. The log has only some steps, and a line between two of them would show a ramp.

    A fall is a jump if the schedule is `step`, or if the rate is level before and after it. It is drawn at the end of the epoch between the two steps; if
    there is none, at the earlier step."""
    x, y = list(steps[:1]), list(rate[:1])
    for i in range(1, len(steps)):
        falls = rate[i] < rate[i - 1] and not level(rate[i], rate[i - 1])
        flat = i >= 2 and level(rate[i - 2], rate[i - 1]) and i + 1 < len(rate) and level(rate[i], rate[i + 1])
        if falls and (schedule == "step" or flat):
            ends = [end for end in epoch_ends if steps[i - 1] <= end < steps[i]]
            at = ends[-1] if ends else steps[i - 1]
            x += [at, at]
            y += [rate[i - 1], rate[i]]
        x.append(steps[i])
        y.append(rate[i])
    return np.array(x), np.array(y)


def draw_loss(axis, runs):
    """Returns the end values: [(x, y, text, colour)]."""
    positive, low, high, ends, widths, tested = True, np.inf, 0, [], set(), False
    for run, look in runs:
        steps, loss = run.of_steps("loss")
        if len(loss):
            axis.plot(steps, loss, color=look["color"], alpha=0.25, linewidth=0.9)
            widths.add(mean_width(len(loss)))
            mean = smoothed(loss, mean_width(len(loss)))
            axis.plot(steps, mean, **look, linewidth=1.8)
            ends.append((steps[-1], mean[-1], plot_style.short(mean[-1]), look["color"]))
            positive = positive and loss.min() > 0
            low, high = min(low, loss.min()), max(high, loss.max())
        epochs, test = run.of_epochs("test", "loss")
        positions = run.epoch_positions(epochs)
        if len(positions):
            axis.plot(positions, test, **look, linewidth=1.2, marker="o", markersize=4.5, markerfacecolor="white")
            ends.append((positions[-1], test[-1], plot_style.short(test[-1]), look["color"]))
            positive, tested = positive and test.min() > 0, True
            low, high = min(low, test.min()), max(high, test.max())
    if positive and high > 20 * low > 0:
        axis.set_yscale("log")
    color = runs[0][1]["color"] if len(runs) == 1 else plot_style.GREY
    if widths:
        window = f"{min(widths)} to {max(widths)}" if len(widths) > 1 else f"{min(widths)}"
        axis.plot([], [], color=color, linewidth=1.8, label=f"training, running mean of {window} logged values")
        axis.plot([], [], color=color, alpha=0.35, linewidth=0.9, label="training, as logged")
    if tested:
        axis.plot([], [], color=color, linewidth=1.2, marker="o", markersize=4.5, markerfacecolor="white", label="test")
    axis.legend()
    axis.set(title="Loss", xlabel="step", ylabel="loss")
    return ends


def draw_rate(axis, runs):
    ends = []
    for run, look in runs:
        steps, rate = run.of_steps("lr")
        if not len(steps):
            continue
        epochs = [at for at, event in sorted(run.epochs.items())]
        steps, rate = with_jumps(steps, rate, run.epoch_positions(epochs), run.schedule)
        axis.plot(steps, rate, **look, linewidth=1.8)
        ends.append((steps[-1], rate[-1], plot_style.short(rate[-1]), look["color"]))
    axis.set(title="Learning rate", xlabel="step", ylabel="learning rate")
    axis.set_ylim(bottom=0)
    return ends


def draw_metric(axis, runs, key):
    label, factor = METRICS[key]
    ends = []
    for run, look in runs:
        epochs, values = run.of_epochs("test", key)
        if not len(values):
            continue
        axis.plot(epochs, factor * values, **look, linewidth=1.8, marker="o", markersize=5, markerfacecolor="white")
        text = f"{factor * values[-1]:.2f}" if factor > 1 else f"{values[-1]:.4g}"
        ends.append((epochs[-1], factor * values[-1], text, look["color"]))
    axis.set(title=label[0].upper() + label[1:], xlabel="epoch", ylabel=label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.margins(y=0.15)
    if np.ptp(axis.get_xlim()) < 1:  # one epoch
        axis.set_xlim(np.mean(axis.get_xlim()) - 1, np.mean(axis.get_xlim()) + 1)
    return ends


def draw_speed(axis, runs):
    ends = []
    for run, look in runs:
        steps, rate = run.of_steps("samples_per_s")
        if len(steps):
            axis.plot(steps, rate, **look, linewidth=1.4)
            ends.append((steps[-1], rate[-1], plot_style.short(rate[-1]), look["color"]))
    axis.set(title="Speed", xlabel="step", ylabel="samples/s")
    axis.set_ylim(bottom=0)
    return ends


def metric_of(runs):
    """The metric that is drawn: accuracy, else the last of METRICS that a run has; None if no run has any."""
    present = [key for key in METRICS if any(len(run.of_epochs("test", key)[0]) for run in runs)]
    return "accuracy" if "accuracy" in present else present[-1] if present else None


def listed(names):
    names = list(names)
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} others"


def metric_name(key):
    return METRICS[key][0].removesuffix(" (%)") if key else "test metrics"


NO_TESTS = "no run was evaluated on test data (data.test, train.evaluate_every)"
NO_STEPS = "no step is logged"


def absences(wanted, runs):
    """Sentences about what is not drawn. `wanted`: [(what, why not, whether a run has it)]."""
    found = {}  # runs without it -> [(what, why)]
    for what, why, has in wanted:
        without = tuple(run.name for run in runs if not has(run))
        if without:
            found.setdefault(without, []).append((what, why))
    notes = []
    for without, things in found.items():
        if len(without) < len(runs):
            notes.append(f"Without {listed(what for what, _ in things)}: {listed(without)}.")
        else:
            notes += [f"Not shown: {listed(what for what, other in things if other == why)}; {why}." for why in dict.fromkeys(why for _, why in things)]
    return notes


def panels_of(runs):
    """What there is to draw, [panel], and sentences about what there is not, [str]."""
    key = metric_of(runs)
    every = [("training loss", NO_STEPS, lambda run: len(run.of_steps("loss")[0]), None),
             ("test loss", NO_TESTS, lambda run: len(run.of_epochs("test", "loss")[0]), None),
             (metric_name(key), NO_TESTS, lambda run: key and len(run.of_epochs("test", key)[0]), lambda axis, some: draw_metric(axis, some, key)),
             ("learning rate", NO_STEPS, lambda run: len(run.of_steps("lr")[0]), draw_rate),
             ("speed", NO_STEPS, lambda run: len(run.of_steps("samples_per_s")[0]), draw_speed)]
    panels = [draw_loss] + [panel for _, _, has, panel in every if panel and any(has(run) for run in runs)]
    return panels, absences([(what, why, has) for what, why, has, _ in every], runs)


def begin(title, runs, notes, height, columns, ratios, labels=True):
    """A figure with its title, a row that says which curve is whose, room for panels, and a row of notes. Returns (figure, grid of the panels)."""
    plot_style.use()
    shown = list(runs) if labels and 1 < len(runs) <= 28 else []
    per_row = max(1, min(len(shown), 5, 130 // (10 + max((len(run.name) for run, _ in shown), default=1))))
    above, below = 0.22 * -(-len(shown) // per_row), 0.2 * plot_style.notes_height(notes)
    figure = plt.figure(figsize=(11, height + above + below), layout="constrained")
    figure.suptitle(title if len(title) < 90 else f"{title[:87]}...", fontsize=14, fontweight="bold")
    outer = figure.add_gridspec(3, 1, height_ratios=(max(above, 0.01), height, max(below, 0.01)))
    if shown:
        axis = figure.add_subplot(outer[0])
        axis.axis("off")
        axis.legend([plt.Line2D([], [], **look, linewidth=1.8) for _, look in shown], [run.name for run, _ in shown], ncol=per_row, loc="center",
                    borderaxespad=0, handlelength=3.2)
    if notes:
        plot_style.write_notes(figure.add_subplot(outer[2]), notes)
    return figure, outer[1].subgridspec(len(ratios), columns, height_ratios=ratios)


def finish(figure, drawn, out, dpi):
    """Writes end values when the panels have their places. `drawn`: [(axis, ends)]."""
    figure.draw_without_rendering()
    for axis, ends in drawn:
        if 0 < len(ends) <= MOST_END_VALUES:
            plot_style.end_values(axis, ends)
    figure.savefig(out, dpi=dpi)


def draw(runs, out):
    panels, notes = panels_of([run for run, _ in runs])
    rows = {1: [[0]], 2: [[0], [1]], 3: [[0], [1, 2]], 4: [[0, 1], [2, 3]]}[len(panels)]
    title = runs[0][0].name if len(runs) == 1 else f"{len(runs)} runs"
    figure, grid = begin(title, runs, notes, 7 if len(rows) > 1 else 4.5, 2, (1.25, 1)[:len(rows)])
    drawn = []
    for r, row in enumerate(rows):
        for c, panel in enumerate(row):
            axis = figure.add_subplot(grid[r, c] if len(row) > 1 else grid[r, :])
            drawn.append((axis, panels[panel](axis, runs)))
    finish(figure, drawn, out, 150)
    return notes


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


def draw_curves(axis, runs):
    """Training loss only, smoothed, so that many curves stay apart."""
    many = len(runs) > 12
    positive, low, high, ends = True, np.inf, 0, []
    for run, look in runs:
        steps, loss = run.of_steps("loss")
        if not len(loss):
            continue
        loss = smoothed(loss, mean_width(len(loss)))
        axis.plot(steps, loss, **look, linewidth=1.0 if many else 1.6, alpha=0.9)
        ends.append((steps[-1], loss[-1], plot_style.short(loss[-1]), look["color"]))
        positive, low, high = positive and loss.min() > 0, min(low, loss.min()), max(high, loss.max())
    if positive and high > 20 * low > 0:
        axis.set_yscale("log")
    axis.set(title="Training loss (running mean)", xlabel="step", ylabel="loss")
    return ends


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


def draw_results(axis, job, colors, key):
    """One dot per task: its result over the value of `key`. Tasks without a result are crosses on the axis."""
    values = [task["changes"].get(key) for task in job.records] if key else [task["task"] for task in job.records]
    shown = [str(value) if value is not None else "deck's" for value in values]
    numbers = []
    for value in shown:
        try:
            numbers.append(float(value))
        except ValueError:
            break
    distinct = sorted(set(numbers)) if key and len(numbers) == len(shown) else []
    log = bool(distinct) and distinct[0] > 0 and distinct[-1] > 20 * distinct[0]
    scaled = np.log10(distinct) if log else np.array(distinct)
    if len(distinct) > 12 or (distinct and np.all(np.diff(scaled) >= 0.06 * np.ptp(scaled))):
        places = numbers
        if log:
            axis.set_xscale("log")
        if len(distinct) <= 12:
            axis.set_xticks(distinct, [f"{value:g}" for value in distinct])
            axis.minorticks_off()
    else:
        # Words, or numbers of which two would be drawn on top of each other.
        names = list(dict.fromkeys(sorted(shown, key=float) if distinct else shown))
        places = [names.index(value) for value in shown]
        axis.set_xticks(range(len(names)), names, rotation=45 if len(names) > 8 else 0)
    results = [result_of(task) for task in job.records]
    labels = [result[0] for result in results if result]
    label = max(set(labels), key=labels.count) if labels else "result"
    ends, missing = [], 0
    for task, place, result, color in zip(job.records, places, results, colors):
        if result and result[0] == label and task.get("status") != "failed":
            axis.plot(place, result[1], "o", color=color, markersize=8, markeredgecolor="white")
            ends.append((place, result[1], f"{result[1]:.2f}" if "(%)" in label else f"{result[1]:.4g}", color))
        else:
            axis.plot(place, 0.03, "x", color=color, markersize=7, transform=axis.get_xaxis_transform())
            missing += 1
    if missing:
        axis.plot([], [], "x", color=plot_style.GREY, markersize=7, label=f"failed, or without {label.removesuffix(' (%)')}")
        axis.legend()
    axis.set(title=f"{label[0].upper()}{label[1:]} by {key or 'task'}", xlabel=key or "task", ylabel=label)
    axis.margins(x=0.12, y=0.2)
    return ends


def draw_job(job, out):
    keys = [key for key in dict.fromkeys(key for task in job.records for key in task["changes"])
            if len({task["changes"].get(key) for task in job.records}) > 1]
    notes = [f"Not shown: results by {listed(keys[3:])}; the plot has room for three keys."] if len(keys) > 3 else []
    keys = keys[:3] or [None]
    looks = dict(zip((task["task"] for task in job.records), plot_style.looks(len(job.records))))
    runs = [(run, looks[task["task"]]) for run, task in job.runs]
    silent = [label_of(task) for task in job.records if all(task is not other for _, other in job.runs)]
    if silent:
        notes.append(f"Without curves, because no step is logged: {listed(silent)}.")
    key = metric_of([run for run, _ in runs])
    if runs:
        notes += absences([(metric_name(key), NO_TESTS, lambda run: key and len(run.of_epochs("test", key)[0]))], [run for run, _ in runs])
    done = sum(task.get("status") == "done" for task in job.records)
    figure, grid = begin(f"{job.name}: {len(job.records)} tasks ({job.mode}), {done} done", runs, notes, 7.5, 6, (1.25, 1))
    panels = [(grid[0, :3] if key else grid[0, :], lambda axis: draw_curves(axis, runs))]
    if key:
        panels.append((grid[0, 3:], lambda axis: draw_metric(axis, runs, key)))
    width = 6 // len(keys)
    colors = [look["color"] for look in looks.values()]
    panels += [(grid[1, i * width:(i + 1) * width], lambda axis, key=key: draw_results(axis, job, colors, key)) for i, key in enumerate(keys)]
    drawn = []
    for place, panel in panels:
        axis = figure.add_subplot(place)
        drawn.append((axis, panel(axis)))
    finish(figure, drawn, out, 110)
    return notes


def report(notes, out):
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(out)


def main():
    parser = argparse.ArgumentParser(prog="scripts/plot", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNDIR")
    parser.add_argument("--out", help="PNG file to write (default: curves.png, or tasks.png for a job with tasks, in the first run directory)")
    arguments = parser.parse_args()
    first = pathlib.Path(arguments.runs[0])
    if (first / "tasks.json").is_file():
        if len(arguments.runs) > 1:
            raise SystemExit("error: a run directory with tasks must be the only argument. Hint: to plot tasks together with other runs, give the run directories of the tasks")
        out = pathlib.Path(arguments.out or first / "tasks.png")
        out.parent.mkdir(parents=True, exist_ok=True)
        report(draw_job(Job(first), out), out)
        return
    runs = [Run(where) for where in arguments.runs]
    name_apart(runs)
    for run, where in zip(runs, arguments.runs):
        if not run.steps and not run.epochs:
            raise SystemExit(f"error: '{where}' holds no step and no epoch yet")
    out = pathlib.Path(arguments.out or (first if first.is_dir() else first.parent) / "curves.png")
    out.parent.mkdir(parents=True, exist_ok=True)
    report(draw([(run, plot_style.look(i)) for i, run in enumerate(runs)], out), out)


if __name__ == "__main__":
    sys.exit(main())
