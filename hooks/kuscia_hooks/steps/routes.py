"""`routes`: the ClusterDomainRoutes between the lites, and the AppImages. Does not wait for READY."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Ledger, digest
from kuscia_hooks.core.config import AppImage, Route, Routes, split_endpoint
from kuscia_hooks.core.errors import HookError, NotYet, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia.api import Exists, KusciaAPI, Missing
from kuscia_hooks.kuscia.concurrency import Pace, Progress, each
from kuscia_hooks.kuscia.session import open_api

# As many statuses as a busy master returns within a second or two (Kuscia facts 16.3).
STATUS_BATCH = 100
# The ledger is written so often that a step which is killed does not begin again.
SAVE_EVERY = 500
# What KusciaAPI gives to a port that does not say (recordings of appimage/query).
PORT_DEFAULTS = {"protocol": "HTTP", "scope": "Local"}


@dataclass(frozen=True)
class RouteKey:
    source: str
    destination: str

    def __str__(self) -> str:
        return f"{self.source}-{self.destination}"

    @property
    def entry(self) -> str:
        """The key in the ledger; unlike the name it cannot be read two ways."""
        return f"{self.source}/{self.destination}"

    @classmethod
    def of_entry(cls, entry: str) -> "RouteKey":
        return cls(*entry.split("/", 1))

    def body(self) -> dict[str, str]:
        return {"source": self.source, "destination": self.destination}


def wanted_routes(config: Routes) -> dict[RouteKey, dict[str, Any]]:
    """Every route of the values as the body of `route/create`."""
    if isinstance(config.routes, str):
        routes = [
            Route(source=source, destination=destination)
            for source, destination in permutations(config.domains, 2)
            if config.domains[destination].endpoint
        ]
    else:
        routes = config.routes
    return {RouteKey(r.source, r.destination): _create_body(config, r) for r in routes}


def _create_body(config: Routes, route: Route) -> dict[str, Any]:
    body: dict[str, Any] = {
        "source": route.source,
        "destination": route.destination,
        "authentication_type": "Token",
        "token_config": {
            "token_gen_method": route.token_config.token_gen_method,
            "rolling_update_period": route.token_config.rolling_update_period,
        },
    }
    endpoint = config.domains[route.destination].endpoint
    if endpoint:
        parts = split_endpoint(endpoint)
        tls = parts.scheme == "https"
        port = {
            "name": "http",
            "port": parts.port or (443 if tls else 80),
            "protocol": "HTTP",
            "isTLS": tls,
            "path_prefix": parts.path.rstrip("/"),
        }
        body["endpoint"] = {"host": parts.hostname, "ports": [port]}
    if route.transit:
        body["transit"] = {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": route.transit}}
    if route.body_encryption:
        body["body_encryption"] = {"algorithm": route.body_encryption}
    return body


def normal_route(data: Mapping[str, Any]) -> dict[str, Any]:
    """A route's content in one form, whether it comes from `route/create`'s body or from `route/query`'s
    answer.
    """
    endpoint = data.get("endpoint") or {}
    token = data.get("token_config") or {}
    transit = data.get("transit") or {}
    encryption = data.get("body_encryption") or {}
    return {
        "authentication_type": data.get("authentication_type"),
        "host": endpoint.get("host") or "",
        "ports": [
            [port.get("port"), bool(port.get("isTLS")), (port.get("path_prefix") or "").rstrip("/")]
            for port in endpoint.get("ports") or []
        ],
        "token_gen_method": token.get("token_gen_method") or "",
        "rolling_update_period": int(token.get("rolling_update_period") or 0),
        "transit": ((transit.get("domain") or {}).get("domain_id")) or "",
        "body_encryption": encryption.get("algorithm") or "",
    }


def plan_routes(
    wanted: Mapping[RouteKey, Mapping[str, Any]],
    ledger: Mapping[str, str],
    present: Mapping[RouteKey, Mapping[str, Any] | None],
) -> Plan:
    """What the routes need.

    Args:
        ledger: `<source>/<destination>` to hash of what this release applied earlier.
        present: what was read from Kuscia (None: not there). A route that was not read is believed to be as
            the ledger says, and to be absent when the ledger does not know it.
    """
    actions: list[Action] = []
    for key, body in wanted.items():
        name = str(key)
        if key in present:
            found = present[key]
            if found is None:
                actions.append(Action("create", "DomainRoute", name, payload=(key, body)))
            elif normal_route(found) != normal_route(body):
                # There is no update of a route (Kuscia facts 0.15).
                actions.append(Action("recreate", "DomainRoute", name, "changed", payload=(key, body)))
        elif key.entry not in ledger:
            actions.append(Action("create", "DomainRoute", name, payload=(key, body)))
    gone = [key for key in map(RouteKey.of_entry, ledger) if key not in wanted]
    actions += [Action("delete", "DomainRoute", str(key), "no longer wanted", payload=(key, None)) for key in gone]
    changes = sum(action.verb != "delete" for action in actions)
    return Plan(tuple(actions), unchanged=len(wanted) - changes)


def normal_app_image(data: Mapping[str, Any]) -> dict[str, Any]:
    """An AppImage's content in one form: what KusciaAPI fills in by itself and what is empty is left out."""
    image = {key: value for key, value in (data.get("image") or {}).items() if value}
    return {
        "image": image,
        "config_templates": dict(data.get("config_templates") or {}),
        "deploy_templates": [_normal_template(template) for template in data.get("deploy_templates") or []],
    }


def _normal_template(template: Mapping[str, Any]) -> Any:
    containers = [_normal_container(container) for container in template.get("containers") or []]
    return _pruned({**template, "containers": containers})


def _normal_container(container: Mapping[str, Any]) -> dict[str, Any]:
    ports = [
        {key: value for key, value in port.items() if value != PORT_DEFAULTS.get(key)}
        for port in container.get("ports") or []
    ]
    resources = {
        kind: {item: _normal_quantity(amount) for item, amount in (amounts or {}).items()}
        for kind, amounts in (container.get("resources") or {}).items()
    }
    return {**container, "ports": ports, "resources": resources}


def _normal_quantity(amount: Any) -> str:
    """Kubernetes writes an amount in its own way: 1024Mi comes back as 1Gi, 0.5 as 500m."""
    try:
        return format(parse_quantity(amount).normalize(), "f")
    except ValueError:
        return str(amount)


def _pruned(value: Any) -> Any:
    """Without empty members; numbers that KusciaAPI writes as strings (int64) become strings everywhere."""
    if isinstance(value, Mapping):
        pruned = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, "", "0", False, [], {})}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def wanted_app_image(name: str, app: AppImage) -> dict[str, Any]:
    """The body of `appimage/create`. Replicas are sent even when not given: left out, they would be 0."""
    templates = [{"replicas": 1, **template} for template in app.deploy_templates]
    return {
        "name": name,
        "image": {key: value for key, value in app.image.model_dump().items() if value},
        "config_templates": app.config_templates,
        "deploy_templates": templates,
    }


def plan_app_images(
    wanted: Mapping[str, Mapping[str, Any]],
    present: Mapping[str, Mapping[str, Any] | None],
    ledger: Mapping[str, str],
) -> Plan:
    """What the AppImages need; one that the ledger knows and the values no longer name is deleted."""
    actions = []
    for name, body in wanted.items():
        found = present[name]
        if found is None:
            actions.append(Action("create", "AppImage", name, payload=body))
        elif normal_app_image(found) != normal_app_image(body):
            actions.append(Action("update", "AppImage", name, "changed", payload=body))
    changes = len(actions)
    actions += [Action("delete", "AppImage", name, "no longer wanted") for name in ledger if name not in wanted]
    return Plan(tuple(actions), unchanged=len(wanted) - changes)


class _Router:
    def __init__(
        self, config: Routes, api: KusciaAPI, routes: Ledger, images: Ledger, pace: Pace, verify: bool
    ) -> None:
        self._api, self._verify = api, verify
        self._routes, self._images = routes, images
        self.wanted = wanted_routes(config)
        self.hashes = {key: digest(normal_route(body)) for key, body in self.wanted.items()}
        self.app_images = {name: wanted_app_image(name, app) for name, app in config.app_images.items()}
        self.pace = pace

    def read(self) -> dict[RouteKey, Mapping[str, Any] | None]:
        """Read the routes about which the ledger leaves a doubt."""
        entries = self._routes.entries
        known = [key for key in self.wanted if entries.get(key.entry) == self.hashes[key]]
        doubtful = [key for key in self.wanted if key.entry in entries and entries[key.entry] != self.hashes[key]]
        if self._verify:
            doubtful = list(self.wanted)
        elif known and not self._there(known[:STATUS_BATCH]):
            logger.info("routes that the ledger knows are not there (any more): looking at each")
            doubtful = list(self.wanted)
        present: dict[RouteKey, Mapping[str, Any] | None] = {}
        failed = each(doubtful, lambda key: present.update({key: self._api.find("route/query", key.body())}), self.pace)
        if failed:
            raise merged([error for _, error in failed])
        return present

    def _there(self, keys: list[RouteKey]) -> bool:
        try:
            self._api.call("route/status/batchQuery", {"route_keys": [key.body() for key in keys]})
        except Missing:
            return False
        return True

    def settle(self, todo: Plan) -> None:
        """Note what was found as wanted, so that the next run does not ask again."""
        changing = {(action.kind, action.name) for action in todo.actions}
        for key in self.wanted:
            if ("DomainRoute", str(key)) not in changing:
                self._routes.entries[key.entry] = self.hashes[key]
        for name, body in self.app_images.items():
            if ("AppImage", name) not in changing:
                self._images.entries[name] = digest(normal_app_image(body))

    def save(self) -> None:
        self._routes.save()
        self._images.save()

    def read_app_images(self) -> dict[str, Any]:
        return {name: self._api.find("appimage/query", {"name": name}) for name in self.app_images}

    def apply(self, action: Action) -> None:
        if action.kind == "AppImage":
            self._apply_app_image(action)
        else:
            key, body = action.payload
            if action.verb != "create":
                self._delete(key)
                self._routes.entries.pop(key.entry, None)
            if action.verb != "delete":
                self._create(key, body)
                self._routes.entries[key.entry] = self.hashes[key]

    def _create(self, key: RouteKey, body: Mapping[str, Any]) -> None:
        try:
            self._api.call("route/create", dict(body))
        except Exists:
            found = self._api.find("route/query", key.body())
            if found is not None and normal_route(found) == normal_route(body):
                return
            self._delete(key)
            self._api.call("route/create", dict(body))

    def _delete(self, key: RouteKey) -> None:
        try:
            self._api.call("route/delete", key.body())
        except Missing:
            logger.info("DomainRoute %s is gone already", key)

    def _apply_app_image(self, action: Action) -> None:
        if action.verb == "delete":
            try:
                self._api.call("appimage/delete", {"name": action.name})
            except HookError as error:
                # A missing one is answered with the general code of a failed deletion (Kuscia facts 7.3).
                if "not found" not in error.message:
                    raise
            self._images.entries.pop(action.name, None)
            return
        body = dict(action.payload)
        if action.verb == "create":
            try:
                self._api.call("appimage/create", body)
            except Exists:
                self._api.call("appimage/update", body)
        else:
            self._api.call("appimage/update", body)
        self._images.entries[action.name] = digest(normal_app_image(body))


def _wait_for_domains(config: Routes, api: KusciaAPI, deadline: Deadline) -> None:
    """Wait for `register`, which runs beside this step in the same release."""
    ids = list(config.domains)
    if not ids:
        return

    def ask() -> None:
        try:
            api.call("domain/batchQuery", {"domain_ids": ids})
        except Missing as error:
            raise NotYet(
                f"register has not made every Domain yet: {error.text}",
                f"kubectl logs -l app.kubernetes.io/component=register -n {config.namespace}",
            ) from error

    until(f"the Domains {', '.join(ids[:5])}{' …' if len(ids) > 5 else ''}", ask, deadline)


def attempt(
    config: Routes,
    kube: Kube,
    deadline: Deadline,
    summary: Summary,
    *,
    dry_run: bool = False,
    verify: bool = False,
    pace: Pace | None = None,
) -> Summary:
    """Bring routes and AppImages to what the values say; one that fails does not keep the others waiting.

    Args:
        summary: counts of earlier attempts; it is added to.
        verify: read every route instead of believing the ledger.
        pace: of earlier attempts, which may have learnt that the master is slow.

    Raises:
        NotYet, NeedsHuman: for all that failed, after the rest is done.
    """
    summary.unchanged = summary.failed = 0
    ledgers = [Ledger(kube, config.namespace, config.ledger, config.labels, kind) for kind in ("routes", "appImages")]
    for ledger in ledgers:
        ledger.load()
    routes, images = ledgers
    with open_api(kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline) as api:
        _wait_for_domains(config, api, deadline)
        router = _Router(config, api, routes, images, pace or Pace(), verify)
        plans = [
            plan_routes(router.wanted, routes.entries, router.read()),
            plan_app_images(router.app_images, router.read_app_images(), images.entries),
        ]
        todo = Plan(plans[0].actions + plans[1].actions, plans[0].unchanged + plans[1].unchanged)
        if dry_run:
            logger.info("%s", todo)
            return summary
        router.settle(todo)
        failed = _apply(router, todo, summary)
    summary.unchanged, summary.failed = todo.unchanged, len(failed)
    if failed:
        raise merged([error for _, error in failed])
    return summary


def _apply(router: _Router, todo: Plan, summary: Summary) -> list[tuple[Action, HookError]]:
    """Deletions first: a name that is made again may be among them."""
    progress = Progress(len(todo.actions))

    def work(action: Action) -> None:
        router.apply(action)
        progress.done(str(action))

    failed: list[tuple[Action, HookError]] = []
    router.save()
    for deletions in (True, False):
        group = [action for action in todo.actions if (action.verb == "delete") is deletions]
        for part in range(0, len(group), SAVE_EVERY):
            failed += each(group[part : part + SAVE_EVERY], work, router.pace)
            router.save()
    broken = {id(action) for action, _ in failed}
    summary.count(action for action in todo.actions if id(action) not in broken)
    return failed
