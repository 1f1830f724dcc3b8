"""The project's Markdown pages."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
_TOP = ("README.md", "DESIGN.md", "CONTRIBUTING.md")
_FOLDERS = ("docs", "examples", "benchmarks", "changelog.d", "tests")


def pages() -> list[Path]:
    """Return every page, those at the top first."""
    below = [page for folder in _FOLDERS for page in sorted((ROOT / folder).rglob("*.md"))]
    return [*(ROOT / name for name in _TOP), *below]


def name_of(page: Path) -> str:
    """Return how messages name a page."""
    return str(page.relative_to(ROOT))
