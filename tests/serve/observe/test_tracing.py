"""Spans of a request and its stages, as children of the trace the client sent."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.serve.hosts import Asking, running_host, write_graph, write_times

from hekla.base.errors import HeklaError
from hekla.serve.execution.job import Job
from hekla.serve.observe.trace_parent import TraceParent, read_trace_parent, trace_id_of
from hekla.serve.observe.tracing import Tracer, parse_trace_parent
from hekla.serve.request import InferResponse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


class Spans:
    """A tracer and what it exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = Tracer(provider)

    def by_name(self) -> dict[str, ReadableSpan]:
        """The spans so far."""
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def spans() -> Iterator[Spans]:
    """A tracer that keeps its spans."""
    made = Spans()
    yield made
    made.tracer.close()


def _ask(tmp_path: Path, spans: Spans, model: str, **how: str) -> InferResponse | HeklaError:
    async def story() -> InferResponse | HeklaError:
        async with running_host(tmp_path, on_answered=spans.tracer.record) as host:
            return await Asking(host, model, **how).answer()  # type: ignore[arg-type]  # only the text options are given

    return asyncio.run(story())


def test_spans_are_children_of_the_clients_and_lie_within_one_another(tmp_path: Path, spans: Spans) -> None:
    write_times(tmp_path, "m", 2)
    answer = _ask(tmp_path, spans, "m", trace_parent=HEADER, request_id="r1")
    found = spans.by_name()
    assert sorted(found) == ["infer", "infer m", "queue"]
    whole = found["infer m"]
    assert whole.context is not None
    assert whole.parent is not None
    assert (whole.context.trace_id, whole.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert dict(whole.attributes or {}) == {"hekla.model": "m", "hekla.request_id": "r1"}
    for name in ("queue", "infer"):
        span = found[name]
        assert span.parent is not None
        assert span.parent.span_id == whole.context.span_id
        times = [whole.start_time, span.start_time, span.end_time, whole.end_time]
        # To the microsecond: spans carry wall-clock time, taken anew for each request.
        assert all(b >= a - 1000 for a, b in itertools.pairwise(times) if a is not None and b is not None)
    assert isinstance(answer, InferResponse)
    assert answer.trace_parent == f"00-{TRACE}-{whole.context.span_id:016x}-01"


def test_a_request_without_a_trace_begins_one(tmp_path: Path, spans: Spans) -> None:
    write_times(tmp_path, "m", 2)
    answer = _ask(tmp_path, spans, "m")
    whole = spans.by_name()["infer m"]
    assert whole.parent is None
    assert isinstance(answer, InferResponse)
    assert read_trace_parent(answer.trace_parent) is not None


def test_a_trace_the_client_does_not_keep_is_not_kept_here(tmp_path: Path, spans: Spans) -> None:
    write_times(tmp_path, "m", 2)
    answer = _ask(tmp_path, spans, "m", trace_parent=f"00-{TRACE}-{SPAN}-00")
    assert spans.by_name() == {}
    assert isinstance(answer, InferResponse)
    assert trace_id_of(answer.trace_parent) == TRACE


def test_the_models_of_a_graph_are_spans_of_its_request(tmp_path: Path, spans: Spans) -> None:
    write_times(tmp_path, "two", 2)
    write_times(tmp_path, "three", 3)
    write_graph(tmp_path, "six", "two", "three")
    _ask(tmp_path, spans, "six", trace_parent=HEADER)
    assert sorted(spans.by_name()) == ["infer six", "three", "two"]


def test_a_failure_is_the_spans_status(tmp_path: Path, spans: Spans) -> None:
    write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path, on_answered=spans.tracer.record) as host:
            await Asking(host, "m", inputs={}).error()

    asyncio.run(story())
    status = spans.by_name()["infer m"].status
    assert status.description is not None
    assert "'x' is missing" in status.description


def test_a_tracer_that_raises_costs_nobody_an_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_times(tmp_path, "m", 2)

    def broken(job: Job, answer: InferResponse | HeklaError, total_s: float) -> str:
        raise RuntimeError("the collector's library has a bug")

    async def story() -> None:
        async with running_host(tmp_path, on_answered=broken) as host:
            assert await Asking(host, "m").y() == 2

    asyncio.run(story())
    assert "could not be traced" in caplog.text


def test_untraced_requests_note_no_spans(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            asked = Asking(host, "m")
            await asked.y()
            assert isinstance(asked.ticket, Job)
            assert asked.ticket.spans is None

    asyncio.run(story())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER.upper(),
        HEADER + "-01",  # version 00 has nothing after its flags
        HEADER[:-1],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f" {HEADER}",
        f"00-{TRACE}-{SPAN}-zz",
        f"cc-{TRACE}-{SPAN}-01.extra",
    ],
)
def test_a_malformed_header_is_ignored(header: str) -> None:
    assert read_trace_parent(header) is None
    assert (parse_trace_parent(header), trace_id_of(header)) == (None, "")


@pytest.mark.parametrize("header", [HEADER, f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be"])
def test_a_header_of_this_or_a_later_version_is_read(header: str) -> None:
    assert read_trace_parent(header) == TraceParent(TRACE, SPAN, 1)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_a_header_written_is_read_back(trace: int, span: int, flags: int) -> None:
    parent = TraceParent(f"{trace:032x}", f"{span:016x}", flags)
    assert read_trace_parent(str(parent)) == parent


@given(st.text(max_size=80))
def test_no_header_raises(header: str) -> None:
    read_trace_parent(header)
