"""`/metrics`: the statistics of every model in Prometheus's text form. Read when scraped; nothing is counted twice."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hekla.serve.observe.histogram import Histogram
from hekla.serve.served_model import ServedModel

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_MODEL = ("model", "version")


class Metrics:
    """The metrics page of one server. `connections` and `models` are asked at each scrape."""

    def __init__(
        self,
        models: Callable[[], Iterable[ServedModel]],
        connections: Callable[[], int],
        more: Iterable[Collector] = (),
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ModelCollector(models, connections))
        for collector in more:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


class _ModelCollector(Collector):
    def __init__(self, models: Callable[[], Iterable[ServedModel]], connections: Callable[[], int]) -> None:
        self._models, self._connections = models, connections

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        models = list(self._models())
        yield GaugeMetricFamily("hekla_http_connections", "Open HTTP connections.", value=self._connections())
        yield from _counters(models)
        yield from _histograms(models)


def _counters(models: list[ServedModel]) -> Iterator[Metric]:
    plain: list[tuple[str, str, Callable[[ServedModel], float]]] = [
        ("hekla_requests", "Requests answered with tensors.", lambda m: m.statistics.total_s.count),
        ("hekla_requests_cancelled", "Requests whose client went away.", lambda m: m.statistics.cancelled),
        ("hekla_rows", "Batch rows computed for answered requests.", lambda m: m.statistics.rows),
        ("hekla_executions", "Engine calls.", lambda m: m.statistics.executions),
        ("hekla_engine_restarts", "Engines loaded again after they died or hung.", lambda m: m.statistics.restarts),
    ]
    for name, text, value in plain:
        counter = CounterMetricFamily(name, text, labels=_MODEL)
        for model in models:
            counter.add_metric(_labels(model), value(model))
        yield counter
    failures = CounterMetricFamily(
        "hekla_request_failures", "Requests answered with an error.", labels=(*_MODEL, "reason")
    )
    copied = CounterMetricFamily("hekla_copied_bytes", "Tensor bytes copied, by why.", labels=(*_MODEL, "reason"))
    for model in models:
        for reason, count in model.statistics.failures_by_reason.items():
            failures.add_metric((*_labels(model), reason), count)
        for reason, count in model.statistics.bytes_copied.items():
            copied.add_metric((*_labels(model), reason), count)
    yield failures
    yield copied
    waiting = GaugeMetricFamily("hekla_waiting_requests", "Requests in the batch queue now.", labels=_MODEL)
    in_flight = GaugeMetricFamily("hekla_requests_in_flight", "Requests accepted and not answered yet.", labels=_MODEL)
    for model in models:
        waiting.add_metric(_labels(model), model.statistics.waiting)
        in_flight.add_metric(_labels(model), model.in_flight)
    yield waiting
    yield in_flight


def _histograms(models: list[ServedModel]) -> Iterator[Metric]:
    plain: list[tuple[str, str, Callable[[ServedModel], Histogram]]] = [
        (
            "hekla_request_duration_seconds",
            "From the request's last byte to its answer.",
            lambda m: m.statistics.total_s,
        ),
        ("hekla_queue_duration_seconds", "Waiting for an engine.", lambda m: m.statistics.queue_s),
        ("hekla_compute_duration_seconds", "In the engine.", lambda m: m.statistics.compute_s),
        ("hekla_batch_rows", "Rows per engine call.", lambda m: m.statistics.batch_rows),
    ]
    for name, text, histogram in plain:
        family = HistogramMetricFamily(name, text, labels=_MODEL)
        for model in models:
            seen = histogram(model)
            family.add_metric(_labels(model), seen.cumulative(), seen.total)
        yield family
    stages = HistogramMetricFamily("hekla_stage_duration_seconds", "In a pipeline stage.", labels=(*_MODEL, "stage"))
    for model in models:
        for stage, seen in model.statistics.stages.items():
            stages.add_metric((*_labels(model), stage), seen.cumulative(), seen.total)
    yield stages


def _labels(model: ServedModel) -> tuple[str, str]:
    return model.name, str(model.version)
