"""The namespace where RunK runs engines: whose it is, and what is in it.

RunK names an engine's pod after its task alone, so those of two lites in one namespace would collide, and one would
take the other's for its own (Kuscia facts 0.17). A ConfigMap there says whose the namespace is.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.config import Engines
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import logger

MARKER = "kuscia-engines"
MARKER_LABELS = {
    "app.kubernetes.io/name": "kuscia",
    "app.kubernetes.io/part-of": "kuscia",
    "app.kubernetes.io/managed-by": "kuscia-hooks",
}
DOMAIN_LABEL = "kuscia.secretflow/namespace"
"""On every engine pod, with its ConfigMap and Secret: the domain it works for (recordings/runk-task-pod.yaml)."""
ACCOUNT = "default"
"""The ServiceAccount of engine pods, which Kuscia gives no choice of."""
VERBS = ("get", "list", "watch", "create", "delete")
"""What RunK does to `RESOURCES` (Kuscia facts, chapter 4)."""
RESOURCES = ("pods", "configmaps", "secrets")
LOGS = "pods/log"
"""What it gets besides where it keeps logs of engines."""
SHOWN = 10


@dataclass(frozen=True)
class Pod:
    """What is looked at of a pod; `prepared` is when its init container `prepare` ended, None while it runs."""

    name: str
    labels: dict[str, str]
    prepared: datetime | None

    @classmethod
    def of(cls, item: dict[str, Any]) -> "Pod":
        """From the API server's JSON."""
        metadata = item["metadata"]
        ended = [
            datetime.fromisoformat(status["state"]["terminated"]["finishedAt"])
            for status in item["status"].get("initContainerStatuses") or []
            if status["name"] == "prepare" and "terminated" in status["state"]
        ]
        return cls(metadata["name"], metadata.get("labels") or {}, ended[0] if ended else None)


def reach(engines: Engines, namespace: str, kube: Kube) -> tuple[Kube, str | None]:
    """The cluster where engines run: this one, or that of the kubeconfig, which is returned too.

    Raises:
        RetryableError: the Secret is missing, or what it holds is no kubeconfig that works in Kuscia's container.
    """
    secret = engines.kubeconfig_secret
    if secret is None:
        return kube, None
    text = kube.secret_text(namespace, secret.name, secret.key)
    look = f"kubectl describe secret {secret.name} -n {namespace}"
    try:
        return Kube.of_kubeconfig(text, look), text
    except ValueError as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{secret.key} of Secret {namespace}/{secret.name} is no kubeconfig for engine pods: {error}",
            see=look,
        ) from error


def check_rights(engines: Engines, keeps_logs: bool, where: Kube) -> None:
    """Make sure that Kuscia may do there all that it will. Kuscia itself would wait without a word.

    Raises:
        RetryableError: it may not; the message lists all that lacks.
    """
    wanted = [(resource, verb) for resource in RESOURCES for verb in VERBS] + [(LOGS, "get")] * keeps_logs
    lacking: dict[str, list[str]] = {}
    for resource, verb in wanted:
        if not where.may(verb, resource, engines.namespace):
            lacking.setdefault(resource, []).append(verb)
    if not lacking:
        return
    listed = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in lacking.items())
    refused = f"the API server refuses what RunK does in {engines.namespace}:"
    if engines.kubeconfig_secret is None:
        role = f"{engines.lite.rpartition('/')[2]}-runk"
        raise RetryableError(
            "unclassified-retryable",
            f"{refused} this lite's ServiceAccount may not {listed}. Expected are Role and RoleBinding {role} of this "
            "release",
            see=f"kubectl describe roles,rolebindings -n {engines.namespace}",
        )
    role, logs = role_commands(engines.namespace)
    lacks = [role] * bool(lacking.keys() - {LOGS}) + [logs] * (LOGS in lacking)
    raise RetryableError(
        "unclassified-retryable",
        f"{refused} the user of the kubeconfig may not {listed}. Expected is a Role there with all that, bound to it",
        # A Role of that name may be there, and lack something.
        see=" && ".join(f"{command} --dry-run=client -o yaml | kubectl apply -f -" for command in lacks),
    )


def role_commands(namespace: str) -> tuple[str, str]:
    """What makes the Roles for a kubeconfig's user, the second of them for logs (docs/variants.md)."""
    create = f"kubectl -n {namespace} create role"
    return (
        f"{create} kuscia --resource={','.join(RESOURCES)} --verb={','.join(VERBS)}",
        f"{create} kuscia-logs --resource={LOGS} --verb=get",
    )


def claim(engines: Engines, domain_id: str, where: Kube) -> None:
    """Make sure that the namespace is this lite's. With a kubeconfig the first to come takes it; elsewhere the
    release holds the ConfigMap.

    Raises:
        RetryableError: it is another lite's, or the ConfigMap is not there yet.
    """
    mine = {"domain": domain_id, "lite": engines.lite}
    found = where.configmap(engines.namespace, MARKER)
    show = f"kubectl get configmap {MARKER} -n {engines.namespace} -o yaml"
    if found is None and engines.kubeconfig_secret is None:
        raise RetryableError(
            "unclassified-retryable", f"ConfigMap {engines.namespace}/{MARKER} of this release does not exist", see=show
        )
    if found is None:
        try:
            where.create_configmap(engines.namespace, MARKER, mine, MARKER_LABELS)
        except Conflict:
            found = where.configmap(engines.namespace, MARKER)
    if found is not None and found != mine:
        raise RetryableError(
            "unclassified-retryable",
            f"namespace {engines.namespace} holds the engines of domain {found.get('domain')} "
            f"({found.get('lite')}); every lite needs one of its own, as lite.runk.namespace. If that lite is gone "
            f"for good: kubectl -n {engines.namespace} delete configmap {MARKER}",
            see=show,
        )


def pods(engines: Engines, where: Kube) -> list[Pod]:
    """Every engine pod there, of whatever domain."""
    return _pods(where, engines.namespace, DOMAIN_LABEL)


def _pods(where: Kube, namespace: str, selector: str) -> list[Pod]:
    return [Pod.of(item) for item in where.pods(namespace, selector)]


def foreign(found: Iterable[Pod], domain_id: str) -> dict[str, list[str]]:
    """Pods by domain, of domains other than this one: left behind by a lite that used the namespace before."""
    left: dict[str, list[str]] = {}
    for pod in found:
        domain = pod.labels[DOMAIN_LABEL]
        if domain != domain_id:
            left.setdefault(domain, []).append(pod.name)
    return left


def removal(namespace: str, domain: str) -> str:
    """The command that removes a domain's engines with all that was made for them."""
    return f"kubectl -n {namespace} delete pods,configmaps,secrets -l {DOMAIN_LABEL}={domain}"


def report_left_behind(engines: Engines, domain_id: str, where: Kube) -> None:
    """Say which engine pods are there before this lite starts; none of them keeps it from starting."""
    found = pods(engines, where)
    own = [pod.name for pod in found if pod.labels[DOMAIN_LABEL] == domain_id]
    if own:
        logger.info(
            "engine pods of an earlier start of this lite run in %s: %s. Kuscia takes back those whose task goes on "
            "and deletes the others; their ConfigMaps and Secrets may stay. To remove all, while no job runs: %s",
            engines.namespace, shown(own), removal(engines.namespace, domain_id),
        )  # fmt: skip
    for domain, names in foreign(found, domain_id).items():
        logger.warning(
            "engine pods of domain %s were left behind in %s: %s. Nobody looks after them: %s",
            domain, engines.namespace, shown(names), removal(engines.namespace, domain),
        )  # fmt: skip


def check_pods(engines: Engines, domain_id: str, where: Kube) -> str:
    """`check`: whose the namespace is, and that no other domain's engines are in it. Raises RetryableError."""
    claim(engines, domain_id, where)
    found = pods(engines, where)
    left = foreign(found, domain_id)
    if left:
        named = "; ".join(f"{domain}: {shown(names)}" for domain, names in left.items())
        raise RetryableError(
            "unclassified-retryable",
            f"engine pods of other domains were left behind in {engines.namespace}: {named}",
            see=" && ".join(removal(engines.namespace, domain) for domain in left),
        )
    return f"namespace {engines.namespace} is this lite's alone, {len(found)} engine pods in it"


def check_pull_secrets(engines: Engines, wanted: list[str], where: Kube) -> str:
    """`check`: engine pods get their pull secrets from their ServiceAccount. Raises RetryableError."""
    present = where.account_pull_secrets(engines.namespace, ACCOUNT)
    lacking = [name for name in wanted if name not in present]
    if lacking:
        raise RetryableError(
            "unclassified-retryable",
            f"ServiceAccount {engines.namespace}/{ACCOUNT} does not carry imagePullSecrets {', '.join(lacking)}, so "
            "engine pods cannot pull from a registry that asks for them (Kuscia itself sets none)",
            see=patch_command(engines.namespace, wanted),
        )
    return f"ServiceAccount {engines.namespace}/{ACCOUNT} carries {', '.join(wanted)}"


def patch_command(namespace: str, names: list[str]) -> str:
    """The command that adds pull secrets to the ServiceAccount of engine pods; what it has it keeps."""
    entries = ",".join(f'{{"name":"{name}"}}' for name in names)
    patch = shlex.quote(f'{{"imagePullSecrets":[{entries}]}}')
    return f"kubectl -n {namespace} patch serviceaccount {ACCOUNT} -p {patch}"


def check_dns(service: str, namespace: str, lite: str, kube: Kube) -> str:
    """`check`: the Service whose address `prepare` gave to Kuscia for engines is still the one. Raises RetryableError.

    An address does not change in a Service's life, so a Service younger than that start is another one.
    """
    created = kube.service_created(namespace, service)
    selector = "app.kubernetes.io/component=lite"
    starts = [pod.prepared for pod in _pods(kube, namespace, selector) if pod.name.startswith(f"{lite}-")]
    for prepared in starts:
        if prepared is not None and created > prepared:
            raise RetryableError(
                "unclassified-retryable",
                f"Service {service} was made anew at {created:%H:%M:%S}, after the lite had started: its engines still "
                "ask the old address for names",
                see=f"kubectl -n {namespace} rollout restart deployment/{lite}",
            )
    return f"engines ask Service {service}, which is older than the lite's last start"


def shown(names: list[str]) -> str:
    """The first of many names."""
    return ", ".join(sorted(names)[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
