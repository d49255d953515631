"""`make demo`: the whole deployment guide on one machine, from nothing to a finished PSI job."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from testbed.cluster import toolchain
from testbed.cluster.errors import CannotRunHere
from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.demo import summary
from testbed.demo.commands import Screen
from testbed.demo.releases import RELEASES, ImageRefs, Release, install, uninstall
from testbed.images import adopt, builder
from testbed.images.cache import make_directory
from testbed.images.push import push
from testbed.servers import s3

NEEDS_PREFIX = (
    "CLUSTER=current requires IMAGE_PREFIX=registry/path. The images are pushed there, and your cluster pulls "
    "them from there."
)


class StepError(RuntimeError):
    """A step of the demo failed."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title when it begins and its duration when it ends."""
    click.secho(f"==> {title}", bold=True)
    begin = time.monotonic()
    yield
    click.echo(f"    {title}: {time.monotonic() - begin:.0f} s")


def with_ticks(work: Callable[[], None], tick: Callable[[], str], every: float = 10) -> None:
    """Run `work`; print what `tick` returns every `every` seconds until it ends."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        while True:
            try:
                return running.result(timeout=every)
            except TimeoutError:
                if running.done():
                    raise
                click.echo(f"    … {tick()}")


class Demo:
    """The demo on one cluster.

    Args:
        name: name of a local cluster, or `current` for the current context of the user's kubeconfig.
        prefix: registry path that images are pushed to for `current`.
        kuscia_image: Kuscia image to use; "" for the stand-in.
    """

    def __init__(self, name: str, prefix: str, kuscia_image: str) -> None:
        self.name = name
        self.prefix = prefix
        self.kuscia_image = kuscia_image
        self.local = None if name == "current" else Cluster(name)
        self.kubectl = Kubectl(self.local.kubeconfig if self.local else None)

    @property
    def commands(self) -> Screen:
        """The commands to look around, and to stop."""
        return Screen(self.name, self.prefix, self.local.kubeconfig if self.local else None)

    @property
    def namespaces(self) -> list[str]:
        return [release.namespace for release in RELEASES]

    def images(self) -> dict[str, str]:
        """Build the images and bring them to the cluster; return their references by name, including `kuscia`."""
        refs = self.bring(["kuscia-hooks", "psi-engine", "versitygw"])
        refs["kuscia"] = self.kuscia()
        return refs

    def kuscia(self) -> str:
        """Bring the Kuscia image to the cluster; return its reference."""
        if self.kuscia_image:
            return adopt.adopt(self.local, self.kuscia_image, self.prefix)
        return self.bring(["kuscia-sim"])["kuscia-sim"]

    def bring(self, names: list[str]) -> dict[str, str]:
        """Build images of this tree and bring them to the cluster; return their references by name."""
        built = builder.build(names)
        if not self.local:
            return push(list(built.values()), self.prefix)
        builder.load(self.local, list(built.values()))
        return {name: image.ref for name, image in built.items()}

    def next_kuscia(self, given: str) -> str:
        """Bring a second Kuscia image to the cluster, for upgrades; return its reference.

        Args:
            given: as `kuscia_image`; "" for the stand-in of another version, or for `kuscia_image` by another name.
        """
        if given:
            return adopt.adopt(self.local, given, self.prefix)
        if self.kuscia_image:
            return adopt.adopt_again(self.local, self.kuscia_image, self.prefix)
        return self.bring(["kuscia-sim-next"])["kuscia-sim-next"]

    def runp_image(self, secretflow_image: str = "") -> str:
        """Bring a Kuscia image that contains the engine of the example job to the cluster; return its reference.

        Args:
            secretflow_image: Kuscia's own kuscia-secretflow image; "" for the stand-in.
        """
        if secretflow_image:
            return adopt.adopt(self.local, secretflow_image, self.prefix)
        return self.bring(["kuscia-sim-psi"])["kuscia-sim-psi"]

    def image_values(self, refs: dict[str, str]) -> Path:
        """Write a values file that makes the releases run these images; return its path."""
        text = ImageRefs(refs["kuscia"], refs["kuscia-hooks"], refs["psi-engine"]).values()
        # One file per content, because another clone may use the same cluster with other images.
        path = make_directory() / f"values-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
        # Several processes may write it at once, and none must read half of it.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as part:
            part.write(text)
        Path(part.name).replace(path)
        return path

    def install_all(self, values: Path) -> None:
        """Install the three releases at the same time, as three parties would."""
        with ThreadPoolExecutor(len(RELEASES)) as pool:
            runs = {release: pool.submit(install, self.kubectl, release, values) for release in RELEASES}
        failed = [f"{release.party}: {run.exception()}" for release, run in runs.items() if run.exception()]
        if failed:
            raise StepError("\n".join(failed))

    def helm_test(self, release: Release) -> None:
        click.echo(
            self.kubectl.helm("test", release.name, "--namespace", release.namespace, "--logs", "--timeout", "15m")
        )

    def pods_line(self) -> str:
        """Return one line about the pods that are not ready."""
        waiting = []
        for namespace in self.namespaces:
            for pod in self.kubectl.get("pods", "-n", namespace)["items"]:
                phase = pod["status"]["phase"]
                containers = pod["status"].get("containerStatuses", [])
                ready = phase == "Running" and all(container["ready"] for container in containers)
                if phase != "Succeeded" and not ready:
                    waiting.append(f"{pod['metadata']['name']} {phase}")
        return "waiting for " + ", ".join(waiting) if waiting else "pods are ready"

    def ensure_tools(self) -> None:
        """Build kubectl and helm for the local cluster. For the user's own cluster, build helm if necessary.

        Raises:
            CannotRunHere: kubectl is missing.
        """
        if self.local:
            toolchain.ensure((*toolchain.CLUSTER_TOOLS, "helm"))
            return
        if not shutil.which("kubectl"):
            raise CannotRunHere("kubectl not found on the PATH. Install it, or build it with: make tools")
        if not shutil.which("helm"):
            toolchain.ensure(["helm"])

    def up(self) -> None:
        """Run all steps of the guide and print the screen.

        Raises:
            StepError, CommandError: a step failed.
            ClusterError: the machine cannot run the demo, or an image could not be built.
        """
        with step("Tools"):
            self.ensure_tools()
        if self.local:
            with step("Kubernetes"):
                self.local.up()
        with step("Images"):
            refs = self.images()
            values = self.image_values(refs)
        with step("S3 server"):
            s3.ensure(self.kubectl, refs["versitygw"])
        with step("Three releases: master, alice, bob"):
            with_ticks(lambda: self.install_all(values), self.pods_line)
        with step("helm test: master (runs the PSI job), alice, bob"):
            for release in RELEASES:
                with_ticks(partial(self.helm_test, release), self.pods_line)
        click.echo(summary.screen(self.kubectl, self.commands))

    def down(self) -> None:
        """Remove the local cluster, or the releases and namespaces in the user's own cluster."""
        if self.local:
            self.local.down()
            return
        self.ensure_tools()
        for release in RELEASES:
            uninstall(self.kubectl, release)
        s3.remove(self.kubectl)
