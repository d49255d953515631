"""The size of what the chart renders for many domains."""

import json

import pytest

from bench import chart
from tests.chart.render import Scenario, with_values

# What `kubectl apply` without --server-side, the default of Argo CD, stores in an annotation.
CLIENT_SIDE = 256 * 1024
# A Secret, and so the state of a Helm release.
SECRET = 1024 * 1024
LARGEST_CONFIG_MAP = 60_000


def _scenario(number: int, *, certificates: bool = False) -> Scenario:
    return with_values("", chart.values(number, certificates=certificates))


def _config_maps(scenario: Scenario) -> dict[str, int]:
    """Return the size in bytes of the data of each ConfigMap."""
    maps = (item for item in scenario.objects if item["kind"] == "ConfigMap")
    return {item["metadata"]["name"]: sum(map(len, item["data"].values())) for item in maps}


def test_largest_config_map_of_100_domains_is_small() -> None:
    sizes = _config_maps(_scenario(100))
    assert max(sizes.values()) < LARGEST_CONFIG_MAP, sizes


def test_one_config_map_grows_with_the_domains_and_not_with_their_routes() -> None:
    few, many = _config_maps(_scenario(3)), _config_maps(_scenario(100))
    assert {name for name in few if few[name] != many[name]} == {"kuscia-master-domains"}
    assert many["kuscia-master-domains"] < few["kuscia-master-domains"] / 3 * 100 * 1.1


@pytest.mark.parametrize("certificates", [False, True], ids=["by token", "by certificate"])
def test_client_side_apply_accepts_300_domains(certificates: bool) -> None:
    objects = _scenario(300, certificates=certificates).objects
    size, name = max((len(json.dumps(item)), item["metadata"]["name"]) for item in objects)
    assert size < CLIENT_SIDE, name


@pytest.mark.parametrize("certificates", [False, True], ids=["by token", "by certificate"])
def test_helm_can_store_a_release_with_300_domains(certificates: bool) -> None:
    scenario = _scenario(300, certificates=certificates)
    assert chart.release_bytes(json.loads(scenario.values), scenario.text()) < SECRET
    assert max(_config_maps(scenario).values()) < SECRET
