"""`register`: create a Domain for each lite, and a Secret with its deploy token that the lite may read."""

import re
from collections.abc import Sequence

from kuscia_hooks.cluster.ledger import Ledger
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, StepError, invalid, merged, reworded
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.changes import make_changes, record_unchanged
from kuscia_hooks.kuscia.domains import WantedDomain, wanted_domain
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.steps.register.domain_writer import DomainWriter
from kuscia_hooks.steps.register.pruning import prune
from kuscia_hooks.steps.register.token_writer import Failures, TokenWriter, domain_of


def attempt(settings: Register, context: Context) -> Outcome:
    """Make the changes for every domain; one that fails does not block the others.

    Raises:
        RetryableError, PermanentError, DeadlineExceeded: some domains failed; all others are done.
    """
    kube, summary = context.kube, context.summary
    summary.restart()
    ledger = Ledger(kube, settings.namespace, settings.ledger, settings.labels)
    ledger.load()
    wanted, failures = _wanted(settings)
    api_of = settings.namespace, settings.key_secret, settings.api, settings.domain_id, context.deadline
    with open_api(kube, *api_of) as api:
        domains = DomainWriter(settings, wanted, api, ledger.kind("domains"), context)
        tokens = TokenWriter(settings, api, ledger.kind("tokens"), context)
        domains.read()
        failures |= domains.conflicts()
        failures |= tokens.read(domains.present, failures)
        plans = domains.plan(failures), tokens.plan(failures)
        for plan in plans:
            summary.count_kept(plan)
        if context.dry_run:
            for plan in plans:
                logger.info("%s", plan)
        else:
            failures |= _make(plans, domains, tokens, api, ledger, context)
    summary.failed = len(failures)
    if failures:
        raise _merged(failures)
    return context.outcome()


def _wanted(settings: Register) -> tuple[dict[str, WantedDomain], Failures]:
    """Return the domains with valid values, and the errors of the others."""
    wanted: dict[str, WantedDomain] = {}
    failures: Failures = {}
    for domain_id, domain in settings.domains.items():
        try:
            wanted[domain_id] = wanted_domain(domain_id, domain)
        except ConfigError as error:
            failures[domain_id] = error
    return wanted, failures


def _make(
    plans: tuple[Plan, Plan],
    domains: DomainWriter,
    tokens: TokenWriter,
    api: KusciaAPI,
    ledger: Ledger,
    context: Context,
) -> Failures:
    """Make the changes of both plans, and return the errors of the domains that failed.

    A Secret that is outdated is deleted before its Domain is created, so that no lite reads it in between.
    """
    writers: tuple[DomainWriter | TokenWriter, ...] = (domains, tokens)
    for plan, writer in zip(plans, writers, strict=True):
        record_unchanged(plan, writer)
    failures: Failures = {}

    def change(actions: Sequence[Action], writer: DomainWriter | TokenWriter) -> None:
        ready = [action for action in actions if domain_of(action) not in failures]
        made = make_changes(ready, writer, ledger, context.concurrency, context.summary)
        failures.update({domain_of(action): error for action, error in made})

    outdated, written, unwanted = tokens.phases(plans[1])
    change(outdated, tokens)
    change([action for action in plans[0].actions if action.verb != "delete"], domains)
    ready, pending = tokens.with_tokens([action for action in written if domain_of(action) not in failures])
    failures |= pending
    change(ready, tokens)
    removed = [action for action in plans[0].actions if action.verb == "delete"]
    failures |= prune(removed, unwanted, domains, tokens, api, ledger, context)
    ledger.save()
    return failures


def _merged(failures: Failures) -> StepError:
    """Return all errors as one, the invalid values as one list."""
    errors = [_named(name, error, list(failures.values())) for name, error in failures.items()]
    problems = [problem for error in errors if isinstance(error, ConfigError) for problem in error.problems]
    others = [error for error in errors if not isinstance(error, ConfigError)]
    return merged([*others, *([invalid("register", problems)] if problems else [])], finish=True)


def _named(domain_id: str, error: StepError, errors: Sequence[StepError]) -> StepError:
    """Return an error that names its domain, unless several domains share it, such as an unreachable master."""
    shared = sum(other is error for other in errors) > 1
    # The ID of a domain can be a part of another ID or of a word.
    named = re.search(rf"domain {re.escape(domain_id)}(?![a-z0-9-])", error.message, re.IGNORECASE)
    if shared or named or isinstance(error, ConfigError | DeadlineExceeded):
        return error
    return reworded(error, f"domain {domain_id}: {error.message}")
