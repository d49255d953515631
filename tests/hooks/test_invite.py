import re
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import ConfigError
from kuscia_hooks.inspect.invite import attempt
from tests.hooks.builders import lite_release, master_release
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore

MASTER, LITE = master_release(), lite_release()
SERVICE = "kuscia-master-external"
BALANCED = {"type": "LoadBalancer", "ports": [{"port": 1080}]}
ON_NODES = {"type": "NodePort", "ports": [{"port": 1080, "nodePort": 31080}]}


def inviting(**invitation: Any) -> Release:
    return master_release(invitation={"chartVersion": "0.1.0", "images": [], **invitation})


def exposed(**external: Any) -> Release:
    return inviting(external=external)


def endpoint(invitation: str) -> str:
    return str(yaml.safe_load(invitation)["lite"]["master"]["endpoint"])


def test_invitation_is_values_file(kube: Kube) -> None:
    invitation = attempt(MASTER, kube, "carl", "https://kuscia.example.com:1080")
    assert yaml.safe_load(invitation) == {
        "master": {"enabled": False},
        "lite": {
            "enabled": True,
            "domainId": "carl",
            "master": {"endpoint": "https://kuscia.example.com:1080", "namespace": "", "tokenSecret": ""},
        },
    }
    for text in (
        "master kuscia-system",
        "global.kuscia.hooksImage.repository",
        "configmap kuscia-lite-carl-domain-cert -n lite-carl",
    ):
        assert text in invitation


def test_notes_that_internal_address_is_internal(kube: Kube) -> None:
    invitation = attempt(MASTER, kube, "carl", "")
    assert endpoint(invitation) == MASTER.gateway
    assert "# NOTE: " in invitation
    assert "--endpoint" in invitation


def test_uses_address_of_ingress(kube: Kube) -> None:
    invitation = attempt(exposed(type="Ingress", url="https://kuscia.example.com/kuscia"), kube, "carl", "")
    assert endpoint(invitation) == "https://kuscia.example.com/kuscia"


def test_keeps_placeholder_of_ingress_for_any_host(kube: Kube) -> None:
    url = "https://<host of the Ingress controller>/kuscia"
    invitation = attempt(exposed(type="Ingress", url=url), kube, "carl", "")
    assert endpoint(invitation) == url
    assert "# NOTE: " in invitation


@pytest.mark.parametrize("place", [{"ip": "1.2.3.4"}, {"hostname": "1.2.3.4"}])
def test_uses_address_of_load_balancer(core: FakeCore, kube: Kube, place: dict[str, str]) -> None:
    status = {"loadBalancer": {"ingress": [place]}}
    core.put("services", "ns", SERVICE, spec=BALANCED, status=status)
    invitation = attempt(exposed(type="LoadBalancer", service=SERVICE), kube, "carl", "")
    assert endpoint(invitation) == "https://1.2.3.4:1080"


def test_leaves_out_ipv6_addresses_of_a_load_balancer(core: FakeCore, kube: Kube) -> None:
    config = exposed(type="LoadBalancer", service=SERVICE)
    places = [{"ip": "2001:db8::7"}, {"ip": "1.2.3.4"}]
    core.put(
        "services",
        "ns",
        SERVICE,
        spec=BALANCED,
        status={"loadBalancer": {"ingress": places}},
    )
    assert endpoint(attempt(config, kube, "carl", "")) == "https://1.2.3.4:1080"
    del places[1]
    with fails("load-balancer-without-address"):
        attempt(config, kube, "carl", "")


def test_reports_service_without_address(core: FakeCore, kube: Kube) -> None:
    config = exposed(type="LoadBalancer", service=SERVICE)
    with fails("external-service-not-found"):
        attempt(config, kube, "carl", "")
    core.put("services", "ns", SERVICE, spec=BALANCED, status={"loadBalancer": {}})
    with fails("load-balancer-without-address"):
        attempt(config, kube, "carl", "")


def test_uses_node_port_with_placeholder(core: FakeCore, kube: Kube) -> None:
    core.put("services", "ns", SERVICE, spec=ON_NODES, status={})
    invitation = attempt(exposed(type="NodePort", service=SERVICE), kube, "carl", "")
    assert endpoint(invitation) == "https://<node address>:31080"
    assert "kubectl get nodes" in invitation


@pytest.mark.parametrize("chart", ["", "-x", "--set=a=b"])
def test_rejects_a_chart_that_helm_reads_as_an_option(kube: Kube, chart: str) -> None:
    with fails("invalid-arguments"):
        attempt(inviting(), kube, "carol", "https://master.example.com", chart)


@pytest.mark.parametrize(
    "given", ["https://h h", "https://[::1]:80", "https://é.example.com", "https://kuscia.default"]
)
def test_rejects_an_endpoint_that_kuscia_cannot_resolve(kube: Kube, given: str) -> None:
    with fails("invalid-arguments"):
        attempt(inviting(), kube, "carol", given)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "ExternalName", "externalName": "example.com"},
        {"type": "ClusterIP", "ports": [{"port": 80}]},
        {"type": "NodePort"},
    ],
)
def test_reports_a_service_of_another_program(core: FakeCore, kube: Kube, spec: dict[str, Any]) -> None:
    """It has the name of the Service that exposes the gateway."""
    core.put("services", "ns", SERVICE, spec=spec, status={"loadBalancer": {}})
    with fails("external-service-differs"):
        attempt(exposed(type="NodePort", service=SERVICE), kube, "carol", "")


def test_rejects_invitation_from_lite(kube: Kube) -> None:
    with pytest.raises(ConfigError) as refused:
        attempt(LITE, kube, "carl", "")
    assert refused.value.id == "not-a-master"


def test_reports_all_invalid_arguments(kube: Kube) -> None:
    with pytest.raises(ConfigError) as refused:
        attempt(MASTER, kube, "Bad ID", "kuscia.example.com")
    assert refused.value.id == "invalid-arguments"
    for text in ("DOMAIN", "Bad ID", "--endpoint", "kuscia.example.com"):
        assert text in refused.value.message


@pytest.mark.parametrize(
    ("external", "values"),
    [
        (None, None),
        ({"type": "Ingress", "url": "https://kuscia.example.com"}, None),
        ({"type": "LoadBalancer", "service": SERVICE}, {"enabled": True, "type": "LoadBalancer"}),
        ({"type": "NodePort", "service": SERVICE}, {"enabled": True, "type": "NodePort"}),
    ],
)
def test_partner_exposes_its_gateway_as_the_master_does(
    kube: Kube, external: dict[str, Any] | None, values: dict[str, Any] | None
) -> None:
    config = inviting(external=external)
    invitation = attempt(config, kube, "carl", "https://kuscia.example.com")
    lite = yaml.safe_load(invitation)["lite"]
    assert lite.get("service", {}).get("external") == values
    assert f"exposed as {external['type'] if external else 'ClusterIP'}" in invitation


def test_lists_versions_and_all_images(kube: Kube) -> None:
    images = ["docker.io/secretflow/kuscia:1.1.0b0", "example.com/kuscia-hooks:0.1.0", "example.com/psi:1"]
    config = inviting(images=images)
    invitation = attempt(config, kube, "carl", "https://kuscia.example.com")
    assert [line for line in images if f"\n#   {line}\n" not in invitation] == []
    assert "Chart kuscia 0.1.0" in invitation


@pytest.mark.parametrize(
    ("chart", "arguments"),
    [
        ("./charts/kuscia", "./charts/kuscia -n lite-carl"),
        ("oci://example.com/charts/kuscia", "oci://example.com/charts/kuscia --version 0.1.0 -n lite-carl"),
        ("$(reboot)", "'$(reboot)' --version 0.1.0 -n lite-carl"),
    ],
)
def test_names_the_source_of_the_chart(kube: Kube, chart: str, arguments: str) -> None:
    invitation = attempt(MASTER, kube, "carl", "https://kuscia.example.com", chart)
    assert f"helm upgrade --install kuscia {arguments} --create-namespace " in invitation


def test_token_is_printed_apart(core: FakeCore, kube: Kube) -> None:
    """The command does not even read it."""
    core.put("secrets", "ns", "kuscia-deploy-token-carl", data={"token": "c2VjcmV0"})
    invitation = attempt(MASTER, kube, "carl", "https://kuscia.example.com")
    assert core.calls == []
    assert "kubectl kuscia invite carl --token -n ns" in invitation
    assert "--set lite.master.tokenSecret=kuscia-deploy-token-carl" in invitation


@pytest.mark.parametrize(
    ("chart", "files"), [("./charts/kuscia", ["values/site.yaml"]), ("oci://example.com/kuscia", [])]
)
def test_commands_use_the_settings_of_the_site(kube: Kube, chart: str, files: list[str]) -> None:
    """If the partner has the repository of the chart, in which they are."""
    invitation = attempt(inviting(), kube, "carl", "https://kuscia.example.com", chart)
    commands = [line for line in invitation.splitlines() if "helm upgrade --install" in line and "invited.yaml" in line]
    assert [re.findall(r"-f (\S+)", command) for command in commands] == [[*files, "invited.yaml"]] * 2


def test_endpoint_of_the_partner_is_a_placeholder_without_a_port(kube: Kube) -> None:
    """It depends on how the partner exposes its gateway: a port of its nodes, or an Ingress."""
    invitation = attempt(inviting(), kube, "carl", "https://kuscia.example.com")
    assert re.findall(r"^#\s+endpoint: (.*)$", invitation, re.MULTILINE) == ["https://<gateway of carl>"]


def test_master_cannot_invite_itself(kube: Kube) -> None:
    with fails("invalid-arguments"):
        attempt(MASTER, kube, MASTER.domain_id, "https://kuscia.example.com")
