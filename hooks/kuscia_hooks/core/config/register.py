"""The configuration of `register`."""

from kuscia_hooks.core.config.common import ConfigModel, DomainId, Name, WritingStep


class Owner(ConfigModel):
    service: Name


class Admission(ConfigModel):
    """How the master admits one lite domain.

    Args:
        token_secret: name of the Secret for the deploy token; None to create none.
        cert: the domain certificate, PEM; with it Kuscia does not require a deploy token.
        allow_rekey: let the domain register again with a new key.
    """

    token_secret: Name | None = None
    cert: str | None = None
    allow_rekey: bool = False


class Register(WritingStep):
    """The file register.yaml.

    Args:
        owner: the Service that the Secrets are deleted with.
        adopt: take over domains and Secrets that exist and were not created by this release.
        prune: delete domains and Secrets that this release created and that are no longer in the values.
    """

    owner: Owner | None = None
    domains: dict[DomainId, Admission]
    adopt: bool = False
    prune: bool = False
