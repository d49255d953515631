"""A site with a private CA and a forward proxy: object store, table URL, and a database that requires TLS."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.demo.demo import Demo
from testbed.servers import databases, proxy, s3
from testbed.servers.databases import MARIADB, Server
from testbed.servers.tls import Tls
from tests.e2e import messages
from tests.e2e.datasources import LOGIN, Stores, file_server
from tests.e2e.messages import wait_for_message
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually
from tests.hooks.fakes.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.long]

# No DNS knows these names: the proxy resolves them, by its /etc/hosts.
STORE, FILES = "s3.site.example", "files.site.example"
CSV = b"id1,age\n" + b"".join(b"%d,0.5\n" % number for number in range(100))
COLUMNS = [{"name": "id1", "type": "str"}, {"name": "age", "type": "float"}]
CA = "site-ca"
PROXY = "site-proxy"


@dataclass(frozen=True)
class Site:
    """A site: its CA, servers with certificates of that CA, and its proxy."""

    made: Variant
    authority: Authority
    stores: Stores
    store_tls: Tls
    database: Server

    @property
    def proxy_namespace(self) -> str:
        return self.made.namespace("proxy")

    def objects(self) -> set[str]:
        """Return the names in alice's bucket."""
        with s3.client(self.made.kubectl, "alice", self.stores.namespace, self.store_tls) as client:
            return {str(found.object_name) for found in client.list_objects("alice", recursive=True)}


def issued(authority: Authority, *hosts: str) -> Tls:
    return Tls(*authority.certificate("server", *hosts), authority.pem)


def cluster_ip(made: Variant, service: str, namespace: str) -> str:
    return str(made.kubectl.get("service", service, "-n", namespace)["spec"]["clusterIP"])


@pytest.fixture(scope="module")
def site(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Site]:
    """A site without releases; alice and the master have its CA in a ConfigMap."""
    refs = image_refs | demo.bring(["mariadb", "tinyproxy"])
    authority = Authority()
    with variant(demo, images, "site", presets=()) as made:
        kubectl = made.kubectl
        database = replace(MARIADB, namespace=made.namespace("mysql"))
        stores = Stores(made, made.namespace("s3"), secrets.token_hex(8))
        namespaces = (database.namespace, stores.namespace, made.namespace("proxy"))
        for namespace in namespaces:
            kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait", timeout=300)
        store_tls = issued(authority, f"s3.{stores.namespace}.svc.cluster.local", STORE, "127.0.0.1")
        try:
            databases.ensure(kubectl, database, refs["mariadb"], issued(authority, database.host))
            account = s3.Account("alice", made.namespace("alice"), "alice-oss")
            s3.ensure(kubectl, refs["versitygw"], (account,), stores.namespace, certificate=store_tls)
            file_server(stores, refs["kuscia-hooks"])
            for party in ("master", "alice"):
                give_bundle(made, party, authority)
            found = Site(made, authority, stores, store_tls, database)
            start_proxy(found, refs["tinyproxy"])
            yield found
        finally:
            for namespace in namespaces:
                kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait", timeout=300)


def give_bundle(made: Variant, party: str, authority: Authority) -> None:
    """Create or replace the ConfigMap with the CA bundle of a party."""
    namespace = made.namespace(party)
    made.kubectl.ensure_namespace(namespace)
    metadata, data = {"name": CA, "namespace": namespace}, {"ca.crt": authority.pem.decode()}
    made.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))


def start_proxy(site: Site, image: str) -> None:
    """Start the proxy, and create the Secret with its URL for alice."""
    made, password = site.made, secrets.token_hex(8)
    hosts = {
        STORE: cluster_ip(made, "s3", site.stores.namespace),
        FILES: cluster_ip(made, "files", made.namespace("alice")),
    }
    url = proxy.ensure(made.kubectl, site.proxy_namespace, image, password, hosts)
    with_login = url.replace("://", f"://{proxy.USER}:{password}@")
    made.secret(made.namespace("alice"), PROXY, {"httpProxy": with_login, "httpsProxy": with_login})


def settings(**values: Any) -> dict[str, Any]:
    """Return values of the whole site."""
    return {"global": {"kuscia": {"caBundle": {"configMap": CA}, **values}}}


def database_values(site: Site) -> dict[str, Any]:
    datastore = {"host": site.database.host, "database": "kuscia", "user": "kuscia", "params": {"tls": True}}
    return {"master": {"datastore": datastore}}


def table_values(endpoint: str, **table: Any) -> dict[str, Any]:
    entry = {"id": "remote", "relativeUri": "remote.csv", "columns": COLUMNS, **table}
    source = {"endpoint": endpoint, "bucket": "alice", "credentialsSecret": {"name": "alice-oss"}}
    return {"lite": {"data": {"source": source, "tables": [entry], "grants": []}}}


def wait_for_data(site: Site) -> None:
    """Wait until the data step of the present values succeeds."""
    namespace = site.made.namespace("alice")

    def succeeded() -> bool:
        jobs = site.made.kubectl.get("jobs", "-n", namespace, "-l", "app.kubernetes.io/component=data")["items"]
        newest = max(jobs, key=lambda job: job["metadata"]["creationTimestamp"])
        done = newest["status"].get("succeeded") == 1
        assert done, site.made.kubectl.run("logs", f"job/{newest['metadata']['name']}", "-n", namespace)
        return done

    eventually(succeeded, 240, "the data step ends")


def test_master_uses_a_database_that_requires_tls(site: Site) -> None:
    """`prepare` reports a CA that it does not trust, and reads a corrected bundle; Kuscia trusts it as well."""
    made, server, password = site.made, site.database, secrets.token_hex(8)
    databases.set_password(made.kubectl, server, "kuscia", password)
    databases.create_database(made.kubectl, server, "kuscia", "kuscia")
    made.secret(made.namespace("master"), "kuscia-mysql", {"password": password})
    give_bundle(made, "master", Authority())
    with ThreadPoolExecutor(1) as pool:
        values = database_values(site) | settings()
        install = pool.submit(made.install, "master", "master-mysql", values=values, timeout="10m")
        try:
            message = messages.DATABASE_CERTIFICATE_NOT_TRUSTED
            wait_for_message(made, "master", message, "global.kuscia.caBundle", timeout=240)
        finally:
            give_bundle(made, "master", site.authority)
        install.result()
    assert int(databases.sql(made.kubectl, server, "SELECT COUNT(*) FROM kine", "kuscia")) > 0


def test_data_step_uses_an_https_store_inside_the_cluster(site: Site) -> None:
    endpoint = f"https://s3.{site.stores.namespace}.svc.cluster.local:{s3.PORT}"
    values = table_values(endpoint, example="alice", columns=[{"name": "id1", "type": "str"}])
    # The proxy is set, and a name inside the cluster does not use it.
    site.made.install("alice", values=values | settings(proxy={"existingSecret": PROXY}), timeout="10m")
    wait_for_data(site)
    assert "remote.csv" in site.objects()
    assert proxy.requests(site.made.kubectl, site.proxy_namespace) == []


def test_data_step_reaches_store_and_url_through_the_proxy(site: Site) -> None:
    made = site.made
    site.stores.put_file("remote.csv", CSV)
    table = {
        "relativeUri": "proxied.csv",
        "url": f"http://{FILES}:8080/private/remote.csv",
        "urlSecret": LOGIN,
        "sha256": hashlib.sha256(CSV).hexdigest(),
    }
    values = table_values(f"https://{STORE}:{s3.PORT}", **table)
    made.install("alice", values=values | settings(proxy={"existingSecret": PROXY}), timeout="10m")
    wait_for_data(site)
    assert "proxied.csv" in site.objects()
    requests = proxy.requests(made.kubectl, site.proxy_namespace)
    # Nothing else: neither the Kubernetes API, nor KusciaAPI, nor a gateway.
    assert set(requests) == {("CONNECT", STORE), ("GET", FILES)}
    assert site.authority.pem.decode() not in made.log("alice", "prepare")


def test_checks_use_the_proxy_and_the_bundle(site: Site) -> None:
    """`helm test` reads the table in the store, and counts the rows in the database."""
    checks = messages.checks(site.made.test())
    assert all(passed for passed, _ in checks.values()), checks
    assert {host for _, host in proxy.requests(site.made.kubectl, site.proxy_namespace)} == {STORE, FILES}
