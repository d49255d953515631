"""The Secrets with deploy tokens that are missing, which the step `routes` creates again.

`register` runs once for its values. Its Secrets can be deleted later, by hand or with the Service that owns them.
`routes` runs after every upgrade and rollback.
"""

from kuscia_hooks.cluster.ledger import Entries
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.plan import Action
from kuscia_hooks.kuscia import deploy_tokens
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.deploy_tokens import TokenKey, TokenSecrets, recorded_content
from kuscia_hooks.kuscia.domains import unused_token
from kuscia_hooks.steps import Context


class TokenRestorer:
    """Creates the Secrets with deploy tokens that are missing; `register` updates existing ones."""

    def __init__(self, config: Routes, api: KusciaAPI, entries: Entries, context: Context) -> None:
        self._config, self._api, self.entries, self._context = config, api, entries, context
        self._writes = TokenSecrets(context.kube, config.namespace, config.labels, config.owner)
        self._contents: dict[str, str] = {}

    def plan(self) -> tuple[list[Action], list[StepError]]:
        """Return the Secrets to create, with their tokens as payloads, and the errors of other domains."""
        actions: list[Action] = []
        keys = [
            TokenKey(name, domain.token_secret) for name, domain in self._config.domains.items() if domain.token_secret
        ]
        missing: list[TokenKey] = []

        def read(key: TokenKey) -> None:
            if self._context.kube.stored_secret(self._config.namespace, key.secret) is None:
                missing.append(key)

        def query(key: TokenKey) -> None:
            domain = self._api.find("domain/query", {"domain_id": key.domain_id})
            if domain is None:
                # `register` creates the Domain, and then the Secret.
                return
            token = unused_token(domain)
            if not token:
                raise deploy_tokens.pending([key.domain_id], self._config.namespace)
            spent = bool(domain["cert"]) and not self._config.domains[key.domain_id].allow_rekey
            self._contents[key.entry] = recorded_content(token, spent)
            actions.append(Action("create", "Secret", key.secret, "missing", key.entry, token))

        failed = [*each(keys, read), *each(missing, query, self._context.reads)]
        return actions, [error for _, error in failed]

    def content(self, entry: str) -> str:
        """Return what the ledger records of a Secret; see `Writer.content`."""
        return self._contents[entry]

    def apply(self, action: Action) -> None:
        """Create a Secret; see `Writer.apply`."""
        self._writes.create(action.name, action.payload)
