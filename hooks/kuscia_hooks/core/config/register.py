"""The configuration of `register`."""

from kuscia_hooks.core.config.common import ConfigModel, DomainId, Name, WritingStep


class Owner(ConfigModel):
    service: Name


class Admission(ConfigModel):
    """One lite domain to admit. `cert` is PEM; with it Kuscia asks for no token."""

    token_secret: Name | None = None
    cert: str | None = None
    allow_rekey: bool = False


class Register(WritingStep):
    """register.yaml"""

    owner: Owner | None = None
    domains: dict[DomainId, Admission]
