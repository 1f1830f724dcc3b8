"""Model folders that are damaged, dangerous or lie: refused at load, with the file named; other models are served."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.conftest import Serve
from tests.faults.fault_models import write_adder
from tests.model_folders import tensor_tables, write_identity_model, write_python_model
from tests.running_server import Reply, RunningServer, running_server

Break = tuple[str, str]  # model, what its error must say


def _corrupt(repository: Path) -> Break:
    (write_identity_model(repository, "corrupt", "FP32") / "1" / "model.onnx").write_bytes(b"\x08\x07not onnx" * 50)
    return "corrupt", "model.onnx"


def _truncated(repository: Path) -> Break:
    file = write_identity_model(repository, "truncated", "FP32") / "1" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-20])
    return "truncated", "model.onnx"


def _empty(repository: Path) -> Break:
    (write_identity_model(repository, "empty", "FP32") / "1" / "model.onnx").write_bytes(b"")
    return "empty", "model.onnx"


def _no_file(repository: Path) -> Break:
    (write_identity_model(repository, "no_file", "FP32") / "1" / "model.onnx").unlink()
    return "no_file", "model.onnx"


def _no_version(repository: Path) -> Break:
    folder = write_identity_model(repository, "no_version", "FP32")
    (folder / "1" / "model.onnx").unlink()
    (folder / "1").rmdir()
    return "no_version", "version"


def _external(repository: Path, name: str, location: str) -> None:
    """Write y = x + w with w in a file of its own, at `location` as seen from the version's folder."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder.parent / "model.toml").write_text('[engine]\nkind = "onnxruntime"\n')
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        initializer=[weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def _external_above(repository: Path) -> Break:
    (repository.parent / "secret.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    _external(repository, "external_above", "../../../secret.bin")
    return "external_above", "secret.bin"


def _external_absolute(repository: Path) -> Break:
    secret = repository.parent / "secret2.bin"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    _external(repository, "external_absolute", str(secret))
    return "external_absolute", "secret2.bin"


def _external_link(repository: Path) -> Break:
    secret = repository.parent / "secret3.bin"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    _external(repository, "external_link", "weights.bin")
    (repository / "external_link" / "1" / "weights.bin").symlink_to(secret)
    return "external_link", "weights.bin"


def _external_short(repository: Path) -> Break:
    _external(repository, "external_short", "weights.bin")
    (repository / "external_short" / "1" / "weights.bin").write_bytes(bytes(7))
    return "external_short", "weights.bin"


def _lying_shape(repository: Path) -> Break:
    toml = tensor_tables([("INPUT0", "FP32", [-1, 7])], [("OUTPUT0", "FP32", [-1, 7])])
    write_identity_model(repository, "lying_shape", "FP32", ("n", 4), toml)
    return "lying_shape", "INPUT0"


def _lying_dtype(repository: Path) -> Break:
    toml = tensor_tables([("INPUT0", "INT64", [-1, 4])], [("OUTPUT0", "INT64", [-1, 4])])
    write_identity_model(repository, "lying_dtype", "FP32", ("n", 4), toml)
    return "lying_dtype", "INPUT0"


def _lying_name(repository: Path) -> Break:
    toml = tensor_tables([("PIXELS", "FP32", [-1, 4])], [("OUTPUT0", "FP32", [-1, 4])])
    write_identity_model(repository, "lying_name", "FP32", ("n", 4), toml)
    return "lying_name", "PIXELS"


def _unknown_key(repository: Path) -> Break:
    write_identity_model(repository, "unknown_key", "FP32", toml="[batching]\nmax_bach = 8\n")
    return "unknown_key", "did you mean 'max_batch'"


def _not_toml(repository: Path) -> Break:
    folder = write_identity_model(repository, "not_toml", "FP32")
    (folder / "model.toml").write_text("[engine\n")
    return "not_toml", "model.toml:1"


def _code_elsewhere(repository: Path) -> Break:
    """A Python engine below no folder the operator lists: its code must not even be imported."""
    mark = repository.parent / "was-executed"
    code = f"open({str(mark)!r}, 'w').close()\nclass Model:\n    def predict(self, inputs):\n        return inputs\n"
    tables = tensor_tables([("x", "FP32", [-1])], [("x", "FP32", [-1])])
    write_python_model(repository, "code_elsewhere", code, tables)
    return "code_elsewhere", "--python-models"


BREAKS = [
    _corrupt,
    _truncated,
    _empty,
    _no_file,
    _no_version,
    _external_above,
    _external_absolute,
    _external_link,
    _external_short,
    _lying_shape,
    _lying_dtype,
    _lying_name,
    _unknown_key,
    _not_toml,
    _code_elsewhere,
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Break]]:
    """A repository of one good model and every broken one."""
    repository = tmp_path_factory.mktemp("outer") / "models"
    repository.mkdir()
    write_adder(repository)
    return repository, {make.__name__: make(repository) for make in BREAKS}


@pytest.fixture(scope="module")
def broken_server(broken: tuple[Path, dict[str, Break]]) -> Iterator[RunningServer]:
    """A server of it, with no folder of Python models listed."""
    with running_server(broken[0]) as server:
        yield server


@pytest.mark.parametrize("make", BREAKS, ids=lambda make: make.__name__.strip("_"))
def test_a_broken_model_is_refused_by_name_and_reason(
    broken: tuple[Path, dict[str, Break]], broken_server: RunningServer, make: Callable[[Path], Break]
) -> None:
    model, says = broken[1][make.__name__]
    index = {entry["name"]: entry for entry in _post(broken_server, "/v2/repository/index").json()}
    assert index[model]["state"] == "UNAVAILABLE"
    assert says in index[model]["reason"]
    load = _post(broken_server, f"/v2/repository/models/{model}/load")
    assert load.status in (404, 500), load
    assert says in load.error
    assert broken_server.request("GET", f"/v2/models/{model}/ready").status in (400, 404, 503)
    infer = broken_server.post_json(f"/v2/models/{model}/infer", {"inputs": []})
    assert infer.status == 503, infer


def test_the_good_model_beside_them_is_served(broken_server: RunningServer) -> None:
    assert broken_server.request("GET", "/v2/models/adder/ready").status == 200


def test_no_code_ran_from_a_folder_the_operator_did_not_list(
    broken: tuple[Path, dict[str, Break]], broken_server: RunningServer
) -> None:
    assert not (broken[0].parent / "was-executed").exists()


def test_a_reload_that_fails_leaves_the_old_version_serving(serve: Serve, tmp_path: Path) -> None:
    server = serve(_one_model(tmp_path))
    file = tmp_path / "models" / "adder" / "1" / "model.onnx"
    good = file.read_bytes()
    _replace(file, good[:-30])
    assert _post(server, "/v2/repository/models/adder/load").status == 500
    assert server.request("GET", "/v2/models/adder/ready").status == 200
    ones = {"datatype": "INT32", "shape": [1, 16], "data": [1] * 16}
    inputs = [{"name": "INPUT0", **ones}, {"name": "INPUT1", **ones}]
    assert server.post_json("/v2/models/adder/infer", {"inputs": inputs}).status == 200
    _replace(file, good)
    assert _post(server, "/v2/repository/models/adder/load").status == 200


def test_a_mended_model_loads_without_a_restart(serve: Serve, tmp_path: Path) -> None:
    repository = _one_model(tmp_path)
    file = repository / "adder" / "1" / "model.onnx"
    good = file.read_bytes()
    _replace(file, b"")
    server = serve(repository)
    assert server.request("GET", "/v2/models/adder/ready").status != 200
    _replace(file, good)
    assert _post(server, "/v2/repository/models/adder/load").status == 200
    assert server.request("GET", "/v2/models/adder/ready").status == 200


@pytest.mark.parametrize("name", ["../models", "..", ".", "%2e%2e", "adder%2F1", "a" * 300, "adder%00"])
def test_a_model_name_that_is_a_path_loads_nothing(broken_server: RunningServer, name: str) -> None:
    reply = _post(broken_server, f"/v2/repository/models/{name}/load")
    assert reply.status in (400, 404), reply


def _post(server: RunningServer, path: str) -> Reply:
    return server.post_json(path, {})


def _one_model(tmp_path: Path) -> Path:
    repository = tmp_path / "models"
    repository.mkdir()
    write_adder(repository)
    return repository


def _replace(file: Path, content: bytes) -> None:
    """Write as a careful operator does: never a half file under the real name."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def test_the_kit_writes_models_onnx_accepts(tmp_path: Path) -> None:
    write_adder(tmp_path)
    onnx.checker.check_model(onnx.load(tmp_path / "adder" / "1" / "model.onnx"))
