"""packages.sh with apt-get and dpkg-query of the test."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "packages.sh"
CONTAINERD = ("containerd", "ctr", "containerd-shim-runc-v2", "runc")
COREUTILS = ("sh", "mktemp", "tail", "grep", "rm", "chmod", "cat")

# Like apt: Debian's containerd and runc conflict with Docker's containerd.io.
APT = """#!/bin/sh
echo "$@" >>"$CALLS"
[ "$1" = install ] || exit 0
case " $* " in *" containerd "* | *" runc "*) ;; *) exit 0 ;; esac
[ -n "${DOCKER:-}" ] || exit 0
echo "The following packages will be REMOVED:"
echo "  containerd.io docker-ce"
case " $* " in *" --no-remove "*) echo "E: Packages need to be removed but remove is disabled." && exit 100 ;; esac
"""
DPKG = """#!/bin/sh
case " $INSTALLED " in *" $3 "*) printf installed ;; *) exit 1 ;; esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only directory on the PATH of the script."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in COREUTILS:
        (directory / name).symlink_to(f"/bin/{name}")
    write_program(directory / "apt-get", APT)
    write_program(directory / "dpkg-query", DPKG)
    write_program(directory / "systemctl", "#!/bin/sh\n")
    write_program(directory / "id", "#!/bin/sh\necho 0\n")
    return directory


def write_program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(programs: Path, *arguments: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The script's result and the calls of apt-get."""
    calls = programs.parent / "calls"
    env = {
        "PATH": str(programs),
        "CALLS": str(calls),
        "POLICY_FILE": str(programs.parent / "policy-rc.d"),
        "INSTALLED": "",
        "TMPDIR": str(programs.parent),
        **variables,
    }
    done = subprocess.run([str(SCRIPT), *arguments], env=env, capture_output=True, text=True, check=False)
    return done, calls.read_text().splitlines() if calls.exists() else []


def add_docker(programs: Path) -> None:
    for name in CONTAINERD:
        write_program(programs / name, "#!/bin/sh\n")


def test_installs_missing_packages_without_removing_any(programs: Path) -> None:
    done, calls = run(programs, INSTALLED="git make")
    assert done.returncode == 0, done.stderr
    update, install = calls
    assert update.startswith("update")
    words = install.split()
    assert {"install", "--no-remove", "containerd", "runc", "buildah"} <= set(words)
    assert not {"git", "make"} & set(words)
    assert not (programs.parent / "policy-rc.d").exists()


def test_uses_containerd_and_runc_of_docker(programs: Path) -> None:
    add_docker(programs)
    done, calls = run(programs, DOCKER="yes")
    assert done.returncode == 0, done.stderr
    assert not {"containerd", "runc"} & set(calls[-1].split())


def test_installs_containerd_when_a_program_of_it_is_missing(programs: Path) -> None:
    add_docker(programs)
    (programs / "ctr").unlink()
    done, calls = run(programs)
    assert done.returncode == 0, done.stderr
    assert "containerd" in calls[-1].split()
    assert "runc" not in calls[-1].split()


def test_fails_with_conflicting_packages_when_apt_would_remove_some(programs: Path) -> None:
    done, _ = run(programs, DOCKER="yes")
    assert done.returncode == 1
    assert "containerd.io docker-ce" in done.stderr
    assert "error:" in done.stderr
    assert not (programs.parent / "policy-rc.d").exists()


def test_prints_nothing_when_all_packages_are_installed(programs: Path) -> None:
    missing = run(programs, "--list")[0].stdout.strip()
    done, calls = run(programs, INSTALLED=missing)
    assert (done.returncode, done.stdout, done.stderr, calls) == (0, "", "", [])


def test_list_installs_nothing(programs: Path) -> None:
    done, calls = run(programs, "--list", INSTALLED="buildah")
    assert done.returncode == 0
    assert "skopeo" in done.stdout.split()
    assert "buildah" not in done.stdout.split()
    assert calls == []


def test_own_cluster_needs_no_packages_of_the_local_one(programs: Path) -> None:
    words = run(programs, "--list", "--own-cluster")[0].stdout.split()
    assert {"buildah", "skopeo", "debootstrap", "python3-venv"} <= set(words)
    assert not {"containerd", "runc", "iptables", "mariadb-server"} & set(words)


def test_requires_root(programs: Path) -> None:
    write_program(programs / "id", "#!/bin/sh\necho 1000\n")
    done, calls = run(programs)
    assert done.returncode == 2
    assert "sudo" in done.stderr
    assert calls == []


def test_rejects_unknown_arguments(programs: Path) -> None:
    done, calls = run(programs, "--purge")
    assert done.returncode == 2
    assert "--own-cluster" in done.stderr
    assert calls == []
