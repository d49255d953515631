"""The configuration of `prepare`."""

from typing import Literal

from pydantic import model_validator

from kuscia_hooks.core.config.common import ConfigModel, DomainId, Master, Name, SecretKey, TokenSecret
from kuscia_hooks.core.config.datastore import Datastore
from kuscia_hooks.core.config.engines import Engines


class Prepare(ConfigModel):
    """prepare.yaml

    `extra_config_secret` holds YAML that is merged into kuscia.yaml, `extra_config_refused` the keys, with dots,
    that it may not have, and why.
    """

    mode: Literal["master", "lite"]
    domain_id: DomainId
    namespace: Name
    key_secret: SecretKey
    rootless: bool = False
    extra_config_secret: SecretKey | None = None
    extra_config_refused: dict[str, str] = {}
    datastore: Datastore | None = None
    master: Master | None = None
    deploy_token: TokenSecret | None = None
    dns_service: str | None = None
    engines: Engines | None = None

    @model_validator(mode="after")
    def _parts(self) -> "Prepare":
        if self.mode == "master" and self.datastore is None:
            raise ValueError("datastore is missing, for example {type: sqlite, path: /home/kuscia/var/k3s}")
        if self.mode == "lite" and self.master is None:
            raise ValueError("master.endpoint is missing, for example https://kuscia.example.com:1080")
        return self
