"""Builders of the configurations of the steps, and of what the steps are called with.

A release lies in namespace ns; its domain key is in Secret ns/key, key domain.key.
"""

import base64
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.check import Check, ExampleJob
from kuscia_hooks.core.config.data import Data, Seed, Table
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.steps import Context, Outcome
from tests.hooks.fakes.clock import FakeTime

Settings = TypeVar("Settings")

OURS = {"a": "b"}
"""Labels of the objects that the release of `register_config` creates."""
UNREACHABLE = "http://127.0.0.1:1"
NODE: dict[str, Any] = {"namespace": "ns", "keySecret": {"name": "key", "key": "domain.key"}}
MASTER_ENDPOINT = "https://kuscia-master.kuscia-master.svc.cluster.local:1080"
MYSQL: dict[str, Any] = {
    "type": "mysql",
    "host": "db",
    "port": 3306,
    "database": "kine",
    "user": "root",
    "passwordSecret": {"name": "db", "key": "password"},
}
POSTGRES: dict[str, Any] = MYSQL | {"type": "postgres", "port": 5432}
APP_IMAGE: dict[str, Any] = {
    "image": {"name": "docker.io/local/engine", "tag": "1"},
    "config_templates": {"task-config.conf": '{"task_id": "{{.TASK_ID}}"}'},
    "deploy_templates": [
        {
            "name": "psi",
            "replicas": 1,
            "restart_policy": "Never",
            "containers": [{"name": "psi", "command": ["python3"], "ports": [{"name": "psi", "protocol": "HTTP"}]}],
        }
    ],
}
OSS_SOURCE: dict[str, Any] = {
    "id": "default-data-source",
    "type": "oss",
    "endpoint": "https://s3.example.com",
    "bucket": "b",
    "prefix": "p/",
    "credentialsSecret": {"name": "oss"},
}
ALICE_TABLE: dict[str, Any] = {
    "id": "alice-table",
    "name": "alice.csv",
    "relativeUri": "alice.csv",
    "example": "alice",
    "columns": [{"name": "id1", "type": "str"}, {"name": "age", "type": "float"}],
    "attributes": {"description": "alice demo data"},
}
EXAMPLE_JOB: dict[str, Any] = {
    "appImage": "secretflow-image",
    "initiator": "alice",
    "parties": [
        {"domain": "alice", "table": "alice-table", "keys": ["id1"]},
        {"domain": "bob", "table": "bob-table", "keys": ["id2"]},
    ],
    "output": "psi-output",
    "dataSource": "default-data-source",
}


def context(kube: Kube | None = None, deadline: Deadline | None = None, **options: Any) -> Context:
    """Return a context whose waits take no time and which ends after 5 s; without `kube` it has no client."""

    def connect() -> Kube:
        assert kube is not None, "this step must not use the Kubernetes API"
        return kube

    return Context(deadline or FakeTime().deadline(5), connect=connect, **options)


def run_step(
    attempt: Callable[[Settings, Context], Outcome],
    settings: Settings,
    kube: Kube | None = None,
    deadline: Deadline | None = None,
    **options: Any,
) -> Summary:
    """Run one attempt of a step.

    Args:
        attempt: of the step's module.
        options: of the context, such as `dry_run`.

    Returns:
        The changes that the step counted.
    """
    given = context(kube, deadline, **options)
    attempt(settings, given)
    return given.summary


def node(domain_id: str, endpoint: str, **fields: Any) -> dict[str, Any]:
    """Return the fields that the configuration of each step has that calls KusciaAPI."""
    return {**NODE, "domainId": domain_id, "api": {"endpoint": endpoint, "protocol": "NOTLS"}, **fields}


def register_config(endpoint: str, **domains: dict[str, Any]) -> Register:
    """Return a configuration of `register`, by default for alice and bob, both admitted by token."""
    fields: dict[str, Any] = {
        "ledger": "ledger",
        "labels": OURS,
        "owner": {"service": "kuscia-master"},
        "domains": domains or {name: {"tokenSecret": f"tok-{name}"} for name in ("alice", "bob")},
    }
    return Register.model_validate(node("kuscia-system", endpoint, **fields))


@functools.cache
def certificate(key_pem: bytes, domain_id: str = "alice") -> str:
    """Return the certificate that a domain makes of its key, as PEM."""
    return domain_key.ca_certificate(domain_key.load_key(key_pem), domain_id).decode()


def secret_data(**values: str | bytes) -> dict[str, str]:
    """Return the data of a Secret in the form of the API server."""
    raw = {name: value.encode() if isinstance(value, str) else value for name, value in values.items()}
    return {name: base64.b64encode(value).decode() for name, value in raw.items()}


def encoded(pem: str) -> str:
    """Return a certificate in the form of a Domain's `cert`."""
    return base64.b64encode(pem.encode()).decode()


def routes_config(endpoint: str = UNREACHABLE, **fields: Any) -> Routes:
    """Return a configuration of `routes`, by default with all routes between alice and bob and one AppImage."""
    given = {
        "ledger": "ledger",
        "domains": {
            "alice": {"endpoint": "https://a.example.com:1080"},
            "bob": {"endpoint": "http://b.example.com"},
        },
        "routes": "all",
        "appImages": {"psi": APP_IMAGE},
        **fields,
    }
    return Routes.model_validate(node("kuscia-system", endpoint, **given))


def data_config(endpoint: str = UNREACHABLE, **fields: Any) -> Data:
    """Return a configuration of `data`, by default with a table of alice in a bucket, granted to bob."""
    given = {
        "ledger": "ledger",
        "source": OSS_SOURCE,
        "tables": [ALICE_TABLE],
        "grants": [{"table": "alice-table", "domain": "bob"}],
        **fields,
    }
    return Data.model_validate(node("alice", endpoint, **given))


def seed_config(path: Path, *tables: dict[str, Any]) -> Seed:
    """Return a configuration of `seed`, by default with the example table of alice."""
    example = {name: ALICE_TABLE[name] for name in ("id", "relativeUri", "example")}
    listed = [{"name": "t", **given} for given in tables or (example,)]
    return Seed.model_validate({"path": str(path), "tables": listed})


def check_master(endpoint: str, **fields: Any) -> Check:
    """Return a configuration of `check` for a master with domains alice and bob and the routes between them."""
    given = {
        "mode": "master",
        "gateway": "https://own:1080",
        "domains": {"alice": {}, "bob": {}},
        "routes": [{"source": "alice", "destination": "bob"}, {"source": "bob", "destination": "alice"}],
        **fields,
    }
    return Check.model_validate(node("kuscia-system", endpoint, **given))


def check_lite(endpoint: str, **fields: Any) -> Check:
    """Return a configuration of `check` for lite alice with one table in a bucket."""
    given = {
        "mode": "lite",
        "gateway": "https://own:1080",
        "master": {"endpoint": "https://m:1080"},
        "tables": ["alice-table"],
        "source": {"id": "default-data-source", "credentialsSecret": {"name": "oss"}},
        "results": ["own-result"],
        **fields,
    }
    return Check.model_validate(node("alice", endpoint, **given))


def prepare_lite(**fields: Any) -> Prepare:
    """Return a configuration of `prepare` for lite alice, admitted by the token in Secret m/tok."""
    given = {
        "mode": "lite",
        "domainId": "alice",
        "master": {"endpoint": "https://m:1080"},
        "deployToken": {"namespace": "m", "name": "tok", "key": "token"},
        **fields,
    }
    return Prepare.model_validate(NODE | given)


def prepare_master(datastore: dict[str, Any], **fields: Any) -> Prepare:
    """Return a configuration of `prepare` for master alice."""
    return Prepare.model_validate(NODE | {"mode": "master", "domainId": "alice", "datastore": datastore, **fields})


def table(**fields: Any) -> Table:
    """Return table t in file t.csv."""
    return Table.model_validate({"id": "t", "name": "t", "relativeUri": "t.csv", **fields})


def example_job(**fields: Any) -> ExampleJob:
    """Return the example job of alice and bob."""
    return ExampleJob.model_validate(EXAMPLE_JOB | fields)


def _release(**fields: Any) -> Release:
    return Release.model_validate(
        {
            "namespace": "ns",
            "keySecret": {"name": "own-domain-key", "key": "domain.key"},
            "api": {"endpoint": "https://own:8082", "protocol": "TLS"},
            "release": "kuscia",
            "ledger": "ledger",
            "gateway": "https://own.ns.svc.cluster.local:1080",
            **fields,
        }
    )


def master_release(**fields: Any) -> Release:
    """Return a release of a master with domains alice and bob and a route between them."""
    given = {
        "mode": "master",
        "domainId": "kuscia-system",
        "fullname": "kuscia-master",
        "domains": {"alice": {"endpoint": "https://alice:1080", "namespace": "lite-alice"}, "bob": {}},
        "routes": [{"source": "alice", "destination": "bob"}],
        "invitation": {"chartVersion": "0.1.0", "images": []},
        "datastore": MYSQL | {"host": "db.example.com", "database": "kuscia", "user": "kuscia"},
        **fields,
    }
    return _release(**given)


SQLITE = master_release(datastore={"type": "sqlite", "path": "/var"}, domains={"alice": {}}, routes=[])
"""A master with domain alice on its embedded datastore."""


def lite_release(**fields: Any) -> Release:
    """Return a release of lite carl with an engine namespace."""
    given = {
        "mode": "lite",
        "domainId": "carl",
        "fullname": "kuscia-lite-carl",
        "master": {"endpoint": MASTER_ENDPOINT},
        "engines": {"namespace": "engines", "keepsLogs": False},
        **fields,
    }
    return _release(**given)


def pod(name: str, component: str, domain: str = "kuscia-system", created: int = 0, **status: Any) -> dict[str, Any]:
    """Return a running pod of release kuscia.

    Args:
        created: seconds after midnight.
        status: fields of its status.
    """
    labels = {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": "kuscia",
        "kuscia-chart/domain": domain,
    }
    begin = f"2026-11-24T00:00:0{created}Z"
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": labels, "creationTimestamp": begin},
        "spec": {"containers": [{"name": component}]},
        "status": {"phase": "Running", "startTime": begin, **status},
    }


def container(name: str, restarts: int = 0, **state: Any) -> dict[str, Any]:
    """Return the status of a container; it is ready if it is running."""
    return {"name": name, "ready": "running" in state, "restartCount": restarts, "state": state}


def prepared(message: str) -> dict[str, Any]:
    """Return the status of the init container `prepare` that ended with a termination message."""
    return container("prepare", terminated={"exitCode": 0, "reason": "Completed", "message": message}) | {"ready": True}


def job(name: str, component: str, domain: str = "kuscia-system", **status: Any) -> dict[str, Any]:
    """Return a Job of release kuscia, started at midnight.

    Args:
        status: fields of its status.
    """
    labels = pod(name, component, domain)["metadata"]["labels"]
    begin = "2026-11-24T00:00:00Z"
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": labels, "creationTimestamp": begin},
        "status": {"startTime": begin, **status},
    }
