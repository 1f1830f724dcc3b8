"""Graphs: steps that overlap, steps for each element, and failures that stop the rest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.execution.gates import Asked
from tests.serve.execution.virtual_time import VirtualTimeLoop, run_virtually

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, EngineError, HeklaError, InputError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import ANY, Tensors, TensorSpec
from hekla.serve.config import GraphConfig, StepConfig
from hekla.serve.execution.graph import Graph
from hekla.serve.execution.job import Job, OnEnd

IN = TensorSpec("in", DType.FP32, (ANY,))
DOTTED = TensorSpec("in.put", DType.FP32, (ANY,), optional=True)
OUT = TensorSpec("out", DType.FP32, (ANY,))


class Models:
    """What the steps run: calls stay open until the test ends them; `refuses` ends them at once."""

    def __init__(self) -> None:
        self.open: dict[str, list[tuple[Values, OnEnd]]] = {}
        self.cancelled: list[str] = []
        self.refuses: set[str] = set()

    def submit(self, model: str, values: Tensors, job: Job, on_end: OnEnd) -> Callable[[], None]:
        """Start one part."""
        if model in self.refuses:
            on_end(InputError("refused", where=model))
            return lambda: None
        call = (values, on_end)
        self.open.setdefault(model, []).append(call)

        def cancel() -> None:
            self.cancelled.append(model)
            if call in self.open[model]:
                self.open[model].remove(call)
                on_end(CancelledError("given up"))

        return cancel

    def end(self, model: str, result: Values | HeklaError, which: int = 0) -> None:
        """End one open part."""
        self.open[model].pop(which)[1](result)

    def running(self) -> dict[str, int]:
        """How many parts are open, by model."""
        return {model: len(calls) for model, calls in self.open.items() if calls}


def _step(name: str, inputs: dict[str, str], for_each: str | None = None) -> StepConfig:
    return StepConfig(name, model=name, inputs=inputs, for_each=for_each)


def _tell(story: Callable[[Models, Graph], Any], *steps: StepConfig, **outputs: str) -> None:  # Any: asyncio's own
    async def told(loop: VirtualTimeLoop) -> None:
        models = Models()
        graph = Graph(GraphConfig(steps, outputs), (IN, DOTTED), (OUT,), {}, models.submit)
        await story(models, graph)
        await graph.drain()

    run_virtually(told)


def test_steps_that_need_nothing_of_one_another_overlap() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": 1})
        assert models.running() == {"a": 1, "b": 1}
        models.end("b", {"x": 20})
        assert models.running() == {"a": 1}, "c needs both"
        models.end("a", {"x": 10})
        assert models.open["c"][0][0] == {"p": 10, "q": 20}
        models.end("c", {"y": 30})
        assert await asked.values() == {"out": 30}

    steps = _step("a", {"i": "in"}), _step("b", {"i": "in"}), _step("c", {"p": "a.x", "q": "b.x"})
    _tell(story, *steps, out="c.y")


@settings(deadline=None)
@given(st.permutations(range(4)), st.integers(0, 4))
def test_a_step_runs_for_each_element_and_keeps_their_order(order: list[int], count: int) -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": [10 * n for n in range(count)], "in.put": 7})
        left = list(range(count))
        assert models.running() == ({"each": count} if count else {})
        for which in order:
            if which in left:
                values, _ = models.open["each"][left.index(which)]
                assert values == {"e": 10 * which, "all": 7}
                models.end("each", {"y": values["e"] + 1}, left.index(which))
                left.remove(which)
        assert await asked.values() == {"out": [10 * n + 1 for n in range(count)]}

    _tell(story, _step("each", {"e": "in", "all": "in.put"}, for_each="e"), out="each.y")


def test_a_step_for_no_element_ends_at_once_beside_others_that_are_ready() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": []})
        assert models.running() == {"other": 1, "after": 1}
        models.end("other", {"y": 1})
        models.end("after", {"y": 2})
        assert await asked.values() == {"out": 2}

    each = _step("each", {"e": "in"}, for_each="e")
    _tell(story, each, _step("other", {"i": "in"}), _step("after", {"i": "each.y"}), out="after.y")


def test_a_failure_in_one_branch_stops_the_others() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": [1, 2, 3]})
        models.end("each", EngineError("failed", where="each"), 1)
        assert "failed" in str(await asked.error())
        assert sorted(models.cancelled) == ["each", "each", "other"]
        assert models.running() == {}

    each = _step("each", {"e": "in"}, for_each="e")
    _tell(story, each, _step("other", {"i": "in"}), out="other.y")


@pytest.mark.parametrize("refused", ["first", "each"])
def test_a_step_that_is_refused_at_once_ends_the_request_once(refused: str) -> None:
    async def story(models: Models, graph: Graph) -> None:
        models.refuses.add(refused)
        asked = Asked(graph, {"in": [1, 2, 3]})
        assert isinstance(await asked.error(), InputError)
        assert models.running() == {}

    _tell(story, _step("first", {"i": "in"}), _step("each", {"e": "in"}, for_each="e"), out="first.y")


def test_a_cancelled_request_stops_every_step() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": [1, 2]})
        asked.job.cancel()
        assert isinstance(await asked.error(), CancelledError)
        assert models.cancelled == ["each", "each"]

    _tell(story, _step("each", {"e": "in"}, for_each="e"), out="each.y")


def test_an_input_may_hold_a_dot_and_an_optional_one_may_be_left_out() -> None:
    async def story(models: Models, graph: Graph) -> None:
        for values in ({"in": 1, "in.put": 2}, {"in": 1}):
            asked = Asked(graph, values)
            expected = {"i": 1} | ({"d": 2} if "in.put" in values else {})
            assert models.open["a"][0][0] == expected
            models.end("a", {"y": 3})
            assert await asked.values() == {"out": 3}

    _tell(story, _step("a", {"i": "in", "d": "in.put"}), out="a.y")


def test_a_step_that_leaves_an_output_out_is_told_of() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": 1})
        models.end("a", {"z": 3})
        assert "step 'a' did not answer 'a.y'" in str(await asked.error())

    _tell(story, _step("a", {"i": "in"}), out="a.y")
    _tell(story, _step("a", {"i": "in"}), _step("b", {"i": "a.y"}), out="b.y")


def test_elements_that_answer_different_names_are_told_of() -> None:
    async def story(models: Models, graph: Graph) -> None:
        asked = Asked(graph, {"in": [1, 2]})
        models.end("each", {"y": 1})
        models.end("each", {"z": 1})
        assert "the same names for each element" in str(await asked.error())

    _tell(story, _step("each", {"e": "in"}, for_each="e"), out="each.y")


def test_a_value_without_elements_is_told_of() -> None:
    async def story(models: Models, graph: Graph) -> None:
        assert "which has none" in str(await Asked(graph, {"in": np.float32(3)}).error())

    _tell(story, _step("each", {"e": "in"}, for_each="e"), out="each.y")


def test_a_required_input_that_is_missing_is_the_clients_error() -> None:
    async def story(models: Models, graph: Graph) -> None:
        error = await Asked(graph, {}).error()
        assert (type(error), str(error)) == (InputError, "$.inputs: input 'in' is missing")

    _tell(story, _step("a", {"i": "in"}), out="a.y")
    _tell(story, replace(_step("a", {"i": "in"}), for_each="i"), out="a.y")
