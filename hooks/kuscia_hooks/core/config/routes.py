"""The configuration of `routes`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kuscia_hooks.core.config.common import ConfigModel, DomainId, Endpoint, Name, NullableModel, WritingStep


class Gateway(ConfigModel):
    """Where others reach a domain; null when nobody does directly."""

    endpoint: Endpoint | None = None


class TokenConfig(NullableModel):
    """How gateways agree on a token; after `rolling_update_period` seconds they take a new one, 0 is never."""

    token_gen_method: Literal["RSA-GEN", "UID-RSA-GEN"] = "RSA-GEN"  # noqa: S105
    rolling_update_period: Annotated[int, Field(ge=0)] = 86400


class Route(NullableModel):
    """One direction between two domains. `transit` is the domain that passes the traffic on."""

    source: DomainId
    destination: DomainId
    transit: DomainId | None = None
    body_encryption: Literal["AES", "SM4"] | None = None
    token_config: TokenConfig = TokenConfig()


class Image(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    tag: Name
    id: str = ""
    sign: str = ""


class AppImage(BaseModel):
    """KusciaAPI's own shape (appimage/create), snake_case; templates are passed through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Image
    config_templates: dict[str, str] = {}
    deploy_templates: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Routes(WritingStep):
    """routes.yaml"""

    domains: dict[DomainId, Gateway]
    routes: Literal["all"] | list[Route]
    app_images: dict[Name, AppImage] = {}

    @model_validator(mode="after")
    def _known(self) -> "Routes":
        if isinstance(self.routes, str):
            return self
        errors = []
        for index, route in enumerate(self.routes):
            for field in ("source", "destination", "transit"):
                domain = getattr(route, field)
                if domain is not None and domain not in self.domains:
                    errors.append(f"routes[{index}].{field}: {domain} is not among domains ({', '.join(self.domains)})")
            if route.source == route.destination:
                errors.append(f"routes[{index}]: source and destination are both {route.source}")
            elif route.transit in (route.source, route.destination):
                errors.append(f"routes[{index}].transit: {route.transit} is an end of the route, no third domain")
            elif (
                route.destination in self.domains and not route.transit and not self.domains[route.destination].endpoint
            ):
                errors.append(
                    f"routes[{index}]: domains.{route.destination}.endpoint is missing, "
                    f"for example https://kuscia-lite-{route.destination}.example.com:1080"
                )
        if errors:
            raise ValueError("; ".join(errors))
        return self
