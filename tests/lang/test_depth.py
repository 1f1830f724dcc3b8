"""Programs that nest deeper than the compiler can walk are refused by name, wherever it is met."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hekla.lang.errors import KernelTypeError
from hekla.lang.files import kernel_in

HEAD = "from hekla.lang import *\n\n\n@kernel\ndef program(x: f32, b: bool) -> f32:\n"
PROGRAMS: dict[str, Callable[[int], str]] = {
    "a long sum": lambda n: "    return " + " + ".join(["x"] * n) + "\n",
    "many ways": lambda n: "    return " + "x if b else " * n + "x\n",
    "many cases": lambda n: (
        "    if b:\n        x = 1.0\n" + "    elif x < 2.0:\n        x = 3.0\n" * n + "    return x\n"
    ),
}


@pytest.mark.parametrize("what", PROGRAMS)
@pytest.mark.parametrize("count", [90, 500])
def test_a_deep_program_is_compiled_or_refused_at_its_name(tmp_path: Path, what: str, count: int) -> None:
    path = tmp_path / "program.py"
    path.write_text(HEAD + PROGRAMS[what](count))
    program = kernel_in(path, "program")
    if count < 100:
        program.lower()
        return
    with pytest.raises(KernelTypeError) as caught:
        program.lower()
    assert caught.value.message == "program is nested too deeply to be compiled"
    assert (caught.value.line, caught.value.column) == (5, 5)


def test_recursion_over_constants_within_conditions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "from hekla.lang import *\n\n\n@kernel\ndef program(n: index, *, depth: Const = 0) -> index:\n"
        "    if program(n, depth=depth + 1) == 5:\n        return n\n    return program(n, depth=depth + 1)\n"
    )
    with pytest.raises(KernelTypeError) as caught:
        kernel_in(path, "program").lower()
    assert caught.value.message == "calls nest too deeply"
    assert caught.value.line == 6
