"""docs/formats/model-toml.md documents every key, with the default the code has."""

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import pytest

from hekla.base.dtypes import DType
from hekla.protocols.tensor import TensorSpec
from hekla.serve import config
from hekla.serve.toml_reader import OPTIONS

DOCUMENT = (Path(__file__).parents[2] / "docs/formats/model-toml.md").read_text()
CLASSES: dict[str, type] = {
    "The file": config.ModelConfig,
    "`[engine]`": config.EngineConfig,
    "`[[inputs]]` and `[[outputs]]`": TensorSpec,
    "`[batching]`": config.BatchingConfig,
    "`[[batching.pad]]`": config.PadConfig,
    "`[instances]`": config.InstancesConfig,
    "`[queue]`": config.QueueConfig,
    "`[versions]`": config.VersionsConfig,
    "`[pipeline]`": config.PipelineConfig,
    "`[pipeline.load]`, `[pipeline.preprocess]`, `[pipeline.postprocess]`": config.StageConfig,
    "`[sequence]`": config.SequenceConfig,
    "`[[sequence.states]]`": config.StateConfig,
    "`[[sequence.controls]]`": config.ControlConfig,
    "`[graph]`": config.GraphConfig,
    "`[[graph.steps]]`": config.StepConfig,
    "`[text]`": config.TextConfig,
    "`[text.sampling]`": config.SamplingConfig,
    "`[text.sla]`": config.SlaConfig,
}
NOT_IN_THE_FILE = {"name", "path"}  # of ModelConfig: the folder says them


def documented(heading: str) -> dict[str, tuple[str, str]]:
    """Return type and default of each key in the section's table."""
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (\S+) \| (.*?) \| (.*?) \|", section, re.MULTILINE)
    return {key.strip("`"): (kind, default) for key, kind, default in rows if key != "key"}


def default_text(field: "dataclasses.Field[typing.Any]") -> str:  # a field's type is what its class says
    """Return a field's default as the document writes it."""
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return "required"
    if default is None:
        return "none"
    if dataclasses.is_dataclass(default):
        return "`{}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    return f"`{list(default) if isinstance(default, tuple) else default}`"


def ranges_and_choices(annotation: object) -> list[str]:
    """Return what the type column must show of a field's type."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return [f"{arguments[1].low} to {arguments[1].high}"]
    if typing.get_origin(annotation) is typing.Literal:
        return [f'`"{choice}"`' for choice in arguments]
    return []


@pytest.mark.parametrize(("heading", "kind"), CLASSES.items())
def test_each_key_is_documented_with_its_default_and_range(heading: str, kind: type) -> None:
    table = documented(heading)
    annotations = typing.get_type_hints(kind, include_extras=True)
    fields = {
        "*other*" if field.name == OPTIONS else field.name: field
        for field in dataclasses.fields(kind)
        if not (kind is config.ModelConfig and field.name in NOT_IN_THE_FILE)
    }
    assert set(table) == set(fields)
    for key, field in fields.items():
        if field.name != OPTIONS:
            type_text, default = table[key]
            assert default == default_text(field), key
            assert [part for part in ranges_and_choices(annotations[field.name]) if part not in type_text] == [], key


def test_every_dataclass_of_the_configuration_is_documented() -> None:
    tables = {kind for kind in vars(config).values() if dataclasses.is_dataclass(kind)} - {config.Range}
    assert tables | {TensorSpec} == set(CLASSES.values())


def test_the_datatypes_are_all_there() -> None:
    text = documented("`[[inputs]]` and `[[outputs]]`")["dtype"][0]
    spans = {"UINT16", "UINT32", "INT16", "INT32"}  # between those that are named
    assert {dtype.value for dtype in DType} - spans == set(re.findall(r'"(\w+)"', text))


def test_the_examples_are_toml() -> None:
    for example in re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL):
        tomllib.loads(example)


def test_a_wrong_default_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "DOCUMENT", DOCUMENT.replace("| `512` |", "| `511` |"))
    with pytest.raises(AssertionError, match="capacity"):
        test_each_key_is_documented_with_its_default_and_range("`[queue]`", config.QueueConfig)
