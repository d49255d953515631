"""The size of what the chart renders for many domains."""

import base64
import gzip
import json
import random
from pathlib import Path

import pytest

from tests.chart.render import CHART, Object, Scenario, with_values

# What `kubectl apply` without --server-side, the default of Argo CD, stores in an annotation.
CLIENT_SIDE = 256 * 1024
# A Secret, and so the state of a Helm release.
SECRET = 1024 * 1024
LARGEST_CONFIG_MAP = 60_000


def _domains(number: int, *, certificates: bool = False) -> Scenario:
    """Return a master with all routes between domains with IDs of 63 characters, each with a reader of its own."""
    names = [f"d{index}-".ljust(63, "x") for index in range(number)]
    domains: Object = {
        name: {
            "endpoint": f"https://kuscia-lite-{name[:31]}.{name}.svc.cluster.local:1080",
            "reader": {"namespace": name},
        }
        for name in names
    }
    if certificates:
        for index, domain in enumerate(domains.values()):
            text = base64.b64encode(random.Random(index).randbytes(780)).decode()
            domain["cert"] = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    return with_values("", {"master": {"domains": domains, "routes": "all"}})


def _config_maps(scenario: Scenario) -> dict[str, int]:
    """Return the size in bytes of the data of each ConfigMap."""
    maps = (item for item in scenario.objects if item["kind"] == "ConfigMap")
    return {item["metadata"]["name"]: sum(map(len, item["data"].values())) for item in maps}


def _release(scenario: Scenario) -> int:
    """Return the size in bytes of what Helm stores of a release: chart, values and manifest, compressed."""
    files = [path.read_text() for path in sorted(Path(CHART).rglob("*")) if path.suffix in (".yaml", ".tpl", ".json")]
    state = json.dumps({"chart": files, "config": json.loads(scenario.values), "manifest": scenario.text()})
    return len(base64.b64encode(gzip.compress(state.encode())))


def test_largest_config_map_of_100_domains_is_small() -> None:
    sizes = _config_maps(_domains(100))
    assert max(sizes.values()) < LARGEST_CONFIG_MAP, sizes


def test_one_config_map_grows_with_the_domains_and_not_with_their_routes() -> None:
    few, many = _config_maps(_domains(3)), _config_maps(_domains(100))
    assert {name for name in few if few[name] != many[name]} == {"kuscia-master-domains"}
    assert many["kuscia-master-domains"] < few["kuscia-master-domains"] / 3 * 100 * 1.1


def test_client_side_apply_accepts_300_domains() -> None:
    size, name = max((len(json.dumps(item)), item["metadata"]["name"]) for item in _domains(300).objects)
    assert size < CLIENT_SIDE, name


@pytest.mark.parametrize("certificates", [False, True], ids=["by token", "by certificate"])
def test_helm_can_store_a_release_with_300_domains(certificates: bool) -> None:
    scenario = _domains(300, certificates=certificates)
    assert _release(scenario) < SECRET
    assert max(_config_maps(scenario).values()) < SECRET
