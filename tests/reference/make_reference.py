#!/usr/bin/env python3
"""Writes layers.h5 and optimizers.h5 beside itself: what PyTorch computes, in double precision, for our layers, losses and
optimizers.

Run it with a Python that has torch and h5py (README.md); arguments name the files to write, without any it is both. The cases are drawn from a fixed seed, so a second run gives the
same file up to PyTorch's own rounding.
"""
import pathlib
import random
import sys

import h5py
import numpy
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts" / "lib"))

from deck import Deck, parse_layer  # noqa: E402
from torch_model import Network, make_layer, make_loss, make_optimizer  # noqa: E402

draw = random.Random(20240611)


def text(extents):
    return "x".join(str(n) for n in extents)


def describe(group, **attributes):
    """Texts as fixed-length strings, which need no HDF5 heap."""
    for name, value in attributes.items():
        group.attrs[name] = numpy.bytes_(value) if isinstance(value, str) else value


def put(group, name, tensor):
    group.create_dataset(name, data=tensor.detach().numpy(), track_times=False)


def option(values):
    """One number when all dimensions agree, else one for each."""
    return str(values[0]) if len(set(values)) == 1 else ",".join(str(v) for v in values)


def drawn(rank, low, high):
    """A number for all dimensions, in one case of three one for each."""
    if draw.random() < 1 / 3:
        return [draw.randint(low, high) for _ in range(rank)]
    return [draw.randint(low, high)] * rank


def conv_case(rank):
    """A convolution with options drawn at random, on an input that it just fits or that leaves a remainder."""
    groups = draw.choice([1, 1, 1, 2, 3])
    inputs, out = groups * draw.randint(1, 2), groups * draw.randint(1, 2)
    kernel, stride, dilation, padding = drawn(rank, 1, 3), drawn(rank, 1, 3), drawn(rank, 1, 2), drawn(rank, 0, 2)
    most = {1: 11, 2: 6, 3: 5}[rank]
    extents = [draw.randint(max(1, d * (k - 1) + 1 - 2 * p), most) for k, d, p in zip(kernel, dilation, padding)]
    line = f"conv out={out} kernel={option(kernel)} stride={option(stride)} padding={option(padding)} dilation={option(dilation)}"
    if groups > 1:
        line += f" groups={groups}"
    if draw.random() < 0.25:
        line += " bias=false"
    return line, [[inputs, *extents]]


def pool_case(kind, rank):
    kernel = drawn(rank, 2, 3)
    line = f"{kind} kernel={option(kernel)}"
    if draw.random() < 0.6:
        line += f" stride={option(drawn(rank, 1, 3))}"
    if draw.random() < 0.5:
        line += " padding=1"  # at most half the kernel
        if kind == "avg_pool" and draw.random() < 0.5:
            line += " count_include_pad=false"
    most = {1: 11, 2: 6, 3: 5}[rank]
    return line, [[draw.randint(1, 3), *(draw.randint(k, most) for k in kernel)]]


def layer_cases():
    for line, extents in (("linear out=3", [5]), ("linear out=1", [7]), ("linear out=6 bias=false", [4]), ("linear out=17", [19])):
        yield line, [extents]
    for rank in (1, 2, 3):
        for _ in range(9 if rank < 3 else 7):
            yield conv_case(rank)
    yield "conv out=4 kernel=1", [[3, 5, 6]]
    yield "conv out=6 kernel=3 padding=1 groups=3", [[3, 6, 5]]  # depthwise
    yield "conv out=5 kernel=5", [[2, 5, 5]]  # one output pixel
    yield "conv out=18 kernel=2 padding=1", [[17, 2, 3]]  # more channels than a vector register holds, and a remainder
    yield "conv out=20 kernel=3 padding=1 groups=20", [[20, 3, 2]]
    yield "conv out=17 kernel=1 stride=2", [[16, 9]]
    for kind in ("max_pool", "avg_pool"):
        for rank in (1, 2, 3):
            for _ in range(3 if rank < 3 else 2):
                yield pool_case(kind, rank)
    for line, extents in (("batch_norm", [5]), ("batch_norm", [17]), ("batch_norm eps=0.01", [3, 7]), ("batch_norm affine=false", [4, 3, 5]),
                          ("batch_norm", [18, 2]), ("batch_norm sync=true", [2, 3, 2, 4])):
        yield line, [extents]
    for line, extents in (("conv_transpose out=2 kernel=3 stride=2 padding=1 output_padding=1", [3, 4]),
                          ("conv_transpose out=4 kernel=3,2 stride=2,3 groups=2", [2, 3, 2]),
                          ("conv_transpose out=2 kernel=2 dilation=2 padding=1 bias=false", [1, 2, 3, 2]),
                          ("max_pool kernel=3 stride=2 ceil_mode=true", [2, 6, 4]), ("max_pool kernel=2 stride=3 padding=1 ceil_mode=true", [2, 8]),
                          ("avg_pool kernel=3 stride=2 padding=1 ceil_mode=true", [1, 4, 6]),
                          ("avg_pool kernel=3,2 stride=2 ceil_mode=true count_include_pad=false", [1, 4, 5]),
                          ("layer_norm", [18]), ("layer_norm eps=0.01", [2, 3, 4]), ("layer_norm dims=1", [2, 2, 3]), ("layer_norm dims=2", [2, 2, 2, 3]),
                          ("group_norm groups=2", [6, 4]), ("group_norm groups=3 affine=false", [3, 2, 2]), ("instance_norm", [3, 5]),
                          ("instance_norm affine=true", [2, 2, 3]), ("upsample scale=2", [2, 3, 2]), ("upsample scale=3 mode=linear", [2, 4]),
                          ("upsample scale=2,3 mode=linear", [1, 3, 2]), ("upsample scale=2 mode=linear", [1, 2, 2, 3]),
                          ("global_avg_pool", [3, 2, 4]), ("silu", [11]), ("elu", [9]), ("elu alpha=0.3", [9]), ("softplus", [9]),
                          ("softplus beta=2 threshold=1", [9]), ("log_softmax", [7]), ("log_softmax", [3, 2, 2]), ("scale factor=-1/3", [3, 4]),
                          ("reshape shape=2x3x4", [24]), ("reshape shape=6x4", [2, 3, 4])):
        yield line, [extents]
    for line in ("relu", "leaky_relu", "leaky_relu slope=0.2", "tanh", "sigmoid", "gelu"):
        yield line, [[11]]
        yield line, [[3, 4, 5]]
    for extents in ([2], [9], [3, 5], [4, 3, 5], [3, 2, 3, 2]):
        yield "softmax", [extents]
    for extents in ([4], [3, 4], [2, 3, 5], [2, 2, 3, 2]):
        yield "flatten", [extents]
    yield "dropout p=0", [[3, 4, 5]]
    for count, extents in ((2, [7]), (3, [2, 3, 4])):
        yield "add", [extents] * count
    for shapes in ([[3], [5]], [[2, 4, 3], [3, 4, 3]], [[1, 5], [2, 5], [4, 5]], [[2, 2, 3, 2], [1, 2, 3, 2]]):
        yield "concat", shapes


def randomize(layer):
    """Parameters that do not start as constants would hide what they do."""
    if not isinstance(layer, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)):
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)


def write_layers(root):
    for number, (line, shapes) in enumerate(layer_cases()):
        group = root.create_group(f"{number:03d}")
        batch = draw.randint(1, 3) + line.startswith("batch_norm")  # of a single value a channel PyTorch takes no variance
        describe(group, layer=line, input=",".join(text(s) for s in shapes), batch=batch)
        layer = make_layer(parse_layer(line), shapes).double()
        randomize(layer)
        inputs = [torch.randn(batch, *s, dtype=torch.double, requires_grad=True) for s in shapes]
        y = layer(*inputs)
        dy = torch.randn_like(y)
        y.backward(dy)
        single = len(inputs) == 1
        for i, x in enumerate(inputs):
            put(group, "x" if single else f"x{i}", x)
            put(group, "dx" if single else f"dx{i}", x.grad)
        put(group, "y", y)
        put(group, "dy", dy)
        for name, parameter in layer.named_parameters():
            put(group, name, parameter)
            put(group, f"d{name}", parameter.grad)
    return number + 1


def write_running(root, steps=4):
    """Running moments after each of some training passes, and what the network says of the same input outside training."""
    for number, (line, shape, batch) in enumerate((("batch_norm", [3], 5), ("batch_norm momentum=0.3", [2, 6], 2),
                                                   ("batch_norm eps=0.1", [4, 3, 2], 3), ("batch_norm affine=false momentum=1", [2, 2, 3, 2], 1))):
        group = root.create_group(f"{number:03d}")
        describe(group, layer=line, input=text(shape))
        layer = make_layer(parse_layer(line), [shape]).double()
        randomize(layer)
        x = torch.randn(steps, batch, *shape, dtype=torch.double) * 2 + 3
        mean, var, evaluated = [], [], []
        for one in x:
            layer.train()(one)
            mean.append(layer.running_mean.clone())
            var.append(layer.running_var.clone())
            evaluated.append(layer.eval()(one))
        for name, tensor in (("x", x), ("running_mean", torch.stack(mean)), ("running_var", torch.stack(var)),
                             ("evaluated", torch.stack(evaluated)), *layer.named_parameters()):
            put(group, name, tensor)
    return number + 1


def write_losses(root):
    cases = [("cross_entropy", smoothing, n, k) for smoothing in (0, 0.1, 0.4) for n, k in ((1, 2), (5, 3), (7, 10))]
    cases += [(kind, 0, n, k) for kind in ("mse", "mae", "bce", "bce_with_logits") for n, k in ((1, 1), (6, 1), (4, 3), (5, 8))]
    for number, (kind, smoothing, n, k) in enumerate(cases):
        group = root.create_group(f"{number:03d}")
        describe(group, kind=kind, label_smoothing=float(smoothing))
        output = 3 * torch.randn(n, k, dtype=torch.double)
        if kind == "cross_entropy":
            target = torch.randint(k, (n,))
        elif kind.startswith("bce"):
            output = output if kind == "bce_with_logits" else output.sigmoid()
            target = torch.rand(n, k, dtype=torch.double).where(torch.rand(n, k) < 0.5, torch.randint(2, (n, k)).double())
        else:
            target = torch.randn(n, k, dtype=torch.double)
        output.requires_grad_()
        loss = make_loss(kind, smoothing)(output, target)
        loss.backward()
        for name, tensor in (("output", output), ("target", target), ("loss", loss), ("gradient", output.grad)):
            put(group, name, tensor)
    return number + 1


OPTIMIZERS = [
    "kind=sgd lr=0.1",
    "kind=sgd lr=0.1 weight_decay=0.05",
    "kind=sgd lr=0.1 momentum=0.9",
    "kind=sgd lr=0.1 momentum=0.9 dampening=0.3",
    "kind=sgd lr=0.1 momentum=0.9 nesterov=true",
    "kind=sgd lr=0.1 momentum=0.8 nesterov=true weight_decay=0.02",
    "kind=sgd lr=0.1 momentum=0.9 weight_decay=0.01 clip_norm=0.7",
    "kind=adam lr=0.01",
    "kind=adam lr=0.01 weight_decay=0.1",
    "kind=adam lr=0.02 beta1=0.8 beta2=0.95 epsilon=1e-4",
    "kind=adamw lr=0.01",
    "kind=adamw lr=0.02 beta1=0.85 beta2=0.99 epsilon=1e-6 weight_decay=0.2 clip_norm=1.5",
]


def write_optimizers(root, steps=5, size=23):
    for number, line in enumerate(OPTIMIZERS):
        options = line.split()
        deck = Deck("", "reference", [f"optimizer.{item}" for item in options])
        group = root.create_group(f"{number:03d}")
        describe(group, options="\n".join(options))
        parameter = torch.randn(size, dtype=torch.double, requires_grad=True)
        optimizer = make_optimizer(deck, [parameter])
        put(group, "start", parameter)
        gradients = torch.randn(steps, size, dtype=torch.double)
        put(group, "gradients", gradients)
        after = []
        for gradient in gradients:
            parameter.grad = gradient.clone()
            clip = deck.real("optimizer.clip_norm", 0)
            if clip > 0:
                torch.nn.utils.clip_grad_norm_([parameter], clip)
            optimizer.step()
            after.append(parameter.detach().clone())
        put(group, "parameters", torch.stack(after))
    return number + 1


# Networks of several parameters, of one dimension and of more, some longer than what one thread updates at a time.
UPDATES = [
    ("5", "linear out=4|linear out=3", "kind=rmsprop lr=0.01"),
    ("5", "linear out=4|linear out=3", "kind=rmsprop lr=0.02 alpha=0.9 epsilon=1e-4 weight_decay=0.05"),
    ("7", "linear out=6", "kind=rmsprop lr=0.01 momentum=0.8"),
    ("7", "linear out=6", "kind=rmsprop lr=0.01 alpha=0.8 momentum=0.9 centered=true clip_norm=1.5"),
    ("5", "linear out=4|linear out=3", "kind=lars lr=0.5"),
    ("2x5x4", "conv out=3 kernel=2|flatten|linear out=4", "kind=lars lr=2 momentum=0.9 weight_decay=0.01 trust=0.02"),
    ("2x5x4", "conv out=3 kernel=2|flatten|linear out=4", "kind=lars lr=1 momentum=0.9 weight_decay=0.1 decay_biases=false clip_norm=2"),
    ("70", "linear out=60", "kind=lars lr=1 momentum=0.5 weight_decay=0.05"),
    ("5", "linear out=4|linear out=3", "kind=lamb lr=0.01"),
    ("2x5x4", "conv out=3 kernel=2|flatten|linear out=4", "kind=lamb lr=0.02 beta1=0.8 beta2=0.95 epsilon=1e-4 weight_decay=0.1"),
    ("2x5x4", "conv out=3 kernel=2|flatten|linear out=4", "kind=lamb lr=0.02 weight_decay=0.2 decay_biases=false clip_norm=1"),
    ("70", "linear out=60", "kind=lamb lr=0.05 weight_decay=0.05"),
    ("5", "linear out=4|linear out=3", "kind=sgd lr=0.1 momentum=0.9 weight_decay=0.2 decay_biases=false"),
    ("5", "linear out=4|linear out=3", "kind=adam lr=0.02 weight_decay=0.2 decay_biases=false"),
    ("5", "linear out=4|linear out=3", "kind=adamw lr=0.02 weight_decay=0.2 decay_biases=false"),
]


def write_updates(root):
    """As write_optimizers, for all parameters of a network one after the other; with the moving average of them."""
    for number, (shape, lines, line) in enumerate(UPDATES):
        options = line.split()
        deck = Deck(f"[model]\ninput = {shape}\n" + "".join(f"layer = {layer}\n" for layer in lines.split("|")), "reference",
                    [f"optimizer.{item}" for item in options])
        group = root.create_group(f"{number:03d}")
        describe(group, input=shape, layers=lines.replace("|", "\n"), options="\n".join(options))
        network = Network(deck).double()
        steps = 4 if shape != "70" else 2
        average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.7))
        parameters = list(network.parameters())
        optimizer = make_optimizer(deck, parameters)
        together = lambda tensors: torch.cat([t.detach().reshape(-1) for t in tensors])  # noqa: E731
        put(group, "start", together(parameters))
        gradients, after = [], []
        for _ in range(steps):
            for p in parameters:
                p.grad = torch.randn_like(p)
            gradients.append(together(p.grad for p in parameters))
            clip = deck.real("optimizer.clip_norm", 0)
            if clip > 0:
                torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            average.update_parameters(network)
            after.append(together(parameters))
        put(group, "gradients", torch.stack(gradients))
        put(group, "parameters", torch.stack(after))
        put(group, "average", together(average.module.parameters()))
    return number + 1


def write_file(name, seed, groups):
    torch.manual_seed(seed)
    target = HERE / name
    with h5py.File(target, "w", libver="v110") as file:
        describe(file, made_by=f"PyTorch {torch.__version__.split('+')[0]}")
        counts = [f"{write(file.create_group(group))} {group}" for group, write in groups.items()]
    print(f"{name}: {', '.join(counts)}, {target.stat().st_size} bytes")


def main():
    files = {"layers.h5": (7, {"layers": write_layers, "running": write_running, "losses": write_losses, "optimizers": write_optimizers}),
             "optimizers.h5": (8, {"updates": write_updates})}
    for name in sys.argv[1:] or files:
        write_file(name, *files[name])


if __name__ == "__main__":
    main()
