"""The programs in the guide to vector indexes run as printed."""

import re
import runpy
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs/guide/vector-index.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_guide_runs(number: int, tmp_path: Path) -> None:
    path = tmp_path / f"index_{number}.py"
    path.write_text(PROGRAMS[number])
    runpy.run_path(str(path))


def test_the_guide_has_programs() -> None:
    assert len(PROGRAMS) >= 3
