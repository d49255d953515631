"""An API server accepts the examples in a dry run: with the definitions of the controllers, and their rules."""

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import yaml

from tests.chart.render import Object, tool
from tests.fuzz.api_server import Address, running
from tests.gitops import definitions
from tests.gitops.examples import COMPONENTS, LAYOUTS, SOURCES, argocd, flux, pruning
from tests.gitops.no_hooks import KEPT, MORE, objects

pytestmark = pytest.mark.fuzz

CASES: dict[str, Callable[[], list[Object]]] = {
    **{f"{layout} {source}": partial(flux, layout, source) for layout in LAYOUTS for source in SOURCES},
    **{" ".join(["argocd", *names]): partial(argocd, *names) for names in ((), COMPONENTS)},
}


class Server:
    """kubectl with an API server that has the kinds of the controllers."""

    def __init__(self, address: Address) -> None:
        self._command = [
            tool("kubectl"), f"--server=https://127.0.0.1:{address.port}", f"--token={address.token}",
            f"--certificate-authority={address.ca}",
        ]  # fmt: skip

    def kubectl(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self._command, *arguments], input=stdin, text=True, capture_output=True, check=False)

    def dry_run(self, objects: list[Object]) -> "subprocess.CompletedProcess[str]":
        return self.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-",
            stdin=yaml.safe_dump_all(objects),
        )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as address:
        found = Server(address)
        for definition in definitions.load().values():
            done = found.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(definition))
            assert done.returncode == 0, done.stderr
        done = found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        assert done.returncode == 0, done.stderr
        yield found


@pytest.mark.parametrize("case", CASES)
def test_accepts_the_examples(server: Server, case: str) -> None:
    objects = CASES[case]()
    done = server.dry_run(objects)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(objects)


def test_rejects_a_strategy_with_a_wrong_name(server: Server) -> None:
    """The definitions have the rules of the controllers, not only their fields."""
    (release,) = (item for item in flux("two-clusters/partner-cluster") if item["kind"] == "HelmRelease")
    wrong = release | {"spec": release["spec"] | {"install": {"strategy": {"name": "RetryForever"}}}}
    assert server.dry_run([wrong]).returncode != 0
    both = release | {
        "spec": release["spec"]
        | {"chart": {"spec": {"chart": "c", "sourceRef": {"kind": "GitRepository", "name": "g"}}}}
    }
    assert server.dry_run([both]).returncode != 0


@pytest.mark.parametrize("namespace", MORE)
def test_pruning_deletes_what_left_the_file_and_no_state(server: Server, namespace: str) -> None:
    """Even keys with the label that pruning selects stay."""
    labels = {"app.kubernetes.io/instance": "kuscia"}
    state = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"state-{kind.lower()}", "labels": labels}}
        for kind in ("Secret", "ConfigMap")
    ]
    before, after = objects(namespace, MORE[namespace]), objects(namespace, {})
    for found, options in (([*before.values(), *state], []), ([*after.values()], pruning())):
        done = server.kubectl("apply", "-n", namespace, *options, "-f", "-", stdin=yaml.safe_dump_all(found))
        assert done.returncode == 0, done.stderr

    def live(kind: str) -> set[tuple[str, str]]:
        done = server.kubectl("get", kind, "-n", namespace, "-o", "json")
        assert done.returncode == 0, done.stderr
        return {(kind, item["metadata"]["name"]) for item in json.loads(done.stdout)["items"]}

    kinds = {kind for kind, _ in before}
    left = set.union(*map(live, kinds | {"Secret"})) - after.keys()
    assert before.keys() - after.keys()
    assert left == {("Secret", "state-secret"), ("ConfigMap", "state-configmap")} | {
        key for key in before.keys() - after.keys() if key[0] in KEPT
    }
