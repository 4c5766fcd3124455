"""Laws of scaling, fitted to measured times. Plain functions on numbers; nothing here knows of files or of Trireme.

Sources: Amdahl 1967; Gustafson 1988; Karp and Flatt 1990; Hockney 1994 (alpha-beta); Thakur, Rabenseifner and Gropp 2005 (cost of all-reduces);
Efron 1979 (bootstrap).
"""
import math

import numpy as np


def least_squares(columns, values, weights=None):
    """Coefficients, none of them negative, of the columns whose sum is nearest to the values. One that would be negative is 0 and the others are fitted again."""
    columns, values = np.asarray(columns, float).T, np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    kept = list(range(columns.shape[1]))
    while kept:
        found, *_ = np.linalg.lstsq(columns[:, kept] * weights[:, None], values * weights, rcond=None)
        if (found >= 0).all():
            break
        kept.pop(int(np.argmin(found)))
    result = np.zeros(columns.shape[1])
    if kept:
        result[kept] = found
    return result


def amdahl(ranks, seconds):
    """T(n) = serial + parallel/n: (serial, parallel) in seconds. The serial fraction is serial/(serial + parallel)."""
    ranks = np.asarray(ranks, float)
    return least_squares([np.ones_like(ranks), 1 / ranks], seconds, 1 / np.asarray(seconds, float))


def gustafson(ranks, scaled_speedup):
    """Serial fraction s of S(n) = n - s (n - 1), where the work grows with n. Below 0: better than linear."""
    n, speedup = np.asarray(ranks, float), np.asarray(scaled_speedup, float)
    grown = n > n.min()
    if not grown.any():
        return float("nan")
    return float(np.sum((n - speedup)[grown] * (n - 1)[grown]) / np.sum((n - 1)[grown] ** 2))


def karp_flatt(ranks, speedup):
    """Serial fraction that the speed-up on so many ranks amounts to: (1/S - 1/n)/(1 - 1/n). That it grows with n tells of overhead, not of serial work."""
    return (1 / speedup - 1 / ranks) / (1 - 1 / ranks)


def alpha_beta(sizes, seconds):
    """t = alpha + beta size: seconds a message, seconds a byte. Relative errors are weighed alike, so that small messages count."""
    sizes, seconds = np.asarray(sizes, float), np.asarray(seconds, float)
    return least_squares([np.ones_like(sizes), sizes], seconds, 1 / seconds)


def all_reduce_seconds(ranks, size, messages, alpha, beta):
    """Recursive halving and doubling (Rabenseifner): 2 log2(p) start-ups a message, 2 (p - 1)/p of the bytes."""
    if ranks <= 1:
        return 0.0
    return 2 * np.ceil(np.log2(ranks)) * messages * alpha + 2 * (ranks - 1) / ranks * size * beta


def expected_maximum(ranks):
    """Mean of the largest of so many standard normal numbers: what the slowest of n equal ranks is late, in standard deviations."""
    if ranks <= 1:
        return 0.0
    # E = integral over x > 0 of 1 - F(x)^n - F(-x)^n, where F is the normal distribution.
    x = np.linspace(0, 9, 4501)
    below = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    return float(np.trapz(1 - below ** ranks - (1 - below) ** ranks, x))


def bootstrap(repeats, statistic, draws=1000, seed=1):
    """The statistic of samples drawn again, with replacement, from the repeats of each configuration: {configuration: [repeat, ...]}. A list, one a draw."""
    random = np.random.default_rng(seed)
    results = []
    for _ in range(draws):
        results.append(statistic({key: [values[i] for i in random.integers(len(values), size=len(values))] for key, values in repeats.items()}))
    return results


def interval(values, coverage=0.9):
    """Lowest and highest of the middle `coverage` of the values."""
    values = np.asarray([v for v in values if np.isfinite(v)], float)
    if len(values) == 0:
        return float("nan"), float("nan")
    return tuple(np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2]))
