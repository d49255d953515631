"""Assertions on errors of the steps."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kuscia_hooks.core.errors import StepError


@contextmanager
def fails(error_id: str) -> Iterator[pytest.ExceptionInfo[StepError]]:
    """Expect a StepError with this ID."""
    with pytest.raises(StepError) as caught:
        yield caught
    assert caught.value.id == error_id, caught.value
