"""Weights brought into the layout of a plan, by several threads: NumPy lets them run side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.llm.panels import LANES
from hekla.llm.compiled.panel_bytes import awq_parts, pack_rows, write_parts
from hekla.llm.compiled.plan import PackedMatrix, PackedVector, PackPlan
from hekla.llm.dequantise import dequantised
from hekla.llm.quantise import quantised
from hekla.llm.tensors import Quantisation

U8 = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)
RELEASE_BYTES = 32 << 20  # packed between two releases of what was read
CHUNK_BYTES = 4 << 20  # of a matrix, packed at once: what its temporaries need stays in the cache


def pack(plan: PackPlan, memory: U8, threads: int, release: Callable[[], object] = lambda: None) -> None:
    """Write all of a plan into memory (plan.bytes,) u8, zeroed.

    release: called now and then; what it gives back of the model's file is read again where it is needed.
    """
    tasks = [(m, start) for m in plan.matrices for start in range(0, m.panels, _chunk(m))]
    since = 0
    with ThreadPoolExecutor(threads) as pool:
        for written in pool.map(lambda task: _panels(task[0], task[1], memory), tasks):
            since += written
            if since >= RELEASE_BYTES:
                since = 0
                release()
    for vector in plan.vectors:
        _vector(vector, memory)
    release()


def _chunk(matrix: PackedMatrix) -> int:
    if matrix.kind.name == "AWQ4" or matrix.tensor.quantisation.name != matrix.kind.name:
        return matrix.panels  # its columns are its rows, or it is dequantised as a whole
    return max(1, CHUNK_BYTES // matrix.panel_bytes)


def _panels(matrix: PackedMatrix, start: int, memory: U8) -> int:
    """Pack one chunk of panels and return its bytes."""
    end = min(matrix.panels, start + _chunk(matrix))
    first = matrix.first + start * matrix.panel_bytes
    out = memory[first : first + (end - start) * matrix.panel_bytes].reshape(end - start, -1)
    order = matrix.rows[start * LANES : end * LANES]
    tensor = matrix.tensor
    if matrix.kind.name == "AWQ4":
        write_parts(matrix.kind, awq_parts(tensor, order), matrix.inputs, out, matrix.group)
        return out.nbytes
    if tensor.quantisation.name != matrix.kind.name or matrix.columns is not None:
        values = dequantised(tensor)
        if matrix.columns is not None:
            values = _taken(values.T, matrix.columns).T
        rows = quantised(_taken(values, order), Quantisation[matrix.kind.name]).reshape(len(order), -1)
    else:
        rows = _taken(tensor.data.reshape(tensor.shape[0], -1), order)
    pack_rows(matrix.kind, rows, matrix.inputs, out)
    return out.nbytes


def _taken(values: NDArray[Number], order: NDArray[np.int64]) -> NDArray[Number]:
    """Return rows in an order; -1 gives a row of zeros."""
    taken = values[order]
    if (order < 0).any():
        taken[order < 0] = 0
    return taken


def _vector(vector: PackedVector, memory: U8) -> None:
    values = _taken(dequantised(vector.tensor).reshape(-1), vector.order) + np.float32(vector.added)
    memory[4 * vector.first : 4 * (vector.first + len(values))].view(np.float32)[:] = values
