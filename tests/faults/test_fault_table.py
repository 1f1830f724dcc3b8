"""docs/faults.md: every row names a test that exists."""

import ast
import re
from pathlib import Path

_HERE = Path(__file__).parent
_FOLDERS = (_HERE, _HERE.parent / "serve" / "text")
_PAGE = _HERE.parents[1] / "docs" / "faults.md"
_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`(?: \[([^\]]+)\])?$")


def _rows(page: str) -> list[list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] != "fault" and not set(row[0]) <= set("-")]


def _missing(page: str) -> list[str]:
    """Return the rows whose last column names no test function of these folders, or an id its file does not have."""
    missing = []
    for row in _rows(page):
        found = _TEST.fullmatch(row[-1])
        file = next((folder / found[1] for folder in _FOLDERS if found and (folder / found[1]).is_file()), None)
        if found is None or file is None:
            missing.append(row[0])
            continue
        source = file.read_text()
        functions = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
        if found[2] not in functions or (found[3] and found[3] not in source):
            missing.append(row[0])
    return missing


def test_every_row_names_a_test_that_exists() -> None:
    page = _PAGE.read_text()
    assert len(_rows(page)) > 40
    assert _missing(page) == []


def test_a_row_without_its_test_is_noticed() -> None:
    row = "| queue full | 429 | | | `test_overload.py::test_no_such_thing` |\n"
    other = "| queue full | 429 | | | |\n"
    third = "| x | | | | `test_bad_tensors.py::test_rest_and_grpc_refuse_it_in_the_same_words` [no such id] |"
    assert _missing(row + other + third) == ["queue full", "queue full", "x"]
