"""Two organisations: master and alice in the cluster of the demo, bob in a second cluster."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.join import Opening, joined
from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.demo.demo import Demo
from testbed.demo.releases import ROOT
from testbed.servers import s3
from tests.e2e.variants import Variant, variant

NODE_PORTS = {"master": 31080, "alice": 31081, "bob": 31081}


@dataclass(frozen=True)
class Away:
    """The cluster of bob, with the images of the demo.

    Args:
        images: the values layer with the names of the images.
        refs: references of the images by name.
    """

    cluster: Cluster
    kubectl: Kubectl
    images: Path
    refs: Mapping[str, str]


@dataclass(frozen=True)
class Partners:
    """`here` contains master and alice, `there` contains bob."""

    here: Variant
    there: Variant
    home: Cluster
    away: Cluster

    def node_port(self, party: str) -> str:
        """Return the endpoint of a party's gateway for the other cluster (values/nodeport.yaml)."""
        cluster = self.away if party == "bob" else self.home
        return f"https://{cluster.node_address}:{NODE_PORTS[party]}"


@contextmanager
def away_cluster(demo: Demo, suffix: str = "b") -> Iterator[Away]:
    """Yield a second local cluster; remove it afterwards unless it existed before.

    Args:
        suffix: of its name, one for each group of tests that run side by side.
    """
    assert demo.local is not None, "only local clusters can be joined"
    second = Demo(f"{demo.name[: 19 - len(suffix)]}-{suffix}", "", demo.kuscia_image)
    assert second.local is not None
    was_up = second.local.kubeconfig.exists()
    try:
        second.local.up()
        refs = second.images()
        yield Away(second.local, second.kubectl, second.image_values(refs), refs)
    finally:
        if not was_up:
            second.local.down()


@contextmanager
def partners(
    demo: Demo, images: Path, away: Away, name: str, into_home: Sequence[Opening], into_away: Sequence[Opening] = ()
) -> Iterator[Partners]:
    """Yield the parties, not installed yet, with the clusters joined by openings."""
    home = demo.local
    assert home is not None
    other = Demo(away.cluster.name, "", demo.kuscia_image)
    with (
        joined(home, away.cluster, into_one=into_home, into_other=into_away),
        variant(demo, images, name, parties=("master", "alice")) as here,
        variant(other, away.images, name, parties=("bob",)) as there,
    ):
        yield Partners(here, there, home, away.cluster)


def node_port(*parties: str) -> list[Opening]:
    return [Opening(NODE_PORTS[party]) for party in parties]


@contextmanager
def own_tables(made: Variant, party: str, versitygw: str) -> Iterator[dict[str, Any]]:
    """Yield values that store the example table of a party in an S3 server of its own cluster.

    Its objects, including results, are deleted afterwards.

    Args:
        versitygw: reference of the image of the S3 server.
    """
    account = s3.Account(party, made.namespace(party), f"{party}-oss")
    found = s3.ensure(made.kubectl, versitygw, (account,))
    data = yaml.safe_load((ROOT / f"values/{party}-tables.yaml").read_text())["lite"]["data"]
    data["source"] |= {"endpoint": found.endpoint, "prefix": made.name}
    try:
        yield {"lite": {"data": data}}
    finally:
        with s3.client(made.kubectl, party) as client:
            for item in list(client.list_objects(bucket_name=party, prefix=f"{made.name}/", recursive=True)):
                client.remove_object(bucket_name=party, object_name=str(item.object_name))


def name_for(made: Variant, party: str, address: str) -> str:
    """Create a name in a party's cluster for an address outside of it, like a public DNS name; return it."""
    namespace = made.namespace(party)
    metadata = {"name": "outside", "namespace": namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None"}}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "outside"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"port": 443, "protocol": "TCP", "name": "https"}],
    }
    made.kubectl.ensure_namespace(namespace)
    made.kubectl.apply("\n---\n".join(map(json.dumps, (service, endpoints))))
    return f"outside.{namespace}.svc.cluster.local"
