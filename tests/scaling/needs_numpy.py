"""Goes on in a Python that has numpy and matplotlib, as scripts/scaling does; where there is none the test is skipped."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "lib" / "scaling"), str(ROOT / "tests" / "support")]
try:
    import matplotlib  # noqa: F401
    import numpy  # noqa: F401
except ImportError:
    found = subprocess.run(["bash", "-c", f". '{ROOT}/scripts/lib/common.sh' && plot_python"], capture_output=True, text=True).stdout.strip()
    if not found or os.environ.get("TRIREME_TEST_REEXECUTED"):
        print("skipped: no Python with numpy and matplotlib here. Hint: scripts/setup")
        sys.exit(77)
    os.environ["TRIREME_TEST_REEXECUTED"] = "1"
    os.execv(found, [found, *sys.argv])
