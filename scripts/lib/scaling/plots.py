"""The plots of a report."""
import pathlib
import sys

import numpy as np

import measurements

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))  # scripts/lib
import plot_style  # noqa: E402
from plot_style import plt  # noqa: E402

# Colour and hatching of each part, so that they also differ in print without colour.
PART_LOOKS = {"compute": ("#0072B2", ""), "reduction": ("#D55E00", "//"), "halo": ("#CC79A7", "xx"), "data": ("#009E73", "\\\\"),
              "imbalance": ("#E69F00", ".."), "other": ("#999999", "")}


def save(figure, file, ends=()):
    """`ends`: [(axes, end values)]."""
    figure.draw_without_rendering()
    for axes, values in ends:
        if len(values) <= 8:
            plot_style.end_values(axes, values)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def numbered_axis(axes, numbers):
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()


def with_spread(axes, rows, key, label, look, form):
    """Medians with bars from the least to the greatest repeat. Returns the end value."""
    ranks = [row["ranks"] for row in rows]
    middle, low, high = (np.array([row[f"{key}{end}"] for row in rows]) for end in ("", "_low", "_high"))
    axes.errorbar(ranks, middle, yerr=[middle - low, high - middle], marker="o", capsize=4, label=label, **look)
    return ranks[-1], middle[-1], form.format(middle[-1]), look["color"]


def scaling(file, title, tables, mode):
    """Time, speed-up and efficiency over ranks; `tables`: {threads: rows of report.table}."""
    plot_style.use()
    figure, (time, speedup, efficiency) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    ends = [(time, []), (speedup, []), (efficiency, [])]
    every = sorted({row["ranks"] for rows in tables.values() for row in rows})
    for look, (threads, rows) in zip(plot_style.looks(len(tables)), tables.items()):
        label = f"{threads} thread{'s' if threads > 1 else ''} per rank"
        scaled = [{**row, **{key: row[key] * 1e3 for key in ("step", "step_low", "step_high")}} for row in rows]
        ends[0][1].append(with_spread(time, scaled, "step", label, look, "{:.3g}"))
        ends[1][1].append(with_spread(speedup, rows, "speedup", label, look, "{:.2f}"))
        ends[2][1].append(with_spread(efficiency, rows, "efficiency", label, look, "{:.2f}"))
    speedup.plot(every, [n / every[0] for n in every], linestyle=":", linewidth=1, color="#555555", label="ideal")
    efficiency.axhline(1, linestyle=":", linewidth=1, color="#555555")
    time.set_ylabel("time of a step, ms")
    speedup.set_ylabel("speed-up" if mode == "strong" else "scaled speed-up (samples per second)")
    efficiency.set_ylabel("efficiency")
    efficiency.set_ylim(0, max(1.1, 1.05 * max(row["efficiency_high"] for rows in tables.values() for row in rows)))
    time.set_ylim(bottom=0)
    for axes in (time, speedup, efficiency):
        numbered_axis(axes, every)
        axes.set_xlabel("ranks")
    speedup.legend()
    figure.suptitle(f"{title} (median; bars: fastest and slowest repeat)")
    save(figure, file, ends)


def split(file, title, tables):
    """Where the time of a step goes, stacked."""
    bars = [(f"{row['ranks']} x {threads}", row) for threads, rows in tables.items() for row in rows]
    plot_style.use()
    figure, axes = plt.subplots(figsize=(max(5, 1.3 * len(bars) + 3.5), 4.2), layout="constrained")
    bottom = np.zeros(len(bars))
    for part in measurements.PARTS:
        heights = np.array([row[part] * 1e3 for _, row in bars])
        if heights.max() <= 0:
            continue
        colour, hatch = PART_LOOKS[part]
        axes.bar(range(len(bars)), heights, 0.6, bottom=bottom, label=part, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5)
        bottom += heights
    for place, height in enumerate(bottom):
        axes.annotate(f"{height:.3g}", (place, height), textcoords="offset points", xytext=(0, 3), ha="center", color=plot_style.GREY, fontsize=8.5)
    axes.grid(False, axis="x")
    axes.margins(y=0.08)
    axes.set_xticks(range(len(bars)), [name for name, _ in bars])
    axes.set_xlabel("ranks x threads")
    axes.set_ylabel("time of a step, ms")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], bbox_to_anchor=(1.02, 1), loc="upper left")  # in the order of the bars
    axes.set_title(title)
    save(figure, file)


def extrapolation(file, title, predicted):
    """Step time and efficiency over nodes with 90 % bands; `predicted`: {speed: {nodes: prediction}}."""
    plot_style.use()
    figure, (time, efficiency) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    ends = [(time, []), (efficiency, [])]
    for look, (speed, rows) in zip(plot_style.looks(len(predicted)), predicted.items()):
        nodes, color = list(rows), look["color"]
        label = "node as fast as a rank here" if speed == 1 else f"node {speed:g} times as fast"
        last = rows[nodes[-1]]
        ends[0][1].append((nodes[-1], last["step"] * 1e3, f"{last['step'] * 1e3:.3g}", color))
        ends[1][1].append((nodes[-1], last["efficiency"], f"{last['efficiency']:.2f}", color))
        time.plot(nodes, [rows[n]["step"] * 1e3 for n in nodes], marker="o", label=label, **look)
        time.fill_between(nodes, [rows[n]["low"] * 1e3 for n in nodes], [rows[n]["high"] * 1e3 for n in nodes], color=color, alpha=0.2)
        efficiency.plot(nodes, [rows[n]["efficiency"] for n in nodes], marker="o", **look)
        efficiency.fill_between(nodes, [rows[n]["worst"] for n in nodes], [rows[n]["best"] for n in nodes], color=color, alpha=0.2)
    time.set_yscale("log")
    time.set_ylabel("time of a step, ms")
    efficiency.set_ylabel("efficiency against one node")
    efficiency.set_ylim(0, 1.1)
    for axes in (time, efficiency):
        numbered_axis(axes, nodes)
        axes.set_xlabel("nodes")
    time.legend()
    figure.suptitle(title)
    save(figure, file, ends)
