"""PostgreSQL as a datastore: connection and permissions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kuscia_hooks.core import hosts, tls, trust
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.errors import RetryableError, StepWarning
from kuscia_hooks.core.waiting import current
from kuscia_hooks.kuscia.database_server import (
    RIGHTS,
    TABLE,
    TIMEOUT,
    Execute,
    ServerError,
    client_command,
    describe,
    missing_rights,
    other_protocol,
    require_rights,
)


def check_postgres(execute: Execute, database: Database) -> list[StepWarning]:
    """Check the permissions of the user.

    Returns:
        An empty list: PostgreSQL has no warnings.

    Raises:
        RetryableError: `database-permission-denied`, or the server returned an error.
    """
    there = execute(f"SELECT to_regclass('{TABLE}')::text")[0][0] is not None
    may_create = bool(execute("SELECT has_schema_privilege(current_user, current_schema(), 'CREATE')")[0][0])
    if not there:
        require_rights(database, [] if may_create else ["CREATE on the schema"], there)
        return []
    missing = missing_rights(execute, RIGHTS)
    sequence = execute(f"SELECT pg_get_serial_sequence('{TABLE}', 'id')")[0][0]
    if sequence and not execute(f"SELECT has_sequence_privilege(current_user, '{sequence}', 'USAGE')")[0][0]:
        missing.append(f"USAGE on sequence {sequence}")
    # kine creates its table and indexes at every start (CREATE … IF NOT EXISTS). The server denies this to users that
    # could not create them.
    owner = execute(
        f"SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = '{TABLE}'::regclass"  # noqa: S608
    )[0][0]
    if not owner:
        missing.append(f'OWNER (ALTER TABLE {TABLE} OWNER TO "{database.user}")')
    if not may_create:
        missing.append("CREATE on the schema")
    require_rights(database, missing, there)
    return []


@contextmanager
def connect_postgres(database: Database, password: str) -> Iterator[Execute]:
    """Yield a function that executes a statement. Both raise ServerError.

    Raises:
        RetryableError: `database-password-unsupported`: this driver cannot send the password.
    """
    import pg8000.native  # type: ignore[import-untyped]
    from pg8000.exceptions import DatabaseError, InterfaceError  # type: ignore[import-untyped]
    from scramp import ScramException  # type: ignore[import-untyped]

    settings = _postgres_tls(database)
    try:
        sock = hosts.connect(database.host, database.port, current().bound(TIMEOUT))
    except OSError as error:
        raise ServerError(database, error) from error
    try:
        # The driver uses the host for the TLS server name only.
        connection = pg8000.native.Connection(
            database.user,
            host=database.host,
            database=database.database,
            password=password,
            ssl_context=settings,
            sock=sock,
        )
    except ScramException as error:
        sock.close()
        if _is_supported(password):
            raise ServerError(database, error) from error
        # The characters are not named: they are part of a secret.
        raise RetryableError(
            "database-password-unsupported",
            f"{describe(database)}: the password cannot be checked ({error}). The driver does not support emoji and "
            "other characters newer than Unicode 3.2, private-use and invisible characters, and letters of both "
            "writing directions in one password",
            fix=f"change the password of user {database.user}, and the Secret",
            see=client_command(database),
        ) from error
    except (DatabaseError, InterfaceError, OSError) as error:
        sock.close()
        raise ServerError(database, error) from error
    except Exception as error:
        # The driver reads what another server sends without checking it.
        sock.close()
        raise other_protocol(database) from error

    def execute(statement: str) -> list[Any]:
        try:
            return list(connection.run(statement) or [])
        except (DatabaseError, InterfaceError, OSError) as error:
            raise ServerError(database, error) from error

    try:
        yield execute
    finally:
        connection.close()


def _is_supported(password: str) -> bool:
    """Return whether the driver supports the password (SASLprep, RFC 4013)."""
    from scramp.utils import ScramException, saslprep  # type: ignore[import-untyped]

    try:
        saslprep(password)
    except ScramException:
        return False
    return True


def _postgres_tls(database: Database) -> Any:
    """Return the argument `ssl_context` of pg8000 for `sslmode`.

    kine interprets `sslmode` as libpq does. Since 0.10 it uses pgx with the default `prefer`: TLS without verification
    if the server supports it. (Earlier versions use lib/pq, which requires TLS by default.) `allow` only tries both in
    the reverse order, so it is handled as `prefer`.
    """
    mode = database.tls or "prefer"
    if mode == "disable":
        return False
    if mode in ("verify-ca", "verify-full"):
        context = trust.context()
        context.check_hostname = mode == "verify-full"
        return context
    return tls.unverified() if mode == "require" else None
