#!/usr/bin/env python3
"""Writes the small CSV files that linear/regression.ini and tanh/mlp.ini learn from: inputs/linear/plane.csv, inputs/tanh/waves.csv."""
import csv
import math
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{value:.5f}" for value in row] for row in rows)
    print(f"{path.relative_to(HERE.parent)}: {len(rows)} rows")


def plane(draw, count=1000, noise=0.02):
    """y = A x + b plus noise, so a linear layer ends with A and b as its weight and bias and noise^2 as its loss."""
    a = ((1.5, -0.5), (-2.0, 0.75), (0.25, 1.0))
    b = (0.1, -0.3, 0.5)
    for _ in range(count):
        x = (draw.uniform(-1, 1), draw.uniform(-1, 1))
        yield (*x, *(row[0] * x[0] + row[1] * x[1] + shift + draw.gauss(0, noise) for row, shift in zip(a, b)))


def waves(draw, count=1200):
    """Three smooth functions of two variables, which four hidden units follow closely."""
    for _ in range(count):
        x1, x2 = draw.uniform(-1, 1), draw.uniform(-1, 1)
        yield x1, x2, math.sin(2 * x1 - x2), math.tanh(3 * x2), math.exp(x1 + x2 - 1)


def main():
    draw = random.Random(1)
    header = ["x1", "x2", "y1", "y2", "y3"]
    write(HERE / "linear" / "plane.csv", header, list(plane(draw)))
    write(HERE / "tanh" / "waves.csv", header, list(waves(draw)))


if __name__ == "__main__":
    main()
