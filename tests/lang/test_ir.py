"""The IR: its printed form, and a verifier that sees planted faults."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from collections.abc import Callable

import pytest

from hekla.lang import MutView, View, f32, kernel, load, store
from hekla.lang import types as t
from hekla.lang.ir.core import Function, Value
from hekla.lang.ir.printer import print_module
from hekla.lang.ir.verify import verify_module


@kernel
def add_one(x: View[f32, 1], y: MutView[f32, 1]):
    for i in range(len(x)):
        y[i] = x[i] + 1.0


@kernel
def move_lanes(x: View[f32, 1], y: MutView[f32, 1]):
    store(y, 0, load(x, 4, width=4))


GOLDEN = """\
func.func @add_one.0(%x: memref<?xf32, const>, %y: memref<?xf32>) -> () {
^entry:
  %i = memref.alloca : () -> memref<index>
  %3 = arith.constant {value = 0} : () -> index
  %4 = memref.dim %x {dimension = 0} : (memref<?xf32, const>) -> index
  memref.store %3, %i : index, memref<index>
  cf.br ^for1
^for1:
  %i_ = memref.load %i : (memref<index>) -> index
  %6 = arith.cmpi %i_, %4 {predicate = 'slt'} : (index, index) -> i1
  cf.cond_br %6, ^body2, ^after4 : i1
^body2:
  %7 = memref.load %x[%i_] : (memref<?xf32, const>, index) -> f32
  %8 = arith.constant {value = 1.0} : () -> f32
  %9 = arith.addf %7, %8 : (f32, f32) -> f32
  memref.store %9, %y[%i_] : f32, memref<?xf32>, index
  cf.br ^next3
^next3:
  %10 = arith.constant {value = 1} : () -> index
  %11 = arith.addi %i_, %10 {no_overflow = True} : (index, index) -> index
  memref.store %11, %i : index, memref<index>
  cf.br ^for1
^after4:
  func.return
}
"""


def test_the_printed_form_reads_like_mlir() -> None:
    module, _ = add_one.lower()
    assert print_module(module) == GOLDEN


def drop_last(f: Function) -> None:
    """Leave the first block without an end."""
    f.blocks[0].ops.pop()


def swap(f: Function) -> None:
    """Use a value before it is defined."""
    ops = f.blocks[2].ops
    ops[0], ops[2] = ops[2], ops[0]


def foreign(f: Function) -> None:
    """Use a value of another function."""
    f.blocks[2].ops[2].operands = (Value(t.f32), Value(t.f32))


def wrong_type(f: Function) -> None:
    """Add a float to an index."""
    op = f.blocks[2].ops[2]
    op.operands = (op.operands[0], f.blocks[1].ops[0].result or op.operands[0])


def unknown(f: Function) -> None:
    """Name an operation that does not exist."""
    f.blocks[2].ops[2].name = "arith.frobnicate"


def early_end(f: Function) -> None:
    """Return in the middle of a block."""
    f.blocks[2].ops.insert(0, f.blocks[4].ops[0])


@pytest.mark.parametrize("plant", [drop_last, swap, foreign, wrong_type, unknown, early_end], ids=lambda p: p.__name__)
def test_the_verifier_sees_a_planted_fault(plant: Callable[[Function], None]) -> None:
    module, function = add_one.lower()
    verify_module(module)
    plant(function)
    with pytest.raises(AssertionError, match=r"add_one\.0"):
        verify_module(module)


def test_the_verifier_refuses_a_store_to_a_reader() -> None:
    module, function = move_lanes.lower()
    op = next(op for op in function.blocks[0].ops if op.name == "vector.store")
    op.operands = (op.operands[0], function.params[0], op.operands[2])
    with pytest.raises(AssertionError, match=r"vector\.store"):
        verify_module(module)
