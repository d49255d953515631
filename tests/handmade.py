"""Nodes of Kuscia as the guide of Kuscia creates them by hand: Service, ConfigMap, Role, Deployment."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Object = dict[str, Any]
RUNK_RULES = [
    {"apiGroups": [""], "resources": ["pods", "pods/log", "configmaps", "secrets"], "verbs": ["*"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
]


@dataclass(frozen=True)
class Node:
    """One node.

    Args:
        key: the domain key, PEM.
        config: further keys of its kuscia.yaml.
        image: with tag.
    """

    mode: str
    domain: str
    namespace: str
    name: str
    key: bytes = field(repr=False)
    config: Mapping[str, Any] = field(default_factory=dict)
    image: str = "secretflow/kuscia:1.1.0b0"

    def objects(self) -> list[Object]:
        """Return the manifests, all but that of the namespace."""
        return [self.service(), self.configmap(), *(self.rbac() if self.mode == "Lite" else []), self.deployment()]

    def _metadata(self, name: str) -> Object:
        return {"name": name, "namespace": self.namespace}

    def service(self) -> Object:
        ports = [
            {"name": "envoy", "port": 1080, "protocol": "TCP", "targetPort": 1080},
            {"name": "kusciaapi", "port": 8082, "protocol": "TCP", "targetPort": 8082},
        ]
        if self.mode == "Lite":
            ports += [
                {"name": "envoy-internal", "port": 80, "protocol": "TCP", "targetPort": 80},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            ]
        spec = {"selector": {"app": self.name}, "type": "ClusterIP", "ports": ports}
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._metadata(self.name), "spec": spec}

    def configmap(self) -> Object:
        content = {
            "mode": self.mode,
            "domainID": self.domain,
            "domainKeyData": base64.b64encode(self.key).decode(),
            "logLevel": "INFO",
            "protocol": "NOTLS",
            **self.config,
        }
        metadata, data = self._metadata(f"{self.name}-cm"), {"kuscia.yaml": yaml.safe_dump(content, sort_keys=False)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def rbac(self) -> list[Object]:
        api = "rbac.authorization.k8s.io"
        role = {"apiGroup": api, "kind": "Role", "name": "runk-role"}
        subject = {"kind": "ServiceAccount", "name": "default", "namespace": self.namespace}
        return [
            {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": self._metadata("runk-role"), "rules": RUNK_RULES},
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": self._metadata("runk-rolebinding"),
                "roleRef": role,
                "subjects": [subject],
            },
        ]

    def deployment(self) -> Object:
        mounts = [
            {"name": "kuscia-var-tmp", "mountPath": "/home/kuscia/var/tmp"},
            {"name": "kuscia-config", "mountPath": "/home/kuscia/etc/conf/kuscia.yaml", "subPath": "kuscia.yaml"},
        ]
        container = {
            "name": self.domain,
            "image": self.image,
            "command": ["tini", "--", "kuscia", "start", "-c", "etc/conf/kuscia.yaml"],
            "workingDir": "/home/kuscia",
            "volumeMounts": mounts,
        }
        volumes = [
            {"name": "kuscia-var-tmp", "emptyDir": {}},
            {"name": "kuscia-config", "configMap": {"name": f"{self.name}-cm", "defaultMode": 420}},
        ]
        labels = {"app": self.name}
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "automountServiceAccountToken": True, "volumes": volumes},
            },
        }
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self._metadata(self.name), "spec": spec}


def lite_config(master: str, namespace: str, dns: str = "10.96.0.20", token: str = "") -> Object:
    """Return the keys of a lite's kuscia.yaml as in the sample of the guide, which has many empty ones.

    Args:
        master: endpoint of the master.
        dns: address of the Service of the lite.
    """
    return {
        "liteDeployToken": token,
        "masterEndpoint": master,
        "runtime": "runk",
        "runk": {"namespace": namespace, "dnsServers": [dns], "kubeconfigFile": None},
        "capacity": {"cpu": 4, "memory": "4Gi", "pods": 500, "storage": "100Gi"},
        "image": {
            "pullPolicy": None,
            "defaultRegistry": "",
            "registries": [{"name": "", "endpoint": "", "username": "", "password": ""}],
        },
    }
