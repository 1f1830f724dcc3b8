"""Conformance kit: any engine, ours or a stranger's, can be held to the promises of `hekla.protocols.engine.Engine`.

    check_engine(lambda: load(source), {"x": np.ones((3, 4), np.float32)})

Give inputs of three rows or more, with different rows, where the engine batches: equal rows hide swapped ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, HeklaError, UnavailableError
from hekla.protocols.engine import Cancellation, Engine
from hekla.protocols.tensor import ANY, Array, Tensors, TensorSpec


@dataclass(frozen=True, slots=True)
class Case:
    """An engine, inputs it answers, and what it may do with them."""

    make_engine: Callable[[], Engine]
    inputs: Tensors
    failing: Tensors | None  # inputs of the right names, dtypes and shapes for which a run must fail
    relative: float
    absolute: float


def check_engine(
    make_engine: Callable[[], Engine],
    inputs: Tensors,
    *,
    failing: Tensors | None = None,
    relative: float = 1e-5,
    absolute: float = 1e-6,
) -> None:
    """Raise AssertionError unless the engine keeps its promises.

    `relative` and `absolute` bound how far a float of a row may be from the same row's in another batch (another
    order of summation); integers, bools and BYTES must be equal.
    """
    for promise in PROMISES:
        case = Case(make_engine, _copies(inputs), failing, relative, absolute)
        engine = make_engine()
        try:
            promise(engine, case)
        finally:
            engine.close()


def check_specs(engine: Engine, case: Case) -> None:
    """Names, dtypes and shapes never change, fit what is answered, and batch axes are all or nothing."""
    before = engine.inputs, engine.outputs
    found = engine.run(case.inputs)
    assert (engine.inputs, engine.outputs) == before, "inputs and outputs must not change by running"
    for specs in before:
        names = [spec.name for spec in specs]
        assert len(set(names)) == len(names), f"two tensors of one name: {names}"
        for spec in specs:
            axis = spec.batch_axis
            assert axis is None or spec.shape[axis] == ANY, f"{spec.name}: the batch axis must be {ANY}"
    assert list(found) == [spec.name for spec in engine.outputs], f"() must answer every output, answered {list(found)}"
    if any(spec.batch_axis is not None for spec in engine.inputs):
        missing = [spec.name for spec in engine.outputs if spec.batch_axis is None]
        assert not missing, f"a batchable engine with outputs without a batch axis: {missing}"
    for spec in engine.outputs:
        _check_fits(spec, found[spec.name])


def check_equal_answers(engine: Engine, case: Case) -> None:
    """Equal inputs give equal outputs, to the bit, in this engine and in a second one."""
    first = engine.run(_copies(case.inputs))
    _check_same(first, engine.run(_copies(case.inputs)), "equal inputs must give equal outputs")
    second = case.make_engine()
    try:
        _check_same(first, second.run(_copies(case.inputs)), "a second engine must give equal outputs")
    finally:
        second.close()


def check_chosen_outputs(engine: Engine, case: Case) -> None:
    """Only the outputs named are answered, with the values they have among all, in any order."""
    everything = engine.run(case.inputs)
    names = [spec.name for spec in engine.outputs]
    for chosen in ([name] for name in names):
        found = engine.run(case.inputs, chosen)
        assert list(found) == chosen, f"asked for {chosen}, got {list(found)}"
        _check_same({name: everything[name] for name in chosen}, found, f"{chosen} alone must be as among all")
    backwards = engine.run(case.inputs, names[::-1])
    _check_same(everything, {name: backwards[name] for name in names}, "the order of names must not change values")


def check_inputs_are_only_read(engine: Engine, case: Case) -> None:
    """Inputs are not written, read-only ones are taken, and so are views with strides."""
    given = _copies(case.inputs)
    expected = engine.run(given)
    _check_same(case.inputs, given, "a run must not write its inputs")
    for array in given.values():
        array.flags.writeable = False
    _check_same(expected, engine.run(given), "read-only inputs must be taken")
    strided = {name: np.repeat(array[..., None], 2, axis=-1)[..., 0] for name, array in given.items()}
    _check_same(expected, engine.run(strided), "views with strides must be read as NumPy reads them")


def check_inputs_are_not_kept(engine: Engine, case: Case) -> None:
    """The memory of inputs may be used again after the run."""
    given = _copies(case.inputs)
    found = engine.run(given)
    expected = _copies(found)
    for array in given.values():
        array[...] = b"overwritten" if array.dtype == object else np.ones((), array.dtype)
    _check_same(expected, found, "outputs must not be views of the inputs")
    _check_same(expected, engine.run(case.inputs), "a run must not depend on the memory of an earlier one's inputs")


def check_outputs_are_the_callers(engine: Engine, case: Case) -> None:
    """Outputs are not written by later runs, and writing into them changes no later run."""
    found = engine.run(case.inputs)
    expected = _copies(found)
    engine.run(_others(engine, case.inputs))
    _check_same(expected, found, "a later run must not overwrite earlier outputs")
    for array in found.values():
        assert array.flags.writeable, "outputs belong to the caller, who may write into them"
        array[...] = b"overwritten" if array.dtype == object else np.ones((), array.dtype)
    _check_same(expected, engine.run(case.inputs), "writing into outputs must not change a later run")


def check_batches(engine: Engine, case: Case) -> None:
    """A batch of n is n batches of one."""
    axes = _batch_axes(engine)
    if not axes:
        return
    rows = _rows(axes, case.inputs)
    assert rows >= 2, "give the kit at least two rows, better three"
    together = engine.run(case.inputs)
    alone = [engine.run(_taken(axes, case.inputs, slice(row, row + 1))) for row in range(rows)]
    for spec in engine.outputs:
        axis = spec.batch_axis
        assert axis is not None, f"{spec.name}: no batch axis"
        joined = np.concatenate([found[spec.name] for found in alone], axis)
        assert together[spec.name].shape == joined.shape, (
            f"{spec.name}: {rows} rows at once give shape {together[spec.name].shape}, one by one {joined.shape}"
        )
        _check_near(spec, together[spec.name], joined, case)


def check_empty_batch(engine: Engine, case: Case) -> None:
    """No rows in: no rows out, or a HeklaError that leaves the engine as it was."""
    axes = _batch_axes(engine)
    if not axes:
        return
    expected = engine.run(case.inputs)
    try:
        found = engine.run(_taken(axes, case.inputs, slice(0, 0)))
    except UnavailableError:
        raise AssertionError("an empty batch must not end the engine") from None
    except HeklaError:
        found = {}
    for spec in engine.outputs:
        if spec.name in found and spec.batch_axis is not None:
            assert found[spec.name].shape[spec.batch_axis] == 0, f"{spec.name}: rows out of an empty batch"
    _check_same(expected, engine.run(case.inputs), "an empty batch must leave the engine as it was")


def check_errors(engine: Engine, case: Case) -> None:
    """A run that fails raises a HeklaError and leaves the engine as it was."""
    if case.failing is None:
        return
    expected = engine.run(case.inputs)
    try:
        engine.run(case.failing)
    except UnavailableError:
        raise AssertionError("a failed run must not end the engine") from None
    except HeklaError:
        pass
    except Exception as error:
        raise AssertionError(f"a failed run must raise a HeklaError, raised {type(error).__name__}: {error}") from error
    else:
        raise AssertionError("the failing inputs were answered")
    _check_same(expected, engine.run(case.inputs), "a failed run must leave the engine as it was")


def check_cancellation(engine: Engine, case: Case) -> None:
    """A run that was cancelled before it began does nothing; a switch that nobody throws changes nothing."""
    expected = engine.run(case.inputs)
    cancelled = Cancellation()
    cancelled.set()
    try:
        engine.run(case.inputs, (), cancelled)
    except CancelledError:
        pass
    else:
        raise AssertionError("a run that was cancelled before it began must raise CancelledError")
    spare = Cancellation()
    _check_same(expected, engine.run(case.inputs, (), spare), "a switch nobody throws must change nothing")
    spare.set()
    _check_same(expected, engine.run(case.inputs), "a switch thrown after its run must change nothing")


def check_close(engine: Engine, case: Case) -> None:
    """Closing twice is closing once; a closed engine says UnavailableError; outputs outlive it."""
    found = engine.run(case.inputs)
    expected = _copies(found)
    engine.close()
    engine.close()
    _check_same(expected, found, "outputs must outlive their engine")
    try:
        engine.run(case.inputs)
    except UnavailableError:
        return
    raise AssertionError("a closed engine must raise UnavailableError")


PROMISES: tuple[Callable[[Engine, Case], None], ...] = (
    check_specs,
    check_equal_answers,
    check_inputs_are_only_read,
    check_chosen_outputs,
    check_inputs_are_not_kept,
    check_outputs_are_the_callers,
    check_batches,
    check_empty_batch,
    check_errors,
    check_cancellation,
    check_close,
)


def _check_fits(spec: TensorSpec, array: Array) -> None:
    assert isinstance(array, np.ndarray), f"{spec.name}: expected an array, got {type(array).__name__}"
    assert array.dtype == spec.dtype.numpy, f"{spec.name}: expected dtype {spec.dtype.numpy}, got {array.dtype}"
    assert spec.accepts(array.shape), f"{spec.name}: expected shape {spec.shape}, got {array.shape}"
    if spec.dtype is DType.BYTES:
        wrong = {type(item).__name__ for item in array.ravel().tolist() if not isinstance(item, bytes)}
        assert not wrong, f"{spec.name}: elements must be bytes, got {wrong}"


def _check_same(expected: Tensors, found: Tensors, promise: str) -> None:
    assert list(expected) == list(found), f"{promise}: {list(expected)} became {list(found)}"
    for name, array in expected.items():
        other = found[name]
        equal = array.dtype == other.dtype and array.shape == other.shape
        if equal:  # NaN equals itself here: bits are compared
            equal = array.tolist() == other.tolist() if array.dtype == object else array.tobytes() == other.tobytes()
        assert equal, f"{promise}: {name!r} differs"


def _check_near(spec: TensorSpec, expected: Array, found: Array, case: Case) -> None:
    promise = f"{spec.name}: a row must not depend on the rows beside it"
    if not spec.dtype.is_float:
        assert expected.tolist() == found.tolist(), promise
        return
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    near = np.isclose(wide, other, case.relative, case.absolute, equal_nan=True)
    assert near.all(), f"{promise}: {wide[~near][0]} is not {other[~near][0]}"


def _copies(tensors: Tensors) -> dict[str, Array]:
    return {name: array.copy() for name, array in tensors.items()}


def _batch_axes(engine: Engine) -> dict[str, int]:
    return {spec.name: spec.batch_axis for spec in engine.inputs if spec.batch_axis is not None}


def _rows(axes: dict[str, int], tensors: Tensors) -> int:
    return next(int(tensors[name].shape[axis]) for name, axis in axes.items() if name in tensors)


def _taken(axes: dict[str, int], tensors: Tensors, rows: slice) -> dict[str, Array]:
    """Return these rows of the batched tensors, and the others whole."""
    return {
        name: array[(slice(None),) * axes[name] + (rows,)] if name in axes else array for name, array in tensors.items()
    }


def _others(engine: Engine, tensors: Tensors) -> dict[str, Array]:
    """Return other inputs of the same shapes: the rows backwards, or where nothing is batched the elements rolled."""
    axes = _batch_axes(engine)
    if axes:
        return _taken(axes, tensors, slice(None, None, -1))
    return {name: np.roll(array, 1) for name, array in tensors.items()}
