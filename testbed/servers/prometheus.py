"""Prometheus for tests: Debian's, configured as the Prometheus Operator configures one for its monitors.

Debian builds Prometheus without the discovery of Kubernetes. So `targets` looks up what a PodMonitor or ServiceMonitor
selects, and `scrape_job` writes the job and the labels that the operator generates (pkg/prometheus/promcfg.go).
"""

import hashlib
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.kubectl import Kubectl
from testbed.servers.rollout import wait_ready

NAME = "prometheus"
PORT = 9090
MANIFEST = Path(__file__).parent / "manifests/prometheus.yaml"
ENDPOINTS = {"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}
Object = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A port of a pod.

    Args:
        address: host:port.
        pod: the pod object.
        labeled: the object whose label `jobLabel` names the job: the pod, or the Service of a ServiceMonitor.
    """

    address: str
    pod: Object
    labeled: Object


def targets(kubectl: Kubectl, monitor: Object) -> list[Target]:
    """Return what a monitor selects in its namespace."""
    namespace = monitor["metadata"]["namespace"]
    selector = ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())
    port = _endpoint(monitor)["port"]
    if monitor["kind"] == "PodMonitor":
        pods = kubectl.get("pods", "-n", namespace, "-l", selector)["items"]
        return [
            Target(f"{pod['status']['podIP']}:{entry['containerPort']}", pod, pod)
            for pod in pods
            for container in pod["spec"]["containers"]
            for entry in container.get("ports", [])
            if entry.get("name") == port
        ]
    found = []
    for service in kubectl.get("services", "-n", namespace, "-l", selector)["items"]:
        owned = f"kubernetes.io/service-name={service['metadata']['name']}"
        for part in kubectl.get("endpointslices", "-n", namespace, "-l", owned)["items"]:
            for entry in (entry for entry in part["ports"] if entry["name"] == port):
                for endpoint in part["endpoints"]:
                    pod = kubectl.get("pod", endpoint["targetRef"]["name"], "-n", namespace)
                    found.append(Target(f"{endpoint['addresses'][0]}:{entry['port']}", pod, service))
    return found


def scrape_job(monitor: Object, found: Iterable[Target]) -> Object:
    """Return the scrape job of a monitor.

    Raises:
        ValueError: the monitor has a field that is not supported.
    """
    spec, endpoint = monitor["spec"], dict(_endpoint(monitor))
    unknown = spec.keys() - {"selector", "jobLabel", "podTargetLabels", ENDPOINTS[monitor["kind"]]}
    job: Object = {
        "job_name": f"{monitor['kind']}/{monitor['metadata']['namespace']}/{monitor['metadata']['name']}",
        "metrics_path": endpoint.pop("path"),
        "static_configs": [{"targets": [one.address], "labels": _labels(spec, one)} for one in found],
        "relabel_configs": [_snake_case(rule) for rule in endpoint.pop("relabelings", [])],
        "metric_relabel_configs": [_snake_case(rule) for rule in endpoint.pop("metricRelabelings", [])],
    }
    for field, option in (("interval", "scrape_interval"), ("scrapeTimeout", "scrape_timeout")):
        if field in endpoint:
            job[option] = endpoint.pop(field)
    unknown |= endpoint.keys() - {"port"}
    if unknown:
        raise ValueError(f"unsupported fields of a {monitor['kind']}: {', '.join(sorted(unknown))}")
    return job


def discovered(job: Object, pods: Iterable[Object]) -> Object:
    """Return a job with the static targets that its `kubernetes_sd_configs` (role pod) discover in these pods."""
    configs = []
    for pod in pods:
        metadata = pod["metadata"]
        labels = {
            "__meta_kubernetes_namespace": metadata["namespace"],
            "__meta_kubernetes_pod_name": metadata["name"],
            **{f"__meta_kubernetes_pod_label_{sanitized(key)}": value for key, value in metadata["labels"].items()},
        }
        for entry in (port for container in pod["spec"]["containers"] for port in container.get("ports", [])):
            address = f"{pod['status']['podIP']}:{entry['containerPort']}"
            named = {**labels, "__meta_kubernetes_pod_container_port_name": entry["name"]}
            configs.append({"targets": [address], "labels": named})
    return {**{key: value for key, value in job.items() if key != "kubernetes_sd_configs"}, "static_configs": configs}


def sanitized(key: str) -> str:
    """Return a Kubernetes label key as the name of a Prometheus label."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _endpoint(monitor: Object) -> Object:
    (endpoint,) = monitor["spec"][ENDPOINTS[monitor["kind"]]]
    return dict(endpoint)


def _labels(spec: Object, target: Target) -> dict[str, str]:
    metadata = target.pod["metadata"]
    return {
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
        "job": target.labeled["metadata"]["labels"][spec["jobLabel"]],
        **{sanitized(key): metadata["labels"][key] for key in spec["podTargetLabels"]},
    }


def _snake_case(rule: Object) -> Object:
    return {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in rule.items()}


class Prometheus:
    """Prometheus in one cluster.

    Args:
        namespace: a separate one; `remove` deletes it.
        image: complete reference.
    """

    def __init__(self, kubectl: Kubectl, namespace: str, image: str) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._image = image

    def start(self, jobs: Iterable[Object], rules: str) -> None:
        """Start it, or restart it with another configuration, and wait until it is ready.

        Args:
            rules: content of a file with alert rules.
        """
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": list(jobs),
        }
        self._kubectl.ensure_namespace(self._namespace)
        self._kubectl.apply(self._objects({"prometheus.yaml": json.dumps(config), "rules.yaml": rules}))
        wait_ready(self._kubectl, NAME, NAME, self._namespace)

    def call(self, path: str, **parameters: str) -> Any:
        """Return the data of a request to its HTTP API.

        Args:
            path: such as `query`.

        Raises:
            urllib.error.HTTPError: it rejects the request.
        """
        with self._kubectl.port_forward(self._namespace, f"deployment/{NAME}", PORT) as port:
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)["data"]

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Return the present samples of an expression: labels and value."""
        found = self.call("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in found]

    def remove(self) -> None:
        self._kubectl.run("delete", "namespace", self._namespace, "--ignore-not-found", "--wait", timeout=300)

    def _objects(self, files: Mapping[str, str]) -> str:
        deployment: Object = yaml.safe_load(MANIFEST.read_text())
        template = deployment["spec"]["template"]
        template["metadata"]["annotations"]["checksum"] = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]
        template["spec"]["containers"][0]["image"] = self._image
        config: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": dict(files)}
        for document in (config, deployment):
            document["metadata"]["namespace"] = self._namespace
        return "\n---\n".join(map(json.dumps, (config, deployment)))
