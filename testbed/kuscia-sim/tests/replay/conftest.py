"""Print what was replayed after the run."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for title, text in report.user_properties:
                terminalreporter.section(title)
                terminalreporter.write_line(text)
