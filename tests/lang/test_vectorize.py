"""`@vectorize`: loops that stay scalar are refused with LLVM's reason; their close neighbours are vector code."""

from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import ConfigError
from hekla.lang import vectorize
from hekla.lang.errors import KernelError, TargetError, VectorizeError
from hekla.lang.files import kernel_in
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.codegen import compile_text
from hekla.lang.llvm.loops import Fate, fates_of
from hekla.lang.llvm.remarks import REASONS, Remark, explained
from hekla.lang.llvm.target import Target

HERE = Path(__file__).parent / "vectorize"
REFUSED = sorted((HERE / "refused").glob("*.py"))
ACCEPTED = sorted((HERE / "accepted").glob("*.py"))
X86 = Target("x86_64-unknown-linux-gnu", "x86-64-v4", frozenset())  # the same on every machine
NO_CACHE = CodeCache(None)
FIRST_TWO = 2  # each asks another process for LLVM's reason, which takes a third of a second


@pytest.mark.parametrize(
    "path",
    [p if i < FIRST_TWO else pytest.param(p, marks=pytest.mark.slow) for i, p in enumerate(REFUSED)],
    ids=lambda p: p.stem,
)
def test_a_loop_that_stays_scalar_is_refused_at_its_line(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    program = kernel_in(path, "program").with_options(target=X86, cache=NO_CACHE)
    with pytest.raises(KernelError) as caught:
        assert program.compile().code
    error = caught.value
    assert f"{type(error).__name__} {error.line}:{error.column} {error.message}" == expected
    assert error.cure


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_its_close_neighbour_is_vector_code(path: Path) -> None:
    compiled = kernel_in(path, "program").with_options(target=X86, cache=NO_CACHE).compile()
    assert compiled.code[0]


def test_the_corpus_is_paired() -> None:
    assert len(REFUSED) >= 10
    assert [p.name for p in REFUSED] == [p.name for p in ACCEPTED]


def test_a_refusal_shows_the_loop_the_cure_and_where_llvm_stopped() -> None:
    path = HERE / "refused" / "float_sum.py"
    with pytest.raises(VectorizeError) as caught:
        assert kernel_in(path, "program").with_options(target=X86, cache=NO_CACHE).compile().code
    assert str(caught.value).splitlines()[1:] == [
        "    for i in range(len(x)):",
        "    ^^^^^^^^^^^^^^^^^^^^^^^",
        "  cure: allow @vectorize(..., reassociate=True), or sum into a Vec",
        f"{path}:9:9: note: LLVM stopped here",
        "    total += x[i]",
        "    ^^^^^",
    ]


def test_a_target_without_the_instructions_is_refused_before_llvm_runs() -> None:
    old = Target("x86_64-unknown-linux-gnu", "x86-64-v2", frozenset({"sse2"}))
    with pytest.raises(TargetError, match="program demands avx2; the target x86-64-v2 has no avx2, fma"):
        assert kernel_in(HERE / "accepted" / "carried.py", "program").with_options(target=old).compile().code


def test_an_unknown_arch_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="did you mean 'avx512'"):
        vectorize(arch="avx512f")


def test_a_vectorised_kernel_runs_and_a_reassociated_sum_is_near() -> None:
    x = np.random.default_rng(1).random(1003, np.float32)
    expected = x * np.float32(3)
    kernel_in(HERE / "runs.py", "scale")(3.0, x)
    assert (x == expected).all()
    total = kernel_in(HERE / "runs.py", "total")
    assert abs(total(x) - x.astype(np.float64).sum()) < 1e-2


def test_unoptimised_and_checked_builds_demand_nothing() -> None:
    for options in ({"optimise": False}, {"checked": True}):
        compiled = kernel_in(HERE / "refused" / "carried.py", "program").with_options(cache=NO_CACHE, **options)
        x = np.ones(4, np.float32)
        compiled(x)
        assert x.tolist() == [1, 2, 4, 8]


def test_the_reader_of_fates_sees_a_planted_scalar_loop() -> None:
    compiled = kernel_in(HERE / "accepted" / "carried.py", "program").with_options(target=X86, cache=NO_CACHE).compile()
    optimised: list[str] = []
    compile_text(compiled.text.finish(), X86, compiled.flags, optimised.append)
    (fate,) = fates_of(compiled.text.loops, optimised[0])
    assert (fate.fate, fate.lanes) == (Fate.VECTORISED, 8)
    (fate,) = fates_of(compiled.text.loops, optimised[0].replace("llvm.loop.isvectorized", "llvm.loop.other"))
    assert fate.fate is Fate.SCALAR


def test_llvms_words_become_ours_and_unknown_ones_stay() -> None:
    assert explained("loop not vectorized: call instruction cannot be vectorized")[0].startswith("it calls")
    assert explained("loop not vectorized: something new") == ("something new", "")
    assert all(cure for _, cure in REASONS.values())
    assert Remark("f", 1, 1, "vectorized loop (vectorization width: 16, interleaved count: 4)").width == (16, 4)
