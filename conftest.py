"""Options of all test runs: a Markdown report (`--report FILE`), and the order of the end-to-end tests."""

import datetime
import json
import platform
import subprocess
from collections import Counter
from pathlib import Path
from textwrap import indent

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", type=Path, help="write a Markdown report of the run to this file")


OUTCOMES = ("passed", "failed", "skipped")


class Report:
    """Write the outcome of every test to a file, after each test.

    A test on the cluster has its own row; the others have one row per file. `record_property(title, text)` adds a
    section.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # tests may change the working directory
        self.outcomes: dict[str, Counter[str]] = {}
        self.seconds: Counter[str] = Counter()
        self.sections: list[tuple[str, str]] = []
        kubernetes = json.loads(_output("kubectl", "version", "--client", "-o", "json"))["clientVersion"]["gitVersion"]
        helm = _output("helm", "version", "--short")
        self.versions = f"Python {platform.python_version()}, helm {helm}, Kubernetes {kubernetes}"
        self.commit = _output("git", "rev-parse", "--short", "HEAD")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            alone = {"cluster", "long"} & set(report.keywords)
            name = report.nodeid if alone else report.nodeid.partition("::")[0]
            self.outcomes.setdefault(name, Counter())[report.outcome] += 1
            self.seconds[name] += report.duration
            self.sections += [(title, str(text)) for title, text in report.user_properties]
            if report.failed:
                self.sections.append((f"{report.nodeid}, {report.when}", report.longreprtext))
                self.sections += [
                    (f"{report.nodeid}, {title}", text)
                    for title, text in report.sections
                    if not title.startswith("Captured")
                ]
            self.write()

    def write(self) -> None:
        """Write the report so far, so that an interrupted run has a report too."""
        counts = sum(self.outcomes.values(), Counter())
        lines = [
            f"# {self.path.stem}: last run of `make test-all`",
            "",
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {self.commit}: "
            f"{', '.join(f'{counts[outcome]} {outcome}' for outcome in OUTCOMES)}",
            "",
            self.versions,
            "",
            "| test | outcome | seconds |",
            "|---|---|---|",
            *(f"| `{name}` | {_shown(self.outcomes[name])} | {self.seconds[name]:.1f} |" for name in self.outcomes),
            "",
            *(line for title, text in self.sections for line in (f"## {title}", "", indent(text, "    "), "")),
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The text of a failure contains paths of the machine.
        self.path.write_text("\n".join(lines).replace(str(Path.home()), "~"))


def _shown(outcomes: Counter[str]) -> str:
    """Return `passed` for one test, `3 passed, 1 failed` for several."""
    if outcomes.total() == 1:
        return next(iter(outcomes))
    return ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome])


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


OWN_RELEASES = {
    "test_from_the_guide",
    "test_flux",
    "test_gitops",
    "test_leave",
    "test_move",
    "test_network_policies",
    "test_node_restart",
    "test_other_clusters",
    "test_plugin",
    "test_release",
}
"""End-to-end tests, in addition to the variants, that do not change the demo."""


SCENARIOS = {
    "test_configs",
    "test_images",
    "test_inventory",
    "test_objects",
    "test_roles_cover_configs",
    "test_scalars",
    "test_sizes",
}
"""Tests of the chart that share its rendered scenarios. Each process renders those once."""


def _group(path: Path) -> str:
    """Return the group of a file. Tests of a group share releases or a cluster, and run one after another."""
    if path.parent.name == "e2e":
        return path.stem if path.stem.startswith("test_variant_") or path.stem in OWN_RELEASES else "demo"
    if path.parts[0] != "tests":
        return str(path.parent)
    return "scenarios" if path.parent.name == "chart" and path.stem in SCENARIOS else str(path)


class GroupScheduling(LoadScopeScheduling):
    """Run each group on one worker (`--numprocesses N`), in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(Path(nodeid.partition("::")[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests last that remove the demo or change its image."""
    late = {"test_heal": 1, "test_orders": 2, "test_chaos": 3, "test_demo_command": 4}
    items.sort(key=lambda item: late.get(item.path.stem, 0))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--report")
    # A worker of pytest-xdist sends its outcomes to the controller, which writes the report.
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(path), "report")
