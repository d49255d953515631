"""The objects a task needs in its parties' domains: pods, their configuration, ports and services.

Pure functions from a KusciaTask and its AppImages to objects. The resulting pod is recorded in runk-task-pod.yaml, the
template variables are in Kuscia facts 16.4.
"""

import dataclasses
import hashlib
import json
import os
import random
from decimal import Decimal
from typing import Any

from kuscia_sim.jobs import names, quantity
from kuscia_sim.state import object_names
from kuscia_sim.state.store import Invalid, Object, owner_reference
from kuscia_sim.transport.gojson import go_quote

# "accept" only for replaying jobs: HTTP/2 between domains is not carried even then.
GRPC_SWITCH = "KUSCIA_SIM_GRPC_PORTS"
PORT_RANGE = range(20000, 32768)
MAX_NAME = 63
HASH_LENGTH = 16


class EngineError(Exception):
    """The task cannot be converted into pods; str() becomes the task's message."""


@dataclasses.dataclass
class EnginePod:
    """One replica of a party's engine. ports: the template's entries with `port` filled in."""

    name: str
    index: int
    ports: list[dict[str, Any]]

    def service(self, port_name: str) -> str:
        return service_name(self.name, port_name)


@dataclasses.dataclass
class Party:
    """One party of a task with what it runs."""

    domain: str
    role: str
    image: str
    image_id: str
    template: dict[str, Any]
    config_templates: dict[str, str]
    resources: dict[str, Any]
    pods: list[EnginePod]

    @property
    def key(self) -> str:
        """Return the party's name in messages: `alice` or `alice-guest`."""
        return f"{self.domain}-{self.role}" if self.role else self.domain


def service_name(stem: str, port_name: str) -> str:
    """Return the name of the service behind a port (GenerateServiceName in Kuscia's pkg/utils/resources/service.go)."""
    stem, port_name = stem.strip("-"), port_name.strip("-")
    name = f"{stem}-{port_name}"
    if name[0].isdigit():
        name = f"svc-{name}"
    if len(name) <= MAX_NAME:
        return name
    left = MAX_NAME - HASH_LENGTH - len(port_name) - len("svc---")
    return f"svc-{stem[:left]}-{port_name}-{hashlib.sha256(name.encode()).hexdigest()[:HASH_LENGTH]}"


def unique_parties(task: Object) -> list[dict[str, Any]]:
    """Return the parties of the spec, one for each domain and role."""
    return list({(party["domainID"], party.get("role", "")): party for party in task["spec"]["parties"]}.values())


def build_parties(task: Object, app_images: dict[str, Object], used: dict[str, set[int]]) -> list[Party]:
    """Return the parties with their pods and free ports.

    Args:
        used: the ports in use by domain; the new ones are added.

    Raises:
        EngineError: an AppImage is missing, has no suitable template, or needs what the stand-in does not support.
    """
    parties = []
    for spec in unique_parties(task):
        try:
            parties.append(_build_party(task, spec, app_images, used))
        except EngineError as err:
            raise EngineError(f"failed to build domain {spec['domainID']} kit info, {err}") from err
    return parties


def _build_party(task: Object, spec: dict[str, Any], app_images: dict[str, Object], used: dict[str, set[int]]) -> Party:
    name, domain, role = spec["appImageRef"], spec["domainID"], spec.get("role", "")
    if name not in app_images:
        raise EngineError(f'failed to get appImage "{name}" from cache, appimage.kuscia.secretflow "{name}" not found')
    app_image = app_images[name]["spec"]
    templates = app_image.get("deployTemplates") or []
    template = select_template(templates, role)
    if template is None:
        reason = f"not found deploy template for role {go_quote(role)}" if templates else "deploy templates are empty"
        raise EngineError(
            f"failed to select appropriate deploy template from appImage {go_quote(name)} for party {domain}/{role}, "
            f"{reason}"
        )
    ports = _ports(name, template)
    replicas = template.get("replicas")
    stem = f"{task['metadata']['name']}-{role}" if role else task["metadata"]["name"]
    return Party(
        domain=domain,
        role=role,
        image=f"{app_image['image']['name']}:{app_image['image'].get('tag', '')}",
        image_id=app_image["image"].get("id", ""),
        template=template,
        config_templates=app_image.get("configTemplates") or {},
        resources=spec.get("resources") or {},
        pods=[
            EnginePod(f"{stem}-{index}", index, _allocate(ports, used.setdefault(domain, set())))
            for index in range(1 if replicas is None else int(replicas))
        ],
    )


def select_template(templates: list[dict[str, Any]], role: str) -> dict[str, Any] | None:
    """Return the first template with the role; else the last one without a role, which serves every role; else, for no
    role, the first one (SelectDeployTemplate in Kuscia's pkg/utils/resources).
    """
    general = None
    for template in templates:
        given = str(template.get("role") or "")
        if role in given.strip(",").split(","):
            return template
        if not given:
            general = template
    if general is None and not role and templates:
        return templates[0]
    return general


def _ports(app_image: str, template: dict[str, Any]) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = []
    for container in template["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port["name"] in (known["name"] for known in ports):
                where = f"{template['name']}/{template.get('role', '')}"
                raise EngineError(
                    f"failed to merge ports in deploy template '{where}', duplicate port \"{port['name']}\""
                )
            ports.append(
                {
                    "name": port["name"],
                    "port": int(port.get("port") or 0),
                    "scope": port.get("scope") or "Local",
                    "protocol": port.get("protocol") or "HTTP",
                }
            )
    grpc = [port["name"] for port in ports if port["protocol"] == "GRPC" and port["scope"] != "Local"]
    if grpc and os.environ.get(GRPC_SWITCH) != "accept":
        raise EngineError(
            f"the stand-in supports ports of protocol HTTP only, and appImage "
            f"{json.dumps(app_image)} has GRPC ports [{','.join(grpc)}]: "
            "declare them HTTP, or run the job with Kuscia's own image"
        )
    return ports


def _allocate(ports: list[dict[str, Any]], used: set[int]) -> list[dict[str, Any]]:
    allocated = []
    for port in ports:
        free = [number for number in PORT_RANGE if number not in used]
        if not free:
            raise EngineError("allocated ports are not enough")
        number = random.choice(free)
        used.add(number)
        allocated.append({**port, "port": number})
    return allocated


def cluster_define(parties: list[Party], party_index: int, pod_index: int) -> dict[str, Any]:
    """Return TASK_CLUSTER_DEFINE: the parties, their endpoints, and which of them the reader is."""
    return {
        "parties": [
            {
                "name": party.domain,
                "role": party.role,
                "services": [
                    {
                        "portName": port["name"],
                        "endpoints": [endpoint(party.domain, pod, port["name"]) for pod in party.pods],
                    }
                    for port in _serviced(party)
                ],
            }
            for party in parties
        ],
        "selfPartyIdx": party_index,
        "selfEndpointIdx": pod_index,
    }


def _serviced(party: Party) -> list[dict[str, Any]]:
    ports = party.pods[0].ports if party.pods else []
    return [port for port in ports if port["scope"] in ("Cluster", "Domain")]


def endpoint(domain: str, pod: EnginePod, port_name: str) -> str:
    """Return `<service>.<domain>.svc`, with the port if the scope is Domain (note 'job query poll 0')."""
    port = next(port for port in pod.ports if port["name"] == port_name)
    host = f"{pod.service(port_name)}.{domain}.svc"
    return f"{host}:{port['port']}" if port["scope"] == "Domain" else host


def template_variables(task: Object, parties: list[Party], party_index: int, pod: EnginePod) -> dict[str, str]:
    """Return the variables of the AppImage's configuration templates."""
    party = parties[party_index]
    return {
        "KUSCIA_DOMAIN_ID": party.domain,
        "TASK_ID": task["metadata"]["name"],
        "TASK_CLUSTER_DEFINE": _compact(cluster_define(parties, party_index, pod.index)),
        "ALLOCATED_PORTS": _compact({"ports": pod.ports}),
        "TASK_INPUT_CONFIG": task["spec"].get("taskInputConfig", ""),
    }


def config_maps(task: Object, parties: list[Party], domain: str) -> list[Object]:
    """Return the task's ConfigMaps in one domain: the templates and the variables of each pod."""
    name = task["metadata"]["name"]
    metadata = {
        "labels": {names.LABEL_CONTROLLER: "kusciatask", names.LABEL_TASK_UID: task["metadata"]["uid"]},
        "annotations": {
            names.ANNOTATION_INITIATOR: task["spec"]["initiator"],
            names.ANNOTATION_TASK_ID: name,
        },
        "ownerReferences": [owner_reference("KusciaTask", task)],
    }
    own = [(index, party) for index, party in enumerate(parties) if party.domain == domain]
    values = {
        pod.name: _compact(template_variables(task, parties, index, pod)) for index, party in own for pod in party.pods
    }
    maps = [{"metadata": {**metadata, "name": f"{name}-kuscia-gen-conf"}, "data": values}]
    if any(party.config_templates for _, party in own):
        templates = {key: text for _, party in own for key, text in party.config_templates.items()}
        maps.append({"metadata": {**metadata, "name": f"{name}-configtemplate"}, "data": templates})
    return maps


def pods(task: Object, parties: list[Party], party: Party) -> list[Object]:
    """Return the party's pods, not yet bound to a node.

    Raises:
        EngineError: a pod cannot be described, or the API server would reject it or one of its services.
    """
    made = []
    for pod in party.pods:
        described = _pod(task, parties, party, pod)
        _check_names(party, described)
        made.append(described)
    return made


def _check_names(party: Party, pod: Object) -> None:
    """Check names as Kuscia's createResourceForParty does (pkg/controllers/kusciatask/handler/pending_handler.go).

    Raises:
        EngineError: a name is invalid.
    """
    name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
    errors = object_names.object_name(name)
    for label in ("pod-identity", "pod-role"):
        errors += object_names.label_value(labels[names.PREFIX + label])
    _refuse(party, "pod", name, errors)
    for port in pod["ports"]:
        _refuse(party, "service", port["service"], object_names.service_name(port["service"]))


def _refuse(party: Party, kind: str, name: str, errors: list[str]) -> None:
    try:
        object_names.refuse_invalid(kind.capitalize(), name, errors)
    except Invalid as err:
        raise EngineError(
            f"failed to create resource for party '{party.domain}/{party.role}', "
            f"failed to submit {kind} {go_quote(name)}, {err}"
        ) from err


def _pod(task: Object, parties: list[Party], party: Party, pod: EnginePod) -> Object:
    metadata = task["metadata"]
    uid = metadata["uid"]
    identity = "-".join(filter(None, [uid, party.role, str(pod.index)]))
    annotations = {
        names.ANNOTATION_INITIATOR: task["spec"]["initiator"],
        names.ANNOTATION_TASK_ID: metadata["name"],
        names.PREFIX + "task-resource-group": metadata["name"],
    }
    if party.image_id:
        annotations[names.PREFIX + "image-id"] = party.image_id
    annotations |= _metric_annotations(party, pod)
    containers = [_container(party, pod, template) for template in party.template["spec"]["containers"]]
    spec: dict[str, Any] = {
        "restartPolicy": party.template["spec"].get("restartPolicy") or "Never",
        "tolerations": [{"key": "kuscia.secretflow/agent", "operator": "Exists", "effect": "NoSchedule"}],
        "nodeSelector": {names.LABEL_NAMESPACE: party.domain},
        "schedulerName": "kuscia-scheduler",
        "automountServiceAccountToken": False,
        "containers": containers,
    }
    if any(mount["name"] == names.CONFIG_TEMPLATE_VOLUME for item in containers for mount in item["volumeMounts"]):
        annotations[names.ANNOTATION_TEMPLATE_VOLUMES] = names.CONFIG_TEMPLATE_VOLUME
        annotations[names.ANNOTATION_GEN_CONF] = f"{metadata['name']}-kuscia-gen-conf"
        spec["volumes"] = [
            {
                "name": names.CONFIG_TEMPLATE_VOLUME,
                "configMap": {"name": f"{metadata['name']}-configtemplate"},
            }
        ]
    annotations[names.ANNOTATION_ACCESS_DOMAINS] = ",".join(sorted({other.domain for other in parties}))
    return {
        "metadata": {
            "name": pod.name,
            "labels": {
                names.LABEL_CONTROLLER: "kusciatask",
                names.PREFIX + "communication-role-client": "true",
                names.PREFIX + "communication-role-server": "true",
                names.PREFIX + "pod-identity": identity,
                names.PREFIX + "pod-role": party.role,
                names.LABEL_TASK_UID: uid,
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference("KusciaTask", task)],
        },
        "spec": spec,
        "status": {"phase": names.PENDING},
        # Scope and protocol of the pod's ports, which a Pod has no fields for.
        "ports": [
            {**port, "service": pod.service(port["name"])}
            for port in pod.ports
            if port["scope"] in ("Cluster", "Domain")
        ],
    }


def _metric_annotations(party: Party, pod: EnginePod) -> dict[str, str]:
    """Return where the engine's metrics are (Kuscia facts 13.2); of several containers with metrics the last one
    counts.
    """
    found: dict[str, str] = {}
    numbers = {port["name"]: port["port"] for port in pod.ports}
    for container in party.template["spec"]["containers"]:
        probe = container.get("metricProbe") or {}
        path, port = probe.get("path"), probe.get("port")
        if not path or not port:
            continue
        if port not in numbers:
            raise EngineError(
                f"failed to create resource for party '{party.domain}/{party.role}', failed to generate pod "
                f"{go_quote(pod.name)} spec, metric port name {port} not found for pod {pod.name}"
            )
        values = {"should_be_scraped": "true", "metric_path": path, "metric_port": str(numbers[port])}
        found |= {names.PREFIX + name: value for name, value in values.items()}
    return found


def _container(party: Party, pod: EnginePod, template: dict[str, Any]) -> dict[str, Any]:
    numbers = {port["name"]: port["port"] for port in pod.ports}
    own_ports = [(port["name"], numbers[port["name"]]) for port in template.get("ports") or []]
    env = [dict(entry) for entry in template.get("env") or []]
    env += [
        {"name": f"KUSCIA_PORT_{name}_NUMBER".upper().replace("-", "_"), "value": str(number)}
        for name, number in numbers.items()
    ]
    container: dict[str, Any] = {
        "name": template["name"],
        "image": party.image,
        "imagePullPolicy": template.get("imagePullPolicy") or "IfNotPresent",
        "env": env,
        "ports": [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in own_ports],
        "resources": _resources(party, template),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {
                "name": names.CONFIG_TEMPLATE_VOLUME,
                "mountPath": mount["mountPath"],
                **({"subPath": mount["subPath"]} if mount.get("subPath") else {}),
            }
            for mount in (template.get("configVolumeMounts") or [] if party.config_templates else [])
        ],
    }
    for key in (
        "command",
        "args",
        "workingDir",
        "envFrom",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "securityContext",
    ):
        if template.get(key):
            container[key] = template[key]
    return container


def _resources(party: Party, template: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the template's resources; those in the job replace them, shared by the containers."""
    given = template.get("resources") or {}
    merged = {
        kind: {key: str(value) for key, value in (given.get(kind) or {}).items()} for kind in ("limits", "requests")
    }
    parts = len(party.template["spec"]["containers"]) * max(1, len(party.pods))
    for kind in ("limits", "requests"):
        for key, value in (party.resources.get(kind) or {}).items():
            merged[kind][key] = quantity.share(str(value), parts)
    return {kind: values for kind, values in merged.items() if values}


def requested(party: Party) -> dict[str, Decimal]:
    """Return CPU (cores) and memory (bytes) that one pod of the party requests; a limit alone is not a request here."""
    total = {"cpu": Decimal(0), "memory": Decimal(0)}
    for template in party.template["spec"]["containers"]:
        requests = _resources(party, template).get("requests", {})
        for key in total.keys() & requests.keys():
            total[key] += quantity.parse(requests[key])
    return total


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
