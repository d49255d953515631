"""The AppImages of the step `routes`: reads, plans and changes them."""

from collections.abc import Sequence
from typing import Any

from kuscia_hooks.cluster.ledger import Entries, digest
from kuscia_hooks.cluster.ownership import Block, changed_concurrently
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.plan import Action, Plan, plan_owned
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists
from kuscia_hooks.kuscia.app_images import normal_app_image, same_app_image, wanted_app_image
from kuscia_hooks.kuscia.batches import query_in_batches
from kuscia_hooks.steps import Context


class AppImageWriter:
    """Reads, plans and changes the AppImages of the values."""

    block = Block("AppImage", "master.adopt.appImages", "master.prune.appImages")

    def __init__(self, config: Routes, api: KusciaAPI, entries: Entries, context: Context) -> None:
        self._config, self._api, self.entries, self._context = config, api, entries, context
        self.wanted = {name: wanted_app_image(name, app) for name, app in config.app_images.items()}

    def plan(self) -> Plan:
        """Read the AppImages of the values and of the ledger, and return the plan."""
        adopt, prune = self._config.adopt.app_images, self._config.prune.app_images
        present = self._present()
        return plan_owned("AppImage", self.wanted, present, self.entries, same_app_image, adopt=adopt, prune=prune)

    def _present(self) -> dict[str, Any | None]:
        names = sorted({*self.wanted, *self.entries})
        found = query_in_batches(names, self._query, self._context.reads)
        return {name: found.get(name) for name in names}

    def _query(self, names: Sequence[str]) -> dict[str, Any]:
        return {answer["name"]: answer for answer in self._api.call("appimage/batchQuery", {"names": list(names)})}

    def content(self, entry: str) -> str:
        """Return the `digest` of an AppImage; see `Writer.content`."""
        return digest(normal_app_image(self.wanted[entry]))

    def apply(self, action: Action) -> None:
        """Create, update or delete an AppImage; see `Writer.apply`."""
        if action.verb == "create":
            self._create(action.name, action.payload)
        elif action.verb == "update":
            self._api.call("appimage/update", action.payload)
        else:
            self._delete(action.name)

    def _create(self, name: str, body: dict[str, Any]) -> None:
        try:
            self._api.call("appimage/create", body)
        except Exists as error:
            found = self._api.find("appimage/query", {"name": name})
            if found is None or not same_app_image(body, found):
                raise changed_concurrently("AppImage", name) from error

    def _delete(self, name: str) -> None:
        try:
            self._api.call("appimage/delete", {"name": name})
        except StepError as error:
            # For a missing AppImage, KusciaAPI returns the general code of a failed deletion (Kuscia facts 7.3).
            if "not found" not in error.message:
                raise
