"""The plots of a report."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

import measurements  # noqa: E402

COLOURS = ["#1f6fb4", "#d1495b", "#2e8b57", "#e08e0b", "#6f4fa1", "#3b9aa8"]
PART_COLOURS = {"compute": "#1f6fb4", "reduction": "#d1495b", "halo": "#6f4fa1", "data": "#2e8b57", "imbalance": "#e08e0b", "other": "#9a9a9a"}


def save(figure, file):
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def numbered_axis(axes, numbers):
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()


def with_spread(axes, rows, key, label, colour):
    """Medians with bars from the least to the greatest repeat."""
    ranks = [row["ranks"] for row in rows]
    middle, low, high = (np.array([row[f"{key}{end}"] for row in rows]) for end in ("", "_low", "_high"))
    axes.errorbar(ranks, middle, yerr=[middle - low, high - middle], marker="o", capsize=4, label=label, color=colour)


def scaling(file, title, tables, mode):
    """Time, speed-up and efficiency over ranks; `tables`: {threads: rows of report.table}."""
    figure, (time, speedup, efficiency) = plt.subplots(1, 3, figsize=(13, 4))
    every = sorted({row["ranks"] for rows in tables.values() for row in rows})
    for colour, (threads, rows) in zip(COLOURS, tables.items()):
        label = f"{threads} thread{'s' if threads > 1 else ''} a rank"
        scaled = [{**row, **{key: row[key] * 1e3 for key in ("step", "step_low", "step_high")}} for row in rows]
        with_spread(time, scaled, "step", label, colour)
        with_spread(speedup, rows, "speedup", label, colour)
        with_spread(efficiency, rows, "efficiency", label, colour)
    speedup.plot(every, [n / every[0] for n in every], linestyle=":", color="#555555", label="ideal")
    efficiency.axhline(1, linestyle=":", color="#555555")
    time.set_ylabel("milliseconds a step")
    speedup.set_ylabel("speed-up" if mode == "strong" else "scaled speed-up (samples a second)")
    efficiency.set_ylabel("efficiency")
    efficiency.set_ylim(0, max(1.1, 1.05 * max(row["efficiency_high"] for rows in tables.values() for row in rows)))
    time.set_ylim(bottom=0)
    for axes in (time, speedup, efficiency):
        numbered_axis(axes, every)
        axes.set_xlabel("ranks")
        axes.grid(alpha=0.3)
    speedup.legend()
    figure.suptitle(title)
    save(figure, file)


def split(file, title, tables):
    """Where the time of a step goes, stacked."""
    bars = [(f"{row['ranks']} x {threads}", row) for threads, rows in tables.items() for row in rows]
    figure, axes = plt.subplots(figsize=(max(5, 1.3 * len(bars) + 3.5), 4.2))
    bottom = np.zeros(len(bars))
    for part in measurements.PARTS:
        heights = np.array([row[part] * 1e3 for _, row in bars])
        if heights.max() <= 0:
            continue
        axes.bar(range(len(bars)), heights, 0.6, bottom=bottom, label=part, color=PART_COLOURS[part])
        bottom += heights
    axes.set_xticks(range(len(bars)), [name for name, _ in bars])
    axes.set_xlabel("ranks x threads")
    axes.set_ylabel("milliseconds a step")
    axes.legend(bbox_to_anchor=(1.02, 1), loc="upper left")
    axes.set_title(title)
    save(figure, file)


def extrapolation(file, title, predicted):
    """Step time and efficiency over nodes with 90 % bands; `predicted`: {speed: {nodes: prediction}}."""
    figure, (time, efficiency) = plt.subplots(1, 2, figsize=(11, 4.2))
    for colour, (speed, rows) in zip(COLOURS, predicted.items()):
        nodes = list(rows)
        label = "a node as fast as a rank here" if speed == 1 else f"a node {speed:g} times as fast"
        time.plot(nodes, [rows[n]["step"] * 1e3 for n in nodes], marker="o", color=colour, label=label)
        time.fill_between(nodes, [rows[n]["low"] * 1e3 for n in nodes], [rows[n]["high"] * 1e3 for n in nodes], color=colour, alpha=0.2)
        efficiency.plot(nodes, [rows[n]["efficiency"] for n in nodes], marker="o", color=colour)
        efficiency.fill_between(nodes, [rows[n]["worst"] for n in nodes], [rows[n]["best"] for n in nodes], color=colour, alpha=0.2)
    time.set_yscale("log")
    time.set_ylabel("milliseconds a step")
    efficiency.set_ylabel("efficiency against one node")
    efficiency.set_ylim(0, 1.1)
    for axes in (time, efficiency):
        numbered_axis(axes, nodes)
        axes.set_xlabel("nodes")
        axes.grid(alpha=0.3)
    time.legend()
    figure.suptitle(title)
    save(figure, file)
