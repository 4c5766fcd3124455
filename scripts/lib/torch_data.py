"""The data of a deck as tensors in memory, for comparisons with PyTorch: what [data] and [array features], [array labels] say (docs/data.md)."""
import glob
import os
import re

import h5py
import numpy
import torch
from torch import nn

from deck import DeckError, number

PIXEL_AXES = {"z": "z", "y": "y", "lat": "y", "x": "x", "lon": "x"}
CLASS_LOSSES = ("cross_entropy", "dice", "focal")


def shard_files(where):
    """[(file, group)] of a directory, glob, list, or FILE:/GROUP."""
    found = []
    for item in (part.strip() for part in where.split(",")):
        path, colon, group = item.partition(":/")
        if os.path.isdir(path):
            files = sorted(glob.glob(os.path.join(path, "*.h5")) + glob.glob(os.path.join(path, "*.hdf5")))
        else:
            files = sorted(glob.glob(path))
        found += [(name, "/" + group if colon else "") for name in files]
    if not found:
        raise DeckError(f"no shards found at '{where}'")
    return found


def windows_of(text):
    """Time steps, relative to the sample's: '-3..0', '1', '-6, 0'."""
    steps = []
    for item in (part.strip() for part in text.split(",") if part.strip()):
        first, dots, last = item.partition("..")
        steps += list(range(int(first), int(last) + 1)) if dots else [int(first)]
    return steps or [0]


def part_of(array, slices):
    return array[tuple(slice(*(int(n) if n.strip() else None for n in item.split(":"))) if ":" in item else int(item) for item in slices.split(","))]


class ArraySpec:
    """What the deck says about one array."""

    def __init__(self, deck, name):
        key = f"array.{name}"
        short = {"features": ("data.features", "/x", "data.axes"), "labels": ("data.labels", "/y", "data.label_axes")}[name]
        self.name = name
        self.data = deck.text(f"{key}.data", "") or deck.text(short[0], short[1])
        axes = deck.text(f"{key}.axes", "") or deck.text(short[2], "")
        self.axes = [PIXEL_AXES.get(axis.strip(), axis.strip()) for axis in axes.split(",") if axis.strip()]
        self.windowed = f"{key}.window" in deck.values or "time" in self.axes
        self.window = windows_of(deck.text(f"{key}.window", ""))
        self.replace = [side.strip() for side in deck.text(f"{key}.replace", "").split("->")] if deck.text(f"{key}.replace", "") else None
        self.scale = number(deck.text(f"{key}.scale", "1"))
        moments = ("data.mean", "data.std") if name == "features" else ("", "")
        self.mean = deck.text(f"{key}.mean", "") or (deck.text(moments[0], "") if moments[0] else "")
        self.std = deck.text(f"{key}.std", "") or (deck.text(moments[1], "") if moments[1] else "")

    def read(self, path, group):
        """The array of one file with the axes (sample or time, channel, pixels), or None for the first where a file is one sample."""
        if self.replace:
            at = path.rindex(self.replace[0])
            path = path[:at] + self.replace[1] + path[at + len(self.replace[0]):]
        parts = []
        with h5py.File(path) as file:
            for item in re.split(r",(?![^\[]*\])", self.data):
                name, _, slices = item.strip().partition("[")
                array = file[(group + "/" if group else "") + name.lstrip("/") if group else name][()]
                parts.append(part_of(array, slices.rstrip("]")) if slices else array)
        return parts

    def arranged(self, array, sample_shape):
        """(rows, channel, pixels...) of an array as stored; `sample_shape` is the model's, for arrays whose deck names no axes."""
        if not self.axes:
            one = array.ndim == len(sample_shape) and array.shape == tuple(sample_shape) and array.ndim > 1
            return array[None] if one else array
        axes = list(self.axes)
        if not {"sample", "time"} & set(axes) and array.ndim == len(axes) + 1:
            axes = ["sample", *axes]  # the rows stand first
        order = [axis for axis in ("sample", "time", "channel", "z", "y", "x") if axis in axes]
        array = array.transpose([axes.index(axis) for axis in order])
        return array if order[0] in ("sample", "time") else array[None]


def rows_slice(text):
    if not text:
        return slice(None)
    first, _, end = text.partition(":")
    return slice(int(first) if first.strip() else None, int(end) if end.strip() else None)


def moments_of(text, array_of_training):
    """Numbers of mean or std, per channel; `auto` calls the function."""
    if not text:
        return None
    if text == "auto":
        return array_of_training()
    if ":/" in text:
        path, _, name = text.partition(":/")
        with h5py.File(path) as file:
            return file["/" + name][()].astype(float).ravel().tolist()
    return [number(item) for item in text.split(",") if item.strip()]


class DataInMemory:
    """A whole data set as tensors, in the type that the files have: the best case for PyTorch. Cast and augmented batch by batch."""

    def __init__(self, deck, part, input_shape, output_shape=None, memory_format=torch.contiguous_format, device="cpu", training=None):
        """`part`: train or test. `training`: the training data, whose moments count for `auto`."""
        kind = deck.text("loss.kind", "cross_entropy")
        self.kind = kind
        self.own_target = deck.text("data.target", "labels") == "features"
        self.classes = kind in CLASS_LOSSES and deck.text("loss.targets", "auto") != "probabilities"
        self.specs = {"features": ArraySpec(deck, "features")}
        if not self.own_target:
            self.specs["labels"] = ArraySpec(deck, "labels")
        rows = rows_slice(deck.text(f"data.{part}_rows", ""))
        steps = sorted({0, *(step for spec in self.specs.values() if spec.windowed for step in spec.window)})
        before, after, stride = -min(steps[0], 0), max(steps[-1], 0), deck.integer("data.stride", 1)
        arrays = {name: [] for name in self.specs}
        for path, group in shard_files(deck.text(f"data.{part}")):
            for name, spec in self.specs.items():
                one_shape = input_shape if name == "features" else (() if output_shape is None else output_shape)
                pieces = [spec.arranged(piece, one_shape) for piece in spec.read(path, group)]
                array = pieces[0] if len(pieces) == 1 else numpy.concatenate(pieces, axis=1)
                array = array[rows]
                if spec.windowed:
                    times = numpy.arange(before, len(array) - after, stride)
                    array = numpy.concatenate([array[times + step] for step in spec.window], axis=1)
                elif before or after:
                    array = array[before:len(array) - after:stride]
                arrays[name].append(array)
        self.x = torch.from_numpy(numpy.concatenate(arrays["features"])).reshape(-1, *input_shape).to(device)
        self.y = None
        if not self.own_target:
            y = torch.from_numpy(numpy.ascontiguousarray(numpy.concatenate(arrays["labels"]))).to(device)
            if self.classes:
                pixels = () if output_shape is None else tuple(output_shape[1:])
                self.y = y.reshape(len(self.x), *pixels).long()
            else:
                self.y = y.reshape(len(self.x), *(output_shape or (-1,))).float()
        self.memory_format = memory_format
        self.moments = training.moments if training else {name: self._moments(spec, self.x if name == "features" else self.y)
                                                          for name, spec in self.specs.items()}
        self.crop, self.noise = deck.integer("data.crop", 0), deck.real("data.noise", 0)
        self.scale = deck.real("data.scale", 1) * self.specs["features"].scale
        self.flips = [-1 - "xyz".index(axis.strip()) for axis in deck.text("data.flip", "").split(",") if axis.strip()]
        if self.y is not None and not self.classes:
            self.y = self._normalized(self.y * self.specs["labels"].scale, "labels")

    def _moments(self, spec, values):
        def over(which):
            dims = [d for d in range(values.dim()) if d != 1]
            scaled = values.double() * spec.scale
            return getattr(scaled, which)(dims).tolist() if which == "mean" else scaled.std(dims, correction=0).tolist()
        mean, std = moments_of(spec.mean, lambda: over("mean")), moments_of(spec.std, lambda: over("std"))
        view = (-1,) + (1,) * (values.dim() - 2)
        as_tensor = lambda numbers: None if numbers is None else torch.tensor(numbers, dtype=torch.float32, device=values.device).view(view)  # noqa: E731
        return as_tensor(mean), as_tensor(std)

    def _normalized(self, values, name):
        mean, std = self.moments[name]
        values = values if mean is None else values - mean
        return values if std is None else values / std

    def physical(self, values):
        """Outputs or targets in the units of the files."""
        mean, std = self.moments.get("labels", (None, None))
        values = values if std is None else values * std
        return values if mean is None else values + mean

    def __len__(self):
        return len(self.x)

    def _cropped(self, x):
        """A part of each sample as large as it is, cut at random from the sample with zeros around it."""
        axes = x.dim() - 2
        padded = nn.functional.pad(x, (self.crop, self.crop) * axes)
        starts = torch.randint(2 * self.crop + 1, (len(x), axes)).tolist()
        return torch.stack([padded[(i, slice(None), *(slice(at, at + extent) for at, extent in zip(start, x.shape[2:])))]
                            for i, start in enumerate(starts)])

    def batch(self, rows, training=False, generator=None):
        """Inputs and targets of these rows; of noise in evaluation `generator` decides."""
        x = self.x[rows]
        y = None if self.own_target else self.y[rows]
        with_pixels = y is not None and y.dim() >= x.dim() - 1 and y.dim() > 1 and y.shape[-1] == x.shape[-1]
        if training and self.crop:
            x = self._cropped(x)
        for axis in self.flips if training else ():
            turned = torch.rand(len(x), device=x.device) < 0.5
            x[turned] = x[turned].flip(axis)
            if with_pixels:
                y = y.clone() if isinstance(rows, slice) else y
                y[turned] = y[turned].flip(axis)
        x = x.to(torch.float32, copy=isinstance(rows, slice))  # a slice is a view of the data set
        if self.scale != 1:
            x.mul_(self.scale)
        x = self._normalized(x, "features")
        if x.dim() in (4, 5):
            x = x.contiguous(memory_format=self.memory_format)
        target = x if self.own_target else y
        if self.noise > 0 and (training or self.own_target):
            x = torch.empty_like(x).normal_(generator=generator).mul_(self.noise).add_(x)
        return x, target
