"""Deployments of Kuscia created by hand, as in the guide of Kuscia, found in the output of `kubectl get -o json`."""

import base64
import binascii
import itertools
import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.common import valid_domain_id
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.kuscia import domain_key

GATEWAY_PORT = 1080
_CONFIG_FILE = "kuscia.yaml"
_HOME = "/home/kuscia"
_MAPPINGS = ("runk", "capacity", "domainRoute")
_DATA = ("ConfigMap", "Secret")
_VALUES = 10_000
"""Values of a kuscia.yaml that are read. Aliases in a few lines can stand for any number of values."""

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
        annotations: of its pod.
    """

    namespace: str
    deployment: str
    pod: Object
    container: Object
    source: str
    config: Object = field(repr=False)
    services: tuple[Object, ...] = ()
    annotations: Object = field(default_factory=dict)

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
            # Kuscia ignores line breaks, as base64 prints them (Go's encoding/base64).
            text = re.sub(r"[\r\n]", "", str(self.config.get("domainKeyData") or ""))
            pem = base64.b64decode(text, validate=True)
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
            f"none of the {len(objects)} objects is a Deployment that mounts {_CONFIG_FILE} from a ConfigMap or Secret",
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
        mounted = config_mount(container)
        if mounted is None:
            continue
        mount, path = mounted
        kind, source, entry = _entry(volumes.get(mount["name"], {}), path)
        if not source:
            # A release of the chart has its configuration in an emptyDir.
            continue
        holder = data.get((kind, namespace, source))
        if holder is None:
            raise PermanentError(
                "adopt-config-invalid",
                f"{kind} {namespace}/{source} is not in the input; Deployment {name} mounts it as {_CONFIG_FILE}",
                fix=f"pass it, too: kubectl get {kind.lower()}s -n {namespace} -o json",
            )
        metadata = template.get("metadata") or {}
        selecting = [service for service in services if _selects(service, namespace, metadata.get("labels") or {})]
        place, annotations = f"{kind.lower()}/{source}", metadata.get("annotations") or {}
        node = Handmade(namespace, name, pod, container, place, {}, tuple(selecting), annotations)
        return _with_config(node, holder, entry)
    return None


def config_mount(container: Object) -> tuple[Object, str] | None:
    """Return the mount of the configuration of Kuscia, and its file in the volume; None for another container.

    The mount is that of the file, or of its directory.
    """
    file = _config_file(container)
    directory = None
    for mount in container.get("volumeMounts") or []:
        at, below = mount["mountPath"].rstrip("/"), mount.get("subPath", "")
        if at == file or (file is None and posixpath.basename(at) == _CONFIG_FILE):
            return mount, below or _CONFIG_FILE
        if file is not None and at == posixpath.dirname(file):
            directory = mount, posixpath.join(below, posixpath.basename(file))
    return directory


def _config_file(container: Object) -> str | None:
    """Return the path that `kuscia start -c` names; None for another command."""
    words = [str(word) for word in (*(container.get("command") or []), *(container.get("args") or []))]
    if "kuscia" not in [word.rpartition("/")[2] for word in words] or "start" not in words:
        return None
    named = f"etc/conf/{_CONFIG_FILE}"
    for word, following in itertools.pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option in ("-c", "--config"):
            named = value if equals else following
    return posixpath.join(container.get("workingDir") or _HOME, named)


def _entry(volume: Object, path: str) -> tuple[str, str, str]:
    """Return kind, name and key of what a volume mounts at a path in it."""
    found = []
    for one in (volume.get("projected") or {}).get("sources") or [volume]:
        for kind, member, name in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
            if source := one.get(member):
                items = {item["path"]: item["key"] for item in source.get("items") or []}
                found.append((kind, str(source.get(name) or source["name"]), items))
    # A source without items has all of its keys.
    for kind, name, items in sorted(found, key=lambda one: path not in one[2]):
        return kind, name, items.get(path, path)
    return "", "", path


def _with_config(node: Handmade, holder: Object, entry: str) -> Handmade:
    raw = (holder.get("data") or {}).get(entry)
    if raw is None:
        raise node.invalid(f"the key {entry} is missing")
    if holder["kind"] == "Secret":
        raw = base64.b64decode(raw)
    try:
        config = yaml_text.read(raw)
    except yaml_text.YAMLError as error:
        # The text of the error quotes the file, which has secrets.
        raise node.invalid("not valid YAML") from error
    if not isinstance(config, dict):
        raise node.invalid("not a mapping")
    if len(list(itertools.islice(_values(config), _VALUES))) == _VALUES:
        raise node.invalid(f"it has more than {_VALUES} values, or an alias that contains itself")
    for key in _MAPPINGS:
        if not isinstance(config.get(key) or {}, dict):
            raise node.invalid(f"{key} must be a mapping")
    return replace(node, config=config)


def _values(config: Any) -> Iterator[Any]:
    """Yield every value of a YAML document; those of an alias each time."""
    pending = [config]
    while pending:
        value = pending.pop()
        yield value
        pending.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())


def _selects(service: Object, namespace: str, labels: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    return _namespace(service) == namespace and bool(selector) and selector.items() <= labels.items()
