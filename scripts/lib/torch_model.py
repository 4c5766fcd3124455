"""The PyTorch counterpart of a deck: its network, loss, optimizer and schedule, for comparisons and reference tensors.

Kinds, options and defaults are PyTorch's own, so each is a call of the PyTorch module of the same meaning.
"""
import dataclasses
import math

import torch
from torch import nn

from deck import DeckError, boolean, number, shape


def _option(options, key, convert, fallback):
    return convert(options.pop(key)) if key in options else fallback


def _extent(text):
    """`3` for all dimensions, or `3,5` for each."""
    values = tuple(int(n) for n in text.split(","))
    return values[0] if len(values) == 1 else values


def _of_rank(kinds, rank, spec):
    if not 1 <= rank <= 3:
        raise DeckError(f"layer '{spec.text}': its input has {rank} spatial dimensions; 1 to 3 are possible")
    return kinds[rank - 1]


class Add(nn.Module):
    def forward(self, *inputs):
        total = inputs[0]
        for one in inputs[1:]:
            total = total + one
        return total


class Concat(nn.Module):
    def forward(self, *inputs):
        return torch.cat(inputs, dim=1)


class GlobalAvgPool(nn.Module):
    def forward(self, x):
        return x.mean(tuple(range(2, x.dim()))) if x.dim() > 2 else x


class Pad(nn.Module):
    """before, after, mode: one for each dimension."""
    MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

    def __init__(self, before, after, modes):
        super().__init__()
        self.sides = list(zip(before, after, modes))

    def forward(self, x):
        for a, (before, after, mode) in enumerate(self.sides):  # each dimension by itself, as the last one of a tensor with two
            x = x.movedim(a + 2, -1)
            flat = x.reshape(1, -1, x.shape[-1])
            x = nn.functional.pad(flat, (before, after), mode=self.MODES[mode]).reshape(*x.shape[:-1], -1).movedim(-1, a + 2)
        return x


class Crop(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.sides = list(zip(before, after))

    def forward(self, x):
        return x[(slice(None), slice(None), *(slice(before, n - after) for n, (before, after) in zip(x.shape[2:], self.sides)))]


class Slice(nn.Module):
    def __init__(self, first, end):
        super().__init__()
        self.first, self.end = first, end

    def forward(self, x):
        return x[:, self.first:self.end]


class Multiply(nn.Module):
    def forward(self, *inputs):
        rank = max(x.dim() for x in inputs)
        product = 1
        for x in inputs:
            product = product * x.reshape(*x.shape, *[1] * (rank - x.dim()))
        return product


class PixelShuffle(nn.Module):
    """nn.PixelShuffle in any number of dimensions."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        dims, extents = len(self.factor), x.shape[2:]
        x = x.reshape(x.shape[0], -1, *self.factor, *extents)
        x = x.permute(0, 1, *(i for a in range(dims) for i in (2 + dims + a, 2 + a)))
        return x.reshape(x.shape[0], x.shape[1], *(n * f for n, f in zip(extents, self.factor)))


def _each(text, rank):
    values = text.split(",")
    return values * rank if len(values) == 1 else values


def _sides(options, rank):
    pixels = options.pop("pixels", "0")
    sides = []
    for name in ("before", "after"):
        text = options.pop(name, "pixels")
        sides.append([int(n) for n in _each(pixels if text == "pixels" else text, rank)])
    return sides


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def make_layer(spec, inputs):
    """The module of one layer line for inputs of the given shapes (without the batch)."""
    options = dict(spec.options)
    first = inputs[0]
    rank = len(first) - 1
    kind = spec.kind
    if kind == "linear":
        if len(first) != 1:
            raise DeckError(f"layer '{spec.text}': needs a flat input, found {first}")
        layer = nn.Linear(first[0], int(options.pop("out")), bias=_option(options, "bias", boolean, True))
    elif kind == "pad":
        layer = Pad(*_sides(options, rank), _each(options.pop("mode", "zeros"), rank))
    elif kind == "crop":
        layer = Crop(*_sides(options, rank))
    elif kind == "slice":
        first_channel, end = options.pop("channels").split(":")
        layer = Slice(int(first_channel or 0), int(end or first[0]))
    elif kind == "multiply":
        layer = Multiply()
    elif kind == "prelu":
        layer = nn.PReLU(first[0] if _option(options, "per_channel", boolean, False) else 1, init=_option(options, "initial", float, 0.25))
    elif kind == "adaptive_avg_pool":
        layer = _of_rank((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), rank, spec)(_extent(options.pop("out")))
    elif kind == "pixel_shuffle":
        layer = PixelShuffle([int(n) for n in _each(options.pop("factor"), rank)])
    elif kind == "conv" and options.get("padding_mode", "zeros") != "zeros":
        padding = [int(n) for n in _each(options.pop("padding", "0"), rank)]
        front = Pad(padding, padding, _each(options.pop("padding_mode"), rank))
        extents = [n + 2 * p for n, p in zip(first[1:], padding)]
        layer = make_layer(dataclasses.replace(spec, options=options), [[first[0], *extents]])
        layer = nn.Sequential(front, layer)
        options = {}
    elif kind == "conv":
        options.pop("padding_mode", None)
        layer = _of_rank((nn.Conv1d, nn.Conv2d, nn.Conv3d), rank, spec)(
            first[0], int(options.pop("out")), _extent(options.pop("kernel")),
            stride=_option(options, "stride", _extent, 1), padding=_option(options, "padding", _extent, 0),
            dilation=_option(options, "dilation", _extent, 1), groups=_option(options, "groups", int, 1),
            bias=_option(options, "bias", boolean, True))
    elif kind == "conv_transpose":
        layer = _of_rank((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), rank, spec)(
            first[0], int(options.pop("out")), _extent(options.pop("kernel")),
            stride=_option(options, "stride", _extent, 1), padding=_option(options, "padding", _extent, 0),
            output_padding=_option(options, "output_padding", _extent, 0), dilation=_option(options, "dilation", _extent, 1),
            groups=_option(options, "groups", int, 1), bias=_option(options, "bias", boolean, True))
    elif kind in ("max_pool", "avg_pool"):
        window = dict(ceil_mode=_option(options, "ceil_mode", boolean, False), kernel_size=_extent(options.pop("kernel")), stride=_option(options, "stride", _extent, None),
                      padding=_option(options, "padding", _extent, 0))
        if kind == "max_pool":
            layer = _of_rank((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), rank, spec)(**window)
        else:
            layer = _of_rank((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), rank, spec)(
                **window, count_include_pad=_option(options, "count_include_pad", boolean, True))
    elif kind == "batch_norm":
        options.pop("sync", None)  # one process is the whole batch
        layer = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank](
            first[0], eps=_option(options, "eps", float, 1e-5), momentum=_option(options, "momentum", float, 0.1),
            affine=_option(options, "affine", boolean, True))
    elif kind == "group_norm":
        layer = nn.GroupNorm(int(options.pop("groups")), first[0], eps=_option(options, "eps", float, 1e-5),
                             affine=_option(options, "affine", boolean, True))
    elif kind == "instance_norm":
        layer = _of_rank((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), rank, spec)(
            first[0], eps=_option(options, "eps", float, 1e-5), affine=_option(options, "affine", boolean, False))
    elif kind == "layer_norm":
        dims = options.pop("dims", "all")
        layer = nn.LayerNorm(first if dims == "all" else first[-int(dims):], eps=_option(options, "eps", float, 1e-5),
                             elementwise_affine=_option(options, "affine", boolean, True))
    elif kind == "upsample":
        linear = _of_rank(("linear", "bilinear", "trilinear"), rank, spec)
        mode = {"nearest": "nearest", "linear": linear}[options.pop("mode", "nearest")]
        layer = nn.Upsample(scale_factor=_extent(options.pop("scale")), mode=mode, align_corners=None if mode == "nearest" else False)
    elif kind == "leaky_relu":
        layer = nn.LeakyReLU(_option(options, "slope", float, 0.01))
    elif kind == "dropout":
        layer = nn.Dropout(_option(options, "p", float, 0.5))
    elif kind == "elu":
        layer = nn.ELU(_option(options, "alpha", float, 1.0))
    elif kind == "softplus":
        layer = nn.Softplus(_option(options, "beta", float, 1.0), _option(options, "threshold", float, 20.0))
    elif kind == "scale":
        layer = Scale(number(options.pop("factor")))
    elif kind == "reshape":
        layer = nn.Sequential(nn.Flatten(), nn.Unflatten(1, shape(options.pop("shape"))))
    elif kind == "global_avg_pool":
        layer = GlobalAvgPool()
    elif kind in ("softmax", "log_softmax"):
        layer = {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax}[kind](dim=1)  # over channels (features)
    elif kind in ("relu", "tanh", "sigmoid", "gelu", "silu", "flatten", "add", "concat"):
        layer = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU, "flatten": nn.Flatten,
                 "add": Add, "concat": Concat}[kind]()
    else:
        raise DeckError(f"layer '{spec.text}': no counterpart of kind '{kind}'")
    if options:
        raise DeckError(f"layer '{spec.text}': unknown option '{next(iter(options))}'")
    return layer


def module_name(name):
    """torch's modules take no dots in their names; layers of blocks have them."""
    return name.replace(".", "/")


class Network(nn.Module):
    """The layers of a deck in order; `from` names inputs other than the layer before."""

    def __init__(self, deck):
        super().__init__()
        self.specs = deck.layers
        self.input_shape = shape(deck.text("model.input"))
        self.body = nn.ModuleDict()
        shapes = {"input": self.input_shape}
        previous = "input"
        self.sources = []
        for spec in self.specs:
            names = spec.inputs or [previous]
            for name in names:
                if name not in shapes:
                    raise DeckError(f"layer '{spec.text}': 'from={name}' names no layer before it")
            layer = make_layer(spec, [shapes[name] for name in names])
            self.body[module_name(spec.name)] = layer
            self.sources.append(names)
            with torch.no_grad():
                layer.eval()
                shapes[spec.name] = tuple(layer(*[torch.zeros(1, *shapes[name]) for name in names]).shape[1:])
                layer.train()
            previous = spec.name
        self.output_shape = shapes[previous]
        # Values that a later layer asks for by name are kept; a chain keeps only the last.
        self.kept = {name for names in self.sources for name in names}
        self.steps = [(module_name(spec.name), spec.name, names) for spec, names in zip(self.specs, self.sources)]

    def forward(self, x):
        values = {"input": x}
        previous = "input"
        for module, own_name, names in self.steps:
            x = self.body[module](*[x if name == previous else values[name] for name in names])
            if own_name in self.kept:
                values[own_name] = x
            previous = own_name
        return x


def memory_format_of(name, shape):
    """torch's channels_last for samples of this shape; contiguous where there is none, or another is asked for."""
    formats = {3: torch.channels_last, 4: torch.channels_last_3d}
    return formats.get(len(shape), torch.contiguous_format) if name == "channels_last" else torch.contiguous_format


class RelativeL2(nn.Module):
    """||y - t|| / ||t|| of each sample, in the mean over samples."""

    def forward(self, output, target):
        return ((output - target).flatten(1).norm(dim=1) / target.flatten(1).norm(dim=1).clamp_min(1e-12)).mean()


class Dice(nn.Module):
    """1 - (2 sum p t + s) / (sum p + sum t + s) of each sample and class, p = softmax(y), in the mean."""

    def __init__(self, smooth):
        super().__init__()
        self.smooth = smooth

    def forward(self, output, target):
        p = output.softmax(1).flatten(2)
        t = nn.functional.one_hot(target, output.shape[1]).movedim(-1, 1).flatten(2).to(p.dtype)
        return (1 - (2 * (p * t).sum(2) + self.smooth) / (p.sum(2) + t.sum(2) + self.smooth)).mean()


def make_loss(kind, label_smoothing=0.0, class_weights=(), ignore="", smooth=1.0):
    if kind == "cross_entropy":
        loss = nn.CrossEntropyLoss(weight=torch.tensor(class_weights) if class_weights else None, ignore_index=int(ignore) if ignore else -100,
                                   label_smoothing=label_smoothing)
        loss.ignore = int(ignore) if ignore else None
        return loss
    if class_weights or ignore:
        raise DeckError(f"loss.class_weights and loss.ignore of kind '{kind}' have no counterpart here")
    if kind == "dice":
        return Dice(smooth)
    plain = {"mse": nn.MSELoss, "mae": nn.L1Loss, "bce": nn.BCELoss, "bce_with_logits": nn.BCEWithLogitsLoss, "huber": nn.HuberLoss,
             "relative_l2": RelativeL2}
    if kind not in plain:
        raise DeckError(f"loss.kind = {kind} has no counterpart here")
    return plain[kind]()


class TrustRatio(torch.optim.Optimizer):
    """LARS (You, Gitman and Ginsburg 2017, algorithm 1) and LAMB (You et al. 2020, algorithm 2), which PyTorch lacks."""

    def __init__(self, groups, lr, epsilon, momentum=0, trust=None, betas=None):
        super().__init__(groups, dict(lr=lr, epsilon=epsilon, momentum=momentum, trust=trust, betas=betas, weight_decay=0, scaled=True))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state, decay = self.state[p], group["weight_decay"]
                weights, ratio = p.norm(), 1.0
                if group["betas"] is None:
                    norm = p.grad.norm()
                    if group["scaled"] and weights > 0 and norm > 0:
                        ratio = group["trust"] * weights / (norm + decay * weights + group["epsilon"])
                    state["buffer"] = group["momentum"] * state.get("buffer", 0) + group["lr"] * ratio * (p.grad + decay * p)
                    p -= state["buffer"]
                    continue
                (beta1, beta2), t = group["betas"], state.get("t", 0) + 1
                state["t"] = t
                state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * p.grad
                state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * p.grad ** 2
                update = state["m"] / (1 - beta1 ** t) / ((state["v"] / (1 - beta2 ** t)).sqrt() + group["epsilon"]) + decay * p
                if group["scaled"] and weights > 0 and update.norm() > 0:
                    ratio = weights / update.norm()
                p -= group["lr"] * ratio * update


def make_optimizer(deck, parameters):
    kind = deck.text("optimizer.kind", "sgd")
    decay, lr = deck.real("optimizer.weight_decay", 0), deck.real("optimizer.lr", 0.01)
    momentum, epsilon = deck.real("optimizer.momentum", 0), deck.real("optimizer.epsilon", 1e-8)
    betas = (deck.real("optimizer.beta1", 0.9), deck.real("optimizer.beta2", 0.999))
    parameters = list(parameters)
    groups = [dict(params=parameters, weight_decay=decay)]
    if not deck.boolean("optimizer.decay_biases", "true"):
        flat = [p for p in parameters if p.dim() <= 1]
        groups = [dict(params=[p for p in parameters if p.dim() > 1], weight_decay=decay), dict(params=flat, weight_decay=0.0)]
        if kind in ("lars", "lamb"):
            groups[1]["scaled"] = False
    groups = [group for group in groups if group["params"]]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, dampening=deck.real("optimizer.dampening", 0),
                               nesterov=deck.boolean("optimizer.nesterov", "false"), fused=True)
    if kind == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, alpha=deck.real("optimizer.alpha", 0.99), eps=epsilon, momentum=momentum,
                                   centered=deck.boolean("optimizer.centered", "false"))
    if kind == "lars":
        return TrustRatio(groups, lr, epsilon, momentum=momentum, trust=deck.real("optimizer.trust", 0.001))
    if kind == "lamb":
        return TrustRatio(groups, lr, epsilon, betas=betas)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
    return make(groups, lr=lr, eps=epsilon, betas=betas, fused=True)


def learning_rate(deck, step, steps_per_epoch, total_steps):
    """The learning rate of step 0, 1, ... as src/optim/schedule.hpp defines it."""
    lr, kind = deck.real("optimizer.lr", 0.01), deck.text("schedule.kind", "constant")
    warmup = round(deck.real("schedule.warmup", 0) * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    since, final = step - warmup, deck.real("schedule.final", 0)
    share = min(1.0, since / max(1, total_steps - warmup))
    if kind == "step":
        return lr * deck.real("schedule.gamma", 0.1) ** (since // max(1, round(deck.real("schedule.every", 1) * steps_per_epoch)))
    if kind == "cosine":
        return lr * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share)))
    if kind == "linear":
        return lr * (1 - (1 - final) * share)
    return lr
