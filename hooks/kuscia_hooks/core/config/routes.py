"""The configuration of `routes`."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kuscia_hooks.core.config.common import ConfigModel, DomainId, KusciaId, Owner, WritingStep
from kuscia_hooks.core.config.domains import Domain, Domains, Route
from kuscia_hooks.core.config.rules import RuleError, matching, shown
from kuscia_hooks.core.errors import Problem


class Image(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, matching("imageName")]
    tag: Annotated[str, matching("engineImageTag")]
    id: str = ""
    sign: str = ""


class AppImage(BaseModel):
    """An AppImage as in the request appimage/create of KusciaAPI, in snake_case; templates are passed through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Image
    config_templates: dict[str, str] = {}
    deploy_templates: Annotated[list[dict[str, Any]], Field(min_length=1)]


class RoutesKinds(ConfigModel):
    """A choice for each kind of object that the step writes."""

    routes: bool = False
    app_images: bool = False


class Routes(WritingStep, Domains):
    """The file routes.yaml.

    Args:
        owner: of the Secrets with deploy tokens that are missing.
        adopt: take over objects that exist and were not created by this release.
        prune: delete objects that this release created and that are no longer in the values.
    """

    owner: Owner | None = None
    domains: dict[DomainId, Domain]
    routes: Literal["all"] | list[Route]
    app_images: dict[KusciaId, AppImage] = {}
    adopt: RoutesKinds = RoutesKinds()
    prune: RoutesKinds = RoutesKinds()

    @model_validator(mode="after")
    def _known(self) -> "Routes":
        problems = list(self._name_problems())
        if not isinstance(self.routes, str):
            problems += [problem for index, route in enumerate(self.routes) for problem in self._problems(index, route)]
        if problems:
            raise RuleError(*problems)
        return self

    def _name_problems(self) -> Iterator[Problem]:
        """Yield the routes that have the name of another route in Kuscia (Kuscia facts 6.2).

        Kuscia itself creates the routes from the lites to the master.
        """
        pairs = {f"{domain}-{self.domain_id}": (domain, self.domain_id) for domain in self.domains}
        for index, route in enumerate(self.listed()):
            pair = route.source, route.destination
            name = "-".join(pair)
            other = pairs.setdefault(name, pair)
            path = "routes" if isinstance(self.routes, str) else f"routes[{index}]"
            if other != pair:
                rule = f"must not have the name {name} in Kuscia, which belongs to the route {' to '.join(other)}"
                yield Problem("colliding-route-names", path, rule, shown(" to ".join(pair)))

    def _problems(self, index: int, route: Route) -> Iterator[Problem]:
        where = f"routes[{index}]"
        for field in ("source", "destination", "transit"):
            domain = getattr(route, field)
            if domain is not None and domain not in self.domains:
                rule = f"must be one of the domains ({', '.join(self.domains)})"
                yield Problem("unlisted-domain", f"{where}.{field}", rule, shown(domain))
        if route.source == route.destination:
            rule = "must differ from the source"
            yield Problem("route-to-itself", f"{where}.destination", rule, shown(route.destination))
        elif route.transit in (route.source, route.destination):
            rule = "must differ from the source and the destination"
            yield Problem("transit-through-route-end", f"{where}.transit", rule, shown(route.transit))
        elif route.destination in self.domains and not route.transit and not self.domains[route.destination].endpoint:
            rule = f"must be set because {where} has no transit"
            yield Problem("route-without-endpoint", f"domains.{route.destination}.endpoint", rule)
