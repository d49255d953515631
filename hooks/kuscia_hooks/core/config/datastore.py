"""The datastore of a master: SQLite, MySQL, or PostgreSQL."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuscia_hooks.core.config.common import ConfigModel, Name, SecretKey


def param_text(value: str | int | bool) -> str:
    """A parameter of a database's address as it is written there."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Sqlite(ConfigModel):
    type: Literal["sqlite"]
    path: Name


# What the drivers that Kuscia and its K3s use know (go-sql-driver/mysql, and pgx, which kine has); with another value
# the driver refuses its address, and Kuscia ends.
TLS_PARAM = {
    "mysql": ("tls", ("true", "false", "skip-verify", "preferred")),
    "postgres": ("sslmode", ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
}


class Database(ConfigModel):
    """A MySQL or PostgreSQL server that keeps the state; `database` has to exist.

    Args:
        params: of the address; `tls` (MySQL) and `sslmode` (PostgreSQL) are among `TLS_PARAM`.
    """

    type: Literal["mysql", "postgres"]
    host: Name
    port: Annotated[int, Field(ge=1, le=65535)]
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_$-]+$")]
    user: Name
    password_secret: SecretKey
    params: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _user(self) -> "Database":
        if self.type == "mysql" and ":" in self.user:
            raise ValueError("Kuscia's MySQL driver cannot take a ':' in a user's name")
        return self

    @model_validator(mode="after")
    def _tls(self) -> "Database":
        name, known = TLS_PARAM[self.type]
        if self.tls and self.tls not in known:
            raise ValueError(f"params.{name} is {self.tls!r}; Kuscia's driver knows {', '.join(known)}")
        return self

    @property
    def tls(self) -> str:
        """`tls` or `sslmode` of the address; "" where it is left to the driver."""
        return param_text(self.params.get(TLS_PARAM[self.type][0], ""))


Datastore = Annotated[Sqlite | Database, Field(discriminator="type")]
