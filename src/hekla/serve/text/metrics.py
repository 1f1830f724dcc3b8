"""Models that write text in Prometheus's form; what `/sla` shows is here too. Read when scraped."""

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hekla.serve.observe.histogram import Histogram
from hekla.serve.text.model import TextModel
from hekla.serve.text.sla import GRADES, graded
from hekla.serve.text.statistics import TenantStatistics

_MODEL = ("model", "version")
_TENANT = (*_MODEL, "tenant")


class TextCollector(Collector):
    """Asks `models` at each scrape."""

    def __init__(self, models: Callable[[], Iterable[TextModel]]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        models = list(self._models())
        yield from _gauges(models)
        tenants = [
            ((model.name, str(model.version), tenant), model, seen)
            for model in models
            for tenant, seen in model.text_statistics
        ]
        yield from _tenant_counters([(labels, seen) for labels, _, seen in tenants])
        yield from _histograms([(labels, seen) for labels, _, seen in tenants])
        yield from _grades(tenants)


def _gauges(models: list[TextModel]) -> Iterator[Metric]:
    plain: list[tuple[str, str, Callable[[TextModel], float]]] = [
        ("hekla_text_waiting", "Answers without a first token.", lambda m: m.waiting),
        ("hekla_text_running", "Answers being written.", lambda m: m.running),
        ("hekla_text_pages", "Pages of the KV cache.", lambda m: m.runner.status.pages),
        ("hekla_text_free_pages", "Pages no answer holds.", lambda m: m.runner.status.free_pages),
        ("hekla_text_kv_bytes", "Bytes of the KV cache.", lambda m: m.runner.status.kv_bytes),
        ("hekla_text_weight_bytes", "Bytes of the weights.", lambda m: m.runner.status.weight_bytes),
    ]
    for name, text, value in plain:
        gauge = GaugeMetricFamily(name, text, labels=_MODEL)
        for model in models:
            gauge.add_metric((model.name, str(model.version)), value(model))
        yield gauge
    preempted = CounterMetricFamily("hekla_text_preemptions", "Answers that gave up their pages.", labels=_MODEL)
    for model in models:
        preempted.add_metric((model.name, str(model.version)), model.runner.status.preemptions)
    yield preempted


Rows = list[tuple[tuple[str, str, str], TenantStatistics]]


def _tenant_counters(rows: Rows) -> Iterator[Metric]:
    tokens = CounterMetricFamily(
        "hekla_text_tokens",
        "Tokens read, read before and kept (of those), and written.",
        labels=(*_TENANT, "kind"),
    )
    finished = CounterMetricFamily("hekla_text_answers", "Answers by finish reason.", labels=(*_TENANT, "reason"))
    for labels, seen in rows:
        for kind, count in (
            ("prompt", seen.prompt_tokens),
            ("cached", seen.cached_tokens),
            ("answer", seen.answer_tokens),
        ):
            tokens.add_metric((*labels, kind), count)
        for reason, count in seen.finished.items():
            finished.add_metric((*labels, reason), count)
    yield tokens
    yield finished


def _histograms(rows: Rows) -> Iterator[Metric]:
    plain: list[tuple[str, str, Callable[[TenantStatistics], Histogram]]] = [
        ("hekla_text_first_token_seconds", "From the request to its first token.", lambda s: s.first_token_s),
        ("hekla_text_between_tokens_seconds", "From a token to the next.", lambda s: s.between_tokens_s),
        ("hekla_text_answer_seconds", "From the request to its last token.", lambda s: s.duration_s),
    ]
    for name, text, histogram in plain:
        family = HistogramMetricFamily(name, text, labels=_TENANT)
        for labels, seen in rows:
            found = histogram(seen)
            family.add_metric(labels, found.cumulative(), found.total)
        yield family


def _grades(tenants: list[tuple[tuple[str, str, str], TextModel, TenantStatistics]]) -> Iterator[Metric]:
    now_s = time.monotonic()
    speed = GaugeMetricFamily("hekla_text_tokens_per_second", "Tokens written a second, now.", labels=_TENANT)
    grade = GaugeMetricFamily(
        "hekla_text_sla_grade",
        "3 gold, 2 silver, 1 bronze, 0 none of them, over the last minute; nothing where nobody asked.",
        labels=(*_TENANT, "measure"),
    )
    for labels, model, seen in tenants:
        row = graded(seen, model.config.text.sla, now_s)
        speed.add_metric(labels, row["tokens_per_s"])
        for measure, found in (*row["grades"].items(), ("all", row["grade"])):
            if found is not None:
                grade.add_metric((*labels, measure), len(GRADES) - 1 - GRADES.index(found))
    yield speed
    yield grade
