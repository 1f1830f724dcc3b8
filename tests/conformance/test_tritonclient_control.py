"""Health, metadata, configuration, statistics and the model repository, as tritonclient reads them."""

import numpy as np
import pytest
from tests.conformance.triton_clients import TritonClient, status_of
from tests.running_server import RunningServer
from tritonclient.utils import InferenceServerException

_SIMPLE = {"INPUT0": np.zeros((1, 16), np.int32), "INPUT1": np.zeros((1, 16), np.int32)}


def test_a_running_server_is_live_and_ready(client: TritonClient) -> None:
    assert client.call("is_server_live") is True
    assert client.call("is_server_ready", headers={"test": "1"}) is True
    assert client.call("is_model_ready", "simple") is True
    assert client.call("is_model_ready", "simple", "1") is True


def test_server_metadata_names_the_server_and_its_extensions(client: TritonClient) -> None:
    found = client.call("get_server_metadata")
    assert isinstance(found["name"], str)
    assert found["name"]
    assert found["version"]
    assert {"model_repository", "statistics", "system_shared_memory", "sequence"} <= set(found["extensions"])


def test_model_metadata_names_every_tensor(client: TritonClient) -> None:
    found = client.call("get_model_metadata", "simple")
    assert found["name"] == "simple"
    assert found["versions"] == ["1"]
    assert found["platform"]
    tensors = [(tensor["name"], tensor["datatype"], [int(x) for x in tensor["shape"]]) for tensor in found["inputs"]]
    assert tensors == [("INPUT0", "INT32", [-1, 16]), ("INPUT1", "INT32", [-1, 16])]
    assert [tensor["name"] for tensor in found["outputs"]] == ["OUTPUT0", "OUTPUT1"]


def test_state_tensors_are_no_business_of_the_client(client: TritonClient) -> None:
    found = client.call("get_model_metadata", "simple_sequence")
    assert [tensor["name"] for tensor in found["inputs"]] == ["INPUT"]
    assert [tensor["name"] for tensor in found["outputs"]] == ["OUTPUT"]


def test_model_config_reads_as_tritons(client: TritonClient) -> None:
    found = client.call("get_model_config", "simple")
    config = found if client.is_http else found["config"]
    assert config["name"] == "simple"
    assert config["max_batch_size"] == 8
    tensors = [(tensor["name"], tensor["data_type"], [int(x) for x in tensor["dims"]]) for tensor in config["input"]]
    assert tensors == [("INPUT0", "TYPE_INT32", [16]), ("INPUT1", "TYPE_INT32", [16])]


def _success_count(client: TritonClient, model: str) -> int:
    found = client.call("get_inference_statistics", model)["model_stats"]
    assert len(found) == 1
    assert found[0]["name"] == model
    # protobuf's JSON form writes 64-bit numbers as text and leaves zeros out
    return int(found[0].get("inference_stats", {}).get("success", {}).get("count", 0))


def test_statistics_count_requests(client: TritonClient) -> None:
    before = _success_count(client, "simple")
    client.infer("simple", _SIMPLE)
    assert _success_count(client, "simple") == before + 1


def test_statistics_and_metrics_tell_the_same_numbers(client: TritonClient, server: RunningServer) -> None:
    for _ in range(3):
        client.infer("simple", _SIMPLE)
    stats = client.call("get_inference_statistics", "simple", "1")["model_stats"][0]
    assert int(stats["inference_stats"]["success"]["count"]) == server.metric("hekla_requests_total", model="simple")
    assert int(stats["execution_count"]) == server.metric("hekla_executions_total", model="simple")
    assert int(stats["inference_count"]) == server.metric("hekla_rows_total", model="simple")


def test_statistics_of_all_models_name_all_models(client: TritonClient) -> None:
    names = {entry["name"] for entry in client.call("get_inference_statistics")["model_stats"]}
    assert {"simple", "simple_string", "identity_fp32"} <= names


def test_the_index_lists_every_model_with_its_state(client: TritonClient) -> None:
    found = client.call("get_model_repository_index")
    models = found if client.is_http else found["models"]
    states = {model["name"]: model.get("state") for model in models}
    assert states["simple"] == "READY"
    assert states["identity_bytes"] == "READY"


def test_a_model_can_be_unloaded_and_loaded_again(client: TritonClient) -> None:
    client.call("unload_model", "simple_int8")
    assert client.call("is_model_ready", "simple_int8") is False
    with pytest.raises(InferenceServerException) as caught:
        client.infer("simple_int8", {"INPUT0": np.zeros((1, 16), np.int8), "INPUT1": np.zeros((1, 16), np.int8)})
    assert "simple_int8" in str(caught.value.message())
    client.call("load_model", "simple_int8")
    assert client.call("is_model_ready", "simple_int8") is True


def test_loading_an_unknown_model_fails_as_tritons_clients_expect(client: TritonClient) -> None:
    with pytest.raises(InferenceServerException, match="failed to load"):
        client.call("load_model", "no_such_model")


def test_a_load_may_override_the_configuration(client: TritonClient) -> None:
    client.call("load_model", "simple_int8", config='{"max_batch_size": "4"}')
    found = client.call("get_model_config", "simple_int8")
    assert (found if client.is_http else found["config"])["max_batch_size"] == 4
    client.call("load_model", "simple_int8")
    found = client.call("get_model_config", "simple_int8")
    assert (found if client.is_http else found["config"])["max_batch_size"] == 8


def test_an_override_that_is_no_json_is_refused(client: TritonClient) -> None:
    with pytest.raises(InferenceServerException, match="failed to load"):
        client.call("load_model", "simple_int8", config='"parameters": {"config": {{}}}')


def test_an_unknown_model_is_not_ready(client: TritonClient) -> None:
    assert client.call("is_model_ready", "no_such_model") is False


@pytest.mark.parametrize("method", ["get_model_metadata", "get_model_config", "get_inference_statistics"])
def test_an_unknown_model_is_named_in_the_error(client: TritonClient, method: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.call(method, "no_such_model")
    assert str(caught.value.message()).startswith("Request for unknown model")
    assert "no_such_model" in str(caught.value.message())
    assert status_of(caught.value) in ("404", "NOT_FOUND")


def test_there_are_no_trace_settings_to_change(client: TritonClient) -> None:
    found = client.call("get_trace_settings", "simple")
    settings = found if client.is_http else found["settings"]
    assert settings["trace_level"] == (["OFF"] if client.is_http else {"value": ["OFF"]})
    with pytest.raises(InferenceServerException) as caught:
        client.call("update_trace_settings", "simple", settings={"trace_level": "TIMESTAMPS"})
    assert status_of(caught.value) in ("501", "UNIMPLEMENTED")
