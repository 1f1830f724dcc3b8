"""A stage's table, read strictly."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hekla.base.errors import ConfigError
from hekla.protocols.stage import StageSource
from hekla.tasks.options import read_options, reject_options, require


@dataclass(frozen=True, slots=True)
class Fruit:
    count: int = 3
    weight: float = 0.5
    ripe: bool = False
    name: str = "apple"

    def __post_init__(self) -> None:
        require("count", self.count, at_least=1, at_most=9)
        require("weight", self.weight, at_least=0)


def read(**options: object) -> Fruit:
    return read_options(Fruit, StageSource("m", Path(), options, "a/model.toml: [pipeline.load]"))


def test_what_is_not_said_has_its_default() -> None:
    assert read() == Fruit(3, 0.5, False, "apple")


def test_every_type_is_read() -> None:
    assert read(count=4, weight=1.25, ripe=True, name="plum") == Fruit(4, 1.25, True, "plum")


def test_a_whole_number_is_a_number() -> None:
    assert type(read(weight=2).weight) is float


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wieght": 1}, "[pipeline.load].wieght: unknown option; did you mean 'weight'?"),
        ({"count": 2.0}, "[pipeline.load].count: expected a whole number, got 2.0"),
        ({"count": True}, "[pipeline.load].count: expected a whole number, got True"),
        ({"weight": "1"}, "[pipeline.load].weight: expected a number, got '1'"),
        ({"ripe": 1}, "[pipeline.load].ripe: expected true or false, got 1"),
        ({"name": ["a"]}, "[pipeline.load].name: expected a string, got ['a']"),
        ({"count": 10}, "[pipeline.load].count: expected from 1 to 9, got 10"),
        ({"weight": -1}, "[pipeline.load].weight: expected at least 0, got -1"),
        ({"weight": float("nan")}, "[pipeline.load].weight: expected at least 0, got nan"),
    ],
)
def test_an_error_names_the_file_the_option_and_what_was_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**options)
    assert str(caught.value) == f"a/model.toml: {message}"


def test_a_stage_without_options_refuses_any() -> None:
    reject_options(StageSource("m", Path(), {}, "x"))
    with pytest.raises(ConfigError, match=r"^x\.size: unknown option; this stage has no options$"):
        reject_options(StageSource("m", Path(), {"size": 1}, "x"))
