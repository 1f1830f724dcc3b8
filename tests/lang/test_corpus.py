"""Programs that must be refused, each with its message and place, and close neighbours that must be accepted.

The first line of a refused program says what is expected: `# expect: ErrorClass line:column message`.
"""

from pathlib import Path

import pytest

from hekla.lang.errors import KernelError
from hekla.lang.files import kernel_in
from hekla.lang.llvm.target import host_target
from hekla.lang.llvm.text import emit_module

HERE = Path(__file__).parent
REFUSED = sorted((HERE / "refused").glob("*.py"))
ACCEPTED = sorted((HERE / "accepted").glob("*.py"))


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_a_bad_program_is_refused_at_its_place(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(KernelError) as caught:
        kernel_in(path, "program").lower()
    error = caught.value
    assert f"{type(error).__name__} {error.line}:{error.column} {error.message}" == expected
    assert error.span.file == str(path)
    assert str(error).splitlines()[1].strip() == path.read_text().splitlines()[error.line - 1].strip()


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_its_close_neighbour_is_accepted(path: Path) -> None:
    module, _ = kernel_in(path, "program").lower()
    assert "define" in emit_module(module, host_target()).finish()


def test_the_corpus_is_as_large_as_promised_and_paired() -> None:
    assert len(REFUSED) >= 60
    assert [p.name for p in REFUSED] == [p.name for p in ACCEPTED]
