"""`routes`: create the ClusterDomainRoutes between the lites, and the AppImages. Does not wait for READY.

It runs after every upgrade, and therefore also creates Secrets with deploy tokens that are missing.
"""

from collections.abc import Collection, Iterable, Sequence

from kuscia_hooks.cluster.ledger import Ledger
from kuscia_hooks.core import log
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.errors import DeadlineExceeded, RetryableError, StepError, merged, reworded
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.core.text import first_of, quoted
from kuscia_hooks.core.waiting import until
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.batches import query_in_batches
from kuscia_hooks.kuscia.changes import Failure, make_changes, record_unchanged
from kuscia_hooks.kuscia.routes import RouteKey
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.steps.routes.app_image_writer import AppImageWriter
from kuscia_hooks.steps.routes.route_writer import RouteWriter
from kuscia_hooks.steps.routes.token_restorer import TokenRestorer


def attempt(settings: Routes, context: Context) -> Outcome:
    """Change routes and AppImages to what the values say; one that fails does not block the others.

    Raises:
        RetryableError, PermanentError: some changes failed; all others are done.
        DeadlineExceeded: some domains were not registered before the deadline.
    """
    kube, deadline, summary = context.kube, context.deadline, context.summary
    summary.restart()
    ledger = Ledger(kube, settings.namespace, settings.ledger, settings.labels)
    ledger.load()
    with open_api(kube, settings.namespace, settings.key_secret, settings.api, settings.domain_id, deadline) as api:
        images = AppImageWriter(settings, api, ledger.kind("appImages"), context)
        routes = RouteWriter(settings, api, ledger.kind("routes"), context)
        plans = {writer: writer.plan() for writer in (images, routes)}
        for writer, plan in plans.items():
            summary.count_kept(plan)
            if context.dry_run:
                logger.info("%s", plan)
                continue
            record_unchanged(plan, writer)
        tokens = TokenRestorer(settings, api, ledger.kind("tokens"), context)
        if context.dry_run:
            missing, unread = tokens.plan()
            logger.info("%s", Plan(tuple(missing)))
            if unread:
                raise merged(unread)
            return context.outcome()
        ledger.save()
        failed = make_changes(plans[images].actions, images, ledger, context.concurrency, summary)
        errors = [error for _, error in failed]
        errors += _change_routes(settings, plans[routes].actions, routes, api, ledger, context)
        # Last: `register` of a new release may have created them in the meantime.
        missing, unread = tokens.plan()
        errors += [
            *unread,
            *(error for _, error in make_changes(missing, tokens, ledger, context.concurrency, summary)),
        ]
        ledger.save()
    if errors:
        raise merged(errors, finish=not deadline.passed)
    return context.outcome()


def _change_routes(
    settings: Routes, actions: Sequence[Action], writer: RouteWriter, api: KusciaAPI, ledger: Ledger, context: Context
) -> list[StepError]:
    """Change routes, those of domains that are not registered yet when they are, and return the errors."""

    def absent_of(domains: Iterable[str]) -> set[str]:
        def ask(ids: Sequence[str]) -> dict[str, None]:
            api.call("domain/batchQuery", {"domain_ids": list(ids)})
            return dict.fromkeys(ids)

        ids = sorted(domains)
        return set(ids) - query_in_batches(ids, ask, context.reads).keys()

    def registered_since() -> set[str]:
        still = absent_of(absent)
        if still == absent:
            raise _not_registered(settings, absent)
        return still

    errors: list[StepError] = []
    absent = absent_of({domain for action in actions for domain in _domains(action)})
    while True:
        ready = [action for action in actions if not absent & _domains(action)]
        actions = [action for action in actions if absent & _domains(action)]
        errors += _by_destination(make_changes(ready, writer, ledger, context.concurrency, context.summary))
        if not actions:
            return errors
        if any(error.retryable for error in errors):
            break
        if errors:
            error = merged(errors)
            logger.error("%s", error.message, extra=log.fields(error))
        # `register` runs at the same time in the same release.
        try:
            absent = until(f"the Domains {first_of(sorted(absent), 5)}", registered_since, context.deadline)
        except DeadlineExceeded as error:
            return [*errors, error]
    return [*errors, _not_registered(settings, absent)]


def _domains(action: Action) -> set[str]:
    """Return the domains that must exist before a change."""
    if action.payload is None:
        return set()
    transit = (action.payload.get("transit") or {}).get("domain") or {}
    return {action.payload["source"], action.payload["destination"], *transit.values()}


def _not_registered(settings: Routes, domains: Collection[str]) -> RetryableError:
    return RetryableError(
        "domains-not-registered",
        f"these Domains do not exist in the master yet, so their routes wait: {', '.join(sorted(domains))}",
        see=f"kubectl logs -l app.kubernetes.io/component=register -n {quoted(settings.namespace)}",
    )


def _by_destination(failed: Sequence[Failure]) -> list[StepError]:
    """Return one error for all routes that lead to one domain and failed alike: they share its endpoint."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for action, error in failed:
        groups.setdefault((RouteKey.of_entry(action.entry).destination, error.id), []).append((action, error))
    return [_grouped(destination, group) for (destination, _), group in groups.items()]


def _grouped(destination: str, failed: Sequence[Failure]) -> StepError:
    error = failed[0][1]
    if len(failed) == 1:
        return error
    names = first_of([action.name for action, _ in failed], 5)
    return reworded(error, f"{len(failed)} routes to domain {destination} ({names}), the first one: {error.message}")
