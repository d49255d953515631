"""Builders of what steps are called with."""

from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.steps import Context
from tests.hooks.fakes.clock import FakeTime


def context(kube: Kube | None = None, deadline: Deadline | None = None, **options: Any) -> Context:
    """Return a context whose waits take no time and which ends after 5 s; without `kube` it has no client."""

    def connect() -> Kube:
        assert kube is not None, "this step must not use the Kubernetes API"
        return kube

    return Context(deadline or FakeTime().deadline(5), connect=connect, **options)
