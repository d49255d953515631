"""Rules of routes, with values that were not recorded."""

from typing import Any

import pytest

from kuscia_sim_testing.inprocess import ALICE, Cluster


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"endpoint": {"host": "http://h", "ports": [{"port": 1, "protocol": "HTTP"}]}}, 11400, "spec.endpoint.host"),
        ({"endpoint": {"host": "h_h", "ports": [{"port": 1, "protocol": "HTTP"}]}}, 11400, "should match"),
        ({"token_config": {}}, 11400, 'Unsupported value: "": supported values: "RSA-GEN", "UID-RSA-GEN"'),
        (
            {"token_config": {"token_gen_method": "RSA-GEN", "rolling_update_period": -1}},
            11400,
            "spec.tokenConfig.rollingUpdatePeriod in body should be greater than or equal to 0",
        ),
        ({"body_encryption": {"algorithm": "DES"}}, 11400, 'supported values: "AES", "SM4"'),
        ({"transit": {"transit_method": "X"}}, 11400, 'supported values: "THIRD-DOMAIN", "REVERSE-TUNNEL"'),
        ({"transit": {}}, 11100, "tranist method is required when transit is not empty"),
        (
            {"transit": {"transit_method": "THIRD-DOMAIN"}},
            11100,
            "domain is required when transit method is third domain",
        ),
        ({"endpoint": {"ports": [{"port": 65536}]}}, 11100, "endpoint port should be positive"),
        (
            {
                "endpoint": {"ports": [{"port": 65536, "protocol": "HTTP"}]},
                "transit": {"transit_method": "REVERSE-TUNNEL"},
            },
            11400,
            "spec.endpoint.ports[0].port: Invalid value: 65536: spec.endpoint.ports[0].port in body should be less",
        ),
    ],
)  # fmt: skip
async def test_rejects_invalid_routes(cluster: Cluster, change: Any, code: int, text: str) -> None:
    route = {"source": ALICE, "destination": "bob", "authentication_type": "Token",
             "endpoint": {"host": "h", "ports": [{"port": 1, "protocol": "grpcs"}]}}  # fmt: skip
    got = await cluster.refused("master", "route/create", {**route, **change})
    assert got[0] == code
    assert text in got[1]


async def test_query_returns_route_options(cluster: Cluster) -> None:
    route = {
        "source": ALICE,
        "destination": "bob",
        "authentication_type": "MTLS",
        "endpoint": {"host": "1.2.3.4", "ports": [{"name": "p", "port": 443, "protocol": "grpcs"}]},
        "mtls_config": {"tls_ca": "a", "source_client_cert": "b", "source_client_private_key": "c"},
        "transit": {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": "carol"}},
        "body_encryption": {"algorithm": "SM4"},
    }  # fmt: skip
    await cluster.ok("master", "route/create", route)
    found = await cluster.ok("master", "route/query", {"source": ALICE, "destination": "bob"})
    port = {"name": "p", "port": 443, "protocol": "GRPC", "isTLS": True, "path_prefix": ""}
    assert found["endpoint"] == {"host": "1.2.3.4", "ports": [port]}
    assert found["token_config"] is None
    for field in ("mtls_config", "transit", "body_encryption"):
        assert found[field] == route[field]


async def test_routes_with_the_same_name_are_one_object(cluster: Cluster) -> None:
    """A ClusterDomainRoute is named <source>-<destination> (Kuscia facts 6.2)."""
    for domain_id in ("a", "a-b", "c", "b-c"):
        await cluster.ok("master", "domain/create", {"domain_id": domain_id})
    first, second = {"source": "a", "destination": "b-c"}, {"source": "a-b", "destination": "c"}
    endpoint = {"host": "first.example.com", "ports": [{"port": 1080, "protocol": "HTTP", "name": "http"}]}
    rest = {"authentication_type": "Token", "endpoint": endpoint}
    await cluster.ok("master", "route/create", {**first, **rest})
    code, _ = await cluster.refused("master", "route/create", {**second, **rest})
    assert code == 11405
    found = await cluster.ok("master", "route/query", second)
    assert (found["name"], found["endpoint"]["host"]) == ("a-b-c", "first.example.com")
    await cluster.ok("master", "route/delete", second)
    assert (await cluster.refused("master", "route/query", first))[0] == 11404
