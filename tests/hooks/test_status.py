import io
import json
import sys
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.inspect import kuscia_state, output, status
from kuscia_hooks.inspect.masking import without_colors
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.builders import container, job, lite_release, master_release, pod
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia, Reply

MASTER = master_release()
WATCH = (
    b'{"object":{"job_id":"old","status":{"state":"Succeeded","create_time":"2026-11-23T16:57:11Z"}}}'
    b'{"object":{"job_id":"new","status":{"state":"Running","create_time":"2026-11-23T16:58:11Z"}}}{"type":4}'
)


@pytest.fixture
def master(kuscia: Kuscia, client: KusciaAPI) -> KusciaAPI:
    """Alice is READY, bob has not registered; route alice-bob is missing."""
    kuscia.join("alice")
    kuscia.do_domain_create({"domain_id": "bob"})
    kuscia.routes = {("alice", "kuscia-system"): {}, ("bob", "kuscia-system"): {}}
    kuscia.route_statuses["bob", "kuscia-system"] = {"status": "Failed", "reason": "Reason:DestinationUnreachable"}
    for owner in ("alice", "bob"):
        kuscia.tables["alice", f"{owner}-table"] = {"author": owner, "datasource_id": "src", "columns": [{}, {}]}
    kuscia.grants["grant"] = {"author": "alice", "domaindata_id": "alice-table", "grant_domain": "bob"}
    kuscia.replies["job/watch"] = WATCH

    def tables(body: dict[str, Any]) -> Reply:
        if body["data"]["domain_id"] == "bob":
            return 11503, 'namespaces "bob" not found', None
        return kuscia.do_domaindata_list(body)

    kuscia.replies["domaindata/list"] = tables
    return client


def test_collects_all_parts_of_master(core: FakeCore, kube: Kube, master: KusciaAPI) -> None:
    core.pods["ns"] = [
        pod("kuscia-master-doctor-x", "doctor"),
        pod("kuscia-master-keys-x", "keys", phase="Succeeded"),
        pod("kuscia-master-x", "master", containerStatuses=[container("master", 2, running={})]),
    ]
    core.jobs["ns"] = [job("kuscia-master-routes", "routes", active=1)]
    found = status.collect(MASTER, kube, lambda: master)
    assert [row["step"] for row in found["steps"]] == ["routes"]
    assert [row["name"] for row in found["pods"]] == ["kuscia-master-x", "kuscia-master-keys-x"]
    assert found["pods"][0] | {"started": ""} == {
        "name": "kuscia-master-x",
        "step": "master",
        "ready": "1/1",
        "phase": "Running",
        "restarts": 2,
        "started": "",
    }
    assert found["version"] == "v1.1.0b0"
    assert [(row["domain"], row["status"]) for row in found["domains"]] == [
        ("alice", "Ready"),
        ("bob", "never registered"),
    ]
    assert [(row["route"], row["ready"], row["reason"]) for row in found["routes"]] == [
        ("alice-kuscia-system", "True", ""),
        ("bob-kuscia-system", "False", "Reason:DestinationUnreachable"),
        ("alice-bob", "False", "no such route"),
    ]
    assert [(row["table"], row["columns"], row["grantedTo"]) for row in found["tables"]] == [("alice-table", 2, "bob")]
    assert [row["job"] for row in found["jobs"]] == ["new", "old"]
    (unknown,) = found["unknown"]
    assert unknown.startswith("tables of bob: [kusciaapi-")
    assert "11503" in unknown
    assert json.loads(output.as_json(found)) == found


def test_shows_what_the_steps_left_alone(core: FakeCore, kube: Kube) -> None:
    report = {"foreign": ["a/b"], "leftover": ["carol/alice", "carol/bob"]}
    tokens = {"leftover": ["kuscia-deploy-token-carol"]}
    data = {"routes": "{}", "routes.report": json.dumps(report), "tokens.report": json.dumps(tokens)}
    core.put("configmaps", "ns", "ledger", data=data)

    def rows(config: Release) -> list[tuple[str, str, str]]:
        found = status.collect(config, kube, closed)["leftAlone"]
        assert {row["kind"] for row in found} == {"routes", "tokens"}
        return [(row["object"], row["state"], row["fix"].partition(",")[0]) for row in found]

    text = status.as_text(status.collect(MASTER, kube, closed))
    assert text.count("set master.prune.routes: true") == 1
    assert "  routes  carol/alice" in text
    assert rows(MASTER) == [
        ("a/b", "foreign", "set master.adopt.routes: true"),
        ("carol/alice", "leftover", "set master.prune.routes: true"),
        ("carol/bob", "leftover", "set master.prune.routes: true"),
        ("kuscia-deploy-token-carol", "leftover", "set master.prune.domains: true"),
    ]
    assert {value for _, _, value in rows(lite_release())} == {"set lite.data.adopt: true", "set lite.data.prune: true"}


def test_json_is_printable() -> None:
    found = {"text": "\x1b[2J\x7f\x9b31m ü"}
    text = output.as_json(found)
    assert text.isprintable()
    assert json.loads(text) == found


def test_prints_plain_tables_without_terminal(core: FakeCore, kube: Kube, master: KusciaAPI) -> None:
    core.pods["ns"] = [pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})])]
    text = status.as_text(status.collect(MASTER, kube, lambda: master))
    assert "master kuscia-system: release kuscia in ns, Kuscia v1.1.0b0" in text
    assert "DOMAIN  TABLE        DATA SOURCE  COLUMNS  GRANTED TO" in text
    assert max(len(line) for line in text.splitlines()) < 160


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_prints_rich_tables_on_terminal(
    core: FakeCore, kube: Kube, master: KusciaAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.pods["ns"] = [pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})])]
    found = status.collect(MASTER, kube, lambda: master)
    found["jobs"] = [{"job": "[red]\x1b[1mx", "state": "Running", "created": ""}]
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    text = status.as_text(found)
    assert "\x1b[32mReady" in text
    assert "GRANTED TO" in text
    assert "[red] [1mx" in text


def closed() -> Any:
    raise RetryableError("kusciaapi-busy", "it is busy", see="kubectl get pods")


def test_shows_pods_and_reason_without_kusciaapi(core: FakeCore, kube: Kube) -> None:
    core.pods["ns"] = [pod("kuscia-master-x", "master", initContainerStatuses=[container("prepare", running={})])]
    found = status.collect(MASTER, kube, closed)
    assert found["pods"][0]["phase"] == "Init: prepare"
    assert "routes" not in found
    assert found["unknown"] == ["KusciaAPI: [kusciaapi-busy] it is busy\n    see: kubectl get pods"]
    assert "  KusciaAPI: [kusciaapi-busy] it is busy" in status.as_text(found)


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        ({"containerStatuses": [container("master", waiting={"reason": "CrashLoopBackOff"})]}, "CrashLoopBackOff"),
        ({"containerStatuses": [container("master", waiting={"reason": "PodInitializing"})]}, "Running"),
        ({"initContainerStatuses": [container("prepare", waiting={"reason": "ErrImagePull"})]}, "Init: ErrImagePull"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Pending"}, "Pending"),
    ],
)
def test_phase_names_reason_of_waiting(found: dict[str, Any], phase: str) -> None:
    assert status.phase(pod("x", "master", **found)) == phase


def test_queries_routes_of_lite() -> None:
    lite = lite_release(partners=["bob"])
    own = [("carl", "bob"), ("bob", "carl")]
    assert kuscia_state.wanted_routes(lite, "kuscia-system") == [("carl", "kuscia-system"), *own]
    assert kuscia_state.wanted_routes(lite, "") == own


def rows(found: dict[str, Any], **parts: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a status with these parts only."""
    return status.as_text({**found, **parts, "leftAlone": [], "unknown": []}).splitlines()


ABOUT = {"mode": "master", "domain": "d", "release": "kuscia", "namespace": "ns", "gateway": "https://g"}


def test_text_of_many_routes_is_short_and_begins_with_those_that_are_not_ready() -> None:
    route = {"endpoint": "https://e", "ready": "True", "reason": ""}
    routes = [{"route": f"d{number}", **route} for number in range(10_000)]
    routes[9000] |= {"ready": "False", "reason": "DestinationUnreachable"}
    table = {"domain": "a", "table": "t", "dataSource": "s", "columns": 1}
    tables = [table | {"grantedTo": ", ".join(f"d{number}" for number in range(100))}]
    lines = rows(ABOUT, routes=routes, tables=tables)
    assert len(lines) < 80
    assert max(map(len, lines)) < 200
    begin = lines.index("routes")
    assert lines[begin + 2].split() == ["d9000", "https://e", "False", "DestinationUnreachable"]
    assert lines[begin + 3].split()[0] == "d0"
    assert sum("9950" in line for line in lines) == 1


def test_text_has_few_of_many_parts_that_could_not_be_read() -> None:
    unknown = [f"tables of d{number}: [kusciaapi-busy] it is busy" for number in range(100)]
    lines = status.as_text({**ABOUT, "leftAlone": [], "unknown": unknown}).splitlines()
    assert len(lines) < 20
    assert sum("kusciaapi-busy" in line for line in lines) == 10
    assert sum("90" in line for line in lines) == 1


def test_text_of_servers_does_not_reach_the_terminal_as_it_is() -> None:
    hostile = "\x1b[2J\x07\x9b31m"
    pods = [dict.fromkeys(("name", "step", "ready", "phase", "restarts", "started"), hostile)]
    about = ABOUT | {"version": hostile}
    left = {"kind": hostile, "object": hostile, "state": hostile, "fix": hostile}
    text = status.as_text({**about, "pods": pods, "leftAlone": [left], "unknown": [hostile]})
    assert [line for line in text.splitlines() if not line.isprintable()] == []


def test_few_routes_keep_their_order() -> None:
    routes = [{"route": name, "endpoint": "", "ready": name, "reason": ""} for name in ("True", "False")]
    lines = rows(ABOUT, routes=routes)
    begin = lines.index("routes")
    assert [line.split()[0] for line in lines[begin + 2 : begin + 4]] == ["True", "False"]


def test_columns_of_chinese_text_are_aligned() -> None:
    jobs = [{"job": name, "state": "Running", "created": "x"} for name in ("求交任务", "psi")]
    lines = [line for line in rows(ABOUT, jobs=jobs) if "Running" in line]
    assert [line.partition("Running")[0] for line in lines] == ["  求交任务  ", "  psi       "]


def test_narrow_terminal_cuts_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    endpoint = "https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080"
    routes = [{"route": "alice-bob", "endpoint": endpoint, "ready": "False", "reason": "-"}]
    lines = [without_colors(line) for line in rows(ABOUT, routes=routes)]
    table = lines[lines.index("gateway https://g") + 1 :]
    assert max(map(len, table)) <= 40
    assert "…" not in "".join(table)


UNEXPECTED: list[Any] = [None, {}, [], "x", {"domains": None, "routes": [{}], "domaindata_list": [{}]}]


@pytest.mark.parametrize("data", UNEXPECTED)
@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("domain/batchQuery", "domains: "),
        ("route/status/batchQuery", "routes: "),
        ("domaindata/list", "tables of alice: "),
        ("domaindatagrant/list", "tables of alice: "),
    ],
)
def test_unexpected_answer_of_kusciaapi_concerns_its_part_only(
    core: FakeCore, kube: Kube, kuscia: Kuscia, master: KusciaAPI, path: str, part: str, data: Any
) -> None:
    """Another version of Kuscia can have other fields."""
    kuscia.replies[path] = lambda body: (0, "", data)
    core.pods["ns"] = [pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})])]
    found = status.collect(MASTER, kube, lambda: master)
    assert [text for text in found["unknown"] if text.startswith(part)]
    assert [row["name"] for row in found["pods"]] == ["kuscia-master-x"]
    assert [row["job"] for row in found["jobs"]] == ["new", "old"]
    assert status.as_text(found)
