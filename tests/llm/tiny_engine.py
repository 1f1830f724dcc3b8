"""Engines over the NumPy runner and tiny models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.llm.tiny_language import TinyLanguage
from tests.llm.tiny_models import LLAMA, tiny_weights

from hekla.llm.engine import EngineLimits, LlmEngine
from hekla.llm.model_config import ModelConfig
from hekla.llm.reference import ReferenceRunner
from hekla.llm.runner import F32, LoraDelta
from hekla.llm.speculation.drafter import Drafter
from hekla.protocols.text_engine import RequestId, Sampling, TextModelInfo, TextRequest, TokenEvent

GREEDY = Sampling(temperature=0)


def no_adapter(path: Path) -> Sequence[LoraDelta]:
    raise AssertionError("no adapter is read here")


def tiny_engine(
    config: ModelConfig = LLAMA,
    *,
    weights: Mapping[str, F32] | None = None,
    pages: int = 40,
    page_tokens: int = 4,
    max_step_tokens: int = 32,
    limits: EngineLimits | None = None,
    read_adapter: Callable[[Path], Sequence[LoraDelta]] = no_adapter,
    drafter: Drafter | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> LlmEngine:
    runner = ReferenceRunner(
        config,
        tiny_weights(config) if weights is None else weights,
        pages=pages,
        page_tokens=page_tokens,
        max_step_tokens=max_step_tokens,
    )
    context = min(config.context_tokens, pages * page_tokens)
    return LlmEngine(
        info=TextModelInfo("tiny", config.family, "F32", 0, context, config.vocabulary_tokens, False, False),
        runner=runner,
        language=TinyLanguage(),
        limits=limits or EngineLimits(max_running=8),
        read_adapter=read_adapter,
        drafter=drafter,
        clock=clock,
    )


def request(number: int, prompt: Iterable[int] = (94, 1, 2, 3), **options: Any) -> TextRequest:
    """Return a request. Any: fields of TextRequest."""
    return TextRequest(RequestId(number), tuple(prompt), **{"max_tokens": 8, "sampling": GREEDY, **options})


@dataclass
class Answers:
    """What came for each request."""

    tokens: dict[int, list[int]] = field(default_factory=dict)
    text: dict[int, str] = field(default_factory=dict)
    reason: dict[int, str] = field(default_factory=dict)
    events: dict[int, list[TokenEvent]] = field(default_factory=dict)

    def take(self, events: Iterable[TokenEvent]) -> None:
        """Add what a step brought."""
        for event in events:
            number = int(event.request_id)
            assert number not in self.reason, "an event after the end"
            self.tokens.setdefault(number, []).extend([] if event.token is None else [event.token])
            self.text[number] = self.text.get(number, "") + event.text
            self.events.setdefault(number, []).append(event)
            if event.finish_reason is not None:
                self.reason[number] = event.finish_reason


def answers(engine: LlmEngine, *requests: TextRequest) -> Answers:
    """Submit requests and run until nothing is left."""
    found = Answers()
    for asked in requests:
        engine.submit(asked)
    while engine.has_work:
        found.take(engine.step())
    engine.tidy()
    return found
