"""Tensors in system shared memory, and a clean refusal of CUDA regions."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.conformance.triton_clients import TritonClient, status_of
from tritonclient import utils
from tritonclient.utils import InferenceServerException, shared_memory

_ROW = np.arange(16, dtype=np.int32)
_ONES = np.ones(16, np.int32)
_SIZE = _ROW.nbytes


class Regions:
    """Regions created by a test; destroyed and unregistered at its end."""

    def __init__(self, client: TritonClient) -> None:
        self.client = client
        self.handles: list[Any] = []  # tritonclient's own handles
        self.prefix = f"hekla-{uuid.uuid4().hex[:12]}"

    def make(self, name: str, size: int, register: bool = True) -> Any:
        handle = shared_memory.create_shared_memory_region(name, f"/{self.prefix}-{name}", size)
        self.handles.append(handle)
        if register:
            self.client.call("register_system_shared_memory", name, f"/{self.prefix}-{name}", size)
        return handle

    def close(self) -> None:
        self.client.call("unregister_system_shared_memory")
        for handle in self.handles:
            shared_memory.destroy_shared_memory_region(handle)


@pytest.fixture
def regions(client: TritonClient) -> Iterator[Regions]:
    made = Regions(client)
    yield made
    made.close()


def _shared_input(client: TritonClient, name: str, region: str, size: int = _SIZE, offset: int = 0) -> Any:
    tensor = client.module.InferInput(name, [1, 16], "INT32")
    tensor.set_shared_memory(region, size, offset=offset)
    return tensor


def _region_names(status: Any) -> list[str]:
    """Names in a status document: a list over HTTP, {"regions": {name: ...}} over gRPC."""
    return [region["name"] for region in status] if isinstance(status, list) else list(status.get("regions", {}))


def test_inputs_and_outputs_pass_through_shared_memory(client: TritonClient, regions: Regions) -> None:
    inputs = regions.make("inputs", 2 * _SIZE)
    outputs = regions.make("outputs", 2 * _SIZE)
    shared_memory.set_shared_memory_region(inputs, [_ROW])
    shared_memory.set_shared_memory_region(inputs, [_ONES], offset=_SIZE)
    tensors = [
        _shared_input(client, "INPUT0", "inputs"),
        _shared_input(client, "INPUT1", "inputs", offset=_SIZE),
    ]
    wanted = [client.requested("OUTPUT0"), client.requested("OUTPUT1")]
    wanted[0].set_shared_memory("outputs", _SIZE)
    wanted[1].set_shared_memory("outputs", _SIZE, offset=_SIZE)
    result = client.call("infer", "simple", tensors, outputs=wanted)
    found = result.get_output("OUTPUT1")
    assert (found["shape"] if client.is_http else list(found.shape)) == [1, 16]
    sums = shared_memory.get_contents_as_numpy(outputs, np.int32, [1, 16])
    differences = shared_memory.get_contents_as_numpy(outputs, np.int32, [1, 16], offset=_SIZE)
    assert sums.tolist() == [(_ROW + _ONES).tolist()]
    assert differences.tolist() == [(_ROW - _ONES).tolist()]


def test_bytes_tensors_pass_through_shared_memory(client: TritonClient, regions: Regions) -> None:
    numbers = np.array([str(x).encode() for x in range(16)], np.object_)
    raw = utils.serialize_byte_tensor(numbers)
    size = utils.serialized_byte_size(raw)
    inputs = regions.make("text", size)
    outputs = regions.make("sums", 2 * size)
    shared_memory.set_shared_memory_region(inputs, [raw])
    tensors = []
    for name in ("INPUT0", "INPUT1"):
        tensor = client.module.InferInput(name, [1, 16], "BYTES")
        tensor.set_shared_memory("text", size)
        tensors.append(tensor)
    wanted = client.requested("OUTPUT0")
    wanted.set_shared_memory("sums", 2 * size)
    client.call("infer", "simple_string", tensors, outputs=[wanted])
    found = shared_memory.get_contents_as_numpy(outputs, np.object_, [1, 16])
    assert [int(x) for x in found[0]] == [2 * x for x in range(16)]


def test_status_lists_what_is_registered(client: TritonClient, regions: Regions) -> None:
    regions.make("seen", 128)
    assert _region_names(client.call("get_system_shared_memory_status")) == ["seen"]
    client.call("unregister_system_shared_memory", "seen")
    assert _region_names(client.call("get_system_shared_memory_status")) == []


def test_a_name_registered_twice_is_refused(client: TritonClient, regions: Regions) -> None:
    regions.make("once", 128)
    with pytest.raises(InferenceServerException, match="once"):
        client.call("register_system_shared_memory", "once", f"/{regions.prefix}-once", 128)


def test_a_region_that_does_not_exist_is_refused(client: TritonClient, regions: Regions) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.call("register_system_shared_memory", "missing", f"/{regions.prefix}-missing", 128)
    assert status_of(caught.value) in ("400", "404", "INVALID_ARGUMENT", "NOT_FOUND")


@pytest.mark.parametrize("key", ["/../../etc/passwd", "../etc/passwd", "/a/b", "", "/", "/\x01"])
def test_a_key_that_is_a_path_is_refused(client: TritonClient, regions: Regions, key: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.call("register_system_shared_memory", "escape", key, 16)
    assert status_of(caught.value) in ("400", "404", "INVALID_ARGUMENT", "NOT_FOUND")


def test_a_region_larger_than_its_memory_is_refused(client: TritonClient, regions: Regions) -> None:
    regions.make("small", 128, register=False)
    with pytest.raises(InferenceServerException, match="small"):
        client.call("register_system_shared_memory", "small", f"/{regions.prefix}-small", 1 << 40)


@pytest.mark.parametrize(("size", "offset"), [(_SIZE, _SIZE + 1), (4 * _SIZE, 0), (_SIZE, 1 << 62), (_SIZE - 1, 0)])
def test_reading_outside_a_region_is_refused(client: TritonClient, regions: Regions, size: int, offset: int) -> None:
    regions.make("two", 2 * _SIZE)
    tensors = [_shared_input(client, "INPUT0", "two", size, offset), _shared_input(client, "INPUT1", "two")]
    with pytest.raises(InferenceServerException) as caught:
        client.call("infer", "simple", tensors)
    assert status_of(caught.value) in ("400", "INVALID_ARGUMENT")
    message = str(caught.value.message())
    assert any(place in message for place in ("INPUT0", "inputs[0]", "region 'two'"))


def test_an_output_that_does_not_fit_its_region_is_refused(client: TritonClient, regions: Regions) -> None:
    regions.make("tiny", 8)
    tensors = [client.input(name, np.ones((1, 16), np.int32)) for name in ("INPUT0", "INPUT1")]
    wanted = client.requested("OUTPUT0")
    wanted.set_shared_memory("tiny", 8)
    with pytest.raises(InferenceServerException) as caught:
        client.call("infer", "simple", tensors, outputs=[wanted])
    assert status_of(caught.value) in ("400", "413", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def test_an_unknown_region_is_named(client: TritonClient) -> None:
    tensors = [_shared_input(client, name, "nowhere") for name in ("INPUT0", "INPUT1")]
    with pytest.raises(InferenceServerException, match="nowhere"):
        client.call("infer", "simple", tensors)


def test_cuda_regions_are_refused_but_listing_and_forgetting_them_is_not(client: TritonClient) -> None:
    client.call("unregister_cuda_shared_memory")
    assert _region_names(client.call("get_cuda_shared_memory_status")) == []
    with pytest.raises(InferenceServerException) as caught:
        client.call("register_cuda_shared_memory", "gpu", b"AAAA", 0, 64)
    assert status_of(caught.value) in ("501", "UNIMPLEMENTED")
    assert "CUDA shared memory; register system shared memory" in str(caught.value.message()), "what, and the cure"
