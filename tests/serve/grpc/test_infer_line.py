"""Like calls of one turn are answered as one batch, and nobody could tell."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.express_world import WARM, World, world, write_echo, write_model

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Tensors
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.head import CallHead
from hekla.serve.grpc.infer_call import InferenceCalls
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.message_reader import BufferBudget
from hekla.serve.grpc.method import Method
from hekla.serve.http2.timeouts import Timeouts

UNKNOWN = b"\x9a\x06\x03abc"  # field 99: three bytes


class _Stream:
    """Keeps what a call answered."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended = asyncio.Event()

    def respond(self, head: bytes, body: bytes, trailers: bytes) -> None:
        self.sent += [body, trailers]
        self.ended.set()

    def send_headers(self, head: bytes) -> None:
        """Of a long answer."""

    def send_data(self, pieces: Sequence[bytes]) -> None:
        self.sent.append(b"".join(pieces))

    def end(self, trailers: bytes) -> None:
        self.sent.append(trailers)
        self.ended.set()


class _Door:
    def __init__(self, it: World) -> None:
        self._it, self._calls = it, InferenceCalls(it.host, it.regions)

    def begin(self, message: bytes, *, timeout_s: float = 0.0) -> tuple[_Stream, UnaryCall]:
        stream: Any = _Stream()  # as much of a Stream as a call uses
        method = Method(unary=self._calls.unary)
        head = CallHead(method, timeout_s, "identity", {}, -1)
        timeouts = Timeouts(asyncio.get_running_loop())
        call = UnaryCall(stream, head, self._calls.unary, GrpcLimits(), BufferBudget(1 << 20), timeouts)
        framed = b"\0" + len(message).to_bytes(4) + message
        call.on_data(framed, 0, len(framed), True)
        return stream, call

    async def ask(self, *messages: bytes) -> list[list[bytes]]:
        streams = [self.begin(message)[0] for message in messages]
        async with asyncio.timeout(30):
            for stream in streams:
                await stream.ended.wait()
        return [stream.sent for stream in streams]

    async def warm(self, message: bytes) -> None:
        await self._it.warm_sizes()
        for _ in range(WARM - self._it.SIZES):
            await self.ask(message)


def _message(*tensors: tuple[str, str, "np.typing.NDArray[np.generic]"], identity: str = "") -> bytes:
    request = pb.ModelInferRequest(model_name="m", id=identity)
    for name, kind, array in tensors:
        request.inputs.add(name=name, datatype=kind, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request.SerializeToString()


def _x(*numbers: float, kind: str = "FP32", identity: str = "") -> bytes:
    return _message(("x", kind, np.array(numbers).reshape(-1, 2).astype(DType(kind).numpy)), identity=identity)


def _y(sent: list[bytes]) -> list[float]:
    answer = pb.ModelInferResponse.FromString(sent[0][5:])
    return [float(y) for y in np.frombuffer(answer.raw_output_contents[0], np.float32)]


@pytest.mark.parametrize("kind", [k.value for k in DType if k not in (DType.BYTES, DType.BOOL)])
def test_raw_tensors_are_answered_as_alone(tmp_path: Path, kind: str) -> None:
    write_echo(tmp_path, kind)

    async def story() -> None:
        messages = [_x(n, 1, 2, 3, kind=kind, identity="i" * n) for n in range(4)]
        async with world(tmp_path) as quick, world(tmp_path, ordinary=True) as plain:
            door, other = _Door(quick), _Door(plain)
            for each in (door, other):
                await each.warm(messages[0])
            statistics = quick.served.statistics
            queued, calls, copied = statistics.join.count, len(quick.engines[0].calls), statistics.bytes_copied["join"]
            assert await door.ask(*messages) == [(await other.ask(message))[0] for message in messages]
            assert statistics.join.count == queued, "past the queue"
            assert quick.engines[0].calls[calls:] == [8]
            assert statistics.bytes_copied["join"] - copied == 16 * DType(kind).itemsize
            assert statistics.total_s.count == WARM + 4
            assert quick.served.in_flight == 0

    asyncio.run(story())


def test_several_raw_tensors_are_joined_each_with_its_like(tmp_path: Path) -> None:
    write_model(tmp_path, [("x", "INT8", ["n", 3]), ("w", "FP64", ["n", 2])], [("y", "FP64", ["n", 2])])

    def add(inputs: Tensors) -> Tensors:
        return {"y": inputs["w"] + inputs["x"].sum(axis=1, keepdims=True)}

    async def story() -> None:
        messages = [
            _message(("x", "INT8", np.full((1, 3), n, np.int8)), ("w", "FP64", np.array([[n / 2, 100.0 + n]])))
            for n in range(8)
        ]
        async with world(tmp_path, add) as quick, world(tmp_path, add, ordinary=True) as plain:
            door, other = _Door(quick), _Door(plain)
            for each in (door, other):
                await each.warm(messages[0])
            copied = quick.served.statistics.bytes_copied["join"]
            assert await door.ask(*messages) == [(await other.ask(message))[0] for message in messages]
            assert quick.served.statistics.bytes_copied["join"] - copied == 8 * (3 + 16), "each byte once"

    asyncio.run(story())


def test_fields_we_do_not_know_move_no_bytes(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            door = _Door(it)
            await door.warm(_x(1, 2))
            sent = await door.ask(UNKNOWN + _x(3, 4), _x(5, 6), UNKNOWN + _x(7, 8) + UNKNOWN)
            assert [_y(each) for each in sent] == [[3, 4], [5, 6], [7, 8]]

    asyncio.run(story())


def test_another_version_answers_under_its_own_name(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            door = _Door(it)
            await door.warm(_x(1, 2))
            write_echo(tmp_path, version=2)
            await it.host.load_model("m")
            await it.warm_sizes()
            for _ in range(8):
                for sent in await door.ask(*[_x(1, 2)] * 4):
                    assert pb.ModelInferResponse.FromString(sent[0][5:]).model_version == "2"

    asyncio.run(story())


def test_an_engine_that_fails_on_one_answers_the_others(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            door = _Door(it)
            await door.warm(_x(1, 2))
            good, bad, also = await door.ask(_x(1, 2), _x(66, 2), _x(3, 4))
            assert (_y(good), _y(also)) == ([1, 2], [3, 4])
            assert b"no 66 here" in bad[0].replace(b"%20", b" ")
            assert it.served.statistics.total_s.count == WARM + 2
            assert it.served.statistics.failure.count == 1
            assert it.served.in_flight == 0

    asyncio.run(story())


def test_a_caller_that_gives_up_harms_nobody(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            door = _Door(it)
            await door.warm(_x(1, 2))
            (gone, call), (stays, _) = door.begin(_x(3, 4)), door.begin(_x(5, 6))
            call.on_reset(0)  # type: ignore[arg-type]  # no code is looked at
            await asyncio.wait_for(stays.ended.wait(), 30)
            assert _y(stays.sent) == [5, 6]
            assert not gone.sent
            assert it.served.in_flight == 0

    asyncio.run(story())
