"""Run a module as the main program, and write the peak of its resident memory to a file.

    python -m bench.measured FILE MODULE [ARG ...]

The kernel's accounting of a finished process (ru_maxrss) counts the memory of the process that started it, too.
"""

import atexit
import runpy
import sys
from pathlib import Path


def peak_mb() -> float:
    """Return the peak of this process in MB (10^6 bytes)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    _, path, module, *arguments = sys.argv
    atexit.register(lambda: Path(path).write_text(f"{peak_mb()}"))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
