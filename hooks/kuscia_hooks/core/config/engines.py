"""The engines of a lite, as the steps see them."""

from kuscia_hooks.core.config.common import ConfigModel, Name, SecretKey


class Engines(ConfigModel):
    """Where a RunK lite runs engines.

    Args:
        lite: `<namespace>/<name>` of the lite's Deployment, by which two lites are told apart.
        kubeconfig_secret: instead of the pod's own ServiceAccount.
    """

    namespace: Name
    lite: Name
    kubeconfig_secret: SecretKey | None = None


class CheckedEngines(Engines):
    """`pull_secrets` are those that engine pods need; `dns_service` is the Service that they ask for names."""

    pull_secrets: list[Name] = []
    dns_service: str | None = None


class LookedAtEngines(ConfigModel):
    """A lite's engines: the namespace of their pods, null where they are no pods of this cluster; and whether the lite
    keeps what they print.
    """

    namespace: Name | None = None
    keeps_logs: bool
