"""`data`: upload the tables of a lite, and declare its data source, tables and grants through its KusciaAPI."""

from collections.abc import Mapping
from typing import Any

from kuscia_hooks.cluster.ledger import Entries, Ledger, digest
from kuscia_hooks.core.config import Data, Oss, Table
from kuscia_hooks.core.errors import StepError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Exists, Missing, Refused
from kuscia_hooks.kuscia.domain_data import grant_id, plan_data, wanted_grant, wanted_source, wanted_table
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.tables.placement import place_tables
from kuscia_hooks.tables.s3 import access_keys

# What KusciaAPI returns for a data source encrypted for a domain key that the node no longer has (Kuscia facts 12.3).
UNREADABLE = "decrypt data source info failed"
_DELETE = {
    "DomainDataGrant": ("domaindatagrant/delete", "domaindatagrant_id"),
    "DomainData": ("domaindata/delete", "domaindata_id"),
}


class _Declarer:
    def __init__(self, config: Data, api: KusciaAPI, ledgers: Mapping[str, Entries]) -> None:
        self._config, self._api, self._ledgers = config, api, ledgers

    def present(self, wanted: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        domain = self._config.domain_id
        return {
            "source": {
                body["datasource_id"]: self._source({"domain_id": domain, "datasource_id": body["datasource_id"]})
                for body in wanted["source"]
            },
            "tables": {
                body["domaindata_id"]: self._api.find(
                    "domaindata/query",
                    {"data": {"domain_id": domain, "domaindata_id": body["domaindata_id"]}},
                )
                for body in wanted["tables"]
            },
            "grants": {
                body["domaindatagrant_id"]: self._api.find(
                    "domaindatagrant/query",
                    {"domain_id": domain, "domaindatagrant_id": body["domaindatagrant_id"]},
                )
                for body in wanted["grants"]
            },
        }

    def _source(self, body: dict[str, str]) -> Any | None:
        try:
            return self._api.find("domaindatasource/query", body)
        except Refused as error:
            if UNREADABLE not in error.text:
                raise
            logger.info("data source %s is encrypted for a different domain key; rewriting it", body["datasource_id"])
            return {}

    def apply(self, action: Action) -> None:
        if action.verb == "delete":
            path, id_key = _DELETE[action.kind]
            try:
                self._api.call(path, {"domain_id": self._config.domain_id, id_key: action.name})
            except Missing:
                logger.info("%s %s was already deleted", action.kind, action.name)
            self._ledgers[action.kind].drop(action.name)
        elif action.kind == "DomainData":
            # Creating an existing table updates it (Kuscia facts 0.15).
            self._api.call("domaindata/create", action.payload)
        else:
            path = "domaindatasource" if action.kind == "DomainDataSource" else "domaindatagrant"
            try:
                self._api.call(f"{path}/{action.verb}", action.payload)
            except Exists:
                self._api.call(f"{path}/update", action.payload)


def attempt(settings: Data, context: Context) -> Outcome:
    """Change the data of the lite to what the values say.

    Raises:
        RetryableError, PermanentError: some changes failed; all others are done.
    """
    kube, summary = context.kube, context.summary
    summary.unchanged = summary.failed = 0
    ledger = Ledger(kube, settings.namespace, settings.ledger, settings.labels)
    ledger.load()
    ledgers = {"DomainData": ledger.kind("tables"), "DomainDataGrant": ledger.kind("grants")}
    api_of = settings.namespace, settings.key_secret, settings.api, settings.domain_id, context.deadline
    with open_api(kube, *api_of) as api:
        oss = settings.source if isinstance(settings.source, Oss) else None
        keys = access_keys(kube, settings.namespace, oss.credentials_secret) if oss else ("", "")
        placed = place_tables(settings, kube, keys, summary, dry_run=context.dry_run)
        errors = placed.errors
        wanted = _wanted(settings, keys, placed.tables)
        declarer = _Declarer(settings, api, ledgers)
        removed = _removed(settings, ledgers)
        todo = plan_data(
            wanted,
            declarer.present(wanted),
            removed["DomainDataGrant"],
            removed["DomainData"] if settings.prune else (),
        )
        if context.dry_run:
            logger.info("%s", Plan((*placed.uploads, *todo.actions), todo.unchanged + summary.unchanged))
            if errors:
                raise merged(errors)
            return context.outcome()
        # Recorded before the requests: what is not in the ledger could never be deleted.
        for kind, bodies, id_key in (
            ("DomainData", wanted["tables"], "domaindata_id"),
            ("DomainDataGrant", wanted["grants"], "domaindatagrant_id"),
        ):
            for body in bodies:
                ledgers[kind].confirm(body[id_key], digest(body))
        ledger.save()
        errors += _apply(declarer, todo, summary)
    ledger.save()
    if removed["DomainData"] and not settings.prune:
        logger.warning(
            "tables declared earlier are no longer in the values: %s. They are kept; to delete them from Kuscia (not "
            "their objects), set lite.data.prune: true",
            ", ".join(removed["DomainData"]),
        )
    summary.unchanged += todo.unchanged
    summary.failed = len(errors)
    if errors:
        raise merged(errors)
    return context.outcome()


def _wanted(config: Data, keys: tuple[str, str], tables: list[Table]) -> dict[str, list[dict[str, Any]]]:
    """Return the request bodies; a table without content is neither declared nor granted."""
    ids = {table.id for table in tables}
    return {
        "source": [wanted_source(config, keys)],
        "tables": [wanted_table(config, table) for table in tables],
        "grants": [wanted_grant(config, grant.table, grant.domain) for grant in config.grants if grant.table in ids],
    }


def _removed(config: Data, ledgers: Mapping[str, Entries]) -> dict[str, list[str]]:
    """Return what this release created and its values no longer list, by kind."""
    stays = {
        "DomainData": {table.id for table in config.tables},
        "DomainDataGrant": {grant_id(grant.table, grant.domain) for grant in config.grants},
    }
    return {kind: sorted(set(entries) - stays[kind]) for kind, entries in ledgers.items()}


def _apply(declarer: _Declarer, todo: Plan, summary: Summary) -> list[StepError]:
    errors: list[StepError] = []
    for action in todo.actions:
        try:
            declarer.apply(action)
        except StepError as error:
            errors.append(error)
        else:
            logger.info("%s", action)
            summary.count([action])
    return errors
