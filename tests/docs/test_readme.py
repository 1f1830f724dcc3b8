"""README.md does what it says: its blocks are run in order, as a newcomer types them. Needs the pulled samples."""

import shutil
from pathlib import Path

import pytest
from tests.docs.blocks import blocks_of, run_page
from tests.running_server import running_server
from tests.samples.sample_repository import version_folder

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.mark.slow
def test_every_block_prints_what_the_page_shows(tmp_path: Path) -> None:
    for model in ("embed", "vad", "file-type", "ocr-detection", "ocr-recognition", "smollm2"):
        version_folder(model)
    shutil.copy(README, tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    config = tmp_path / "server.toml"
    config.write_text('[apis.vector]\nfolder = "vector"\n')
    with running_server(version_folder("embed").parents[1], args=["--config", str(config)]) as server:
        assert run_page(README, tmp_path, server) >= 10


def test_the_python_model_shown_is_the_one_in_examples() -> None:
    shown = {block.path: block.text for block in blocks_of(README.read_text(), "README.md") if block.role == "file"}
    for path in ("words/model.toml", "words/1/model.py"):
        assert shown[f"my-models/{path}"] == (ROOT / "examples/models" / path).read_text()


def test_every_shell_and_python_block_takes_part_except_installing() -> None:
    left_out = [
        block.text.split()[0]
        for block in blocks_of(README.read_text(), "README.md")
        if block.language in ("bash", "python") and not block.role
    ]
    assert left_out == ["make", "source"]
