import pytest

from kuscia_hooks.core import catalog
from kuscia_hooks.core.errors import ConfigError, PermanentError, RetryableError, StepError, StepWarning, merged


def test_ids_are_unique() -> None:
    areas = [value for name, value in vars(catalog).items() if name.isupper() and isinstance(value, tuple)]
    ids = [entry.id for area in areas for entry in area]
    assert len(ids) == len(set(ids)) == len(catalog.CATALOG)


@pytest.mark.parametrize(
    ("kind", "error_id"),
    [(RetryableError, "invalid-config"), (PermanentError, "domains-not-registered"), (RetryableError, "no-such-id")],
)
def test_error_needs_an_id_of_its_class(kind: type[StepError], error_id: str) -> None:
    with pytest.raises(ValueError, match=error_id):
        kind(error_id, "a")


@pytest.mark.parametrize("warning_id", ["domain-key-lost", "no-such-id"])
def test_warning_needs_an_id_of_a_warning(warning_id: str) -> None:
    with pytest.raises(ValueError, match=warning_id):
        StepWarning(warning_id, "a")


def test_warning_cannot_be_raised() -> None:
    with pytest.raises(ValueError, match="database-version"):
        PermanentError("database-version", "a")


def test_warning_has_no_control_characters() -> None:
    assert StepWarning("database-version", "a\x1b[31m", fix="b\r").message == "a [31m"


def test_error_has_no_control_characters() -> None:
    error = PermanentError("domain-key-lost", "a\x1b[31m\nb\r", fix="c\x00d", see="e\x07")
    assert str(error) == "[domain-key-lost] a [31m\nb\n    fix: c d\n    see: e"


def test_merged_errors_are_permanent_if_one_is() -> None:
    retryable = RetryableError("domains-not-registered", "a")
    permanent = PermanentError("domain-key-lost", "b", see="kubectl x")
    assert merged([retryable]) is retryable
    assert merged([retryable, retryable]) is retryable
    assert merged([retryable, RetryableError("domains-not-registered", "a")]).id == "several-retryable"
    both = merged([retryable, permanent])
    assert both.id == "several-errors"
    assert str(both).splitlines()[1:] == [
        "  - [domains-not-registered] a",
        "  - [domain-key-lost] b",
        "        see: kubectl x",
    ]
    assert merged([retryable, permanent], finish=True).id == "several-retryable"
    assert merged([permanent, PermanentError("domain-key-lost", "c")], finish=True).id == "several-errors"


def test_only_ten_merged_errors_are_listed() -> None:
    message = merged([RetryableError("domains-not-registered", str(number)) for number in range(99)]).message
    assert len(message.splitlines()) == 12
    assert "89" in message.splitlines()[-1]


def test_config_error_is_permanent() -> None:
    assert ConfigError("invalid-config", "a").retryable is False
