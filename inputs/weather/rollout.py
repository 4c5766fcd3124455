"""Forecasts of forecasts: root mean square errors of a trained network beside persistence and climatology.

    python3 inputs/weather/rollout.py runs/weather-forecast [--steps 10] [--data data/shallow_water]

The network's output is its next input (trireme predict --rollout). Persistence: the state does not change. Climatology: the mean of the training years at each grid point. The errors are
means over the initial states of all test years, with equal weights of the grid points. It needs h5py and numpy, and trireme on the PATH.
"""
import argparse
import glob
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

CHANNELS = ("height, m", "u, m/s", "v, m/s")


def read_years(folder):
    files = sorted(glob.glob(f"{folder}/*.h5"))
    if not files:
        sys.exit(f"error: '{folder}' holds no years. Hint: trireme shard shallow_water --out {pathlib.Path(folder).parent}")
    years = []
    for path in files:
        with h5py.File(path) as file:
            years.append(file["fields"][...])
    return years


def forecasts(program, run, states, steps):
    """The states of the next steps: (forecast, step, channel, lat, lon)."""
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(f"{folder}/states.h5", "w") as file:
            file["fields"] = states
        command = [*program.split(), "predict", run, "--data", f"{folder}/states.h5", "--out", f"{folder}/forecasts.h5", "--rollout", str(steps)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"error: '{' '.join(command)}' ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        with h5py.File(f"{folder}/forecasts.h5") as file:
            found = file["output"][...]
    if found.shape != (len(states), steps * states.shape[1], *states.shape[2:]):
        sys.exit(f"error: {steps} steps of {len(states)} states of shape {states.shape[1:]} gave an output of shape {found.shape}")
    return found.reshape(len(states), steps, *states.shape[1:])


def rmse(found, truth):
    """Of each channel."""
    return np.sqrt(np.mean((found.astype(float) - truth) ** 2, axis=(0, 2, 3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run directory")
    parser.add_argument("--data", default="data/shallow_water", help="folder with train and test (default data/shallow_water)")
    parser.add_argument("--steps", type=int, default=10, help="time steps of the longest forecast (default 10)")
    parser.add_argument("--apart", type=int, default=12, help="time steps between initial states (default 12)")
    parser.add_argument("--program", default="trireme", help="the program, with its launcher (default trireme)")
    parser.add_argument("--out", help="HDF5 file for the last forecast (/output) and its truth (/truth)")
    arguments = parser.parse_args()
    climate = np.mean([year.mean(axis=0, dtype=float) for year in read_years(f"{arguments.data}/train")], axis=0)
    years = read_years(f"{arguments.data}/test")
    starts = [(year, first) for year in years for first in range(0, len(year) - arguments.steps, arguments.apart)]
    if not starts:
        sys.exit(f"error: the test years have {len(years[0])} time steps, too few for forecasts of {arguments.steps}")
    initial = np.stack([year[first] for year, first in starts])
    found, factors = forecasts(arguments.program, arguments.run, initial, arguments.steps), {}
    print(f"{len(starts)} forecasts of {arguments.steps} steps; RMSE of the network, of persistence, of climatology")
    print("| step | " + " | ".join(CHANNELS) + " |\n| --- | --- | --- | --- |")
    for step in range(1, arguments.steps + 1):
        states, truth = found[:, step - 1], np.stack([year[first + step] for year, first in starts])
        errors = [rmse(states, truth), rmse(initial, truth), rmse(np.broadcast_to(climate, truth.shape), truth)]
        factors[step] = [float(np.mean(other / errors[0])) for other in errors[1:]]
        if step in (1, 2, 5) or step % 10 == 0 or step == arguments.steps:
            print(f"| {step} | " + " | ".join(", ".join(f"{error[c]:.3g}" for error in errors) for c in range(len(CHANNELS))) + " |")
    for step in sorted({1, min(10, arguments.steps), arguments.steps}):
        print(f"step {step}: persistence errs {factors[step][0]:.2f} times as much, climatology {factors[step][1]:.2f} times (mean over the channels)")
    spread = [field.std(axis=(0, 2, 3)) for field in (states.astype(float), truth.astype(float))]
    print(f"standard deviation after {arguments.steps} steps, forecast / truth: " + ", ".join(f"{a / b:.3f}" for a, b in zip(*spread))
          + ("" if np.isfinite(states).all() else "; the forecast is NOT finite"))
    if arguments.out:
        with h5py.File(arguments.out, "w") as file:
            file["output"], file["truth"] = states, truth


if __name__ == "__main__":
    main()
