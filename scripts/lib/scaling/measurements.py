"""What a finished run says of its steps: where the time of a step went, on all ranks.

From trace.json (phases of each rank) and metrics.jsonl (what each axis sent, what the checkpoint took). Of the steps behind the warm-up the middle half by
duration counts, so that what else a machine does in a moment does not. The parts add up to the step:

    compute     forward, backward and update, mean of the ranks, without what halos and other axes than the data axis waited
    reduction   exposed: what the rank that came last to the sums still waited
    halo        exposed, of the axes that exchange within a sample (spatial, tensor, pipeline), as far as the program reports it
    data        waiting for the batch
    imbalance   what the mean rank waited for the last one
    other       the rest: the host's bookkeeping between phases
"""
import json
import pathlib

import numpy as np

PARTS = ("compute", "reduction", "halo", "data", "imbalance", "other")


def events(folder):
    file = pathlib.Path(folder) / "metrics.jsonl"
    found = []
    for line in file.read_text(errors="replace").splitlines() if file.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # a killed run may leave half a line
    return found


def is_finished(folder):
    return any(event.get("event") == "end" for event in events(folder)) and (pathlib.Path(folder) / "trace.json").is_file()


def phases_by_step(spans):
    """(steps, phases) seconds of one rank, in the order of NAMES, and the duration of each step, from update's end to update's end."""
    names = ("data wait", "forward", "backward", "reduce", "update")
    rows, row, ends = [], dict.fromkeys(names, 0.0), []
    for span in sorted(spans, key=lambda s: s["ts"]):
        if span["name"] not in row:
            continue  # checkpoint, evaluate: between steps
        row[span["name"]] += span["dur"] * 1e-6
        if span["name"] == "update":
            rows.append([row[name] for name in names])
            ends.append((span["ts"] + span["dur"]) * 1e-6)
            row = dict.fromkeys(names, 0.0)
    return np.array(rows), np.diff(ends, prepend=np.nan)


def read(folder, warm_up):
    """Figures of one run: seconds of a step and of its parts, and what models need."""
    folder = pathlib.Path(folder)
    told = events(folder)
    start = next(event for event in told if event.get("event") == "start")
    end = [event for event in told if event.get("event") == "end"][-1]
    ranks = {}
    for span in json.loads((folder / "trace.json").read_text()):
        if span.get("ph") == "X":
            ranks.setdefault(span["pid"], []).append(span)
    traced = [phases_by_step(spans) for _, spans in sorted(ranks.items())]
    steps = min(len(rows) for rows, _ in traced)
    if steps <= warm_up + 1:
        raise SystemExit(f"error: '{folder}' has {steps} steps and {warm_up} of them are warmup: no step is left to measure. Hint: increase --steps")
    phases = np.stack([rows[warm_up:steps] for rows, _ in traced])          # ranks, steps, phases
    durations = np.mean([steps_of[warm_up:steps] for _, steps_of in traced], axis=0)
    order = np.argsort(durations)
    middle = order[len(order) // 4: len(order) - len(order) // 4]
    durations, phases = durations[middle], phases[:, middle]
    data, forward, backward, reduce, update = (phases[:, :, i] for i in range(5))

    busy = forward + backward + update
    lines = end.get("communication", [])
    halo = sum(line["exposed_s"] for line in lines if line["axis"] != "data")
    reduction = reduce.min(axis=0).mean()
    parts = {"compute": max(0.0, busy.mean() - halo), "reduction": reduction, "halo": halo, "data": data.mean(), "imbalance": reduce.mean() - reduction}
    parts["other"] = max(0.0, durations.mean() - sum(parts.values()))
    sums = [line for line in lines if line["axis"] == "data"]
    checkpoints = [event for event in told if event.get("event") == "checkpoint"]
    return {"ranks": start["ranks"], "threads": start["threads"], "batch": start["batch"], "parameters": start["parameters"],
            "step": float(durations.mean()), **{key: float(value) for key, value in parts.items()},
            "backward": float(backward.mean()),
            "checkpoint": checkpoints[-1]["seconds"] if checkpoints else float("nan"),
            # How much a rank's work differs from step to step, as a share of it: what makes ranks wait for the slowest of many.
            "noise": float(busy.std(axis=1).mean() / busy.mean()),
            "messages": sum(line["messages"] for line in sums), "bytes": sum(line["bytes"] for line in sums),
            "alone": sum(max(0.0, line.get("alone_s", 0.0)) for line in sums)}
