"""What a user sees of an error: the own frames and the message, not the compiler's insides."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hekla.lang
from hekla.base.errors import HeklaError
from hekla.lang.files import kernels_in
from hekla.lang.kernel import Kernel
from hekla.lang.llvm.target import Target

PROGRAM = """
from hekla.lang import *


@comptime
def broken(n):
    return 1 // n


@kernel
def wrong(x: View[f32, 1]) -> f32:
    return x[0] + i32(1)


@kernel
def evaluates(x: View[f32, 1]) -> f32:
    return x[broken(0)]


@kernel
def put(x: MutView[f32, 1], i: index):
    x[i] = 1.0


@kernel
def full():
    r = region(64)
    r.take(f32, 1000)[0] = 1.0


@vectorize(arch="native")
def carried(x: MutView[f32, 1]):
    for i in range(1, len(x)):
        x[i] = x[i - 1] * 2.0
"""
FOREIGN = Target("x86_64-unknown-linux-gnu", "x86-64-v4", frozenset({"no-such-feature"}))
X = np.ones(4, np.float32)
CALLS: dict[str, Callable[[dict[str, Kernel]], Any]] = {
    "a type, at the first call": lambda k: k["wrong"](X),
    "a type, compiled": lambda k: k["wrong"].compile(),
    "a type, lowered": lambda k: k["wrong"].lower(),
    "a type, elaborated": lambda k: k["wrong"].elaborate(),
    "a type, chosen": lambda k: k["wrong"].compiled_for([X], {}),
    "a constant": lambda k: k["evaluates"](X),
    "an argument's elements": lambda k: k["put"](np.ones(4), 1),
    "too few arguments": lambda k: k["put"](X),
    "an argument by name": lambda k: k["put"](X, i=1),
    "a name nobody has": lambda k: k["put"].compile(T=1),
    "a fault": lambda k: k["full"](),
    "a fault of the interpreter": lambda k: k["full"].compile().interpret(),
    "a checked fault": lambda k: k["put"].with_options(checked=True)(X, 9),
    "a compiled kernel": lambda k: k["put"].compile()(np.ones(4), 1),
    "another processor": lambda k: k["put"].with_options(target=FOREIGN)(X, 1),
    "a loop": lambda k: k["carried"](X),
    "a loop, made ready": lambda k: k["carried"].make_ready(),
}


@pytest.fixture
def kernels(tmp_path: Path) -> dict[str, Kernel]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    found = kernels_in(path)
    found["put"](X.copy(), 1)
    return found


@pytest.mark.parametrize("what", CALLS)
def test_an_error_shows_one_frame_of_ours_at_most(kernels: dict[str, Kernel], what: str) -> None:
    with pytest.raises(HeklaError) as caught:
        CALLS[what](kernels)
    frames = traceback.extract_tb(caught.value.__traceback__)
    ours = [f for f in frames if f.filename.startswith(str(Path(hekla.lang.__file__).parent))]
    assert [f.name for f in ours] == ["outermost"]
    assert [f.name for f in frames[:-1]] == ["test_an_error_shows_one_frame_of_ours_at_most", "<lambda>"]
    assert "During handling" not in "".join(traceback.format_exception(caught.value))


def test_the_frames_of_a_comptime_function_are_kept(kernels: dict[str, Kernel]) -> None:
    with pytest.raises(HeklaError) as caught:
        kernels["evaluates"](X)
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert [f.name for f in traceback.extract_tb(cause.__traceback__)] == ["broken"]


def test_a_kernel_takes_arguments_by_position_also_once_it_is_compiled(kernels: dict[str, Kernel]) -> None:
    for _ in range(2):
        with pytest.raises(HeklaError, match="put\\(\\) has no compile-time parameter 'i'") as caught:
            kernels["put"](X, i=1)
        assert caught.value.cure == "pass it by position"
        kernels["put"](X.copy(), 1)
