"""Each template has a helm-unittest suite with its name."""

from tests.chart.render import CHART


def test_every_template_has_a_suite() -> None:
    wanted = {"validate", "notes", "images"}
    for path in CHART.glob("charts/*/templates/*.yaml"):
        component = path.parts[-3]
        wanted.add(f"{component}_{path.stem.replace('-', '_')}")
    assert {path.name.removesuffix("_test.yaml") for path in CHART.glob("tests/*_test.yaml")} == wanted


def test_suites_test_the_template_of_their_name() -> None:
    for path in CHART.glob("tests/*_test.yaml"):
        component, _, stem = path.name.removesuffix("_test.yaml").partition("_")
        if stem:
            assert f"charts/{component}/templates/{stem.replace('_', '-')}.yaml" in path.read_text()
