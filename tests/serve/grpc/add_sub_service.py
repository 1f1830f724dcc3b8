"""A service of one model that adds and subtracts, for tests of the gRPC door."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from hekla.base.errors import HeklaError, InputError, NotFoundError, OverloadedError, UnsupportedError
from hekla.serve.http2.loop import Loop
from hekla.serve.request import Done, InferRequest, InferResponse
from hekla.serve.service import Json
from hekla.serve.text.model import TextModel


@dataclass
class HeldTicket:
    """A request that is answered when the test says so, or never."""

    request: InferRequest
    done: Done
    cancelled: bool = False
    on_cancel: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        self.cancelled = True
        self.on_cancel()


@dataclass
class AddSubService:
    """`add_sub`: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1. `echo` answers its inputs. `hold` waits."""

    loop: Loop
    held: list[HeldTicket] = field(default_factory=list)
    requests: list[InferRequest] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    on_cancel: Callable[[], None] = lambda: None
    on_held: Callable[[], None] = lambda: None

    def infer(self, request: InferRequest, done: Done) -> HeldTicket:
        self.requests.append(request)
        ticket = HeldTicket(request, done, on_cancel=self.on_cancel)
        if request.model == "hold":
            self.held.append(ticket)
            self.on_held()
        elif request.model == "repeat":
            self.loop.call_soon(lambda: self._repeat(request, done))
        else:
            self.loop.call_soon(lambda: None if ticket.cancelled else done(self._answer(request)))
        return ticket

    def _repeat(self, request: InferRequest, done: Done) -> None:
        for value in request.inputs["IN"].reshape(-1):
            done(InferResponse("repeat", "1", {"OUT": np.array([value])}, request.id, final=False))
        done(InferResponse("repeat", "1", {}, request.id))

    def _answer(self, request: InferRequest) -> InferResponse | HeklaError:
        if request.model == "echo":
            return InferResponse("echo", "1", dict(request.inputs), request.id, request.parameters)
        if request.model == "busy":
            return OverloadedError("the queue is full", retry_after_s=1.5)
        if request.model == "broken":
            return InferResponse("broken", "1", {"OUT": np.array([1j])})
        if request.model != "add_sub":
            return NotFoundError(f"no model {request.model!r}")
        a, b = request.inputs["INPUT0"], request.inputs["INPUT1"]
        outputs = {"OUTPUT0": a + b, "OUTPUT1": a - b}
        wanted = request.outputs or tuple(outputs)
        return InferResponse("add_sub", "1", {name: outputs[name] for name in wanted}, request.id)

    def express(self, model: str, version: str = "") -> None:
        """Have no short way."""

    def text(self, model: str, version: str = "") -> TextModel:
        raise InputError(f"{model!r} does not write text")

    def text_models(self) -> list[TextModel]:
        return []

    def is_live(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return True

    def is_model_ready(self, model: str, version: str = "") -> bool:
        self._known(model)
        return True

    def server_metadata(self) -> Json:
        return {"name": "hekla", "version": "0.1.0", "extensions": ["sequence"]}

    def model_metadata(self, model: str, version: str = "") -> Json:
        self._known(model)
        tensors = [{"name": name, "datatype": "INT32", "shape": [-1, 16]} for name in ("INPUT0", "INPUT1")]
        described = {"name": model, "versions": ["1"], "platform": "python", "inputs": tensors, "outputs": []}
        return described | {"parameters": {"task": "arithmetic"}}

    def model_config(self, model: str, version: str = "") -> Json:
        self._known(model)
        return {
            "name": model,
            "max_batch_size": 8,
            "input": [{"name": "INPUT0", "data_type": "TYPE_INT32", "dims": [16]}],
        }

    def model_statistics(self, model: str = "", version: str = "") -> Json:
        success = {"count": 3, "ns": 1000}
        return {"model_stats": [{"name": "add_sub", "version": "1", "inference_stats": {"success": success}}]}

    def repository_index(self, ready_only: bool = False) -> list[Json]:
        return [{"name": "add_sub", "version": "1", "state": "READY", "reason": ""}]

    async def load_model(self, model: str, parameters: Mapping[str, object] | None = None) -> None:
        self._known(model)
        if parameters and parameters["config"] != "{}":
            raise UnsupportedError("not this configuration", where="$.parameters['config']")
        await asyncio.sleep(0)
        self.loads.append(model)

    async def unload_model(self, model: str, unload_dependents: bool = False) -> None:
        self._known(model)
        self.loads.remove(model)

    def _known(self, model: str) -> None:
        if model != "add_sub":
            raise NotFoundError(f"no model {model!r}", where="name")
