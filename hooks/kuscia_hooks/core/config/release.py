"""The configuration of the commands that read a release: doctor, status, logs, and invite."""

from typing import Literal

from kuscia_hooks.core.config.common import (
    ApiStep,
    ConfigModel,
    DomainId,
    Endpoint,
    Master,
    Name,
    ObjectName,
    SecretKey,
)
from kuscia_hooks.core.config.datastore import Datastore
from kuscia_hooks.core.config.domains import Domains
from kuscia_hooks.core.config.engines import InspectedEngines


class External(ConfigModel):
    """Access to the gateway from outside the cluster: `url` of an Ingress, or else the name of the Service."""

    type: Literal["Ingress", "LoadBalancer", "NodePort"]
    service: ObjectName | None = None
    url: Endpoint | None = None


class Invitation(ConfigModel):
    """What `invite` tells a partner about a master.

    Args:
        images: all images that the cluster of the partner must be able to pull.
    """

    external: External | None = None
    chart_version: Name
    images: list[Name]


class Release(ApiStep, Domains):
    """The file doctor.yaml, used by `doctor`, `status`, `logs` and `invite`."""

    mode: Literal["master", "lite"]
    release: Name
    fullname: ObjectName
    ledger: ObjectName
    gateway: Endpoint
    extra_config_secret: SecretKey | None = None
    datastore: Datastore | None = None
    invitation: Invitation | None = None
    master: Master | None = None
    engines: InspectedEngines | None = None
    partners: list[DomainId] = []
