"""Rules of app images, with values that were not recorded."""

import base64
from typing import Any

import pytest

from kuscia_sim.api.appimage import canonical_quantity
from kuscia_sim_testing.inprocess import Cluster


def _image(**resources: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": resources, "ports": [{"name": "p"}], "env": [{"name": "A", "value": "1"}]}
    templates = [{"name": "t", "replicas": 1, "containers": [container]}]
    return {"name": "i", "image": {"name": "n", "tag": "1"}, "deploy_templates": templates}


async def test_app_images_get_defaults_and_canonical_quantities(cluster: Cluster) -> None:
    limits = {"cpu": "1500m", "memory": "1024Mi"}
    await cluster.ok("master", "appimage/create", _image(limits=limits, requests={"cpu": "0.5", "memory": "1e9"}))
    found = (await cluster.ok("master", "appimage/query", {"name": "i"}))["deploy_templates"][0]["containers"][0]
    assert found["ports"] == [{"name": "p", "protocol": "HTTP", "scope": "Local"}]
    assert found["resources"] == {
        "limits": {"cpu": "1500m", "memory": "1Gi"},
        "requests": {"cpu": "500m", "memory": "1e9"},
    }
    code, text = await cluster.refused("master", "appimage/create", {**_image(limits={"cpu": "x"}), "name": "j"})
    assert code == 13100
    assert text.startswith("can't parse limit cpu x to resource quantity, quantities must match")
    _, text = await cluster.refused("master", "appimage/create", {**_image(limits={"memory": "1ki"}), "name": "j"})
    assert text == "can't parse limit memory  to resource quantity, unable to parse quantity's suffix"


async def test_keeps_empty_probe(cluster: Cluster) -> None:
    """k8sProbe and apiProbe in Kuscia's pkg/kusciaapi/service/appimage_service.go distinguish it from a missing one."""
    image = _image()
    image["deploy_templates"][0]["containers"][0]["liveness_probe"] = {}
    await cluster.ok("master", "appimage/create", image)
    found = (await cluster.ok("master", "appimage/query", {"name": "i"}))["deploy_templates"][0]["containers"][0]
    assert found["readiness_probe"] is None
    assert found["liveness_probe"]["http_get"] is None
    assert found["liveness_probe"]["period_seconds"] == 0


async def test_invalid_request_without_limits_panics(cluster: Cluster) -> None:
    answer = await cluster.ask("master", "appimage/create", _image(requests={"cpu": "x"}))
    text = "doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"
    assert answer == {"status": {"code": 11101, "message": text}}


async def test_lists_app_images_in_pages(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        await cluster.ok("master", "appimage/create", {**_image(), "name": name})
    page = await cluster.ok("master", "appimage/list", {"page_size": 2})
    assert [image["name"] for image in page["appimage_list"]] == ["a", "b"]
    rest = await cluster.ok("master", "appimage/list", {"page_token": page["next_page_token"]})
    assert [image["name"] for image in rest["appimage_list"]] == ["c"]
    assert rest["next_page_token"] == ""


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("bogus", "illegal base64 data at input byte 4"),
        ("!!!", "illegal base64 data at input byte 0"),
        ("abc=", "illegal base64 data at input byte 3"),
        ("YQ", "invalid character 'a' looking for beginning of value"),
        ("MTI", "json: cannot unmarshal number into Go value of type storage.continueToken"),
        ("eyJ2IjoxfQ", "json: cannot unmarshal number into Go struct field continueToken.v of type string"),
        ("e30", "server does not recognize this encoded version "),
        ('{"v":"x"}', "server does not recognize this encoded version x"),
        ('{"v":"meta.k8s.io/v1"}', "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":5}', "encoded start key empty (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":5,"start":"/a/../b"}', "/a/../b"),
    ],
)
async def test_rejects_invalid_page_tokens(cluster: Cluster, token: str, text: str) -> None:
    """Texts of Go's encoding/base64 and encoding/json."""
    if token.startswith("{"):
        token = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    told = (13107, f"invalid continue token: continue key is not valid: {text}")
    assert await cluster.refused("master", "appimage/list", {"page_token": token}) == told


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("1000m", "1"), ("0.5", "500m"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000", "1k"),
     ("1e4", "10e3"), ("1e9", "1e9"), ("1e-3", "1e-3"), ("0", "0"), ("100M", "100M"), ("1E", "1E"), ("0.1n", "1n")],
)  # fmt: skip
def test_formats_quantities(given: str, canonical: str) -> None:
    assert canonical_quantity(given) == canonical
