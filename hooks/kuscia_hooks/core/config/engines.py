"""The engine pods of a lite."""

from kuscia_hooks.core.config.common import ConfigModel, Name, Namespace, ObjectName, SecretKey


class Engines(ConfigModel):
    """The engine namespace of a RunK lite.

    Args:
        lite: `<namespace>/<name>` of the lite's Deployment, which identifies the lite.
        kubeconfig_secret: credentials to use instead of the ServiceAccount of the pod.
    """

    namespace: Namespace
    lite: Name
    kubeconfig_secret: SecretKey | None = None


class CheckedEngines(Engines):
    """The engine namespace, for `check`.

    Args:
        pull_secrets: names of the imagePullSecrets that engine pods need.
        dns_service: the Service that engine pods use for DNS.
    """

    pull_secrets: list[ObjectName] = []
    dns_service: ObjectName | None = None


class InspectedEngines(ConfigModel):
    """The engines of a lite, for `logs` and `doctor`.

    Args:
        namespace: namespace of the engine pods; None if engines do not run as pods of this cluster.
        keeps_logs: whether the lite stores the logs of engines.
        capacity: what engines may use in total, as Kubernetes quantities by name.
    """

    namespace: Namespace | None = None
    keeps_logs: bool
    capacity: dict[str, str] = {}
