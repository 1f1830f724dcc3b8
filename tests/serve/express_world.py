"""A host with an engine quick enough for the short way, and the two doors over it in memory: no sockets, one loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
from tests.model_folders import Tensor, tensor_tables
from tests.serve.http.http_peer import Answer, Peer, answers

from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import Tensors, TensorSpec
from hekla.serve.http.router import Router
from hekla.serve.loading import Parts
from hekla.serve.model_host import ModelHost
from hekla.serve.oip.rest_response import tell_error
from hekla.serve.oip.rest_routes import RestRoutes
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest, InferResponse
from hekla.serve.served_model import ServedModel

_LEARNED = 6  # requests until a plan is learned and its way opened
WARM = 3 * (8 + 4 + 2 + 1) + _LEARNED  # requests of one `warm`
Compute = Callable[[Tensors], Tensors]


class QuickEngine:
    """Answers what `compute` makes of the inputs, on the loop. Remembers the rows of each call."""

    may_block = False

    def __init__(self, source: EngineSource, compute: Compute) -> None:
        self.inputs: tuple[TensorSpec, ...] = source.inputs
        self.outputs: tuple[TensorSpec, ...] = source.outputs
        self.compute, self.calls = compute, list[int]()
        self.is_closed = False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        assert not self.is_closed
        self.calls.append(len(next(iter(inputs.values()))))
        return self.compute(inputs)

    def close(self) -> None:
        self.is_closed = True


def echo(inputs: Tensors) -> Tensors:
    """y = the first input. Errors: EngineError if a 66 is in it."""
    array = next(iter(inputs.values()))
    if (array == 66).any():
        raise EngineError("no 66 here")
    return {"y": array.copy()}


class OrdinaryHost(ModelHost):
    """A host without the short way: what it answers is what the short way must answer."""

    def express(self, model: str, version: str = "") -> None:
        """No."""


class World:
    """A host and its REST door. `engines` are those loaded so far; `SIZES` requests is what `warm_sizes` makes."""

    SIZES = 3 * (8 + 4 + 2 + 1)

    def __init__(self, folder: Path, compute: Compute, *, ordinary: bool) -> None:
        self.engines: list[QuickEngine] = []
        self.compute = compute
        parts = Parts({"quick": self._load}, {}, 1)
        self.host = (OrdinaryHost if ordinary else ModelHost)((folder,), parts, None, "hekla", "0")
        self.regions = SharedMemoryRegions()
        self.router = Router(tell_error)
        RestRoutes(self.host, self.regions).add_to(self.router)

    def _load(self, source: EngineSource) -> QuickEngine:
        self.engines.append(QuickEngine(source, self.compute))
        return self.engines[-1]

    @property
    def served(self) -> ServedModel:
        return self.host.repository.find("m")

    def peer(self) -> Peer:
        """Return a new connection."""
        return Peer(router=self.router)

    async def ask(self, *requests: bytes) -> list[Answer]:
        """Send requests, each on a connection of its own, in one turn of the loop; return their answers."""
        peers = [self.peer() for _ in requests]
        for peer, request in zip(peers, requests, strict=True):
            taken = peer.offer(request)
            assert taken == len(request)
        return [await answer_of(peer) for peer in peers]

    async def warm(self, request: bytes) -> None:
        """Send a request until its like take the short way."""
        await self.warm_sizes()
        for _ in range(_LEARNED):
            (answer,) = await self.ask(request)
            assert answer.status == 200, answer

    async def warm_sizes(self) -> None:
        """Let it be known how long batches of each size take."""
        zeros = {spec.name: np.zeros((1, *spec.shape[1:]), spec.dtype.numpy) for spec in self.served.inputs}
        for size in (8, 4, 2, 1) * 3:
            await asyncio.gather(*(self.raw(zeros) for _ in range(size)))

    async def raw(self, inputs: Tensors) -> InferResponse | HeklaError:
        """Ask the host itself."""
        answer: asyncio.Future[InferResponse | HeklaError] = asyncio.get_running_loop().create_future()
        self.host.infer(InferRequest("m", inputs), answer.set_result)
        return await asyncio.wait_for(answer, 30)


async def answer_of(peer: Peer, count: int = 1) -> Answer:
    """Wait for the last of so many answers."""
    async with asyncio.timeout(30):
        while True:
            peer.transport.flush()
            sent = bytes(peer.transport.sent)
            found = answers(sent, [b"POST"] * count) if sent else []
            if len(found) == count:
                return found[-1]
            await asyncio.sleep(0.0005)  # engines' threads know of no event here


def write_model(
    repository: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor], toml: str = "", version: int = 1
) -> None:
    """Write the model m of the quick engine, 8 rows a batch."""
    folder = repository / "m"
    (folder / str(version)).mkdir(parents=True, exist_ok=True)
    text = f'[engine]\nkind = "quick"\n[batching]\nmax_batch = 8\nadaptive = false\n{toml}'
    (folder / "model.toml").write_text(text + tensor_tables(inputs, outputs))


def write_echo(repository: Path, kind: str = "FP32", toml: str = "", version: int = 1) -> None:
    """Write a model of rows of 2 numbers."""
    write_model(repository, [("x", kind, ["n", 2])], [("y", kind, ["n", 2])], toml, version)


@contextlib.asynccontextmanager
async def world(folder: Path, compute: Compute = echo, *, ordinary: bool = False) -> AsyncIterator[World]:
    """Run a host over a folder."""
    it = World(folder, compute, ordinary=ordinary)
    await it.host.start()
    try:
        yield it
    finally:
        await asyncio.wait_for(it.host.stop(), 30)


def request_of(body: bytes, *headers: tuple[str, str]) -> bytes:
    """Return an HTTP request for the model m."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nhost: t\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def json_request(numbers: str, kind: str = "FP32", *headers: tuple[str, str], rows: int = 1, more: str = "") -> bytes:
    """Return a request whose data are this text."""
    inputs = f'[{{"name":"x","datatype":"{kind}","shape":[{rows},2],"data":{numbers}}}]'
    return request_of(f'{{{more}"inputs":{inputs}}}'.encode(), *headers)


def binary_request(*tensors: tuple[str, str, "np.typing.NDArray[np.generic]"], binary_output: bool = True) -> bytes:
    """Return a request of raw tensors: name, datatype, array."""
    listed = ",".join(
        f'{{"name":"{name}","datatype":"{kind}","shape":{list(array.shape)},'
        f'"parameters":{{"binary_data_size":{array.nbytes}}}}}'
        for name, kind, array in tensors
    )
    outputs = '"parameters":{"binary_data_output":true},' if binary_output else ""
    text = f'{{{outputs}"inputs":[{listed}]}}'.encode()
    body = text + b"".join(array.tobytes() for _, _, array in tensors)
    return request_of(body, ("inference-header-content-length", str(len(text))))
