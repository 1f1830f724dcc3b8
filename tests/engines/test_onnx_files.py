"""External data: found wherever a file can hold it, refused wherever it leads outside the version's folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.engines.onnx_models import mlp_model, onnx_model, source_of

from hekla.base.errors import ModelFileError
from hekla.engines.onnx_runtime import load
from hekla.engines.onnx_wire import CHILDREN, WireError, external_data, unranked_values

Place = Callable[[onnx.ModelProto, TensorProto], None]


def external_tensor(location: str, **entries: str) -> TensorProto:
    """Return a (2) FP32 tensor whose bytes are elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def adding_model() -> onnx.ModelProto:
    """x (2) FP32 -> y (2) FP32, the sum of x and w; w is for the test to put in."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return onnx_model(nodes, [("x", TensorProto.FLOAT, [2])], [("y", TensorProto.FLOAT, [2])])


def model_at(location: str, **entries: str) -> onnx.ModelProto:
    """Return the adding model with w at that location."""
    model = adding_model()
    model.graph.initializer.append(external_tensor(location, **entries))
    return model


def in_attribute(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_attribute_list(model: onnx.ModelProto, tensor: TensorProto) -> None:
    attribute = onnx.AttributeProto(name="a", type=onnx.AttributeProto.TENSORS, tensors=[tensor])
    model.graph.node.add(op_type="Any", attribute=[attribute])


def in_nested_graph(model: onnx.ModelProto, tensor: TensorProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [tensor])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["o"], then_branch=inner)], "outer", [], [])
    model.graph.node.append(helper.make_node("Loop", [], ["l"], body=outer))


def in_graph_list(model: onnx.ModelProto, tensor: TensorProto) -> None:
    graph = helper.make_graph([], "g", [], [], [tensor])
    attribute = onnx.AttributeProto(name="a", type=onnx.AttributeProto.GRAPHS, graphs=[graph])
    model.graph.node.add(op_type="Any", attribute=[attribute])


def in_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(helper.make_function("own", "F", [], ["c"], [node], []))


def in_function_default(model: onnx.ModelProto, tensor: TensorProto) -> None:
    function = model.functions.add(name="F")
    function.attribute_proto.add(name="a", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)


def in_sparse(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(tensor)


def in_training(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


@pytest.mark.parametrize(
    "put",
    [
        in_attribute,
        in_attribute_list,
        in_nested_graph,
        in_graph_list,
        in_function,
        in_function_default,
        in_sparse,
        in_training,
    ],
)
def test_external_data_is_found_in_every_corner_of_a_file(put: Place, tmp_path: Path) -> None:
    model = mlp_model()
    put(model, external_tensor("../../etc/passwd", offset="4"))
    found = list(external_data(model.SerializeToString()))
    assert [data.entries for data in found] == [((b"location", b"../../etc/passwd"), (b"offset", b"4"))]
    with pytest.raises(ModelFileError, match=r"external data at '../../etc/passwd', which is outside"):
        load(source_of(tmp_path, model))


def test_the_table_of_fields_is_that_of_onnx() -> None:
    found: dict[str, dict[int, str]] = {}

    def leads_to_tensor(message: Any, seen: frozenset[str]) -> bool:  # a Descriptor: protobuf has two kinds
        if message.name == "TensorProto":
            return True
        leads = False
        for field in message.fields:
            inner = field.message_type
            if inner is None or inner.name in seen:
                continue
            if leads_to_tensor(inner, seen | {message.name}):
                leads = True
        return leads

    waiting: list[Any] = [onnx.ModelProto.DESCRIPTOR]
    while waiting:
        message = waiting.pop()
        if message.name in found or message.name == "TensorProto":
            continue
        fields = [f for f in message.fields if f.message_type and leads_to_tensor(f.message_type, frozenset())]
        found[message.name] = {field.number: field.message_type.name for field in fields}
        waiting += [field.message_type for field in fields]
    assert found == CHILDREN


def test_data_beside_the_model_is_read(tmp_path: Path) -> None:
    source = source_of(tmp_path, model_at("data/w.bin", offset="8", length="8"))
    (source.folder / "data").mkdir()
    (source.folder / "data/w.bin").write_bytes(bytes(8) + np.array([1, 2], np.float32).tobytes())
    engine = load(source)
    assert engine.run({"x": np.ones(2, np.float32)})["y"].tolist() == [2, 3]
    engine.close()


def test_a_file_that_only_mentions_a_location_loads(tmp_path: Path) -> None:
    model = mlp_model()
    model.doc_string = "location"
    load(source_of(tmp_path, model)).close()


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("/etc/passwd", {}, "'/etc/passwd', which is outside the version's folder"),
        ("../2/w.bin", {}, "'../2/w.bin', which is outside"),
        ("a/../../w.bin", {}, "'a/../../w.bin', which is outside"),
        ("C:\\w.bin", {}, "which is outside"),
        ("..\\w.bin", {}, "which is outside"),
        ("\\\\host\\share\\w.bin", {}, "which is outside"),
        ("w\0.bin", {}, "which is outside"),
        ("*/_ORT_MEM_ADDR_/*", {"offset": "4096", "length": "8"}, "which is outside"),
        ("link.bin", {}, "'link.bin', a link that leads out of the version's folder; copy the data"),
        ("links/w.bin", {}, "'links/w.bin', a link that leads out"),
        ("gone.bin", {}, "'gone.bin', and there is no such file"),
        ("folder", {}, "'folder', and there is no such file"),
        ("w.bin", {"length": "9"}, "up to byte 9 of 'w.bin', which has 8 bytes"),
        ("w.bin", {"offset": "4", "length": "8"}, "up to byte 12 of 'w.bin', which has 8 bytes"),
        ("w.bin", {"offset": "-4"}, r"with offset b'-4': expected a byte count"),
        ("w.bin", {"length": "9" * 20}, "expected a byte count"),
    ],
)
def test_data_elsewhere_missing_or_short_is_refused(
    location: str, entries: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/w.bin").write_bytes(bytes(8))
    source = source_of(tmp_path, model_at(location, **entries))
    (source.folder / "w.bin").write_bytes(bytes(8))
    (source.folder / "folder").mkdir()
    (source.folder / "link.bin").symlink_to(tmp_path / "outside/w.bin")
    (source.folder / "links").symlink_to(tmp_path / "outside")
    (source.folder / "*/_ORT_MEM_ADDR_").mkdir(parents=True)
    (source.folder / "*/_ORT_MEM_ADDR_/*").write_bytes(bytes(8192))
    with pytest.raises(ModelFileError) as caught:
        load(source)
    assert message in str(caught.value)
    assert str(caught.value).startswith("m/1/model.onnx: ")


def test_a_key_said_twice_is_refused(tmp_path: Path) -> None:
    model = model_at("w.bin")
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(ModelFileError, match="names a key twice"):
        load(source_of(tmp_path, model))


def test_a_location_that_is_no_text_is_refused(tmp_path: Path) -> None:
    content = model_at("wxyz.bin").SerializeToString().replace(b"wxyz", b"w\xff\xfez")
    with pytest.raises(ModelFileError, match="a location that is not UTF-8"):
        load(source_of(tmp_path, content))


def test_a_version_that_is_itself_a_link_loads(tmp_path: Path) -> None:
    stored = source_of(tmp_path, model_at("w.bin"))
    (stored.folder / "w.bin").write_bytes(bytes(8))
    os.rename(stored.folder, tmp_path / "store")
    stored.folder.symlink_to(tmp_path / "store")
    load(stored).close()


def test_a_large_file_is_walked_and_its_weights_are_stepped_over() -> None:
    model = model_at("../w.bin")
    weights = numpy_helper.from_array(np.zeros(5 << 20, np.float32), "large")
    model.graph.initializer.insert(0, weights)
    assert [dict(data.entries)[b"location"] for data in external_data(model.SerializeToString())] == [b"../w.bin"]
    del model.graph.initializer[1]
    assert not list(external_data(model.SerializeToString()))


def test_unsaid_ranks_are_told_from_rank_zero() -> None:
    model = onnx_model(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        [("a", TensorProto.FLOAT, None), ("b", TensorProto.FLOAT, [])],
        [("c", TensorProto.FLOAT, None)],
    )
    assert unranked_values(model.SerializeToString()) == {"a", "c"}


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_end_in_an_answer_or_a_wire_error(noise: bytes, at: int) -> None:
    model = model_at("w.bin").SerializeToString()
    damaged = model[:at] + noise + model[at:]
    try:
        found = list(external_data(damaged))
        unranked_values(damaged)
    except WireError:
        return
    assert all(data.entries for data in found)


@given(st.integers(0, 1000), st.integers(0, 255))
def test_every_location_protobuf_reads_the_walk_reads_too(at: int, byte: int) -> None:
    content = bytearray(model_at("wxyz.bin").SerializeToString())
    content[at % len(content)] = byte
    try:
        parsed = onnx.ModelProto.FromString(bytes(content))
    except DecodeError:
        return
    entries = [e for tensor in parsed.graph.initializer for e in tensor.external_data if e.key == "location"]
    try:
        found = [dict(data.entries).get(b"location") for data in external_data(bytes(content))]
    except WireError:
        return  # stricter than protobuf: refused
    values: list[Any] = [entry.value for entry in entries]  # str, but bytes where it is not UTF-8
    expected = [value if isinstance(value, bytes) else value.encode() for value in values]
    assert [location for location in found if location is not None] == expected
