"""The kit: engines that keep their promises pass, and one planted fault of each kind is caught."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.llm.tiny_folder import write_tiny_folder

from hekla.base.errors import EngineError
from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.llm.engine import LlmEngine
from hekla.llm.loader import load
from hekla.protocols.text_engine import RequestId, TextEngineSource, TextEngineStatus, TextRequest, TokenEvent
from hekla.testing.check_text_engine import check_text_engine

PROMPT = "the quick brown fox jumps over the lazy dog.\n\nthe "
CORPUS = (
    b"the quick brown fox jumps over the lazy dog.\n\nthe dog sleeps on.\n\nthe fox jumps again, quick and brown.\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_folder(tmp_path_factory.mktemp("model") / "1")


def engine_of(folder: Path, **options: Any) -> LlmEngine:
    """Return an engine. Any: values of options."""
    given = {"runner": "reference", "kv_type": "f32", "context_tokens": 160, "max_running": 4, **options}
    return load(TextEngineSource("tiny", 1, folder, given))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"draft": "lookup"},
        {"max_step_tokens": 16},
        {"runner": "compiled"},
        {"runner": "compiled", "kv_type": "int8", "draft": "lookup"},
    ],
    ids=str,
)
@pytest.mark.slow
def test_the_language_model_engine_keeps_its_promises(folder: Path, options: dict[str, Any]) -> None:
    check_text_engine(lambda: engine_of(folder, **options), PROMPT)


@pytest.mark.slow
def test_the_engine_of_byte_counts_keeps_its_promises() -> None:
    check_text_engine(lambda: NgramEngine("counts", CORPUS, NgramOptions()), PROMPT)


class Faulty(LlmEngine):
    """An engine with one fault."""

    fault = ""

    def submit(self, request: TextRequest) -> None:
        """Queue, less carefully."""
        if self.fault == "prompt cut":
            request = replace(request, prompt=request.prompt[-100:])
        if self.fault == "stop ignored":
            request = replace(request, stop=())
        if self.fault == "seed ignored" and len(self._answers) % 2:
            request = replace(request, sampling=replace(request.sampling, seed=99))
        super().submit(request)

    def step(self) -> Sequence[TokenEvent]:
        """Step, and spoil what came."""
        before = len(self._answers)
        events = list(super().step())
        if self.fault == "crowds matter" and before > 3:
            events = [replace(event, token=5 if event.token is not None else None) for event in events]
        if self.fault == "token lost":
            events = [event for event in events if event.token is None or event.token % 2 or event.finish_reason]
        if self.fault == "end twice":
            events += [event for event in events if event.finish_reason]
        return events

    def cancel(self, request_id: RequestId) -> None:
        """Cancel, or not at once."""
        if self.fault == "cancelled later":
            return
        super().cancel(request_id)
        if self.fault == "page leaked" and self._scheduler.pool.free:
            self._scheduler.pool.take()

    def status(self) -> TextEngineStatus:
        """Return the status, perhaps wrong."""
        status = super().status()
        return replace(status, answer_tokens=0) if self.fault == "nothing counted" else status


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("prompt cut", "must be TooLargeError, and nothing was raised"),
        ("stop ignored", "stopped at"),
        ("seed ignored", "equal seeds"),
        ("crowds matter", "a crowd changed|equal answers"),
        ("token lost", "asked for"),
        ("end twice", "after its end"),
        ("cancelled later", "never asked"),
        ("page leaked", "0 sequences hold it"),
        ("nothing counted", "answer tokens are not counted"),
    ],
)
def test_a_planted_fault_is_caught(folder: Path, fault: str, words: str) -> None:
    def make() -> Faulty:
        engine = engine_of(folder)
        engine.__class__ = Faulty  # only methods differ
        assert isinstance(engine, Faulty)
        engine.fault = fault
        return engine

    with pytest.raises((AssertionError, EngineError), match=words):
        check_text_engine(make, PROMPT)
