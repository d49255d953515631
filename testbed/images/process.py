"""Run programs that take long: progress, log files, error messages."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from testbed.cluster.errors import CannotRunHere, ClusterError

TICK = 10.0


class ImageError(ClusterError):
    """An image could not be built, loaded or pushed. The message ends with the last lines of the program."""


def say(text: str) -> None:
    """Print a progress line."""
    print(f"    {text}", file=sys.stderr, flush=True)


def require(*programs: str) -> None:
    """Check that programs are on the PATH.

    Raises:
        CannotRunHere: the message names all missing programs and the command that installs them.
    """
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise CannotRunHere(f"missing: {', '.join(missing)}. Debian: apt-get install {' '.join(missing)}")


def run(title: str, argv: list[str], logs: Path) -> str:
    """Run a program and return its standard output; print a line every TICK seconds until it ends.

    Args:
        title: names the work in progress lines, in errors and in the name of the log file.
        logs: directory for the log file.

    Raises:
        ImageError: the program failed.
    """
    began = time.monotonic()
    log = logs / f"{re.sub(r'[^a-z0-9]+', '-', title.lower())[:60]}.log"
    with log.open("w+") as errors:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)
        while True:
            try:
                output, _ = process.communicate(timeout=TICK)
                break
            except subprocess.TimeoutExpired:
                say(f"… {title}: {time.monotonic() - began:.0f} s (log: {log})")
            except BaseException:
                process.terminate()
                process.wait(timeout=30)
                raise
        errors.seek(0)
        text = errors.read() + output
    if process.returncode:
        last = "\n".join(text.splitlines()[-30:])
        raise ImageError(f"{title}: `{argv[0]}` exited with {process.returncode}; log: {log}\n{last}")
    return output
