"""The chat guide's examples print what the page shows."""

from pathlib import Path

import pytest
from tests.docs.blocks import blocks_of, run_page

from hekla.serve.openai import responses_store

PAGE = Path(__file__).parents[3] / "docs/guide/chat.md"


@pytest.mark.slow
def test_every_block_prints_what_the_guide_shows(tmp_path: Path) -> None:
    assert run_page(PAGE, tmp_path) >= 10


def test_every_block_takes_part() -> None:
    assert all(block.role for block in blocks_of(PAGE.read_text(), PAGE.name))


def test_the_limits_told_are_the_codes() -> None:
    text = PAGE.read_text()
    assert f"the latest {responses_store.MOST}, at most {responses_store.MOST_BYTES >> 20} MiB" in text
