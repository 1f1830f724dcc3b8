"""The guide on batching and pipelines: its files load, and do what its text says."""

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.hosts import Asking, running_host

from hekla.base.errors import InputError
from hekla.protocols.stage import StageLoader
from hekla.serve.observe.metrics import Metrics
from hekla.serve.request import InferResponse, SequenceStep

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "batching-and-pipelines.md"
_BLOCK = re.compile(r"^```(\w+)\n# (file|stage): (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The guide's files."""
    for _, kind, name, text in _BLOCK.findall(GUIDE.read_text()):
        if kind == "file":
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path


def _stages() -> dict[str, StageLoader]:
    found: dict[str, StageLoader] = {}
    for _, kind, name, text in _BLOCK.findall(GUIDE.read_text()):
        if kind == "stage":
            space: dict[str, Any] = {}  # Any: a module's names
            exec(compile(text, name, "exec"), space)
            found[name] = space["load"]
    return found


def test_every_model_of_the_guide_is_served_and_answers(repository: Path) -> None:
    async def story() -> None:
        async with running_host(repository, stages=_stages()) as host:
            states = {row["name"]: (row["state"], row["reason"]) for row in host.repository_index()}
            assert states == dict.fromkeys(("scale", "sum", "twice", "words"), ("READY", ""))
            pair = np.array([[1, 2]], np.float32)
            assert await Asking(host, "scale", pair).y() == 2
            assert await Asking(host, "twice", pair).y() == 4
            words = await Asking(host, "words", inputs={"text": np.array([b"seven.."], np.object_)}).answer()
            assert isinstance(words, InferResponse)
            assert words.outputs["double"].tolist() == [14]
            error = await Asking(host, "words", inputs={"text": np.array([b""], np.object_)}).error()
            assert (type(error), str(error)) == (InputError, "input 'text': is empty")
            sums = []
            for n, (start, end) in enumerate([(True, False), (False, False), (False, True)], 1):
                sums.append(await Asking(host, "sum", float(n), sequence=SequenceStep(1, start, end)).y())
            assert sums == [1, 3, 6]

    asyncio.run(story())


def test_the_metrics_the_guide_names_are_there(repository: Path) -> None:
    async def story() -> str:
        async with running_host(repository, stages=_stages()) as host:
            await Asking(host, "scale", np.zeros((1, 2), np.float32)).answer()
            await Asking(host, "scale", inputs={}).error()
            return Metrics(host.repository.served, lambda: 0).page().decode()

    page = asyncio.run(story())
    for name in set(re.findall(r"hekla_[a-z_]+", GUIDE.read_text())):
        assert f"# HELP {name.removesuffix('_total')}" in page, name
