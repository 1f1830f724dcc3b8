"""The import rule of layers.toml, enforced on the source tree."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALLOWED: dict[str, list[str]] = tomllib.loads((ROOT / "layers.toml").read_text())


def imported_packages(source: str, name: str) -> set[str]:
    """Return the hekla sub-packages a source names in any import, lazy ones included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: write the import in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("hekla.")}
    return found - {"__version__"}


def breaches(allowed: dict[str, list[str]], sources: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Return a line for each import that the table does not allow; sources maps package to (name, text)."""
    return sorted(
        f"{name} imports {imported}"
        for package, files in sources.items()
        for name, text in files
        for imported in imported_packages(text, name) - {package, *allowed[package]}
    )


def sources_on_disk() -> dict[str, list[tuple[str, str]]]:
    """Return (name, text) of every source file by package."""
    return {
        package: [
            (str(path.relative_to(ROOT)), path.read_text()) for path in (ROOT / "src/hekla" / package).rglob("*.py")
        ]
        for package in ALLOWED
    }


def test_every_package_imports_only_what_its_row_names() -> None:
    wrong = breaches(ALLOWED, sources_on_disk())
    assert not wrong, "\n".join(wrong)


def test_an_upward_import_is_caught() -> None:
    planted = {"base": [("base/planted.py", "def f():\n    from hekla.serve.service import Service\n")]}
    assert breaches(ALLOWED, planted) == ["base/planted.py imports serve"]


def test_the_table_itself_has_no_cycle() -> None:
    done: set[str] = set()
    while ready := {p for p in ALLOWED if p not in done and done.issuperset(ALLOWED[p])}:
        done |= ready
    assert done == set(ALLOWED)


def test_every_folder_has_a_row() -> None:
    folders = {p.parent.name for p in (ROOT / "src/hekla").glob("*/__init__.py")}
    assert folders == set(ALLOWED) | {"cli"}
