"""Clusters and tools with rules of their own: quotas, Pod Security, odd names, Helm 3."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.failure_report import failure_report
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import CHART, ROOT, Release
from tests.e2e.engines import sleeper
from tests.e2e.plugin import kuscia
from tests.e2e.variants import SMALL, fingerprint
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

Values = Mapping[str, Any]
COMPONENTS = ("master", "lite")
LITE = {"enabled": True, "runtime": "runk", "domainId": "alice"}


@dataclass(frozen=True)
class Installation:
    """One release.

    Args:
        images: the values layer with the images.
        values: on top of small requests.
        helm: `helm` or `helm3`.
        chart: the chart, or a parent chart.
    """

    kubectl: Kubectl
    images: Path
    namespace: str
    values: Values
    release: str = "kuscia"
    helm: str = "helm"
    chart: Path = CHART
    files: list[Path] = field(default_factory=list)

    def call(self, *args: str, timeout: float = 1200) -> str:
        """Run helm with the namespace of the release."""
        return self.kubectl.helm(*args, "--namespace", self.namespace, timeout=timeout, program=self.helm)

    def arguments(self, directory: Path, **values: Any) -> list[str]:
        """Return the --values arguments: small requests, the values of the release, `values`, the images."""
        layers = []
        for number, layer in enumerate((SMALL, self.values, values)):
            path = directory / f"{self.namespace}-{self.release}-{number}.yaml"
            path.write_text(json.dumps(dict(layer)))
            layers.append(f"--values={path}")
        return [*layers, f"--values={self.images}"]

    def install(self, directory: Path, *extra: str, timeout: str = "5m", **values: Any) -> str:
        """Run `helm upgrade --install --wait`."""
        return self.call(
            "upgrade", "--install", self.release, str(self.chart), "--create-namespace",
            *self.arguments(directory, **values), "--wait", "--timeout", timeout, *extra,
        )  # fmt: skip

    def test(self) -> str:
        return self.call("test", self.release, "--logs", "--timeout", "5m")

    def wait_for_test(self) -> None:
        """Wait until `helm test` passes: a lite needs minutes to reconnect to a new pod of its master."""
        eventually(lambda: "Succeeded" in self.test(), RECONNECT_SECONDS, "helm test")

    def status(self) -> str:
        found = json.loads(self.call("status", self.release, "--output", "json"))
        return str(found["info"]["status"])

    def pods(self) -> dict[str, str]:
        """Return component -> UID of the Kuscia pods of the release."""
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component in ({','.join(COMPONENTS)})"
        pods = self.kubectl.get("pods", "-n", self.namespace, "-l", selector)["items"]
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["uid"] for pod in pods}

    def jobs(self) -> dict[str, dict[str, Any]]:
        jobs = self.kubectl.get("jobs", "-n", self.namespace)["items"]
        return {job["metadata"]["name"]: job for job in jobs}


def both(namespace: str, master: str = "kuscia-master", lite: str = "kuscia-lite-alice") -> Values:
    """Return values of a release with a master and the lite alice, by the names of their Services."""
    reader = {"namespace": namespace, "serviceAccount": lite}
    domain = {"endpoint": f"https://{lite}.{namespace}.svc.cluster.local:1080", "reader": reader}
    endpoint = f"https://{master}.{namespace}.svc.cluster.local:1080"
    return {
        "master": {"domains": {"alice": domain}},
        "lite": LITE | {"master": {"endpoint": endpoint, "namespace": namespace}},
    }


@contextmanager
def namespaces(kubectl: Kubectl, *names: str) -> Iterator[None]:
    """Create empty namespaces, and delete them afterwards. An error gets a report of them as a note."""
    kubectl.run("delete", "namespace", *names, "--ignore-not-found", "--wait", timeout=300)
    for name in names:
        kubectl.run("create", "namespace", name)
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(failure_report(kubectl, names))
        raise
    finally:
        kubectl.run("delete", "namespace", *names, "--ignore-not-found", "--wait", timeout=300)


def complete(job: Mapping[str, Any]) -> bool:
    return any(
        condition["type"] == "Complete" and condition["status"] == "True"
        for condition in job["status"].get("conditions", [])
    )


def pod_templates(kubectl: Kubectl, namespace: str) -> dict[str, dict[str, Any]]:
    """Return the pod specs of all steps in a namespace: Jobs, CronJobs, and the pod of `helm test`."""
    specs = {
        item["metadata"]["name"]: (item["spec"].get("jobTemplate") or item)["spec"]["template"]["spec"]
        for kind in ("jobs", "cronjobs")
        for item in kubectl.get(kind, "-n", namespace)["items"]
    }
    steps = kubectl.get("pods", "-n", namespace, "-l", "app.kubernetes.io/component=check")["items"]
    return specs | {pod["metadata"]["name"]: pod["spec"] for pod in steps}


def quota_values() -> Values:
    """Return the values that docs/variants.md gives for a namespace with a quota."""
    text = (ROOT / "docs/variants.md").read_text()
    (found,) = re.findall(r"^```yaml\n(master:\n  resources: .*?)^```$", text, re.MULTILINE | re.DOTALL)
    values: Values = yaml.safe_load(found)
    return values


def test_namespace_with_quota_and_pod_security(kubectl: Kubectl, images: Path, tmp_path: Path) -> None:
    """A quota on all requests and limits, a LimitRange without defaults, Pod Security baseline and restricted.

    Pods of the steps meet `restricted`. Kuscia, which runs as root, meets `baseline`.
    """
    namespace, restricted = "v-quota", "v-quota-restricted"
    hard = {"pods": "10", "requests.cpu": "1", "requests.memory": "2Gi", "limits.cpu": "8", "limits.memory": "16Gi"}
    container = {"type": "Container", "max": {"cpu": "2", "memory": "8Gi"}, "min": {"cpu": "10m", "memory": "32Mi"}}
    # `max` would be the default of containers without limits.
    limits = [container | {"default": {}, "defaultRequest": {}}]
    with namespaces(kubectl, namespace, restricted):
        for name, level in ((namespace, "baseline"), (restricted, "restricted")):
            kubectl.run("label", "namespace", name, f"pod-security.kubernetes.io/enforce={level}")
        for kind, spec in (("ResourceQuota", {"hard": hard}), ("LimitRange", {"limits": limits})):
            item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "site", "namespace": namespace}}
            kubectl.apply(json.dumps(item | {"spec": spec}))
        made = Installation(kubectl, images, namespace, both(namespace))
        made.install(tmp_path, "--wait-for-jobs", **quota_values())
        assert set(made.pods()) == set(COMPONENTS)
        assert all(complete(job) for job in made.jobs().values())
        assert "Succeeded" in made.test()
        templates = pod_templates(kubectl, namespace)
        for step in ("register", "routes", "doctor", "reconcile", "check"):
            assert any(step in name for name in templates), step
        for number, spec in enumerate(templates.values()):
            kept = {key: spec[key] for key in spec.keys() - {"nodeName", "serviceAccount", "serviceAccountName"}}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"step-{number}", "namespace": restricted}}
            kubectl.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod | {"spec": kept}))


def test_numeric_names_and_dual_stack(kubectl: Kubectl, images: Path, tmp_path: Path) -> None:
    namespace = "9999"
    dual = {"service": {"ipFamilyPolicy": "PreferDualStack"}}
    with namespaces(kubectl, namespace):
        names = ("kuscia-123-master", "kuscia-123-lite-alice")
        made = Installation(kubectl, images, namespace, both(namespace, *names), release="123")
        made.install(tmp_path, master=dual, lite=dual)
        assert set(made.pods()) == set(COMPONENTS)
        for name in names:
            service = kubectl.get("service", name, "-n", namespace)
            assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
        assert "Succeeded" in made.test()
        said = kuscia(kubectl, "doctor", "-n", namespace)
        assert said.code == 0, said
        made.call("uninstall", "123", "--wait")
        eventually(lambda: not made.pods(), 60, "no pods")


def test_two_masters_and_two_lites_share_namespaces(kubectl: Kubectl, images: Path, tmp_path: Path) -> None:
    """Each lite is admitted by its own master, and a removed release leaves the other one alone."""
    masters, lites = "v-two-masters", "v-two-lites"
    engines = {"alice": "v-two-alice", "carol": "v-two-carol"}

    def pair(release: str, prefix: str, domain: str) -> tuple[Installation, Installation]:
        account = f"{prefix}kuscia-lite-{domain}"
        reader = {"namespace": lites, "serviceAccount": account}
        endpoint = f"https://{account}.{lites}.svc.cluster.local:1080"
        master = {"master": {"domains": {domain: {"endpoint": endpoint, "reader": reader}}}}
        gateway = f"https://{prefix}kuscia-master.{masters}.svc.cluster.local:1080"
        own = {"domainId": domain, "runk": {"namespace": engines[domain]}}
        lite = {
            "master": {"enabled": False},
            "lite": LITE | own | {"master": {"endpoint": gateway, "namespace": masters}},
        }
        return (
            Installation(kubectl, images, masters, master, release=release),
            Installation(kubectl, images, lites, lite, release=release),
        )

    with namespaces(kubectl, masters, lites, *engines.values()):
        all_four = (*pair("kuscia", "", "alice"), *pair("second", "second-", "carol"))
        with ThreadPoolExecutor(len(all_four)) as pool:
            for done in [pool.submit(made.install, tmp_path) for made in all_four]:
                done.result()
        for made in all_four:
            assert "Succeeded" in made.test(), made.namespace
        first = [made.pods() for made in all_four[:2]]
        for made in reversed(all_four[2:]):
            made.call("uninstall", made.release, "--wait")
        assert [made.pods() for made in all_four[:2]] == first
        for made in all_four[:2]:
            assert "Succeeded" in made.test(), made.namespace


def test_parent_chart_enables_and_disables_kuscia(kubectl: Kubectl, images: Path, tmp_path: Path) -> None:
    namespace = "v-parent"
    parent = tmp_path / "platform"
    shutil.copytree(CHART, parent / "charts/kuscia")
    dependency = {"name": "kuscia", "version": "0.x.x", "condition": "kuscia.enabled"}
    chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    own = both(namespace, "platform-kuscia-master", "platform-kuscia-lite-alice")
    image_values = json.loads(images.read_text())
    common = image_values.pop("global")
    nested = tmp_path / "images.yaml"
    nested.write_text(json.dumps({"global": common, "kuscia": image_values}))
    values = {"kuscia": {"enabled": True} | {name: SMALL[name] | dict(own[name]) for name in COMPONENTS}}
    with namespaces(kubectl, namespace):
        made = Installation(kubectl, nested, namespace, values, release="platform", chart=parent)
        made.install(tmp_path)
        assert set(made.pods()) == set(COMPONENTS)
        assert "Succeeded" in made.test()
        made.install(tmp_path, kuscia={"enabled": False})
        eventually(lambda: not made.pods(), 60, "no pods")


def kept(kubectl: Kubectl, namespace: str) -> dict[str, tuple[str, str]]:
    """Return domain keys, certificates and volumes -> fingerprint: what must survive a failed command."""
    found = {}
    for kind in ("secrets", "configmaps", "persistentvolumeclaims"):
        for item in kubectl.get(kind, "-n", namespace)["items"]:
            name = item["metadata"]["name"]
            if kind == "persistentvolumeclaims" or name.endswith(("-domain-key", "-domain-cert")):
                found[f"{kind}/{name}"] = fingerprint(item)
    return found


@pytest.mark.parametrize(("helm", "undo"), [("helm", "--rollback-on-failure"), ("helm3", "--atomic")])
def test_undoes_an_install_and_an_upgrade_when_a_hook_fails(
    kubectl: Kubectl, images: Path, tmp_path: Path, helm: str, undo: str
) -> None:
    """Identity and state stay, and the same command with other values succeeds."""
    namespace = f"v-undo-{helm}"
    master = Release("master", namespace, "kuscia-master", "kuscia-system")

    def engine(period: int | str) -> Values:
        """Return the values of an AppImage; the chart does not read its probes, and Kuscia rejects a text here."""
        probe = {"exec": {"command": ["true"]}, "period_seconds": period}
        image = sleeper("registry.example.com/team/engine:1.0", liveness_probe=probe)
        return {"master": {"appImages": {"engine": image}}}

    def app_image() -> dict[str, Any] | None:
        with kusciaapi(kubectl, master) as api:
            return api.find("appimage/query", {"name": "engine"})

    with namespaces(kubectl, namespace):
        made = Installation(kubectl, images, namespace, both(namespace), helm=helm)
        with pytest.raises(CommandError):
            made.install(tmp_path, undo, timeout="15m", **engine("often"))
        assert "sh.helm.release" not in kubectl.run("get", "secrets", "-n", namespace, "-o", "name")
        eventually(lambda: not made.pods(), 60, "no pods")
        identity = kept(kubectl, namespace)
        assert {"secrets/kuscia-lite-alice-domain-key", "persistentvolumeclaims/kuscia-master-data"} <= identity.keys()

        made.install(tmp_path, undo, timeout="15m")
        assert kept(kubectl, namespace) == identity
        made.wait_for_test()
        pods = made.pods()

        with pytest.raises(CommandError):
            made.install(tmp_path, undo, timeout="15m", **engine("often"))
        assert made.status() == "deployed"
        assert (made.pods(), kept(kubectl, namespace), app_image()) == (pods, identity, None)
        assert "Succeeded" in made.test()

        made.install(tmp_path, undo, timeout="15m", **engine(10))
        assert app_image()
        assert (made.pods(), kept(kubectl, namespace)) == (pods, identity)
        assert "Succeeded" in made.test()


@pytest.mark.timeout(1800)  # the test waits three times for lites that reconnect
@pytest.mark.parametrize(("helm", "undo"), [("helm", "--rollback-on-failure"), ("helm3", "--atomic")])
def test_whole_life_of_a_release(kubectl: Kubectl, images: Path, tmp_path: Path, helm: str, undo: str) -> None:
    """Install, upgrade, failed upgrade that is undone, rollback, test, uninstall and reinstall, with both Helms."""
    namespace = f"v-life-{helm}"
    with namespaces(kubectl, namespace):
        made = Installation(kubectl, images, namespace, both(namespace), helm=helm)
        made.install(tmp_path, "--wait-for-jobs")
        first = made.pods()
        key = kubectl.get("secret", "kuscia-lite-alice-domain-key", "-n", namespace)["data"]
        assert "Succeeded" in made.test()

        made.install(tmp_path, lite={"podAnnotations": {"changed": "yes"}})
        second = made.pods()
        assert second["master"] == first["master"]
        assert second["lite"] != first["lite"]

        # The timeout is also that of the rollback, which waits for a restarted lite.
        with pytest.raises(CommandError):
            made.install(
                tmp_path, undo, timeout=f"{RECONNECT_SECONDS}s",
                lite={"podAnnotations": {"changed": "yes"}, "nodeSelector": {"no-such-node": "true"}},
            )  # fmt: skip
        assert made.status() == "deployed"
        made.wait_for_test()

        made.call("rollback", "kuscia", "1", "--wait", "--timeout", "5m")
        pod = kubectl.get("deployment", "kuscia-lite-alice", "-n", namespace)["spec"]["template"]["metadata"]
        assert "changed" not in pod.get("annotations", {})
        made.wait_for_test()

        made.call("uninstall", "kuscia", "--wait")
        eventually(lambda: not made.pods(), 60, "no pods")
        made.install(tmp_path, timeout="10m")
        assert kubectl.get("secret", "kuscia-lite-alice-domain-key", "-n", namespace)["data"] == key
        made.wait_for_test()


@pytest.mark.parametrize("seconds", [1, 4, 10])
def test_install_continues_after_a_killed_helm(kubectl: Kubectl, images: Path, tmp_path: Path, seconds: float) -> None:
    """As docs/failure-modes.md describes: uninstall the first revision, and install again."""
    namespace = "v-killed"
    with namespaces(kubectl, namespace):
        made = Installation(kubectl, images, namespace, both(namespace))
        command = ["helm", "install", "kuscia", str(CHART), "-n", namespace, *made.arguments(tmp_path), "--wait"]
        process = subprocess.Popen(command, env=kubectl.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
        if made.call("list", "--pending", "--short").strip():
            assert made.status() == "pending-install"
            made.call("uninstall", "kuscia", "--wait")
        made.install(tmp_path)
        assert set(made.pods()) == set(COMPONENTS)
        made.wait_for_test()
