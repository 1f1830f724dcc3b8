"""Engines whose calls end when and how a test says."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.engine import Cancellation, Engine
from hekla.protocols.tensor import ANY, Tensors, TensorSpec
from hekla.serve.config import BatchingConfig, EngineConfig, ModelConfig, PadConfig, QueueConfig
from hekla.serve.execution.instance import Instance, Ran

X = TensorSpec("x", DType.FP32, (ANY, ANY), 0)
Y = TensorSpec("y", DType.FP32, (ANY, ANY), 0)
OnEnd = Callable[[Ran], None]


class DoublingEngine:
    """y = 2 x. A negative number in x makes the call fail. Counts its calls' rows."""

    def __init__(
        self, inputs: Sequence[TensorSpec] = (X,), outputs: Sequence[TensorSpec] = (Y,), *, may_block: bool = True
    ) -> None:
        self.inputs, self.outputs, self.may_block = tuple(inputs), tuple(outputs), may_block
        self.calls: list[int] = []
        self.is_closed = False
        self.dies_of: HeklaError | None = None

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        """Return doubled inputs."""
        self.calls.append(len(inputs["x"]))
        if self.dies_of is not None:
            raise self.dies_of
        return double(inputs)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def double(inputs: Tensors) -> Tensors:
    """Return what the engines of these tests answer. Errors: EngineError for a negative number."""
    if (inputs["x"] < 0).any():
        raise EngineError("negative", where="x")
    return {"y": inputs["x"] * 2}


class ScriptedInstance(Instance):
    """An instance whose calls stay open until the test ends them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: Engine | None = None) -> None:
        super().__init__(engine or DoublingEngine(), "scripted", loop)
        self.loop = loop
        self.batches: list[NDArray[np.float32]] = []
        self.cancellation = Cancellation()
        self._open: tuple[Tensors, float, OnEnd] | None = None

    @property
    def is_called(self) -> bool:
        """True while a call is open."""
        return self._open is not None

    def start(self, inputs: Tensors, outputs: tuple[str, ...], cancellation: Cancellation, on_end: OnEnd) -> None:
        assert not self.busy, "one call at a time"
        assert not self.lost, "nobody calls a lost engine"
        self.busy = True
        self.batches.append(inputs["x"])
        self.cancellation = cancellation
        self._open = inputs, self.loop.time(), on_end

    def end(self, result: Tensors | HeklaError | None = None) -> None:
        """End the open call, with the doubled inputs where no result is given."""
        assert self._open is not None
        (inputs, started_s, on_end), self._open = self._open, None
        if result is None:
            try:
                result = double(inputs)
            except HeklaError as error:
                result = error
        on_end(Ran(result, started_s, self.loop.time()))


def config_of(
    batching: BatchingConfig | None = None, queue: QueueConfig | None = None, pad: tuple[PadConfig, ...] = ()
) -> ModelConfig:
    """Return a model's configuration with these tables."""
    return ModelConfig(
        "m",
        Path("m/model.toml"),
        EngineConfig("scripted"),
        batching=batching or BatchingConfig(pad=pad),
        queue=queue or QueueConfig(),
    )
