"""The serving guide's examples print what the page shows. Needs the pulled samples."""

from pathlib import Path

import pytest
from tests.docs.blocks import blocks_of, run_page
from tests.running_server import running_server
from tests.samples.sample_repository import version_folder

from hekla.serve.config import QueueConfig
from hekla.serve.http.limits import HttpLimits
from hekla.serve.server import ServerConfig

PAGE = Path(__file__).parents[2] / "docs/guide/serving.md"


@pytest.mark.slow
def test_every_block_prints_what_the_guide_shows(tmp_path: Path) -> None:
    for model in ("embed", "vad", "file-type", "ocr-detection", "ocr-recognition"):
        version_folder(model)
    with running_server(version_folder("embed").parents[1]) as server:
        assert run_page(PAGE, tmp_path, server) >= 8


def test_every_block_takes_part() -> None:
    assert all(block.role for block in blocks_of(PAGE.read_text(), PAGE.name))


def test_the_limits_shown_are_the_defaults() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    shown = {row[0].removeprefix("| "): row[1] for row in rows if len(row) >= 4}
    limits, queue = HttpLimits(), QueueConfig()
    config = ServerConfig(())
    assert shown["body of a request, packed or unpacked"] == f"{config.max_body_bytes >> 20} MiB"
    assert shown["head of a request"] == f"{limits.head_bytes >> 10} KiB"
    assert (
        shown["time from a request's first byte to its last"] == f"{config.read_timeout_s:g} s, twice that over 1 MiB"
    )
    assert shown["time a client may leave its answer unread"] == f"{config.read_timeout_s:g} s"
    assert shown["time between two requests of a connection"] == f"{limits.idle_s:g} s"
    assert shown["requests that wait for a model"] == str(queue.capacity)
    assert shown["time a request would wait"] == f"{queue.max_wait_ms / 1000:g} s"
