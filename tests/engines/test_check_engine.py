"""The conformance kit: it passes an honest engine and catches one liar per promise."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, EngineError, UnavailableError
from hekla.protocols.engine import Cancellation
from hekla.protocols.tensor import Array, Tensors, TensorSpec
from hekla.testing.check_engine import check_engine

ROWS = np.array([[1, 2], [3, 4], [5, 7]], np.float32)
FAILING = np.full((1, 2), 1000, np.float32)


class Honest:
    """x (n, 2) -> double (n, 2) and total (n); fails above 100."""

    def __init__(self) -> None:
        self.is_closed = False
        self.x = TensorSpec("x", DType.FP32, (-1, 2), 0)
        self.double = TensorSpec("double", DType.FP32, (-1, 2), 0)
        self.total = TensorSpec("total", DType.FP32, (-1,), 0)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self.x,)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (self.double, self.total)

    @property
    def may_block(self) -> bool:
        return False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        if self.is_closed:
            raise UnavailableError("closed")
        if cancellation is not None and cancellation.is_set:
            raise CancelledError("stopped")
        found = self.compute(inputs["x"])
        return {name: found[name] for name in outputs or found}

    def compute(self, x: Array) -> dict[str, Array]:
        if x.size and x.max() > 100:
            raise EngineError("too large")
        return {"double": x * 2, "total": x.sum(axis=1)}

    def close(self) -> None:
        self.is_closed = True


class ForgetsBatchAxis(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.total = replace(self.total, batch_axis=None)


class FixedBatchAxis(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.double = replace(self.double, batch_axis=1)


class ChangesSpecs(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        self.double = replace(self.double, shape=(len(x), 2), batch_axis=None)
        return super().compute(x)


class WrongDtype(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x.astype(np.float64), "total": x.sum(axis=1)}


class WrongShape(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2, "total": x}


class ForgetsAnOutput(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2}


class Moody(Honest):
    mood = 0

    def compute(self, x: Array) -> dict[str, Array]:
        self.mood += 1
        return {"double": x * 2 + self.mood, "total": x.sum(axis=1)}


class Individual(Honest):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Individual.made += 1
        self.number = Individual.made

    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2 + self.number, "total": x.sum(axis=1)}


class AnswersEverything(Honest):
    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        return super().run(inputs, (), cancellation)


class MixesUpChosenOutputs(Honest):
    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        found = super().run(inputs, outputs, cancellation)
        return {name: array + 1 for name, array in found.items()} if outputs else found


class WritesInputs(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if x.flags.writeable:
            x += 1
        return super().compute(x)


class RefusesReadOnly(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if not x.flags.writeable:
            x = x + 1
        return super().compute(x)


class IgnoresStrides(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if not x.flags.c_contiguous and x.strides[-1] > 0:
            x = np.lib.stride_tricks.as_strided(x, x.shape, (8, 4))
        return super().compute(x)


class AnswersInputs(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x, "total": x.sum(axis=1)}


class KeepsInputs(Honest):
    kept: Array | None = None

    def compute(self, x: Array) -> dict[str, Array]:
        if self.kept is None:
            self.kept = x
        return {"double": self.kept * 0 + self.kept.max() if self.kept.shape == x.shape else x, "total": x.sum(axis=1)}


class ReusesOutputs(Honest):
    memory = np.zeros((64, 2), np.float32)

    def compute(self, x: Array) -> dict[str, Array]:
        self.memory[: len(x)] = x
        return {"double": self.memory[: len(x)], "total": x.sum(axis=1)}


class AnswersReadOnly(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        found = super().compute(x)
        found["total"].flags.writeable = False
        return found


class Remembers(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[bytes, dict[str, Array]] = {}

    def compute(self, x: Array) -> dict[str, Array]:
        return self.answers.setdefault(x.tobytes(), super().compute(x))


class RowsMeet(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2, "total": x.sum(axis=1) + (x.mean() if x.size else 0)}


class OneRowOnly(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2, "total": x.sum(axis=1)[:1]}


class DiesOfNothing(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if not x.size:
            raise UnavailableError("dead")
        return super().compute(x)


class InventsRows(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return super().compute(x if len(x) else np.zeros((1, 2), np.float32))


class RaisesAnything(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if x.size and x.max() > 100:
            raise ValueError("too large")
        return super().compute(x)


class DiesOfErrors(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        if x.size and x.max() > 100:
            raise UnavailableError("dead")
        return super().compute(x)


class SwallowsErrors(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        return {"double": x * 2, "total": x.sum(axis=1)}


class HurtByErrors(Honest):
    offset = 0

    def compute(self, x: Array) -> dict[str, Array]:
        if x.size and x.max() > 100:
            self.offset = 1
        found = super().compute(x)
        return {"double": found["double"] + self.offset, "total": found["total"]}


class IgnoresCancellation(Honest):
    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        return super().run(inputs, outputs, None)


class RunsAfterClose(Honest):
    def close(self) -> None:
        pass


class FreesOutputs(Honest):
    def compute(self, x: Array) -> dict[str, Array]:
        self.last = super().compute(x)
        return self.last

    def close(self) -> None:
        super().close()
        self.last["double"][...] = 0


class ClosesOnce(Honest):
    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        super().close()


LIARS: list[tuple[type[Honest], str]] = [
    (ForgetsBatchAxis, r"outputs without a batch axis: \['total'\]"),
    (FixedBatchAxis, "double: the batch axis must be -1"),
    (ChangesSpecs, "inputs and outputs must not change"),
    (WrongDtype, "double: expected dtype float32, got float64"),
    (WrongShape, "total: expected shape"),
    (ForgetsAnOutput, r"must answer every output, answered \['double'\]"),
    (Moody, "equal inputs must give equal outputs: 'double' differs"),
    (Individual, "a second engine must give equal outputs"),
    (AnswersEverything, r"asked for \['double'\], got \['double', 'total'\]"),
    (MixesUpChosenOutputs, r"\['double'\] alone must be as among all"),
    (WritesInputs, "a run must not write its inputs"),
    (RefusesReadOnly, "read-only inputs must be taken"),
    (IgnoresStrides, "views with strides must be read"),
    (AnswersInputs, "outputs must not be views of the inputs"),
    (KeepsInputs, "must not depend on the memory of an earlier one's inputs"),
    (ReusesOutputs, "a later run must not overwrite earlier outputs"),
    (AnswersReadOnly, "who may write into them"),
    (Remembers, "writing into outputs must not change a later run"),
    (RowsMeet, "total: a row must not depend on the rows beside it"),
    (OneRowOnly, "total: 3 rows at once give shape"),
    (DiesOfNothing, "an empty batch must not end the engine"),
    (InventsRows, "double: rows out of an empty batch"),
    (RaisesAnything, "must raise a HeklaError, raised ValueError: too large"),
    (DiesOfErrors, "a failed run must not end the engine"),
    (SwallowsErrors, "the failing inputs were answered"),
    (HurtByErrors, "a failed run must leave the engine as it was"),
    (IgnoresCancellation, "must raise CancelledError"),
    (RunsAfterClose, "a closed engine must raise UnavailableError"),
    (FreesOutputs, "outputs must outlive their engine"),
    (ClosesOnce, "closed twice"),
]


def check(make_engine: Any) -> None:  # any class of this file
    check_engine(make_engine, {"x": ROWS}, failing={"x": FAILING})


def test_an_honest_engine_passes() -> None:
    check(Honest)


@pytest.mark.parametrize(("liar", "caught"), LIARS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_promise_is_caught(liar: type[Honest], caught: str) -> None:
    with pytest.raises(AssertionError, match=caught):
        check(liar)


def test_one_row_is_too_little_to_judge_batching() -> None:
    with pytest.raises(AssertionError, match="give the kit at least two rows"):
        check_engine(Honest, {"x": ROWS[:1]})


def test_a_tolerance_is_for_floats_and_can_be_widened() -> None:
    with pytest.raises(AssertionError, match="must not depend on the rows beside it"):
        check(RowsMeet)
    check_engine(RowsMeet, {"x": ROWS}, absolute=100)
