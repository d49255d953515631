"""The address of a datastore in a kuscia.yaml, taken apart; `datastore.endpoint` is the reverse."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

_PORTS = {"mysql": 3306, "postgres": 5432}
_TCP = re.compile(r"tcp\((?P<host>[^():]+)(?::(?P<port>[0-9]+))?\)")


@dataclass(frozen=True)
class Address:
    """An address of MySQL or PostgreSQL. The fields but the password are those of `core.config.datastore.Database`."""

    type: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    params: dict[str, str]


def parse(text: str) -> Address:
    """Return the parts of `datastoreEndpoint` (Kuscia facts chapter 3).

    Raises:
        ValueError: it is not an address over TCP; the message has no part of it.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "mysql":
        return _mysql(rest)
    if separator and scheme in ("postgres", "postgresql"):
        return _postgres(text)
    raise ValueError("must start with mysql:// or postgres://")


def _mysql(dsn: str) -> Address:
    """Split a DSN as go-sql-driver does: at the last '/', then at the last '@', then at the first ':'."""
    login_and_address, slash, tail = dsn.rpartition("/")
    login, _, address = login_and_address.rpartition("@")
    user, _, password = login.partition(":")
    database, _, query = tail.partition("?")
    match = _TCP.fullmatch(address)
    if not (slash and match):
        raise ValueError("must have the form mysql://user:password@tcp(host:port)/database")
    params = {
        name: unquote_plus(value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    }
    port = int(match["port"] or _PORTS["mysql"])
    return Address("mysql", match["host"], port, unquote(database), user, password, params)


def _postgres(url: str) -> Address:
    form = "must have the form postgres://user:password@host:port/database, with one host"
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS["postgres"]
    except ValueError:
        # The text of the error quotes the address.
        raise ValueError(form) from None
    if not parts.hostname or "," in parts.netloc or not parts.username:
        raise ValueError(form)
    password, params = unquote(parts.password or ""), dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address("postgres", parts.hostname, port, unquote(parts.path[1:]), unquote(parts.username), password, params)
