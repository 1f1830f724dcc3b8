"""The ONNX Runtime engine: what it takes, what it answers, what it refuses."""

import threading
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.engines.announced import Announced
from tests.engines.onnx_models import (
    Shape,
    Value,
    gather_model,
    identity_model,
    loop_model,
    mlp_model,
    onnx_model,
    source_of,
)

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, ConfigError, EngineError, InputError, ModelFileError
from hekla.engines.onnx_runtime import load
from hekla.protocols.tensor import TensorSpec
from hekla.testing.check_engine import check_engine

ONNX_TYPES = {
    DType.BOOL: TensorProto.BOOL,
    DType.UINT8: TensorProto.UINT8,
    DType.UINT16: TensorProto.UINT16,
    DType.UINT32: TensorProto.UINT32,
    DType.UINT64: TensorProto.UINT64,
    DType.INT8: TensorProto.INT8,
    DType.INT16: TensorProto.INT16,
    DType.INT32: TensorProto.INT32,
    DType.INT64: TensorProto.INT64,
    DType.FP16: TensorProto.FLOAT16,
    DType.BF16: TensorProto.BFLOAT16,
    DType.FP32: TensorProto.FLOAT,
    DType.FP64: TensorProto.DOUBLE,
    DType.BYTES: TensorProto.STRING,
}


def sample(dtype: DType) -> np.ndarray[tuple[int, int], np.dtype[np.generic]]:
    """Three rows of two, all different where the dtype allows."""
    if dtype is DType.BYTES:
        rows = [[b"", "é".encode()], [b"a\0b", b"'"], [b"b'x'", b"\n" * 300]]
        return np.array(rows, np.object_)
    return np.array([[1, 0], [2, 100], [3, 120]]).astype(dtype.numpy)


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.value)
def test_every_datatype_passes_the_conformance_kit(dtype: DType, tmp_path: Path) -> None:
    source = source_of(tmp_path, identity_model(ONNX_TYPES[dtype]))
    x = sample(dtype)
    engine = load(source)
    assert engine.inputs == (TensorSpec("x", dtype, (-1, 2), 0),)
    found = engine.run({"x": x})["y"]
    assert found.dtype == dtype.numpy
    assert found.tolist() == x.tolist()
    engine.close()
    check_engine(lambda: load(source), {"x": x})


def test_two_outputs_pass_the_conformance_kit(tmp_path: Path) -> None:
    source = source_of(tmp_path, mlp_model())
    check_engine(lambda: load(source), {"x": np.random.default_rng(3).standard_normal((5, 4)).astype(np.float32)})


def test_a_failing_run_passes_the_conformance_kit(tmp_path: Path) -> None:
    source = source_of(tmp_path, gather_model())
    check_engine(lambda: load(source), {"index": np.array([0, 2, 1])}, failing={"index": np.array([3])})


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.value)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 2), (1, 1, 1, 1)], ids=str)
def test_empty_and_zero_dimensional_tensors_keep_their_shape(
    dtype: DType, shape: tuple[int, ...], tmp_path: Path
) -> None:
    engine = load(source_of(tmp_path, identity_model(ONNX_TYPES[dtype], shape)))
    value = b"q" if dtype is DType.BYTES else 1
    found = engine.run({"x": np.full(shape, value, dtype.numpy)})["y"]
    assert (found.shape, found.dtype) == (shape, dtype.numpy)
    assert found.tolist() == np.full(shape, value, dtype.numpy).tolist()
    engine.close()


def test_bfloat16_computes_beside_other_types(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Cast", ["a"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "f"], ["g"]),
        helper.make_node("Constant", [], ["t"], value_strings=["é"]),
    ]
    inputs: list[Value] = [("a", TensorProto.BFLOAT16, ["n"]), ("f", TensorProto.FLOAT, ["n"])]
    outputs: list[Value] = [
        ("b", TensorProto.BFLOAT16, ["n"]),
        ("c", TensorProto.FLOAT, ["n"]),
        ("g", TensorProto.FLOAT, ["n"]),
        ("t", TensorProto.STRING, [1]),
    ]
    engine = load(source_of(tmp_path, onnx_model(nodes, inputs, outputs)))
    a = np.array([1.5, -2, 0, np.inf], ml_dtypes.bfloat16)
    found = engine.run({"a": a, "f": np.arange(8, dtype=np.float32)[::2]})
    assert found["b"].tobytes() == a.tobytes()
    assert found["c"].tolist() == [1.5, -2, 0, np.inf]
    assert found["g"].tolist() == [0, 4, 16, 36]
    assert found["t"].tolist() == ["é".encode()]
    assert list(engine.run({"a": a, "f": np.zeros(4, np.float32)}, ["c"])) == ["c"]
    engine.close()


def test_bytes_in_and_bfloat16_out_is_refused_at_load(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["s"], ["t"]), helper.make_node("Identity", ["a"], ["b"])]
    inputs: list[Value] = [("s", TensorProto.STRING, ["n"]), ("a", TensorProto.BFLOAT16, ["n"])]
    outputs: list[Value] = [("t", TensorProto.STRING, ["n"]), ("b", TensorProto.BFLOAT16, ["n"])]
    with pytest.raises(ModelFileError, match="BYTES inputs together with BF16 outputs"):
        load(source_of(tmp_path, onnx_model(nodes, inputs, outputs)))


def test_bytes_that_are_not_utf8_name_the_element(tmp_path: Path) -> None:
    engine = load(source_of(tmp_path, identity_model(TensorProto.STRING)))
    with pytest.raises(InputError, match=r"input 'x': element 2 is not UTF-8: .*0xff in position 1.*UTF-8 text"):
        engine.run({"x": np.array([[b"a", b"b"], [b"c\xff", b"d"]], np.object_)})
    assert engine.run({"x": np.array([["é", "b"]])})["y"].tolist() == [["é".encode(), b"b"]]
    engine.close()


def test_unaligned_and_foreign_byte_orders_are_read_right(tmp_path: Path) -> None:
    engine = load(source_of(tmp_path, identity_model(TensorProto.FLOAT)))
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.float32, 6, 1).reshape(3, 2)
    assert not unaligned.flags.aligned
    assert engine.run({"x": unaligned})["y"].tolist() == x.tolist()
    assert engine.run({"x": x.astype(">f4")})["y"].tolist() == x.tolist()
    engine.close()


def test_an_error_in_a_run_names_the_node_in_one_line(tmp_path: Path) -> None:
    engine = load(source_of(tmp_path, gather_model()))
    with pytest.raises(EngineError) as caught:
        engine.run({"index": np.array([7])})
    assert str(caught.value).startswith("m: Gather node /lookup: indices element out of data bounds, idx=7")
    engine.close()


def test_an_error_of_a_run_hides_the_sources_of_onnx_runtime(tmp_path: Path) -> None:
    add = helper.make_node("Add", ["a", "b"], ["y"], name="/sum")
    inputs: list[Value] = [("a", TensorProto.FLOAT, ["n"]), ("b", TensorProto.FLOAT, ["m"])]
    engine = load(source_of(tmp_path, onnx_model([add], inputs, [("y", TensorProto.FLOAT, ["k"])])))
    with pytest.raises(EngineError) as caught:
        engine.run({"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)})
    assert str(caught.value) == (
        "m: Add node /sum: axis == 1 || axis == largest was false. "
        "Attempting to broadcast an axis by a dimension other than 1. 2 by 3"
    )
    engine.close()


def test_a_run_stops_when_asked_and_the_engine_goes_on(tmp_path: Path) -> None:
    engine = load(source_of(tmp_path, loop_model()))
    x, days = np.eye(2, dtype=np.float32), np.array(10**12)
    cancellation = Announced()
    stopper = threading.Thread(target=cancellation.set_once_awaited)
    stopper.start()
    with pytest.raises(CancelledError, match="the run of 'm' was stopped"):
        engine.run({"times": days, "x": x}, (), cancellation)
    stopper.join()
    assert engine.run({"times": np.array(1), "x": x})["y"][0, 0] == np.tanh(np.float32(1))
    engine.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "m/1/model.onnx: the file is empty"),
        (b"hello world, this is no model", "m/1/model.onnx: not an ONNX file, or a damaged one"),
        (mlp_model().SerializeToString()[:100], "m/1/model.onnx: not an ONNX file, or a damaged one"),
        (b"\x08\x09", "m/1/model.onnx: not an ONNX file, or a damaged one"),
    ],
    ids=["empty", "text", "cut", "no graph"],
)
def test_a_damaged_file_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        load(source_of(tmp_path, content))
    assert str(caught.value).startswith(message)


def test_a_missing_file_names_the_one_that_is_there(tmp_path: Path) -> None:
    source = source_of(tmp_path, mlp_model(), {"file": "modle.onnx"})
    with pytest.raises(ModelFileError, match=r"no file 'modle\.onnx' in version 1; it has model\.onnx: set `file`"):
        load(source)


@pytest.mark.parametrize("name", ["../1/model.onnx", "/etc/passwd", "C:\\model.onnx", "a\\..\\..\\b"])
def test_a_file_outside_the_version_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="leads out of the version's folder"):
        load(source_of(tmp_path, mlp_model(), {"file": name}))


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mlp_model().SerializeToString())
    source = source_of(tmp_path)
    (source.folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelFileError, match="is a link that leads out"):
        load(source)


def test_an_operator_set_from_the_future_is_refused_with_the_cure(tmp_path: Path) -> None:
    model = onnx_model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [1])],
        [("y", TensorProto.FLOAT, [1])],
        opset=99,
    )
    with pytest.raises(ModelFileError, match=r"[Oo]pset 99 .*upgrade onnxruntime") as caught:
        load(source_of(tmp_path, model))
    assert "onnxruntime_src" not in str(caught.value)


@pytest.mark.parametrize("imported", [True, False])
def test_custom_operators_are_refused(imported: bool, tmp_path: Path) -> None:
    model = onnx_model(
        [helper.make_node("Own", ["x"], ["y"], domain="com.example")],
        [("x", TensorProto.FLOAT, [1])],
        [("y", TensorProto.FLOAT, [1])],
    )
    if imported:
        model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(ModelFileError, match="custom operators are never loaded"):
        load(source_of(tmp_path, model))


def test_an_ort_format_file_is_read_as_onnx_and_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path, None, {"file": "model.ort"})
    (source.folder / "model.ort").write_bytes(b"\x1c\0\0\0ORTM" + bytes(64))
    with pytest.raises(ModelFileError, match="not an ONNX file"):
        load(source)


def test_a_tensor_no_protocol_carries_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["s"])
    model = onnx_model([node], [("x", TensorProto.FLOAT, [1])], [])
    model.graph.output.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelFileError, match=r"output 's' is a seq\(tensor\(float\)\), which no protocol carries"):
        load(source_of(tmp_path, model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fiel": "a.onnx"}, r"m/model\.toml: \[engine\]\.fiel: unknown option; did you mean 'file'\?"),
        ({"file": 3}, r"\[engine\]\.file: expected a text, got 3"),
        ({"graph_optimization": "al"}, r"unknown value 'al'; did you mean 'all'\?"),
        ({"arena": "yes"}, r"\[engine\]\.arena: expected true or false, got 'yes'"),
    ],
)
def test_wrong_options_name_the_key_and_the_nearest(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load(source_of(tmp_path, mlp_model(), options))


@pytest.mark.parametrize(
    ("where", "place"),
    [("m/model.toml", "m/model.toml"), ("m/model.toml: [engine]", "m/model.toml"), ("", "m")],
)
def test_errors_name_the_place_once_however_it_is_given(where: str, place: str, tmp_path: Path) -> None:
    source = replace(source_of(tmp_path, mlp_model(), {"arena": 1}), where=where)
    with pytest.raises(ConfigError) as caught:
        load(source)
    assert str(caught.value) == f"{place}: [engine].arena: expected true or false, got 1"


def test_every_option_loads(tmp_path: Path) -> None:
    for level in ("none", "basic", "extended", "all"):
        options = {"graph_optimization": level, "arena": True, "prepack": False, "file": "model.onnx"}
        load(source_of(tmp_path, mlp_model(), options)).close()


X = TensorSpec("x", DType.FP32, (-1, 4))
SCORES = TensorSpec("scores", DType.FP32, (-1, 3))
BEST = TensorSpec("best", DType.INT64, (-1, 1))


def test_a_true_declaration_is_taken_and_may_narrow(tmp_path: Path) -> None:
    engine = load(source_of(tmp_path, mlp_model(), inputs=(X,), outputs=(BEST,)))
    assert engine.inputs == (replace(X, batch_axis=0),)
    assert engine.outputs == (replace(SCORES, batch_axis=0), replace(BEST, batch_axis=0))
    engine.close()
    engine = load(source_of(tmp_path, mlp_model(), inputs=(replace(X, shape=(8, 4)),)))
    assert engine.inputs == (replace(X, shape=(8, 4)),)
    assert all(spec.batch_axis is None for spec in engine.outputs), "a fixed extent is no batch axis"
    engine.close()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (replace(X, dtype=DType.FP64), r"\[\[inputs\]\] x: declared FP64, but the model's file says FP32"),
        (replace(X, shape=(-1, 5)), r"declared shape \[-1, 5\], but the model's file says \[-1, 4\]"),
        (replace(X, shape=(-1, -1)), r"declared shape \[-1, -1\], but the model's file says \[-1, 4\]"),
        (replace(X, shape=(-1,)), r"declared shape \[-1\], but the model's file says \[-1, 4\]"),
        (replace(X, name="scores"), r"\[\[inputs\]\] scores: the model's file has no such tensor; known: x"),
        (replace(X, batch_axis=1), r"batch axis 1 of shape \[-1, 4\]"),
        (replace(X, batch_axis=2), r"batch axis 2 of shape \[-1, 4\]"),
        (replace(X, batch_axis=0), r"\[\[outputs\]\] scores: no batch axis, while other tensors"),
    ],
)
def test_a_declaration_that_lies_is_refused_with_both_values(
    declared: TensorSpec, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=message):
        load(source_of(tmp_path, mlp_model(), inputs=(declared,)))


def test_declared_batch_axes_stand(tmp_path: Path) -> None:
    shape: Shape = [2, "n"]
    node = helper.make_node("Neg", ["x"], ["y"])
    model = onnx_model([node], [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, shape)])
    x, y = (TensorSpec(name, DType.FP32, (2, -1), 1) for name in "xy")
    source = source_of(tmp_path, model, inputs=(x,), outputs=(y,))
    check_engine(lambda: load(source), {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})
    with pytest.raises(ModelFileError, match="outputs have batch axes and no input has one"):
        load(source_of(tmp_path, model, outputs=(y,)))


def test_one_fixed_first_extent_means_no_batching(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "bias"], ["y"])
    inputs: list[Value] = [("x", TensorProto.FLOAT, ["n", 2]), ("bias", TensorProto.FLOAT, [2])]
    engine = load(source_of(tmp_path, onnx_model([node], inputs, [("y", TensorProto.FLOAT, ["n", 2])])))
    assert [spec.batch_axis for spec in engine.inputs + engine.outputs] == [None, None, None]
    engine.close()


def test_an_unsaid_rank_must_be_declared_and_a_scalar_is_none(tmp_path: Path) -> None:
    unsaid = identity_model(TensorProto.FLOAT, None)
    with pytest.raises(ModelFileError, match=r"\[\[inputs\]\] x: the model's file does not say the shape; declare it"):
        load(source_of(tmp_path, unsaid))
    x, y = (TensorSpec(name, DType.FP32, (-1, 2)) for name in "xy")
    engine = load(source_of(tmp_path, unsaid, inputs=(x,), outputs=(y,)))
    assert engine.inputs[0].shape == (-1, 2)
    assert engine.run({"x": np.ones((3, 2), np.float32)})["y"].shape == (3, 2)
    engine.close()
    engine = load(source_of(tmp_path, identity_model(TensorProto.FLOAT, ())))
    assert engine.inputs[0].shape == ()
    engine.close()
