"""Lists continue after a block in them, on GitHub and on the documentation site."""

import re

import pytest

from tests.chart.render import ROOT
from tests.docs.pages import PAGES


@pytest.mark.parametrize("page", PAGES)
def test_no_block_ends_its_list(page: str) -> None:
    """The site needs an indentation of four; with less, the list ends and the numbers start again."""
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"(?<=\n\n) {1,3}(?! ).*", text) == []
