"""The guide to serving language models: its blocks run, its table has every option. Needs the pulled sample."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from tests.docs.blocks import blocks_of, run_page
from tests.samples.sample_repository import version_folder

from hekla.llm.options import LlmOptions

GUIDES = Path(__file__).parents[2] / "docs/guide"
GUIDE = GUIDES / "language-models.md"
_OTHER = ("quantised", "reference")  # rows of another table
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


@pytest.mark.slow
def test_every_block_prints_what_the_guide_shows(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(version_folder("smollm2").parents[1])
    assert run_page(GUIDE, tmp_path) >= 10


def test_every_block_takes_part_except_measuring() -> None:
    left_out = [block.text for block in blocks_of(GUIDE.read_text(), GUIDE.name) if not block.role]
    assert left_out == ["hekla bench llm my-models/helper\n"]


@pytest.mark.parametrize("page", ["language-models.md", "llm-engine.md"])
def test_the_table_has_every_option_with_its_default(page: str) -> None:
    names = [option.name for option in fields(LlmOptions)]
    shown = {name: default for name, default in _ROW.findall((GUIDES / page).read_text()) if name not in _OTHER}
    assert list(shown) == names
    for option in fields(LlmOptions):
        if isinstance(option.default, int):
            assert shown[option.name] == str(option.default)
        elif isinstance(option.default, str):
            assert shown[option.name] == f'`"{option.default}"`'
