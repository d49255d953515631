"""RunK: the shape of an engine pod, and errors of the host cluster."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from kubernetes_asyncio.client.exceptions import ApiException

from kuscia_sim.agent import AgentStartError, runk
from kuscia_sim.agent.capacity import Room
from kuscia_sim.agent.certs import engine_files
from kuscia_sim.agent.environment import EnvImport
from kuscia_sim.agent.provider import EngineFiles, HostUnreachable, PodDenied
from kuscia_sim.agent.templates import TemplateError, Unsupported, render, unknown_keys, variables
from kuscia_sim.jobs import engines, names
from kuscia_sim.node.config import Capacity, Config
from kuscia_sim.state.store import Object
from kuscia_sim_testing import job_harness as h

RECORDED = Path(__file__).parents[2] / "recordings/runk-task-pod.yaml"
SERVER_MADE = (
    "creationTimestamp", "generation", "resourceVersion", "uid", "terminationMessagePath", "serviceAccount",
    "serviceAccountName", "terminationGracePeriodSeconds", "securityContext", "schedulerName", "priority",
    "preemptionPolicy", "nodeName", "enableServiceLinks", "defaultMode",
)  # fmt: skip


def recorded_pod() -> Object:
    """Return the recorded pod without what the API server adds to every pod."""
    pod: Object = yaml.safe_load(RECORDED.read_text())
    spec = pod["spec"]
    # Added by admission; Kuscia sets only one toleration.
    spec["tolerations"] = [entry for entry in spec["tolerations"] if not entry["key"].startswith("node.")]
    return _without({"metadata": pod["metadata"], "spec": spec}, SERVER_MADE)


def _without(value: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def stored_pod(task_name: str = "sample-1-a", domain: str = "carl", **more: Any) -> Object:
    """Return a pod as the master stores and binds it, from the AppImage of the recorded pod."""
    task = {
        "metadata": {"name": task_name, "uid": "703aa0b8-8cb9-42d9-bb93-3287499ece9c"},
        "spec": {
            "initiator": domain,
            "taskInputConfig": "",
            "parties": [{"domainID": domain, "role": "", "appImageRef": "sample"}],
        },
    }
    limits = {"cpu": "100m", "memory": "64Mi"}
    args = "cat kuscia/task-config.conf; env | sort; cat /etc/resolv.conf; sleep 12"
    container = h.container(
        args,
        name="t",
        ports=[{"name": "spu", "scope": "Cluster"}],
        resources={"limits": limits, "requests": limits},
    )
    template = {
        "name": "t",
        "replicas": 1,
        "spec": {"restartPolicy": "Never", "containers": [container | more]},
    }
    image = {
        "spec": {
            "image": {"name": "docker.io/local/kuscia", "tag": "real"},
            "configTemplates": {"task-config.conf": h.TEMPLATE},
            "deployTemplates": [template],
        }
    }
    parties = engines.build_parties(task, {"sample": image}, {})
    (pod,) = engines.pods(task, parties, parties[0])
    pod["metadata"] |= {"namespace": domain, "uid": "bbfe7050-77de-42e6-898e-b8c39be6e177"}
    pod["spec"]["nodeName"] = "lite"
    return pod


ROOM = {"cpu": "4", "memory": "8Gi"}


def env_import(**config: Any) -> EnvImport:
    """Return the plugin of a node that offers ROOM, with `config` from kuscia.yaml."""
    agent = {"plugins": [{"name": "env-import", "config": config}]}
    return EnvImport(agent, Room(ROOM, ROOM), by_image=False)


def test_pod_is_the_recorded_one() -> None:
    pod = env_import().add_to(stored_pod(), {})
    made = runk.backend_pod(
        pod, "kuscia-lite-carl-7c44f9589-rgcfn", "kuscia-x-carl", {"nameservers": ["10.96.72.188"]}, {}
    )
    expected = recorded_pod()
    port = made["spec"]["containers"][0]["ports"][0]["containerPort"]
    assert port in engines.PORT_RANGE
    assert made["spec"] == json.loads(json.dumps(expected["spec"]).replace("20468", str(port)))
    labels, wanted = made["metadata"]["labels"], expected["metadata"]["labels"]
    bound_by_master = {key for key in wanted if "task-resource" in key}
    assert labels == {key: value for key, value in wanted.items() if key not in bound_by_master}
    annotations, wanted = made["metadata"]["annotations"], expected["metadata"]["annotations"]
    bound_by_master = {key for key in wanted if key.endswith(("task-resource", "reserving-timestamp"))}
    assert annotations.keys() == wanted.keys() - bound_by_master
    assert made["metadata"]["name"] == expected["metadata"]["name"]


@pytest.mark.parametrize(
    ("limits", "cpu", "memory"),
    [
        ({"cpu": "2", "memory": "4Gi"}, "2", "4096Mi"),
        ({"cpu": "1.5"}, "2", "6553Mi"),
        ({"memory": "1Gi"}, "3.20", "1024Mi"),
        ({"cpu": "0", "memory": "1M"}, "0", "0Mi"),
        ({}, "3.20", "6553Mi"),
    ],
)
def test_sets_limit_variables(limits: dict[str, str], cpu: str, memory: str) -> None:
    """Both are always set: the engine's, or a share of the node's capacity (most cases are from env_import_test.go)."""
    pod = {"spec": {"containers": [{"env": [], "resources": {"limits": limits} if limits else {}}]}}
    env = env_import().add_to(pod, {})["spec"]["containers"][0]["env"]
    assert env == [{"name": "CONTAINER_CPU_LIMIT", "value": cpu}, {"name": "CONTAINER_MEM_LIMIT", "value": memory}]


def test_adds_environment_by_pod_label() -> None:
    chosen = {"envs": [{"name": "A", "value": True}], "selectors": [{"key": "role", "value": "guest"}]}
    everywhere = {"envs": [{"name": "B", "value": 1}]}
    plugin = env_import(envList=[chosen, everywhere])
    pod = {"spec": {"containers": [{"env": [{"name": "own", "value": "x"}]}]}}
    guest = plugin.add_to(pod, {"role": "guest"})["spec"]["containers"][0]["env"]
    assert [(entry["name"], entry["value"]) for entry in guest][:3] == [("own", "x"), ("A", "true"), ("B", "1")]
    host = plugin.add_to(pod, {"role": "host"})["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in host][:2] == ["own", "B"]
    assert len(pod["spec"]["containers"][0]["env"]) == 1
    by_image = EnvImport(
        {"plugins": [{"name": "env-import", "config": {"usePodLabels": False, "envList": [chosen]}}]},
        Room(ROOM, ROOM),
        by_image=True,
    )
    added = by_image.add_to(pod, {"role": "guest"})["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in added] == ["CONTAINER_CPU_LIMIT", "CONTAINER_MEM_LIMIT", "own"]


def test_rejects_malformed_plugin() -> None:
    for config in ({"envList": "x"}, {"envList": [{"envs": [{"name": "A", "value": []}]}]}):
        with pytest.raises(AgentStartError, match=r"failed to init plugin hook\.env-import"):
            env_import(**config)


def test_adds_settings_of_agent_provider_k8s() -> None:
    settings = {
        "labelsToAdd": {"team": "a"},
        "annotationsToAdd": {"note": "b"},
        "runtimeClassName": "kata",
        "dns": {"policy": "Default", "searches": ["x"]},
        "affinitiesToAdd": {"nodeAffinity": {}},
    }
    made = runk.backend_pod(
        stored_pod(), "lite", "engines", runk.dns_config(["1.2.3.4"], settings, "5.6.7.8"), settings
    )
    assert made["metadata"]["labels"]["team"] == "a"
    assert made["metadata"]["annotations"]["note"] == "b"
    spec = made["spec"]
    assert (spec["runtimeClassName"], spec["dnsPolicy"], spec["affinity"]) == (
        "kata",
        "Default",
        {"nodeAffinity": {}},
    )
    assert spec["dnsConfig"] == {"nameservers": ["1.2.3.4"], "searches": ["x"]}


async def test_mounts_resolver_configuration(tmp_path: Path) -> None:
    file = tmp_path / "resolv"
    cluster = FakeCluster()
    cluster.answers = dict(CREATE)
    async with cluster.serve(tmp_path) as kubeconfig:
        agent = {"provider": {"k8s": {"dns": {"resolverConfig": str(file)}}}}
        provider = runk.RunkProvider(config(kubeconfig, agent=agent), "lite", "10.0.0.1")
        with pytest.raises(AgentStartError, match=r"read resolver config file, detail-> open .*: no such file"):
            await provider.start()
        file.write_text("nameserver 1.2.3.4\n")
        try:
            await provider.start()
            await provider.create(stored_pod(), FILES)
        finally:
            await provider.close()
    made = {(body["kind"], body["metadata"]["name"]): body for body in cluster.bodies}
    assert made["ConfigMap", "sample-1-a-0-resolv-config"]["data"] == {"resolv.conf": "nameserver 1.2.3.4\n"}
    assert made["ConfigMap", "sample-1-a-0-sample-1-a-configtemplate"]["data"] == FILES.config
    spec = made["Pod", "sample-1-a-0"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["config-template", "resolv-config", "certs"]
    assert spec["volumes"][1]["configMap"] == {"name": "sample-1-a-0-resolv-config"}
    mount = {"name": "resolv-config", "mountPath": "/etc/resolv.conf", "subPath": "resolv.conf"}
    assert spec["containers"][0]["volumeMounts"][1] == mount


def test_drops_unknown_affinities() -> None:
    node = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    settings = {"affinitiesToAdd": {**node, "nodeSelector": {"a": "b"}}}
    assert runk.backend_pod(stored_pod(), "lite", "engines", {}, settings)["spec"]["affinity"] == node


@pytest.mark.parametrize("given", ["x", [], {"nodeAffinity": []}, {"podAffinity": "x"}])
async def test_rejects_affinities_of_wrong_type(given: Any) -> None:
    agent = {"provider": {"k8s": {"affinitiesToAdd": given}}}
    provider = runk.RunkProvider(config("", agent=agent), "lite", "10.0.0.1")
    with pytest.raises(AgentStartError, match="failed to unmarshal json to Affinities"):
        await provider.start()


def test_party_resources_replace_those_of_app_image() -> None:
    task = {
        "metadata": {"name": "t", "uid": "703aa0b8-8cb9-42d9-bb93-3287499ece9c"},
        "spec": {
            "initiator": "alice",
            "parties": [
                {
                    "domainID": "alice",
                    "role": "",
                    "appImageRef": "i",
                    "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
                }
            ],
        },
    }
    two = [h.container("true"), h.container("true", name="second", ports=[])]
    template = {"name": "t", "replicas": 1, "spec": {"containers": two}}
    image = {"spec": {"image": {"name": "x", "tag": "1"}, "deployTemplates": [template]}}
    parties = engines.build_parties(task, {"i": image}, {})
    (pod,) = engines.pods(task, parties, parties[0])
    assert [item["resources"] for item in pod["spec"]["containers"]] == [
        {"limits": {"cpu": "1", "memory": "536870912"}}
    ] * 2


def test_annotates_metrics_endpoint() -> None:
    pod = stored_pod(metricProbe={"path": "/metrics", "port": "spu"})
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    annotations = runk.backend_pod(pod, "lite", "engines", {}, {})["metadata"]["annotations"]
    assert {key: value for key, value in annotations.items() if "metric" in key or "scraped" in key} == {
        "kuscia.secretflow/should_be_scraped": "true",
        "kuscia.secretflow/metric_path": "/metrics",
        "kuscia.secretflow/metric_port": str(port),
    }
    with pytest.raises(engines.EngineError, match=r"metric port name nosuch not found for pod sample-1-a-0$"):
        stored_pod(metricProbe={"path": "/metrics", "port": "nosuch"})
    assert "metric_path" not in str(stored_pod(metricProbe={"path": "/metrics"}))


A, B = {"name": "a", "role": ""}, {"name": "b", "role": ""}
GUEST, BOTH = {"name": "guest", "role": "guest"}, {"name": "both", "role": ",host,guest,"}


@pytest.mark.parametrize(
    ("templates", "role", "chosen"),
    [
        ([A, B], "guest", "b"),
        ([A, B], "", "a"),
        ([GUEST, BOTH], "", "guest"),
        ([A, BOTH, GUEST], "guest", "both"),
        ([GUEST, A], "host", "a"),
        ([GUEST], "host", None),
        ([], "", None),
    ],
)
def test_selects_template_by_role(templates: list[dict[str, str]], role: str, chosen: str | None) -> None:
    found = engines.select_template(templates, role)
    assert (found and found["name"]) == chosen


@pytest.mark.parametrize(
    ("templates", "reason"),
    [([], "deploy templates are empty"), ([{"role": "guest"}], 'not found deploy template for role "host"')],
)
def test_rejects_role_without_template(templates: list[Any], reason: str) -> None:
    party = {"domainID": "alice", "role": "host", "appImageRef": "i"}
    image = {"spec": {"image": {"name": "x"}, "deployTemplates": templates}}
    with pytest.raises(engines.EngineError) as error:
        engines.build_parties({"metadata": {"name": "t"}, "spec": {"parties": [party]}}, {"i": image}, {})
    assert str(error.value) == (
        "failed to build domain alice kit info, failed to select appropriate deploy template from appImage "
        f'"i" for party alice/host, {reason}'
    )


@pytest.mark.parametrize(
    ("pod", "port", "start"),
    [
        ("job-0", "psi", "job-0-psi"),
        ("20260101-0", "psi", "svc-20260101-0-psi"),
        ("a" * 56, "domain", f"{'a' * 56}-domain"),
        ("a" * 57, "domain", f"svc-{'a' * 35}-domain-"),
        ("1" * 53, "domain", f"svc-{'1' * 35}-domain-"),
        ("-a-", "-b-", "a-b"),
    ],
)
def test_names_services_as_kuscia(pod: str, port: str, start: str) -> None:
    """GenerateServiceName in Kuscia's pkg/utils/resources/service.go: starts with a letter, at most 63 characters."""
    name = engines.EnginePod(pod, 0, []).service(port)
    rest = name.removeprefix(start)
    assert name.startswith(start)
    assert len(rest) in (0, 16)
    assert set(rest) <= set("0123456789abcdef")
    assert len(name) == 63 or not rest


def test_shortens_long_names() -> None:
    assert len(runk.fitting_name("x" * 300)) <= 253


def test_escapes_template_variables_for_json() -> None:
    values = variables({"TASK_INPUT_CONFIG": '{"a":"b\n"}', "lower": "1"}, {"LOWER": "2"})
    text = render('{"input": "{{.TASK_INPUT_CONFIG}}", "x": "{{ .LOWER }}{{.NOSUCH}}"}', values)
    assert json.loads(text) == {"input": '{"a":"b\n"}', "x": "2"}
    with pytest.raises(Unsupported, match="range"):
        render("{{range .X}}", values)
    with pytest.raises(TemplateError, match='function "foo" not defined'):
        render("{{foo}}", values)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("V.a", "1"),
        ("V.b", '["x",{"c":"<"}]'.replace("<", "\\u003c")),
        ("V.b[0]", "x"),
        ("V.b[-1].c", "<"),
        ("V.b[9]", ""),
        ("V.b[c=<].c", "<"),
        ("V.none.more", ""),
        ("T", "plain"),
        ("NONE", ""),
    ],
)
def test_selects_paths_in_json(path: str, text: str) -> None:
    """Kuscia's QueryByFields."""
    values = {"V": '{"b":["x",{"c":"<"}],"a":1}', "T": "plain"}
    assert render("{{{." + path + "}}}", values) == text
    assert unknown_keys("{{{." + path + "}}}", values) == ({"NONE"} if path == "NONE" else set())


def test_signs_certificates_with_domain_key() -> None:
    files = engine_files(h.KEY, "alice", "t-0")
    ca = x509.load_pem_x509_certificate(files["ca.crt"].encode())
    for role in ("server", "client"):
        cert = x509.load_pem_x509_certificate(files[f"{role}.crt"].encode())
        cert.verify_directly_issued_by(ca)
        assert "PRIVATE KEY" in files[f"{role}.key"]


class FakeCluster:
    """An API server without objects: 404, or the entry of `answers` for "<METHOD> <last part of the path>"."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.seen: list[str] = []
        self.items: list[Object] = []
        self.bodies: list[Object] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        last = request.path.rstrip("/").rsplit("/", 1)[-1]
        self.seen.append(f"{request.method} {last}")
        if request.method == "POST":
            kind = {"configmaps": "ConfigMap", "secrets": "Secret", "pods": "Pod"}[last]
            self.bodies.append({"kind": kind, **await request.json()})
        if request.query.get("watch"):
            await asyncio.sleep(60)
        status, message = self.answers.get(f"{request.method} {last}", (404, f'"{last}" not found'))
        if status < 300:
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": last}, "items": self.items}
            return web.json_response(body, status=status)
        return web.json_response({"kind": "Status", "message": message, "code": status}, status=status)

    @contextlib.asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[str]:
        """Yield the path of a kubeconfig for it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        kubeconfig = path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        try:
            yield str(kubeconfig)
        finally:
            await runner.cleanup()


def config(kubeconfig: str, **more: Any) -> Config:
    given = {
        "capacity": Capacity(cpu="1", memory="1Gi", storage="1Gi"),
        "runk": h.runk("engines", kubeconfig),
    }
    return Config(mode="lite", domain_id="alice", runtime="runk", **(given | more))


@contextlib.asynccontextmanager
async def started(kubeconfig: str) -> AsyncIterator[runk.RunkProvider]:
    provider = runk.RunkProvider(config(kubeconfig), "lite", "10.0.0.1")
    try:
        await provider.start()
        yield provider
    finally:
        await provider.close()


async def test_ping_accepts_404(tmp_path: Path) -> None:
    cluster = FakeCluster()
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig):
        assert cluster.seen[0] == "GET test"


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_agent_does_not_start_without_permissions(tmp_path: Path, status: int) -> None:
    cluster = FakeCluster()
    text = 'pods "test" is forbidden: User "system:serviceaccount:a:b" cannot get resource "pods"'
    cluster.answers["GET test"] = (status, text)
    async with cluster.serve(tmp_path) as kubeconfig:
        with pytest.raises(AgentStartError, match=r'detail-> pods "test" is forbidden'):
            async with started(kubeconfig):
                pass


async def test_agent_does_not_start_without_cluster(tmp_path: Path) -> None:
    async with FakeCluster().serve(tmp_path) as kubeconfig:
        pass
    with pytest.raises(AgentStartError, match="failed to ping backend k8s cluster"):
        async with started(kubeconfig):
            pass


async def test_reports_missing_in_cluster_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(AgentStartError, match="failed to get in cluster config"):
        async with started(""):
            pass


FILES = EngineFiles({"task-config.conf": "x"}, {"ca.crt": "y"})
CREATE = {"POST configmaps": (201, ""), "POST secrets": (201, ""), "POST pods": (201, "")}


async def test_keeps_existing_objects(tmp_path: Path) -> None:
    cluster = FakeCluster()
    cluster.answers = dict.fromkeys(CREATE, (409, 'pods "sample-1-a-0" already exists'))
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        await provider.create(stored_pod(), FILES)
    assert [entry for entry in cluster.seen if entry.startswith("POST")] == list(CREATE)


@pytest.mark.parametrize("kind", ["configmaps", "secrets", "pods"])
async def test_webhook_denial_is_permanent(tmp_path: Path, kind: str) -> None:
    cluster = FakeCluster()
    text = 'admission webhook "no.example.com" denied the request: privileged'
    cluster.answers = CREATE | {f"POST {kind}": (403, text)}
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        with pytest.raises(PodDenied, match=r"^Failed to apply pod\. Request was denied\. .* detail-> " + text):
            await provider.create(stored_pod(), FILES)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("POST pods", 403, 'pods is forbidden: User "x" cannot create resource "pods"'),
        ("POST secrets", 403, 'secrets is forbidden: User "x" cannot create resource "secrets"'),
        ("POST pods", 403, 'pods "sample-1-a-0" is forbidden: violates PodSecurity "restricted:latest"'),
        ("POST pods", 403, "exceeded quota: q, requested: pods=1"),
        ("POST pods", 422, 'Pod "sample-1-a-0" is invalid: spec.containers[0].image: Required value'),
        ("POST pods", 500, "etcdserver: request timed out"),
        ("POST pods", 409, 'object is being deleted: pods "sample-1-a-0" already exists'),
    ],
)
async def test_other_denials_are_retryable(tmp_path: Path, path: str, status: int, text: str) -> None:
    cluster = FakeCluster()
    cluster.answers = CREATE | {path: (status, text)}
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        with pytest.raises(ApiException) as caught:
            await provider.create(stored_pod(), FILES)
        assert runk.api_message(caught.value) == text


def listed(name: str, node: str) -> Object:
    return {"metadata": {"name": name, "labels": {names.LABEL_NAMESPACE: "alice", names.LABEL_NODE: node}}}


async def test_sweep_removes_only_pods_of_earlier_nodes(tmp_path: Path) -> None:
    """Their ConfigMaps and Secrets stay, and so do pods in the store or of a Ready node."""
    cluster = FakeCluster()
    made = {"own-0": "lite", "left-0": "earlier", "known-0": "earlier", "other-0": "other", "unlabelled-0": ""}
    cluster.items = [listed(name, node) for name, node in made.items()]
    cluster.answers["GET pods"] = (200, "")
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        await provider.sweep({"known-0"}, {"other"})
    assert [entry for entry in cluster.seen if entry.startswith("DELETE")] == ["DELETE left-0"]


async def test_reports_log_of_missing_pod(tmp_path: Path) -> None:
    async with FakeCluster().serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        with pytest.raises(LookupError, match="not found"):
            await anext(aiter(provider.log("nosuch", "engine", False)))


def test_annotates_objects_with_their_pod() -> None:
    """A label cannot contain a name of more than 63 characters."""
    pod = stored_pod("t" * 62)
    made = runk.backend_pod(pod, "lite", "engines", {}, {})
    metadata = runk.owned_metadata(made, "x")
    assert metadata["annotations"] == {"kuscia.secretflow/owner-pod-name": "t" * 62 + "-0"}
    assert metadata["labels"] == {
        names.LABEL_NAMESPACE: "carl",
        names.LABEL_NODE: "lite",
        names.LABEL_POD_UID: pod["metadata"]["uid"],
    }


async def test_deletes_objects_with_their_pod(tmp_path: Path) -> None:
    cluster = FakeCluster()
    owned = {"metadata": {"name": "a-0-certs", "annotations": {runk.OWNER_ANNOTATION: "a-0"}}}
    cluster.items = [owned, {"metadata": {"name": "b-0-certs", "annotations": {runk.OWNER_ANNOTATION: "b-0"}}}]
    cluster.answers |= {"GET configmaps": (200, ""), "GET secrets": (200, "")}
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        await provider.delete("a-0")
    deleted = [entry for entry in cluster.seen if entry.startswith("DELETE")]
    assert deleted == ["DELETE a-0", "DELETE a-0-certs", "DELETE a-0-certs"]


def test_default_dns_has_no_search_domains() -> None:
    settings = {"dns": {"searches": ["x"]}}
    assert runk.dns_config([], settings, "10.0.0.1") == {"nameservers": ["10.0.0.1"]}
    assert runk.dns_config(["1.2.3.4"], settings, "10.0.0.1") == {"nameservers": ["1.2.3.4"], "searches": ["x"]}


async def test_rejects_unknown_backend() -> None:
    agent = {"provider": {"k8s": {"backend": {"name": "gke"}}}}
    provider = runk.RunkProvider(config("", agent=agent), "lite", "10.0.0.1")
    with pytest.raises(AgentStartError, match='backend plugin "gke" not found'):
        await provider.start()


async def test_lost_permissions_stop_heartbeats(tmp_path: Path) -> None:
    cluster = FakeCluster()
    async with cluster.serve(tmp_path) as kubeconfig, started(kubeconfig) as provider:
        await provider.ping()
        cluster.answers["GET test"] = (403, 'pods "test" is forbidden')
        with pytest.raises(HostUnreachable, match="is forbidden"):
            await provider.ping()
