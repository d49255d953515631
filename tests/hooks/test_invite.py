from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.errors import ConfigError, PermanentError
from kuscia_hooks.inspect.invite import attempt
from tests.hooks.fakes import FakeCore
from tests.hooks.test_diagnosis import LITE, MASTER

SERVICE = "kuscia-master-external"


def exposed(**external: Any) -> Release:
    return Release.model_validate(MASTER.model_dump(by_alias=True) | {"external": external})


def endpoint(letter: str) -> str:
    return str(yaml.safe_load(letter)["lite"]["master"]["endpoint"])


def test_letter_is_a_values_file(kube: Kube) -> None:
    letter = attempt(MASTER, kube, "carl", "https://kuscia.example.com:1080")
    assert yaml.safe_load(letter) == {
        "master": {"enabled": False},
        "lite": {
            "enabled": True,
            "domainId": "carl",
            "master": {"endpoint": "https://kuscia.example.com:1080", "namespace": "", "tokenSecret": ""},
        },
    }
    for words in (
        "master domain kuscia-system",
        "speaks https",
        "global.kuscia.hooksImage.repository",
        "configmap kuscia-lite-carl-domain-cert -n lite-carl",
    ):
        assert words in letter


def test_address_inside_the_cluster_is_named_as_such(kube: Kube) -> None:
    letter = attempt(MASTER, kube, "carl", "")
    assert endpoint(letter) == MASTER.gateway
    assert "known inside this cluster only" in letter


def test_address_of_an_ingress(kube: Kube) -> None:
    letter = attempt(exposed(type="Ingress", url="https://kuscia.example.com/kuscia"), kube, "carl", "")
    assert endpoint(letter) == "https://kuscia.example.com/kuscia"


def test_address_of_an_ingress_for_any_host(kube: Kube) -> None:
    url = "https://<host of the Ingress controller>/kuscia"
    letter = attempt(exposed(type="Ingress", url=url), kube, "carl", "")
    assert endpoint(letter) == url
    assert "put in the host name" in letter


@pytest.mark.parametrize("place", [{"ip": "1.2.3.4"}, {"hostname": "1.2.3.4"}])
def test_address_of_a_load_balancer(core: FakeCore, kube: Kube, place: dict[str, str]) -> None:
    status = {"loadBalancer": {"ingress": [place]}}
    core.put("services", "ns", SERVICE, spec={"ports": [{"port": 1080}]}, status=status)
    letter = attempt(exposed(type="LoadBalancer", service=SERVICE), kube, "carl", "")
    assert endpoint(letter) == "https://1.2.3.4:1080"


def test_load_balancer_without_an_address(core: FakeCore, kube: Kube) -> None:
    config = exposed(type="LoadBalancer", service=SERVICE)
    with pytest.raises(PermanentError, match="does not exist"):
        attempt(config, kube, "carl", "")
    core.put("services", "ns", SERVICE, spec={"ports": [{"port": 1080}]}, status={"loadBalancer": {}})
    with pytest.raises(PermanentError, match="has no address yet"):
        attempt(config, kube, "carl", "")


def test_address_of_a_node_port(core: FakeCore, kube: Kube) -> None:
    core.put("services", "ns", SERVICE, spec={"ports": [{"port": 1080, "nodePort": 31080}]}, status={})
    letter = attempt(exposed(type="NodePort", service=SERVICE), kube, "carl", "")
    assert endpoint(letter) == "https://<the address of a node>:31080"
    assert "kubectl get nodes" in letter


def test_a_lite_invites_nobody(kube: Kube) -> None:
    with pytest.raises(ConfigError, match="only a master invites"):
        attempt(LITE, kube, "carl", "")


def test_wrong_words_are_named_all_at_once(kube: Kube) -> None:
    with pytest.raises(ConfigError) as refused:
        attempt(MASTER, kube, "Bad ID", "kuscia.example.com")
    assert "DOMAIN 'Bad ID': a domain ID is" in str(refused.value)
    assert "--endpoint 'kuscia.example.com': an endpoint is http(s)://" in str(refused.value)
