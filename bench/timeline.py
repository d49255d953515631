"""When each step of an installation ran: recorded from the pods and events of a cluster, drawn as an SVG."""

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.plugin import NotMeasured, kubectl
from bench.processes import ROOT

RECORD = ROOT / "bench/timeline.json"
CHART = ROOT / "bench/timeline.svg"
SELECTOR = "app.kubernetes.io/name=kuscia"
COMPONENT, INSTANCE = "app.kubernetes.io/component", "app.kubernetes.io/instance"
IGNORED = {"doctor"}
"""Components that no installation runs."""

Object = dict[str, Any]

LABEL_WIDTH, PLOT_WIDTH, ROW, MARGIN = 190, 560, 24, 30
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.axis { stroke: #d1d9e0 } .small { font-size: 11px; fill: #59636e }
.step { fill: #0969da } .node { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .axis { stroke: #3d444d } .small { fill: #9198a1 }
  .step { fill: #4493f8 } .node { fill: #3fb950 }
}
"""


@dataclass(frozen=True)
class Span:
    """One bar: a step, or the start of Kuscia until it is ready.

    Args:
        release: namespace of the release.
        step: name of the step; `kuscia` for Kuscia itself.
        begin, end: seconds since the begin of the installation.
    """

    release: str
    step: str
    begin: float
    end: float


def record(kubeconfig: Path) -> list[Span]:
    """Return the spans of the releases on a cluster.

    Raises:
        NotMeasured: the cluster has no release.
    """
    pods = json.loads(kubectl(kubeconfig, "get", "pods", "-A", "-l", SELECTOR, "-o", "json"))["items"]
    namespaces = sorted({pod["metadata"]["namespace"] for pod in pods})
    events = [
        event
        for namespace in namespaces
        for event in json.loads(kubectl(kubeconfig, "get", "events", "-n", namespace, "-o", "json"))["items"]
    ]
    found = spans(pods, events)
    if not found:
        raise NotMeasured("the cluster has no release")
    return found


def spans(pods: Iterable[Object], events: Iterable[Object]) -> list[Span]:
    """Return the spans, from the first begin on.

    Args:
        pods: of the releases.
        events: of their namespaces; they tell of Jobs that Helm deleted, such as that of `keys`.
    """
    found = [span for pod in pods for span in _pod_spans(pod)]
    present = {(release, step) for release, step, _, _ in found}
    found += [span for span in _job_spans(events) if span[:2] not in present]
    if not found:
        return []
    origin = min(begin for _, _, begin, _ in found)
    relative = [Span(release, step, begin - origin, end - origin) for release, step, begin, end in found]
    return sorted(relative, key=lambda span: (span.release, span.begin, span.end))


_Times = tuple[str, str, float, float]


def _pod_spans(pod: Object) -> Iterator[_Times]:
    labels, status = pod["metadata"].get("labels", {}), pod["status"]
    component = labels.get(COMPONENT, "")
    if component in IGNORED:
        return
    namespace = pod["metadata"]["namespace"]
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        state = container["state"]
        if ended := state.get("terminated"):
            yield namespace, container["name"], _seconds(ended["startedAt"]), _seconds(ended["finishedAt"])
        elif running := state.get("running"):
            for condition in status.get("conditions", []):
                if condition["type"] == "Ready" and condition["status"] == "True":
                    begin = _seconds(running["startedAt"])
                    yield namespace, "kuscia", begin, max(begin, _seconds(condition["lastTransitionTime"]))


def _job_spans(events: Iterable[Object]) -> Iterator[_Times]:
    times: dict[tuple[str, str], dict[str, float]] = {}
    for event in events:
        regarded = event["involvedObject"]
        moment = event.get("firstTimestamp") or event.get("eventTime")
        if regarded["kind"] == "Job" and moment and event["reason"] in ("SuccessfulCreate", "Completed"):
            times.setdefault((regarded["namespace"], regarded["name"]), {})[event["reason"]] = _seconds(moment)
    for (namespace, name), found in times.items():
        step = name.rpartition("-")[2]
        if step == "keys" and len(found) == 2:
            yield namespace, step, found["SuccessfulCreate"], found["Completed"]


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def draw(bars: Sequence[Span]) -> str:
    """Return an SVG with one row for each span; readable on light and dark backgrounds."""
    end = max((bar.end for bar in bars), default=1.0) or 1.0
    tick = next(size for size in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600) if end / size <= 10 or size == 3600)
    scale = PLOT_WIDTH / end
    height = MARGIN + ROW * len(bars) + MARGIN
    width = LABEL_WIDTH + PLOT_WIDTH + 80
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'role="img" aria-label="Timeline of the installation">',
        f"<style>{STYLE}</style>",
    ]
    for number in range(int(end // tick) + 1):
        x = LABEL_WIDTH + number * tick * scale
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN - 6}" y2="{height - MARGIN}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{MARGIN - 12}" text-anchor="middle">{number * tick} s</text>')
    release = ""
    for row, bar in enumerate(bars):
        y = MARGIN + row * ROW
        x, length = LABEL_WIDTH + bar.begin * scale, max((bar.end - bar.begin) * scale, 2.0)
        kind = "node" if bar.step == "kuscia" else "step"
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="{ROW - 8}" rx="3"/>')
        parts.append(f'<text x="{LABEL_WIDTH - 10}" y="{y + 16}" text-anchor="end">{escape(bar.step)}</text>')
        if bar.release != release:
            parts.append(f'<text x="4" y="{y + 16}">{escape(bar.release)}</text>')
            release = bar.release
        seconds = f"{bar.end - bar.begin:.0f} s"
        parts.append(f'<text class="small" x="{x + length + 5:.1f}" y="{y + 16}">{seconds}</text>')
    return "\n".join([*parts, "</svg>", ""])


def save(bars: Sequence[Span]) -> None:
    """Write the record and the chart."""
    RECORD.write_text(json.dumps([asdict(bar) for bar in bars], indent=2) + "\n")
    CHART.write_text(draw(bars))
