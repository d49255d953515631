"""The configuration of `register`."""

from kuscia_hooks.core.config.common import DomainId, Owner, WritingStep
from kuscia_hooks.core.config.domains import Domain


class Register(WritingStep):
    """The file register.yaml.

    Args:
        owner: of the Secrets.
        adopt: take over domains and Secrets that exist and were not created by this release.
        prune: delete domains and Secrets that this release created and that are no longer in the values.
    """

    owner: Owner | None = None
    domains: dict[DomainId, Domain]
    adopt: bool = False
    prune: bool = False
