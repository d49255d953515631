"""The timeline of an installation: what is read from pods and events, and how it is drawn."""

import xml.etree.ElementTree as ElementTree
from typing import Any

from bench import timeline
from bench.timeline import Span

SVG = "{http://www.w3.org/2000/svg}"


def at(seconds: int) -> str:
    return f"2026-01-01T00:00:{seconds:02d}Z"


def ended(name: str, begin: int, end: int) -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"startedAt": at(begin), "finishedAt": at(end)}}}


def pod(component: str, **status: Any) -> dict[str, Any]:
    labels = {timeline.COMPONENT: component}
    return {"metadata": {"namespace": "kuscia-master", "labels": labels}, "status": status}


MASTER = pod(
    "master",
    initContainerStatuses=[ended("prepare", 4, 6)],
    containerStatuses=[{"name": "kuscia", "state": {"running": {"startedAt": at(7)}}}],
    conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": at(20)}],
)


def job_event(name: str, reason: str, second: int) -> dict[str, Any]:
    regarded = {"kind": "Job", "namespace": "kuscia-master", "name": name}
    return {"involvedObject": regarded, "reason": reason, "firstTimestamp": at(second)}


def test_shows_init_containers_and_the_start_of_kuscia() -> None:
    assert timeline.spans([MASTER], []) == [
        Span("kuscia-master", "prepare", 0, 2),
        Span("kuscia-master", "kuscia", 3, 16),
    ]


def test_shows_steps_and_ignores_doctor() -> None:
    pods = [
        pod("register", containerStatuses=[ended("register", 10, 25)]),
        pod("doctor", containerStatuses=[ended("doctor", 1, 50)]),
    ]
    assert timeline.spans(pods, []) == [Span("kuscia-master", "register", 0, 15)]


def test_reads_deleted_jobs_from_events() -> None:
    name = "kuscia-master-keys"
    events = [job_event(name, "SuccessfulCreate", 1), job_event(name, "Completed", 3)]
    assert timeline.spans([MASTER], events)[0] == Span("kuscia-master", "keys", 0, 2)


def test_pod_that_is_not_ready_has_no_bar() -> None:
    waiting = pod("master", containerStatuses=[{"name": "kuscia", "state": {"running": {"startedAt": at(7)}}}])
    assert timeline.spans([waiting], []) == []


def test_draws_one_bar_for_each_span() -> None:
    bars = [Span("a", "keys", 0, 2), Span("a", "kuscia", 3, 16), Span("b", "seed", 5, 5)]
    root = ElementTree.fromstring(timeline.draw(bars))
    rectangles = root.findall(f"{SVG}rect")
    assert len(rectangles) == len(bars)
    assert all(float(bar.attrib["width"]) > 0 for bar in rectangles)
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert {"a", "b", "keys", "kuscia", "seed"} <= set(texts)
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")


def test_bars_stay_within_the_chart() -> None:
    root = ElementTree.fromstring(timeline.draw([Span("a", "routes", 0, 177)]))
    width = float(root.attrib["width"])
    for bar in root.findall(f"{SVG}rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) < width
