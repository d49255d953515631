"""RunP: engines as processes next to the lite, in the same container (Kuscia facts 1.6, 9, 12.4).

An engine of a built-in image sees the files of Kuscia's image. Its mounts and its working directory are below a
directory per engine that is not its root. It therefore finds them by relative paths, as SecretFlow's AppImage does, but
not by absolute ones. Its environment starts with Kuscia's.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from kuscia_sim.agent import images
from kuscia_sim.agent.certs import DIRECTORY as CERTS_DIRECTORY
from kuscia_sim.agent.certs import ENVIRONMENT
from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.agent.provider import EngineFiles, PodDenied
from kuscia_sim.jobs import names
from kuscia_sim.state.store import Object

log = logging.getLogger("runp")

LOG_POLL_SECONDS = 0.2
MESSAGE_BYTES = 2048
# Variables of the stand-in that Kuscia does not have.
OWN_ENVIRONMENT = ("KUSCIA_SIM_", "PYTHON")


@dataclasses.dataclass
class Container:
    """One process of a pod; `process` is None if it could not be started."""

    name: str
    image: str
    output: Path
    started: str
    process: asyncio.subprocess.Process | None = None
    waiting: dict[str, str] | None = None
    finished: str = ""

    @property
    def exit_code(self) -> int | None:
        code = self.process.returncode if self.process else None
        return None if code is None else (code if code >= 0 else 128 - code)


@dataclasses.dataclass
class Pod:
    """A pod that runs here."""

    labels: dict[str, str]
    directory: Path
    containers: list[Container]
    watchers: list["asyncio.Task[None]"] = dataclasses.field(default_factory=list)


class RunpProvider:
    """Engine processes of one lite; they end with it."""

    def __init__(self, home: Path, domain: str, hostname: str, pod_ip: str) -> None:
        self._store = home / images.STORE
        self._root = home / "var/runp"
        self._domain = domain
        self._hostname = hostname
        self._pod_ip = pod_ip
        self._pods: dict[str, Pod] = {}
        self._images: dict[str, images.Image] = {}
        self._event = asyncio.Event()

    async def start(self) -> None:
        try:
            self._images = images.listed(self._store)
            shutil.rmtree(self._root, ignore_errors=True)
            self._root.mkdir(parents=True)
        except (OSError, images.BadStore) as err:
            raise AgentStartError(f"failed to init runtime process, detail-> {err}") from err
        log.info("Images for runtime process: %s", ", ".join(sorted(self._images)) or "none")

    async def close(self) -> None:
        await asyncio.gather(*(self.delete(name) for name in list(self._pods)))

    async def ping(self) -> None:
        """Do nothing: the host is this container."""

    async def existing(self) -> dict[str, Object]:
        return {name: self._describe(name, pod) for name, pod in self._pods.items()}

    async def create(self, pod: Object, files: EngineFiles) -> None:
        name = pod["metadata"]["name"]
        if name in self._pods:
            return
        directory = self._root / name
        labels = {
            **pod["metadata"].get("labels", {}),
            names.LABEL_NAMESPACE: self._domain,
            names.LABEL_NODE: self._hostname,
            names.LABEL_POD_UID: pod["metadata"]["uid"],
        }
        made = self._pods[name] = Pod(labels, directory, [])
        for container in pod["spec"]["containers"]:
            made.containers.append(await self._run(container, directory / container["name"], files))
        made.watchers = [
            asyncio.create_task(self._watch(container)) for container in made.containers if container.process
        ]

    async def _run(self, container: dict[str, Any], directory: Path, files: EngineFiles) -> Container:
        output = directory / "output.log"
        result = Container(container["name"], container["image"], output, _now())
        image = self._images.get(container["image"])
        if image is None:
            result.waiting = {
                "reason": "ErrImageNeverPull",
                "message": f'Container image "{container["image"]}" is not one of the built-in images '
                f"[{', '.join(sorted(self._images))}]",
            }
            return result
        if not image.built_in:
            raise PodDenied(f"the stand-in runs built-in images only; {container['image']} is not built in")
        layout = Layout(directory / "root", container)
        layout.write(files)
        output.parent.mkdir(parents=True, exist_ok=True)
        command = _command(container, image)
        try:
            with output.open("wb") as stream:
                result.process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=layout.working_directory,
                    env=layout.environment(image),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stream,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
        except (OSError, ValueError, TypeError) as err:
            result.waiting = {
                "reason": "CreateContainerError",
                "message": f"failed to start {command}: {err}",
            }
        return result

    async def _watch(self, container: Container) -> None:
        assert container.process
        await container.process.wait()
        # Child processes end with it.
        _kill(container.process)
        container.finished = _now()
        self._event.set()

    async def delete(self, pod_name: str) -> None:
        pod = self._pods.pop(pod_name, None)
        if pod is None:
            return
        processes = [item.process for item in pod.containers if item.process and item.exit_code is None]
        for process in processes:
            _kill(process)
        await asyncio.gather(*pod.watchers)
        shutil.rmtree(pod.directory, ignore_errors=True)
        log.info("Pod %s/%s killed successfully", self._domain, pod_name)

    async def sweep(self, keep: set[str], ready: set[str]) -> None:
        """Do nothing: no engine outlives its node."""

    async def wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()

    async def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        pod = self._pods.get(pod_name)
        found = [item for item in pod.containers if item.name == container] if pod else []
        if not found or not found[0].output.exists():
            raise LookupError(f'container "{container}" of pod "{pod_name}" not found')
        with found[0].output.open(errors="replace") as stream:
            pending = ""
            while True:
                ended = bool(found[0].finished) or not follow
                for piece in stream:
                    pending += piece
                    if pending.endswith("\n"):
                        yield pending[:-1]
                        pending = ""
                if ended:
                    break
                await asyncio.sleep(LOG_POLL_SECONDS)
            if pending:
                yield pending

    def _describe(self, name: str, pod: Pod) -> Object:
        statuses = [_container_status(container) for container in pod.containers]
        codes = [container.exit_code for container in pod.containers]
        if any(container.process is None for container in pod.containers):
            phase = names.PENDING
        elif None in codes:
            phase = names.RUNNING
        else:
            phase = names.FAILED if any(codes) else names.SUCCEEDED
        return {
            "metadata": {"name": name, "labels": pod.labels},
            "status": {
                "phase": phase,
                "podIP": self._pod_ip,
                "startTime": pod.containers[0].started,
                "containerStatuses": statuses,
            },
        }


class Layout:
    """Paths of an engine's files."""

    def __init__(self, root: Path, container: dict[str, Any]) -> None:
        self._root = root
        self._container = container
        self._directory = str(container.get("workingDir") or "/")
        self._mounts = {mount["mountPath"]: mount.get("subPath", "") for mount in container["volumeMounts"]}

    @property
    def working_directory(self) -> Path:
        return self._below(self._directory)

    def write(self, files: EngineFiles) -> None:
        """Create the directories and files. A mount without subPath is a directory with all files."""
        self.working_directory.mkdir(parents=True, exist_ok=True)
        for mount, sub_path in self._mounts.items():
            target = self._below(mount)
            chosen = (
                {target: files.config[sub_path]}
                if sub_path
                else {target / name: text for name, text in files.config.items()}
            )
            for path, text in chosen.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        certs = self.working_directory / CERTS_DIRECTORY
        certs.mkdir(parents=True, exist_ok=True)
        for name, text in files.certs.items():
            (certs / name).touch(mode=0o600)
            (certs / name).write_text(text)

    def environment(self, image: images.Image) -> dict[str, str]:
        """Merge Kuscia's environment with those of the image, the certificates and the pod; later ones win."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_ENVIRONMENT)}
        of_image = {name: value for name, _, value in (line.partition("=") for line in image.env)}
        own = {entry["name"].upper(): str(entry.get("value", "")) for entry in self._container["env"]}
        certs = {key: f"{CERTS_DIRECTORY}/{name}" for key, name in ENVIRONMENT.items()}
        return inherited | of_image | certs | own

    def _below(self, path: str) -> Path:
        return self._root / path.lstrip("/")


def _container_status(container: Container) -> dict[str, Any]:
    code = container.exit_code
    if container.waiting:
        state: dict[str, Any] = {"waiting": container.waiting}
    elif code is None:
        state = {"running": {"startedAt": container.started}}
    else:
        message = _tail(container.output) if code else ""
        state = {
            "terminated": {
                "exitCode": code,
                "reason": "Error" if code else "Completed",
                "startedAt": container.started,
                "finishedAt": container.finished or _now(),
                **({"message": message} if message else {}),
            }
        }
    return {
        "name": container.name,
        "image": container.image,
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def _tail(path: Path) -> str:
    """Return the end of the output as a termination message (policy FallbackToLogsOnError)."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - MESSAGE_BYTES))
        return stream.read().decode("utf-8", "replace")


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its children at once, as Kuscia does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _command(container: dict[str, Any], image: images.Image) -> list[str]:
    """Return the pod's command, or the image's entry point. A given command drops the image's arguments."""
    args = container.get("args") or []
    if container.get("command"):
        return [*container["command"], *args]
    return [*image.entrypoint, *(args or image.cmd)]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
