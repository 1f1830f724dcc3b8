"""`model.toml`: what is accepted, and where each complaint points."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError
from hekla.protocols.tensor import TensorSpec
from hekla.serve.config import (
    BatchingConfig,
    ControlConfig,
    EngineConfig,
    GraphConfig,
    InstancesConfig,
    ModelConfig,
    PadConfig,
    PipelineConfig,
    QueueConfig,
    SequenceConfig,
    StageConfig,
    StateConfig,
    StepConfig,
    VersionsConfig,
)
from hekla.serve.model_toml import read_model_toml

FULL = """\
description = "Finds lines of text"
task = "ocr"

[engine]
kind = "onnx"
isolation = "process"
threads = 2
file = "det.onnx"

[[inputs]]
name = "x"
dtype = "FP32"
shape = [-1, 3, -1, -1]
batch_axis = 0

[[outputs]]
name = "probability"
dtype = "FP32"
shape = [-1, 1, -1, -1]
batch_axis = 0
optional = false

[batching]
max_batch = 8
max_delay_us = 500
preferred = [4, 8]
adaptive = false

[[batching.pad]]
input = "x"
axis = 3
value = -1
multiple = 32

[instances]
count = 2

[queue]
capacity = 64
max_wait_ms = 250
timeout_ms = 1000
run_timeout_ms = 5000
priority_levels = 5

[versions]
policy = "specific"
specific = [1, 3]

[pipeline]
load = "image"

[pipeline.preprocess]
stage = "ocr-resize"
concurrency = 2
queue = 16
longest_side = 960

[sequence]
idle_timeout_s = 5
max_sequences = 10

[[sequence.states]]
input = "state"
output = "stateN"
dtype = "FP32"
shape = [2, 1, 128]
batch_axis = 1

[[sequence.controls]]
input = "begin"
kind = "start"

[parameters]
licence = "Apache-2.0"
"""

GRAPH = """\
[engine]
kind = "graph"

[[inputs]]
name = "image"
dtype = "BYTES"
shape = [1]

[[outputs]]
name = "text"
dtype = "BYTES"
shape = [-1]

[[graph.steps]]
name = "detect"
model = "ocr-detect"
inputs = { image = "image" }

[[graph.steps]]
name = "crop"
inputs = { image = "image", boxes = "detect.boxes" }
[graph.steps.stage]
stage = "ocr-crop"
margin = 2

[[graph.steps]]
name = "read"
model = "ocr-recognise"
inputs = { crop = "crop.crops" }
for_each = "crop"

[graph.outputs]
text = "read.text"
"""


def written(folder: Path, text: str) -> Path:
    """Write `text` to the model.toml of a model called `ocr`."""
    path = folder / "ocr" / "model.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    """Return what reading the text complains about, with the file's own name only."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_model_toml(path)
    assert caught.value.cure, f"no cure: {caught.value}"
    return str(caught.value).replace(str(path), "model.toml")


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    assert read_model_toml(path) == ModelConfig(
        name="ocr",
        path=path,
        description="Finds lines of text",
        task="ocr",
        engine=EngineConfig("onnx", "process", 2, {"file": "det.onnx"}),
        inputs=(TensorSpec("x", DType.FP32, (-1, 3, -1, -1), 0),),
        outputs=(TensorSpec("probability", DType.FP32, (-1, 1, -1, -1), 0, False),),
        batching=BatchingConfig(8, 500, (4, 8), (PadConfig("x", 3, -1.0, 32),), False),
        instances=InstancesConfig(2),
        queue=QueueConfig(capacity=64, max_wait_ms=250, timeout_ms=1000, run_timeout_ms=5000, priority_levels=5),
        versions=VersionsConfig("specific", 1, (1, 3)),
        pipeline=PipelineConfig(
            load=StageConfig("image"), preprocess=StageConfig("ocr-resize", 2, 16, {"longest_side": 960})
        ),
        sequence=SequenceConfig(
            states=(StateConfig("state", "stateN", DType.FP32, (2, 1, 128), 1),),
            controls=(ControlConfig("begin", "start"),),
            idle_timeout_s=5.0,
            max_sequences=10,
        ),
        parameters={"licence": "Apache-2.0"},
    )


def test_a_graph_is_read(tmp_path: Path) -> None:
    config = read_model_toml(written(tmp_path, GRAPH))
    assert config.graph == GraphConfig(
        steps=(
            StepConfig("detect", model="ocr-detect", inputs={"image": "image"}),
            StepConfig(
                "crop",
                stage=StageConfig("ocr-crop", options={"margin": 2}),
                inputs={"image": "image", "boxes": "detect.boxes"},
            ),
            StepConfig("read", model="ocr-recognise", inputs={"crop": "crop.crops"}, for_each="crop"),
        ),
        outputs={"text": "read.text"},
    )


def test_a_file_of_two_lines_gets_every_default(tmp_path: Path) -> None:
    path = written(tmp_path, '[engine]\nkind = "onnx"\n')
    assert read_model_toml(path) == ModelConfig("ocr", path, EngineConfig("onnx"))


ENGINE = '[engine]\nkind = "onnx"\n'
GOLDEN: list[tuple[str, str]] = [
    # keys and types
    (
        ENGINE + "[batching]\n\nmax_bach = 8",
        "model.toml:5: [batching].max_bach: unknown key; did you mean 'max_batch'?",
    ),
    (ENGINE + "[bathing]\nx = 1", "model.toml:3: bathing: unknown key; did you mean 'batching'?"),
    (
        "description = 3\n" + ENGINE,
        "model.toml:1: description: expected a string, got the integer 3; write a string here",
    ),
    (
        ENGINE + "[queue]\ncapacity = true",
        "model.toml:4: [queue].capacity: expected an integer, got the boolean true; write an integer here",
    ),
    (
        ENGINE + '[queue]\ncapacity = "10"',
        'model.toml:4: [queue].capacity: expected an integer, got the string "10"; write an integer here',
    ),
    (
        ENGINE + "[queue]\ncapacity = 2020-01-01",
        "model.toml:4: [queue].capacity: expected an integer, got the date or time 2020-01-01; write an integer here",
    ),
    (ENGINE + "[queue]\ncapacity = 0", "model.toml:4: [queue].capacity: 0 is out of range; allowed: 1 to 1000000"),
    (
        ENGINE + "[sequence]\nidle_timeout_s = inf",
        "model.toml:4: [sequence].idle_timeout_s: expected a finite number; write digits",
    ),
    ("queue = 3\n" + ENGINE, "model.toml:1: queue: expected a table, got the integer 3; write a table here"),
    ("", "model.toml:1: engine: this key is missing; write a table [engine]"),
    ("[engine]\nthreads = 1", 'model.toml:1: [engine].kind: this key is missing; write kind = "..."'),
    (
        "\n[engine]\nkind = 'onnx'\noptions = {}",
        "model.toml:4: [engine].options: unknown key; write the options as keys of the table itself",
    ),
    (
        ENGINE + "isolation = 'fork'",
        'model.toml:3: [engine].isolation: "fork" is not allowed; allowed: "thread", "process"',
    ),
    (
        ENGINE + "[inputs]\nname = 'x'",
        "model.toml:3: inputs: expected an array of tables; write [[inputs]], doubly bracketed",
    ),
    (
        ENGINE + "[[inputs]]\nname = 'x'\nshape = [1]",
        'model.toml:3: [[inputs]][0].dtype: this key is missing; write dtype = "FP32", or another of the protocol\'s '
        "datatypes",
    ),
    (
        ENGINE + "[parameters]\nanswer = 42",
        "model.toml:4: [parameters].answer: expected a string, got the integer 42; write a string here",
    ),
    # syntax
    ("a = 1 b = 2", "model.toml:1:7: not valid TOML: Expected newline or end of document after a statement; "),
    ("[engine]\n\nkind = [", "model.toml:3: not valid TOML: Invalid value; "),
    ("a = " + "[" * 5000, "model.toml: is nested too deep; "),
    # tensors
    (
        ENGINE + "[[inputs]]\nname='x'\ndtype='FP32'\nshape=[-2]",
        "model.toml:6: [[inputs]][0].shape[0]: -2 is out of range; allowed: 0 to 2147483647, or -1 where",
    ),
    (
        ENGINE + "[[inputs]]\nname='x'\ndtype='FP32'\nshape=[-1]\nbatch_axis=1",
        "model.toml:7: [[inputs]][0].batch_axis: 1 is no axis of shape [-1]; allowed: 0 to 0",
    ),
    (
        ENGINE + "[[inputs]]\nname='x'\ndtype='FP32'\nshape=[4]\nbatch_axis=0",
        "model.toml:6: [[inputs]][0].shape: has the fixed extent 4 at its batch axis; write -1",
    ),
    # batching
    (
        ENGINE + "[batching]\nmax_batch = 4\npreferred = [\n  2,\n  8,\n]",
        "model.toml:7: [batching].preferred[1]: 8 is more than max_batch; raise max_batch (now 4) or drop it",
    ),
    (
        ENGINE + "[batching]\nmax_batch = 4\npreferred = [4, 2]",
        "model.toml:5: [batching].preferred: is not in rising order; write each size once, smallest first",
    ),
    (
        ENGINE + "[batching]\nmax_delay_us = 4",
        "model.toml:4: [batching].max_delay_us: waits for a batch that max_batch = 1 forbids; set max_batch above 1",
    ),
    (
        ENGINE + "[batching]\nmax_batch = 4\n[[inputs]]\nname='x'\ndtype='FP32'\nshape=[1]",
        "model.toml:4: [batching].max_batch: joins requests, but no input has a batch_axis; write batch_axis = 0",
    ),
    (
        FULL.replace("axis = 3", "axis = 4"),
        "model.toml:31: [[batching.pad]][0].axis: 4 is no axis of shape [-1, 3, -1, -1]; allowed: 0 to 3",
    ),
    (
        FULL.replace("axis = 3", "axis = 1"),
        "model.toml:31: [[batching.pad]][0].axis: axis 1 of 'x' always has 3 elements; drop this table",
    ),
    (
        FULL.replace("axis = 3", "axis = 0"),
        "model.toml:31: [[batching.pad]][0].axis: 0 is the batch axis of 'x'; pad an axis whose length differs",
    ),
    (
        FULL.replace('input = "x"', 'input = "y"'),
        "model.toml:30: [[batching.pad]][0].input: 'y' is no input; known: x",
    ),
    # versions
    (
        ENGINE + "[versions]\npolicy = 'specific'",
        "model.toml:3: [versions].specific: is empty; name the versions: specific = [1, 3]",
    ),
    (
        ENGINE + "[versions]\npolicy = 'all'\nspecific = [1]",
        'model.toml:5: [versions].specific: means nothing with policy = "all"; write policy = "specific"',
    ),
    (
        ENGINE + "[versions]\npolicy = 'all'\ncount = 1",
        'model.toml:5: [versions].count: means nothing with policy = "all"; write policy = "latest"',
    ),
    # sequence
    (
        FULL.replace("shape = [2, 1, 128]", "shape = [2, 2, 128]"),
        "model.toml:66: [[sequence.states]][0].shape: is of one sequence: the batch axis has extent 1; write 1 at",
    ),
    (
        FULL.replace('input = "state"', 'input = "x"').replace('FP32"\nshape = [2', 'FP16"\nshape = [2'),
        "model.toml:65: [[sequence.states]][0].dtype: is FP16, but the input 'x' is FP32; write the same",
    ),
    # graphs
    (ENGINE + "[graph]", "model.toml:2: [engine].kind: the file has a [graph], but another engine; write kind = "),
    ("[engine]\nkind = 'graph'", "model.toml:1: graph: this table is missing; write it, or another engine"),
    (GRAPH + "[batching]", "model.toml:34: batching: a graph has no engine of its own for this table; write it in"),
    (
        GRAPH.replace('kind = "graph"', 'kind = "graph"\nfile = "x"'),
        "model.toml:3: [engine].file: unknown key; a graph's engine has no options",
    ),
    (
        GRAPH.replace('kind = "graph"', 'kind = "graph"\nthreads = 2'),
        "model.toml:3: [engine].threads: a graph has no engine of its own; write it in the model.toml of the models",
    ),
    (
        GRAPH.replace('for_each = "crop"', 'for_each = "crops"'),
        "model.toml:30: [[graph.steps]][2].for_each: 'crops' is no input of the step; did you mean 'crop'?",
    ),
    (
        GRAPH.replace('"detect.boxes"', '"detct.boxes"'),
        "model.toml:21: [[graph.steps]][1].inputs.boxes: there is no step 'detct'; did you mean 'detect'?",
    ),
    (
        GRAPH.replace('"detect.boxes"', '"detect"'),
        "model.toml:21: [[graph.steps]][1].inputs.boxes: 'detect' is no input of the graph; write \"detect.OUTPUT\"",
    ),
    (
        GRAPH.replace('text = "read.text"', 'text = "reed.text"'),
        "model.toml:33: [graph.outputs].text: there is no step 'reed'; did you mean 'read'?",
    ),
    (
        GRAPH.replace('text = "read.text"', ""),
        "model.toml:10: [[outputs]][0].name: nothing in the graph makes 'text'; write text = \"step.output\"",
    ),
    (
        GRAPH.replace('inputs = { image = "image" }', 'inputs = { image = "read.text" }'),
        "model.toml:17: [[graph.steps]][0].inputs: the steps wait for each other: detect -> crop -> read -> detect; ",
    ),
    (
        GRAPH.replace('"ocr-detect"', '"ocr"'),
        "model.toml:16: [[graph.steps]][0].model: 'ocr' is this model itself; name another model",
    ),
    (
        GRAPH.replace('name = "crop"', 'name = "detect"'),
        "model.toml:20: [[graph.steps]][1].name: 'detect' is there already; give each step its own name",
    ),
]


@pytest.mark.parametrize(("text", "expected"), GOLDEN, ids=[expected.split(";")[0][:70] for _, expected in GOLDEN])
def test_a_complaint_names_line_key_fault_and_cure(tmp_path: Path, text: str, expected: str) -> None:
    got = complaint(tmp_path, text)
    assert got.startswith(expected), f"\n{got}\n{expected}"


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_model_toml(tmp_path / "model.toml")


def test_bytes_that_are_not_utf8_are_found_by_line(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(b"[engine]\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"model\.toml:2: is not UTF-8"):
        read_model_toml(path)


def toml_value(value: object) -> str:
    """Write a value as TOML, tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL and lone surrogates, which the strategies leave out.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, DType):
        return f'"{value.value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if dataclasses.is_dataclass(value):
        return toml_value(fields_of(value))
    return repr(value)


def fields_of(value: object) -> dict[str, object]:
    """Return a dataclass's fields that are not None, those in `options` beside them."""
    table = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}  # type: ignore[arg-type]  # checked by callers
    options = table.pop("options", {})
    return {key: item for key, item in {**table, **options}.items() if item is not None}


def toml_of(config: ModelConfig) -> str:
    """Write a configuration so that reading it gives it back."""
    table = fields_of(config)
    del table["name"], table["path"]
    if config.versions.policy != "latest":
        table["versions"] = {"policy": config.versions.policy, "specific": config.versions.specific}
    if config.engine.kind == "graph":
        del table["batching"], table["pipeline"], table["instances"]
    return "".join(f"{key} = {toml_value(item)}\n" for key, item in table.items())


words = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
extents = st.integers(-1, 2**31 - 1)
scalars = st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | texts
reserved = {"stage", "concurrency", "queue", "kind", "isolation", "threads", "options"}
options = st.dictionaries(words.filter(lambda word: word not in reserved), scalars | st.lists(scalars), max_size=3)
stages = st.builds(
    StageConfig, stage=words, concurrency=st.integers(1, 64), queue=st.integers(1, 1000), options=options
)


@st.composite
def tensor_specs(draw: st.DrawFn, batched: bool) -> tuple[TensorSpec, ...]:
    """Up to three tensors with names of their own."""
    specs = []
    for name in draw(st.lists(words, unique=True, max_size=3)):
        shape = draw(st.lists(extents, max_size=3).map(tuple))
        axis = 0 if batched else None
        specs.append(
            TensorSpec(
                name, draw(st.sampled_from(DType)), (-1, *shape) if batched else shape, axis, draw(st.booleans())
            )
        )
    return tuple(specs)


@st.composite
def batchings(draw: st.DrawFn, inputs: tuple[TensorSpec, ...], max_batch: int) -> BatchingConfig:
    """Settings that fit the inputs."""
    open_axes = [
        (spec.name, axis)
        for spec in inputs
        for axis, extent in enumerate(spec.shape)
        if extent == -1 and axis != spec.batch_axis
    ]
    pads = draw(st.lists(st.sampled_from(open_axes), unique=True)) if open_axes else []
    preferred = draw(st.sets(st.integers(1, max_batch), max_size=3))
    return BatchingConfig(
        max_batch,
        draw(st.integers(0, 10_000)) if max_batch > 1 else 0,
        tuple(sorted(preferred)),
        tuple(PadConfig(name, axis, draw(st.integers(-5, 5)) / 2, draw(st.integers(1, 64))) for name, axis in pads),
        draw(st.booleans()),
    )


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Any configuration of a model that is no graph."""
    max_batch = draw(st.integers(1, 64))
    inputs = draw(tensor_specs(batched=max_batch > 1))
    specific = tuple(draw(st.sets(st.integers(1, 99), max_size=3)))
    state = st.builds(StateConfig, words, words, st.sampled_from(DType), st.just((1, 64)))
    return ModelConfig(
        name="ocr",
        path=Path(),
        engine=EngineConfig(
            draw(words.filter(lambda word: word != "graph")),
            draw(st.sampled_from(["thread", "process"])),
            1,
            draw(options),
        ),
        description=draw(texts),
        task=draw(st.sampled_from(["", "ocr", "embedding"])),
        inputs=inputs,
        batching=draw(batchings(inputs, max_batch)),
        instances=InstancesConfig(draw(st.integers(1, 9))),
        queue=QueueConfig(draw(st.integers(1, 9)), timeout_ms=draw(st.integers(0, 9)), priority_levels=4),
        versions=VersionsConfig("specific", specific=specific) if specific else VersionsConfig(count=3),
        pipeline=draw(st.builds(PipelineConfig, *[st.none() | stages] * 3)),
        sequence=draw(st.none() | st.builds(SequenceConfig, states=st.lists(state, max_size=1).map(tuple))),
        parameters=draw(st.dictionaries(words, texts, max_size=2)),
    )


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every example of a property writes into."""
    return tmp_path_factory.mktemp("models")


def inputs_do_not_clash(config: ModelConfig) -> bool:
    states = config.sequence.states if config.sequence else ()
    return not {state.input for state in states} & {spec.name for spec in config.inputs}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(config=configs().filter(inputs_do_not_clash))
def test_a_configuration_written_out_reads_back_the_same(model_folder: Path, config: ModelConfig) -> None:
    path = written(model_folder, toml_of(config))
    assert read_model_toml(path) == dataclasses.replace(config, path=path)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    text=st.sampled_from([FULL, GRAPH]),
    at=st.integers(0, len(FULL)),
    drop=st.integers(0, 30),
    put=st.text("[]{}=.,\"'\\#\n -0123456789aexyz", max_size=6),
)
def test_a_damaged_file_raises_nothing_but_a_config_error(
    model_folder: Path, text: str, at: int, drop: int, put: str
) -> None:
    path = written(model_folder, text[:at] + put + text[at + drop :])
    try:
        read_model_toml(path)
    except ConfigError as error:
        assert error.where.startswith(str(path))  # noqa: PT017  # most damage is harmless: no error is as good
        assert error.cure  # noqa: PT017
