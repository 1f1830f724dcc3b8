"""What happened to one model version's requests. `/v2/.../stats` and `/metrics` both read these numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hekla.base.errors import HeklaError
from hekla.serve.observe.histogram import BATCH_BOUNDS, LATENCY_BOUNDS_S, Histogram


def _latency() -> Histogram:
    return Histogram(LATENCY_BOUNDS_S)


@dataclass(slots=True)
class Duration:
    """How often something took time, and how much in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Add `count` happenings that took `seconds` together."""
        self.count += count
        self.seconds += seconds


@dataclass(slots=True)
class ModelStatistics:
    """Counters of one model version since it was loaded. Written on the event loop only.

    Units: seconds. A request's total = its queue time + its compute time + what the door and the stages took.
    What both pages show is counted once: how many requests succeeded is the count of `total_s`, and so on.
    """

    rows: int = 0  # requests weighted by their batch rows: Triton's inference_count
    executions: int = 0  # engine calls
    last_request_unix_ms: int = 0
    failure: Duration = field(default_factory=Duration)
    failures_by_reason: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    join: Duration = field(default_factory=Duration)
    split: Duration = field(default_factory=Duration)
    by_batch: dict[int, Duration] = field(default_factory=dict)  # rows of the batch -> engine time
    total_s: Histogram = field(default_factory=_latency)  # of requests answered with tensors
    queue_s: Histogram = field(default_factory=_latency)  # of requests an engine answered or failed
    compute_s: Histogram = field(default_factory=_latency)  # of the same requests: each one's whole engine call
    batch_rows: Histogram = field(default_factory=lambda: Histogram(BATCH_BOUNDS))
    stages: dict[str, Histogram] = field(default_factory=dict)  # load, preprocess, postprocess, graph steps
    bytes_copied: Counter[str] = field(default_factory=Counter)  # by reason: join, pad, contiguous, ...
    waiting: int = 0  # requests in the queue now
    restarts: int = 0  # engines loaded again after they died or hung

    def executed(self, rows: int, seconds: float) -> None:
        """Count one engine call over a batch."""
        self.executions += 1
        self.batch_rows.observe(rows)
        by_batch = self.by_batch.get(rows)
        if by_batch is None:
            by_batch = self.by_batch[rows] = Duration()
        by_batch.add(seconds)

    def succeeded(self, rows: int, total_s: float, now_unix_ms: int) -> None:
        """Count one request that was answered."""
        self.rows += rows
        self.total_s.observe(total_s)
        self.last_request_unix_ms = now_unix_ms

    def all_succeeded(self, rows: int, totals_s: Sequence[float], now_unix_ms: int) -> None:
        """Count requests of one batch that were answered together; `rows` are theirs in all."""
        self.rows += rows
        self.total_s.observe_all(totals_s)
        self.last_request_unix_ms = now_unix_ms

    def failed(self, error: HeklaError, total_s: float) -> None:
        """Count one request that got an error."""
        self.failure.add(total_s)
        self.failures_by_reason[reason_of(error)] += 1

    def stage(self, name: str, seconds: float) -> None:
        """Count one run of a stage."""
        histogram = self.stages.get(name)
        if histogram is None:
            histogram = self.stages[name] = _latency()
        histogram.observe(seconds)


def reason_of(error: HeklaError) -> str:
    """Return the metric label of an error: its class in snake case without `Error` ("overloaded", "shape")."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_") or "hekla"
