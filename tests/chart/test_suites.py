"""Each template has a helm-unittest suite with its name."""

from pathlib import Path

from tests.chart.render import CHART


def _suite(template: Path) -> str:
    """Return the name of the suite of a template: of the umbrella chart, or of a subchart."""
    name = template.stem.lower().replace("-", "_")
    return name if template.parent.parent == CHART else f"{template.parts[-3]}_{name}"


SUITES = {_suite(path): path for pattern in ("**/templates/*.yaml", "templates/*.txt") for path in CHART.glob(pattern)}


def test_every_template_has_a_suite() -> None:
    assert {path.name.removesuffix("_test.yaml") for path in CHART.glob("tests/*_test.yaml")} == SUITES.keys()


def test_suites_test_the_template_of_their_name() -> None:
    for name, template in SUITES.items():
        assert str(template.relative_to(CHART)) in (CHART / f"tests/{name}_test.yaml").read_text()
