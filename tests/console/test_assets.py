"""The console is whole, speaks to its own server only, and needs no build."""

import re

import pytest

from hekla.console import assets, page


def test_the_page_is_at_the_root() -> None:
    found = assets()
    assert found["/"].body == page()
    assert found["/"].content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", sorted(assets()))
def test_nothing_is_fetched_from_elsewhere(path: str) -> None:
    text = assets()[path].body.decode()
    addresses = re.findall(r"(?:https?:)?//[a-z0-9][\w.-]*\.[a-z]{2,}[^\s\"']*", text)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_every_file_the_page_names_is_there() -> None:
    found = assets()
    named = {name for asset in found.values() for name in re.findall(rb'["\'](/console/[\w.-]+)["\']', asset.body)}
    assert {name.decode() for name in named} == set(found) - {"/", "/console/index.html"}


@pytest.mark.parametrize("name", ["console", "board", "chat"])
def test_every_element_a_script_uses_is_on_the_page(name: str) -> None:
    script = assets()[f"/console/{name}.js"].body.decode()
    used = set(re.findall(r'\$\("([\w-]+)"\)', script))
    there = set(re.findall(r'id="([\w-]+)"', page().decode()))
    assert used
    assert used <= there
