"""Recordings of Kuscia, and of the MySQL driver that it uses."""

import json
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[2] / "testbed/kuscia-sim/recordings"
_DSN = json.loads(Path(__file__).with_name("go_mysql_dsn.json").read_text())
DSN_ROWS = [row for row in _DSN["rows"] if "given" in row]
"""What the MySQL driver reads in the addresses that `prepare` writes; the file says which driver."""


def recordings(name: str) -> list[dict[str, Any]]:
    """Return requests and answers of a running Kuscia."""
    return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


def startup_log(name: str) -> str:
    """Return the recorded log of a Kuscia that started (`sqlite`) or did not."""
    return (RECORDINGS / f"startup-cases/{name}.log").read_text()
