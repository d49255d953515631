"""The configuration of `prepare`."""

from typing import Literal

from pydantic import model_validator

from kuscia_hooks.core.config.common import (
    ConfigModel,
    DomainId,
    Master,
    Namespace,
    ObjectName,
    SecretKey,
    TokenSecret,
)
from kuscia_hooks.core.config.datastore import Datastore
from kuscia_hooks.core.config.engines import Engines
from kuscia_hooks.core.config.rules import RuleError
from kuscia_hooks.core.errors import Problem


class Prepare(ConfigModel):
    """The file prepare.yaml.

    Args:
        extra_config_secret: a Secret with YAML that is merged into kuscia.yaml.
        ledger: the ConfigMap that lists what the release has created in its cluster; None for a lite.
        extra_config_refused: keys that this YAML must not set, with dots, and the reason for each.
    """

    mode: Literal["master", "lite"]
    domain_id: DomainId
    namespace: Namespace
    key_secret: SecretKey
    rootless: bool = False
    extra_config_secret: SecretKey | None = None
    extra_config_refused: dict[str, str] = {}
    datastore: Datastore | None = None
    ledger: ObjectName | None = None
    master: Master | None = None
    deploy_token: TokenSecret | None = None
    dns_service: ObjectName | None = None
    engines: Engines | None = None

    @model_validator(mode="after")
    def _parts(self) -> "Prepare":
        if self.mode == "master" and self.datastore is None:
            raise RuleError(Problem("missing-value", "datastore", "must be set because mode is master"))
        if self.mode == "lite" and self.master is None:
            raise RuleError(Problem("missing-value", "master.endpoint", "must be set because mode is lite"))
        return self
