"""`adopt`: prints the values and the Secrets with which a release takes over a node that was created by hand.

A pure function from the objects in the cluster to text: it needs no access to the cluster. The release keeps the domain
ID, the domain key, the datastore, and the name of the Service at which others reach the node.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.common import split_endpoint
from kuscia_hooks.core.errors import PermanentError, StepWarning
from kuscia_hooks.core.text import first_of, printable, quoted
from kuscia_hooks.inspect.handmade import GATEWAY_PORT, Handmade, config_mount, gateway_port, read
from kuscia_hooks.kuscia import datastore_address, domain_key

LONGEST_NAME = 42
"""The chart shortens longer names (kuscia.fullname)."""
LONGEST_RELEASE = 53
"""Helm rejects longer names of releases."""
OTHER_KEYS = {
    "master": ("logrotate", "debug", "debugPort", "garbageCollection", "clusterToken", "enableWorkloadApprove",
               "domainRoute"),
    "lite": ("logrotate", "debug", "debugPort", "garbageCollection", "reservedResources", "image", "dataMesh",
             "confManager", "agent"),
}  # fmt: skip
"""Keys of kuscia.yaml without a dedicated value. They are kept in a Secret, since they can have secrets."""
_VALUES = {
    "master": ("mode", "domainID", "domainKeyData", "protocol", "logLevel", "kusciaAPISans", "datastoreEndpoint"),
    "lite": ("mode", "domainID", "domainKeyData", "protocol", "logLevel", "kusciaAPISans", "masterEndpoint",
             "liteDeployToken", "runtime", "runk", "capacity"),
}  # fmt: skip
_RUNK = ("namespace", "dnsServers", "kubeconfigFile", "enableLogging")
_CLAIMS = {"master": "/home/kuscia/var/k3s", "lite": "/home/kuscia/var/storage"}
"""Where the chart mounts the claim of a component."""
_FILES = ("/home/kuscia/var/tmp", "/home/kuscia/var/tmp/resolv.conf")
"""What the guide mounts besides the configuration, and the chart mounts on its own."""
_POD_FIELDS = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "hostAliases",
    "priorityClassName",
)
_ROOTLESS = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "capabilities": {"add": ["NET_BIND_SERVICE"]},
}
"""The security context of the guide without root, which the value `rootless` sets."""
_ROOTLESS_DNS = {"nameservers": ["127.0.0.1"]}
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_IGNORED_ENVIRONMENT = ("NAMESPACE", "TZ", "REGISTRY_ENDPOINT")
_UNMAPPED_POD_FIELDS = ("initContainers", "hostNetwork", "serviceAccountName", "runtimeClassName", "schedulerName")
_POD_DEFAULTS: tuple[object, ...] = (None, False, "default", "default-scheduler", "ClusterFirst", [])
_UNMAPPED_CONTAINER_FIELDS = {
    "envFrom": "extraEnvFrom",
    "startupProbe": "probes",
    "readinessProbe": "probes",
    "livenessProbe": "probes",
    "lifecycle": "",
}
"""Settings of the container, with the value that can have them."""
_SERVICE = re.compile(r"(?P<service>[^.]+)\.(?P<namespace>[^.]+)\.svc\.(?P<domain>.+)")


@dataclass(frozen=True)
class Adoption:
    """The values of a release, and what has none."""

    values: dict[str, Any]
    warnings: tuple[StepWarning, ...]


def attempt(text: str, domain: str, secrets: bool) -> tuple[str, tuple[StepWarning, ...]]:
    """Return the values file, or the manifests of the Secrets, of one node, and warnings.

    Args:
        text: one or more outputs of `kubectl get -o json`.
        domain: domain ID of the node; "" for the only one.
        secrets: print the Secrets, not the values.

    Raises:
        PermanentError: the input has no such node, or its configuration cannot be used.
    """
    with _expected_fields():
        nodes = read(text)
        node = _chosen(nodes, domain)
        node.key()
        if secrets:
            return "---\n".join(map(yaml_text.write, manifests(node))), ()
        found = adoption(node, nodes)
        return f"{_header(node, nodes, found.warnings)}\n{yaml_text.write(found.values)}", found.warnings


@contextmanager
def _expected_fields() -> Iterator[None]:
    """Raise PermanentError for the errors that objects with other fields or types cause in their reader."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # The text of the error can have a value, which may be a secret.
        raise PermanentError(
            "adopt-input-invalid",
            f"an object in the input has a missing field, or a field of a wrong type ({type(error).__name__})",
            fix="pass the unchanged output of kubectl get -o json",
        ) from error


def _chosen(nodes: Sequence[Handmade], domain: str) -> Handmade:
    chosen = [node for node in nodes if node.domain_id == domain or not domain]
    if len(chosen) == 1:
        return chosen[0]
    ids = ", ".join(node.domain_id for node in nodes)
    if len({node.domain_id for node in chosen}) == 1:
        places = ", ".join(f"{node.namespace}/{node.deployment}" for node in chosen)
        raise PermanentError(
            "adopt-domain-required",
            f"domain {chosen[0].domain_id} has several Deployments in the input: {places}",
            fix="pass the objects of one of their namespaces only",
        )
    raise PermanentError(
        "adopt-domain-required",
        f"domain {domain} is not among the domains of the input: {ids}" if domain else f"the input has domains {ids}",
        fix=f"kuscia-hooks adopt {quoted(nodes[0].domain_id)}",
    )


def manifests(node: Handmade) -> list[dict[str, Any]]:
    """Return the Secrets that the values name. Raises PermanentError (`adopt-config-invalid`)."""
    contents = {"domain-key": {"domain.key": node.key()}}
    address = _address(node)
    if address:
        contents["datastore"] = {"password": address.password.encode()}
    if rest := _rest(node):
        contents["config"] = {"kuscia.yaml": yaml_text.write(rest).encode()}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{node.name}-{name}", "namespace": node.namespace},
            "type": "Opaque",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        for name, data in contents.items()
    ]


def adoption(node: Handmade, nodes: Sequence[Handmade]) -> Adoption:
    """Return the values for one of the nodes.

    Args:
        nodes: all that are known; a master admits those lites that name its Service as their master.

    Raises:
        PermanentError: `adopt-config-invalid`.
    """
    warnings: list[StepWarning] = []
    values = _common(node, warnings)
    if node.mode == "master":
        values |= _master(node, nodes, warnings)
    else:
        values |= _lite(node)
    values |= _service(node, warnings)
    left_out = [*_unmapped_keys(node), *_unmapped_pod(node)]
    if left_out:
        message = f"{node.namespace}/{node.deployment}: these settings have no value here: {first_of(left_out, 30)}"
        warnings.append(StepWarning("adopt-setting-left-out", message, fix="add what you need to the values"))
    document: dict[str, Any] = {} if node.mode == "master" else {"master": {"enabled": False}}
    document[node.mode] = {"enabled": True, **values}
    shared = _shared(node, nodes)
    return Adoption(({"global": {"kuscia": shared}} if shared else {}) | document, tuple(warnings))


def _shared(node: Handmade, nodes: Sequence[Handmade]) -> dict[str, Any]:
    """Return the values under `global.kuscia`."""
    shared: dict[str, Any] = {}
    if pull := [secret["name"] for secret in node.pod.get("imagePullSecrets") or []]:
        shared["imagePullSecrets"] = pull
    hosts = [_SERVICE.fullmatch(_master_host(other)) for other in nodes]
    domains = {host["domain"] for host in hosts if host} - {"cluster.local"}
    if len(domains) == 1:
        shared["clusterDomain"] = domains.pop()
    return shared


def _common(node: Handmade, warnings: list[StepWarning]) -> dict[str, Any]:
    """Return the values that a master and a lite have alike."""
    config, pod, container = node.config, node.pod, node.container
    protocol = config.get("protocol")
    values: dict[str, Any] = {
        "domainId": node.domain_id,
        "image": _image(node, warnings),
        "key": {"existingSecret": f"{node.name}-domain-key", "existingSecretKey": "domain.key"},
        "protocol": str(protocol).upper() if protocol else None,
    }
    if len(node.name) <= LONGEST_NAME:
        values["fullnameOverride"] = node.name
    values |= _security(node)
    extra = {
        key: value
        for key, value in {"logLevel": config.get("logLevel"), "kusciaAPISans": config.get("kusciaAPISans")}.items()
        if value and value != "INFO"
    }
    if extra:
        values["extraConfig"] = extra
    if _rest(node):
        values |= {"extraConfigSecret": f"{node.name}-config", "extraConfigSecretKey": "kuscia.yaml"}
    if container.get("resources"):
        values["resources"] = container["resources"]
    values |= {name: pod[name] for name in _POD_FIELDS if pod.get(name)}
    if pod.get("dnsConfig") and not _has_rootless_dns(pod):
        values["dnsConfig"] = pod["dnsConfig"]
    if annotations := {name: value for name, value in node.annotations.items() if name != _RESTARTED}:
        values["podAnnotations"] = annotations
    claim = _claim(node)
    if claim:
        values["persistence"] = {"existingClaim": claim}
    return values


def _security(node: Handmade) -> dict[str, Any]:
    """Return the values for the security contexts, without what the chart sets."""
    of_pod, own = (item.get("securityContext") or {} for item in (node.pod, node.container))
    values: dict[str, Any] = {}
    known: dict[str, Any] = {}
    if any({**of_pod, **own}.get(name) for name in ("runAsNonRoot", "runAsUser")):
        values["rootless"] = True
        known |= _ROOTLESS
    if str(node.config.get("runtime")).lower() == "runc":
        known["privileged"] = True
    for name, context in (("podSecurityContext", of_pod), ("securityContext", own)):
        if more := {key: value for key, value in context.items() if known.get(key) != value}:
            values[name] = more
    return values


def _has_rootless_dns(pod: Mapping[str, Any]) -> bool:
    return bool(pod.get("dnsPolicy") == "None" and pod.get("dnsConfig") == _ROOTLESS_DNS)


def _image(node: Handmade, warnings: list[StepWarning]) -> dict[str, str]:
    image = str(node.container["image"])
    name, _, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    if tag == "latest" and not digest:
        message = f"{node.namespace}/{node.deployment} runs {image}: a new pod can get another version of Kuscia"
        show = f"kubectl get pods -n {quoted(node.namespace)} -o jsonpath='{{..imageID}}'"
        fix = f"set {node.mode}.image.digest to that of the image that runs: {show}"
        warnings.append(StepWarning("adopt-image-not-pinned", message, fix=fix))
    found = {"repository": repository, "digest": digest} if digest else {"repository": repository, "tag": tag}
    policy = node.container.get("imagePullPolicy")
    return found | ({"pullPolicy": policy} if policy else {})


def _master(node: Handmade, nodes: Sequence[Handmade], warnings: list[StepWarning]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    address = _address(node)
    if address:
        values["datastore"] = {
            "type": address.type,
            "host": address.host,
            "port": address.port,
            "database": address.database,
            "user": address.user,
            "existingSecret": f"{node.name}-datastore",
            "existingSecretKey": "password",
            **({"params": address.params} if address.params else {}),
        }
    elif not _claim(node):
        message = (
            f"{node.namespace}/{node.deployment} keeps its state in the pod: domains, routes, tables, grants and jobs "
            "are lost with it. The release creates the domains and routes of the values again"
        )
        fix = "keep a copy of what was declared by hand; declare tables and grants again, or add them to lite.data"
        warnings.append(StepWarning("adopt-state-in-pod", message, fix=fix))
    domains = {lite.domain_id: _domain(lite) for lite in nodes if _is_lite_of(lite, node)}
    values |= {"domains": domains, "routes": "all"}
    return values


def _is_lite_of(lite: Handmade, master: Handmade) -> bool:
    host = _SERVICE.fullmatch(_master_host(lite))
    return host is not None and (host["service"], host["namespace"]) == (master.name, master.namespace)


def _master_host(node: Handmade) -> str:
    """Return the host of the master of a lite, "" for none."""
    try:
        return split_endpoint(str(node.config.get("masterEndpoint") or "")).hostname or ""
    except ValueError:
        # `_lite` reports it for its own node.
        return ""


def _domain(lite: Handmade) -> dict[str, Any]:
    """Return the entry of `master.domains`. The certificate admits the lite even by a master that lost its state."""
    host = _SERVICE.fullmatch(_master_host(lite))
    domain = host["domain"] if host else "cluster.local"
    # Without a protocol, the gateway of a lite has no TLS (Kuscia facts 2.7).
    scheme = "https" if str(lite.config.get("protocol")).upper() in ("TLS", "MTLS") else "http"
    certificate = domain_key.ca_certificate(domain_key.load_key(lite.key()), lite.domain_id)
    return {
        "endpoint": f"{scheme}://{lite.name}.{lite.namespace}.svc.{domain}:{GATEWAY_PORT}",
        "cert": yaml_text.Block(certificate.decode()),
    }


def _lite(node: Handmade) -> dict[str, Any]:
    config = node.config
    endpoint = str(config.get("masterEndpoint") or "")
    try:
        split_endpoint(endpoint)
    except ValueError as error:
        raise node.invalid(f"masterEndpoint {printable(endpoint)}: {error}") from error
    values: dict[str, Any] = {"master": {"endpoint": endpoint}, "runtime": str(config.get("runtime") or "").lower()}
    runk = config.get("runk") or {}
    if values["runtime"] == "runk":
        values["runk"] = {
            key: value
            for key, value in (("namespace", runk.get("namespace")), ("enableLogging", runk.get("enableLogging")))
            if value and value != node.namespace
        }
    if values["runtime"] == "runc":
        values["runc"] = {"privileged": True}
    if capacity := _without_empty(config.get("capacity") or {}):
        values["capacity"] = {key: str(value) for key, value in capacity.items()}
    return {key: value for key, value in values.items() if value != {}}


def _service(node: Handmade, warnings: list[StepWarning]) -> dict[str, Any]:
    """Return the values of the Service for partners, if one exposes the gateway outside the cluster."""
    for service in node.services:
        spec, port = service["spec"], gateway_port(service)
        if port is None or spec.get("type", "ClusterIP") == "ClusterIP":
            continue
        fields = ("loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy")
        external: dict[str, Any] = {"enabled": True, "type": spec["type"], "port": port["port"]}
        external |= {name: spec[name] for name in fields if spec.get(name)}
        annotations = dict(service["metadata"].get("annotations") or {})
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
        if annotations:
            external["annotations"] = annotations
        if spec["type"] == "NodePort":
            external["nodePort"] = port["nodePort"]
        else:
            places = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or [{}]
            now = places[0].get("hostname") or places[0].get("ip") or "not assigned"
            message = f"the load balancer of Service {node.namespace}/{service['metadata']['name']} (address {now}) is "
            message += f"replaced by that of Service {node.name}-external, which can get another address"
            fix = "reserve the address with your provider, or tell your partners the new one"
            warnings.append(StepWarning("adopt-address-may-change", message, fix=fix))
        return {"service": {"external": external}}
    return {}


def _address(node: Handmade) -> datastore_address.Address | None:
    """Return the address of the datastore; None for sqlite and for a lite."""
    text = node.config.get("datastoreEndpoint")
    if not text or node.mode != "master":
        return None
    try:
        return datastore_address.parse(str(text))
    except ValueError as error:
        raise node.invalid(f"datastoreEndpoint: {error}") from error


def _rest(node: Handmade) -> dict[str, Any]:
    """Return the keys of kuscia.yaml that are kept as they are."""
    rest = {key: node.config[key] for key in OTHER_KEYS[node.mode] if node.config.get(key)}
    if node.config.get("protocol"):
        # Kuscia ignores it then (Kuscia facts 2.2).
        rest["domainRoute"] = {
            key: value for key, value in (rest.get("domainRoute") or {}).items() if key != "externalTLS"
        }
    if node.mode == "lite":
        rest["runk"] = {key: value for key, value in (node.config.get("runk") or {}).items() if key not in _RUNK}
    found: dict[str, Any] = _without_empty(rest)
    return found


def _without_empty(value: Any) -> Any:
    """Return a value without members that are null or empty, as the samples of the guide have many."""
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [item for item in map(_without_empty, value) if item not in (None, "", {}, [])]
    return value


def _claim(node: Handmade) -> str:
    """Return the claim that the chart mounts at the same place; "" for none."""
    volumes = {volume["name"]: volume for volume in node.pod.get("volumes") or []}
    for mount in node.container.get("volumeMounts") or []:
        claim = volumes.get(mount["name"], {}).get("persistentVolumeClaim")
        if claim and mount["mountPath"].rstrip("/") == _CLAIMS[node.mode] and not mount.get("subPath"):
            return str(claim["claimName"])
    return ""


def _unmapped_keys(node: Handmade) -> list[str]:
    known = {*_VALUES[node.mode], *OTHER_KEYS[node.mode]}
    found = [f"{key} in kuscia.yaml" for key, value in node.config.items() if key not in known and value]
    runk = node.config.get("runk") or {}
    if runk.get("kubeconfigFile"):
        found.append("runk.kubeconfigFile in kuscia.yaml (lite.runk.kubeconfigSecret)")
    return found


def _unmapped_pod(node: Handmade) -> list[str]:
    """Return settings of the pod that the values do not have."""
    container = node.container
    found = [
        f"environment variable {item['name']} (extraEnv)"
        for item in container.get("env") or []
        if item["name"] not in _IGNORED_ENVIRONMENT
    ]
    found += [
        f"{name} ({value})" if value else name
        for name, value in _UNMAPPED_CONTAINER_FIELDS.items()
        if container.get(name)
    ]
    mapped = {*_FILES, _CLAIMS[node.mode]} if _claim(node) else {*_FILES}
    configuration = config_mount(container)
    found += [
        f"mount {mount['mountPath']} (extraVolumes, extraVolumeMounts)"
        for mount in container.get("volumeMounts") or []
        if mount["mountPath"].rstrip("/") not in mapped and not (configuration and mount is configuration[0])
    ]
    found += [f"container {one['name']} (extraContainers)" for one in node.pod["containers"] if one is not container]
    fields = _UNMAPPED_POD_FIELDS if _has_rootless_dns(node.pod) else (*_UNMAPPED_POD_FIELDS, "dnsPolicy")
    found += [name for name in fields if node.pod.get(name) not in _POD_DEFAULTS]
    if len(node.name) > LONGEST_NAME:
        found.append(f"name {node.name}, which has more than {LONGEST_NAME} characters")
    return found


def _release(node: Handmade, nodes: Sequence[Handmade]) -> str:
    """Return the name of the release; the name of each release in one namespace is different."""
    if [other for other in nodes if other.namespace == node.namespace] == [node]:
        return "kuscia"
    return f"kuscia-{node.domain_id}"[:LONGEST_RELEASE].rstrip("-")


def _header(node: Handmade, nodes: Sequence[Handmade], warnings: Sequence[StepWarning]) -> str:
    """Return the comments above the values: what the release replaces, and in which order."""
    domain, namespace, release = quoted(node.domain_id), quoted(node.namespace), quoted(_release(node, nodes))
    services = " ".join(quoted(f"service/{service['metadata']['name']}") for service in node.services)
    lines = [
        f"# Values for domain {node.domain_id} ({node.mode}), from Deployment {node.namespace}/{node.deployment}.",
        *(f"# WARNING [{warning.id}] {warning.message}. Fix: {warning.fix}." for warning in warnings),
        "# 1. Create the Secrets that the values name, from the same input:",
        f"#      kuscia-hooks adopt {domain} --secrets < INPUT | kubectl apply -f -",
        "# 2. Delete the objects whose names the release takes, and install it at once. The domain key, the datastore",
        "#    and the name of the Service stay the same, so that partners and masters recognize the domain:",
        f"#      kubectl -n {namespace} delete deployment/{quoted(node.deployment)} {services} --cascade=foreground",
        f"#      helm upgrade --install {release} ./charts/kuscia -n {namespace} -f values/site.yaml -f <this file>",
        "# 3. When helm test passes, delete the former configuration, which contains the domain key:",
        f"#      kubectl -n {namespace} delete {quoted(node.source)}",
    ]
    if node.mode == "master":
        lines.append("# Add the domains in other clusters to master.domains: their endpoint, and their cert.")
    return "\n".join(map(printable, lines))
