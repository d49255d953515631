"""docs/network.md lists exactly the ports of the NetworkPolicies and Services."""

import functools
import re

import pytest

from tests.chart.render import ROOT, Object, find, render

PAGES = ["network.md", "network.zh-CN.md"]
COMPONENTS = {"master": "kuscia-master", "lite": "kuscia-lite-alice"}
METRICS_FROM = "metrics"
API_FROM = "api"
Port = tuple[str, int, str]
"""Component, port, protocol."""


@functools.cache
def objects() -> tuple[Object, ...]:
    """Return the objects of a master and a lite under RunK with every port that the values can open."""

    def peer(name: str) -> list[Object]:
        return [{"podSelector": {"matchLabels": {"from": name}}}]

    component: Object = {
        "service": {"grpc": {"enabled": True}, "external": {"enabled": True}},
        "networkPolicy": {"metricsFrom": peer(METRICS_FROM), "apiFrom": peer(API_FROM)},
    }
    return tuple(render({"master": component, "lite": component}, "master-and-alice"))


def rows(page: str) -> dict[Port, list[str]]:
    """Return the other cells of each row of the table of ports."""
    found = {}
    for line in (ROOT / "docs" / page).read_text().splitlines():
        if match := re.match(r"\| (master|lite) \| (\d+) \| (TCP|UDP) \| (.*) \|$", line):
            found[match[1], int(match[2]), match[3]] = match[4].split(" | ")
    return found


def admitted() -> dict[Port, Object]:
    """Return the rule of the NetworkPolicy for each port."""
    found = {}
    for component, name in COMPONENTS.items():
        for rule in find(list(objects()), "NetworkPolicy", name)["spec"]["ingress"]:
            for port in rule["ports"]:
                found[component, port["port"], port["protocol"]] = rule
    return found


def in_services() -> dict[Port, str]:
    """Return the name of each port in the Services."""
    return {
        (component, port["port"], port["protocol"]): port["name"]
        for component, name in COMPONENTS.items()
        for port in find(list(objects()), "Service", name)["spec"]["ports"]
    }


@pytest.mark.parametrize("page", PAGES)
def test_lists_the_ports_that_the_policies_admit(page: str) -> None:
    assert rows(page).keys() == admitted().keys()


@pytest.mark.parametrize("page", PAGES)
def test_lists_the_ports_of_the_services(page: str) -> None:
    documented = {port: cells[2].strip("`") for port, cells in rows(page).items() if cells[2] != "–"}
    assert documented == in_services()


@pytest.mark.parametrize("page", PAGES)
def test_names_the_value_that_admits(page: str) -> None:
    for port, cells in rows(page).items():
        sources = str(admitted()[port].get("from", []))
        component = port[0]
        assert (f"`{component}.networkPolicy.metricsFrom`" in cells[1]) == (f"'from': '{METRICS_FROM}'" in sources)
        if port[1] == 8082:
            assert f"`{component}.networkPolicy.apiFrom`" in cells[1]
            assert f"'from': '{API_FROM}'" in sources
        assert (f"`{component}.networkPolicy.gatewayFrom`" in cells[1]) == (sources == "[]")
        assert ("RunK" in cells[1]) == ("kuscia.secretflow/namespace" in sources)


def test_only_the_gateway_is_external() -> None:
    for name in COMPONENTS.values():
        ports = find(list(objects()), "Service", f"{name}-external")["spec"]["ports"]
        assert [port["targetPort"] for port in ports] == ["envoy"]
