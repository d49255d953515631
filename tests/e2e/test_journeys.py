"""The commands of docs/install.md and docs/partners.md, with the values files that these pages show.

Names of namespaces and servers are those of the test bed. All parties are in one cluster behind one Ingress controller.
"""

import json
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.demo.demo import Demo
from testbed.images import adopt, builder
from testbed.servers import databases, ingress
from testbed.servers.databases import MARIADB
from testbed.servers.ingress import Controller, Settings
from testbed.servers.registry import USER, Registry, registry
from testbed.servers.tls import Tls
from tests.chart.render import PRESETS, ROOT
from tests.e2e import datastores, guide, messages
from tests.e2e.variants import SMALL, Variant, variant
from tests.fuzz.values import merge
from tests.hooks.fakes.certificates import Authority

# On a busy machine six nodes need longer to start than other tests last.
pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

INSTALL, PARTNERS = "install.md", "partners.md"
INVITED = ("alice", "bob", "carol", "dave", "erin")
REGISTRY_PORT = 15018
ALWAYS = {"pullPolicy": "Always"}
SERVER = replace(MARIADB, namespace="v-install-mariadb")


@dataclass(frozen=True)
class Journey:
    """Parties that follow a page. Each works in a directory of its own, with a copy of the presets.

    Args:
        hosts: host names of the pages -> those of the test bed.
        sites: the file values/site.yaml of each party.
        edge: the Ingress controller of all parties.
    """

    made: Variant
    directory: Path
    hosts: Mapping[str, str]
    sites: Mapping[str, str]
    edge: Controller

    def run(self, party: str, *blocks: str, **variables: str) -> str:
        """Run blocks of the page as a party; return their output."""
        return guide.run(self.made.kubectl, self.home(party), variables, *map(self.adapted, blocks))

    def home(self, party: str) -> Path:
        """Return the working directory of a party."""
        home = self.directory / party
        if not home.exists():
            (home / "values").mkdir(parents=True)
            for preset in PRESETS.glob("*.yaml"):
                self.write(party, f"values/{preset.name}", preset.read_text())
            self.write(party, "values/site.yaml", self.sites[party])
        return home

    def adapted(self, text: str) -> str:
        """Return commands or values with the namespaces and host names of the test bed."""
        for old, new in self.hosts.items():
            text = text.replace(old, new)
        places = r"(namespace:? |-n |(?<=[a-z])\.)(?:kuscia|lite)-(\w+)\b(?!-)"
        return re.sub(places, lambda found: found[1] + self.made.namespace(found[2]), text)

    def write(self, party: str, name: str, text: str) -> None:
        (self.home(party) / name).write_text(self.adapted(text))

    def serve(self, *parties: str) -> None:
        """Let the controller serve the Ingresses of parties."""
        self.edge.serve(map(self.made.namespace, parties), Settings(ignore_invalid_headers=False))


@contextmanager
def journey(
    made: Variant, demo: Demo, directory: Path, hosts: Mapping[str, str], sites: Mapping[str, str]
) -> Iterator[Journey]:
    """Yield parties that are not installed yet; remove their Ingress controller afterwards.

    Args:
        hosts: host name of a page -> the first label of its name in the cluster.
    """
    assert demo.local is not None
    namespace = made.namespace("edge")
    image = builder.build(["nginx"])["nginx"]
    builder.load(demo.local, [image])
    edge = Controller(made.kubectl, namespace, image.ref, inside=True)
    edge.remove()
    made.kubectl.ensure_namespace(namespace)
    for name in hosts.values():
        made.kubectl.apply(json.dumps(_name(name, namespace)))
    names = {host: f"{name}.{namespace}.svc.cluster.local" for host, name in hosts.items()}
    try:
        yield Journey(made, directory, names, sites, edge)
    finally:
        edge.remove()


def _name(name: str, namespace: str) -> dict[str, Any]:
    """Return a Service that gives the controller a further host name."""
    ports = [{"name": "https", "port": 443, "targetPort": "https"}]
    spec = {"selector": {"app.kubernetes.io/name": ingress.NAME}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def small(site: str) -> str:
    """Return settings of a site with the resources that the test bed has."""
    return str(yaml.safe_dump(merge(yaml.safe_load(site), SMALL)))


def install_partner(taken: Journey, domain: str, invitation: Path) -> str:
    """Follow step 3 of the page of partners; return the certificate that the partner sends."""
    install, _, certificate, fingerprint = (
        block.replace("bob", domain) for block in guide.commands(PARTNERS, "3. B installs its lite")
    )
    taken.write(domain, "invited.yaml", invitation.read_text())
    taken.write(domain, f"{domain}-gateway.yaml", guide.files(PARTNERS)["bob-gateway.yaml"].replace("bob", domain))
    taken.run(domain, install)
    taken.run(domain, certificate, fingerprint)
    return (taken.home(domain) / f"{domain}.crt").read_text()


def test_installs_a_master_for_production(demo: Demo, images: Path, tmp_path: Path) -> None:
    """docs/install.md, with five partners that follow docs/partners.md."""
    assert demo.local is not None
    built = builder.build(["registry", "kuscia-hooks", "kuscia-sim"])
    builder.load(demo.local, [built["registry"]])
    authority = Authority()
    certificate = Tls(*authority.certificate("server", SERVER.host), authority.pem)
    hosts = {"kuscia.example.com": "kuscia"} | {f"kuscia.{domain}.example": domain for domain in INVITED}
    # Even if the node has the images of an earlier run.
    always = {"global": {"kuscia": {"hooksImage": ALWAYS}}, "master": {"image": ALWAYS}}
    site = merge(yaml.safe_load(guide.files(INSTALL)["values/site.yaml"]), always)
    sites = {"master": small(yaml.safe_dump(site))} | dict.fromkeys(INVITED, small(images.read_text()))
    with (
        variant(demo, images, "install", parties=("master", *INVITED)) as made,
        datastores.running(demo, SERVER, certificate),
        registry(demo.local, made.kubectl, "v-install-registry", built["registry"].ref, REGISTRY_PORT, True) as mirror,
        journey(made, demo, tmp_path, hosts, sites) as begun,
    ):
        servers = {"registry.example.com": mirror.host, "mysql.example.com": SERVER.host}
        taken = replace(begun, hosts={**begun.hosts, **servers})
        archives = {name: f"oci-archive:{image.archive}" for name, image in built.items()}
        kuscia = adopt.source(demo.kuscia_image or archives["kuscia-sim"])
        copy_images(taken, mirror, {"kuscia-hooks": archives["kuscia-hooks"], "kuscia": kuscia})
        install_master(taken, mirror, authority)
        invite_partners(taken)


def copy_images(taken: Journey, mirror: Registry, sources: Mapping[str, str]) -> None:
    """List the images with the commands of the page, and copy them without Docker.

    Args:
        sources: by the last part of the name. Images of engines are left out.
    """
    (block,) = guide.commands("variants.md", "Private registry")
    taken.run("master", block.split("paste ")[0])
    home = taken.home("master")
    shown = re.findall(r"^    (secretflow-registry\S+)$", (ROOT / "docs" / INSTALL).read_text(), re.MULTILINE)
    assert (home / "images.txt").read_text().split() == shown
    copied = set()
    for image in (home / "mirrored.txt").read_text().split():
        repository, _, tag = image.removeprefix(f"{mirror.host}/").rpartition(":")
        name = repository.rpartition("/")[2]
        if name in sources:
            mirror.push(sources[name], repository, tag)
            copied.add(name)
    assert copied == set(sources)


def install_master(taken: Journey, mirror: Registry, authority: Authority) -> None:
    """Follow the steps 3 to 5."""
    made, home, password = taken.made, taken.home("master"), secrets.token_hex(16)
    (statements,) = guide.commands(INSTALL, "3. Database", "sql")
    databases.sql(made.kubectl, SERVER, statements.replace("…", password))
    (home / "password").write_text(password)
    (home / "ca.crt").write_bytes(authority.pem)
    (create,) = guide.commands(INSTALL, "4. Namespace and Secrets")
    taken.run("master", create, REGISTRY_USER=USER, REGISTRY_PASSWORD=mirror.password)

    taken.write("master", "consortium.yaml", guide.files(INSTALL)["consortium.yaml"])
    install, prepare, register, routes = guide.commands(INSTALL, "5. The master")
    taken.run("master", install)
    assert password not in taken.run("master", prepare)
    assert created(taken.run("master", register)) >= set(INVITED)
    pairs = {f"{source}-{destination}" for source, destination in permutations(INVITED, 2)}
    assert created(taken.run("master", routes)) >= {"secretflow-image", *pairs}
    pods = made.kubectl.get("pods", "-n", made.namespace("master"))["items"]
    used = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert {image.partition("/mirror/")[0] for image in used} == {mirror.host}
    assert databases.sql(made.kubectl, SERVER, "SELECT COUNT(*) > 0 FROM kine", "kuscia") == "1"


def created(log: str) -> set[str]:
    """Return the names of the objects that a step created without a failure."""
    assert messages.counts(log)["failed"] == 0
    return {name for verb, name in messages.actions(log) if verb == "create"}


def invite_partners(taken: Journey) -> None:
    """Follow the steps 6 and 7. Two certificates arrive first, as on the page, then all of them."""
    made, home = taken.made, taken.home("master")
    invite, admit = guide.commands(INSTALL, "6. Invite the partners")
    taken.run("master", invite)
    taken.serve("master")
    with ThreadPoolExecutor(len(INVITED)) as pool:
        running = {name: pool.submit(install_partner, taken, name, home / f"{name}.yaml") for name in INVITED}
    for name, job in running.items():
        (home / f"{name}.crt").write_text(job.result())
    taken.serve("master", *INVITED)
    taken.run("master", admit)
    first = [name for name in INVITED if f"{name}.crt" in admit]
    assert first
    for name in first:
        made.wait_for_node(name)
    later = [f"--set-file master.domains.{name}.cert={name}.crt" for name in INVITED if name not in first]
    taken.run("master", " ".join([admit.rstrip(), *later]))
    for name in INVITED:
        made.wait_for_node(name)

    (check,) = guide.commands(INSTALL, "7. Check")
    output = taken.run("master", check)
    assert messages.failures(output) == []
    assert messages.passed(output, messages.NODES, *INVITED)


def test_admits_a_partner(demo: Demo, images: Path, tmp_path: Path) -> None:
    """docs/partners.md: A has the master and alice, B has bob."""
    hosts = {"kuscia.example.com": "kuscia", "kuscia.bob.example": "bob"}
    sites = dict.fromkeys(("master", "bob"), small(images.read_text()))
    with (
        variant(demo, images, "partner", parties=("master", "alice", "bob")) as made,
        journey(made, demo, tmp_path, hosts, sites) as taken,
    ):
        for name in ("consortium.yaml", "alice-gateway.yaml", "bob.yaml"):
            taken.write("master", name, guide.files(PARTNERS)[name])
        install, probe = guide.commands(PARTNERS, "1. A installs the master")
        assert f"https://{taken.hosts['kuscia.example.com']}/master\n" in taken.run("master", install)
        taken.serve("master", "alice")
        answer = taken.run("master", from_the_node(taken, demo, probe))
        assert " 401" in answer.splitlines()[0]
        assert "\nkuscia-error-message: " in answer

        (invite,) = guide.commands(PARTNERS, "2. A invites the partner")
        taken.run("master", invite)
        certificate = install_partner(taken, "bob", taken.home("master") / "invited.yaml")
        messages.wait_for_message(made, "bob", messages.UNKNOWN_DOMAIN)
        taken.serve("master", "alice", "bob")

        (taken.home("master") / "bob.crt").write_text(certificate)
        (admit,) = guide.commands(PARTNERS, "4. A admits the partner")
        taken.run("master", admit)
        made.wait_for_node("bob")
        (check,) = guide.commands(PARTNERS, "5. Both check")
        for line in check.splitlines():
            output = taken.run("bob" if "lite-bob" in line else "master", line)
            assert messages.failures(output) == []
        assert messages.passed(output, messages.NODES, "alice", "bob")
        assert messages.passed(output, messages.ROUTES, "alice-bob", "bob-alice")


def from_the_node(taken: Journey, demo: Demo, command: str) -> str:
    """Return a curl command that runs on the node of the cluster, which does not use the DNS of the cluster."""
    assert demo.local is not None
    service = taken.made.kubectl.get("service", ingress.NAME, "-n", taken.made.namespace("edge"))
    address = f"{taken.hosts['kuscia.example.com']}:443:{service['spec']['clusterIP']}"
    # The Service may need a moment for a controller that has just started.
    retry = "--retry 20 --retry-delay 3 --retry-connrefused"
    return f"{shlex.join(demo.local.nsenter)} {command.rstrip()} --resolve {address} {retry}"
