"""Several releases in one namespace do not share an object, and find each other's."""

from typing import Any

import pytest
import yaml

from tests.chart.render import Object, find, render


def _names(objects: list[Object]) -> set[tuple[str, str, str]]:
    return {(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in objects}


def _master(release: str, **values: Any) -> list[Object]:
    domains = {"alice": {"reader": {"namespace": "ns"}}}
    return render({"master": {"domains": domains, **values}}, release=release)


def _lite(release: str, domain: str, endpoint: str = "https://kuscia-master.ns.svc.cluster.local:1080") -> list[Object]:
    lite = {
        "enabled": True,
        "domainId": domain,
        "master": {"endpoint": endpoint, "namespace": "ns"},
        "runk": {"namespace": f"{domain}-engines"},
    }
    return render({"master": {"enabled": False}, "lite": lite}, release=release)


def _tokens(objects: list[Object], master: str) -> dict[str, str]:
    text = find(objects, "ConfigMap", f"{master}-domains")["data"]["domains.yaml"]
    return {domain: entry["tokenSecret"] for domain, entry in yaml.safe_load(text)["domains"].items()}


def _deploy_token(objects: list[Object], name: str) -> dict[str, str]:
    prepare = yaml.safe_load(find(objects, "ConfigMap", f"{name}-config")["data"]["prepare.yaml"])
    token: dict[str, str] = prepare["deployToken"]
    return token


def test_two_masters_share_no_object_and_no_token_secret() -> None:
    first, second = _master("kuscia"), _master("prod")
    assert not _names(first) & _names(second)
    tokens = _tokens(first, "kuscia-master"), _tokens(second, "prod-kuscia-master")
    assert tokens == (
        {"alice": "kuscia-deploy-token-alice"},
        {"alice": "prod-kuscia-master-deploy-token-alice"},
    )


def test_two_lites_share_no_object() -> None:
    first, second = _lite("a", "alice"), _lite("b", "bob")
    assert not _names(first) & _names(second)


@pytest.mark.parametrize(
    ("release", "master", "values"),
    [
        ("kuscia", "kuscia-master", {}),
        ("prod", "prod-kuscia-master", {}),
        ("kuscia", "hub", {"nameOverride": "hub"}),
        ("prod", "hub", {"fullnameOverride": "hub"}),
    ],
)
def test_lite_reads_the_token_secret_of_the_master_in_its_endpoint(release: str, master: str, values: Object) -> None:
    tokens = _tokens(_master(release, **values), master)
    lite = _lite("another", "alice", f"https://{master}.ns.svc.cluster.local:1080")
    assert _deploy_token(lite, "another-kuscia-lite-alice")["name"] == tokens["alice"]


def test_lite_behind_another_endpoint_reads_the_default_token_secret() -> None:
    lite = _lite("kuscia", "alice", "https://kuscia.example.com/path")
    assert _deploy_token(lite, "kuscia-lite-alice")["name"] == "kuscia-deploy-token-alice"


@pytest.mark.parametrize(
    ("release", "master"), [("kuscia", "kuscia-master"), ("prod", "prod-kuscia-master"), ("123", "kuscia-123-master")]
)
def test_token_readers_are_the_accounts_of_lites_with_the_same_release_name(release: str, master: str) -> None:
    binding = find(_master(release), "RoleBinding", f"{master}-token-alice")
    accounts = {name for kind, _, name in _names(_lite(release, "alice")) if kind == "ServiceAccount"}
    assert binding["subjects"][0]["name"] in accounts
