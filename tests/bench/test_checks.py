"""The releases of which the benchmark measures `check`."""

from pathlib import Path

from bench.api_server import ApiServer
from bench.checks import World


def test_the_presets_configure_every_step(tmp_path: Path) -> None:
    world = World(tmp_path, ApiServer(), "http://127.0.0.1:1")
    world.render()
    assert {"prepare", "register", "routes", "check"} <= world.master.files.keys()
    for lite in world.lites:
        assert {"prepare", "seed", "data", "check"} <= lite.files.keys()
