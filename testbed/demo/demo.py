"""`make demo`: the whole deployment guide on one machine, from nothing to a finished PSI job."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.demo import summary
from testbed.demo.releases import RELEASES, ImageRefs, Release, install, uninstall
from testbed.images import adopt, builder
from testbed.images.cache import make_directory
from testbed.images.push import push
from testbed.servers import s3

NEEDS_PREFIX = (
    "CLUSTER=current needs IMAGE_PREFIX=registry/path, where the images are pushed "
    "and from where your cluster pulls them."
)


class StepError(RuntimeError):
    """A step of the demo failed; the text is for the person at the terminal."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title when it begins and its duration when it ends."""
    click.secho(f"==> {title}", bold=True)
    begin = time.monotonic()
    yield
    click.echo(f"    {title}: {time.monotonic() - begin:.0f} s")


def with_ticks(work: Callable[[], None], tick: Callable[[], str], every: float = 10) -> None:
    """Run `work`, printing what `tick` says each `every` seconds until it ends."""
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
        name: a local cluster's name, or `current` for the kubeconfig's current context.
        prefix: where images are pushed for `current`.
        kuscia_image: another Kuscia image than the stand-in's; "" for the stand-in.
    """

    def __init__(self, name: str, prefix: str, kuscia_image: str) -> None:
        self.name = name
        self.prefix = prefix
        self.kuscia_image = kuscia_image
        self.local = None if name == "current" else Cluster(name)
        self.kubectl = Kubectl(self.local.kubeconfig if self.local else None)

    @property
    def namespaces(self) -> list[str]:
        return [release.namespace for release in RELEASES]

    def images(self) -> dict[str, str]:
        """References of the images by name, `kuscia` among them; built, and put where the cluster finds them."""
        names = ["kuscia-hooks", "psi-engine", "versitygw"]
        if not self.kuscia_image:
            names.append("kuscia-sim")
        refs = self.bring(names)
        refs["kuscia"] = refs.get("kuscia-sim") or adopt.adopt(self.local, self.kuscia_image, self.prefix)
        return refs

    def bring(self, names: list[str]) -> dict[str, str]:
        """Build images of this tree and put them where the cluster finds them; their references by name."""
        built = builder.build(names)
        if not self.local:
            return push(list(built.values()), self.prefix)
        builder.load(self.local, list(built.values()))
        return {name: image.ref for name, image in built.items()}

    def next_kuscia(self, given: str) -> str:
        """Another Kuscia image than that of `images`, to change to.

        Args:
            given: as for `kuscia_image`; "" for the same with another version (the stand-in) or name.
        """
        if given:
            return adopt.adopt(self.local, given, self.prefix)
        if self.kuscia_image:
            return adopt.adopt_again(self.local, self.kuscia_image, self.prefix)
        return self.bring(["kuscia-sim-next"])["kuscia-sim-next"]

    def runp_image(self, secretflow_image: str = "") -> str:
        """Reference of a Kuscia image with the engine of the example job in it, where the cluster finds it.

        Args:
            secretflow_image: kuscia-secretflow of a genuine Kuscia; "" for the stand-in's.
        """
        if secretflow_image:
            return adopt.adopt(self.local, secretflow_image, self.prefix)
        return self.bring(["kuscia-sim-psi"])["kuscia-sim-psi"]

    def image_values(self, refs: dict[str, str]) -> Path:
        """A values file that makes the releases run these images."""
        text = ImageRefs(refs["kuscia"], refs["kuscia-hooks"], refs["psi-engine"]).values()
        # A name of its own for each content: another clone may use the same cluster with other images.
        path = make_directory() / f"values-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
        path.write_text(text)
        return path

    def install_all(self, values: Path) -> None:
        """The three releases at the same time, as three parties would."""
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
        """One line about every pod that is not there yet."""
        words = []
        for namespace in self.namespaces:
            for pod in self.kubectl.get("pods", "-n", namespace)["items"]:
                phase = pod["status"]["phase"]
                containers = pod["status"].get("containerStatuses", [])
                ready = phase == "Running" and all(container["ready"] for container in containers)
                if phase != "Succeeded" and not ready:
                    words.append(f"{pod['metadata']['name']} {phase}")
        return "waiting for " + ", ".join(words) if words else "pods are ready"

    def up(self) -> None:
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
        click.echo(summary.screen(self.kubectl, self.name))

    def down(self) -> None:
        if self.local:
            self.local.down()
            return
        for release in RELEASES:
            uninstall(self.kubectl, release)
        s3.remove(self.kubectl)
