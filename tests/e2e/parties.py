"""Master, alice and bob with tables and the example job, as in the demo, in separate namespaces."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kuscia_hooks.kuscia import domain_data
from kuscia_hooks.kuscia.routes import normal_route
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import LAYERS, ROOT
from testbed.servers import s3
from tests.e2e.variants import Variant, variant

LITES = ("alice", "bob")
PARTIES = ("master", *LITES)


@contextmanager
def three(demo: Demo, layer: Path, refs: Mapping[str, str], name: str) -> Iterator[Variant]:
    """Yield the three parties, not installed yet. They use the buckets of the demo with a different prefix.

    Args:
        layer: the values layer with the images.
        refs: of all images.
    """
    with variant(demo, layer, name, parties=PARTIES) as made:
        accounts = tuple(s3.Account(party, made.namespace(party), f"{party}-oss") for party in LITES)
        s3.ensure(demo.kubectl, refs["versitygw"], accounts)
        yield made


def values(made: Variant, party: str) -> dict[str, Any]:
    """Return values that other variants leave out: the example job, and the tables of a lite."""
    if party == "master":
        return {"master": {"exampleJob": {"enabled": True, "appImage": "psi-engine"}}}
    preset, layer = (
        yaml.safe_load(path.read_text())["lite"]["data"]
        for path in (ROOT / f"values/{party}-tables.yaml", LAYERS / f"{party}.yaml")
    )
    source = {**preset["source"], **layer["source"], "prefix": made.name}
    return {"lite": {"data": {**preset, "source": source}}}


def install(made: Variant, *parties: str) -> None:
    """Install parties (default: all) at the same time and wait until they are ready."""
    parties = parties or PARTIES
    with ThreadPoolExecutor(len(parties)) as pool:
        for done in [pool.submit(made.install, party, values=values(made, party), timeout="15m") for party in parties]:
            done.result()


def state(made: Variant) -> dict[str, Any]:
    """Return the state of a master from KusciaAPI: domains, routes, AppImages, and declarations of the lites."""
    found: dict[str, Any] = {}
    with kusciaapi(made.kubectl, made.release("master")) as api:
        for source, destination in (LITES, LITES[::-1]):
            found[source] = api.call("domain/query", {"domain_id": source})["cert"]
            route = api.call("route/query", {"source": source, "destination": destination})
            found[f"{source}-{destination}"] = normal_route(route)
            tables = api.call("domaindata/list", {"data": {"domain_id": source}})["domaindata_list"]
            # Each run of the example job creates a new result.
            declared = [table for table in tables if table["vendor"] == domain_data.VENDOR]
            found[f"tables of {source}"] = sorted(declared, key=lambda table: str(table["domaindata_id"]))
        for name in ("psi-engine", "secretflow-image"):
            found[name] = api.call("appimage/query", {"name": name})
    for party in LITES:
        with kusciaapi(made.kubectl, made.release(party)) as api:
            body = {"domain_id": party, "datasource_id": "default-data-source"}
            found[f"data source of {party}"] = api.call("domaindatasource/query", body)
            grants = api.call("domaindatagrant/list", {"data": {"domain_id": party}})["domaindatagrant_list"]
            found[f"grants of {party}"] = sorted((grant["data"] for grant in grants), key=str)
    return found


def pods(made: Variant, lites: tuple[str, ...] = LITES) -> dict[str, str]:
    """Return lite -> UID of its pod."""
    return {party: made.pod(party)["metadata"]["uid"] for party in lites}


def versions(made: Variant, lites: tuple[str, ...] = LITES) -> dict[str, str]:
    """Return lite -> Kuscia version of its Ready node at the master; "" if no node is Ready."""
    found = {}
    with kusciaapi(made.kubectl, made.release("master")) as api:
        for party in lites:
            nodes = api.call("domain/query", {"domain_id": party})["node_statuses"]
            found[party] = "".join(node["version"] for node in nodes if node["status"] == "Ready")
    return found
