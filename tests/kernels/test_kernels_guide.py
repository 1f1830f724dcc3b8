"""The programs in the guide to the kernels run as printed."""

import re
import runpy
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/guide/kernels.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_guide_runs(number: int, tmp_path: Path) -> None:
    path = tmp_path / f"kernels_{number}.py"
    path.write_text(PROGRAMS[number])
    runpy.run_path(str(path))


def test_the_guide_has_programs() -> None:
    assert len(PROGRAMS) >= 4
