"""The page about served vectors prints what it shows."""

from pathlib import Path

import pytest
from tests.docs.blocks import run_page

PAGE = Path(__file__).parents[3] / "docs/guide/served-vectors.md"


@pytest.mark.slow
def test_every_block_prints_what_the_page_shows(tmp_path: Path) -> None:
    assert run_page(PAGE, tmp_path) >= 3
