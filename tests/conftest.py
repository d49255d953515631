"""`--report FILE`: a Markdown report of the run, with its date and versions."""

import datetime
import json
import platform
import subprocess
from pathlib import Path
from textwrap import indent

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", type=Path, help="write a Markdown report of the run to this file")


class Report:
    """Collects the outcome of every test and keeps the file up to date."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[str, str, float]] = []
        self.failures: list[tuple[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.rows.append((report.nodeid, report.outcome, report.duration))
            if report.failed:
                self.failures.append((f"{report.nodeid}, {report.when}", report.longreprtext))
            self.write()

    def write(self) -> None:
        """Write what is known so far, so that a run that was cut off leaves its report too."""
        counts = {outcome: sum(row[1] == outcome for row in self.rows) for outcome in ("passed", "failed", "skipped")}
        commit = _output("git", "rev-parse", "--short", "HEAD")
        helm = _output("helm", "version", "--short")
        kubernetes = json.loads(_output("kubectl", "version", "--client", "-o", "json"))["clientVersion"]["gitVersion"]
        lines = [
            "# `make e2e-all`, last run",
            "",
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit}: "
            f"{', '.join(f'{count} {outcome}' for outcome, count in counts.items())}",
            "",
            f"Python {platform.python_version()}, helm {helm}, Kubernetes {kubernetes}",
            "",
            "| test | outcome | seconds |",
            "|---|---|---|",
            *(f"| `{name}` | {outcome} | {seconds:.1f} |" for name, outcome, seconds in self.rows),
            "",
            *(line for name, text in self.failures for line in (f"## {name}", "", indent(text, "    "), "")),
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n".join(lines))


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def _group(path: Path) -> str:
    """Tests of one group run one after another: they share releases or a cluster of their own."""
    if path.parent.name == "e2e":
        return path.stem if path.stem.startswith("test_variant_") else "demo"
    return "/".join(path.parts[path.parts.index("tests") + 1 : -1])


class GroupScheduling(LoadScopeScheduling):
    """`pytest --numprocesses N`: each group on one worker, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(Path(nodeid.partition("::")[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the demo apart, or runs it with another image, comes last."""
    late = {"test_heal": 1, "test_orders": 2, "test_chaos": 3, "test_demo_command": 4}
    items.sort(key=lambda item: late.get(item.path.stem, 0))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--report")
    if path:
        config.pluginmanager.register(Report(path), "report")
