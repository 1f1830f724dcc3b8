"""Views taken apart: how one is carried in LLVM values and passed between functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from hekla.lang import types as t
from hekla.lang.ir.core import SlotType
from hekla.lang.llvm.names import register_type


@dataclass(slots=True)
class Parts:
    """A view taken apart: the text of its pointer, sizes and strides (in elements; a dense last one is "1")."""

    pointer: str
    shape: list[str]
    strides: list[str]

    def words(self, kind: t.ViewType) -> list[str]:
        """Return what the view carries besides its pointer."""
        return [*self.shape, *(self.strides if kind.strided else self.strides[:-1])]


def flat_params(params: Sequence[tuple[str, t.Type]]) -> list[tuple[str, str, str]]:
    """Return (LLVM type, attributes, name) of each LLVM parameter: a view becomes its pointer and its words.

    The ownership checker has shown that nobody else reads or writes what a MutView covers while the kernel
    runs, and that nobody writes what a View covers: LLVM is told.
    """
    flat: list[tuple[str, str, str]] = []
    for name, kind in params:
        if isinstance(kind, t.ViewType):
            align = t.size_and_align(kind.element)[1]
            access = "noalias " if kind.mutable else "noalias readonly "
            if t.is_shared(kind.element):
                access = ""  # other threads write it
            flat.append(("ptr", f"{access}align {align}", f"%{name}.p"))
            flat += [("i64", "", f"%{name}.d{d}") for d in range(kind.rank)]
            flat += [("i64", "", f"%{name}.s{d}") for d in range(kind.rank if kind.strided else kind.rank - 1)]
        else:
            flat.append((register_type(kind), "noalias" if isinstance(kind, SlotType) else "", f"%{name}"))
    return flat


def view_param(name: str, kind: t.ViewType) -> Parts:
    """Return the parts of a view that came as LLVM parameters named by `flat_params`."""
    strides = [f"%{name}.s{d}" for d in range(kind.rank if kind.strided else kind.rank - 1)]
    return Parts(f"%{name}.p", [f"%{name}.d{d}" for d in range(kind.rank)], strides + ([] if kind.strided else ["1"]))
