"""Deployment variants in separate namespaces, next to the demo.

The releases of a variant use the presets of values/ as users copy them. Only what must differ does: namespaces are
renamed, requests are small, and there are no tables unless a test requests them.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import Protocol
from testbed.cluster.kubectl import Kubectl
from testbed.demo.demo import Demo
from testbed.demo.failure_report import failure_report
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import CHART, Release, uninstall
from tests.chart.render import edited
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

SMALL: dict[str, Any] = {
    "master": {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}, "persistence": {"size": "1Gi"}},
    "lite": {
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "capacity": {"cpu": "2", "memory": "4Gi"},
    },
}
NO_TABLES: dict[str, Any] = {"lite": {"data": {"tables": [], "grants": [], "results": []}}}


@dataclass(frozen=True)
class Variant:
    """Releases of one variant.

    Args:
        name: short; the namespaces are `v-<name>-master`, `v-<name>-alice`, `v-<name>-bob`, and
            `v-<name>-engines` for engine pods.
        parties: `master`, `alice`, `bob`, or only `master-and-alice`: preset files of values/. `carol`, a third
            lite, uses the presets of alice.
        presets: presets on top of each party's presets.
        values: additional values of this test, on top of all presets.
        tables: whether to keep the example tables.
        bare: use only the preset of a lite, without a data source.
        chart: the chart to install.
    """

    kubectl: Kubectl
    images: Path
    name: str
    parties: tuple[str, ...] = ("master", "alice")
    presets: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    tables: bool = False
    bare: bool = False
    chart: Path = CHART

    def namespace(self, party: str) -> str:
        return f"v-{self.name}-{party}"

    def release(self, party: str) -> Release:
        if party in ("master", "master-and-alice"):
            return Release(party, self.namespace(party), "kuscia-master", "kuscia-system")
        return Release(party, self.namespace(party), f"kuscia-lite-{party}", party)

    def install(
        self,
        party: str,
        *presets: str,
        values: Mapping[str, Any] | None = None,
        wait: bool = True,
        timeout: str = "5m",
        options: tuple[str, ...] = (),
    ) -> str:
        """Run `helm upgrade --install` for one party; return the output of helm.

        Args:
            presets: replace those of the variant.
            values: on top of those of the variant.
            options: further options of helm.

        Raises:
            CommandError: helm failed.
        """
        release = self.release(party)
        with tempfile.TemporaryDirectory() as directory:
            arguments = self._arguments(Path(directory), party, presets, values or {})
            return self.kubectl.helm(
                "upgrade", "--install", release.name, str(self.chart),
                "--namespace", release.namespace, "--create-namespace", *arguments,
                *(["--wait"] if wait else []), "--timeout", timeout, *options,
            )  # fmt: skip

    def template(self, party: str, *options: str, values: Mapping[str, Any] | None = None) -> str:
        """Return the output of `helm template` for one party, with the values that `install` uses."""
        release = self.release(party)
        with tempfile.TemporaryDirectory() as directory:
            arguments = self._arguments(Path(directory), party, (), values or {})
            return self.kubectl.helm(
                "template", release.name, str(CHART), "--namespace", release.namespace, *arguments, *options
            )

    def install_all(self, *presets: str) -> None:
        """Install all parties at the same time."""
        with ThreadPoolExecutor(len(self.parties)) as pool:
            for done in [pool.submit(self.install, party, *presets) for party in self.parties]:
                done.result()

    def test(self, *parties: str) -> str:
        """Run `helm test` for the parties (default: all); return the logs."""
        logs = ""
        for party in parties or self.parties:
            release = self.release(party)
            logs += self.kubectl.helm("test", release.name, "-n", release.namespace, "--logs", "--timeout", "5m")
        return logs

    def node_statuses(self, domain: str, protocol: Protocol = "TLS") -> dict[str, str]:
        """Return the nodes of a domain, as the master knows them: name -> status."""
        with kusciaapi(self.kubectl, self.release("master"), protocol) as api:
            nodes = api.call("domain/query", {"domain_id": domain})["node_statuses"]
        return {node["name"]: node["status"] for node in nodes}

    def wait_for_node(self, domain: str, protocol: Protocol = "TLS") -> None:
        """Wait until the node of a domain's present pod is Ready at the master; earlier pods leave nodes behind.

        A lite needs up to 4 minutes after a restart of its master (Kuscia facts 16.2).
        """

        def ready() -> bool:
            statuses = self.node_statuses(domain, protocol)
            return statuses[self.pod(domain)["metadata"]["name"]] == "Ready"

        eventually(ready, RECONNECT_SECONDS, f"node of {domain} Ready")

    def route(self, source: str, destination: str, protocol: Protocol = "TLS") -> dict[str, Any]:
        """Return a route from KusciaAPI of the master."""
        with kusciaapi(self.kubectl, self.release("master"), protocol) as api:
            found: dict[str, Any] = api.call("route/query", {"source": source, "destination": destination})
        return found

    def pod(self, party: str) -> dict[str, Any]:
        """Return the Kuscia pod of a party."""
        release = self.release(party)
        component = "master" if party == "master" else "lite"
        selector = f"app.kubernetes.io/component={component}"
        pods = self.kubectl.get("pods", "-n", release.namespace, "-l", selector)["items"]
        assert len(pods) == 1, [pod["metadata"]["name"] for pod in pods]
        found: dict[str, Any] = pods[0]
        return found

    def exec(self, party: str, *command: str) -> str:
        """Return the output of a command in the Kuscia container of a party.

        Kuscia's own image has a shell and coreutils, but no python3.
        """
        release = self.release(party)
        return self.kubectl.run("exec", "-n", release.namespace, f"deploy/{release.fullname}", "--", *command)

    def key(self, party: str) -> RSAPrivateKey:
        """Return the domain key of a party."""
        release = self.release(party)
        secret = self.kubectl.get("secret", f"{release.fullname}-domain-key", "-n", release.namespace)
        return domain_key.load_key(base64.b64decode(secret["data"]["domain.key"]))

    def log(self, party: str, container: str) -> str:
        release = self.release(party)
        return self.kubectl.run("logs", "-n", release.namespace, f"deploy/{release.fullname}", "-c", container)

    def previous_log(self, party: str, container: str) -> str:
        """Return the log of a container before its last restart."""
        release, pod = self.release(party), self.pod(party)["metadata"]["name"]
        return self.kubectl.run("logs", "-n", release.namespace, pod, "-c", container, "--previous")

    def kuscia_yaml(self, party: str) -> dict[str, Any]:
        """Return the kuscia.yaml that Kuscia was started with."""
        found: dict[str, Any] = yaml.safe_load(self.exec(party, "cat", "/home/kuscia/etc/conf/kuscia.yaml"))
        return found

    def secret(self, namespace: str, name: str, values: Mapping[str, str]) -> None:
        """Create or replace a Secret, as a user does by hand."""
        self.kubectl.ensure_namespace(namespace)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "namespace": namespace}
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}))

    def run_engine(self, app_image: str, job: str, party: str = "alice") -> None:
        """Run an engine at one party, in a pod named `<job>-task-0`."""
        task = {
            "app_image": app_image,
            "alias": job,
            "task_id": f"{job}-task",
            "parties": [{"domain_id": party, "role": ""}],
            "task_input_config": "{}",
        }
        body = {"job_id": job, "initiator": party, "max_parallelism": 1, "tasks": [task]}
        with kusciaapi(self.kubectl, self.release("master")) as api:
            api.call("job/create", body)

    def stop_job(self, job: str) -> None:
        """Stop a job; its record stays."""
        with kusciaapi(self.kubectl, self.release("master")) as api:
            api.call("job/stop", {"job_id": job, "reason": "enough"})

    def end_job(self, job: str) -> None:
        """Stop a job and delete it."""
        self.stop_job(job)
        with kusciaapi(self.kubectl, self.release("master")) as api:
            api.call("job/delete", {"job_id": job})

    def rights(self, party: str, namespace: str, suffix: str = "") -> list[dict[str, Any]]:
        """Return the permissions of a party's ServiceAccount in a namespace, for the core API group.

        Args:
            suffix: of the ServiceAccount, such as `-check`.
        """
        release = self.release(party)
        user = f"system:serviceaccount:{release.namespace}:{release.fullname}{suffix}"
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                  "spec": {"namespace": namespace}}  # fmt: skip
        answer = self.kubectl.run(
            "create", "--as", user, "--validate=false", "-f", "-", "-o", "json", stdin=json.dumps(review)
        )
        rules: list[dict[str, Any]] = json.loads(answer)["status"]["resourceRules"]
        return [rule for rule in rules if rule["apiGroups"] == [""]]

    def allowed(self, party: str, verb: str, resource: str, namespace: str, name: str = "") -> bool:
        """Return whether the ServiceAccount of a party's Kuscia has a permission.

        Args:
            resource: such as `secrets` or `pods/exec`, of the core API group.
        """
        account = self.release(party)
        resource, _, subresource = resource.partition("/")
        attributes = {
            "verb": verb,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
        }
        spec = {
            "user": f"system:serviceaccount:{account.namespace}:{account.fullname}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes,
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = self.kubectl.run("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])

    def report(self) -> str:
        """Return pods, Jobs and logs of all parties."""
        return failure_report(self.kubectl, [self.namespace(party) for party in (*self.parties, "engines")])

    def remove(self) -> None:
        """Uninstall all releases and delete their namespaces."""
        with ThreadPoolExecutor(len(self.parties)) as pool:
            list(pool.map(lambda party: uninstall(self.kubectl, self.release(party)), self.parties))
        engines = self.namespace("engines")
        self.kubectl.run("delete", "namespace", engines, "--ignore-not-found", "--wait", timeout=300)

    def _arguments(self, directory: Path, party: str, presets: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
        """Write the values files of a party; return the arguments of helm that name them."""
        names = (*self._party_presets(party), *(presets or self.presets))
        files = [self._renamed(directory, name) for name in names]
        no_tables = {} if self.tables else NO_TABLES
        for number, layer in enumerate((SMALL, no_tables, self.values, values)):
            files.append(directory / f"layer-{number}.yaml")
            # JSON, so that Helm does not read a column such as y as a boolean.
            files[-1].write_text(json.dumps(dict(layer)))
        return [f"--values={path}" for path in (*files, self.images)]

    def _party_presets(self, party: str) -> tuple[str, ...]:
        """Return the presets of a party; those of a lite declare its example table in an object store."""
        if self.bare or party.startswith("master"):
            return (party,)
        return (party, "object-store", f"{party}-tables")

    def _renamed(self, directory: Path, preset: str) -> Path:
        names = {
            "kuscia-master": "master",
            "lite-alice": "alice",
            "lite-bob": "bob",
            "lite-carol": "carol",
            "alice-engines": "engines",
        }
        if preset == "master-and-alice":
            names = {"kuscia": preset}
        renames = {old: self.namespace(party) for old, party in names.items()}
        path = directory / f"{preset}.yaml"
        if preset.startswith("carol"):
            text = edited(preset.replace("carol", "alice")).replace("alice", "carol")
        else:
            text = edited(preset)
        content = yaml.safe_load(text)
        domains = content.get("master", {}).get("domains", {})
        present = {domain for party in self.parties for domain in party.split("-and-")}
        for absent in set(domains) - present:
            del domains[absent]
        path.write_text(json.dumps(rename(content, renames)))
        return path


def rename(value: Any, renames: Mapping[str, str]) -> Any:
    """Return a preset or an object with every namespace renamed, both as a value and in a host name."""
    if isinstance(value, dict):
        return {key: rename(item, renames) for key, item in value.items()}
    if isinstance(value, list):
        return [rename(item, renames) for item in value]
    if isinstance(value, str):
        for old, new in renames.items():
            value = new if value == old else value.replace(f".{old}.svc.", f".{new}.svc.")
    return value


def fingerprint(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the UID of an object and a hash of its data: a failed comparison must not print a Secret."""
    data = json.dumps(item.get("data"), sort_keys=True).encode()
    return item["metadata"]["uid"], hashlib.sha256(data).hexdigest()


EXISTING: list[Variant] = []
"""The variants of this process that are not removed yet."""


@contextmanager
def variant(demo: Demo, images: Path, name: str, **options: Any) -> Iterator[Variant]:
    """Yield a variant, removing what an earlier run left, and everything afterwards.

    An error in the context gets a report of all parties as a note, because their namespaces are deleted.
    Only the cluster of the demo is used.
    """
    made = Variant(demo.kubectl, images, name, **options)
    made.remove()
    EXISTING.append(made)
    try:
        yield made
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(made.report())
        raise
    finally:
        EXISTING.remove(made)
        made.remove()
