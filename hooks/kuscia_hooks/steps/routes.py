"""`routes`: create the ClusterDomainRoutes between the lites, and the AppImages. Does not wait for READY."""

from collections.abc import Mapping
from typing import Any

from kuscia_hooks.cluster.ledger import Ledger, digest
from kuscia_hooks.core.config import Routes
from kuscia_hooks.core.errors import RetryableError, StepError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.core.progress import ChangeProgress
from kuscia_hooks.core.text import first_of, quoted
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Exists, Missing
from kuscia_hooks.kuscia.app_images import normal_app_image, plan_app_images, wanted_app_image
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit, each
from kuscia_hooks.kuscia.routes import STATUS_BATCH, RouteKey, normal_route, plan_routes, wanted_routes
from kuscia_hooks.steps import Context, Outcome

# Changes after which the ledger is saved: a step that is killed continues from there.
SAVE_EVERY = 500


class _Router:
    def __init__(
        self,
        config: Routes,
        api: KusciaAPI,
        routes: Ledger,
        images: Ledger,
        concurrency: ConcurrencyLimit,
        verify: bool,
    ) -> None:
        self._api, self._verify = api, verify
        self._routes, self._images = routes, images
        self.wanted = wanted_routes(config)
        self.hashes = {key: digest(normal_route(body)) for key, body in self.wanted.items()}
        self.app_images = {name: wanted_app_image(name, app) for name, app in config.app_images.items()}
        self.concurrency = concurrency

    def read(self) -> dict[RouteKey, Mapping[str, Any] | None]:
        """Read the routes whose state does not follow from the ledger."""
        entries = self._routes.entries
        known = [key for key in self.wanted if entries.get(key.entry) == self.hashes[key]]
        doubtful = [key for key in self.wanted if key.entry in entries and entries[key.entry] != self.hashes[key]]
        if self._verify:
            doubtful = list(self.wanted)
        elif known and not self._exist(known[:STATUS_BATCH]):
            logger.info("some routes in the ledger do not exist; reading every route")
            doubtful = list(self.wanted)
        present: dict[RouteKey, Mapping[str, Any] | None] = {}
        failed = each(
            doubtful, lambda key: present.update({key: self._api.find("route/query", key.body())}), self.concurrency
        )
        if failed:
            raise merged([error for _, error in failed])
        return present

    def _exist(self, keys: list[RouteKey]) -> bool:
        try:
            self._api.call("route/status/batchQuery", {"route_keys": [key.body() for key in keys]})
        except Missing:
            return False
        return True

    def record_unchanged(self, todo: Plan) -> None:
        """Record what already is as wanted, so that the next run does not read it again."""
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
            logger.info("DomainRoute %s was already deleted", key)

    def _apply_app_image(self, action: Action) -> None:
        if action.verb == "delete":
            try:
                self._api.call("appimage/delete", {"name": action.name})
            except StepError as error:
                # For a missing AppImage, KusciaAPI returns the general code of a failed deletion (Kuscia facts 7.3).
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
    """Wait for `register`, which runs at the same time in the same release."""
    ids = list(config.domains)
    if not ids:
        return

    def ask() -> None:
        try:
            api.call("domain/batchQuery", {"domain_ids": ids})
        except Missing as error:
            raise RetryableError(
                "domains-not-registered",
                f"the register step has not created every Domain yet: {error.text}",
                see=f"kubectl logs -l app.kubernetes.io/component=register -n {quoted(config.namespace)}",
            ) from error

    until(f"the Domains {first_of(ids, 5)}", ask, deadline)


def attempt(settings: Routes, context: Context) -> Outcome:
    """Change routes and AppImages to what the values say; one that fails does not block the others.

    Raises:
        RetryableError, PermanentError: some changes failed; all others are done.
    """
    kube, deadline, summary = context.kube, context.deadline, context.summary
    summary.unchanged = summary.failed = 0
    routes, images = (
        Ledger(kube, settings.namespace, settings.ledger, settings.labels, kind) for kind in ("routes", "appImages")
    )
    routes.load()
    images.load()
    with open_api(kube, settings.namespace, settings.key_secret, settings.api, settings.domain_id, deadline) as api:
        _wait_for_domains(settings, api, deadline)
        router = _Router(settings, api, routes, images, context.concurrency, context.verify)
        plans = [
            plan_routes(router.wanted, routes.entries, router.read()),
            plan_app_images(router.app_images, router.read_app_images(), images.entries),
        ]
        todo = Plan(plans[0].actions + plans[1].actions, plans[0].unchanged + plans[1].unchanged)
        if context.dry_run:
            logger.info("%s", todo)
            return context.outcome()
        router.record_unchanged(todo)
        failed = _apply(router, todo, summary)
    summary.unchanged, summary.failed = todo.unchanged, len(failed)
    if failed:
        raise merged([error for _, error in failed])
    return context.outcome()


def _apply(router: _Router, todo: Plan, summary: Summary) -> list[tuple[Action, StepError]]:
    """Apply a plan, deletions first: a name may be deleted and created again."""

    def work(action: Action) -> None:
        router.apply(action)
        progress.done(str(action))

    failed: list[tuple[Action, StepError]] = []
    router.save()
    with ChangeProgress(len(todo.actions)) as progress:
        for deletions in (True, False):
            group = [action for action in todo.actions if (action.verb == "delete") is deletions]
            for part in range(0, len(group), SAVE_EVERY):
                failed += each(group[part : part + SAVE_EVERY], work, router.concurrency)
                router.save()
    broken = {id(action) for action, _ in failed}
    summary.count(action for action in todo.actions if id(action) not in broken)
    return failed
