"""What the measured parts of a step become on more nodes, and how sure that is.

A node computes as fast as a rank that was measured here, or `speed` times as fast; the network is the machine file's. Of n nodes' step:

    compute     strong: serial + parallel/n, Amdahl's law fitted to the measured compute parts; weak: that of the fewest ranks measured
    reduction   all-reduce of the gradients (fits.all_reduce_seconds), of which backward hides what begins before its last bucket; never less than that bucket
    imbalance   noise x compute x the expected maximum of n normal numbers: ranks' steps vary, and all wait for the slowest
    data, other as measured on the fewest ranks; in strong scaling data goes down with a rank's share of the batch

Error bars: the repeats of each configuration are drawn again (bootstrap), everything is fitted again. They hold for the model's truth, not for what it leaves
out: file systems, topology, other jobs' traffic, algorithms that MPI chooses.
"""
import statistics

import fits


def medians(repeats):
    """{ranks: [figures of a repeat, ...]} -> {ranks: figures}."""
    return {ranks: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for ranks, runs in repeats.items()}


def refusals(repeats, most):
    """Why a study may not be extrapolated, as sentences; empty if it may. `most`: largest spread of the repeats that counts as undisturbed.

    The spread is (slowest - fastest) / median of the time of a step."""
    found = []
    if len(repeats) < 2:
        found.append(f"The study has only one number of ranks ({min(repeats)}). One point does not show how the time changes with the number of ranks. "
                     "Hint: measure at least two, such as --ranks 1,2.")
    single = [ranks for ranks, runs in sorted(repeats.items()) if len(runs) < 2]
    if single:
        found.append(f"There is only one repeat on {listed(single)} ranks. One repeat does not show whether other load disturbed it. Hint: use --repeats 5.")
    for ranks, runs in sorted(repeats.items()):
        steps = [run["step"] for run in runs]
        spread = (max(steps) - min(steps)) / statistics.median(steps)
        if spread > most:
            found.append(f"The study is disturbed: on {ranks} rank{'s' if ranks > 1 else ''} a step takes {min(steps) * 1e3:.3g} to {max(steps) * 1e3:.3g} ms, "
                         f"a spread of {100 * spread:.0f} % of the median; at most {100 * most:g} % are allowed (--max-spread). "
                         "Hint: repeat the study on a machine without other load.")
    return found


def listed(numbers):
    return ", ".join(map(str, numbers))


def predict(figures, mode, machine, nodes, speed=1.0):
    """Seconds of a step on so many nodes, by parts. `figures`: {ranks: figures}."""
    ranks = sorted(figures)
    first = figures[ranks[0]]
    if mode == "strong":
        serial, parallel = fits.amdahl(ranks, [figures[n]["compute"] for n in ranks])
        compute, share = (serial + parallel / nodes) / speed, ranks[0] / nodes
    else:
        compute, share = first["compute"] / speed, 1.0
    most = figures[ranks[-1]]
    buckets = max(1.0, most["messages"])
    size = first["parameters"] * 4
    alpha, beta = machine["alpha_s"], 1 / machine["bandwidth_bytes_per_s"]
    whole = fits.all_reduce_seconds(nodes, size, buckets, alpha, beta)
    last = fits.all_reduce_seconds(nodes, size / buckets, 1, alpha, beta)
    backward = compute * first["backward"] / first["compute"]
    parts = {"compute": compute, "reduction": max(last, whole - backward * (1 - 1 / buckets)),
             "imbalance": first["noise"] * compute * fits.expected_maximum(nodes),
             "data": first["data"] * share, "other": first["other"] / speed}
    return {"step": sum(parts.values()), **parts}


def predictions(repeats, mode, machine, nodes, speed=1.0, draws=400):
    """For each number of nodes: the parts, `low` and `high` of the step (90 %), and the efficiency against one node with its own bounds."""
    figures = medians(repeats)
    result = {}
    for n in nodes:
        def step_and_efficiency(sample):
            found = medians(sample)
            one, many = predict(found, mode, machine, 1, speed)["step"], predict(found, mode, machine, n, speed)["step"]
            return many, one / (many * (n if mode == "strong" else 1))
        drawn = fits.bootstrap(repeats, step_and_efficiency, draws)
        parts = predict(figures, mode, machine, n, speed)
        one = predict(figures, mode, machine, 1, speed)["step"]
        low, high = fits.interval([d[0] for d in drawn])
        worst, best = fits.interval([d[1] for d in drawn])
        result[n] = {**parts, "low": low, "high": high, "efficiency": one / (parts["step"] * (n if mode == "strong" else 1)), "worst": worst, "best": best}
    return result
