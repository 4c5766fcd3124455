"""The look of all plots: colours, line styles, and values written beside the ends of curves."""
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.patheffects as patheffects  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

# The palette of Okabe and Ito (2008, "Color Universal Design"), without yellow, which is too light for lines on white.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"]
GREY = "#666666"
# 4 styles and 7 colours have no common divisor, so 28 curves differ, and neighbours differ in both: also in print without colour.
LINES = ["-", (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2))]


def look(number):
    """Colour and line style of the curve with this number."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)]}


def looks(count):
    """The looks of `count` curves: the palette for a few; for more, a colour ramp in their order."""
    if count <= len(COLOURS):
        return [look(i) for i in range(count)]
    return [{"color": plt.get_cmap("cividis")(0.85 * i / (count - 1)), "linestyle": LINES[i % len(LINES)]} for i in range(count)]


def use():
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.spines.top": False, "axes.spines.right": False,
                         "axes.edgecolor": "#888888", "axes.grid": True, "axes.axisbelow": True, "grid.color": "#dddddd", "grid.linewidth": 0.7,
                         "legend.frameon": False, "legend.fontsize": 9})


def short(value):
    """Three or four significant digits, without an exponent where the number is of everyday size."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(places, gap, low=-np.inf, high=np.inf):
    """The places, moved little, so that neighbours are at least `gap` apart, and between low and high as far as there is room."""
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    blocks = []  # [sum of the places, count]: neighbours that touch move together
    for wish in places[order]:
        blocks.append([wish, 1])
        while len(blocks) > 1:
            (total, count), (more, others) = blocks[-2:]
            if more / others - total / count >= gap * (count + others) / 2:
                break
            blocks[-2:] = [[total + more, count + others]]
    moved = [total / count + gap * (i - (count - 1) / 2) for total, count in blocks for i in range(count)]
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], high if i + 1 == len(moved) else moved[i + 1] - gap)
    for i in range(len(moved)):
        moved[i] = max(moved[i], low if i == 0 else moved[i - 1] + gap)
    result = np.empty_like(places)
    result[order] = moved
    return result


def end_values(axis, ends):
    """Writes [(x, y, text, colour)] to the right of the last points of curves. Call it when the axis has its place and its limits."""
    if not ends:
        return
    single = {}  # equal values at the same place are written once, in grey
    for x, y, text, colour in ends:
        single[x, text] = (x, y, text, colour if (x, text) not in single else GREY)
    ends = list(single.values())
    dots = np.array([axis.transData.transform((x, y)) for x, y, _, _ in ends])
    points = axis.figure.dpi / 72
    bottom, top = axis.transAxes.transform((0, 0))[1] + 6 * points, axis.transAxes.transform((0, 1))[1]  # a value on the axis itself would be crossed out
    heights = dots[:, 1].copy()
    left = list(np.argsort(-dots[:, 0], kind="stable"))
    while left:  # curves that end at about the same place share a column of labels
        column = [i for i in left if dots[left[0], 0] - dots[i, 0] < 40 * points]
        heights[column] = spread(heights[column], 11 * points, bottom, top)
        left = [i for i in left if i not in column]
    for (x, y, text, colour), dot, height in zip(ends, dots, heights):
        axis.annotate(text, (x, y), textcoords="offset points", xytext=(8, (height - dot[1]) / points), ha="left", va="center", color=colour, fontsize=8.5,
                      annotation_clip=False, path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")])


def notes_height(notes, columns=165):
    """Lines that notes take."""
    return sum(len(textwrap.wrap(note, columns)) for note in notes)


def write_notes(axis, notes, columns=165):
    """Fills an axis without a frame with small grey sentences."""
    axis.axis("off")
    axis.text(0, 0.5, "\n".join(line for note in notes for line in textwrap.wrap(note, columns)), color=GREY, fontsize=8.5, ha="left", va="center",
              transform=axis.transAxes)
