"""LoRA adapters by slot, in the order of rows and columns that the packed weights have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, TooLargeError
from hekla.kernels.llm.step import MATRICES, MATRIX_NAMES
from hekla.llm.compiled.plan import PackedMatrix, PackPlan
from hekla.llm.runner import F32, LoraDelta

FIELDS = 4  # first float of a, first of b transposed, rank, bits of the scale


class Adapters:
    """Holds the adapters. `values` and `table` are what a step reads; both change when one is loaded."""

    def __init__(self, plan: PackPlan, budget_bytes: int) -> None:
        self._plan, self._budget_bytes = plan, budget_bytes
        self._slots: dict[int, list[tuple[int, F32, F32, float]]] = {}
        self.values: F32 = np.zeros(0, np.float32)
        self.table: NDArray[np.int64] = np.zeros((0, len(plan.table), FIELDS), np.int64)

    def load(self, slot: int, deltas: Sequence[LoraDelta]) -> None:
        """Hold an adapter. Errors: TooLargeError past the budget; ModelFileError for a matrix it does not fit."""
        found = [self._placed(delta) for delta in deltas]
        others = sum(a.nbytes + b.nbytes for s, held in self._slots.items() if s != slot for _, a, b, _ in held)
        wanted = others + sum(a.nbytes + b.nbytes for _, a, b, _ in found)
        if wanted > self._budget_bytes:
            raise TooLargeError("adapters", limit=f"{self._budget_bytes} bytes", got=f"{wanted} bytes")
        self._slots[slot] = found
        self._lay_out()

    def unload(self, slot: int) -> None:
        """Empty a slot; an empty one stays empty."""
        self._slots.pop(slot, None)
        self._lay_out()

    def has(self, slot: int) -> bool:
        """True where a slot holds an adapter."""
        return slot in self._slots

    def _placed(self, delta: LoraDelta) -> tuple[int, F32, F32, float]:
        """Return (row of the table, a, b transposed, scale) with rows and columns moved as the matrix's were."""
        number, matrix = self._matrix(delta.matrix)
        outputs, inputs = matrix.tensor.shape
        rank = len(delta.a)
        if delta.a.shape != (rank, inputs) or delta.b.shape != (outputs, rank):
            raise ModelFileError(
                f"expected a (rank, {inputs}) and b ({outputs}, rank), found {delta.a.shape} and {delta.b.shape}",
                where=delta.matrix,
            )
        a = delta.a if matrix.columns is None else _taken(delta.a.T, matrix.columns).T
        b = _taken(delta.b, matrix.rows).T
        return number, np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32), delta.scale

    def _matrix(self, name: str) -> tuple[int, PackedMatrix]:
        parts = name.split(".")
        layers = (len(self._plan.table) - 2) // MATRICES
        is_known = len(parts) == 3 and parts[0] == "blk" and parts[1].isdecimal() and parts[2] in MATRIX_NAMES
        if not is_known or int(parts[1]) >= layers:
            raise ModelFileError("an adapter for a matrix that takes none", where=name, cure=f"one of {MATRIX_NAMES}")
        number = int(parts[1]) * MATRICES + MATRIX_NAMES.index(parts[2])
        return number, self._plan.matrices[number]

    def _lay_out(self) -> None:
        slots = max(self._slots, default=-1) + 1
        self.table = np.zeros((slots, len(self._plan.table), FIELDS), np.int64)
        pieces: list[F32] = []
        at = 0
        for slot, held in self._slots.items():
            for number, a, b, scale in held:
                bits = int(np.float32(scale).view(np.int32))
                self.table[slot, number] = (at, at + a.size, len(a), bits)
                pieces += [a.reshape(-1), b.reshape(-1)]
                at += a.size + b.size
        self.values = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _taken(values: F32, order: NDArray[np.int64]) -> F32:
    taken = values[order]
    taken[order < 0] = 0
    return taken
