"""Figures of the master's steps: a new cluster against the bare loop, and runs with nothing to do."""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.processes import ProcessFailed, Run
from bench.results import INSTALL, MEMORY, NOTHING, Figure, cpu, median
from bench.setup import Setup, serving
from kuscia_hooks.kuscia.batches import BATCH

CONCURRENCIES = (1, 4, 8, 16, 32)
SLOWER_THAN_LOOP = 1.2
MEMORY_MB = 120.0
FIXED_REQUESTS = 20
"""A run with nothing to do may send this many requests, and one more for each batch of domains or routes."""
SMALL, LARGE = 20, 100
SAMPLE = 600
"""Routes with which the best concurrency of the loop is found for the large cluster."""


def small(directory: Path, repeats: int = 3, number: int = SMALL) -> Iterator[Figure]:
    """Measure a cluster of 20 domains and 380 routes."""
    seconds = {level: _loop(directory / f"loop-{level}", number, level) for level in CONCURRENCIES}
    best, loop = _best(seconds)
    loops, steps = [loop], []
    for repeat in range(repeats):
        if repeat:
            loops.append(_answered(_loop(directory / f"loop-again-{repeat}", number, best)))
        with serving(directory / f"steps-{repeat}", number) as setup:
            steps.append(max(run.seconds for run in install(setup)))
            if repeat == repeats - 1:
                yield _against_loop("small", setup, steps, loops, best, seconds)
                yield from nothing(setup, "small", 1.0)


def large(directory: Path, number: int = LARGE, sample: int = SAMPLE) -> Iterator[Figure]:
    """Measure a cluster of 100 domains and 9 900 routes; each side once, because it takes minutes."""
    seconds = {level: _loop(directory / f"loop-{level}", number, level, sample) for level in (8, 16, 32)}
    best, _ = _best(seconds)
    loop = _answered(_loop(directory / "loop", number, best))
    with serving(directory / "steps", number) as setup:
        register, routes = install(setup)
        steps = max(register.seconds, routes.seconds)
        yield _against_loop("large", setup, [steps], [loop], best, seconds, sample)
        memory = {"register": [register], "routes": [routes]}
        setup.set_pace(False)
        yield from nothing(setup, "large", 5.0, memory)
        memory["check"] = _check(setup)
    for step, runs in memory.items():
        peaks = tuple(run.memory_mb for run in runs)
        title = f"Peak memory of {step} with {len(setup.routes)} routes"
        yield Figure(f"memory-{step}", MEMORY, title, max(peaks), MEMORY_MB, "MB", peaks)


def install(setup: Setup) -> tuple[Run, Run]:
    """Run register and routes at the same time, as a release does, and return both."""
    register, routes = setup.start("register"), setup.start("routes")
    runs = register.wait(), routes.wait()
    setup.check_complete()
    setup.counts()
    return runs


def _loop(directory: Path, number: int, concurrency: int, routes: int | None = None) -> float | None:
    """Return the seconds of the bare loop on a new server; None if a request was not answered."""
    with serving(directory, number) as setup:
        try:
            run = setup.start_loop(concurrency, routes).wait()
        except ProcessFailed as error:
            if "ReadTimeout" not in str(error):
                raise
            return None
        setup.check_complete(routes)
        return run.seconds


def _best(seconds: dict[int, float | None]) -> tuple[int, float]:
    """Return the concurrency of the fastest loop, and its seconds."""
    return min(((level, value) for level, value in seconds.items() if value is not None), key=lambda pair: pair[1])


def _answered(seconds: float | None) -> float:
    if seconds is None:
        raise RuntimeError("the loop got no answer at a concurrency at which it did before")
    return seconds


def _against_loop(
    size: str,
    setup: Setup,
    steps: list[float],
    loops: list[float],
    best: int,
    seconds: dict[int, float | None],
    sample: int | None = None,
) -> Figure:
    """Return the ratio of the medians."""
    step, loop = statistics.median(steps), statistics.median(loops)
    tried = ", ".join(
        f"{level}: {'not answered' if value is None else f'{value:.1f} s'}" for level, value in seconds.items()
    )
    of = f" with the first {sample} routes" if sample else ""
    return Figure(
        f"install-{size}",
        INSTALL,
        f"register and routes, {len(setup.domains)} domains and {len(setup.routes)} routes, against the bare loop",
        step / loop,
        SLOWER_THAN_LOOP,
        "times",
        tuple(value / loop for value in steps),
        f"steps {step:.1f} s, loop {loop:.1f} s at concurrency {best} (by concurrency{of}: {tried})",
    )


def nothing(setup: Setup, size: str, seconds: float, memory: dict[str, list[Run]] | None = None) -> Iterator[Figure]:
    """Measure steps that find everything as wanted; `memory` collects the runs by step."""
    memory = memory if memory is not None else {}
    routes = len(setup.routes)
    requests = 0
    for step, title, options in (
        ("register", f"register, {len(setup.domains)} domains", ()),
        ("routes", f"routes, {routes} routes, status of each read in batches", ()),
        ("routes", f"routes --verify, {routes} routes, each read", ("--verify",)),
    ):
        setup.counts()
        runs = [setup.run(step, *options) for _ in range(3)]
        counts = setup.counts()
        memory.setdefault(step, []).extend(runs)
        figure = f"nothing-{size}-{step}" + ("-verify" if options else "")
        each = {path: sent // len(runs) for path, sent in (counts.kusciaapi | counts.kubernetes).items()}
        note = f"{cpu(runs)}; requests: " + ", ".join(f"{path} {sent}" for path, sent in each.items())
        yield median(NOTHING, figure, title, [run.seconds for run in runs], seconds, unit="s", note=note)
        if not options:
            requests += counts.total // len(runs)
    allowed = FIXED_REQUESTS + sum(math.ceil(number / BATCH) for number in (len(setup.domains), routes))
    title = f"Requests of register and routes, {len(setup.domains)} domains and {routes} routes"
    yield Figure(f"nothing-{size}-requests", NOTHING, title, requests, allowed, "requests")


def _check(setup: Setup) -> list[Run]:
    """Return a run of `check` of the master, all of whose domains and routes are ready."""
    setup.make_ready()
    return [setup.run("check")]
