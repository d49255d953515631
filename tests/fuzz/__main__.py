"""Run generated values files through the chart: `python -m tests.fuzz --files 200 --seed 1`."""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.chart.render import tool
from tests.fuzz.api_server import Address, Client, running
from tests.fuzz.generator import Case, Generator
from tests.fuzz.judge import BY_CHART, BY_HELM, BY_SCHEMA, EXTRA_OBJECT, FAULT, RENDERED, Judge, Verdict
from tests.fuzz.minimize import minimize

CHUNK = 20
_judge: Judge
_generator: Generator


def _begin(address: Address) -> None:
    global _judge, _generator
    _judge, _generator = Judge(Client(address)), Generator()


def _run(seed: int, numbers: range) -> list[tuple[int, Verdict]]:
    return [(number, _judge.verdict(_generator.case(seed, number))) for number in numbers]


def _shrink(case: Case, kind: str) -> Case:
    return minimize(case, lambda smaller: _judge.verdict(smaller).kind == kind)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=200, help="number of values files")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="write the result to this file")
    parser.add_argument("--show", action="store_true", help="print the files instead of running them")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.files)
    if arguments.show:
        for number in numbers:
            case = Generator().case(arguments.seed, number)
            print(f"# {case.name}: {', '.join(case.notes)}\n{case.text()}")
        return 0
    began = time.monotonic()
    counts: Counter[str] = Counter()
    faults: dict[str, list[tuple[int, Verdict]]] = {}
    smallest: dict[str, Case] = {}
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    with running() as address, ProcessPoolExecutor(arguments.jobs, initializer=_begin, initargs=(address,)) as pool:
        for done, results in enumerate(pool.map(_run, [arguments.seed] * len(chunks), chunks), 1):
            for number, verdict in results:
                counts[verdict.outcome] += 1
                if verdict.outcome == FAULT:
                    if verdict.kind not in faults:
                        print(f"fault in {arguments.seed}/{number}: {_short(verdict)}", flush=True)
                    faults.setdefault(verdict.kind, []).append((number, verdict))
            if done % 5 == 0:
                print(f"{done * CHUNK} files, {time.monotonic() - began:.0f} s: {_counts(counts)}", flush=True)
        kinds = sorted(faults, key=lambda kind: -len(faults[kind]))
        cases = [Generator().case(arguments.seed, faults[kind][0][0]) for kind in kinds]
        smallest = dict(zip(kinds, pool.map(_shrink, cases, kinds), strict=True))
    for kind in kinds:
        number, verdict = faults[kind][0]
        print(f"\nFAULT in {len(faults[kind])} files, first {arguments.seed}/{number}: {_short(verdict)}")
        print(smallest[kind].text())
    seconds = time.monotonic() - began
    print(f"{len(numbers)} files of seed {arguments.seed} in {seconds:.0f} s: {_counts(counts)}")
    if arguments.report:
        arguments.report.write_text(_report(arguments.seed, len(numbers), seconds, counts, len(faults)))
    return 1 if faults else 0


def _short(verdict: Verdict) -> str:
    return verdict.detail.strip()[:700]


def _counts(counts: Counter[str]) -> str:
    outcomes = (RENDERED, BY_CHART, BY_SCHEMA, BY_HELM, EXTRA_OBJECT, FAULT)
    return ", ".join(f"{name} {counts[name]}" for name in outcomes)


def _report(seed: int, files: int, seconds: float, counts: Counter[str], kinds: int) -> str:
    kubectl = json.loads(_output(tool("kubectl"), "version", "--client", "-o", "json"))
    rows = (
        ("rendered, accepted by the API server and the steps", counts[RENDERED]),
        ("rejected with an error ID of the chart", counts[BY_CHART]),
        ("rejected by the schema", counts[BY_SCHEMA]),
        ("rejected by Helm for the release name", counts[BY_HELM]),
        ("rejected by Helm or the API server for an extra object", counts[EXTRA_OBJECT]),
        (f"faults, of {kinds} kinds", counts[FAULT]),
    )
    return "\n".join(
        [
            "# Last run of `make fuzz`",
            "",
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, commit {_output('git', 'rev-parse', '--short', 'HEAD')}, "
            f"seed {seed}, {files} files in {seconds:.0f} s. Helm {_output(tool('helm'), 'version', '--short')} and "
            f"{_output(tool('helm3'), 'version', '--short')}, Kubernetes {kubectl['clientVersion']['gitVersion']}, "
            f"Python {platform.python_version()}.",
            "",
            "| files | number |",
            "|---|---|",
            *(f"| {name} | {number} |" for name, number in rows),
            "",
        ]
    )


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
