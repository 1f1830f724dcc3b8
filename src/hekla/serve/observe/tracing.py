"""Traces: a span per request and one per stage, as children of the trace the client sent (W3C Trace Context).

The spans are made after the fact from the times the statistics need anyway, so a request that is not traced pays
nothing and one that is pays when it is answered. OpenTelemetry (extra `otel`) exports them over OTLP.
"""

import time
from typing import TYPE_CHECKING

from hekla.base.errors import ConfigError, HeklaError
from hekla.serve.execution.job import Job
from hekla.serve.observe.trace_parent import TraceParent, read_trace_parent
from hekla.serve.request import InferResponse
from hekla.serve.text.generation import Generation
from hekla.serve.text.timeline import text_spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext


class Tracer:
    """Records finished jobs as spans."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("hekla.serve")

    def record(self, job: Job, answer: InferResponse | HeklaError, total_s: float) -> str:
        """Export the spans of a request that was just answered; return its span as a `traceparent` header."""
        from opentelemetry import trace  # the extra `otel`

        request = job.request
        parent = parse_trace_parent(request.trace_parent)
        context = None
        if parent is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        # Spans carry wall-clock time; our times are monotonic.
        wall_minus_monotonic_s = time.time() - time.monotonic()

        def nanoseconds(monotonic_s: float) -> int:
            return int((monotonic_s + wall_minus_monotonic_s) * 1e9)

        span = self._tracer.start_span(
            f"infer {request.model}",
            context=context,
            kind=trace.SpanKind.SERVER,
            start_time=nanoseconds(request.received_s),
            attributes={"hekla.model": request.model, "hekla.request_id": request.request_id or request.id},
        )
        if span.is_recording():  # the client may have said that this trace is not kept
            inner = trace.set_span_in_context(span)
            for name, start_s, end_s in job.spans or ():
                child = self._tracer.start_span(name, context=inner, start_time=nanoseconds(start_s))
                child.end(nanoseconds(end_s))
            if isinstance(answer, HeklaError):
                span.set_status(trace.StatusCode.ERROR, str(answer))
            span.end(nanoseconds(request.received_s + total_s))
        own = span.get_span_context()
        return str(TraceParent(f"{own.trace_id:032x}", f"{own.span_id:016x}", own.trace_flags))

    def record_text(self, generation: Generation, error: HeklaError | None) -> None:
        """Export the spans of a request for text that has ended: what it waited for, and a span per token.

        A token's span has its parts in seconds as attributes: `hekla.decode_s`, `hekla.sample_s`,
        `hekla.detokenise_s` and `hekla.send_s`.
        """
        from opentelemetry import trace  # the extra `otel`

        wish = generation.wish
        if not wish.is_counted:  # asked as an inference, which is traced as one
            return
        parent = parse_trace_parent(wish.trace_parent)
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent is not None else None
        wall_minus_monotonic_s = time.time() - time.monotonic()

        def nanoseconds(monotonic_s: float) -> int:
            return int((monotonic_s + wall_minus_monotonic_s) * 1e9)

        span = self._tracer.start_span(
            f"write {generation.model_name}",
            context=context,
            kind=trace.SpanKind.SERVER,
            start_time=nanoseconds(wish.received_s),
            attributes={
                "hekla.model": generation.model_name,
                "hekla.request_id": wish.request_id,
                "hekla.tenant": wish.tenant,
                "hekla.tokens": sum(timeline.tokens for timeline in generation.timelines),
            },
        )
        if span.is_recording():  # the client may have said that this trace is not kept
            inner = trace.set_span_in_context(span)
            for part in text_spans(generation):
                child = self._tracer.start_span(
                    part.name, context=inner, start_time=nanoseconds(part.start_s), attributes=part.attributes
                )
                child.end(nanoseconds(part.end_s))
            if error is not None:
                span.set_status(trace.StatusCode.ERROR, str(error))
            span.end()

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def parse_trace_parent(header: str) -> "SpanContext | None":
    """Return the client's span as OpenTelemetry has it; None for no header, or one the standard says to ignore."""
    from opentelemetry import trace  # the extra `otel`

    span = read_trace_parent(header)
    if span is None:
        return None
    return trace.SpanContext(int(span.trace_id, 16), int(span.span_id, 16), True, trace.TraceFlags(span.flags))


def make_tracer(otlp_endpoint: str, service_version: str) -> Tracer:
    """Return a tracer that sends to an OTLP/HTTP collector. Errors: ConfigError without the extra `otel`."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "OpenTelemetry is not installed", where="--otlp-endpoint", cure="pip install 'hekla[otel]'"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "hekla", "service.version": service_version}))
    url = f"{otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return Tracer(provider)
