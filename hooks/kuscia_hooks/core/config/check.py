"""The configuration of `check`, with the example job."""

from typing import Annotated, Literal

from pydantic import Field

from kuscia_hooks.core.config.common import ApiStep, ConfigModel, DomainId, Endpoint, KusciaId, Master, Name
from kuscia_hooks.core.config.data import Credentials
from kuscia_hooks.core.config.datastore import Datastore
from kuscia_hooks.core.config.engines import CheckedEngines


class Party(ConfigModel):
    domain: DomainId
    table: Name
    keys: Annotated[list[Name], Field(min_length=1)]


class ExampleJob(ConfigModel):
    """The PSI job of `helm test`.

    Args:
        output: what the result's ID begins with in each domain; the run is added to it.
        data_source: ID of the data source in each domain.
        keep: leave the KusciaJob and its result in place.
    """

    app_image: Name
    initiator: DomainId
    parties: Annotated[list[Party], Field(min_length=2, max_length=2)]
    output: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")]
    timeout_seconds: Annotated[int, Field(gt=0)] = 600
    data_source: KusciaId
    keep: bool = False


class CheckedSource(ConfigModel):
    """A lite's OSS data source, and the Secret whose keys it has to hold."""

    id: KusciaId
    credentials_secret: Credentials


class Check(ApiStep):
    """check.yaml. `volume`: where the lite's data volume is mounted here; None when it is not."""

    mode: Literal["master", "lite"]
    gateway: Endpoint
    volume: Annotated[str, Field(pattern="^/")] | None = None
    domains: list[DomainId] = []
    routes: list[tuple[DomainId, DomainId]] = []
    datastore: Datastore | None = None
    example_job: ExampleJob | None = None
    master: Master | None = None
    source: CheckedSource | None = None
    tables: list[Name] = []
    results: list[Name] = []
    engines: CheckedEngines | None = None
