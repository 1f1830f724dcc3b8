"""The documents that describe models: metadata, configuration, statistics. Written once, for REST and gRPC alike."""

from typing import Any

from hekla.protocols.tensor import TensorSpec
from hekla.serve.observe.histogram import Histogram
from hekla.serve.observe.statistics import Duration
from hekla.serve.served_model import ServedModel
from hekla.serve.text.executor import TextExecutor

Json = dict[str, Any]


def metadata(model: ServedModel, versions: list[int]) -> Json:
    """Return the Open Inference Protocol's model metadata."""
    return {
        "name": model.name,
        "versions": [str(version) for version in versions],
        "platform": platform(model),
        "inputs": [_tensor(spec) for spec in model.inputs],
        "outputs": [_tensor(spec) for spec in model.outputs],
        "parameters": {"task": _task(model), "description": model.config.description, **model.config.parameters},
    }


def platform(model: ServedModel) -> str:
    """Return how the protocol names what runs the model."""
    names = {"onnxruntime": "onnxruntime_onnx", "graph": "ensemble"}
    return names.get(model.config.engine.kind, model.config.engine.kind)


def _task(model: ServedModel) -> str:
    if model.config.task or not isinstance(model.executor, TextExecutor):
        return model.config.task
    return "chat" if model.executor.model.info.has_chat_template else "completion"


def configuration(model: ServedModel) -> Json:
    """Return the model's configuration as Triton's ModelConfig in protobuf's JSON form."""
    config = model.config
    batching = config.batching
    batched = batching.max_batch > 1 and all(spec.batch_axis == 0 for spec in (*model.inputs, *model.outputs))
    document: Json = {
        "name": model.name,
        "platform": platform(model),
        "backend": config.engine.kind,
        "max_batch_size": batching.max_batch if batched else 0,
        "version_policy": _version_policy(model),
        "input": [_config_tensor(spec, batched) for spec in model.inputs],
        "output": [_config_tensor(spec, batched) for spec in model.outputs],
        "instance_group": [{"name": f"{model.name}_0", "kind": "KIND_CPU", "count": config.instances.count}],
        "default_model_filename": str(config.engine.options.get("file", "")),
        "parameters": {name: {"string_value": value} for name, value in config.parameters.items()},
    }
    if isinstance(model.executor, TextExecutor):
        document["model_transaction_policy"] = {"decoupled": True}
    if config.sequence is not None:
        document["sequence_batching"] = {
            "max_sequence_idle_microseconds": int(config.sequence.idle_timeout_s * 1e6),
            "oldest": {"max_candidate_sequences": config.sequence.max_sequences},
        }
    elif batched:
        document["dynamic_batching"] = {
            "preferred_batch_size": list(batching.preferred),
            "max_queue_delay_microseconds": batching.max_delay_us,
            "priority_levels": config.queue.priority_levels,
            "default_priority_level": (config.queue.priority_levels + 1) // 2,
            "default_queue_policy": {
                "default_timeout_microseconds": config.queue.timeout_ms * 1000,
                "allow_timeout_override": True,
                "max_queue_size": config.queue.capacity,
            },
        }
    return document


def statistics(model: ServedModel) -> Json:
    """Return one entry of `model_stats` (Triton's statistics extension); durations in nanoseconds."""
    seen = model.statistics
    none = Duration()
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": seen.last_request_unix_ms,
        "inference_count": seen.rows,
        "execution_count": seen.executions,
        "inference_stats": {
            "success": _observed(seen.total_s),
            "fail": _duration(seen.failure),
            "queue": _observed(seen.queue_s),
            "compute_input": _duration(seen.join),
            "compute_infer": _observed(seen.compute_s),
            "compute_output": _duration(seen.split),
            "cache_hit": _duration(none),
            "cache_miss": _duration(none),
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _duration(none),
                "compute_infer": _duration(duration),
                "compute_output": _duration(none),
            }
            for rows, duration in sorted(seen.by_batch.items())
        ],
    }


def _tensor(spec: TensorSpec) -> Json:
    return {"name": spec.name, "datatype": spec.dtype.value, "shape": list(spec.shape)}


def _config_tensor(spec: TensorSpec, batched: bool) -> Json:
    name = "STRING" if spec.dtype.value == "BYTES" else spec.dtype.value
    document: Json = {
        "name": spec.name,
        "data_type": f"TYPE_{name}",
        "dims": list(spec.shape[1:] if batched else spec.shape),
    }
    if spec.optional:
        document["optional"] = True
    return document


def _version_policy(model: ServedModel) -> Json:
    versions = model.config.versions
    if versions.policy == "all":
        return {"all": {}}
    if versions.policy == "specific":
        return {"specific": {"versions": list(versions.specific)}}
    return {"latest": {"num_versions": versions.count}}


def _observed(histogram: Histogram) -> Json:
    return {"count": histogram.count, "ns": int(histogram.total * 1e9)}


def _duration(duration: Duration) -> Json:
    return {"count": duration.count, "ns": int(duration.seconds * 1e9)}
