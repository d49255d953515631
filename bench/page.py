"""The tables of results in bench/README.md and docs/performance.md, in both languages of the latter."""

import re
from typing import Any

from bench import timeline
from bench.processes import ROOT

README = ROOT / "bench/README.md"
PAGES = {ROOT / "docs/performance.md": ("figure", "measured", "target", "met", "yes", "no", "not measured"),
         ROOT / "docs/performance.zh-CN.md": ("指标", "测量值", "目标", "达标", "是", "否", "未测量")}  # fmt: skip
BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"

Results = dict[str, Any]

INTRODUCTION = """\
# Benchmark results

Written by `make bench`; do not edit. [docs/performance.md](../docs/performance.md) explains the figures, how they are
measured and what they depend on.
"""
MORE = """\
## Run it

    make bench                          # all figures, about 12 minutes; the machine should be idle
    make bench FIGURES="start check"    # some of: small, large, start, check, chart, plugin, timeline

`plugin` needs the local cluster with six releases, `timeline` with a fresh installation (`make demo`).
Parts that are not measured keep their earlier figures.
"""


def readme(results: Results) -> str:
    """Return bench/README.md."""
    parts = [INTRODUCTION, _machine(results)]
    groups = dict.fromkeys(figure["group"] for figure in results["figures"])
    for group in groups:
        rows = [figure for figure in results["figures"] if figure["group"] == group]
        parts.append(f"## {group}\n\n{_long_table(rows)}")
    if timeline.CHART.exists():
        parts.append("## Timeline of an installation\n\n![When each step ran](timeline.svg)\n")
    return "\n".join([*parts, MORE])


def _machine(results: Results) -> str:
    machine = results["machine"]
    kubernetes = f", Kubernetes {machine['kubernetes']}" if machine["kubernetes"] else ""
    load = ", ".join(f"{value:g}" for value in machine["load"])
    busy = "**The machine was busy: times are too long.** " if machine["busy"] else ""
    return (
        f"Last run: {results['date']}, commit `{results['commit']}`, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}{kubernetes}. {busy}Load average before the run and after each part: {load}.\n"
    )


def _long_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| figure | what | measured | target | met | spread | note |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        repeats = row.get("repeats", [])
        spread = f"{min(repeats):g}–{max(repeats):g}" if len(repeats) > 1 else ""
        met = "yes" if row["met"] else "**no**"
        lines.append(
            f"| `{row['id']}` | {row['title']} | {amount(row['measured'], row['unit'])} | "
            f"{amount(row['target'], row['unit'])} | {met} | {spread} | {row.get('note', '')} |"
        )
    return "\n".join(lines) + "\n"


def amount(value: float | None, unit: str) -> str:
    """Return a value with its unit."""
    if value is None:
        return "not measured"
    return f"{value:g} {unit}".strip()


def table(results: Results, words: tuple[str, ...]) -> str:
    """Return the short table of a documentation page.

    Args:
        words: the column titles, yes, no, and not measured.
    """
    figure, measured, target, met, yes, no, missing = words
    lines = [f"| {figure} | {measured} | {target} | {met} |", "|---|---|---|---|"]
    for row in results["figures"]:
        value = missing if row["measured"] is None else amount(row["measured"], row["unit"])
        state = yes if row["met"] else no
        lines.append(f"| `{row['id']}` | {value} | {amount(row['target'], row['unit'])} | {state} |")
    return "\n".join(lines)


def with_table(text: str, results: Results, words: tuple[str, ...]) -> str:
    """Return a page with its table replaced."""
    block = f"{BEGIN}\n\n{table(results, words)}\n\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)


def write(results: Results) -> None:
    """Write all pages."""
    README.write_text(readme(results))
    for page, words in PAGES.items():
        page.write_text(with_table(page.read_text(), results, words))
