"""The files generated from values.schema.yaml are up to date."""

from schema.generate import generated
from schema.pages import descriptions, translations
from schema.source import keys, read


def test_generated_files_are_up_to_date() -> None:
    outdated = [path.name for path, text in generated().items() if path.read_text() != text]
    assert outdated == [], "run `make schema`"


def test_every_key_has_a_description() -> None:
    """The entries of a mapping or list are described with it."""
    assert [key.path for key in keys(read()) if "description" not in key.node and key.path[-1] not in "*]"] == []


def test_every_description_is_translated() -> None:
    assert set(translations()) == set(descriptions())
