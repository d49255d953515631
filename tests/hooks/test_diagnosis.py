"""What `doctor` makes of evidence: of each recorded start-up, of each step's words, of what the APIs say."""

from dataclasses import replace
from typing import Any

import pytest

from kuscia_hooks.core.config import Release
from kuscia_hooks.inspect import diagnosis
from kuscia_hooks.inspect.diagnosis import judge
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.snapshot import ContainerState, PodState, Probe, Snapshot, WarningEvent
from tests.hooks.conftest import RECORDINGS

API = {"endpoint": "https://own:8082", "protocol": "TLS"}
KEY = {"name": "own-domain-key", "key": "domain.key"}
GATEWAY = "https://own.ns.svc.cluster.local:1080"
MASTER_ENDPOINT = "https://kuscia-master.kuscia-master.svc.cluster.local:1080"
COMMON: dict[str, Any] = {"namespace": "ns", "keySecret": KEY, "api": API, "release": "kuscia", "gateway": GATEWAY}
DATABASE = {
    "type": "mysql",
    "host": "db.example.com",
    "port": 3306,
    "database": "kuscia",
    "user": "kuscia",
    "passwordSecret": {"name": "db", "key": "password"},
}
MASTER = Release.model_validate(
    {
        **COMMON,
        "mode": "master",
        "domainId": "kuscia-system",
        "fullname": "kuscia-master",
        "domains": {"alice": {"endpoint": "https://alice:1080", "namespace": "lite-alice"}, "bob": {}},
        "routes": [("alice", "bob")],
        "datastore": DATABASE,
    }
)
LITE = Release.model_validate(
    {
        **COMMON,
        "mode": "lite",
        "domainId": "carl",
        "fullname": "kuscia-lite-carl",
        "master": {"endpoint": MASTER_ENDPOINT},
        "engines": {"namespace": "engines", "keepsLogs": False},
    }
)


def kuscia(config: Release, log: str, **more: Any) -> Snapshot:
    """The node's pod with a container that is not ready."""
    container = ContainerState(config.mode, log=log, end_code=more.pop("end_code", 0), **more)
    return Snapshot(node=PodState("ns", "the-pod", config.mode, "Running", containers=(container,)))


def step(config: Release, log: str, name: str = "prepare") -> Snapshot:
    """The node's pod while `prepare` waits, or the pod of another step."""
    pod = PodState("ns", "the-pod", name, "Pending", containers=(ContainerState(name, running=True, log=log),))
    return Snapshot(node=pod) if name == "prepare" else replace(WELL, steps=(pod,))


WELL = Snapshot(node=PodState("ns", "the-pod", "master", "Running", containers=(ContainerState("master", ready=True),)))


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


STARTUPS = {
    "badendpoint": (LITE, "no-such-host", "lite.master.endpoint="),
    "badkey": (MASTER, "bad-key", "kubectl rollout restart deployment/kuscia-master -n ns"),
    "badmode": (LITE, "bad-mode", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "badpw": (MASTER, "database-login", "kubectl edit secret db -n ns"),
    "badtoken-newkey": (LITE, "token-wrong", "master.domains.carl.allowRekey=true"),
    "badtoken-samekey": (LITE, "handshake-times-out", "kubectl rollout restart deployment/kuscia-lite-carl -n ns"),
    "dashdb": (MASTER, "no-database", "CREATE DATABASE kuscia"),
    "dbdown": (MASTER, "database-unreachable", "db.example.com"),
    "https-to-http": (
        LITE,
        "wrong-scheme",
        "lite.master.endpoint=http://kuscia-master.kuscia-x-master.svc.cluster.local:1080",
    ),
    "nodb": (MASTER, "no-database", "CREATE DATABASE kuscia"),
    "noid": (LITE, "no-domain-id", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "reserved": (LITE, "reserved-id", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "runc": (LITE, "runc-unprivileged", "lite.runtime=runk"),
    "unknown-domain": (LITE, "unknown-domain", f"master.domains.dora.endpoint={GATEWAY}"),
}


def recorded(name: str) -> str:
    return (RECORDINGS / f"startup-cases/{name}.log").read_text()


def test_every_recorded_startup_is_here() -> None:
    assert {path.stem for path in (RECORDINGS / "startup-cases").glob("*.log")} == {*STARTUPS, "sqlite"}


@pytest.mark.parametrize("name", STARTUPS)
@pytest.mark.parametrize("run", ["log", "previous"])
def test_recorded_startup(name: str, run: str) -> None:
    config, cause, cure = STARTUPS[name]
    log = {"log": recorded(name)} if run == "log" else {"log": "starting", "previous": recorded(name)}
    found = only(judge(config, kuscia(config, **log)))
    assert found.name == cause
    assert cure in found.cure
    assert "ns/the-pod" in found.seen
    assert not {"{", "}"} & set(found.cure.replace("{.data}", ""))


def test_a_good_start_is_no_cause() -> None:
    """Its log is full of errors that pass."""
    well = kuscia(MASTER, recorded("sqlite"), ready=True, end_code=None)
    assert judge(MASTER, well) == []
    starting = kuscia(MASTER, recorded("sqlite"), end_code=None, running=True)
    assert judge(MASTER, starting) == []


def test_a_ready_node_is_not_judged_by_its_past() -> None:
    assert judge(MASTER, kuscia(MASTER, recorded("badpw"), ready=True)) == []


@pytest.mark.parametrize(
    ("config", "line", "cause"),
    [
        (LITE, "detail -> deploy token found but used, please use an unused deploy token", "token-used"),
        (LITE, "response status code [500], detail -> deploytokenstatus of domain is empty", "token-pending"),
        (LITE, "duplicate node name with other domain, please change this node's name", "node-name-taken"),
        (LITE, "[Module] agent is finished with err=capacity config is empty", "no-capacity"),
        (LITE, "failed to get in cluster config, err: open /var/run/secrets: no such file", "no-service-account"),
        (LITE, 'pods "test" is forbidden: User "x" cannot get resource "pods"', "runk-forbidden"),
        (LITE, "host IP unknown", "no-eth0"),
        (LITE, "failed to create fsnotify watcher: too many open files", "inotify"),
        (LITE, "unknown runtime: ", "bad-runtime"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> dial tcp 1.2.3.4:1080: "
         "connect: connection refused", "master-down"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> dial tcp 1.2.3.4: i/o timeout",
         "master-unreachable"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> unexpected status code 502",
         "not-a-gateway"),
        (LITE, "[PROBE] failed to probe master endpoint http://m.x:1080, detail-> sending request error: Get "
         '"http://m.x:1080": EOF', "wrong-scheme"),
        (MASTER, "ping datastore endpoint error: Error 1040: Too many connections", "too-many-connections"),
        (MASTER, "ping datastore endpoint error: pq: password authentication failed for user \"k\"", "database-login"),
        (MASTER, 'ping datastore endpoint error: pq: database "k" does not exist', "no-database"),
        (MASTER, "ping datastore endpoint error: this authentication plugin is not supported", "database-other"),
        (MASTER, "FATAL error building kubernetes client config from token, detail-> stat "
         "/home/kuscia/etc/kubeconfig: no such file or directory", "state-of-another-domain"),
        (MASTER, 'time="2026" level=fatal msg="starting kubernetes: preparing server: bootstrap data already found and '
         'encrypted with different token"', "state-of-another-domain"),
        (MASTER, "[Module] k3s is finished with err=startup process failed at first time, so stop at once, error: "
         "process [k3s][17] only existed 812 ms, less than 3000 ms, with error: exit status 1",
         "state-of-another-domain"),
        (MASTER, "[Module] k3s wait ready failed with wait k3s ready timeout, so start gracefulExit", "k3s-not-ready"),
        (MASTER, "ERROR tls/crypt.go:337 load key data failed: invalid private key, should be PEM block format, try "
         "key file", "bad-key"),
        (MASTER, "FATAL modules/runtime.go:195 can't parse key", "bad-key"),
        (LITE, "Domain key data is empty. Please provide a valid domainKeyData.", "bad-key"),
        (LITE, "Load domain key file error: illegal base64 data at input byte 4", "bad-key"),
        (LITE, "Decode domain key data error: can't parse key", "bad-key"),
        (MASTER, "Load kuscia config failed. protocol: XTLS is unsupported", "bad-protocol"),
    ],
)  # fmt: skip
def test_line_of_kuscia(config: Release, line: str, cause: str) -> None:
    found = only(judge(config, kuscia(config, f"2026-11-24 01:10:07.475 INFO a.go:1 begin\n{line}\nmore\n")))
    assert found.name == cause
    assert found.seen.endswith(line.strip())


def test_a_k3s_that_was_interrupted_is_no_cause() -> None:
    """Another module failed; the supervisor says that of all that was just started."""
    line = "process [k3s][17] only existed 812 ms, less than 3000 ms, with error: signal: interrupt"
    found = only(judge(MASTER, kuscia(MASTER, f"{line}\n[Module] coredns is finished with err=x\n")))
    assert found.name == "unknown-end"


def test_scheme_of_a_short_address_is_turned() -> None:
    log = (
        '[PROBE] failed to probe master endpoint http://m.x:1080, detail-> sending request error: Get "http://m.x": EOF'
    )
    assert "--set lite.master.endpoint=https://m.x:1080" in only(judge(LITE, kuscia(LITE, log))).cure


def test_an_end_that_is_not_known_is_said() -> None:
    found = only(judge(LITE, kuscia(LITE, "something new\n", end_code=3)))
    assert found.name == "unknown-end"
    assert "exit code 3" in found.cause
    assert "--previous" in found.cure
    assert found.seen.endswith("something new")


@pytest.mark.parametrize(
    ("message", "cause", "cure"),
    [
        (f"{MASTER_ENDPOINT} has the wrong scheme: a Kuscia gateway answers at http://m:1080 (…)",
         "wrong-scheme", "--set lite.master.endpoint=http://m:1080"),
        (f"no Kuscia gateway answers at {MASTER_ENDPOINT}: [Errno -2] Name or service not known",
         "no-such-host", "kubectl get service -A"),
        (f"no Kuscia gateway answers at {MASTER_ENDPOINT}: [Errno 111] Connection refused",
         "master-down", "kubectl kuscia doctor"),
        (f"no Kuscia gateway answers at {MASTER_ENDPOINT}: no answer within 5 s", "master-unreachable", "curl"),
        (f"no Kuscia gateway answers at {MASTER_ENDPOINT}: HTTP 502 instead of 401: something else than a Kuscia "
         "gateway answers", "not-a-gateway", f"curl -kv {MASTER_ENDPOINT}/"),
        (f"{MASTER_ENDPOINT} does not know it yet: the master's release has to name it under master.domains.carl",
         "unknown-domain", f"master.domains.carl.endpoint={GATEWAY}"),
        ("deploy token mismatch (the token in Secret m/t, key token, is not the domain's unused one. If the …)",
         "token-wrong", "master.domains.carl.allowRekey=true"),
        ("refused (the master has another certificate for it. Give its operator …)",
         "certificate-of-another", "kuscia-lite-carl-domain-cert"),
        ("the API server refuses to get configmaps engines/kuscia-engines (403: configmaps \"kuscia-engines\" is "
         "forbidden: User \"x\" cannot get resource). Expected is a Role …", "runk-forbidden", "helm upgrade"),
        ("the API server refuses to list pods in engines (403: …)", "runk-forbidden", "helm upgrade"),
        ("the API server refuses what RunK does in engines: this lite's ServiceAccount may not get secrets. …",
         "runk-forbidden", "helm upgrade"),
        ("Secret ns/own-domain-key does not exist", "no-secret", "kubectl get secret -n ns"),
    ],
)  # fmt: skip
def test_what_prepare_waits_for(message: str, cause: str, cure: str) -> None:
    log = (
        "waiting for the domain key (0 s): something else before\n    see: kubectl get nothing\n"
        f"waiting for the master's gateway (20 s): {message}\n    see: kubectl get something\n"
    )
    found = only(judge(LITE, step(LITE, log)))
    assert found.name == cause
    assert found.cause.endswith(message)
    assert cure in found.cure


@pytest.mark.parametrize(
    ("message", "cause", "cure"),
    [
        ("mysql db.example.com/kuscia: 1045 Access denied (user and password are not the server's; once the …)",
         "database-login", "kubectl edit secret db -n ns"),
        ("mysql db.example.com/kuscia: 1049 Unknown database (make it: CREATE DATABASE `kuscia` CHARACTER SET utf8mb4)",
         "no-database", "CREATE DATABASE `kuscia` CHARACTER SET utf8mb4"),
        ("mysql kuscia@db.example.com:3306/kuscia: the state in table kine was made for another domainId or with "
         "another clusterToken, and Kuscia cannot read it. …", "state-of-another-domain", "master.datastore.database="),
    ],
)  # fmt: skip
def test_what_a_masters_prepare_waits_for(message: str, cause: str, cure: str) -> None:
    found = only(judge(MASTER, step(MASTER, f"waiting for the datastore (10 s): {message}\n    see: x\n")))
    assert (found.name, found.cause) == (cause, message)
    assert cure in found.cure


def test_a_wait_that_is_not_known_keeps_its_own_words_and_command() -> None:
    log = "waiting for the moon (10 of 60 s): it is new\n    see: kubectl get moon\nunrelated\n"
    found = only(judge(LITE, step(LITE, log)))
    assert (found.name, found.cause, found.cure) == ("step-waits", "it is new", "kubectl get moon")


def test_a_step_that_needs_a_human() -> None:
    log = (
        "created=0\nERROR data needs a human: bucket b does not exist\n    see: kubectl get it\ntrying again in 30 s\n"
    )
    found = only(judge(MASTER, step(MASTER, log, "data")))
    assert (found.cause, found.cure) == ("bucket b does not exist", "kubectl get it")


@pytest.mark.parametrize(
    ("pod", "cause"),
    [
        (PodState("ns", "p", "master", "Pending", unscheduled="0/1 nodes: Insufficient memory"), "unscheduled"),
        (
            PodState(
                "ns", "p", "master", "Pending", containers=(ContainerState("master", waiting="ImagePullBackOff"),)
            ),
            "image",
        ),
        (
            PodState(
                "ns",
                "p",
                "master",
                "Pending",
                containers=(ContainerState("master", waiting="CreateContainerConfigError"),),
            ),
            "container",
        ),
        (
            PodState(
                "ns",
                "p",
                "master",
                "Running",
                containers=(ContainerState("master", end_reason="OOMKilled", end_code=137),),
            ),
            "out-of-memory",
        ),
    ],
)
def test_pod_that_does_not_run(pod: PodState, cause: str) -> None:
    assert only(judge(MASTER, Snapshot(node=pod))).name == cause


def test_pod_that_is_not_made() -> None:
    refused = WarningEvent("ns", "kuscia-master-5d5f7c9b7b", "FailedCreate", "exceeded quota: small")
    found = only(judge(MASTER, Snapshot(warnings=(refused,))))
    assert found.name == "pod-refused"
    assert "exceeded quota" in found.cause
    assert only(judge(MASTER, Snapshot())).name == "no-pod"


def test_changed_secret() -> None:
    before = {"secrets": {"own-domain-key/domain.key": "a", "db/password": "b"}, "dnsServers": []}
    assert judge(MASTER, replace(WELL, started_with=before, present=before)) == []

    password = {"secrets": {"own-domain-key/domain.key": "a", "db/password": "c"}}
    found = only(judge(MASTER, replace(WELL, started_with=before, present=password)))
    assert found.name == "secret-changed"
    assert "Secret ns/db " in found.cause
    assert found.cure == "kubectl rollout restart deployment/kuscia-master -n ns"

    # The marks are made with the key: another key says nothing about the password.
    both = {"secrets": {"own-domain-key/domain.key": "x", "db/password": "y"}}
    assert "Secret ns/own-domain-key " in only(judge(MASTER, replace(WELL, started_with=before, present=both))).cause


def test_moved_service() -> None:
    evidence = replace(
        kuscia(LITE, "", ready=True), started_with={"dnsServers": ["10.1.1.1"]}, present={"dnsServers": ["10.2.2.2"]}
    )
    found = only(judge(LITE, evidence))
    assert found.name == "stale-dns"
    assert found.cure == "kubectl rollout restart deployment/kuscia-lite-carl -n ns"


def test_gateway_of_a_lite_as_its_master_sees_it() -> None:
    problem = "https://alice:1080 has the wrong scheme: a Kuscia gateway answers at http://alice:1080 (…)"
    found = only(judge(MASTER, replace(WELL, probes=(Probe("alice", "https://alice:1080", problem),))))
    assert found.name == "wrong-scheme"
    assert "--set master.domains.alice.endpoint=http://alice:1080" in found.cure

    problem = "no Kuscia gateway answers at https://alice:1080: [Errno 111] Connection refused"
    found = only(judge(MASTER, replace(WELL, probes=(Probe("alice", "https://alice:1080", problem),))))
    assert "-n lite-alice" in found.cure


def test_domain_that_the_master_does_not_know() -> None:
    found = only(judge(LITE, replace(kuscia(LITE, "", ready=True), known=False)))
    assert found.name == "unknown-domain"
    assert f"master.domains.carl.endpoint={GATEWAY}" in found.cure


@pytest.mark.parametrize(
    ("problem", "cure"),
    [
        ("KusciaAPI x refused the token that follows from the domain key: …", "kubectl rollout restart"),
        ("KusciaAPI x is not reached (timed out)", "kubectl get networkpolicy"),
    ],
)
def test_api_that_cannot_be_used(problem: str, cure: str) -> None:
    assert cure in only(judge(MASTER, replace(WELL, api=problem))).cure


def domain(name: str, status: str, node: str = "n") -> dict[str, str]:
    return {"domain": name, "node": node, "status": status, "version": "", "heartbeat": ""}


def test_domains() -> None:
    rows = (domain("alice", "NotReady"), domain("bob", "no such domain", ""))
    first, second = judge(MASTER, replace(WELL, domains=rows))
    assert (first.name, second.name) == ("node-not-ready", "no-such-domain")
    assert "kubectl kuscia doctor -n lite-alice" in first.cure
    assert "component=register" in second.cure


def test_an_old_node_beside_a_ready_one_is_nothing() -> None:
    rows = (domain("alice", "NotReady", "old"), domain("alice", "Ready", "new"))
    assert judge(MASTER, replace(WELL, domains=rows)) == []


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("LastUpdateAt=x, Message=TokenNotGenerate, Reason:DestinationIsNotAuthrized", "route-no-handshake"),
        ("LastUpdateAt=x, Message=TokenNotGenerate, Reason:TokenNotGenerate", "route-no-token"),
        ("LastUpdateAt=x, Message=DestinationUnreachable, Reason:DestinationUnreachable", "route-unreachable"),
        ("LastUpdateAt=x, Message=HeartBeatTimeout, Reason:HeartBeatTimeout", "route-heartbeat"),
        ("LastUpdateAt=x, Message=TokenRevisionNotMatch, Reason:TokenRevisionNotMatch", "route-revision"),
        ("no handshake yet", "route-waits"),
        ("no such route", "route-missing"),
        ("something new", "route"),
    ],
)
def test_route_that_is_not_ready(reason: str, cause: str) -> None:
    rows = (
        {"route": "alice-bob", "endpoint": "https://bob:1080", "ready": "False", "reason": reason},
        {"route": "bob-alice", "endpoint": "", "ready": "True", "reason": ""},
    )
    found = only(judge(MASTER, replace(WELL, routes=rows)))
    assert found.name == cause
    assert "alice-bob" in found.cause
    assert ("component=routes" if cause == "route-missing" else "curl -kv https://bob:1080/") in found.cure


def test_database_warning() -> None:
    found = only(judge(MASTER, replace(WELL, database=("MySQL 8.0.20 is older than 8.0.23",))))
    assert found.cause == "MySQL 8.0.20 is older than 8.0.23"


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        (ContainerState("e", waiting="ErrImagePull", message="401"), "image"),
        (ContainerState("e", log="x\npthread_create failed: Resource temporarily unavailable\n"), "too-few-threads"),
        (
            ContainerState("e", log="ClientError: An error occurred (400) when calling the ListObjectsV2 operation"),
            "oss-style",
        ),
        (ContainerState("e", log="urllib3.exceptions.ReadTimeoutError: Read timed out."), "read-times-out"),
    ],
)
def test_engine(container: ContainerState, cause: str) -> None:
    engine = PodState("engines", "job-0", "job", "Pending", containers=(container,))
    found = only(judge(LITE, replace(kuscia(LITE, "", ready=True), engines=(engine,))))
    assert found.name == cause
    assert "engines" in found.seen


def test_engines_left_behind() -> None:
    engine = PodState("engines", "job-0", "job", "Running", containers=(ContainerState("e", ready=True, running=True),))
    names = [found.name for found in judge(LITE, Snapshot(engines=(engine,)))]
    assert names == ["no-pod", "engines-left-behind"]


def test_one_cause_seen_twice_is_said_once() -> None:
    refused = f"no Kuscia gateway answers at {MASTER_ENDPOINT}: [Errno 111] Connection refused"
    evidence = replace(
        step(LITE, f"waiting for the master's gateway (20 s): {refused}\n    see: curl\n"),
        probes=(Probe("the master", MASTER_ENDPOINT, refused),),
    )
    assert only(judge(LITE, evidence)).name == "master-down"


def test_description() -> None:
    lines = diagnosis.describe([Finding("n", "it is broken", "mend it", "there")], "alice", ("events: refused",))
    assert lines == [
        "alice: 1 cause found",
        "1. it is broken",
        "   cure: mend it",
        "   seen: there",
        "not looked at: events: refused",
    ]
    assert diagnosis.describe([], "alice", ()) == ["alice: nothing found"]
