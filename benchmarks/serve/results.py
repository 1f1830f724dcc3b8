"""What was measured, as values that go to JSON and come back."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Throughput:
    """One server under a closed loop, one round."""

    server: str
    model: str
    protocol: str
    concurrency: int
    round: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server, per request
    client_load: float  # share of its core that the load generator used: near 1 it is the bottleneck
    errors: int


@dataclass(frozen=True, slots=True)
class Startup:
    """One start of a server with all models; memory in MB (10^6 bytes) before and after a first load."""

    server: str
    models: int
    ready_s: float
    idle_pss_mb: float
    idle_rss_mb: float
    idle_private_mb: float
    loaded_pss_mb: float


@dataclass(frozen=True, slots=True)
class Overload:
    """One server under an open loop at a multiple of what it reached in a closed one."""

    server: str
    model: str
    protocol: str
    capacity_per_second: float
    offered_per_second: float
    accepted_per_second: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    refused_per_second: float
    refused_p50_ms: float
    refused_p99_ms: float
    failed_per_second: float  # answered with neither success nor a refusal
    unsent_per_second: float  # due while every connection was busy: the server lets them pile up
    half_load_p99_ms: float  # of the same server at half its capacity


@dataclass(slots=True)
class Results:
    """One run."""

    machine: dict[str, str] = field(default_factory=dict)
    command: str = ""
    throughput: list[Throughput] = field(default_factory=list)
    startup: list[Startup] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # servers that could not be measured, and why

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> "Results":
        """Read what `save` wrote."""
        document = json.loads(path.read_text())
        return Results(
            machine=document["machine"],
            command=document["command"],
            throughput=[Throughput(**row) for row in document["throughput"]],
            startup=[Startup(**row) for row in document["startup"]],
            overload=[Overload(**row) for row in document["overload"]],
            failures=document["failures"],
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """The rounds of one server, model, protocol and concurrency: medians, and how far the rounds lie apart."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    client_load: float
    errors: int
    spread: float  # (highest - lowest) / median of per_second


def summarise(rounds: Sequence[Throughput]) -> Summary:
    """Return the medians of several rounds of one measurement."""
    rates = [one.per_second for one in rounds]
    middle = statistics.median(rates)
    return Summary(
        per_second=middle,
        p50_ms=statistics.median(one.p50_ms for one in rounds),
        p99_ms=statistics.median(one.p99_ms for one in rounds),
        cpu_us=statistics.median(one.cpu_us for one in rounds),
        client_load=statistics.median(one.client_load for one in rounds),
        errors=sum(one.errors for one in rounds),
        spread=(max(rates) - min(rates)) / middle if middle else float("nan"),
    )
