"""Wait for what the server says of itself; the bound only ends a hang."""

import time

from tests.running_server import RunningServer

_LIMIT_S = 15.0


def wait_for_metric(server: RunningServer, name: str, value: float, *, exactly: bool = False, **labels: str) -> None:
    """Ask for a metric until it is at least (or exactly) so large."""
    found = None
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        found = server.metric(name, **labels)
        if found == value if exactly else found >= value:
            return
    raise AssertionError(f"{name}{labels} was {found} after {_LIMIT_S} s, not {value}")


def wait_until_model_is_ready(server: RunningServer, model: str) -> None:
    """Ask for a model's readiness until it says yes: a worker takes a moment to start."""
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        if server.request("GET", f"/v2/models/{model}/ready").status == 200:
            return
    raise AssertionError(f"{model} was not ready after {_LIMIT_S} s")
