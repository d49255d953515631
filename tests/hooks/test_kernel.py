from pathlib import Path

from kuscia_hooks.kuscia import kernel

GOOD = {
    "net/ipv4/tcp_max_syn_backlog": 2048,
    "net/core/somaxconn": 4096,
    "net/ipv4/tcp_retries2": 5,
    "net/ipv4/tcp_slow_start_after_idle": 0,
    "net/ipv4/tcp_tw_reuse": 2,
    "fs/file-max": 102400,
}


def test_accepts_recommended_parameters() -> None:
    assert kernel.unmet(GOOD) == []
    assert kernel.unmet({}) == []


def test_names_parameters_that_differ() -> None:
    bad = {
        "net/ipv4/tcp_max_syn_backlog": 1024,
        "net/core/somaxconn": 128,
        "net/ipv4/tcp_retries2": 15,
        "net/ipv4/tcp_slow_start_after_idle": 1,
        "net/ipv4/tcp_tw_reuse": 0,
        "fs/file-max": 1,
    }
    named = {text.partition("=")[0] for text in kernel.unmet(bad)}
    assert named == {path.replace("/", ".") for path in GOOD}
    (one,) = kernel.unmet(GOOD | {"net/core/somaxconn": 128})
    assert one.startswith("net.core.somaxconn=128 ")


def test_reads_what_exists(tmp_path: Path) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/file-max").write_text("913998\n")
    assert kernel.parameters(tmp_path) == {"fs/file-max": 913998}
