"""The recordings of a running Kuscia: one request with its answer per line (Kuscia facts 16.1)."""

import dataclasses
import datetime
import json
import os
from pathlib import Path
from typing import Any

OWN = Path(__file__).parents[2] / "recordings"


def directory() -> Path:
    """Return the directory of the recordings: KUSCIA_RECORDINGS, or the ones in this repository."""
    return Path(os.environ.get("KUSCIA_RECORDINGS") or OWN)


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a transcript. status is None without an HTTP answer; error then says why."""

    index: int
    time: datetime.datetime
    target: str
    mode: str
    protocol: str
    scheme: str
    note: str
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    status: int | None
    answer_headers: dict[str, str]
    answer: str
    error: str

    @property
    def name(self) -> str:
        return f"#{self.index} {self.target}: {self.note}"

    @property
    def endpoint(self) -> str:
        """Return the group of the line in the table."""
        if self.gateway:
            return f"gateway {self.path}"
        return self.path.removeprefix("/api/v1/")

    @property
    def gateway(self) -> bool:
        return self.port in (1080, 80)

    @property
    def port(self) -> int:
        """Return the pod's port, which the recordings name in `target` or `note`."""
        if self.target.startswith("datamesh"):
            return 8070
        if "metrics port" in self.note:
            return 9091
        if "internal gateway port 80" in self.note:
            return 80
        if "gateway 1080" in self.note:
            return 1080
        if self.target.endswith("-gateway"):
            return 8082 if self.path in ("/probe", "/version") else 1080
        return 8082

    @property
    def node(self) -> str:
        """Return the name of the node: master, master-tls, lite-alice, ..."""
        return self.target.removesuffix("-gateway").replace("datamesh-", "lite-")


def load(name: str, where: Path | None = None) -> list[Line]:
    """Load the lines of `<name>.jsonl`; an empty list if the recording does not exist."""
    path = (where or directory()) / f"{name}.jsonl"
    if not path.exists():
        return []
    with path.open() as lines:
        return [_line(index, json.loads(text)) for index, text in enumerate(lines)]


def _line(index: int, data: dict[str, Any]) -> Line:
    request, response = data["request"], data.get("response")
    return Line(
        index=index,
        time=datetime.datetime.fromisoformat(data["ts"]),
        target=data["target"],
        mode=data["mode"],
        protocol=data["protocol"],
        scheme=data["scheme"],
        note=data["note"],
        method=request["method"],
        path=request["path"],
        headers=request["headers"],
        body=request["body"],
        status=response["status"] if response else None,
        answer_headers={k.lower(): v for k, v in response["headers"].items()} if response else {},
        answer=response["body"] if response else "",
        error=data.get("error", ""),
    )
