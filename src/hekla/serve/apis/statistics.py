"""How many requests an interface answered and how long they took, and its page of metrics."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hekla.serve.observe.histogram import LATENCY_BOUNDS_S, Histogram

if TYPE_CHECKING:
    from hekla.serve.apis.mounted import MountedApi

Labels = tuple[str, str, str]  # method, route, collection


class ApiStatistics:
    """Counts. Written on the event loop."""

    def __init__(self) -> None:
        self.durations: dict[Labels, Histogram] = {}
        self.statuses: dict[tuple[str, str, str, int], int] = {}

    def answered(self, method: str, route: str, collection: str, status: int, received_s: float) -> None:
        """Count a request that was answered now."""
        labels = method, route, collection
        self.durations.setdefault(labels, Histogram(LATENCY_BOUNDS_S)).observe(time.monotonic() - received_s)
        self.statuses[(*labels, status)] = self.statuses.get((*labels, status), 0) + 1


class ApiCollector(Collector):
    """Interfaces in Prometheus's form. Read when scraped."""

    def __init__(self, apis: Callable[[], "Iterable[MountedApi]"]) -> None:
        self._apis = apis

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        apis = list(self._apis())
        labels = ("api", "method", "route", "collection")
        requests = CounterMetricFamily("hekla_api_requests", "Requests by answer.", labels=(*labels, "status"))
        durations = HistogramMetricFamily(
            "hekla_api_request_duration_seconds", "From the request's last byte to its answer.", labels=labels
        )
        waiting = GaugeMetricFamily("hekla_api_waiting_requests", "Requests accepted, unanswered.", labels=("api",))
        gauges: dict[str, GaugeMetricFamily] = {}
        for api in apis:
            for (*row, status), count in list(api.statistics.statuses.items()):
                requests.add_metric((api.name, *map(str, row), str(status)), count)
            for labelled, seen in list(api.statistics.durations.items()):
                durations.add_metric((api.name, *labelled), seen.cumulative(), seen.total)
            waiting.add_metric((api.name,), api.waiting)
            for name, values in api.api.metrics().items():
                full = f"hekla_{api.name}_{name}"
                gauge = gauges.setdefault(
                    full, GaugeMetricFamily(full, f"{name} of a collection.", labels=("collection",))
                )
                for collection, value in values.items():
                    gauge.add_metric((collection,), value)
        yield requests
        yield durations
        yield waiting
        yield from gauges.values()
