"""Draws predictions beside the truth and their difference: fields, classes of pixels, or numbers. Started by scripts/plot predictions.

An ARRAY is FILES:/DATASET or FILES:/DATASET[SLICES], with slices as Python writes them: 'data/fields/test/*.h5:/fields[1:, 0]'. The rows of all files follow
each other in the order of the names. If each file is one sample, the samples are put together.
"""
import argparse
import glob
import os
import pathlib
import re
import sys

import h5py
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

import plot_style
from plot_style import plt

SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
# Background in light grey, then the palette of Okabe and Ito.
CLASS_COLOURS = ["#eeeeee", *plot_style.COLOURS]
MOST_POINTS = 4000  # of a scatter plot


def fail(text):
    raise SystemExit(f"error: {text}")


def slices_of(text, where):
    """(slice or int, ...) of '1:, 0' as numpy reads them."""
    found = []
    for item in text.split(","):
        if not re.fullmatch(r"\s*-?\d*\s*(:\s*-?\d*\s*){0,2}", item) or not item.strip():
            fail(f"'{where}': '{item.strip()}' is neither a number nor a slice. Expected slices such as [1:, 0]")
        parts = [int(part) if part.strip() else None for part in item.split(":")]
        found.append(parts[0] if len(parts) == 1 else slice(*parts))
    return tuple(found)


def read_array(where, rows):
    """The array that `where` names, with `rows` rows."""
    match = re.fullmatch(r"(.+?):(/[^\[\]]+)(?:\[(.*)\])?", where)
    if not match:
        fail(f"'{where}' is no array. Expected FILES:/DATASET or FILES:/DATASET[SLICES]")
    pattern, name, slices = match.groups()
    files = sorted(glob.glob(os.path.join(pattern, "*.h5")) if os.path.isdir(pattern) else glob.glob(pattern))
    if not files:
        fail(f"'{where}': no file matches '{pattern}'")
    parts = []
    for path in files:
        try:
            with h5py.File(path) as file:
                if name not in file:
                    fail(f"'{path}' has no data set '{name}'")
                array = file[name][()]
        except OSError as error:
            fail(f"'{path}' cannot be read: {error}")
        parts.append(array)
    one_each = len(files) == rows and sum(len(part) for part in parts if part.ndim) != rows
    parts = [part[None] for part in parts] if one_each else parts
    if slices is not None:
        index = slices_of(slices, where)
        if len(index) > parts[0].ndim:
            fail(f"'{where}': {len(index)} slices for an array of shape {parts[0].shape}")
        parts = [part[index] for part in parts]
    if len({part.shape[1:] for part in parts}) > 1:
        fail(f"'{where}': the files have samples of different shapes: {sorted({part.shape[1:] for part in parts})}")
    array = np.concatenate(parts)
    if len(array) != rows:
        fail(f"'{where}' has {len(array)} rows, and the predictions have {rows}. Hint: give the files that were predicted, and slices for windows")
    return array


def plane(sample, channel, channels_last, level):
    """A 2-D image of one sample: its channel, and of a volume the plane `level`."""
    if sample.ndim >= 3 and channels_last:
        sample = np.moveaxis(sample, -1, 0)
    if sample.ndim == 4 or (sample.ndim == 3 and channel is not None):
        sample = sample[channel or 0]
    if sample.ndim == 3:
        sample = sample[sample.shape[0] // 2 if level is None else level]
    if sample.ndim == 1:
        sample = sample[None]
    return sample.astype(float)


def show(axis, image, title, figure, classes=None, label="", origin="upper", **limits):
    style = dict(interpolation="nearest", aspect="equal", origin=origin)
    if classes is not None:
        colours = ListedColormap(CLASS_COLOURS[:len(classes)])
        drawn = axis.imshow(image, cmap=colours, norm=BoundaryNorm(np.arange(len(classes) + 1) - 0.5, len(classes)), **style)
    else:
        drawn = axis.imshow(image, cmap=limits.pop("cmap", SEQUENTIAL), **limits, **style)
    if title:
        axis.set_title(title)
    axis.set_xticks([]), axis.set_yticks([])
    axis.grid(False)
    for side in axis.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(drawn, ax=axis, fraction=0.046 * min(1.0, image.shape[0] / image.shape[1]) + 0.005, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8)
    if classes is not None:
        bar.set_ticks(range(len(classes)), labels=classes)
        bar.minorticks_off()
    if label:
        bar.set_label(label, fontsize=8.5)
    return drawn


def choose_rows(arguments, rows, truth, is_classes):
    if arguments.rows:
        chosen = [int(item) for item in arguments.rows.split(",")]
        for row in chosen:
            if not -rows <= row < rows:
                fail(f"--rows {row} is not one of the {rows} rows")
        return [row % rows for row in chosen]
    count = min(arguments.samples, rows)
    if is_classes:  # samples with many classes, to see all of them
        variety = [-len(np.unique(truth[row])) for row in range(min(rows, 500))]
        return sorted(np.argsort(variety, kind="stable")[:count].tolist())
    return np.linspace(0, rows - 1, count).round().astype(int).tolist()


def draw_images(arguments, output, truth, inputs, is_classes):
    channel = arguments.channel or 0
    rows = choose_rows(arguments, len(output), truth, is_classes)
    classes = None
    if is_classes:
        names = arguments.classes.split(",") if arguments.classes else [str(i) for i in range(output.shape[1])]
        if len(names) != output.shape[1]:
            fail(f"--classes: {len(names)} names, and the output has {output.shape[1]} classes")
        if len(names) > len(CLASS_COLOURS):
            fail(f"the output has {len(names)} classes; pictures of at most {len(CLASS_COLOURS)} can be drawn")
        classes = names
    columns = 3 + (inputs is not None)
    image = plane(output[rows[0]], channel, False, arguments.level)
    height = 2.9 * image.shape[0] / image.shape[1] + 0.35
    figure, axes = plt.subplots(len(rows), columns, figsize=(3.6 * columns, max(1.2, height) * len(rows) + 0.5), squeeze=False, layout="constrained")
    for number, (line, row) in enumerate(zip(axes, rows)):
        titles = number == 0
        if inputs is not None:
            show(line[0], plane(inputs[row], arguments.input_channel, arguments.channels_last, arguments.level), titles and arguments.input_name, figure,
                 origin=arguments.origin)
        line[0].set_ylabel(f"row {row}")
        places = line[columns - 3:]
        if is_classes:
            wanted = plane(truth[row], None, False, arguments.level)
            found = plane(np.argmax(output[row], axis=0), None, False, arguments.level)
            show(places[0], wanted, titles and "truth", figure, classes, origin=arguments.origin)
            show(places[1], found, titles and "prediction", figure, classes, origin=arguments.origin)
            wrong = (wanted != found).astype(float)
            show(places[2], wrong, titles and "errors", figure, ["right", "wrong"], origin=arguments.origin)
            continue
        wanted, found = plane(truth[row], channel, arguments.channels_last, arguments.level), plane(output[row], channel, False, arguments.level)
        limits = dict(vmin=min(wanted.min(), found.min()), vmax=max(wanted.max(), found.max()))
        show(places[0], wanted, titles and "truth", figure, origin=arguments.origin, **limits)
        show(places[1], found, titles and "prediction", figure, label=arguments.unit, origin=arguments.origin, **limits)
        error = found - wanted
        most = max(float(np.abs(error).max()), 1e-30)
        show(places[2], error, titles and "error", figure, label=arguments.unit, origin=arguments.origin, cmap=DIVERGING, vmin=-most, vmax=most)
    return figure


def draw_numbers(arguments, output, truth):
    """Predicted against true numbers, one panel for each of at most six outputs."""
    output, truth = output.reshape(len(output), -1), truth.reshape(len(truth), -1)
    shown = min(output.shape[1], 6)
    figure, axes = plt.subplots(1, shown, figsize=(4.6 * shown, 4.4), squeeze=False, layout="constrained")
    some = np.linspace(0, len(output) - 1, min(len(output), MOST_POINTS)).astype(int)
    for i, axis in enumerate(axes[0]):
        t, p = truth[:, i].astype(float), output[:, i].astype(float)
        axis.plot(t[some], p[some], ".", color=plot_style.COLOURS[0], markersize=2.5, alpha=0.35, markeredgewidth=0)
        ends = [min(t.min(), p.min()), max(t.max(), p.max())]
        axis.plot(ends, ends, color=plot_style.GREY, linewidth=1)
        variance = float(np.mean((t - t.mean()) ** 2))
        axis.set_title(f"R² {1 - np.mean((p - t) ** 2) / variance:.3f}" if variance > 0 else "R² n/a")
        unit = f" ({arguments.unit})" if arguments.unit else ""
        axis.set_xlabel(f"truth{unit}"), axis.set_ylabel(f"prediction{unit}")
        axis.set_aspect("equal")
    return figure


def main():
    parser = argparse.ArgumentParser(prog="scripts/plot predictions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", metavar="PREDICTIONS.h5", help="file of trireme predict")
    parser.add_argument("--truth", required=True, metavar="ARRAY", help="what the network should have said, with the rows of the predictions")
    parser.add_argument("--input", metavar="ARRAY", help="an array to show in the first column, such as the features")
    parser.add_argument("--input-channel", type=int, default=0, help="channel of --input (default 0)")
    parser.add_argument("--input-name", default="input", help="title of the first column (default input)")
    parser.add_argument("--channel", type=int, help="channel of output and truth to show (default 0)")
    parser.add_argument("--channels-last", action="store_true", help="the files of --truth and --input have the channels last")
    parser.add_argument("--level", type=int, help="plane of a volume (default: the middle)")
    parser.add_argument("--rows", help="rows to show, as 0,5,7")
    parser.add_argument("--samples", type=int, default=3, help="number of rows to show, if --rows is not given (default 3)")
    parser.add_argument("--classes", help="names of the classes, as background,cyclone,river")
    parser.add_argument("--scale", type=float, nargs=2, metavar=("FACTOR", "OFFSET"), help="show FACTOR x output + OFFSET, which brings back physical units")
    parser.add_argument("--truth-scale", type=float, nargs=2, metavar=("FACTOR", "OFFSET"), help="the same for the truth")
    parser.add_argument("--unit", default="", help="unit of output and truth")
    parser.add_argument("--origin", choices=("upper", "lower"), default="upper", help="where row 0 of the images is (default upper)")
    parser.add_argument("--out", default="predictions.png", help="PNG file to write (default predictions.png)")
    parser.add_argument("--dpi", type=int, default=80, help="dots per inch (default 80)")
    arguments = parser.parse_args()
    try:
        with h5py.File(arguments.predictions) as file:
            output = file["output"][...]
    except (OSError, KeyError) as error:
        fail(f"'{arguments.predictions}' is no file of predictions: {error}")
    if len(output) == 0:
        fail(f"'{arguments.predictions}' holds no rows")
    truth = read_array(arguments.truth, len(output))
    inputs = read_array(arguments.input, len(output)) if arguments.input else None
    is_classes = output.ndim > 2 and truth.dtype.kind in "iu" and truth.ndim == output.ndim - 1
    plot_style.use()
    for scale, is_output in ((arguments.scale, True), (arguments.truth_scale, False)):
        if scale and is_classes:
            fail("--scale and --truth-scale are for numbers, and the truth holds classes")
        if scale and is_output:
            output = scale[0] * output + scale[1]
        elif scale:
            truth = scale[0] * truth + scale[1]
    if output.ndim <= 2:
        if truth.size != output.size:
            fail(f"the output has the shape {output.shape}, and the truth {truth.shape}")
        figure = draw_numbers(arguments, output, truth)
    else:
        one = output[0][0] if is_classes else output[0]
        expected = np.moveaxis(truth[0], -1, 0) if arguments.channels_last and not is_classes else truth[0]
        if expected.shape != one.shape:
            fail(f"a sample of the output has the shape {output.shape[1:]}, and one of the truth {truth.shape[1:]}. Hint: --channels-last, or slices behind --truth")
        figure = draw_images(arguments, output, truth, inputs, is_classes)
    out = pathlib.Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=arguments.dpi)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
