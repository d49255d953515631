"""The check of the datastore before a master opens its state, with the texts of Go's drivers.

Recordings: startup-cases/badpw.log, nodb.log, dbdown.log, dashdb.log.
"""

import asyncio
import dataclasses
import ssl

import psycopg
import pymysql
import sqlalchemy as sa

from kuscia_sim.node.dns import NoSuchHost, Resolver
from kuscia_sim.state import database_tls, datastore

PING_TIMEOUT = 5.0
PREFIX = "ping datastore endpoint error: "


class DatastoreError(Exception):
    """The datastore cannot be used; str() is the text of Kuscia's k3s module."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The database server; host is an address, name what the endpoint has."""

    host: str
    port: int
    name: str


async def check(endpoint: str, sqlite_path: str, resolver: Resolver) -> sa.URL:
    """Return the SQLAlchemy URL of a datastore that answered within 5 s.

    Raises:
        DatastoreError: it did not.
    """
    if endpoint and "://" not in endpoint:
        raise DatastoreError(
            "configured 'datastoreEndpoint' is invalid, expected format: "
            "mysql://username:password@tcp(hostname:3306)/database-name"
        )
    try:
        url = datastore.datastore_url(endpoint, sqlite_path)
    except datastore.UnsupportedDriver as err:
        raise DatastoreError(f"kuscia 'datastoreEndpoint' config: {err}") from err
    except (ValueError, sa.exc.ArgumentError) as err:
        raise DatastoreError(f"datastoreEndpoint config error: {err}") from err
    if not endpoint:
        return url
    host = url.host or "127.0.0.1"
    target = Target(host, url.port or (3306 if "mysql" in url.drivername else 5432), host)
    try:
        address = await resolver.lookup(target.host)
    except NoSuchHost as err:
        raise DatastoreError(f"{PREFIX}dial tcp: {err}") from err
    resolved = dataclasses.replace(target, host=address)
    try:
        async with asyncio.timeout(PING_TIMEOUT + 1):
            await asyncio.to_thread(datastore.ping, url)
    except TimeoutError as err:
        raise DatastoreError(f"{PREFIX}context deadline exceeded") from err
    except (sa.exc.SQLAlchemyError, pymysql.MySQLError, psycopg.Error) as err:
        raise DatastoreError(PREFIX + go_text(err, resolved)) from err
    return url


def go_text(err: Exception, target: Target) -> str:
    """Return the text of Go's driver for an error of SQLAlchemy or the Python driver below it."""
    cause: BaseException | None = getattr(err, "orig", None) or err
    if isinstance(cause, pymysql.MySQLError):
        network = getattr(cause, "original_exception", None)
        if isinstance(network, ssl.SSLCertVerificationError):
            return database_tls.go_text(network, target.name)
        if network is not None:
            return _network(network, target)
        code, *rest = cause.args or (0,)
        return f"Error {code}: {rest[0] if rest else ''}"
    if isinstance(cause, psycopg.OperationalError) and "onnection refused" in str(cause):
        return f"dial tcp {target.host}:{target.port}: connect: connection refused"
    if isinstance(cause, psycopg.Error):
        first = next((line for line in str(cause).splitlines() if line.strip()), "unknown error")
        return f"pq: {first.rpartition('FATAL:  ')[2]}"
    return str(cause)


def _network(err: BaseException, target: Target) -> str:
    where = f"dial tcp {target.host}:{target.port}: "
    if isinstance(err, TimeoutError):
        return where + "i/o timeout"
    if isinstance(err, ConnectionRefusedError):
        return where + "connect: connection refused"
    text = getattr(err, "strerror", None) or str(err)
    return where + f"connect: {text.lower()}"
