"""What a lite answers itself, forwards to its master, or rejects (Kuscia facts 7.2)."""

from kuscia_sim_testing.inprocess import ALICE, Cluster
from kuscia_sim_testing.samples import table

NIL = "doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"


async def test_lite_forwards_or_rejects_by_role(cluster: Cluster) -> None:
    not_here = (11104, "kuscia lite api not support this interface now")
    for path in ("domain/create", "domain/delete", "appimage/create", "appimage/list"):
        assert await cluster.refused(ALICE, path, {"domain_id": "x", "name": "x"}) == not_here
    other = "domain's kusciaAPI could only operate its own Domain, request.DomainID must be alice not bob"
    for path in ("domain/query", "domain/update"):
        assert await cluster.refused(ALICE, path, {"domain_id": "bob"}) == (11102, other)
    assert (await cluster.ok(ALICE, "domain/query", {"domain_id": ALICE}))["domain_id"] == ALICE
    route = {"source": ALICE, "destination": "bob", "authentication_type": "Token",
             "endpoint": {"host": "h", "ports": [{"port": 1, "protocol": "HTTP"}]}}  # fmt: skip
    code, text = await cluster.refused(ALICE, "route/create", route)
    assert code == 11102
    assert text.endswith("request.Destination must be alice not bob")
    assert await cluster.refused(ALICE, "route/create", {**route, "source": ""}) == (
        11100,
        "source can not be empty",
    )
    own = "kuscia lite api could only operate it's own domaindata, the domainid of request must be alice, not bob"
    assert await cluster.refused(ALICE, "domaindata/create", table(domain_id="bob")) == (11100, own)
    mine = "domain alice can't operate domain bob data source"
    assert await cluster.refused(ALICE, "domaindatasource/list", {"domain_id": "bob"}) == (11808, mine)


async def test_lite_without_master_returns_11103(cluster: Cluster) -> None:
    cluster.internal.down = True
    assert await cluster.refused(ALICE, "domain/query", {"domain_id": ALICE}) == (11103, "connection refused")


async def test_lite_cannot_parse_framework_errors_of_master(cluster: Cluster) -> None:
    bad = {"source": "bob", "destination": ALICE, "authentication_type": "MTLS",
           "endpoint": {"host": "h", "ports": [{"name": "http", "port": 1, "protocol": "GRPCS"}]}}  # fmt: skip
    await cluster.ok("master", "route/create", bad)
    key = {"source": "bob", "destination": ALICE}
    assert await cluster.ask("master", "route/query", key) == {"status": {"code": 11101, "message": NIL}}
    text = "proto: cannot parse invalid wire-format data"
    assert await cluster.ask(ALICE, "route/query", key) == {
        "status": {"code": 11103, "message": text, "details": []},
        "data": None,
    }


async def test_log_query_asks_master_for_node(cluster: Cluster) -> None:
    """The master names the instance that ran the engine; without `local` no file is read before that."""
    for task_id, phase, text in (
        ("nosuch", "", 'kusciatasks.kuscia.secretflow "nosuch" not found'),
        ("early", "Pending", "task early status pending, please try later"),
        ("bobs", "Running", "task bobs hasn't created pod alice/bobs-0 yet, please try later"),
    ):
        if phase:
            await cluster.store.create("kusciatasks", "cross-domain", task_id, {"status": {"phase": phase}})
        told = (13200, f"failed to get pod node from master, err: {text}")
        assert await cluster.refused(ALICE, "log/task/query", {"task_id": task_id}) == told
    code, _ = await cluster.refused("master", "log/task/query", {"task_id": "bobs"})
    assert code == 11105
    pods = {f"{ALICE}/away-0": {"podPhase": "Running", "nodeName": "gone"}}
    status = {"phase": "Running", "podStatuses": pods}
    await cluster.store.create("kusciatasks", "cross-domain", "away", {"status": status})
    text = 'failed to get node ip for node gone, err: failed to get k8s node, nodes "gone" not found'
    told = (13200, f"failed to get pod node from master, err: {text}")
    assert await cluster.refused(ALICE, "log/task/query", {"task_id": "away"}) == told
