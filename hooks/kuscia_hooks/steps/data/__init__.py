"""`data`: upload the tables of a lite, and declare its data source, tables and grants through its KusciaAPI."""

from collections import Counter
from collections.abc import Iterable

from kuscia_hooks.cluster.ledger import Ledger
from kuscia_hooks.cluster.ownership import report_left_alone
from kuscia_hooks.core.config.data import Data, Oss, Table
from kuscia_hooks.core.errors import PermanentError, StepError, merged, reworded
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.changes import make_changes, record_unchanged
from kuscia_hooks.kuscia.domain_data import grant_id, wanted_grant, wanted_source, wanted_table
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.steps.data.writers import GrantWriter, SourceWriter, TableWriter
from kuscia_hooks.tables.placement import place_tables
from kuscia_hooks.tables.s3 import access_keys

Writer = SourceWriter | TableWriter | GrantWriter


def attempt(settings: Data, context: Context) -> Outcome:
    """Change the data of the lite to what the values say; a table or grant that fails does not block the others.

    Raises:
        RetryableError, PermanentError: some changes failed; all others are done.
    """
    kube = context.kube
    context.summary.restart()
    ledger = Ledger(kube, settings.namespace, settings.ledger, settings.labels)
    ledger.load()
    node = settings.namespace, settings.key_secret, settings.api, settings.domain_id
    with open_api(kube, *node, context.deadline) as api:
        errors = _Step(settings, context, api, ledger).run()
    if errors:
        context.summary.failed = len(errors)
        raise merged(errors, finish=True)
    return context.outcome()


class _Step:
    def __init__(self, config: Data, context: Context, api: KusciaAPI, ledger: Ledger) -> None:
        self._config, self._context, self._ledger = config, context, ledger
        oss = config.source if isinstance(config.source, Oss) else None
        self._keys = ("", "")
        if oss is not None:
            self._keys = access_keys(context.kube, config.namespace, oss.credentials_secret)
        sources, tables, grants = (ledger.kind(key) for key in ("sources", "tables", "grants"))
        former = not len(sources) and any(ledger.is_former(key) for key in ("tables", "grants"))
        source = {config.source.id: wanted_source(config, self._keys)}
        self._sources = SourceWriter(config, api, sources, source, former)
        self._tables = TableWriter(config, api, tables, context.reads)
        self._grants = GrantWriter(config, api, grants)
        self._errors: list[StepError] = []

    def run(self) -> list[StepError]:
        """Make all changes, and return the errors."""
        source = self._sources.plan()
        if source.foreign:
            if not self._context.dry_run:
                report_left_alone(source, self._sources.entries, self._sources.block)
                self._ledger.save()
            self._context.summary.count_kept(source)
            return [_foreign_source(self._config)]
        taken = self._tables.taken()
        config = self._config.model_copy(
            update={"tables": [table for table in self._config.tables if table.id not in taken]}
        )
        placed = place_tables(
            config,
            self._context.kube,
            self._keys,
            self._context.summary,
            is_foreign=lambda table: self._tables.is_foreign(wanted_table(config, table)),
            dry_run=self._context.dry_run,
        )
        self._errors += [*taken.values(), *placed.errors]
        tables = self._plan_tables(placed.tables)
        grants = self._plan_grants({table.id for table in placed.tables} - set(tables.foreign))
        plans: dict[Writer, Plan] = {self._sources: source, self._tables: tables, self._grants: grants}
        for plan in plans.values():
            self._context.summary.count_kept(plan)
        if self._context.dry_run:
            logger.info("%s", _joined(placed.uploads, plans.values(), self._context.summary.unchanged))
            return self._errors
        for writer, plan in plans.items():
            record_unchanged(plan, writer)
        self._make(plans)
        self._ledger.save()
        return self._errors

    def _plan_tables(self, tables: list[Table]) -> Plan:
        wanted = {table.id: wanted_table(self._config, table) for table in tables}
        skipped = {table.id for table in self._config.tables} - wanted.keys()
        return self._tables.plan(wanted, skipped)

    def _plan_grants(self, tables: set[str]) -> Plan:
        """Return the plan for grants.

        Args:
            tables: tables that can be granted; the grants of others stay as they are.
        """
        listed = {grant_id(grant.table, grant.domain): grant for grant in self._config.grants}
        taken = self._grants.taken(listed)
        self._errors += taken.values()
        wanted = {
            name: wanted_grant(self._config, grant.table, grant.domain)
            for name, grant in listed.items()
            if grant.table in tables and name not in taken
        }
        return self._grants.plan(wanted, listed.keys() - wanted.keys())

    def _make(self, plans: dict[Writer, Plan]) -> None:
        """Make the changes: a grant refers to a table, and a table to a data source."""
        writers: tuple[Writer, ...] = (self._grants, self._tables)
        for writer in writers:
            self._change(writer, [action for action in plans[writer].actions if action.verb == "delete"])
        broken: set[str] = set()
        for writer in (self._sources, *reversed(writers)):
            actions = [action for action in plans[writer].actions if action.verb != "delete"]
            if writer is self._grants:
                actions = [action for action in actions if action.payload["domaindata_id"] not in broken]
            failed = self._change(writer, actions)
            if writer is self._sources and failed:
                return
            broken |= {action.name for action in failed if action.verb == "create"}
        self._change(self._sources, [action for action in plans[self._sources].actions if action.verb == "delete"])

    def _change(self, writer: Writer, actions: list[Action]) -> list[Action]:
        """Make changes of one kind, and return the failed ones."""
        context = self._context
        failed = make_changes(actions, writer, self._ledger, context.concurrency, context.summary)
        # One error of several changes, such as that of a server that is gone, is not about one object.
        shared = Counter(id(error) for _, error in failed)
        self._errors += [error if shared[id(error)] > 1 else _named(action, error) for action, error in failed]
        return [action for action, _ in failed]


def _named(action: Action, error: StepError) -> StepError:
    """Return the error of a change with the name of its object."""
    return reworded(error, f"{action.kind} {action.name}: {error.message}")


def _joined(uploads: Iterable[Action], plans: Iterable[Plan], unchanged: int) -> Plan:
    """Return several plans as one, for printing."""
    plans = list(plans)
    return Plan(
        (*uploads, *(action for plan in plans for action in plan.actions)),
        unchanged,
        foreign=tuple(name for plan in plans for name in plan.foreign),
        leftover=tuple(name for plan in plans for name in plan.leftover),
    )


def _foreign_source(config: Data) -> StepError:
    return PermanentError(
        "foreign-data-source",
        f"data source {config.source.id} exists with different content, and this release did not create it: its tables "
        "would be read from a different place",
        fix="set lite.data.source to the existing content or to a different ID, or take it over with "
        "lite.data.adopt: true for one upgrade",
    )
