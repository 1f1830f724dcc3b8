"""The three things measured: throughput and latency, start and memory, overload.

The server has one core, the load generator another. Servers take turns round by round (A B C A B C), so that what
else the machine does falls on all of them alike; those that wait are stopped by signal and use no CPU.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serve.cases import Case
from benchmarks.serve.exchange import Protocol
from benchmarks.serve.load import Measurement, Target, run_closed, run_open
from benchmarks.serve.results import Overload, Startup, Throughput
from benchmarks.serve.roster import Running, ServerFailedError, start
from benchmarks.serve.servers import Server

_WARM_UP_S = 0.5
_OVERLOAD_CONNECTIONS = 1024
_CAPACITY_CONCURRENCY = 64
# How servers say "too much": HTTP 429 and 503, gRPC RESOURCE_EXHAUSTED and UNAVAILABLE.
_REFUSALS_HTTP = frozenset({429, 503})
_REFUSALS_GRPC = frozenset({8, 14})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    servers: Sequence[Server]
    cases: Sequence[Case]
    protocols: Sequence[Protocol]
    concurrency: Sequence[int]
    rounds: int
    seconds: float
    server_core: int
    shares_connection: bool = False  # gRPC: all calls on one connection


class Failures(list[str]):
    """What could not be measured, and why."""

    @contextmanager
    def noted(self, say: Say) -> Iterator[None]:
        """Turn a server's failure into a line: the others go on."""
        try:
            yield
        except (ServerFailedError, OSError, TimeoutError) as error:
            say(f"failed: {error}")
            self.append(f"{type(error).__name__}: {error}")


@contextmanager
def running(server: Server, cases: Sequence[Case], core: int) -> Iterator[Running]:
    """Start a server in a folder of its own, stop it and remove the folder at the end. Errors: ServerFailedError."""
    with tempfile.TemporaryDirectory(prefix=f"hekla-bench-{server.name}-") as folder:
        one = start(server, cases, Path(folder), core=core)
        with one.process:
            yield one


def measure_throughput(plan: Plan, failures: Failures, say: Say) -> list[Throughput]:
    """Run every server, case, protocol and concurrency, `rounds` times over."""
    rows: list[Throughput] = []
    for case in plan.cases:
        with ExitStack() as stack:
            paused: dict[str, Running] = {}
            for server in plan.servers:
                if server.may_pause:
                    with failures.noted(say):
                        one = stack.enter_context(running(server, [case], plan.server_core))
                        one.check([case], plan.protocols)
                        one.process.pause()
                        paused[server.name] = one
            for number in range(plan.rounds):
                for server in plan.servers:
                    say(f"{case.name}, round {number + 1} of {plan.rounds}: {server.name}")
                    with failures.noted(say):
                        if server.name in paused:
                            with _resumed(paused[server.name]) as one:
                                rows += _one_round(plan, one, case, number)
                        elif not server.may_pause:
                            with running(server, [case], plan.server_core) as one:
                                rows += _one_round(plan, one, case, number)
    return rows


@contextmanager
def _resumed(one: Running) -> Iterator[Running]:
    one.process.resume()
    try:
        yield one
    finally:
        one.process.pause()


def _one_round(plan: Plan, one: Running, case: Case, number: int) -> Iterator[Throughput]:
    one.check([case], plan.protocols)
    for protocol, concurrency in itertools.product(plan.protocols, plan.concurrency):
        target = _target(one, case, protocol, concurrency, plan.shares_connection)
        if target is None:
            continue
        meter = one.process.cpu_meter()
        measured = run_closed(target, warm_up_s=_WARM_UP_S, seconds=plan.seconds, meter=meter)
        yield Throughput(
            server=one.server.name,
            model=case.name,
            protocol=protocol,
            concurrency=concurrency,
            round=number,
            per_second=measured.per_second,
            p50_ms=measured.percentile_ms(50),
            p99_ms=measured.percentile_ms(99),
            cpu_us=measured.metered / max(measured.ok, 1) * 1e6,
            client_load=measured.client_cpu_s / measured.seconds,
            errors=sum(measured.errors.values()) + measured.unanswered,
        )
    one.check([case], plan.protocols)


def _target(one: Running, case: Case, protocol: Protocol, concurrency: int, shares: bool) -> Target | None:
    exchange = one.server.exchange(case, protocol)
    if exchange is None:
        return None
    if exchange.is_grpc and shares:
        return Target(one.port(exchange), exchange, connections=1, lanes=concurrency)
    return Target(one.port(exchange), exchange, connections=concurrency)


def measure_startup(plan: Plan, failures: Failures, say: Say) -> list[Startup]:
    """Start each server `rounds` times with all cases; weigh it when it is ready and again after some load."""
    rows: list[Startup] = []
    for number in range(plan.rounds):
        for server in plan.servers:
            say(f"start, round {number + 1} of {plan.rounds}: {server.name}")
            with failures.noted(say), running(server, plan.cases, plan.server_core) as one:
                idle = one.process.memory()
                for case, protocol in itertools.product(plan.cases, plan.protocols):
                    target = _target(one, case, protocol, 8, plan.shares_connection)
                    if target is not None:
                        run_closed(target, warm_up_s=0.0, seconds=0.5)
                loaded = one.process.memory()
                rows.append(
                    Startup(
                        server=server.name,
                        models=len(plan.cases),
                        ready_s=one.ready_s,
                        idle_pss_mb=idle.pss_mb,
                        idle_rss_mb=idle.rss_mb,
                        idle_private_mb=idle.private_mb,
                        loaded_pss_mb=loaded.pss_mb,
                    )
                )
    return rows


def measure_overload(plan: Plan, factor: float, failures: Failures, say: Say) -> list[Overload]:
    """Offer each server `factor` times what it reached with 64 clients, for the first protocol it has."""
    rows: list[Overload] = []
    for case in plan.cases:
        for server in plan.servers:
            protocol = next((name for name in plan.protocols if server.exchange(case, name) is not None), None)
            if protocol is None:
                continue
            say(f"overload, {case.name}: {server.name}")
            with failures.noted(say), running(server, [case], plan.server_core) as one:
                rows.append(_overload(plan, one, case, protocol, factor))
    return rows


def _overload(plan: Plan, one: Running, case: Case, protocol: Protocol, factor: float) -> Overload:
    closed = _target(one, case, protocol, _CAPACITY_CONCURRENCY, shares=False)
    assert closed is not None, "the caller chose a protocol the server has"
    capacity = run_closed(closed, warm_up_s=_WARM_UP_S, seconds=plan.seconds).per_second
    target = Target(closed.port, closed.exchange, connections=_OVERLOAD_CONNECTIONS)
    half = run_open(target, max(capacity / 2, 1), warm_up_s=_WARM_UP_S, seconds=plan.seconds)
    offered = max(capacity * factor, 1)
    measured = run_open(target, offered, warm_up_s=_WARM_UP_S, seconds=plan.seconds)
    refusals = _REFUSALS_GRPC if closed.exchange.is_grpc else _REFUSALS_HTTP
    refused = _only(measured, refusals)
    failed = sum(count for code, count in measured.errors.items() if code not in refusals) + measured.unanswered
    return Overload(
        server=one.server.name,
        model=case.name,
        protocol=protocol,
        capacity_per_second=capacity,
        offered_per_second=offered,
        accepted_per_second=measured.per_second,
        accepted_p50_ms=measured.percentile_ms(50),
        accepted_p99_ms=measured.percentile_ms(99),
        refused_per_second=refused.per_second,
        refused_p50_ms=refused.percentile_ms(50),
        refused_p99_ms=refused.percentile_ms(99),
        failed_per_second=failed / measured.seconds,
        unsent_per_second=measured.unsent / measured.seconds,
        half_load_p99_ms=half.percentile_ms(99),
    )


def _only(measured: Measurement, codes: frozenset[int]) -> Measurement:
    """Return the answers with one of these codes as if they were the successes."""
    times = [time for code in codes for time in measured.latencies_s.get(code, ())]
    success = next(iter(codes))
    return Measurement(measured.seconds, success, {success: times})
