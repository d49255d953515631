"""What a step that talks to KusciaAPI begins with: its own Secret, and the client that follows from it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Api, Doctor, SecretKey
from kuscia_hooks.core.errors import NotYet
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import KusciaAPI


@contextmanager
def open_api(
    kube: Kube, namespace: str, key_secret: SecretKey, api: Api, domain_id: str, deadline: Deadline
) -> Iterator[KusciaAPI]:
    """The node's own KusciaAPI, once it serves. The key is read anew each time, so a corrected Secret is
    seen.

    Raises:
        NotYet: the key Secret is missing or wrong.
        NeedsHuman: the node runs with another key.
        TimeUp: the deadline passed.
    """
    pem = kube.secret_value(namespace, key_secret.name, key_secret.key)
    try:
        key = domain_key.load_key(pem)
    except domain_key.InvalidKey as error:
        raise NotYet(
            f"{key_secret.key} of Secret {namespace}/{key_secret.name} is no domain key: {error}",
            f"kubectl describe secret {key_secret.name} -n {namespace}",
        ) from error
    with KusciaAPI(api.endpoint, api.protocol, domain_id, key) as client:

        def ready() -> None:
            try:
                client.ready()
            except NotYet as error:
                raise NotYet(error.message, f"kubectl get pods -n {namespace}") from error

        until(f"KusciaAPI of {domain_id}", ready, deadline)
        yield client


# For someone who looks: long enough for a slow answer, too short to wait for a start.
GLANCE = 5.0


@contextmanager
def at_a_glance(kube: Kube, config: Doctor) -> Iterator[Callable[[], KusciaAPI]]:
    """A function that opens the node's KusciaAPI, or raises HookError soon where it does not serve."""
    with ExitStack() as stack:

        def opened() -> KusciaAPI:
            deadline = Deadline(GLANCE)
            session = open_api(kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline)
            return stack.enter_context(session)

        yield opened
