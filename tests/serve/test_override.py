"""The `config` parameter of Triton's load request."""

import json
from pathlib import Path
from typing import Any

import pytest

from hekla.base.errors import InputError, UnsupportedError
from hekla.serve.config import BatchingConfig, EngineConfig, ModelConfig, QueueConfig, VersionsConfig
from hekla.serve.override import read_override

MODEL = ModelConfig("m", Path("m/model.toml"), EngineConfig("onnxruntime"), batching=BatchingConfig(max_batch=2))


def _applied(document: object) -> ModelConfig:
    return read_override(json.dumps(document), "where")(MODEL)


def test_an_empty_document_changes_nothing() -> None:
    assert _applied({}) == MODEL


def test_what_it_may_change_is_changed() -> None:
    changed = _applied(
        {
            "name": "m",
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "input": [],
            "max_batch_size": "16",  # protobuf writes 64-bit numbers so
            "dynamic_batching": {
                "preferred_batch_size": [8, 4],
                "max_queue_delay_microseconds": 50,
                "priority_levels": 5,
                "default_queue_policy": {"max_queue_size": 9, "default_timeout_microseconds": 1500},
            },
            "instance_group": [{"count": 3, "kind": "KIND_CPU"}],
            "version_policy": {"specific": {"versions": ["2", 1]}},
        }
    )
    assert changed.batching == BatchingConfig(max_batch=16, preferred=(4, 8), max_delay_us=50)
    assert changed.queue == QueueConfig(priority_levels=5, capacity=9, timeout_ms=2)
    assert changed.instances.count == 3
    assert changed.versions == VersionsConfig("specific", specific=(1, 2))


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ({"all": {}}, VersionsConfig("all")),
        ({"latest": {"num_versions": 3}}, VersionsConfig("latest", 3)),
        ({"latest": {}}, VersionsConfig()),
        ({}, VersionsConfig()),
    ],
)
def test_version_policies_read_as_tritons(policy: object, versions: VersionsConfig) -> None:
    assert _applied({"version_policy": policy}).versions == versions


def test_a_batch_size_of_zero_is_no_batching() -> None:
    assert _applied({"max_batch_size": 0}).batching.max_batch == 1


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"name": "other"}, "name of `config` is 'other', but it is 'm'"),
        ({"backend": "python"}, "backend of `config` is 'python', but it is 'onnxruntime'"),
        ({"max_batch_size": -1}, "max_batch_size of `config` must be a whole number"),
        ({"max_batch_size": True}, "must be a whole number"),
        ({"max_batch_size": 10**6}, "out of range: 1000000; allowed: 1 to 65536"),
        ({"instance_group": [{"count": 5000}]}, "instance_group[0].count of `config` is out of range"),
        ({"instance_group": []}, "must be a list of one group"),
        ({"instance_group": {}}, "must be a list"),
        ({"dynamic_batching": 3}, "dynamic_batching of `config` must be an object"),
        ({"dynamic_batching": {"preferred_batch_size": 4}}, "must be a list"),
        ({"dynamic_batching": {"max_queue_delay_microseconds": 10**8}}, "out of range"),
        ({"version_policy": {"specific": {"versions": []}}}, "names no version"),
        ({"version_policy": {"specific": {"versions": 3}}}, "must be a list"),
        ({"version_policy": {"newest": {}}}, "must be latest, all or specific"),
        ([], "must be an object"),
    ],
)
def test_what_is_wrong_is_named(document: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        _applied(document)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("document", "key", "cure"),
    [
        ({"max_batch": 3}, "'max_batch'", "max_batch_size"),
        ({"dynamic_batching": {"preserve_ordering": True}}, "'dynamic_batching.preserve_ordering'", "priority_levels"),
    ],
)
def test_a_key_it_may_not_change_is_refused_by_name(document: dict[str, Any], key: str, cure: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        _applied(document)
    assert key in str(caught.value)
    assert cure in str(caught.value)


@pytest.mark.parametrize("text", ["{", 3, None, b"{}"])
def test_what_is_no_json_text_is_refused(text: object) -> None:
    with pytest.raises(InputError):
        read_override(text, "where")
