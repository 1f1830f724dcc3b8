"""A model host over a folder of small models, on the test's own loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
from tests.model_folders import tensor_tables, write_python_model

from hekla.base.errors import HeklaError
from hekla.engines import onnx_runtime, python_callable
from hekla.protocols.stage import StageLoader
from hekla.protocols.tensor import Array, Tensors
from hekla.serve.loading import Parts
from hekla.serve.model_host import ModelHost
from hekla.serve.request import InferRequest, InferResponse, SequenceStep
from hekla.serve.served_model import OnAnswered
from hekla.serve.service import Ticket

TABLES = tensor_tables([("x", "FP32", ["n", 1])], [("y", "FP32", ["n", 1])])


def times(factor: int) -> str:
    """Return the code of a model that answers y = factor x."""
    return f"class Model:\n    def predict(self, inputs):\n        return {{'y': inputs['x'] * {factor}}}\n"


GATED = """\
import pathlib

class Model:
    def load(self, source):
        self.gate = pathlib.Path(source.options["gate"])

    def predict(self, inputs):
        if (inputs["x"] == 99).any():
            with open(self.gate) as gate:  # a named pipe: opens when the test opens its end, ends when it closes it
                gate.read()
        return {"y": inputs["x"]}
"""


def write_times(repository: Path, name: str, factor: int, toml: str = "") -> Path:
    """Write a model that multiplies."""
    return write_python_model(repository, name, times(factor), toml + TABLES)


def write_graph(repository: Path, name: str, *models: str) -> Path:
    """Write a graph that runs models one after another."""
    folder = repository / name
    folder.mkdir(parents=True)
    steps, source = "", "x"
    for number, model in enumerate(models):
        steps += f'[[graph.steps]]\nname = "s{number}"\nmodel = "{model}"\ninputs = {{ x = "{source}" }}\n'
        source = f"s{number}.y"
    text = f'[engine]\nkind = "graph"\n{TABLES}{steps}[graph.outputs]\ny = "{source}"\n'
    (folder / "model.toml").write_text(text)
    return folder


@contextlib.asynccontextmanager
async def running_host(
    *repositories: Path, on_answered: OnAnswered | None = None, stages: Mapping[str, StageLoader] | None = None
) -> AsyncIterator[ModelHost]:
    """Start a host and stop it at the end, within 30 s."""
    parts = Parts(
        {"python": python_callable.load, "onnxruntime": onnx_runtime.load}, stages or {}, 1, tuple(repositories)
    )
    host = ModelHost(repositories, parts, on_answered, "hekla", "0")
    await host.start()
    try:
        yield host
    finally:
        await asyncio.wait_for(host.stop(), 30)


class Asking:
    """One request and its answer."""

    def __init__(
        self,
        host: ModelHost,
        model: str,
        x: float | Array = 1.0,
        *,
        outputs: tuple[str, ...] = (),
        timeout_us: int = 0,
        sequence: SequenceStep | None = None,
        trace_parent: str = "",
        request_id: str = "",
        inputs: Tensors | None = None,
    ) -> None:
        self.told: list[InferResponse | HeklaError] = []
        self._answered = asyncio.Event()
        array = x if isinstance(x, np.ndarray) else np.array([[x]], np.float32)
        request = InferRequest(
            model,
            inputs if inputs is not None else {"x": array},
            outputs=outputs,
            timeout_us=timeout_us,
            sequence=sequence,
            trace_parent=trace_parent,
            request_id=request_id,
        )
        self.ticket: Ticket = host.infer(request, self._done)
        assert not self.told, "never from inside"

    def _done(self, answer: InferResponse | HeklaError) -> None:
        self.told.append(answer)
        self._answered.set()

    async def answer(self) -> InferResponse | HeklaError:
        """Wait for the one answer."""
        await asyncio.wait_for(self._answered.wait(), 30)
        (answer,) = self.told
        return answer

    async def y(self) -> float:
        """Wait for tensors and return the first number of y."""
        answer = await self.answer()
        assert isinstance(answer, InferResponse), answer
        return float(answer.outputs["y"].flat[0])

    async def error(self) -> HeklaError:
        """Wait for an error."""
        answer = await self.answer()
        assert isinstance(answer, HeklaError), answer
        return answer
