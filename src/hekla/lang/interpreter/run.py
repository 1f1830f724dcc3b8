"""Run a function of the IR: blocks, calls and memory. Every access is checked and blamed on its source line."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hekla.lang import types as t
from hekla.lang.errors import CheckError
from hekla.lang.interpreter.values import MEANINGS, Data, dtype_of, typed
from hekla.lang.ir.core import Function, Module, Op, SlotType, Value

REGION_ALIGNMENT = 64  # bytes, of each piece
REGION_FULL = "the region is full"


class Slot:
    """A place on the stack. Arrays and records are NumPy memory that views may look at."""

    __slots__ = ("content",)

    def __init__(self, kind: t.Type) -> None:
        self.content: Data = None
        if isinstance(kind, t.ArrayType):
            self.content = np.zeros((1,), np.dtype([("a", t.numpy_dtype(kind))]))["a"][0]
        elif isinstance(kind, t.StructType):
            self.content = np.zeros((1,), kind.dtype)


def interpret(module: Module, function: Function, given: Sequence[Any]) -> Any:  # Any: a kernel's arguments and result
    """Run a kernel on arrays (written in place) and numbers; return what it returns, as a NumPy scalar."""
    with np.errstate(all="ignore"):
        args = [_argument(p.type, a) for p, a in zip(function.params, given, strict=True)]
        return _Frame(module, function, args).run()


def _argument(kind: t.Type, given: Any) -> Data:  # Any: see interpret
    if isinstance(kind, t.ViewType):
        return given
    return typed(kind, np.float32(given) if kind in (t.f16, t.bf16) else given)  # by way of f32, as conversions go


class _Frame:
    """One activation of a function."""

    def __init__(self, module: Module, function: Function, args: Sequence[Data]) -> None:
        self.module, self.function = module, function
        self.data: dict[Value, Data] = dict(zip(function.params, args, strict=True))
        self.held: list[tuple[Data, Any]] = []  # locks, as (container, key) of their states

    def run(self) -> Data:
        """Run to the end; what a fault leaves locked is given back."""
        try:
            return self._blocks()
        except BaseException:
            for container, key in self.held:
                container[key] = 0
            raise

    def _blocks(self) -> Data:
        block = self.function.blocks[0]
        while True:
            for op in block.ops[:-1]:
                self._step(op)
            last = block.ops[-1]
            if last.name == "func.return":
                return self.data[last.operands[0]] if last.operands else None
            targets = last.attrs["targets"]
            block = targets[0] if last.name == "cf.br" or self.data[last.operands[0]] else targets[1]

    def _step(self, op: Op) -> None:
        meaning = MEANINGS.get(op.name)
        if meaning is not None:
            assert op.result is not None
            self.data[op.result] = meaning(op.attrs, op.result.type, self.args(op))
            return
        result = EFFECTS[op.name](self, op)
        if op.result is not None:
            self.data[op.result] = result

    def args(self, op: Op) -> list[Data]:
        """Return the operands' values."""
        return [self.data[v] for v in op.operands]

    def fail(self, message: str, op: Op) -> None:
        """Blame a line of the author's source."""
        raise CheckError(message, op.span)

    def check_index(self, index: int, length: int, op: Op) -> int:
        """Return a good index."""
        if not 0 <= index < length:
            self.fail(f"index {index} is outside of length {length}", op)
        return index

    def place(self, op: Op, leading: int) -> tuple[Data, tuple[Any, ...] | str | None]:
        """Return (container, key): the value is container[key], or a slot's content where key is None."""
        root = op.operands[leading - 1]
        path: list[str | int] = list(op.attrs["path"])
        indices = [int(self.data[v]) for v in op.operands[leading : leading + path.count("i")]]
        container, kind = self.data[root], root.type
        if isinstance(kind, SlotType):
            if not path and not isinstance(kind.element, t.ArrayType | t.StructType):
                return container, None
            kind, container = kind.element, container.content
            if isinstance(kind, t.StructType):
                if not path:
                    return container, (0,)
                container = container[0]
        return self._walk(container, kind, path, indices, op)

    def _walk(
        self, container: Data, kind: t.Type, path: list[str | int], indices: list[int], op: Op
    ) -> tuple[Data, tuple[Any, ...] | str | None]:
        key: tuple[Any, ...] | str = ()
        while path:
            container = container[key] if key != () else container
            step = path.pop(0)
            if isinstance(step, int):
                assert isinstance(kind, t.StructType)
                key, kind = kind.fields[step][0], kind.fields[step][1]
                continue
            assert isinstance(kind, t.ViewType | t.ArrayType | t.BufferType)
            count = kind.rank if isinstance(kind, t.ViewType) else 1
            del path[: count - 1]
            key = tuple(self.check_index(indices.pop(0), container.shape[d], op) for d in range(count))
            kind = kind.element
        return container, key


# --- memory -------------------------------------------------------------------------------------------------


def _copied(value: Data) -> Data:
    return value.copy() if isinstance(value, np.ndarray | np.void) else value


def _load(f: _Frame, op: Op) -> Data:
    container, key = f.place(op, 1)
    if key is None:
        content = container.content
        assert op.result is not None
        return content if isinstance(op.result.type, t.ViewType | t.BufferType) else _copied(content)
    return _copied(container if key == () else container[key])


def _store(f: _Frame, op: Op) -> None:
    container, key = f.place(op, 2)
    value = f.data[op.operands[0]]
    if key is None:
        container.content = value
    else:
        container[... if key == () else key] = value


def _fill(f: _Frame, op: Op) -> None:
    container, key = f.place(op, 2)
    target = container if key in (None, ()) else container[key]
    target[...] = f.data[op.operands[0]]


def _dim(f: _Frame, op: Op) -> Data:
    root = f.data[op.operands[0]]
    array = root.content if isinstance(root, Slot) else root
    return np.int64(array.shape[op.attrs["dimension"]])


def _stride(f: _Frame, op: Op) -> Data:
    array = f.data[op.operands[0]]
    return np.int64(array.strides[op.attrs["dimension"]] // array.dtype.itemsize)


def _subview(f: _Frame, op: Op) -> Data:
    array, *words = f.args(op)
    numbers = [int(w) for w in words]
    key: list[Any] = []  # Any: slices and numbers
    for dimension, letter in enumerate(op.attrs["form"]):
        length = array.shape[dimension]
        if letter == "-":
            key.append(slice(None))
        elif letter == "i":
            key.append(f.check_index(numbers.pop(0), length, op))
        else:
            low, high = numbers.pop(0), numbers.pop(0)
            step = numbers.pop(0) if letter == "k" else 1
            if low < 0 or max(low, high) > length:
                f.fail(f"the slice {low}:{high} is outside of length {length}", op)
            key.append(slice(low, max(low, high), step))
    return array[tuple(key)]


def _borrow(f: _Frame, op: Op) -> Data:
    return f.data[op.operands[0]].content


def _alloc(f: _Frame, op: Op) -> Data:
    assert op.result is not None
    assert isinstance(op.result.type, t.BufferType)
    return np.zeros(max(0, int(f.data[op.operands[0]])), t.numpy_dtype(op.result.type.element))


class _Region:
    """How much of a region is handed out; what it hands out is NumPy's."""

    __slots__ = ("size", "used")

    def __init__(self, size: int) -> None:
        self.size, self.used = size, 0


def _take(f: _Frame, op: Op) -> Data:
    assert op.result is not None
    assert isinstance(op.result.type, t.ViewType)
    region, length = f.data[op.operands[0]].content, max(0, int(f.data[op.operands[1]]))
    start = -(-region.used // REGION_ALIGNMENT) * REGION_ALIGNMENT
    end = start + length * t.size_and_align(op.result.type.element)[0]
    if end > region.size:
        f.fail(REGION_FULL, op)
    region.used = end
    return np.zeros(length, t.numpy_dtype(op.result.type.element))


def _release(f: _Frame, op: Op) -> None:
    f.data[op.operands[0]].content.used = int(f.data[op.operands[1]])


def _dealloc(f: _Frame, op: Op) -> None:
    f.data[op.operands[0]].content = None


def _nothing(f: _Frame, op: Op) -> None:
    return None


def _field(f: _Frame, op: Op) -> Data:
    kind = op.operands[0].type
    assert isinstance(kind, t.StructType)
    return _copied(f.data[op.operands[0]][kind.fields[op.attrs["position"]][0]])


def _call(f: _Frame, op: Op) -> Data:
    return _Frame(f.module, f.module.functions[op.attrs["callee"]], f.args(op)).run()


def _parallel(f: _Frame, op: Op) -> None:
    """One iteration after the other, the last first: nothing may depend on their order."""
    count, *captured = f.args(op)
    body = f.module.functions[op.attrs["callee"]]
    for i in reversed(range(int(count))):
        _Frame(f.module, body, [np.int64(i), np.int64(i + 1), *captured]).run()


def _assert(f: _Frame, op: Op) -> None:
    if not f.data[op.operands[0]]:
        f.fail(op.attrs["message"], op)


_UPDATES: Mapping[str, Callable[[Data, Sequence[Data]], Data]] = {
    "store": lambda old, new: new[0], "exchange": lambda old, new: new[0], "add": lambda old, new: old + new[0],
    "min": lambda old, new: min(old, new[0]), "max": lambda old, new: max(old, new[0]),
    "compare_exchange": lambda old, new: new[1] if old == new[0] else old,
}  # fmt: skip


def _atomic(f: _Frame, op: Op) -> Data:
    container, key = f.place(op, 1)
    values = f.args(op)[1 + list(op.attrs["path"]).count("i") :]
    old, how = container[key], op.name.removeprefix("memref.atomic_")
    if how != "load":
        container[key] = _UPDATES[how](old, values)
    return old


def _wait(f: _Frame, op: Op) -> None:
    """One thread runs here: who waits for another waits for ever."""
    container, key = f.place(op, 1)
    if container[key] == f.data[op.operands[-1]]:
        f.fail("this waits for another thread, and there is none", op)


def _wake(f: _Frame, op: Op) -> None:
    f.place(op, 1)


def _lock(f: _Frame, op: Op) -> None:
    container, key = f.place(op, 1)
    state = container[key] if key != () else container
    if state["state"]:
        f.fail("a deadlock: this lock is held already", op)
    state["state"] = 1
    f.held.append((state, "state"))


def _unlock(f: _Frame, op: Op) -> None:
    state, name = f.held.pop()
    state[name] = 0


# --- the system ---------------------------------------------------------------------------------------------


def _text(f: _Frame, op: Op) -> Data:
    return np.frombuffer(op.attrs["bytes"], np.uint8)


def _transfer(f: _Frame, op: Op) -> Data:
    file, view = f.args(op)
    try:
        if op.name == "system.write":
            return np.int64(os.write(int(file), view.tobytes()))
        content = os.read(int(file), view.nbytes)
    except OSError:
        return np.int64(-1)
    view.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
    return np.int64(len(content))


def _open(f: _Frame, op: Op) -> Data:
    path = f.data[op.operands[0]].tobytes()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if op.attrs["writing"] else os.O_RDONLY
    try:
        return np.int32(os.open(path.split(b"\0")[0], flags, 0o644))
    except OSError:
        return np.int32(-1)


def _close(f: _Frame, op: Op) -> None:
    with contextlib.suppress(OSError):
        os.close(int(f.data[op.operands[0]]))


# --- vectors in memory --------------------------------------------------------------------------------------


def _row(f: _Frame, op: Op, view: Data, indices: Sequence[Data]) -> tuple[Data, int]:
    *outer, last = [int(i) for i in indices]
    for dimension, index in enumerate(outer):
        f.check_index(index, view.shape[dimension], op)
    return view[tuple(outer)], last


def _lanes_of(f: _Frame, op: Op, row: Data, first: int, mask: Data) -> Data:
    lanes = first + np.flatnonzero(mask)
    if len(lanes) and (lanes[0] < 0 or lanes[-1] >= len(row)):
        f.fail(f"lanes {lanes[0]} to {lanes[-1]} are outside of length {len(row)}", op)
    return lanes


def _vector_load(f: _Frame, op: Op) -> Data:
    assert op.result is not None
    assert isinstance(op.result.type, t.VecType)
    view, *indices = f.args(op)
    mask = indices.pop() if op.name == "vector.maskedload" else np.ones(op.result.type.lanes, bool)
    row, first = _row(f, op, view, indices)
    loaded = np.zeros(op.result.type.lanes, dtype_of(op.result.type))
    loaded[mask] = row[_lanes_of(f, op, row, first, mask)]
    return loaded


def _vector_store(f: _Frame, op: Op) -> None:
    value, view, *indices = f.args(op)
    mask = indices.pop() if op.name == "vector.maskedstore" else np.ones(len(value), bool)
    row, first = _row(f, op, view, indices)
    row[_lanes_of(f, op, row, first, mask)] = value[mask]


def _places(f: _Frame, op: Op, view: Data, where: Data, mask: Data) -> Data:
    wanted = where[mask].astype(np.int64)
    for index in wanted:
        f.check_index(int(index), len(view), op)
    return wanted


def _gather(f: _Frame, op: Op) -> Data:
    assert op.result is not None
    view, where, mask = f.args(op)
    gathered = np.zeros(len(where), dtype_of(op.result.type))
    gathered[mask] = view[_places(f, op, view, where, mask)]
    return gathered


def _scatter(f: _Frame, op: Op) -> None:
    value, view, where, mask = f.args(op)
    for place, one in zip(_places(f, op, view, where, mask), value[mask], strict=True):
        view[place] = one


def _cycles(f: _Frame, op: Op) -> Data:
    return np.uint64(time.perf_counter_ns())


EFFECTS: Mapping[str, Callable[[_Frame, Op], Data]] = {
    **{f"memref.atomic_{how}": _atomic for how in (*_UPDATES, "load")},
    "memref.alloca": lambda f, op: Slot(op.result.type.element),  # type: ignore[union-attr]  # a SlotType, says the verifier
    "memref.load": _load, "memref.store": _store, "memref.fill": _fill, "memref.dim": _dim, "memref.stride": _stride,
    "memref.cast": lambda f, op: f.data[op.operands[0]], "memref.subview": _subview, "memref.borrow": _borrow,
    "memref.atomic_wait": _wait, "memref.atomic_wake": _wake, "memref.lock": _lock, "memref.unlock": _unlock,
    "hekla.pause": _nothing, "hekla.yield": _nothing,
    "memref.region": lambda f, op: _Region(max(0, int(f.data[op.operands[0]]))), "memref.take": _take,
    "memref.mark": lambda f, op: np.int64(f.data[op.operands[0]].content.used), "memref.release": _release,
    "memref.alloc": _alloc, "memref.dealloc": _dealloc, "memref.prefetch": _nothing, "llvm.extractvalue": _field,
    "memref.text": _text, "system.write": _transfer, "system.read": _transfer,
    "system.open": _open, "system.close": _close,
    "hekla.cycles": _cycles, "func.call": _call, "scf.parallel": _parallel, "cf.assert": _assert,
    "vector.load": _vector_load, "vector.maskedload": _vector_load,
    "vector.store": _vector_store, "vector.maskedstore": _vector_store, "vector.stream_store": _vector_store,
    "vector.gather": _gather, "vector.scatter": _scatter,
}  # fmt: skip
