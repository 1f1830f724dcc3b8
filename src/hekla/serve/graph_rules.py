"""What the steps of a `[graph]` must agree on: every value comes from somewhere, and no step waits for itself."""

from graphlib import CycleError, TopologicalSorter

from hekla.base.errors import nearest_name
from hekla.serve.config import GraphConfig, ModelConfig, StepConfig
from hekla.serve.toml_lines import KeyPath
from hekla.serve.toml_place import TomlPlaces


def check_graph(config: ModelConfig, places: TomlPlaces) -> None:
    """Refuse a graph that cannot run. Errors: ConfigError naming the step's key to change."""
    assert config.graph is not None, "only called for graphs"
    graph = config.graph
    for table, specs in (("inputs", config.inputs), ("outputs", config.outputs)):
        if not specs:
            raise places.error((table,), "a graph states its own", f"write [[{table}]] with name, dtype and shape")
    if not graph.steps:
        raise places.error(("graph", "steps"), "is empty", "write [[graph.steps]] with name and model or stage")
    for at, step in enumerate(graph.steps):
        _check_step(config, graph, at, step, places)
    _refuse_rings(graph, places)
    _check_outputs(config, graph, places)


def _check_step(config: ModelConfig, graph: GraphConfig, at: int, step: StepConfig, places: TomlPlaces) -> None:
    path: KeyPath = ("graph", "steps", at)
    if not step.name or "." in step.name:
        raise places.error((*path, "name"), f"{step.name!r} is no step name", "write a name without dots")
    if step.name in {earlier.name for earlier in graph.steps[:at]}:
        raise places.error((*path, "name"), f"{step.name!r} is there already", "give each step its own name")
    if step.model is not None and step.stage is not None:
        raise places.error((*path, "stage"), "a step is a model or a stage, not both", "drop one of the keys")
    if step.model is None and step.stage is None:
        raise places.error((*path, "model"), "this key is missing", "name the model or the stage the step runs")
    if step.model == config.name:
        raise places.error((*path, "model"), f"{step.model!r} is this model itself", "name another model")
    if not step.inputs:
        raise places.error((*path, "inputs"), "is empty", 'write inputs = { name = "step.output" }')
    if step.for_each is not None and step.for_each not in step.inputs:
        message = f"{step.for_each!r} is no input of the step"
        raise places.error((*path, "for_each"), message, nearest_name(step.for_each, step.inputs))
    for name, source in step.inputs.items():
        _check_source(config, graph, source, (*path, "inputs", name), places)


def _check_source(config: ModelConfig, graph: GraphConfig, source: str, path: KeyPath, places: TomlPlaces) -> None:
    inputs = [spec.name for spec in config.inputs]
    if source in inputs:  # may itself hold a dot
        return
    step, dot, output = source.partition(".")
    steps = [step.name for step in graph.steps]
    if not dot:
        known = [*inputs, *(f"{name}." for name in steps)]
        cure = f'write "{source}.OUTPUT"' if source in steps else nearest_name(source, known)
        raise places.error(path, f"{source!r} is no input of the graph", cure)
    if step not in steps:
        raise places.error(path, f"there is no step {step!r}", nearest_name(step, steps))
    if not output:
        raise places.error(path, f"{source!r} names no output", f'write "{step}.OUTPUT"')


def _refuse_rings(graph: GraphConfig, places: TomlPlaces) -> None:
    names = [step.name for step in graph.steps]
    needs = {
        step.name: {source.partition(".")[0] for source in step.inputs.values() if "." in source} & set(names)
        for step in graph.steps
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        at = names.index(ring[0])
        message = f"the steps wait for each other: {' -> '.join(ring)}"
        raise places.error(("graph", "steps", at, "inputs"), message, "feed one of them from elsewhere") from error


def _check_outputs(config: ModelConfig, graph: GraphConfig, places: TomlPlaces) -> None:
    declared = [spec.name for spec in config.outputs]
    for name, source in graph.outputs.items():
        path = ("graph", "outputs", name)
        if name not in declared:
            raise places.error(path, "is not declared in [[outputs]]", nearest_name(name, declared))
        _check_source(config, graph, source, path, places)
    for at, name in enumerate(declared):
        if name not in graph.outputs:
            cure = f'write {name} = "step.output" in [graph.outputs]'
            raise places.error(("outputs", at, "name"), f"nothing in the graph makes {name!r}", cure)
