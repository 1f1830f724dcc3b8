"""`hekla explain`: layouts, assembly, vector code and proofs as values, as text and on the command line."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hekla.base.errors import ConfigError, NotFoundError
from hekla.cli.explain import explain_app, named_values, split_place
from hekla.lang.errors import RaceError
from hekla.lang.explain import explain_assembly, explain_layout, explain_proof, explain_vectors
from hekla.lang.files import kernel_in, kernel_or_actor_in, struct_in
from hekla.lang.kernel import Compiled
from hekla.lang.llvm.loops import Fate
from hekla.lang.llvm.target import Target
from hekla.lang.types import f32, f64

FILE = Path(__file__).parent / "explained.py"
PROVED = FILE.with_name("proved.py")
X86 = Target("x86_64-unknown-linux-gnu", "x86-64-v4", frozenset())
ARM = Target("aarch64-unknown-linux-gnu", "generic", frozenset({"neon"}))


def line_of(text: str) -> int:
    """Return the line of the explained file that holds this text, from 1."""
    return next(n for n, line in enumerate(FILE.read_text().splitlines(), 1) if text in line)


def compiled(name: str, target: Target = X86, **named: Any) -> Compiled:
    return kernel_in(FILE, name).with_options(target=target).compile(**named)


def test_a_layout_shows_what_the_order_saves() -> None:
    report = explain_layout(struct_in(FILE, "Mixed"))
    assert (report.written.size_bytes, report.stored.size_bytes, report.saved_bytes) == (192, 128, 64)
    assert [(f.name, f.offset) for f in report.stored.fields] == [
        ("lanes", 0), ("x", 64), ("n", 72), ("kind", 76), ("flag", 77),
    ]  # fmt: skip
    assert report.stored.padding_bytes == 50
    assert (report.written.cache_lines, report.stored.cache_lines) == (3, 2)
    assert report.stored.torn == ()
    assert report.text().splitlines()[0] == "Mixed: 128 bytes, aligned to 64, 50 of them padding, 2 cache lines"


def test_a_layout_kept_as_written_is_shown_once_and_agrees_with_numpy() -> None:
    record = struct_in(FILE, "Kept")
    assert explain_layout(record).text().splitlines() == [
        "Kept: 16 bytes, aligned to 8, 7 of them padding, 1 cache line",
        "  offset   size  line  field",
        "       0      1     0  kind: u8",
        "       1      7        (padding)",
        "       8      8     0  x: f64",
    ]
    for name in ("Mixed", "Kept"):
        record = struct_in(FILE, name)
        fields = record.dtype.fields
        assert fields is not None
        offsets = {n: fields[n][1] for n in record.dtype.names or ()}
        assert offsets == {f.name: f.offset for f in explain_layout(record).stored.fields}


def test_assembly_stands_beside_the_lines_it_comes_from() -> None:
    listing = explain_assembly(compiled("in_order"))
    added = listing.of_line(line_of("total += x[i]"))
    assert any("vaddss" in instruction for instruction in added)
    assert any(instruction.startswith("ret") for instruction in (i.text for i in listing.instructions))
    shown = listing.text().splitlines()
    assert f"{line_of('total += x[i]'):>4} |         total += x[i]" in shown
    assert listing.count == sum(line.startswith("        ") for line in shown)


def test_assembly_of_another_machine_and_of_parallel_bodies_has_lines() -> None:
    arm = explain_assembly(compiled("in_order", ARM))
    assert any("fadd" in instruction for instruction in arm.of_line(line_of("total += x[i]")))
    assert any("vmulps" in i for i in explain_assembly(compiled("rows")).of_line(line_of("x[row, i] *= y[i]")))


def test_vector_code_is_reported_with_its_width_and_scalar_code_with_llvms_reason() -> None:
    (loop,) = explain_vectors(compiled("scale", T=f32)).loops
    assert (loop.fate, loop.lanes, loop.bits, loop.interleaved) == (Fate.VECTORISED, 16, 512, 4)
    assert loop.span.line == line_of("for i in range(len(x)):")
    (loop,) = explain_vectors(compiled("in_order")).loops
    assert (loop.fate, loop.lanes, loop.reason) == (Fate.SCALAR, 1, "a sum of floats is added in order")


def test_loops_beside_vectors_stay_as_written_and_kernels_of_vectors_are_explained() -> None:
    (loop,) = explain_vectors(compiled("mixed")).loops
    assert (loop.fate, loop.reason) == (Fate.SCALAR, "a kernel with Vec, or without passes, is compiled as written")
    assert explain_vectors(compiled("lanes_of")).loops == ()
    assert any("vaddps" in i.text for i in explain_assembly(compiled("lanes_of")).instructions)


@pytest.mark.slow
def test_other_types_and_machines_have_other_widths() -> None:
    (loop,) = explain_vectors(compiled("scale", T=f64)).loops
    assert (loop.lanes, loop.bits) == (8, 512)
    (loop,) = explain_vectors(compiled("scale", ARM, T=f32)).loops
    assert (loop.lanes, loop.bits) == (4, 128)
    (loop,) = explain_vectors(compiled("rows")).loops
    assert loop.fate is Fate.VECTORISED


def test_a_proof_names_the_shared_views_and_an_authors_word_is_no_proof() -> None:
    report = explain_proof(kernel_in(FILE, "rows"))
    (loop,) = report.loops
    assert report.is_proved
    assert (loop.written, loop.read) == (("x: MutView[f32, 2]",), ("y: View[f32, 1]",))
    report = explain_proof(kernel_in(FILE, "trusted"))
    assert not report.is_proved
    assert "NOT proved; its author says: a test" in report.text()
    assert "no parallel loops" in explain_proof(kernel_in(FILE, "in_order")).text()
    with pytest.raises(RaceError):
        explain_proof(kernel_in(FILE, "racing"))


def test_a_proof_tells_of_locks_and_what_is_held_meanwhile() -> None:
    report = explain_proof(kernel_in(PROVED, "transfer"))
    assert report.is_proved
    assert [(w.wanted, w.held) for w in report.waits] == [("Mutex[i64]", ()), ("Mutex[i64]", ("Mutex[i64]",))]
    assert "transfer: 2 of 2 waits proved free of deadlock" in report.text()
    assert "waits for Mutex[i64] while Mutex[i64] is held: proved: no ring of waiting threads" in report.text()
    report = explain_proof(kernel_in(PROVED, "asleep"))
    assert not report.is_proved
    assert "waits for an Atomic to change while nothing is held: NOT proved; its author says: a test" in report.text()
    (loop,) = explain_proof(kernel_in(PROVED, "added")).loops
    assert loop.reduced == ("total by add",)


def test_a_proof_of_an_actor_tells_whom_its_handlers_wait_for() -> None:
    report = explain_proof(kernel_or_actor_in(PROVED, "Sender"))
    assert ("actor Receiver (in take.send)", ("actor Sender",)) in [(w.wanted, w.held) for w in report.waits]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["layout", f"{FILE}:Mixed"], "the order saves 64 of 192 bytes in each record"),
        (["asm", f"{FILE}:scale", "--with", "T=f32", "--target", "aarch64"], "fmul"),
        (["vectorize", f"{FILE}:scale", "--with", "T=i32", "--target", "x86-64-v4"], "16 lanes, 512 bits"),
        (["proof", f"{FILE}:rows"], "rows: 1 of 1 parallel loops proved free of races"),
        (["proof", f"{PROVED}:Sender"], "waits for actor Receiver (in take.send) while actor Sender is held: proved"),
    ],
)
def test_the_command_prints_the_report(arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(explain_app, arguments)
    assert result.exception is None, result.exception
    assert expected in result.stdout


def test_places_and_values_on_the_command_line_are_checked() -> None:
    assert split_place("a/b.py:dot") == (Path("a/b.py"), "dot")
    assert named_values(["T=f32", "n=4", "e=0.5"]) == {"T": f32, "n": 4, "e": 0.5}
    for wrong in ("a.py", "a.py:", ":dot", "a.py:1"):
        with pytest.raises(ConfigError, match="does not name a kernel"):
            split_place(wrong)
    with pytest.raises(ConfigError, match="is not NAME=VALUE"):
        named_values(["T=float"])
    with pytest.raises(NotFoundError, match="no @struct 'Mixd' in this file; did you mean 'Mixed'"):
        struct_in(FILE, "Mixd")
