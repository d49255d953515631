"""The configuration of `check`, with the example job."""

from typing import Annotated, Literal

from pydantic import Field

from kuscia_hooks.core.config.common import (
    ApiStep,
    ConfigModel,
    Directory,
    DomainId,
    Endpoint,
    KusciaId,
    Master,
    Name,
    ObjectName,
)
from kuscia_hooks.core.config.data import Credentials
from kuscia_hooks.core.config.datastore import Datastore
from kuscia_hooks.core.config.domains import Domains
from kuscia_hooks.core.config.engines import CheckedEngines
from kuscia_hooks.core.config.rules import matching


class Party(ConfigModel):
    domain: DomainId
    table: KusciaId
    keys: Annotated[list[Name], Field(min_length=1)]


class ExampleJob(ConfigModel):
    """The PSI job of `helm test`.

    Args:
        output: prefix of the result's ID in each domain; the ID of the run is appended.
        data_source: ID of the data source in each domain.
        keep: leave the KusciaJob and its result in place.
    """

    app_image: KusciaId
    initiator: DomainId
    parties: Annotated[list[Party], Field(min_length=2, max_length=2)]
    output: Annotated[str, matching("outputPrefix")]
    timeout_seconds: Annotated[int, Field(gt=0)] = 600
    data_source: KusciaId
    keep: bool = False


class CheckedSource(ConfigModel):
    """The OSS data source of a lite, and the Secret with its access keys."""

    id: KusciaId
    credentials_secret: Credentials


class Check(ApiStep, Domains):
    """The file check.yaml.

    Args:
        ledger: name of the ledger, whose leftover and foreign objects are listed; None to list none.
        absent_domains: whether a domain without a Ready node is a failure, or only reported.
        volume: mount path of the lite's data volume in the step's pod; None if it is not mounted.
    """

    mode: Literal["master", "lite"]
    gateway: Endpoint
    ledger: ObjectName | None = None
    absent_domains: Literal["fail", "report"] = "fail"
    volume: Directory | None = None
    datastore: Datastore | None = None
    example_job: ExampleJob | None = None
    master: Master | None = None
    source: CheckedSource | None = None
    tables: list[KusciaId] = []
    results: list[KusciaId] = []
    engines: CheckedEngines | None = None
