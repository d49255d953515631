"""Servings (Kuscia facts 7.4) by the rules of KusciaAPI; no engine runs for them."""

import copy
import re
from typing import Any

import pytest

from kuscia_sim_testing.inprocess import ALICE, Cluster

IMAGE = {
    "name": "img",
    "image": {"name": "engine", "tag": "1"},
    "deploy_templates": [
        {
            "name": "e",
            "replicas": 2,
            "containers": [
                {
                    "name": "e",
                    "resources": {"limits": {"cpu": "2"}},
                    "ports": [
                        {"name": "service", "protocol": "HTTP", "scope": "Cluster"},
                        {"name": "local", "protocol": "HTTP", "scope": "Local"},
                    ],
                }
            ],
        }
    ],
}


def serving(**fields: Any) -> dict[str, Any]:
    parties = [{"domain_id": ALICE, "app_image": "img"}, {"domain_id": "bob", "app_image": "img", "replicas": 1}]
    return {"serving_id": "s", "serving_input_config": "{}", "initiator": ALICE, "parties": parties, **fields}


def party(**fields: Any) -> list[dict[str, Any]]:
    return [{"domain_id": ALICE, "app_image": "img", **fields}]


async def test_from_creation_to_deletion(cluster: Cluster) -> None:
    await cluster.ok("master", "appimage/create", IMAGE)
    await cluster.ok(ALICE, "serving/create", serving())
    found = await cluster.ok("master", "serving/query", {"serving_id": "s"})
    assert [(p["domain_id"], p["replicas"]) for p in found["parties"]] == [(ALICE, None), ("bob", 1)]
    assert found["parties"][0]["update_strategy"] == {
        "type": "RollingUpdate",
        "max_surge": "25%",
        "max_unavailable": "25%",
    }
    assert [amount["max_cpu"] for amount in found["parties"][0]["resources"]] == ["2"]
    status = found["status"]
    assert (status["state"], status["total_parties"], status["available_parties"]) == ("Progressing", 2, 0)
    mine = status["party_statuses"][0]
    assert (mine["replicas"], mine["available_replicas"], mine["unavailable_replicas"]) == (2, 0, 2)
    assert mine["endpoints"] == [{"port_name": "service", "scope": "Cluster", "endpoint": "s-service.alice.svc"}]
    taken = (11600, 'serving "cross-domain/s" already exists, please ensure that the name is not duplicated')
    assert await cluster.refused("master", "serving/create", serving()) == taken
    batch = await cluster.ok(ALICE, "serving/status/batchQuery", {"serving_ids": ["s", "none"]})
    assert [entry["serving_id"] for entry in batch["servings"]] == ["s"]
    await cluster.ok(ALICE, "serving/delete", {"serving_id": "s"})
    gone = 'kusciadeployments.kuscia.secretflow "s" not found'
    assert await cluster.refused("master", "serving/delete", {"serving_id": "s"}) == (11604, gone)
    assert await cluster.refused(ALICE, "serving/query", {"serving_id": "s"}) == (11601, gone)


async def test_the_endpoint_of_a_port_for_the_own_domain_has_its_number(cluster: Cluster) -> None:
    """buildServingStatusDetail in Kuscia's pkg/kusciaapi/service/serving_service.go."""
    image = copy.deepcopy(IMAGE)
    image["deploy_templates"][0]["containers"][0]["ports"][0]["scope"] = "Domain"
    await cluster.ok("master", "appimage/create", image)
    await cluster.ok("master", "serving/create", serving(parties=party(role="host", service_name_prefix="own")))
    query = {"serving_id": "s"}
    (mine,) = (await cluster.ok("master", "serving/query", query))["status"]["party_statuses"][0]["endpoints"]
    assert re.fullmatch(r"own-service\.alice\.svc:[23]\d{4}", mine["endpoint"])
    (again,) = (await cluster.ok("master", "serving/query", query))["status"]["party_statuses"][0]["endpoints"]
    assert mine == again


async def test_a_party_without_replicas_is_available(cluster: Cluster) -> None:
    """refreshPartyDeploymentStatus in Kuscia's pkg/controllers/kusciadeployment/reconcile.go; the name: a service's."""
    await cluster.ok("master", "appimage/create", IMAGE)
    await cluster.ok("master", "serving/create", serving(serving_id="1s", parties=party(replicas=0)))
    status = (await cluster.ok("master", "serving/query", {"serving_id": "1s"}))["status"]
    mine = status["party_statuses"][0]
    assert (status["state"], mine["state"], mine["replicas"]) == ("Progressing", "Available", 0)
    assert [entry["endpoint"] for entry in mine["endpoints"]] == ["svc-1s-service.alice.svc"]


async def test_update_merges(cluster: Cluster) -> None:
    await cluster.ok("master", "appimage/create", IMAGE)
    await cluster.ok("master", "serving/create", serving())
    amounts = [{"min_cpu": "500m"}, {"container_name": "e", "max_memory": "1024Mi"}]
    await cluster.ok("master", "serving/update", {"serving_id": "s", "parties": party(replicas=3, resources=amounts)})
    found = await cluster.ok("master", "serving/query", {"serving_id": "s"})
    assert (found["serving_input_config"], found["parties"][0]["replicas"]) == ("{}", 3)
    assert found["parties"][0]["resources"] == [
        {"container_name": "e", "min_cpu": "500m", "max_cpu": "", "min_memory": "", "max_memory": "1Gi"}
    ]
    both = [{"min_cpu": "7", "max_memory": "2Gi"}, {"container_name": "e", "min_cpu": "1"}, {"container_name": "x"}]
    await cluster.ok("master", "serving/update", {"serving_id": "s", "parties": party(resources=both)})
    found = await cluster.ok("master", "serving/query", {"serving_id": "s"})
    assert [found["parties"][0]["resources"][0][name] for name in ("min_cpu", "max_memory")] == ["1", "1Gi"]
    bad = {"serving_id": "s", "parties": party(resources=[{"min_cpu": "much"}])}
    code, text = await cluster.refused("master", "serving/update", bad)
    assert (code, text.split("'")[0]) == (11603, "quantities must match the regular expression ")
    other = {"serving_id": "s", "parties": party(role="guest")}
    text = "party domain_id/role alice/guest does not exist"
    assert await cluster.refused("master", "serving/update", other) == (11603, text)


async def test_an_update_adds_no_first_limit(cluster: Cluster) -> None:
    """Upstream then writes into a map that is nil; zero is no change."""
    await cluster.ok("master", "appimage/create", IMAGE)
    await cluster.ok("master", "serving/create", serving(parties=party(resources=[{"min_cpu": "1"}])))
    await cluster.ok("master", "serving/update", {"serving_id": "s", "parties": party(resources=[{"max_cpu": "0"}])})
    limited = {"serving_id": "s", "parties": party(resources=[{"max_cpu": "1"}])}
    answer = await cluster.ask("master", "serving/update", limited)
    text = "doBizProcess panic, err: assignment to entry in nil map"
    assert answer == {"status": {"code": 11101, "message": text}}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"serving_id": ""}, 11100, "serving id can not be empty"),
        ({"serving_id": "A_b"}, 11100, 'Field "serving_id" is invalid'),
        ({"initiator": ""}, 11100, "initiator can not be empty"),
        ({"initiator": "carol"}, 11100, "initiator carol should be one of the parties"),
        ({"parties": []}, 11100, "parties can not be empty"),
        ({"parties": [{"domain_id": ALICE}]}, 11100, "appimage can't be empty in parties[0]"),
        ({"parties": [*party(), {"app_image": "img"}]}, 11100, "domain id can't be empty in parties[1]"),
        (
            {"parties": party(update_strategy={"type": "Often"})},
            11600,
            "update strategy type should be Recreate or RollingUpdate for party/role alice/",
        ),
        (
            {"parties": party(resources=[{"min_cpu": "much"}])},
            11600,
            "resource min_cpu much format is invalid for party domain_id/role alice/, quantities must match",
        ),
        (
            {"parties": party(resources=[{"container_name": "x", "min_cpu": "1"}])},
            11600,
            "container_name x of party domainID/role alice/ resources doesn't exist in app image img",
        ),
        (
            {"parties": party(app_image="none", resources=[{"min_cpu": "1"}])},
            11600,
            'can not get appimage none from cluster, appimages.kuscia.secretflow "none" not found',
        ),
    ],
)
async def test_what_is_refused(cluster: Cluster, change: dict[str, Any], code: int, text: str) -> None:
    await cluster.ok("master", "appimage/create", IMAGE)
    got = await cluster.refused("master", "serving/create", serving(**change))
    assert got[0] == code
    assert got[1].startswith(text)


async def test_a_lite_handles_only_those_it_takes_part_in(cluster: Cluster) -> None:
    await cluster.ok("master", "appimage/create", IMAGE)
    alone = serving(initiator="bob", parties=[{"domain_id": "bob", "app_image": "img"}])
    await cluster.ok("master", "serving/create", alone)
    assert await cluster.refused(ALICE, "serving/create", alone) == (11100, "initiator must be alice in P2P")
    for path, code in (("query", 11601), ("delete", 11604)):
        assert await cluster.refused(ALICE, f"serving/{path}", {"serving_id": "s"}) == (code, "serving not found")
    batch = await cluster.ok(ALICE, "serving/status/batchQuery", {"serving_ids": ["s"]})
    assert batch["servings"] == []


@pytest.mark.parametrize("prefix", ["Bad", "1a", "a-", "a.b", "a" * 49, "a\n"])
async def test_a_service_name_prefix_that_is_none(cluster: Cluster, prefix: str) -> None:
    shown = prefix.replace("\n", "\\n")
    text = (
        'service name prefix is invalid in parties[0], field "service_name_prefix" is invalid, '
        f'invalid value: "{shown}": regex used for validation is "^[a-z]([-a-z0-9]{{0,46}}[a-z0-9])?$" '
    )
    wanted = serving(parties=party(service_name_prefix=prefix))
    for node in ("master", ALICE):
        assert await cluster.refused(node, "serving/create", wanted) == (11100, text)


async def test_a_service_name_prefix(cluster: Cluster) -> None:
    await cluster.ok("master", "appimage/create", IMAGE)
    await cluster.ok("master", "serving/create", serving(parties=party(service_name_prefix="a" * 48)))
