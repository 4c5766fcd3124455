#!/usr/bin/env python3
"""Writes numpy_layers.h5 beside itself: what numpy computes, in double precision, for kinds of layers that have no case in layers.h5.

Formulas are PyTorch's. numpy.pad is the reference of all padding: its modes constant, reflect, edge and wrap are PyTorch's zeros, reflect, replicate and
circular. The gradient of a layer that is linear in an input is the adjoint of its matrix, which unit vectors give. Cases are drawn from a fixed seed.
"""
import pathlib
import random

import h5py
import numpy

HERE = pathlib.Path(__file__).resolve().parent
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

draw = random.Random(20261130)
numbers = numpy.random.default_rng(20261130)


def option(values):
    return str(values[0]) if len(set(values)) == 1 and draw.random() < 0.7 else ",".join(str(v) for v in values)


def padded(x, modes, before, after):
    """x: (channels, pixels...)"""
    for a, mode in enumerate(modes):
        sides = [(0, 0)] * x.ndim
        sides[a + 1] = (before[a], after[a])
        x = numpy.pad(x, sides, MODES[mode])
    return x


def conv(x, weight, bias, stride, dilation, groups):
    """A convolution of one sample without padding, one output at a time."""
    dims = x.ndim - 1
    kernel = weight.shape[2:]
    out = [(x.shape[a + 1] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in range(dims)]
    y = numpy.zeros([weight.shape[0], *out])
    inputs, outputs = x.shape[0] // groups, weight.shape[0] // groups
    for place in numpy.ndindex(*out):
        window = x[(slice(None), *(slice(p * s, p * s + d * (k - 1) + 1, d) for p, s, d, k in zip(place, stride, dilation, kernel)))]
        for o in range(weight.shape[0]):
            group = o // outputs
            y[(o, *place)] = numpy.sum(window[group * inputs:(group + 1) * inputs] * weight[o]) + (0 if bias is None else bias[o])
    return y


def adaptive(x, out):
    for a, m in enumerate(out):
        n = x.shape[a + 1]
        windows = [range(o * n // m, -(-(o + 1) * n // m)) for o in range(m)]
        x = numpy.stack([x.take(list(w), axis=a + 1).mean(axis=a + 1) for w in windows], axis=a + 1)
    return x


def shuffled(x, factor):
    dims = len(factor)
    channels = x.shape[0] // int(numpy.prod(factor))
    x = x.reshape(channels, *factor, *x.shape[1:])
    order = [0]
    for a in range(dims):
        order += [1 + dims + a, 1 + a]
    return x.transpose(order).reshape(channels, *(x.shape[1 + dims + a] * factor[a] for a in range(dims)))


def adjoint(f, shape, dy):
    """The gradient of sum(f(x) dy) with respect to x, for an f that is linear but for a constant."""
    zero = f(numpy.zeros(shape))
    gradient = numpy.zeros(shape)
    for place in numpy.ndindex(*shape):
        unit = numpy.zeros(shape)
        unit[place] = 1
        gradient[place] = numpy.sum((f(unit) - zero) * dy)
    return gradient


def drawn_extents(dims, least):
    return [draw.randint(least, {1: 9, 2: 5, 3: 4}[dims]) for _ in range(dims)]


def drawn_modes(dims):
    return [draw.choice(list(MODES)) for _ in range(dims)] if draw.random() < 0.6 else [draw.choice(list(MODES))] * dims


def linear_cases():
    """line, shape of the input, the function of one sample and its parameters, parameters by name"""
    for number in range(24):
        dims = number % 3 + 1
        modes, extents = drawn_modes(dims), drawn_extents(dims, 2)
        before, after = ([draw.randint(0, 2 * n if mode in ("zeros", "replicate") else n - (mode == "reflect")) for mode, n in zip(modes, extents)]
                         for _ in range(2))
        line = f"pad before={option(before)} after={option(after)} mode={option(modes)}"
        yield line, [draw.randint(1, 3), *extents], lambda x, p, m=modes, b=before, a=after: padded(x, m, b, a), {}
    for number in range(18):
        dims = number % 3 + 1
        modes, extents = drawn_modes(dims), drawn_extents(dims, 3)
        kernel, stride, dilation = ([draw.randint(1, high) for _ in range(dims)] for high in (3, 2, 2))
        padding = [draw.randint(0, 2) for _ in range(dims)]
        if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in zip(extents, padding, dilation, kernel)):
            kernel = [1] * dims
        groups, channels = draw.choice([(1, 2), (1, 3), (2, 4), (3, 3)])
        out = groups * draw.randint(1, 2)
        biased = draw.random() < 0.7
        line = (f"conv out={out} kernel={option(kernel)} stride={option(stride)} dilation={option(dilation)} padding={option(padding)} groups={groups} "
                f"padding_mode={option(modes)}" + ("" if biased else " bias=false"))
        parameters = {"weight": drawn([out, channels // groups, *kernel])}
        if biased:
            parameters["bias"] = drawn([out])

        def convolution(x, p, m=modes, pad=padding, s=stride, d=dilation, g=groups):
            return conv(padded(x, m, pad, pad), p["weight"], p.get("bias"), s, d, g)
        yield line, [channels, *extents], convolution, parameters
    for number in range(9):
        dims = number % 3 + 1
        extents = drawn_extents(dims, 3)
        before, after = [draw.randint(0, 1) for _ in range(dims)], [draw.randint(0, 1) for _ in range(dims)]
        cut = (slice(None), *(slice(b, n - a) for b, n, a in zip(before, extents, after)))
        yield f"crop before={option(before)} after={option(after)}", [draw.randint(1, 3), *extents], lambda x, p, c=cut: x[c], {}
    for first, end, shape in ((0, 2, [5]), (3, 7, [7]), (1, 3, [4, 3]), (2, 3, [3, 2, 4]), (0, 1, [3, 2, 2, 3])):
        yield f"slice channels={first}:{end}", shape, lambda x, p, a=first, b=end: x[a:b], {}
    for number in range(9):
        dims = number % 3 + 1
        out = [draw.randint(1, 5) for _ in range(dims)]
        yield f"adaptive_avg_pool out={option(out)}", [draw.randint(1, 3), *drawn_extents(dims, 1)], lambda x, p, o=out: adaptive(x, o), {}
    for number in range(9):
        dims = number % 3 + 1
        factor = [draw.randint(1, 3 if dims < 3 else 2) for _ in range(dims)]
        shape = [draw.randint(1, 2) * int(numpy.prod(factor)), *drawn_extents(dims, 1)[:dims]]
        yield f"pixel_shuffle factor={option(factor)}", shape, lambda x, p, f=factor: shuffled(x, f), {}


def drawn(shape):
    """Normal numbers of 11 bits, which a file holds in two bytes."""
    return numbers.normal(size=shape).astype("f2").astype("f8")


def put(group, name, value):
    """In the smallest type that holds every number exactly."""
    kind = next(kind for kind in ("f2", "f4", "f8") if numpy.array_equal(value.astype(kind).astype("f8"), value))
    group.create_dataset(name, data=value.astype(kind), track_times=False)


def write(group, line, inputs, y, dy, gradients, parameters):
    for name, value in (("layer", line), ("input", ",".join("x".join(str(n) for n in x.shape[1:]) for x in inputs))):
        group.attrs[name] = numpy.bytes_(value)
    group.attrs["batch"] = len(y)
    for i, (x, dx) in enumerate(zip(inputs, gradients)):
        number = "" if len(inputs) == 1 else str(i)
        put(group, "x" + number, x)
        put(group, "dx" + number, dx)
    for name, (value, gradient) in parameters.items():
        put(group, name, value)
        put(group, "d" + name, gradient)
    put(group, "y", y)
    put(group, "dy", dy)


def summed_to(gradient, shape):
    """Sums over the dimensions along which a value of this shape was broadcast."""
    for a, (n, whole) in enumerate(zip(shape, gradient.shape)):
        if n < whole:
            gradient = gradient.sum(axis=a, keepdims=True)
    return gradient


def main():
    with h5py.File(HERE / "numpy_layers.h5", "w", libver=("v108", "v108")) as file:
        root = file.create_group("layers")
        new = iter(f"{n:03d}" for n in range(1000))
        for line, shape, f, parameters in linear_cases():
            batch = draw.randint(1, 3)
            x = drawn([batch, *shape])
            y = numpy.stack([f(one, parameters) for one in x])
            dy = drawn(y.shape)
            dx = numpy.stack([adjoint(lambda one: f(one, parameters), shape, d) for d in dy])
            with_gradients = {}
            for name, value in parameters.items():
                gradient = sum(adjoint(lambda p: f(one, {**parameters, name: p}), value.shape, d) for one, d in zip(x, dy))
                with_gradients[name] = (value, gradient)
            write(root.create_group(next(new)), line, [x], y, dy, [dx], with_gradients)
        for shape, channels in (([7], False), ([5], True), ([3, 6], True), ([4, 3, 5], False), ([17, 2, 3], True), ([2, 2, 3, 2], True)):
            batch = draw.randint(1, 4)
            x, dy = drawn([batch, *shape]), drawn([batch, *shape])
            weight = drawn([shape[0] if channels else 1])
            w = weight.reshape(1, -1, *[1] * (len(shape) - 1))
            of_weight = numpy.where(x > 0, 0, x * dy)
            dw = of_weight.sum(axis=(0, *range(2, x.ndim))) if channels else of_weight.sum().reshape(1)
            line = "prelu" + (" per_channel=true" if channels else "")
            write(root.create_group(next(new)), line, [x], numpy.where(x > 0, x, w * x), dy, [numpy.where(x > 0, dy, w * dy)], {"weight": (weight, dw)})
        for shapes in ([[5], [5]], [[3, 4], [3, 1], [1, 4]], [[4, 3, 2], [4]], [[4], [4, 3, 2], [1, 3, 2]], [[2, 1, 5], [1, 3, 1]], [[2, 3, 2, 2], [2, 1, 1, 1]],
                       [[3, 2, 4], [3, 2, 4], [3, 1, 1], [1, 1, 4]]):
            batch, rank = draw.randint(1, 3), max(len(s) for s in shapes)
            xs = [drawn([batch, *s]) for s in shapes]
            wide = [x.reshape(*x.shape, *[1] * (rank + 1 - x.ndim)) for x in xs]
            y = numpy.prod(numpy.broadcast_arrays(*wide), axis=0)
            dy = drawn(y.shape)
            gradients = []
            for i, x in enumerate(xs):
                others = numpy.prod(numpy.broadcast_arrays(dy, *(w for k, w in enumerate(wide) if k != i)), axis=0)
                gradients.append(summed_to(others, wide[i].shape).reshape(x.shape))
            write(root.create_group(next(new)), "multiply", xs, y, dy, gradients, {})
        print(len(root), "cases")


if __name__ == "__main__":
    main()
