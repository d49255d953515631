"""Kernel parameters that Kuscia recommends (Kuscia facts 12.6, number 15)."""

from collections.abc import Callable, Mapping
from pathlib import Path

_ROOT = Path("/proc/sys")
# Path below /proc/sys, what it must be as text, and as a test.
_RECOMMENDED: Mapping[str, tuple[str, Callable[[int], bool]]] = {
    "net/ipv4/tcp_max_syn_backlog": ("at least 2048", lambda value: value >= 2048),
    "net/core/somaxconn": ("at least 2048", lambda value: value >= 2048),
    "net/ipv4/tcp_retries2": ("at most 5", lambda value: value <= 5),
    "net/ipv4/tcp_slow_start_after_idle": ("0", lambda value: value == 0),
    "net/ipv4/tcp_tw_reuse": ("at least 1", lambda value: value >= 1),
    "fs/file-max": ("at least 102400", lambda value: value >= 102400),
}


def parameters(root: Path = _ROOT) -> dict[str, int]:
    """Return the parameters of this pod, by path, without unreadable ones."""
    found = {}
    for path in _RECOMMENDED:
        try:
            found[path] = int((root / path).read_text())
        except (OSError, ValueError):
            continue
    return found


def unmet(found: Mapping[str, object]) -> list[str]:
    """Return the parameters that differ from the recommendation, such as `net.core.somaxconn=128 (at least 2048)`."""
    texts = []
    for path, (rule, holds) in _RECOMMENDED.items():
        value = found.get(path)
        if isinstance(value, int) and not holds(value):
            texts.append(f"{path.replace('/', '.')}={value} ({rule})")
    return texts
