"""Trains a deck with PyTorch on the CPU; one process a rank (DDP over gloo when WORLD_SIZE > 1), or with --device cuda on one GPU, which then has the whole
data set in its memory. Prints one JSON line on rank 0.

Started by compare_pytorch.py; by hand: TRIREME_TORCH_PYTHON scripts/lib/torch_train.py DECK [--section.key=value ...].
"""
import argparse
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from deck import Deck, DeckError  # noqa: E402
from torch_data import DataInMemory  # noqa: E402
from torch_metrics import Metrics  # noqa: E402
from torch_model import Network, learning_rate, make_loss, make_optimizer, memory_format_of  # noqa: E402


def evaluate(model, data, loss_function, batch, seed):
    """Loss and metrics over the whole set, each sample once; noise, where the deck wants it, is the same each time."""
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    loss_sum, metrics = 0.0, Metrics(data, getattr(loss_function, "ignore", None))
    with torch.no_grad():
        for first in range(0, len(data), batch):
            x, y = data.batch(slice(first, first + batch), generator=generator)
            output = model(x)
            loss_sum += loss_function(output, y).item() * len(x)
            metrics.add(output, y)
    model.train()
    return {"loss": loss_sum / len(data), **metrics.result()}


def warm_up(step_model, data, loss_function, sizes):
    """Compiles for every size of batch that comes, before the clock starts. Leaves no gradients."""
    for size in sizes:
        x, y = data.batch(torch.arange(size), training=True)
        loss_function(step_model(x), y).backward()
    step_model.zero_grad(set_to_none=True)


class Stepper:
    """One training step. On a GPU it may be recorded once and replayed (--graph), products in bf16 (--precision bf16) are PyTorch's autocast."""

    def __init__(self, model, loss_function, optimizer, clip, arguments):
        self.model, self.loss_function, self.optimizer, self.clip = model, loss_function, optimizer, clip
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.device, self.autocast = arguments.device, arguments.precision == "bf16"
        self.records, self.recorded = arguments.graph, {}

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            loss = self.loss_function(self.model(x), y)
        loss.backward()
        if self.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return loss.detach()

    def __call__(self, x, y):
        if not self.records:
            return self.step(x, y)
        if len(x) not in self.recorded:
            self.recorded[len(x)] = self.record(x, y)
        graph, own_x, own_y, loss = self.recorded[len(x)]
        own_x.copy_(x), own_y.copy_(y)
        graph.replay()
        return loss

    def record(self, x, y):
        own_x, own_y = x.clone(), y.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step(own_x, own_y)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.step(own_x, own_y)
        return graph, own_x, own_y, loss


def train(deck, arguments):
    for key, plain in (("train.ema", 0), ("train.accumulate", 1)):
        if deck.real(key, plain) != plain:
            raise DeckError(f"{key} = {deck.text(key)} is not supported here. Hint: set --{key}={plain}")
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(arguments.threads)
    if torch.get_num_interop_threads() != 1:  # may be set once
        torch.set_num_interop_threads(1)
    if ranks > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(deck.integer("run.seed", 1))
    device, on_gpu = arguments.device, arguments.device == "cuda"
    if on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arguments.precision == "tf32"
        torch.backends.cudnn.benchmark = True

    model = Network(deck).to(device)
    input_shape = model.input_shape
    memory_format = memory_format_of(arguments.format, input_shape)
    model.to(memory_format=memory_format)
    parameters = list(model.parameters())
    step_model = model
    if ranks > 1:
        step_model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)
    if arguments.compile:
        step_model = torch.compile(step_model, dynamic=False)  # the sizes of batches are few
    loss_function = make_loss(deck.text("loss.kind", "cross_entropy"), deck.real("loss.label_smoothing", 0), deck.reals("loss.class_weights"),
                              deck.text("loss.ignore", "")).to(device)
    optimizer = make_optimizer(deck, parameters)
    clip = deck.real("optimizer.clip_norm", 0)

    data = DataInMemory(deck, "train", input_shape, model.output_shape, memory_format, device)
    test = DataInMemory(deck, "test", input_shape, model.output_shape, memory_format, device, data) if arguments.evaluate else None
    take_step = Stepper(step_model, loss_function, optimizer, clip, arguments)
    batch = deck.integer("data.batch", 32)
    steps_per_epoch = -(-len(data) // batch)
    if arguments.compile:
        warm_up(step_model, data, loss_function, [len(torch.arange(n).tensor_split(ranks)[rank]) for n in (batch, (len(data) - 1) % batch + 1)])
    torch.manual_seed(deck.integer("run.seed", 1) + rank)  # dropout and augmentation are not the same on all ranks
    total = arguments.steps or deck.integer("train.steps", 0) or deck.integer("train.epochs", 1) * steps_per_epoch
    order = torch.Generator().manual_seed(deck.integer("run.seed", 1))

    step, samples, epochs, timed_from, timed_samples = 0, 0, [], 0.0, 0
    loss_sum = torch.zeros((), device=device)

    def now():
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()
    start, marks = now(), []
    while step < total:
        rows_of_epoch = torch.randperm(len(data), generator=order).to(device)
        for index in range(steps_per_epoch):
            if step == total:
                break
            if step == arguments.skip:
                timed_from, timed_samples = now(), samples
            if arguments.interval and step > arguments.skip and (step - arguments.skip) % arguments.interval == 0:
                marks.append((now(), samples))
            rows = rows_of_epoch[index * batch:(index + 1) * batch]
            count = len(rows)
            if ranks > 1:
                rows = rows.tensor_split(ranks)[rank]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(deck, step, steps_per_epoch, total)
            x, y = data.batch(rows, training=True)
            loss_sum += take_step(x, y)
            step, samples = step + 1, samples + count
        if test and rank == 0:
            epochs.append(evaluate(model, test, loss_function, deck.integer("data.test_batch", 0) or batch, deck.integer("run.seed", 1)))
            if arguments.verbose:
                print(f"epoch {len(epochs)}: train loss {loss_sum.item() / index:.4f} test {epochs[-1]}"
                      f" {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
            loss_sum.zero_()
    end = now()
    parts = [(timed_from, timed_samples), *marks]
    result = {"rates": [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(parts, parts[1:])], "steps": step, "samples_per_s": (samples - timed_samples) / (end - timed_from), "seconds": end - start,
              "parameters": sum(p.numel() for p in parameters), "epochs": epochs}
    if ranks > 1:
        dist.destroy_process_group()
    return result if rank == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deck")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--format", choices=("nchw", "channels_last"), default="nchw")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32", help="precision of products on a GPU; bf16 uses autocast")
    parser.add_argument("--graph", action="store_true", help="record a step as a CUDA graph and replay it; the learning rate remains that of the first step")
    parser.add_argument("--interval", type=int, default=0, help="steps per measured rate, after the skipped steps")
    parser.add_argument("--steps", type=int, default=0, help="number of steps; 0: as in the deck")
    parser.add_argument("--skip", type=int, default=0, help="first steps that are not measured")
    parser.add_argument("--evaluate", action="store_true", help="compute test metrics after each epoch")
    parser.add_argument("--verbose", action="store_true")
    arguments, overrides = parser.parse_known_args()
    result = train(Deck.read(arguments.deck, overrides), arguments)
    if result:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
