"""Metadata, configuration and statistics; what /metrics says is the same."""

import asyncio
from collections import defaultdict
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from tests.serve.hosts import Asking, running_host, write_graph, write_times

from hekla.serve.model_host import ModelHost
from hekla.serve.observe.metrics import Metrics


def _metrics(host: ModelHost) -> dict[tuple[str, str], float]:
    """(sample name, model) -> value, summed over the other labels."""
    page = Metrics(host.repository.served, lambda: 3).page().decode()
    found: dict[tuple[str, str], float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name, sample.labels.get("model", "")] += sample.value
            for label in ("reason", "stage"):
                if label in sample.labels:
                    found[f"{sample.name}:{sample.labels[label]}", sample.labels["model"]] += sample.value
    return found


def test_statistics_and_metrics_agree(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, "[batching]\nmax_batch = 8\n")
    write_graph(tmp_path, "g", "m")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            asked = [Asking(host, "m", np.ones((2, 1), np.float32)) for _ in range(9)]
            asked += [Asking(host, "m", inputs={}) for _ in range(2)]
            asked += [Asking(host, "m", np.ones((1, 1), np.float64))]
            asked += [Asking(host, "g")]
            for one in asked:
                await one.answer()
            stats = host.model_statistics("m")["model_stats"][0]
            metrics = _metrics(host)
            inference = stats["inference_stats"]
            assert inference["success"]["count"] == metrics["hekla_requests_total", "m"] == 10
            assert inference["fail"]["count"] == metrics["hekla_request_failures_total", "m"] == 3
            assert metrics["hekla_request_failures_total:input", "m"] == 2
            assert metrics["hekla_request_failures_total:dtype", "m"] == 1
            assert stats["inference_count"] == metrics["hekla_rows_total", "m"] == 19
            assert stats["execution_count"] == metrics["hekla_executions_total", "m"]
            assert stats["execution_count"] == sum(b["compute_infer"]["count"] for b in stats["batch_stats"])
            assert sum(b["batch_size"] * b["compute_infer"]["count"] for b in stats["batch_stats"]) == 19
            pairs = {"success": "request", "queue": "queue", "compute_infer": "compute"}
            for name, metric in pairs.items():
                assert inference[name]["count"] == metrics[f"hekla_{metric}_duration_seconds_count", "m"] == 10
                seconds = metrics[f"hekla_{metric}_duration_seconds_sum", "m"]
                assert abs(inference[name]["ns"] - seconds * 1e9) < 1000
            assert metrics["hekla_copied_bytes_total:join", "m"] > 0
            assert metrics["hekla_http_connections", ""] == 3
            assert (metrics["hekla_requests_in_flight", "m"], metrics["hekla_waiting_requests", "m"]) == (0, 0)
            assert metrics["hekla_requests_total", "g"] == 1

    asyncio.run(story())


def test_a_request_is_never_faster_than_its_parts(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            for _ in range(5):
                await Asking(host, "m").y()
            stats = host.model_statistics("m")["model_stats"][0]["inference_stats"]
            assert stats["success"]["ns"] >= stats["queue"]["ns"] + stats["compute_infer"]["ns"] > 0

    asyncio.run(story())


def test_the_configuration_reads_as_tritons(tmp_path: Path) -> None:
    toml = (
        "[batching]\nmax_batch = 8\npreferred = [4, 8]\nmax_delay_us = 100\n[queue]\ncapacity = 7\ntimeout_ms = 5\n"
        "[instances]\ncount = 2\n"
    )
    write_times(tmp_path, "m", 2, toml)
    write_graph(tmp_path, "g", "m")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            config = host.model_config("m")
            assert (config["max_batch_size"], config["backend"]) == (8, "python")
            assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}]
            assert config["instance_group"][0]["count"] == 2
            assert config["dynamic_batching"] == {
                "preferred_batch_size": [4, 8],
                "max_queue_delay_microseconds": 100,
                "priority_levels": 3,
                "default_priority_level": 2,
                "default_queue_policy": {
                    "default_timeout_microseconds": 5000,
                    "allow_timeout_override": True,
                    "max_queue_size": 7,
                },
            }
            assert host.model_config("g")["platform"] == "ensemble"
            assert host.model_metadata("g")["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}]

    asyncio.run(story())
