"""The domains of a master and the routes between them: the file domains.yaml, which several steps share."""

from itertools import permutations
from typing import Annotated, Literal

from pydantic import Field

from kuscia_hooks.core.config.common import ConfigModel, DomainId, Namespace, NullableModel, ObjectName, RemoteEndpoint


class Domain(ConfigModel):
    """One lite domain of a master. Each step reads what it needs.

    Args:
        endpoint: at which other domains reach it; None if none does so directly.
        namespace: namespace of the lite, if known.
        token_secret: name of the Secret for the deploy token; None to create none.
        cert_file: name of the file with the domain certificate, in the same directory.
        cert: the domain certificate, PEM; with it Kuscia does not require a deploy token.
        allow_rekey: let the domain register again with a new key.
    """

    endpoint: RemoteEndpoint | None = None
    namespace: Namespace | None = None
    token_secret: ObjectName | None = None
    cert_file: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.crt$")] | None = None
    cert: str | None = None
    allow_rekey: bool = False


class TokenConfig(NullableModel):
    """How gateways agree on a token.

    Args:
        rolling_update_period: seconds after which they agree on a new one; 0 means never.
    """

    token_gen_method: Literal["RSA-GEN", "UID-RSA-GEN"] = "RSA-GEN"  # noqa: S105
    rolling_update_period: Annotated[int, Field(ge=0)] = 86400


class Route(NullableModel):
    """One direction between two domains; the domain `transit` forwards the traffic if set."""

    source: DomainId
    destination: DomainId
    transit: DomainId | None = None
    body_encryption: Literal["AES", "SM4"] | None = None
    token_config: TokenConfig = TokenConfig()


class Domains(ConfigModel):
    """The file domains.yaml, and the configuration of a step that reads both.

    Args:
        routes: a list, or `all` for those from each domain to every other domain with an endpoint.
    """

    domains: dict[DomainId, Domain] = {}
    routes: Literal["all"] | list[Route] = []

    def listed(self) -> list[Route]:
        """Return every route."""
        if not isinstance(self.routes, str):
            return self.routes
        # The IDs were validated as keys of `domains`.
        return [Route.model_construct(source=source, destination=destination) for source, destination in self.pairs()]

    def pairs(self) -> list[tuple[str, str]]:
        """Return source and destination of every route."""
        if not isinstance(self.routes, str):
            return [(route.source, route.destination) for route in self.routes]
        return [pair for pair in permutations(self.domains, 2) if self.domains[pair[1]].endpoint]
