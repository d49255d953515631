"""Replays one transcript by hand: python contract/run.py api-transcript [DIRECTORY]."""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from hostcluster import HostClusterServer
from recording import load
from replay import Replay, table
from world import World


def main() -> int:
    lines = load(sys.argv[1])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else len(lines)
    host = HostClusterServer({"docker.io/local/doesnotexist"})
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        with World(directory, lines, host.kubeconfig) as world:
            results = list(Replay(lines[:limit], world).run())
    host.close()
    print(table(results))
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
