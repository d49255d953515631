"""Engine namespace: the namespace where RunK runs engine pods.

RunK names engine pods after their task only. Those of two lites in one namespace would collide, and one lite would
adopt the pods of the other (Kuscia facts 0.17). A ConfigMap in the namespace therefore names the lite that owns it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.config.engines import Engines
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import logger, warn
from kuscia_hooks.core.text import first_of, printable, quoted

MARKER = "kuscia-engines"
MARKER_LABELS = {
    "app.kubernetes.io/name": "kuscia",
    "app.kubernetes.io/part-of": "kuscia",
    "app.kubernetes.io/managed-by": "kuscia-hooks",
}
DOMAIN_LABEL = "kuscia.secretflow/namespace"
"""Label of engine pods and their ConfigMaps and Secrets: the domain ID (recordings/runk-task-pod.yaml)."""
ACCOUNT = "default"
"""ServiceAccount of engine pods; Kuscia cannot use a different one."""
VERBS = ("get", "list", "watch", "create", "delete")
"""Permissions of RunK on `RESOURCES` (Kuscia facts 4)."""
RIGHTS_SECONDS = 10.0
"""Pause between two checks of the permissions, each of which takes one request per permission."""
RESOURCES = ("pods", "configmaps", "secrets")
LOGS = "pods/log"
"""The additional resource that RunK reads if it stores engine logs."""


@dataclass(frozen=True)
class Pod:
    """A pod. `prepared` is when its init container `prepare` ended; None if that is not known, or it runs."""

    name: str
    labels: dict[str, str]
    prepared: datetime | None

    @classmethod
    def of(cls, item: dict[str, Any]) -> "Pod":
        """Return the pod of a JSON object of the API server."""
        metadata = item["metadata"]
        states = [
            status.get("state") or {}
            for status in item["status"].get("initContainerStatuses") or []
            if status["name"] == "prepare"
        ]
        # The time is null if the node was lost.
        times = [(state.get("terminated") or {}).get("finishedAt") for state in states]
        ended = [datetime.fromisoformat(time) for time in times if time]
        return cls(metadata["name"], metadata.get("labels") or {}, ended[0] if ended else None)


def reach(engines: Engines, namespace: str, kube: Kube) -> tuple[Kube, str | None]:
    """Return a client for the cluster where engines run, and the kubeconfig if that is a different cluster.

    Raises:
        RetryableError: the Secret is missing, or its value is not a self-contained kubeconfig (`invalid-kubeconfig`).
    """
    secret = engines.kubeconfig_secret
    if secret is None:
        return kube, None
    text = kube.secret_text(namespace, secret.name, secret.key)
    see = f"kubectl describe secret {quoted(secret.name)} -n {quoted(namespace)}"
    try:
        return Kube.of_kubeconfig(text, see), text
    except ValueError as error:
        raise RetryableError(
            "invalid-kubeconfig",
            f"Secret {namespace}/{secret.name}: the value under key {secret.key} is not a valid kubeconfig for engine "
            f"pods: {printable(error)}",
            fix="replace it with a self-contained kubeconfig (kubectl config view --flatten --minify --raw)",
            see=see,
        ) from error


def check_rights(engines: Engines, keeps_logs: bool, where: Kube) -> None:
    """Check all permissions that Kuscia needs in the engine namespace. Kuscia itself would wait without a message.

    Raises:
        RetryableError: `runk-forbidden`; the message lists all missing permissions.
    """
    needed = [(resource, verb) for resource in RESOURCES for verb in VERBS] + [(LOGS, "get")] * keeps_logs
    missing: dict[str, list[str]] = {}
    for resource, verb in needed:
        if not where.may(verb, resource, engines.namespace):
            missing.setdefault(resource, []).append(verb)
    if not missing:
        return
    listed = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in missing.items())
    if engines.kubeconfig_secret is None:
        user = "the ServiceAccount of this lite"
        role = f"{engines.lite.rpartition('/')[2]}-runk"
        fix = f"upgrade this release, which creates Role and RoleBinding {role}"
        see = f"kubectl describe roles,rolebindings -n {quoted(engines.namespace)}"
    else:
        user = "the user of the kubeconfig"
        role, logs = role_commands(engines.namespace)
        commands = [role] * bool(missing.keys() - {LOGS}) + [logs] * (LOGS in missing)
        # The Role may exist with fewer permissions.
        fix = " && ".join(f"{command} --dry-run=client -o yaml | kubectl apply -f -" for command in commands)
        see = f"kubectl auth can-i --list -n {quoted(engines.namespace)}   # with the kubeconfig"
    raise RetryableError(
        "runk-forbidden",
        f"permission denied in engine namespace {engines.namespace}: {user} cannot {listed}",
        fix=fix,
        see=see,
        retry_after=RIGHTS_SECONDS,
    )


def role_commands(namespace: str) -> tuple[str, str]:
    """Return the commands that create the Roles for the user of a kubeconfig; the second is for logs.

    docs/variants.md has the same commands.
    """
    create = f"kubectl -n {quoted(namespace)} create role"
    return (
        f"{create} kuscia --resource={','.join(RESOURCES)} --verb={','.join(VERBS)}",
        f"{create} kuscia-logs --resource={LOGS} --verb=get",
    )


def claim(engines: Engines, domain_id: str, where: Kube) -> None:
    """Check that the namespace belongs to this lite.

    With a kubeconfig, the first lite creates the ConfigMap; otherwise the ConfigMap is part of the release.

    Raises:
        RetryableError: `engine-namespace-taken` or `engine-marker-not-found`.
    """
    owner = {"domain": domain_id, "lite": engines.lite}
    found = where.configmap(engines.namespace, MARKER)
    see = f"kubectl get configmap {MARKER} -n {quoted(engines.namespace)} -o yaml"
    if found is None and engines.kubeconfig_secret is None:
        raise RetryableError(
            "engine-marker-not-found",
            f"ConfigMap {engines.namespace}/{MARKER} of this release not found",
            fix="upgrade this release, which creates it",
            see=see,
        )
    if found is None:
        try:
            where.create_configmap(engines.namespace, MARKER, owner, MARKER_LABELS)
        except Conflict:
            found = where.configmap(engines.namespace, MARKER)
    if found is not None and found != owner:
        taken = printable(f"domain {found.get('domain')} ({found.get('lite')})")
        raise RetryableError(
            "engine-namespace-taken",
            f"namespace {engines.namespace} belongs to the engines of {taken}; every lite requires a separate engine "
            "namespace",
            fix="set lite.runk.namespace to a different namespace. If that lite was removed, run: "
            f"kubectl -n {quoted(engines.namespace)} delete configmap {MARKER}",
            see=see,
        )


def pods(engines: Engines, where: Kube) -> list[Pod]:
    """Return all engine pods in the engine namespace, of any domain."""
    return _pods(where, engines.namespace, DOMAIN_LABEL)


def _pods(where: Kube, namespace: str, selector: str) -> list[Pod]:
    return [Pod.of(item) for item in where.pods(namespace, selector)]


def foreign(found: Iterable[Pod], domain_id: str) -> dict[str, list[str]]:
    """Return the names of engine pods of other domains, by domain: orphans of a previous lite."""
    left: dict[str, list[str]] = {}
    for pod in found:
        domain = pod.labels[DOMAIN_LABEL]
        if domain != domain_id:
            left.setdefault(domain, []).append(pod.name)
    return left


def removal(namespace: str, domain: str) -> str:
    """Return the command that deletes the engine pods of a domain, with their ConfigMaps and Secrets."""
    return f"kubectl -n {quoted(namespace)} delete pods,configmaps,secrets -l {quoted(f'{DOMAIN_LABEL}={domain}')}"


def report_left_behind(engines: Engines, domain_id: str, where: Kube) -> None:
    """Log the engine pods that exist before this lite starts. They do not prevent the start."""
    found = pods(engines, where)
    own = [pod.name for pod in found if pod.labels[DOMAIN_LABEL] == domain_id]
    if own:
        logger.info(
            "engine pods of a previous start of this lite in %s: %s. Kuscia adopts those whose task is still running "
            "and deletes the others; their ConfigMaps and Secrets may remain. To delete all while no job runs: %s",
            engines.namespace, first_of(sorted(own)), removal(engines.namespace, domain_id),
        )  # fmt: skip
    orphans = foreign(found, domain_id)
    if orphans:
        warn(_orphaned(engines.namespace, orphans))


def _orphaned(namespace: str, orphans: dict[str, list[str]]) -> RetryableError:
    listed = "; ".join(f"{domain}: {first_of(sorted(names))}" for domain, names in orphans.items())
    return RetryableError(
        "engine-pods-orphaned",
        f"engine pods of other domains in {namespace}: {listed}",
        fix=" && ".join(removal(namespace, domain) for domain in orphans),
    )


def check_pods(engines: Engines, domain_id: str, where: Kube) -> str:
    """Check (`check` step) the owner of the namespace, and that it has no engine pods of other domains.

    Returns:
        The result as a sentence.

    Raises:
        RetryableError: as `claim`, or `engine-pods-orphaned`.
    """
    claim(engines, domain_id, where)
    found = pods(engines, where)
    orphans = foreign(found, domain_id)
    if orphans:
        raise _orphaned(engines.namespace, orphans)
    return f"namespace {engines.namespace} is used by this lite only ({len(found)} engine pods)"


def check_pull_secrets(engines: Engines, wanted: list[str], where: Kube) -> str:
    """Check (`check` step) that the ServiceAccount of engine pods has the imagePullSecrets.

    Returns:
        The result as a sentence.

    Raises:
        RetryableError: `service-account-not-found` or `pull-secrets-missing`.
    """
    present = where.account_pull_secrets(engines.namespace, ACCOUNT)
    missing = [name for name in wanted if name not in present]
    if missing:
        raise RetryableError(
            "pull-secrets-missing",
            f"ServiceAccount {engines.namespace}/{ACCOUNT} does not have imagePullSecrets {', '.join(missing)}. Engine "
            "pods cannot pull from a private registry, because Kuscia sets no imagePullSecrets on them",
            fix=patch_command(engines.namespace, wanted),
        )
    return f"ServiceAccount {engines.namespace}/{ACCOUNT} has {', '.join(wanted)}"


def patch_command(namespace: str, names: list[str]) -> str:
    """Return the command that adds imagePullSecrets to the ServiceAccount of engine pods. Existing ones are kept."""
    patch = json.dumps({"imagePullSecrets": [{"name": name} for name in names]}, separators=(",", ":"))
    return f"kubectl -n {quoted(namespace)} patch serviceaccount {ACCOUNT} -p {quoted(patch)}"


def check_dns(service: str, namespace: str, lite: str, kube: Kube) -> str:
    """Check (`check` step) that the DNS Service of engines was not recreated since the lite started.

    `prepare` writes the address of the Service to kuscia.yaml. The address of a Service never changes, so a Service
    that is newer than the last start has a different address.

    Returns:
        The result as a sentence.

    Raises:
        RetryableError: `service-not-found` or `dns-service-recreated`.
    """
    created = kube.service_created(namespace, service)
    selector = "app.kubernetes.io/component=lite"
    starts = [pod.prepared for pod in _pods(kube, namespace, selector) if pod.name.startswith(f"{lite}-")]
    for prepared in starts:
        if prepared is not None and created > prepared:
            raise RetryableError(
                "dns-service-recreated",
                f"Service {namespace}/{service} was recreated at {created:%H:%M:%S}, after the lite started; engines "
                "still use the old address for DNS",
                fix=f"kubectl -n {quoted(namespace)} rollout restart {quoted(f'deployment/{lite}')}",
            )
    return f"engines use Service {service} for DNS, which is older than the last start of the lite"
