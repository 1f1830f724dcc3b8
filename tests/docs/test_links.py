"""Every relative link in the pages leads to a file, and to a heading where it names one."""

import re
from pathlib import Path

from tests.docs.pages import ROOT, name_of, pages

_CODE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+?) *#*$", re.MULTILINE)
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)


def broken_links(text: str, page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for match in _LINK.finditer(_CODE.sub("", text)):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        if not _leads_somewhere(link, text, page):
            broken.append(link)
    return broken


def _leads_somewhere(link: str, text: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists() or not target.resolve().is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(text if target == page else target.read_text())


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them (repeated headings excepted)."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere() -> None:
    found = {name_of(page): broken_links(page.read_text(), page) for page in pages()}
    assert len(found) > 10
    assert {page: links for page, links in found.items() if links} == {}


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    text = "# One `two`, three\n[a](DESIGN.md) [b](nowhere.md) `[c](code.md)` [d](#one-two-three) [e](#four) [f](https://x.org/y)\n"
    assert broken_links(text, ROOT / "README.md") == ["nowhere.md", "#four"]


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text() + (docs / "adr" / "README.md").read_text().replace("](", "](adr/")
    missing = [
        str(page.relative_to(docs))
        for page in sorted(docs.rglob("*.md"))
        if page.name != "README.md" and f"({page.relative_to(docs)})" not in index
    ]
    assert missing == [], "add them to docs/README.md or docs/adr/README.md"


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers: dict[str, list[str]] = {}
    for page in (ROOT / "docs" / "adr").glob("[0-9]*.md"):
        numbers.setdefault(page.name[:4], []).append(page.name)
        assert re.match(rf"# 0*{int(page.name[:4])}[.:] \S", page.read_text()), f"{page.name}: its title has no number"
    assert [names for names in numbers.values() if len(names) > 1] == []
