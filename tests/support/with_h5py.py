"""Import this first: a script whose Python lacks h5py or numpy begins anew in the system's, where scripts/setup installs them; without any it ends as skipped."""

import importlib.util
import os
import sys

SYSTEM = "/usr/bin/python3"
SKIPPED = 77

if any(importlib.util.find_spec(name) is None for name in ("h5py", "numpy")):
    if os.environ.get("TRIREME_PYTHON_CHANGED") or not os.access(SYSTEM, os.X_OK):
        print("skipped: no Python here has h5py and numpy")
        sys.exit(SKIPPED)
    os.environ["TRIREME_PYTHON_CHANGED"] = "1"
    os.execv(SYSTEM, [SYSTEM, *sys.argv])
os.environ.pop("TRIREME_PYTHON_CHANGED", None)
