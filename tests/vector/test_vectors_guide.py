"""docs/guide/vectors.md does what it says: its programs are run in order, beside a server with the sample model."""

from pathlib import Path

import pytest
from tests.docs.blocks import run_page
from tests.running_server import running_server
from tests.samples.sample_repository import version_folder

GUIDE = Path(__file__).parents[2] / "docs/guide/vectors.md"


@pytest.mark.slow
def test_every_block_prints_what_the_guide_shows(tmp_path: Path) -> None:
    with running_server(version_folder("embed").parents[1]) as server:
        assert run_page(GUIDE, tmp_path, server) == 5
