"""The importer's graph gives what the weights say, and refuses weights that are not what the config says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tests.benchmarks.bert_reference import embeddings
from tests.benchmarks.minilm_graph import minilm_graph

from benchmarks.serve.bert_onnx import expected_tensors, read_shape, write_bert
from hekla.base.errors import ModelFileError

CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
Weights = dict[str, NDArray[np.float32]]


def random_weights(folder: Path, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    shapes = expected_tensors(read_shape(folder / "config.json"))
    weights = {name: rng.standard_normal(shape, np.float32) * np.float32(0.3) for name, shape in shapes.items()}
    return {name: w + 1 if name.endswith("LayerNorm.weight") else w for name, w in weights.items()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a small network of random weights."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file(random_weights(tmp_path), tmp_path / "model.safetensors")
    return tmp_path


def session(folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def run(folder: Path, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    answer: NDArray[np.float32] = session(folder).run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return answer


def reference(folder: Path, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float64]:
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")  # the library reads what the importer's own reader placed
    return embeddings(
        {name: w.astype(np.float64) for name, w in weights.items()},
        config["num_attention_heads"],
        config["num_hidden_layers"],
        config["layer_norm_eps"],
        ids,
        mask,
    )


def request(vocabulary: int, lengths: list[int], seed: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texts of these lengths, padded; what lies behind the mask is rubbish on purpose."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, vocabulary, (len(lengths), max(lengths)))
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return ids, mask


@pytest.mark.parametrize("lengths", [[1], [7], [20], [3, 3], [1, 20, 5], [4, 9, 2, 9, 16, 1, 8, 8]])
def test_a_small_network_of_random_weights_agrees_with_the_reference(small: Path, lengths: list[int]) -> None:
    assert write_bert(small) == ("model.onnx",)
    ids, mask = request(CONFIG["vocab_size"], lengths)  # type: ignore[arg-type]  # CONFIG holds texts too
    np.testing.assert_allclose(run(small, ids, mask), reference(small, ids, mask), atol=1e-5)


def test_the_reference_notices_one_changed_weight(small: Path) -> None:
    write_bert(small)
    ids, mask = request(50, [6, 3])
    weights = load_file(small / "model.safetensors")
    changed = weights["encoder.layer.1.attention.self.key.weight"].copy()
    changed[0, 0] += 1
    answer = run(small, ids, mask)
    save_file(weights | {"encoder.layer.1.attention.self.key.weight": changed}, small / "model.safetensors")
    assert np.abs(answer - reference(small, ids, mask)).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[2], [16], [256], [5, 64, 17], [3, 9, 30, 12, 7, 8, 21, 128]])
def test_minilm_agrees_with_the_reference(tmp_path: Path, lengths: list[int]) -> None:
    folder = minilm_graph(tmp_path)
    ids, mask = request(30522, lengths)
    np.testing.assert_allclose(run(folder, ids, mask), reference(folder, ids, mask), atol=1e-5)


def test_the_graph_is_sound_and_holds_no_weights(small: Path) -> None:
    write_bert(small)
    onnx.checker.check_model(small / "model.onnx", full_check=True)
    model = onnx.load(small / "model.onnx", load_external_data=False)
    stored = [tensor for tensor in model.graph.initializer if tensor.external_data]
    assert {entry.value for t in stored for entry in t.external_data if entry.key == "location"} == {
        "model.safetensors"
    }
    assert len(stored) == len(expected_tensors(read_shape(small / "config.json")))
    assert {o.domain for o in model.opset_import} == {""}


def test_the_same_weights_give_the_same_bytes(small: Path) -> None:
    write_bert(small)
    first = (small / "model.onnx").read_bytes()
    write_bert(small)
    assert (small / "model.onnx").read_bytes() == first


def test_a_row_that_is_all_masked_gives_zeros_and_its_neighbour_is_untouched(small: Path) -> None:
    write_bert(small)
    ids, mask = request(50, [4, 4])
    mask[0] = 0
    answer = run(small, ids, mask)
    assert not answer[0].any()
    np.testing.assert_allclose(answer[1:], reference(small, ids[1:], mask[1:]), atol=1e-5)


def test_padding_changes_no_vector(small: Path) -> None:
    write_bert(small)
    ids, mask = request(50, [5])
    wide = np.pad(ids, ((0, 0), (0, 11)), constant_values=7), np.pad(mask, ((0, 0), (0, 11)))
    np.testing.assert_allclose(run(small, *wide), run(small, ids, mask), atol=1e-6)


def config_with(folder: Path, **changes: Any) -> None:  # Any: JSON values
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))


CONFIG_FAULTS: list[tuple[dict[str, object], str]] = [
    ({"model_type": "gpt2"}, "model_type: expected 'bert', got 'gpt2'"),
    ({"hidden_act": "relu"}, "hidden_act: expected 'gelu', got 'relu'"),
    ({"position_embedding_type": "relative_key"}, "position_embedding_type: expected 'absolute'"),
    ({"hidden_size": None}, "hidden_size: expected a number above 0, got None"),
    ({"num_hidden_layers": -1}, "num_hidden_layers: expected a number above 0, got -1"),
    ({"vocab_size": 50.5}, "vocab_size: expected a whole number, got 50.5"),
    ({"num_attention_heads": 5}, "hidden_size: 24 does not divide into 5 heads"),
    (
        {"vocab_size": 51},
        "'embeddings.word_embeddings.weight': config.json asks for shape [51, 24], the file has [50, 24]",
    ),
    ({"num_hidden_layers": 3}, "tensor 'encoder.layer.2.attention.self.query.weight' is missing"),
]


@pytest.mark.parametrize(("changes", "message"), CONFIG_FAULTS)
def test_a_wrong_config_is_refused_by_name(small: Path, changes: dict[str, object], message: str) -> None:
    config_with(small, **changes)
    with pytest.raises(ModelFileError) as refused:
        write_bert(small)
    assert message in str(refused.value)
    assert not (small / "model.onnx").exists()


def test_half_precision_weights_are_refused_by_name(small: Path) -> None:
    weights: dict[str, NDArray[Any]] = dict(load_file(small / "model.safetensors"))  # Any: one is f16
    name = "encoder.layer.0.output.dense.bias"
    save_file(weights | {name: weights[name].astype(np.float16)}, small / "model.safetensors")
    with pytest.raises(ModelFileError, match=f"tensor '{name}': expected F32, got F16"):
        write_bert(small)


def test_a_config_that_is_no_json_is_refused(small: Path) -> None:
    (small / "config.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"config\.json: cannot be read"):
        write_bert(small)
