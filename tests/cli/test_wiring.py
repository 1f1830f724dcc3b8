"""Engines and stages are found by entry point, and a clash names both sides."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hekla.base.errors import ConfigError
from hekla.cli.wiring import PluginLoader, installed_engines, installed_stages, installed_text_engines, unique
from hekla.protocols.engine import EngineSource

SOURCE = EngineSource("m", 1, Path())


def test_the_engines_of_this_distribution_are_found() -> None:
    assert {"onnxruntime", "python", "process"} <= set(installed_engines())
    installed_stages()
    assert {"llm", "ngram"} <= set(installed_text_engines())


def test_two_things_under_one_name_are_refused_with_both_named() -> None:
    with pytest.raises(ConfigError, match=r"^hekla.engines: 'fast' is claimed by one:load and by two:load; uninstall"):
        unique([EntryPoint("fast", "one:load", "hekla.engines"), EntryPoint("fast", "two:load", "hekla.engines")])


def test_the_same_thing_installed_twice_is_no_clash() -> None:
    twice = [EntryPoint("fast", "one:load", "hekla.engines"), EntryPoint("fast", "one:load", "hekla.engines")]
    assert len(unique(twice)) == 1


def test_a_plugin_is_imported_only_when_it_is_needed() -> None:
    loader: PluginLoader[EngineSource, object] = PluginLoader(EntryPoint("x", "no_such_module:load", "hekla.engines"))
    with pytest.raises(ConfigError, match="no_such_module:load cannot be imported: No module named"):
        loader(SOURCE)
