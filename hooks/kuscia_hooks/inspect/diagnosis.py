"""The known causes of failure, and what mends each (Kuscia facts 12.6 and the recorded start-ups).

Pure: evidence in, findings out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kuscia_hooks.core.config import Database, Doctor
from kuscia_hooks.inspect.snapshot import Container, Evidence, Pod

UPGRADE = "helm upgrade {release} ./charts/kuscia -n {namespace} --reuse-values"
MASTER_UPGRADE = "helm upgrade <the master's release> ./charts/kuscia -n <the master's namespace> --reuse-values"
RESTART = "kubectl rollout restart deployment/{fullname} -n {namespace}"
FIREWALL = (
    "curl -kv --max-time 5 {endpoint}/   # from a pod here; then open firewall, whitelist or NetworkPolicy on the way"
)


@dataclass(frozen=True)
class Finding:
    """One cause.

    Args:
        name: of the cause, for tests and for those who search.
        cause: what is wrong, for a person.
        cure: the command that mends it, or shows what has to be mended.
        seen: where, and the line that decides.
    """

    name: str
    cause: str
    cure: str
    seen: str


@dataclass(frozen=True)
class Known:
    """A cause that a text gives away; its groups, and the release's names, may stand in cause and cure."""

    name: str
    pattern: str
    cause: str
    cure: str


_REKEY = (
    "{master_upgrade} --set master.domains.{domain}.allowRekey=true   # or restore the old key into Secret "
    "{namespace}/{key_secret}"
)
_CONFIG = "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # then mend the values, and: {upgrade}"
_KEY = (
    "kubectl get secret {key_secret} -n {namespace} -o jsonpath='{{.data}}' | head -c 200   # one RSA key in PEM; mend "
    "it, then: {restart}"
)

# What Kuscia prints before it gives up. The first that fits decides, so the particular ones come first.
KUSCIA: tuple[Known, ...] = (
    Known("bad-mode", r"not support run mode: (?P<value>\S*)", "kuscia.yaml has the unknown mode {value}", _CONFIG),
    Known("no-domain-id", r"kuscia config domain should not be empty", "kuscia.yaml has no domainID", _CONFIG),
    Known("reserved-id", r"Domain id can't be 'master'", "the domain ID master is reserved by Kuscia", _CONFIG),
    Known(
        "bad-protocol",
        r"protocol: ?(?P<value>\S*) is unsupported",
        "kuscia.yaml has the unknown protocol {value!r}; it is TLS, NOTLS, MTLS or absent",
        _CONFIG,
    ),
    Known(
        "bad-key",
        # A master's, then a lite's, which says it before it has a log.
        r"Decoded keyData error|load key (data |file )?failed|illegal base64 data|can't parse key|"
        r"Domain key data is empty|Load domain key file error|Decode domain key data error|init key failed",
        "the domain key is not one that Kuscia can read",
        _KEY,
    ),
    Known(
        "runc-unprivileged",
        r"Runc must run with privileged mode",
        "runtime runc needs a privileged container, and this one is not",
        "{upgrade} --set lite.runtime=runk   # or --set lite.runc.privileged=true, which gives it the node",
    ),
    Known(
        "no-eth0",
        r"host IP unknown|[Ff]ailed to get host [Ii][Pp]",
        "the pod has no interface named eth0, which Kuscia insists on: hostNetwork, Multus or a renamed interface",
        "kubectl get pod {pod} -n {namespace} -o yaml   # take hostNetwork and network annotations away",
    ),
    Known(
        "database-login",
        r"(Error 1045[^\n]*|password authentication failed[^\n]*|SQLSTATE 28[^\n]*)",
        "the database refuses user and password",
        "kubectl edit secret {db_secret} -n {namespace}   # the password of {db_user}, base64; then: {restart}",
    ),
    Known(
        "no-database",
        r"Error 1049[^\n]*Unknown database '(?P<value>[^']*)'|database \"(?P<other>[^\"]*)\" does not exist",
        "the database server has no such database",
        "CREATE DATABASE {db_name}   # on {db_host}, by its administrator; Kuscia never makes one",
    ),
    Known(
        "too-many-connections",
        r"Error 1040|Too many connections|too many clients already",
        "the database server takes no more connections",
        "SET GLOBAL max_connections = 1000   # on {db_host}, and in its configuration file",
    ),
    Known(
        "bad-datastore-address",
        r"Driver Name is '[^']*' Not supported|datastore ?endpoint[^\n]*expected format|missing the slash",
        "the datastore's address is none that Kuscia takes",
        _CONFIG,
    ),
    Known(
        "database-unreachable",
        r"ping datastore endpoint error[^\n]*(connection refused|no such host|i/o timeout|deadline exceeded|no route)",
        "the database server is not reached",
        "kubectl get endpoints -A | grep {db_host}   # is it up, and does a NetworkPolicy let {namespace} in?",
    ),
    Known(
        "database-other",
        r"ping datastore endpoint error: (?P<value>[^\n]*)",
        "the database does not take Kuscia: {value}",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} --previous",
    ),
    Known(
        "state-of-another-domain",
        # Of a K3s that Kuscia supervises, and of earlier versions. It is interrupted whenever another module fails,
        # and what ends itself has another status than that.
        r"encrypted with different token|etc/kubeconfig: no such file or directory|"
        r"process \[k3s\]\[\d+\] only existed[^\n]*with error: exit status",
        "the state belongs to another domain ID or clusterToken, or its table can neither be found nor made",
        "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # give back the former domainId and "
        "clusterToken, or a database of its own",
    ),
    Known(
        "k3s-not-ready",
        r"\[Module\] k3s wait ready failed",
        "K3s was not ready in 30 s: the database or the volume is slow, or the state belongs to another domain ID or "
        "clusterToken",
        "kubectl exec deploy/{fullname} -n {namespace} -c {node} -- tail -n 50 var/logs/k3s.log   # its words; then: "
        "{restart}",
    ),
    Known(
        "wrong-scheme",
        r"\[PROBE\] failed[^\n]*(?P<endpoint>https://\S+?)[,:]? [^\n]*server gave HTTP response to HTTPS client",
        "the master speaks http, and {endpoint} says https",
        "{upgrade} --set lite.master.endpoint=http{tail}",
    ),
    Known(
        "wrong-scheme",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http://[^\s,]+)[^\n]*(malformed HTTP|EOF|connection reset|400)",
        "the master speaks https, and {endpoint} says http",
        "{upgrade} --set lite.master.endpoint=https{tail}",
    ),
    Known(
        "no-such-host",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*no such host",
        "the master's host name does not resolve: {endpoint}. Inside a cluster it is a full name (…svc.cluster.local)",
        "{upgrade} --set lite.master.endpoint=https://<service>.<namespace>.svc.cluster.local:1080",
    ),
    Known(
        "master-down",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*connection refused",
        "nothing listens at the master's address {endpoint}",
        "kubectl get pods,endpoints -n <the master's namespace>   # kubectl kuscia doctor there",
    ),
    Known(
        "master-unreachable",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*(i/o timeout|deadline exceeded|no route)",
        "the way to the master's address {endpoint} is closed",
        FIREWALL,
    ),
    Known(
        "not-a-gateway",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)",
        "something else than a Kuscia gateway answers at {endpoint}: a proxy, a login page, another Service",
        "curl -kv {endpoint}/   # has to answer 401 with a kuscia-error-message header; mend what is in front",
    ),
    Known(
        "unknown-domain",
        r"domain \[(?P<value>[^\]]+)\] not found",
        "the master does not know domain {value}: it was never admitted, or the master lost its state",
        "{master_upgrade} --set master.domains.{value}.endpoint={gateway}",
    ),
    Known(
        "token-used",
        r"deploy token found but used",
        "the deploy token was used already, and this key is another than the one it was used with",
        _REKEY,
    ),
    Known(
        "token-wrong",
        r"deploy token not found|token not found in cert request",
        "the deploy token is not the domain's unused one, and the master does not know this key",
        _REKEY,
    ),
    Known(
        "token-pending",
        r"deploytokenstatus of domain is empty",
        "the master has made no deploy token for this domain yet",
        "kubectl get pods -n <the master's namespace>   # kubectl kuscia doctor there, if this lasts a minute",
    ),
    Known(
        "certificate-of-another",
        r"verify csr failed|csr subject common name must be",
        "the domain ID in the certificate request is not this domain's",
        _CONFIG,
    ),
    Known(
        "node-name-taken",
        r"duplicate node name with other domain",
        "another domain has a pod of the same name, and the master keeps nodes by pod name",
        "{upgrade} --set lite.domainId=<another ID>   # or install it under another release name",
    ),
    Known(
        "no-capacity",
        r"capacity config is empty",
        "RunK needs capacity: cpu, memory and storage",
        "{upgrade} --set lite.capacity.cpu=4,lite.capacity.memory=8Gi,lite.capacity.storage=100Gi",
    ),
    Known(
        "no-service-account",
        r"failed to get in cluster config",
        "RunK has no ServiceAccount token to make engine pods with",
        "kubectl get deployment {fullname} -n {namespace} -o yaml | grep -n -A3 serviceAccount",
    ),
    Known(
        "runk-forbidden",
        r"(pods|configmaps|secrets)[^\n]* is forbidden",
        "RunK may not make engine pods in {engines}: the Role or its binding is missing there",
        "{upgrade}   # makes Role and RoleBinding {fullname}-runk in {engines}",
    ),
    Known(
        "bad-runtime",
        r"unknown runtime",
        "lite.runtime is none of runk, runp, runc",
        "{upgrade} --set lite.runtime=runk",
    ),
    Known(
        "inotify",
        r"failed to create fsnotify watcher: too many open files",
        "the node has too few inotify instances",
        "sysctl -w fs.inotify.max_user_instances=8192   # on the node, and in /etc/sysctl.d",
    ),
    Known(
        "handshake-times-out",
        r"controller/handshake\.go[^\n]*Client\.Timeout exceeded|handshake\.go[^\n]*context deadline exceeded",
        "the master took the registration, but its gateway does not finish the handshake. After a restart of the "
        "master this lasts up to three minutes",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} -f   # wait four minutes; then: {restart}",
    ),
)

# What a step says it waits for, or what needs a human.
STEP: tuple[Known, ...] = (
    Known(
        "wrong-scheme",
        r"(?P<endpoint>\S+) has the wrong scheme: a Kuscia gateway answers at (?P<value>\S+)",
        "{line}",
        "{upgrade} --set lite.master.endpoint={value}",
    ),
    Known(
        "not-a-gateway",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): (HTTP \d+ instead|HTTP 401 without)",
        "{line}",
        "curl -kv {endpoint}/   # has to answer 401 with a kuscia-error-message header; mend what is in front",
    ),
    Known(
        "no-such-host",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): [^\n]*(Name or service not known|No address|"
        r"name resolution|nodename nor servname)",
        "{line}",
        "kubectl get service -A | grep 1080   # is the master installed, and is this its name? "
        "{upgrade} --set lite.master.endpoint=<its address>",
    ),
    Known(
        "master-down",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): [^\n]*[Cc]onnection (refused|reset)",
        "{line}",
        "kubectl get pods,endpoints -n <the master's namespace>   # kubectl kuscia doctor there",
    ),
    Known(
        "master-unreachable",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): ",
        "{line}",
        FIREWALL,
    ),
    Known(
        "unknown-domain",
        r"the master's release has to name it under master\.domains",
        "{line}",
        "{master_upgrade} --set master.domains.{domain}.endpoint={gateway}",
    ),
    Known(
        "token-wrong",
        r"is not the domain's unused one",
        "{line}",
        _REKEY,
    ),
    Known(
        "certificate-of-another",
        r"the master has another certificate for it",
        "{line}",
        "kubectl get configmap {fullname}-domain-cert -n {namespace} -o jsonpath='{{.data.domain\\.crt}}'   # what "
        "this prints goes into master.domains.{domain}.cert, with allowRekey: true, of the master's release",
    ),
    Known(
        "runk-forbidden",
        r"refuses (what RunK does in|to (list pods in|\w+ configmaps \S+/kuscia-engines))",
        "RunK may not make engine pods in {engines}: {line}",
        "{upgrade}   # makes Role and RoleBinding {fullname}-runk in {engines}; with lite.runk.kubeconfigSecret they "
        "are yours to make",
    ),
    Known(
        "database-login",
        r"user and password are not the server's",
        "{line}",
        "kubectl edit secret {db_secret} -n {namespace}   # the password of {db_user}, base64; the pod goes on",
    ),
    Known(
        "no-database",
        r"make it: (?P<value>CREATE DATABASE [^)\n]*)",
        "{line}",
        "{value}   # on {db_host}, by its administrator; the pod goes on by itself",
    ),
    Known(
        "state-of-another-domain",
        r"was made for another domainId or with another clusterToken",
        "{line}",
        "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # give back the former domainId or "
        "clusterToken, or name a database of its own: {upgrade} --set master.datastore.database=<another>",
    ),
    Known(
        "too-many-connections",
        r"Too many connections|too many clients",
        "{line}",
        "SET GLOBAL max_connections = 1000   # on {db_host}, and in its configuration file",
    ),
    Known(
        "no-secret",
        r"Secret (?P<value>\S+) (does not exist|has no value)",
        "{line}",
        "kubectl get secret -n {namespace}   # make or mend it; the step goes on by itself",
    ),
)

# What an engine prints, or its data source answers.
ENGINE: tuple[Known, ...] = (
    Known(
        "too-few-threads",
        r"pthread_create failed: Resource temporarily unavailable",
        "the node's podPidsLimit is too small for the engine's threads",
        "kubectl get --raw /api/v1/nodes/<node>/proxy/configz   # podPidsLimit; raise it on the node",
    ),
    Known(
        "oss-style",
        r"\(400\)[^\n]*ListObjectsV2|ListObjectsV2[^\n]*\b400\b",
        "the object store refuses the style of the address: Aliyun needs virtualhost, Baidu a host s3.…",
        "{upgrade} --set lite.data.source.virtualhost=true",
    ),
    Known(
        "read-times-out",
        r"ReadTimeoutError|Read timed out",
        "large answers do not arrive: the path's MTU is smaller than the pods', or a proxy cuts them",
        "kubectl exec deploy/{fullname} -n {namespace} -- cat /sys/class/net/eth0/mtu   # compare along the path",
    ),
)

_ROUTE_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "route-missing",
        "no such route",
        "the route was never made: its step failed, or its domain did not exist then",
    ),
    (
        "route-no-handshake",
        "DestinationIsNotAuthrized",
        "the handshake never succeeded: wrong host, port or scheme, the destination is down, or has no certificate yet",
    ),
    ("route-no-token", "TokenNotGenerate", "one side has no token yet: it is down, or has never registered"),
    ("route-unreachable", "DestinationUnreachable", "the source's gateway does not reach the destination's"),
    ("route-heartbeat", "HeartBeatTimeout", "the destination has not seen the source for 30 s"),
    ("route-revision", "TokenRevisionNotMatch", "both sides hold tokens of different age; within minutes they agree"),
    ("route-waits", "no handshake yet", "one of both domains has never registered"),
)


def judge(config: Doctor, evidence: Evidence) -> list[Finding]:
    """The causes that the evidence gives away; those that others follow from come first."""
    names = _names(config, evidence)
    found = [
        *_node(config, evidence, names),
        *_steps(evidence, names),
        *_changed(evidence, names),
        *_gateways(config, evidence, names),
        *_api(config, evidence, names),
        *_database(evidence, names),
        *_engines(config, evidence, names),
    ]
    unique: dict[tuple[str, str], Finding] = {}
    for finding in found:
        unique.setdefault((finding.name, finding.cause), finding)
    return list(unique.values())


def of_log(text: str, known: tuple[Known, ...], names: Mapping[str, str], where: str) -> Finding | None:
    """The first known cause in a text; None when there is none."""
    for one in known:
        match = re.search(one.pattern, text)
        if match:
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            begin = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.end())
            line = text[begin : end if end >= 0 else len(text)].strip()
            values = {**names, **groups, "line": line}
            values["tail"] = values.get("endpoint", "").partition("://")[2].rstrip(",")
            values["tail"] = f"://{values['tail']}"
            return Finding(one.name, one.cause.format_map(values), one.cure.format_map(values), f"{where}: {line}")
    return None


def _names(config: Doctor, evidence: Evidence) -> dict[str, str]:
    store = config.datastore if isinstance(config.datastore, Database) else None
    names = {
        "release": config.release,
        "namespace": config.namespace,
        "fullname": config.fullname,
        "node": config.mode,
        "domain": config.domain_id,
        "gateway": config.gateway,
        "key_secret": config.key_secret.name,
        "engines": (config.engines and config.engines.namespace) or config.namespace,
        "pod": evidence.node.name if evidence.node else "",
        "db_secret": store.password_secret.name if store else "",
        "db_user": store.user if store else "",
        "db_host": store.host if store else "",
        "db_name": store.database if store else "",
        "value": "",
        "endpoint": config.master.endpoint if config.master else config.gateway,
    }
    names["upgrade"] = UPGRADE.format_map(names)
    names["master_upgrade"] = MASTER_UPGRADE if config.mode == "lite" else names["upgrade"]
    names["restart"] = RESTART.format_map(names)
    return names


def _node(config: Doctor, evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    node = evidence.node
    if node is None:
        about = [one for one in evidence.warnings if one.about.startswith(config.fullname)]
        for warning in about:
            yield Finding(
                "pod-refused",
                f"the cluster makes no pod: {warning.message}",
                f"kubectl describe replicaset -n {config.namespace} -l app.kubernetes.io/component={config.mode}",
                f"event {warning.reason} of {warning.namespace}/{warning.about}",
            )
        if not about:
            yield Finding(
                "no-pod",
                f"there is no pod of {config.fullname}",
                f"kubectl scale deployment/{config.fullname} -n {config.namespace} --replicas=1",
                f"no pod in {config.namespace}",
            )
        return
    general = list(_pod(node, evidence, names))
    yield from general
    for container in node.containers:
        if container.name != config.mode or container.ready or general:
            continue
        where = f"{node.namespace}/{node.name}, container {container.name}"
        finding = of_log(container.log, KUSCIA, names, where) or of_log(container.previous, KUSCIA, names, where)
        if finding:
            yield finding
        elif container.end_code is not None:
            yield Finding(
                "unknown-end",
                f"Kuscia ended with exit code {container.end_code} for a reason that is not among the known ones",
                f"kubectl logs {node.name} -n {node.namespace} -c {container.name} --previous",
                f"{where}: {_last(container.previous or container.log)}",
            )


def _pod(pod: Pod, evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    """What keeps any pod from running, whatever is in it."""
    describe = f"kubectl describe pod {pod.name} -n {pod.namespace}"
    if pod.unscheduled:
        yield Finding(
            "unscheduled",
            f"no node takes the pod: {pod.unscheduled}",
            f"{describe}   # more capacity, smaller requests, or the missing volume",
            f"{pod.namespace}/{pod.name}",
        )
    for container in pod.containers:
        where = f"{pod.namespace}/{pod.name}, container {container.name}"
        if container.waiting in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
            yield Finding(
                "image",
                f"the image cannot be pulled: {container.message}",
                f"{describe}   # mend its name, or make the registry's pull secret known "
                "(global.kuscia.imagePullSecrets; engine pods: the default ServiceAccount of their namespace)",
                where,
            )
        elif container.waiting in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            yield Finding("container", f"the container cannot be made: {container.message}", describe, where)
        elif container.end_reason == "OOMKilled" and not container.ready:
            yield Finding(
                "out-of-memory",
                "the container needed more memory than its limit",
                f"{names['upgrade']} --set {names['node']}.resources.limits.memory=8Gi",
                where,
            )
        elif container.name == "prepare" and container.running:
            yield from _waiting(container, where, names)
    if not pod.containers and not pod.unscheduled:
        for warning in evidence.warnings:
            if warning.about == pod.name:
                yield Finding("pod", warning.message, describe, f"event {warning.reason} of {pod.namespace}/{pod.name}")


_SAID = re.compile(r"^(?:waiting for .*? \(\d[^)]* s\): |ERROR \w+ needs a human: |ERROR \w+: )", re.MULTILINE)
_SEE = re.compile(r"^ +see: (?P<command>.*)$", re.MULTILINE)


def _waiting(container: Container, where: str, names: dict[str, str]) -> Iterator[Finding]:
    """The last that a step said about what it lacks; its own words are the cause."""
    said = list(_SAID.finditer(container.log))
    if not said:
        return
    text = container.log[said[-1].end() :]
    end = re.search(r"^\S", text.partition("\n")[2], re.MULTILINE)
    if end:
        text = text[: len(text.partition("\n")[0]) + 1 + end.start()]
    see = _SEE.search(text)
    message = text[: see.start()].strip() if see else text.strip()
    finding = of_log(message, STEP, {**names, "line": message}, where)
    if finding:
        yield finding
    else:
        yield Finding(
            "step-waits",
            message,
            see["command"] if see else f"kubectl logs -n {names['namespace']} {where}",
            where,
        )


def _steps(evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    for pod in evidence.steps:
        yield from _pod(pod, evidence, names)
        for container in pod.containers:
            where = f"{pod.namespace}/{pod.name}, container {container.name}"
            yield from _waiting(container, where, names)


def _changed(evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    before, now = evidence.started_with, evidence.present
    if not before or not now:
        return
    changed = [
        entry for entry, mark in now.get("secrets", {}).items() if before.get("secrets", {}).get(entry, mark) != mark
    ]
    key = next((entry for entry in changed if entry.startswith(f"{names['key_secret']}/")), None)
    if key:
        # Every mark is made with the key, so with another one nothing can be said about the others.
        changed = [key]
    for entry in changed:
        yield Finding(
            "secret-changed",
            f"Secret {names['namespace']}/{entry.partition('/')[0]} was changed after the pod started, which goes on "
            "with the former value",
            names["restart"],
            f"key {entry.partition('/')[2]} is not what prepare read",
        )
    served, is_now = before.get("dnsServers") or [], now.get("dnsServers") or []
    if served and is_now and served != is_now:
        yield Finding(
            "stale-dns",
            f"engine pods ask {', '.join(served)} for names, but the Service has the address {', '.join(is_now)} now",
            names["restart"],
            f"Service {names['namespace']}/{names['fullname']}",
        )


def _gateways(config: Doctor, evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    for probe in evidence.probes:
        if not probe.problem:
            continue
        values = {**names, "endpoint": probe.endpoint}
        finding = of_log(probe.problem, STEP, values, f"gateway of {probe.of}")
        if finding is None:
            finding = Finding("gateway", probe.problem, f"curl -kv {probe.endpoint}/", f"gateway of {probe.of}")
        cure = finding.cure
        if probe.of in config.domains:
            neighbour = config.domains[probe.of]
            place = neighbour.namespace or f"<{probe.of}'s namespace>"
            cure = cure.replace("lite.master.endpoint=", f"master.domains.{probe.of}.endpoint=")
            cure = cure.replace("<the master's namespace>", place)
        yield Finding(finding.name, finding.cause, cure, finding.seen)
    if evidence.known is False:
        text = f"the master's release has to name it under master.domains.{config.domain_id}"
        finding = of_log(text, STEP, names, "the master's handshake")
        if finding:
            yield Finding(
                finding.name, f"the master does not know domain {config.domain_id}: {text}", finding.cure, finding.seen
            )


def _api(config: Doctor, evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    if evidence.api:
        other_key = "refused the token" in evidence.api or "another identity" in evidence.api
        yield Finding(
            "api",
            evidence.api,
            names["restart"] if other_key else f"kubectl get networkpolicy,pods -n {config.namespace}",
            f"KusciaAPI {config.api.endpoint}",
        )
    down = set()
    for row in evidence.domains:
        if row["status"] == "Ready":
            continue
        neighbour = config.domains.get(row["domain"])
        place = (neighbour.namespace if neighbour else None) or f"<{row['domain']}'s namespace>"
        place = config.namespace if config.mode == "lite" else place
        down.add(row["domain"])
        if any(other["domain"] == row["domain"] and other["status"] == "Ready" for other in evidence.domains):
            continue
        register = f"kubectl logs -n {config.namespace} -l app.kubernetes.io/component=register --tail 20"
        missing = row["status"] == "no such domain"
        yield Finding(
            "no-such-domain" if missing else "node-not-ready",
            f"domain {row['domain']}: {row['status']}" + (f" (node {row['node']})" if row["node"] else ""),
            register if missing else f"kubectl kuscia doctor -n {place}   # its pod is down, or far from the master",
            f"KusciaAPI {config.api.endpoint}",
        )
    for route in evidence.routes:
        if route["ready"] == "True":
            continue
        source, _, destination = route["route"].partition("-")
        name, text = next(
            ((name, text) for name, reason, text in _ROUTE_REASONS if reason in route["reason"]),
            ("route", route["reason"]),
        )
        cure = f"curl -kv {route['endpoint']}/   # from {source}'s namespace" if route["endpoint"] else ""
        if name == "route-missing":
            cure = (
                f"kubectl logs -n {config.namespace} -l app.kubernetes.io/component=routes --tail 20"
                f"   # then: {names['upgrade']} --set master.jobs.runId=$(date +%s)"
            )
        yield Finding(
            name,
            f"route {route['route']} is not READY: {text}",
            cure or f"kubectl kuscia doctor -n <the namespace of {destination}, and of {source}>",
            f"{route['route']}: {route['reason']}",
        )


def _database(evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    for text in evidence.database:
        yield of_log(text, STEP, names, "database") or Finding(
            "database", text, f"kubectl get secret {names['db_secret']} -n {names['namespace']}", "database"
        )


def _engines(config: Doctor, evidence: Evidence, names: dict[str, str]) -> Iterator[Finding]:
    for pod in evidence.engines:
        yield from _pod(pod, evidence, names)
        for container in pod.containers:
            where = f"{pod.namespace}/{pod.name}, container {container.name}"
            finding = of_log(container.log, ENGINE, names, where)
            if finding:
                yield finding
    if evidence.node is None and evidence.engines:
        pods = " ".join(pod.name for pod in evidence.engines)
        yield Finding(
            "engines-left-behind",
            f"engine pods are there without their lite: {pods}",
            f"kubectl delete pod {pods} -n {names['engines']}",
            f"{names['engines']}",
        )


def _last(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def describe(findings: list[Finding], domain: str, unread: tuple[str, ...]) -> list[str]:
    """What `doctor` prints, line by line."""
    lines = [f"{domain}: {_count(len(findings), 'cause')} found" if findings else f"{domain}: nothing found"]
    for number, finding in enumerate(findings, 1):
        lines += [f"{number}. {finding.cause}", f"   cure: {finding.cure}", f"   seen: {finding.seen}"]
    lines += [f"not looked at: {text}" for text in unread]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
