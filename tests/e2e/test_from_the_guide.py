"""The commands of docs/from-the-guide.md: a deployment made by hand, on MySQL, becomes three releases."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.routes import normal_route
from testbed.demo.demo import Demo
from testbed.servers import databases
from testbed.servers.databases import MARIADB
from tests.e2e import datastores, guide, parties
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually
from tests.handmade import Node, lite_config

pytestmark = [pytest.mark.cluster, pytest.mark.long]

DOCUMENT = "from-the-guide.md"
READ, VALUES = guide.commands(DOCUMENT, "Read the deployment")
(REPLACE,) = guide.commands(DOCUMENT, "Replace it")
CHECK, CLEAN = guide.commands(DOCUMENT, "Check and clean up")
START_SECONDS = 800
"""Nothing prepares a node that was made by hand; on a busy machine it exits and starts again a few times."""
PASSWORD = "p@ss:/w?rd"
SERVER = replace(MARIADB, namespace="v-guide-mariadb")


@contextmanager
def api(made: Variant, node: Node) -> Iterator[KusciaAPI]:
    with (
        made.kubectl.port_forward(node.namespace, f"service/{node.name}", 8082) as port,
        KusciaAPI(f"http://127.0.0.1:{port}", "NOTLS", node.domain, domain_key.load_key(node.key)) as client,
    ):
        yield client


def endpoint(node: Node) -> str:
    return f"http://{node.name}.{node.namespace}.svc.cluster.local:1080"


def apply(made: Variant, *objects: dict[str, Any]) -> None:
    made.kubectl.apply("\n---\n".join(map(json.dumps, objects)))


def create_lite(made: Variant, master: Node, domain: str, image: str) -> Node:
    """Create a lite as the guide does: Service, deploy token from the master, ConfigMap, Role, Deployment."""
    namespace = made.namespace(domain)
    node = Node("Lite", domain, namespace, f"kuscia-lite-{domain}", domain_key.new_key(), image=image)
    made.kubectl.ensure_namespace(namespace)
    apply(made, node.service())
    dns = made.kubectl.get("service", node.name, "-n", namespace)["spec"]["clusterIP"]
    with api(made, master) as client:
        center = {"authentication_type": "Token", "token_gen_method": "RSA-GEN"}
        client.call("domain/create", {"domain_id": domain, "auth_center": center})

        def token() -> str:
            statuses = client.call("domain/query", {"domain_id": domain})["deploy_token_statuses"]
            return next((status["token"] for status in statuses if status["state"] == "unused"), "")

        eventually(lambda: bool(token()), RECONNECT_SECONDS, f"deploy token of {domain}")
        config = lite_config(endpoint(master), namespace, dns, token())
    node = replace(node, config=config)
    apply(made, *node.objects())
    return node


def declare(made: Variant, node: Node, partner: str) -> None:
    """Declare a table of the default data source, and grant it."""
    columns = [{"name": "id1", "type": "str"}]
    table = {
        "domaindata_id": f"{node.domain}-table",
        "domain_id": node.domain,
        "name": "t",
        "type": "table",
        "relative_uri": f"{node.domain}.csv",
        "datasource_id": "default-data-source",
        "columns": columns,
    }
    grant = {"domain_id": node.domain, "domaindata_id": f"{node.domain}-table", "grant_domain": partner}
    with api(made, node) as client:
        client.call("domaindata/create", table)
        client.call("domaindatagrant/create", grant)


def routes_ready(made: Variant, master: Node) -> bool:
    with api(made, master) as client:
        return all(
            client.call("route/query", {"source": source, "destination": destination})["status"]["status"]
            == "Succeeded"
            for source, destination in (parties.LITES, parties.LITES[::-1])
        )


def state(made: Variant, master: Node, lites: dict[str, Node]) -> dict[str, Any]:
    """Return what a takeover must keep."""
    found: dict[str, Any] = {}
    with api(made, master) as client:
        for source, destination in (parties.LITES, parties.LITES[::-1]):
            found[source] = client.call("domain/query", {"domain_id": source})["cert"]
            route = client.call("route/query", {"source": source, "destination": destination})
            found[f"{source}-{destination}"] = normal_route(route)
    for domain, node in lites.items():
        with api(made, node) as client:
            listed = {"data": {"domain_id": domain}}
            found[f"tables of {domain}"] = client.call("domaindata/list", listed)["domaindata_list"]
            found[f"grants of {domain}"] = client.call("domaindatagrant/list", listed)["domaindatagrant_list"]
    return found


def test_takes_over_the_deployment_of_the_guide(
    demo: Demo, images: Path, image_refs: dict[str, str], tmp_path: Path
) -> None:
    with (
        datastores.running(demo, SERVER),
        variant(demo, images, "guide", parties=parties.PARTIES) as made,
    ):
        databases.set_password(demo.kubectl, SERVER, "kuscia", PASSWORD)
        databases.create_database(demo.kubectl, SERVER, "kuscia", "kuscia")
        address = f"mysql://kuscia:{PASSWORD}@tcp({SERVER.host}:3306)/kuscia?charset=utf8mb4&parseTime=True&loc=Local"
        master = Node(
            "master", "kuscia-system", made.namespace("master"), "kuscia-master", domain_key.new_key(),
            {"datastoreEndpoint": address}, image_refs["kuscia"],
        )  # fmt: skip
        made.kubectl.ensure_namespace(master.namespace)
        apply(made, *master.objects())
        eventually(lambda: answers(made, master), START_SECONDS, "the master answers")
        lites = {domain: create_lite(made, master, domain, image_refs["kuscia"]) for domain in parties.LITES}
        for node in lites.values():
            eventually(lambda node=node: answers(made, node), START_SECONDS, f"{node.domain} answers")
        for source, destination in (parties.LITES, parties.LITES[::-1]):
            create_route(made, master, source, lites[destination])
        eventually(lambda: routes_ready(made, master), RECONNECT_SECONDS, "routes READY")
        for domain, partner in (parties.LITES, parties.LITES[::-1]):
            declare(made, lites[domain], partner)
        before = state(made, master, lites)

        take_over(made, images, tmp_path, master, *lites.values())

        eventually(lambda: routes_ready(made, master), RECONNECT_SECONDS, "routes READY again")
        for node in (master, *lites.values()):
            shell(made, tmp_path, node, CHECK, CLEAN)
            made_by = made.kubectl.get("secret", f"{node.name}-domain-key", "-n", node.namespace)
            assert not made_by["metadata"].get("ownerReferences")
            party = "master" if node is master else node.domain
            assert domain_key.public_der(made.key(party)) == domain_key.public_der(domain_key.load_key(node.key))
            configmap = made.kubectl.get("configmap", f"{node.name}-domain-cert", "-n", node.namespace)
            public = domain_key.certificate_public_der(configmap["data"]["domain.crt"].encode())
            assert public == domain_key.public_der(domain_key.load_key(node.key))
        assert state(made, master, lites) == before


def answers(made: Variant, node: Node) -> bool:
    """Return whether KusciaAPI listens. The guide has no probes, and a port-forward to a closed port ends."""
    with made.kubectl.port_forward(node.namespace, f"service/{node.name}", 8082) as port:
        return httpx.get(f"http://127.0.0.1:{port}/probe", timeout=5).is_success


def create_route(made: Variant, master: Node, source: str, destination: Node) -> None:
    """Create a route as create_cluster_domain_route.sh does (Kuscia facts 6.3)."""
    host = f"{destination.name}.{destination.namespace}.svc.cluster.local"
    port = {"name": "http", "port": 1080, "protocol": "HTTP", "isTLS": False, "path_prefix": "/"}
    body = {
        "source": source,
        "destination": destination.domain,
        "authentication_type": "Token",
        "endpoint": {"host": host, "ports": [port]},
        "token_config": {"token_gen_method": "RSA-GEN", "rolling_update_period": 86400},
    }
    with api(made, master) as client:
        client.call("route/create", body)


def shell(made: Variant, directory: Path, node: Node, *blocks: str, **more: str) -> str:
    variables = {"NS": node.namespace, "NAME": node.name, "DOMAIN": node.domain, **more}
    path = f"{directory / 'bin'}:{made.kubectl.env['PATH']}"
    return guide.run(made.kubectl, directory, {"PATH": path, **variables}, *blocks)


def take_over(made: Variant, images: Path, directory: Path, *nodes: Node) -> None:
    """Run the commands of the document, with the command kuscia-hooks of this tree."""
    (directory / "bin").mkdir()
    command = directory / "bin/kuscia-hooks"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m kuscia_hooks "$@"\n')
    command.chmod(0o755)
    (directory / "values").mkdir()
    (directory / "values/site.yaml").write_text(images.read_text())
    shell(made, directory, nodes[0], READ, NAMESPACES=" ".join(node.namespace for node in nodes))
    for node in nodes:
        shell(made, directory, node, VALUES, REPLACE)
