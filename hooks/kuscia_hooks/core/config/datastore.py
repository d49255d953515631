"""The datastore of a master: SQLite, MySQL, or PostgreSQL."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kuscia_hooks.core.config.common import ConfigModel, Name, SecretKey
from kuscia_hooks.core.config.hosts import valid_host
from kuscia_hooks.core.config.rules import RuleError, matching, shown
from kuscia_hooks.core.errors import Problem


def param_text(value: str | int | bool) -> str:
    """Return a parameter as text of a database address."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Sqlite(ConfigModel):
    type: Literal["sqlite"]
    path: Name


# Values that the drivers of Kuscia and its K3s support (go-sql-driver/mysql; pgx, used by kine). With any other value
# the driver rejects the address, and Kuscia exits.
TLS_PARAM = {
    "mysql": ("tls", ("true", "false", "skip-verify", "preferred")),
    "postgres": ("sslmode", ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
}


class Database(ConfigModel):
    """A MySQL or PostgreSQL server that stores the state of the master; `database` must exist.

    Args:
        params: parameters of the address; values of `tls` (MySQL) and `sslmode` (PostgreSQL) are in `TLS_PARAM`.
    """

    type: Literal["mysql", "postgres"]
    host: Annotated[Name, AfterValidator(valid_host)]
    port: Annotated[int, Field(ge=1, le=65535)]
    database: Annotated[str, matching("databaseName")]
    user: Name
    password_secret: SecretKey
    params: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _user(self) -> "Database":
        if self.type == "mysql" and ":" in self.user:
            rule = "must not contain ':', which Kuscia's MySQL driver does not support"
            raise RuleError(Problem("colon-in-mysql-user", "user", rule, shown(self.user)))
        return self

    @model_validator(mode="after")
    def _tls(self) -> "Database":
        name, known = TLS_PARAM[self.type]
        if self.tls and self.tls not in known:
            rule = f"must be one of {', '.join(known)}"
            raise RuleError(Problem("unsupported-driver-option", f"params.{name}", rule, shown(self.tls)))
        return self

    @property
    def tls(self) -> str:
        """Return `tls` or `sslmode` of the address; "" for the default of the driver."""
        return param_text(self.params.get(TLS_PARAM[self.type][0], ""))


Datastore = Annotated[Sqlite | Database, Field(discriminator="type")]
