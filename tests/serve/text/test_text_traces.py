"""The spans of a request for text: what it waited for, and where each token's time went."""

import asyncio
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.serve.text.worlds import GREEDY, Reader, text_world

from hekla.base.errors import HeklaError
from hekla.serve.observe.tracing import Tracer
from hekla.serve.text.wish import TextWish

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("answers", [1, 2])
def test_every_token_of_a_traced_request_is_a_span(answers: int) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = Tracer(provider)
    received_s = time.monotonic()
    wish = TextWish(
        ("hello",),
        answers=answers,
        sampling=GREEDY,
        max_tokens=4,
        tenant="ann",
        received_s=received_s,
        trace_parent=f"00-{TRACE}-{SPAN}-01",
    )

    async def test() -> None:
        async with text_world(on_text=tracer.record_text) as world:
            await Reader(world.model, wish).text()

    asyncio.run(test())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    names = ["queue", "prefill", *(f"token {number}" for number in range(4))]
    of = ["answer 0: ", "answer 1: "] if answers > 1 else [""]
    assert set(spans) == {"write faulty", *(f"{before}{name}" for before in of for name in names)}
    whole = spans["write faulty"]
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == SPAN
    assert whole.attributes is not None
    assert (whole.attributes["hekla.tenant"], whole.attributes["hekla.tokens"]) == ("ann", 4 * answers)
    last = spans[f"{of[-1]}token 3"]
    assert last.attributes is not None
    assert set(last.attributes) == {"hekla.decode_s", "hekla.sample_s", "hekla.detokenise_s", "hekla.send_s"}
    assert whole.start_time is not None
    assert last.end_time is not None
    assert whole.end_time is not None
    assert whole.start_time <= (last.start_time or 0) <= last.end_time <= whole.end_time


def test_a_request_that_failed_says_why() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = Tracer(provider)

    async def test() -> HeklaError:
        async with text_world(on_text=tracer.record_text) as world:
            return await Reader(world.model, TextWish(("x" * 9000,), received_s=time.monotonic())).failure()

    error = asyncio.run(test())
    (span,) = exporter.get_finished_spans()
    assert span.status.description == str(error)
