"""From the body of a request to the engine: whose memory an input is, and what is counted where it is copied."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http
from tests.serve.http.http_peer import Peer, answers

from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import Array, Tensors, TensorSpec
from hekla.serve.http.message import Exchange
from hekla.serve.http.router import Router
from hekla.serve.loading import Parts
from hekla.serve.model_host import ModelHost
from hekla.serve.oip.rest_response import tell_error
from hekla.serve.oip.rest_routes import RestRoutes
from hekla.serve.oip.shared_memory import SharedMemoryRegions

_TOML = """
[engine]
kind = "watching"
[[inputs]]
name = "x"
dtype = "FP32"
shape = [-1, -1]
[[inputs]]
name = "y"
dtype = "FP64"
shape = [-1, -1]
[[outputs]]
name = "x"
dtype = "FP32"
shape = [-1, -1]
"""


class _Watching:
    """An engine that answers its input itself and remembers where it lay."""

    may_block = False

    def __init__(self, source: EngineSource) -> None:
        self.inputs: tuple[TensorSpec, ...] = source.inputs
        self.outputs: tuple[TensorSpec, ...] = source.outputs
        self.seen: list[dict[str, Array]] = []

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        self.seen.append(dict(inputs))
        return {"x": inputs["x"]}

    def close(self) -> None:
        """Nothing to free."""


class _Noting(Router):
    """Remembers the bodies of requests."""

    def __init__(self) -> None:
        super().__init__(tell_error)
        self.bodies: list[Array] = []

    def dispatch(self, exchange: Exchange) -> None:
        self.bodies.append(np.frombuffer(exchange.body, np.uint8))
        super().dispatch(exchange)


def _body(arrays: dict[str, Array], pad: int) -> tuple[bytes, int]:
    """Encode a request with tritonclient, the JSON made longer by `pad` spaces; return it and the JSON's length."""
    inputs = []
    for name, array in arrays.items():
        tensor = tritonclient.http.InferInput(name, list(array.shape), {"f": "FP32", "d": "FP64"}[array.dtype.char])
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    body, json_bytes = tritonclient.http.InferenceServerClient.generate_request_body(inputs)
    length = json_bytes if json_bytes is not None else len(body)
    return body[:length] + b" " * pad + body[length:], length + pad


def _run(folder: Path, bodies: list[tuple[bytes, int]]) -> tuple[_Watching, _Noting, float, list[bytes]]:
    (folder / "m" / "1").mkdir(parents=True)
    (folder / "m" / "model.toml").write_text(_TOML)
    engines: list[_Watching] = []

    def load(source: EngineSource) -> _Watching:
        engines.append(_Watching(source))
        return engines[-1]

    async def run() -> tuple[_Watching, _Noting, float, list[bytes]]:
        host = ModelHost((folder,), Parts({"watching": load}, {}, 1), None, "hekla", "1")
        await host.start()
        router = _Noting()
        RestRoutes(host, SharedMemoryRegions()).add_to(router)
        peer = Peer(router=router)
        for body, json_bytes in bodies:
            await peer.send(
                b"POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\nInference-Header-Content-Length: %d\r\n"
                b"Content-Length: %d\r\n\r\n" % (json_bytes, len(body)) + body
            )
            while peer.protocol.is_owed_an_answer:  # noqa: ASYNC110  # the loop itself is what is waited for
                await asyncio.sleep(0)
            peer.transport.flush()
        (served,) = host.repository.served()
        copied = served.statistics.bytes_copied["body"]
        await host.stop()
        got = answers(bytes(peer.transport.sent), [b"POST"] * len(bodies))
        assert [answer.status for answer in got] == [200] * len(bodies), got
        return engines[-1], router, copied, [answer.body for answer in got]

    return asyncio.run(run())


_X = np.arange(100 * 128, dtype=np.float32).reshape(100, 128)  # 51,200 bytes: more than the receive buffer
_Y = np.arange(100 * 3, dtype=np.float64).reshape(100, 3)


@pytest.mark.parametrize("pad", range(0, 64, 7))
def test_a_large_tensor_reaches_the_engine_where_it_was_received(tmp_path: Path, pad: int) -> None:
    # The same request four times: read in full, then by plan.
    engine, router, copied, got = _run(tmp_path, [_body({"x": _X, "y": _Y}, pad)] * 4)
    assert copied == 0
    for inputs, body in zip(engine.seen[-4:], router.bodies, strict=True):
        assert np.shares_memory(inputs["x"], body)
        assert np.shares_memory(inputs["y"], body)
        assert inputs["x"].ctypes.data % 64 == 0
        assert not inputs["x"].flags.writeable
        assert np.array_equal(inputs["y"], _Y)
    assert all(body.endswith(_X.tobytes()) for body in got)


def test_a_tensor_that_would_be_misaligned_is_copied_and_counted(tmp_path: Path) -> None:
    x = np.arange(100 * 129, dtype=np.float32).reshape(100, 129)[:, :127]  # then FP64 starts at a multiple of 4
    x = np.ascontiguousarray(x[:99])  # 99 x 127 x 4 bytes = 4 more than a multiple of 8
    y = _Y[:99]
    assert x.nbytes % 8 == 4
    engine, router, copied, _ = _run(tmp_path, [_body({"x": x, "y": y}, 0)] * 3)
    assert copied == 3 * y.nbytes
    for inputs, body in zip(engine.seen[-3:], router.bodies, strict=True):
        assert np.shares_memory(inputs["x"], body)
        assert not np.shares_memory(inputs["y"], body)
        assert np.array_equal(inputs["y"], y)


def test_a_small_tensor_is_a_view_of_the_receive_buffer_where_it_happens_to_be_aligned(tmp_path: Path) -> None:
    x, y = _X[:2, :8].copy(), _Y[:2]
    bodies = [_body({"x": x, "y": y}, pad) for pad in range(8)]
    engine, router, copied, got = _run(tmp_path, bodies)
    seen = engine.seen[-8:]
    shared = [
        sum(array.nbytes for array in inputs.values() if np.shares_memory(array, body))
        for inputs, body in zip(seen, router.bodies, strict=True)
    ]
    assert copied == 8 * (x.nbytes + y.nbytes) - sum(shared)
    assert max(shared) == x.nbytes + y.nbytes
    assert all(body.endswith(x.tobytes()) for body in got)
