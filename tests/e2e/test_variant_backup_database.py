"""docs/backup.md for a master on MySQL or PostgreSQL: its table dumped while it runs, lost and restored."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from testbed.demo.releases import uninstall
from testbed.servers import databases
from testbed.servers.databases import MARIADB, POSTGRES, Server
from tests.e2e import datastores, guide, messages, parties
from tests.e2e.backups import DOCUMENT, KEYS, RELEASE, save, shell, step_log
from tests.e2e.datastores import Master
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def run_at_the_server(one: Master, heading: str) -> None:
    """Run the commands of the document for a kind of server in the server's container, as the master's user."""
    (block,) = guide.commands(DOCUMENT, heading, datastores.PRESETS[one.server.name])
    login = f"""cd /tmp; umask 077
export PGHOST=127.0.0.1 PGUSER={one.user} PGPASSWORD={one.password}
cat > kine.cnf <<EOF
[client]
host=127.0.0.1
user={one.user}
password={one.password}
EOF
"""
    where = ("-n", one.server.namespace, f"deployment/{one.server.name}", "-c", "server")
    one.made.kubectl.run("exec", "-i", *where, "--", "bash", "-euo", "pipefail", "-s", stdin=login + block)


@pytest.mark.parametrize("server", [MARIADB, POSTGRES], ids=lambda server: server.name)
def test_restores_master_and_database(demo: Demo, images: Path, server: Server, tmp_path: Path) -> None:
    """The master is saved while it runs, deleted with its database, and restored while a lite runs."""
    kind, both = datastores.PRESETS[server.name], ("master", "alice")
    server = replace(server, namespace=f"v-backup-{server.name}")
    with (
        datastores.running(demo, server),
        datastores.master(demo, images, server, "kuscia", f"backup-{kind}", both) as made_one,
    ):
        one, made = replace(made_one, password="plain"), made_one.made
        one.set_secret(one.password)
        one.make_user()
        one.make_database()
        made.install_all()
        kept, pods = one.kept(), parties.pods(made, ("alice",))
        save(made, tmp_path, "master", f"kuscia-{kind}")
        run_at_the_server(one, "Save the state of a master on MySQL or PostgreSQL")
        uninstall(made.kubectl, made.release("master"))
        databases.drop(demo.kubectl, server, one.database, one.user)

        one.make_user()
        one.make_database()
        run_at_the_server(one, "Restore")
        shell(made, tmp_path, "master", KEYS, RELEASE)
        eventually(lambda: parties.versions(made, ("alice",))["alice"], RECONNECT_SECONDS, "alice reconnects")
        assert parties.pods(made, ("alice",)) == pods
        assert one.kept().items() >= kept.items()
        assert "alice" not in {name for _, name in messages.actions(step_log(made, "master", "register"))}
        assert messages.counts(step_log(made, "master", "routes"))["created"] == 0
        made.test()
