"""Drops one table of a MySQL or PostgreSQL data source (Kuscia's pkg/kusciaapi/service/domaindata_service.go)."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import psycopg
import pymysql
from psycopg import sql

from kuscia_sim.transport.protojson import Dict

PORTS = {"mysql": 3306, "postgresql": 5432}
TIMEOUT = 30


class TableError(Exception):
    """The database refused or could not be asked; str() is in Go's words where it says no more than that."""


async def drop(type_: str, database: Dict, table: str) -> None:
    """Drops the table of the data source's database; an absent one is fine. Raises TableError."""
    address, _, options = database["endpoint"].partition("?")
    host, colon, port = address.rpartition(":")
    if not colon:
        host, port = address, str(PORTS[type_])
    use = _drop_mysql if type_ == "mysql" else _drop_postgresql
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), TIMEOUT)
        writer.close()
        await asyncio.to_thread(use, host, int(port), database, table, dict(parse_qsl(options)))
    except ConnectionRefusedError as err:
        raise TableError(f"dial tcp {host}:{port}: connect: connection refused") from err
    except (OSError, ValueError, pymysql.Error, psycopg.Error) as err:
        raise TableError(str(err)) from err


def _drop_mysql(host: str, port: int, database: Dict, table: str, _options: dict[str, Any]) -> None:
    connection = pymysql.connect(
        host=host,
        port=port,
        user=database["user"],
        password=database["password"],
        database=database["database"],
        connect_timeout=TIMEOUT,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS `{table.replace('`', '``')}`")


def _drop_postgresql(host: str, port: int, database: Dict, table: str, options: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"sslmode": "require", "connect_timeout": TIMEOUT, **options}
    with psycopg.connect(
        host=host,
        port=port,
        user=database["user"],
        password=database["password"],
        dbname=database["database"],
        **wanted,
    ) as connection:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
