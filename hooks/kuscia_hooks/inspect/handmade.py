"""Deployments of Kuscia created by hand, as in the guide of Kuscia, found in the output of `kubectl get -o json`."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.common import valid_domain_id
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.kuscia import domain_key

GATEWAY_PORT = 1080
_CONFIG_FILE = "kuscia.yaml"
_DATA = ("ConfigMap", "Secret")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Handmade:
    """One node of Kuscia.

    Args:
        namespace: of its objects.
        deployment: name of its Deployment.
        pod: the pod spec of its Deployment.
        container: the container of that pod that runs Kuscia.
        source: kind and name of the object with its kuscia.yaml, as `configmap/kuscia-master-cm`.
        config: its kuscia.yaml.
        services: the Services that select its pod.
    """

    namespace: str
    deployment: str
    pod: Object
    container: Object
    source: str
    config: Object = field(repr=False)
    services: tuple[Object, ...] = ()

    @property
    def mode(self) -> str:
        return str(self.config.get("mode")).lower()

    @property
    def domain_id(self) -> str:
        return str(self.config.get("domainID"))

    @property
    def service(self) -> Object | None:
        """The Service with its name, or the first one that leads to its gateway."""
        gateways = [service for service in self.services if gateway_port(service)]
        named = [service for service in gateways if service["metadata"]["name"] == self.deployment]
        return next(iter(named or gateways), None)

    @property
    def name(self) -> str:
        """The name at which others reach it: that of its Service."""
        return str(self.service["metadata"]["name"]) if self.service else self.deployment

    def key(self) -> bytes:
        """Return the domain key as PEM. Raises PermanentError (`adopt-config-invalid`)."""
        try:
            pem = base64.b64decode(str(self.config.get("domainKeyData") or ""), validate=True)
            domain_key.load_key(pem)
        except (ValueError, binascii.Error) as error:
            # The text of the error of base64 has no part of the value.
            reason = str(error) if isinstance(error, domain_key.InvalidKey) else "not base64 of a PEM file"
            raise self.invalid(f"domainKeyData: {reason}") from error
        return pem

    def invalid(self, problem: str) -> PermanentError:
        return PermanentError("adopt-config-invalid", f"{_CONFIG_FILE} in {self.namespace}/{self.source}: {problem}")


def gateway_port(service: Object) -> Object | None:
    """Return the port of a Service that leads to the gateway."""
    for port in service["spec"].get("ports") or []:
        if port.get("targetPort", port["port"]) == GATEWAY_PORT or port["port"] == GATEWAY_PORT:
            found: Object = port
            return found
    return None


def read(text: str) -> list[Handmade]:
    """Return the nodes in one or more outputs of `kubectl get -o json`, by domain ID.

    Raises:
        PermanentError: `adopt-input-invalid`, `adopt-config-invalid`, or `adopt-nothing-found`.
    """
    objects = list(_objects(text))
    data = {_key(item): item for item in objects if item["kind"] in _DATA}
    services = [item for item in objects if item["kind"] == "Service"]
    found = []
    for item in objects:
        if item["kind"] == "Deployment" and (node := _node(item, data, services)):
            _check(node)
            found.append(node)
    if not found:
        raise PermanentError(
            "adopt-nothing-found",
            f"none of the {len(objects)} objects is a Deployment that mounts a {_CONFIG_FILE}",
            fix="pass Deployments, Services and ConfigMaps of the namespaces of Kuscia: "
            "kubectl get deployments,services,configmaps -n <namespace> -o json",
        )
    return sorted(found, key=lambda node: (node.mode != "master", node.domain_id))


def _check(node: Handmade) -> None:
    if node.mode not in ("master", "lite"):
        raise node.invalid(f"mode {node.mode} is not supported; must be master or lite")
    try:
        valid_domain_id(node.domain_id)
    except ValueError as error:
        raise node.invalid(f"domainID {node.domain_id}: {error}") from error


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError as error:
            raise PermanentError(
                "adopt-input-invalid", "the input is not the output of kubectl get -o json", fix="add -o json"
            ) from error
        rest = rest[end:].strip()
        items = document.get("items", [document]) if isinstance(document, dict) else [None]
        for item in items:
            if not (isinstance(item, dict) and {"kind", "metadata"} <= item.keys()):
                raise PermanentError("adopt-input-invalid", "the input has JSON that is not an object of Kubernetes")
            yield item


def _key(item: Object) -> tuple[str, str, str]:
    return item["kind"], _namespace(item), item["metadata"]["name"]


def _namespace(item: Object) -> str:
    return str(item["metadata"].get("namespace", "default"))


def _node(
    deployment: Object, data: Mapping[tuple[str, str, str], Object], services: Sequence[Object]
) -> Handmade | None:
    """Return the node of a Deployment; None if it does not run Kuscia."""
    template, namespace = deployment["spec"]["template"], _namespace(deployment)
    name, pod = deployment["metadata"]["name"], template["spec"]
    volumes = {volume["name"]: volume for volume in pod.get("volumes") or []}
    for container in pod["containers"]:
        for mount in container.get("volumeMounts") or []:
            if mount["mountPath"].rpartition("/")[2] != _CONFIG_FILE:
                continue
            kind, source, entry = _entry(volumes.get(mount["name"], {}), mount.get("subPath", _CONFIG_FILE))
            holder = data.get((kind, namespace, source))
            if holder is None:
                raise PermanentError(
                    "adopt-config-invalid",
                    f"{kind} {namespace}/{source} is not in the input; Deployment {name} mounts it as {_CONFIG_FILE}",
                    fix=f"pass it, too: kubectl get {kind.lower()}s -n {namespace} -o json",
                )
            labels = (template.get("metadata") or {}).get("labels") or {}
            selecting = [service for service in services if _selects(service, namespace, labels)]
            node = Handmade(namespace, name, pod, container, f"{kind.lower()}/{source}", {}, tuple(selecting))
            return _with_config(node, holder, entry)
    return None


def _entry(volume: Object, path: str) -> tuple[str, str, str]:
    """Return kind, name and key of what a volume mounts at a path in it."""
    kind, source = ("Secret", volume["secret"]) if "secret" in volume else ("ConfigMap", volume.get("configMap") or {})
    items = {item["path"]: item["key"] for item in source.get("items") or []}
    return kind, str(source.get("secretName" if kind == "Secret" else "name", "")), items.get(path, path)


def _with_config(node: Handmade, holder: Object, entry: str) -> Handmade:
    raw = (holder.get("data") or {}).get(entry, "")
    if holder["kind"] == "Secret":
        raw = base64.b64decode(raw)
    try:
        config = yaml_text.read(raw)
    except yaml_text.YAMLError as error:
        # The text of the error quotes the file, which has secrets.
        raise node.invalid("not valid YAML") from error
    if not isinstance(config, dict):
        raise node.invalid("not a mapping")
    return replace(node, config=config)


def _selects(service: Object, namespace: str, labels: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    return _namespace(service) == namespace and bool(selector) and selector.items() <= labels.items()
