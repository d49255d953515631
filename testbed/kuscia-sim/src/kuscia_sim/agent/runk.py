"""RunK: engines as pods of the host cluster, created with the lite's ServiceAccount.

The pod is recorded in runk-task-pod.yaml. Permissions used: get, list, watch, create and delete on pods, configmaps
and secrets, and get on pods/log (Kuscia facts 4 and 16.4).
"""

import asyncio
import datetime
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any

import aiohttp
from kubernetes_asyncio import client
from kubernetes_asyncio import config as kube_config
from kubernetes_asyncio import watch as kube_watch
from kubernetes_asyncio.client.exceptions import ApiException

from kuscia_sim.agent.certs import DIRECTORY as CERTS_DIRECTORY
from kuscia_sim.agent.certs import ENVIRONMENT
from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.agent.provider import EngineFiles, HostUnreachable, PodDenied, pod_label
from kuscia_sim.jobs import names
from kuscia_sim.node.config import Config
from kuscia_sim.state.store import Object

log = logging.getLogger("runk")

TIMEOUT = 10
MAX_NAME = 253
CERTS_VOLUME = "certs"
RESOLVER_VOLUME, RESOLVER_FILE = "resolv-config", "resolv.conf"
WATCH_SECONDS = 120
RETRY_SECONDS = 2.0
DENIED = "denied the request"
"""What Kuscia treats as a permanent rejection (k8s_provider.go, syncErrAction): that of an admission webhook. After one
by Pod Security, a quota or validation it retries without limit while the task waits.
"""
BACKENDS = ("", "sigma")
HOST_ERRORS = (ApiException, aiohttp.ClientError, TimeoutError, OSError)
"""What a call to the host cluster may raise; all of it is retryable."""


class RunkProvider:
    """Engine pods in `runk.namespace` of the cluster that the lite runs in, or of that in runk.kubeconfigFile."""

    def __init__(self, config: Config, hostname: str, pod_ip: str) -> None:
        self._config = config
        self._domain = config.domain_id
        self._namespace = config.runk.namespace
        self._hostname = hostname
        self._pod_ip = pod_ip
        self._settings: dict[str, Any] = ((config.agent.get("provider") or {}).get("k8s")) or {}
        self._selector = f"{names.LABEL_NAMESPACE}={self._domain}"
        self._resolver = ""
        self._event = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._api: client.ApiClient | None = None
        self._core: Any = None

    async def start(self) -> None:
        if not self._namespace:
            raise AgentStartError("runk.namespace is empty, set it to the namespace for engine pods")
        self._resolver = read_resolver(self._settings)
        check_affinities(self._settings.get("affinitiesToAdd"))
        backend = (self._settings.get("backend") or {}).get("name") or ""
        if backend not in BACKENDS:
            raise AgentStartError(f'failed to build pod provider, detail-> backend plugin "{backend}" not found')
        self._api = await self._connect()
        self._core = client.CoreV1Api(self._api)
        try:
            await self.ping()
        except HostUnreachable as err:
            raise AgentStartError(f"failed to ping backend k8s cluster, detail-> {err}") from err
        self._watcher = asyncio.create_task(self._watch())

    async def _connect(self) -> client.ApiClient:
        path = self._config.runk.kubeconfig_file
        configuration = client.Configuration()
        # An API server of another version may omit or add what this client's models expect.
        configuration.client_side_validation = False
        try:
            if path:
                await kube_config.load_kube_config(config_file=path, client_configuration=configuration)
            else:
                kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (kube_config.ConfigException, OSError, ValueError) as err:
            where = f"build config from kubeconfig {path}" if path else "get in cluster config"
            raise AgentStartError(f"failed to {where}, detail-> {err}") from err
        return client.ApiClient(configuration)

    async def ping(self) -> None:
        """Query a pod that does not exist, as Kuscia does: 404 proves access."""
        try:
            await self._core.read_namespaced_pod("test", self._namespace, _request_timeout=TIMEOUT)
        except HOST_ERRORS as err:
            if not isinstance(err, ApiException) or err.status != 404:
                raise HostUnreachable(describe(err)) from err

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._api:
            await self._api.close()

    async def existing(self) -> dict[str, Object]:
        answer = await self._core.list_namespaced_pod(
            self._namespace, label_selector=self._selector, _request_timeout=TIMEOUT
        )
        items: list[Object] = self._core.api_client.sanitize_for_serialization(answer)["items"]
        return {pod["metadata"]["name"]: pod for pod in items}

    async def create(self, pod: Object, files: EngineFiles) -> None:
        backend = backend_pod(pod, self._hostname, self._namespace, self._dns(), self._settings, self._resolver)
        for volume in backend["spec"]["volumes"]:
            if "configMap" in volume:
                metadata = owned_metadata(backend, volume["configMap"]["name"])
                data = {RESOLVER_FILE: self._resolver} if volume["name"] == RESOLVER_VOLUME else files.config
                body = {"metadata": metadata, "data": data}
                await self._make("configmap", self._core.create_namespaced_config_map, body)
        secret = {"metadata": owned_metadata(backend, certs_name(pod)), "stringData": files.certs}
        await self._make("secret", self._core.create_namespaced_secret, secret)
        await self._make("pod", self._core.create_namespaced_pod, backend)

    async def _make(self, kind: str, call: Any, body: Object) -> None:
        name = body["metadata"]["name"]
        try:
            await call(self._namespace, body, _request_timeout=TIMEOUT)
        except ApiException as err:
            if err.status == 409 and not _is_terminating(err):
                log.info("%s %s/%s already exists, skip applying", kind, self._namespace, name)
                return
            if DENIED in api_message(err):
                raise PodDenied(
                    "Failed to apply pod. Request was denied. Checking host k8s validating admission webhook rules "
                    f"might be helpful, err detail: failed to create {kind} {name}, detail-> {api_message(err)}"
                ) from err
            raise
        log.info("Create %s %s/%s successfully", kind, self._namespace, name)

    async def delete(self, pod_name: str) -> None:
        await self._remove("pod", self._core.delete_namespaced_pod, pod_name)
        for kind, listing, deletion in self._sub_resources():
            answer = await listing(self._namespace, label_selector=self._selector, _request_timeout=TIMEOUT)
            for item in answer.items:
                if (item.metadata.annotations or {}).get(OWNER_ANNOTATION) == pod_name:
                    await self._remove(kind, deletion, item.metadata.name)

    async def sweep(self, keep: set[str], ready: set[str]) -> None:
        """Remove pods only, as Kuscia does: their ConfigMaps and Secrets are never removed."""
        for name, pod in (await self.existing()).items():
            if pod_label(pod, names.LABEL_NODE) not in {"", self._hostname, *ready} and name not in keep:
                await self._remove("pod", self._core.delete_namespaced_pod, name)

    def _sub_resources(self) -> list[tuple[str, Any, Any]]:
        core = self._core
        return [
            ("configmap", core.list_namespaced_config_map, core.delete_namespaced_config_map),
            ("secret", core.list_namespaced_secret, core.delete_namespaced_secret),
        ]

    async def _remove(self, kind: str, call: Any, name: str) -> None:
        try:
            await call(name, self._namespace, _request_timeout=TIMEOUT)
        except ApiException as err:
            if err.status != 404:
                raise
            return
        log.info("Backend %s %s/%s deleted", kind, self._namespace, name)

    async def wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()

    async def _watch(self) -> None:
        """Set the event whenever a pod of this domain changes; the agent then checks what changed."""
        while True:
            try:
                async with kube_watch.Watch() as stream:
                    async for _ in stream.stream(
                        self._core.list_namespaced_pod,
                        self._namespace,
                        label_selector=self._selector,
                        timeout_seconds=WATCH_SECONDS,
                    ):
                        self._event.set()
            except HOST_ERRORS as err:
                log.warning("watching pods of namespace %s was interrupted: %s", self._namespace, describe(err))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("watching pods of namespace %s was interrupted", self._namespace)
                await asyncio.sleep(RETRY_SECONDS)

    async def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT)
        try:
            response = await self._core.read_namespaced_pod_log(
                pod_name,
                self._namespace,
                container=container,
                follow=follow,
                _preload_content=False,
                _request_timeout=timeout,
            )
        except ApiException as err:
            raise LookupError(api_message(err)) from err
        try:
            if response.status >= 400:
                raise LookupError(_body_message(await response.text()))
            pending = b""
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
            if pending:
                yield pending.decode("utf-8", "replace")
        finally:
            response.close()

    def _dns(self) -> dict[str, list[str]]:
        return dns_config(list(self._config.runk.dns_servers), self._settings, self._pod_ip)


def dns_config(servers: list[str], settings: dict[str, Any], pod_ip: str) -> dict[str, list[str]]:
    """Return an engine pod's dnsConfig; without configured servers it uses the lite, without search domains."""
    if not servers:
        return {"nameservers": [pod_ip]}
    searches = (settings.get("dns") or {}).get("searches")
    return {"nameservers": servers, **({"searches": searches} if searches else {})}


def read_resolver(settings: dict[str, Any]) -> str:
    """Return the text of the file that agent.provider.k8s.dns.resolverConfig names (Kuscia's k8s_provider.go), or "".

    Raises:
        AgentStartError: the file cannot be read.
    """
    path = (settings.get("dns") or {}).get("resolverConfig")
    if not path:
        return ""
    try:
        return Path(str(path)).read_text()
    except (OSError, UnicodeDecodeError) as err:
        reason = (err.strerror or "").lower() if isinstance(err, OSError) else str(err)
        text = f"failed to read resolver config file, detail-> open {path}: {reason}"
        raise AgentStartError(f"failed to build pod provider, detail-> {text}") from err


AFFINITIES = ("nodeAffinity", "podAffinity", "podAntiAffinity")


def check_affinities(given: Any) -> None:
    """Check agent.provider.k8s.affinitiesToAdd, which Kuscia converts into an Affinity through JSON at start.

    Unknown fields are dropped.

    Raises:
        AgentStartError: a field has the wrong type.
    """
    if given is not None and not isinstance(given, dict):
        raise AgentStartError("failed to unmarshal json to Affinities, detail-> affinitiesToAdd is not a map")
    for key in AFFINITIES:
        value = (given or {}).get(key)
        if value is not None and not isinstance(value, dict):
            raise AgentStartError(
                "failed to unmarshal json to Affinities, detail-> json: cannot unmarshal "
                f"{'array' if isinstance(value, list) else 'string'} into Go struct field Affinity.{key}"
            )


OWNER_ANNOTATION = "kuscia.secretflow/owner-pod-name"
"""On ConfigMaps and Secrets: the pod they were created for (Kuscia's pkg/agent/provider/pod/k8s_provider.go)."""


def owned_metadata(pod: Object, name: str) -> Object:
    """Return the metadata of an object created for a pod of the host cluster."""
    metadata = pod["metadata"]
    kept = (names.LABEL_NAMESPACE, names.LABEL_NODE, names.LABEL_POD_UID)
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": {key: metadata["labels"][key] for key in kept},
        "annotations": {OWNER_ANNOTATION: metadata["name"]},
    }


def certs_name(pod: Object) -> str:
    """Return the name of the Secret with the engine's certificates."""
    return fitting_name(f"{pod['metadata']['name']}-certs")


def fitting_name(name: str) -> str:
    """Return the name, or a hash of it if it is too long for an object name."""
    return name if len(name) <= MAX_NAME else hashlib.sha256(name.encode()).hexdigest()


def engine_labels(source: Object, hostname: str) -> dict[str, str]:
    """Return the labels of an engine pod on the host cluster, without `labelsToAdd`.

    Args:
        source: metadata of the pod at the master.
        hostname: name of this node.
    """
    return {
        **(source.get("labels") or {}),
        names.LABEL_NAMESPACE: source["namespace"],
        names.LABEL_NODE: hostname,
        names.LABEL_POD_UID: source["uid"],
    }


def backend_pod(
    pod: Object,
    hostname: str,
    namespace: str,
    dns: dict[str, list[str]],
    settings: dict[str, Any],
    resolver: str = "",
) -> Object:
    """Return the pod for the host cluster, derived from the pod in the store.

    Args:
        settings: agent.provider.k8s in kuscia.yaml.
        resolver: an /etc/resolv.conf for all containers; empty for that of the cluster.
    """
    name, source = pod["metadata"]["name"], pod["metadata"]
    spec = {
        key: value for key, value in pod["spec"].items() if key not in ("nodeName", "nodeSelector", "schedulerName")
    }
    spec["dnsPolicy"] = (settings.get("dns") or {}).get("policy") or "None"
    spec["dnsConfig"] = dns
    if settings.get("runtimeClassName"):
        spec["runtimeClassName"] = settings["runtimeClassName"]
    affinities = {key: value for key, value in (settings.get("affinitiesToAdd") or {}).items() if key in AFFINITIES}
    if affinities:
        spec["affinity"] = affinities
    volumes = []
    given = [*spec.get("volumes", [])]
    if resolver:
        given.append({"name": RESOLVER_VOLUME, "configMap": {"name": RESOLVER_VOLUME}})
    for volume in given:
        renamed = fitting_name(f"{name}-{volume['configMap']['name']}")
        volumes.append({**volume, "configMap": {"name": renamed}})
    volumes.append({"name": CERTS_VOLUME, "secret": {"secretName": certs_name(pod)}})
    spec["volumes"] = volumes
    spec["containers"] = [_backend_container(container, bool(resolver)) for container in spec["containers"]]
    annotations = {
        key: value
        for key, value in source.get("annotations", {}).items()
        if key not in (names.ANNOTATION_ACCESS_DOMAINS, names.ANNOTATION_CREATED)
    }
    now = datetime.datetime.now().astimezone().isoformat()
    annotations |= {"kubernetes.io/config.seen": now, "kubernetes.io/config.source": "api"}
    labels = engine_labels(source, hostname)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels | (settings.get("labelsToAdd") or {}),
            "annotations": annotations | (settings.get("annotationsToAdd") or {}),
        },
        "spec": spec,
    }


def _backend_container(container: dict[str, Any], resolver: bool) -> dict[str, Any]:
    directory = PurePosixPath(container.get("workingDir") or "/") / CERTS_DIRECTORY
    env = [
        *container["env"],
        *({"name": key, "value": f"{CERTS_DIRECTORY}/{file}"} for key, file in ENVIRONMENT.items()),
    ]
    mounts = [*container["volumeMounts"]]
    if resolver:
        mounts.append({"name": RESOLVER_VOLUME, "mountPath": "/etc/resolv.conf", "subPath": RESOLVER_FILE})
    mounts.append({"name": CERTS_VOLUME, "mountPath": str(directory)})
    return {**container, "env": env, "volumeMounts": mounts}


def api_message(err: ApiException) -> str:
    """Return the API server's message."""
    return _body_message(err.body if isinstance(err.body, str) else "") or f"{err.status} {err.reason}"


def _body_message(body: str) -> str:
    try:
        return str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        return body.strip()


def describe(err: BaseException) -> str:
    """Return one line that describes an error of the host cluster."""
    return api_message(err) if isinstance(err, ApiException) else repr(err)


def _is_terminating(err: ApiException) -> bool:
    return "being deleted" in api_message(err)
