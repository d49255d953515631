"""Replay one transcript: python -m kuscia_sim_testing.run api-transcript [DIRECTORY [LINES]]."""

import sys
import tempfile
from pathlib import Path

from kuscia_sim_testing import prepare
from kuscia_sim_testing.hostcluster import ABSENT_IMAGES, HostClusterServer
from kuscia_sim_testing.recording import load
from kuscia_sim_testing.replay import Replay, table
from kuscia_sim_testing.world import World


def main() -> int:
    lines = load(sys.argv[1])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else len(lines)
    host = HostClusterServer(ABSENT_IMAGES)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        with World(directory, lines, host.kubeconfig) as world:
            results = list(Replay(lines[:limit], world).run(prepare.BEFORE.get(sys.argv[1])))
    host.close()
    print(table(results))
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
