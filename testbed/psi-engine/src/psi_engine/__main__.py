"""`python -m psi_engine CONFIG`: run the task that Kuscia's rendered config file describes."""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from psi_engine import EngineError, psi, storage, tables
from psi_engine.datamesh import URL, DataMesh, Table, own_input, ssl_context
from psi_engine.task import Task, parse

LOG = logging.getLogger("psi_engine")


def run(task: Task, datamesh: DataMesh, directory: Path) -> None:
    """Run the task.

    Raises:
        EngineError: it could not be done.
    """
    LOG.info("task %s: %s with %s, %s", task.task_id, task.party, task.peer, task.protocol)
    ids = [one.table for one in task.inputs]
    index, table = own_input(task.party, [datamesh.table(id_) for id_ in ids], ids)
    if table.source != task.output_source:
        raise EngineError(
            f"datasource_id of {table.id} is {table.source}, and the task's data source is {task.output_source}"
        )
    own = task.inputs[index]
    fetched, result = directory / "table.csv", directory / "result.csv"
    storage.fetch(datamesh.source(table.source), table.uri, fetched)
    names = tables.header(fetched)
    tables.check(table, own, names)
    LOG.info("own table %s: %d columns, %d bytes, compared by %s",
             table.id, len(names), fetched.stat().st_size, ", ".join(own.keys))  # fmt: skip

    link = psi.connect(task)
    LOG.info("connected")
    begin = time.monotonic()
    counts = psi.run(task, own, link, fetched, result)
    link.stop_link()
    LOG.info("intersection: %d of %d own rows, in %.1f s", counts.common, counts.own, time.monotonic() - begin)

    if not task.receives:
        LOG.info("done: the result goes to %s only", ", ".join(task.receivers))
        return
    columns = tables.result_columns(table, tables.header(result))
    storage.store(datamesh.source(task.output_source), result, task.output_uri)
    datamesh.register(Table(task.output_id, task.party, task.output_uri, task.output_source, columns))
    # As SecretFlow does it after the table: under the same ID it would take the table's place.
    datamesh.register(Table(task.report_id, task.party, task.report_uri, task.output_source, kind="report"))
    LOG.info("done: %s registered, %d rows at %s of data source %s",
             task.output_id, counts.common, task.output_uri, task.output_source)  # fmt: skip


def main() -> int:
    """Run the task; return the exit code: 0 success, 1 failure."""
    parser = argparse.ArgumentParser(prog="psi_engine", description=__doc__)
    parser.add_argument("config", type=Path, help="Kuscia's task config, such as /work/kuscia/task-config.conf")
    parser.add_argument("--datamesh", default=URL, help="default: %(default)s")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        task = parse(arguments.config.read_text())
        with tempfile.TemporaryDirectory() as directory:
            # Also for temporary files and traces of the PSI library.
            os.environ["TMPDIR"] = directory
            run(task, DataMesh(arguments.datamesh, ssl_context()), Path(directory))
    except (EngineError, OSError) as error:
        LOG.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
