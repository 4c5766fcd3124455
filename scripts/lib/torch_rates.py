"""Rates of training steps with PyTorch for many cases in one process. Started by scripts/gpu_check: torch_rates.py CASES.json DEVICE; prints one JSON line each."""
import json
import pathlib
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import torch  # noqa: E402

import torch_train  # noqa: E402
from deck import Deck  # noqa: E402


def measure(case, device):
    arguments = types.SimpleNamespace(threads=8, format="channels_last", compile=False, device=device, precision=case["precision"],
                                      graph=case["graph"] and device == "cuda", interval=case["interval"], skip=case["skip"], evaluate=False, verbose=False,
                                      steps=case["skip"] + case["intervals"] * case["interval"] + 1)
    return torch_train.train(Deck.read(case["deck"], case["overrides"]), arguments)["rates"]


def main():
    print(f"PyTorch {torch.__version__}", flush=True)
    for case in json.load(open(sys.argv[1])):
        try:
            print(json.dumps({**{key: case[key] for key in ("name", "precision", "graph")}, "rates": measure(case, sys.argv[2])}), flush=True)
        except Exception as error:  # the next case may work
            print(f"{case['name']} {case['precision']}: {error!r}", flush=True)


if __name__ == "__main__":
    main()
