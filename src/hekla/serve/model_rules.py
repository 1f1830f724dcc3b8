"""What the keys of a `model.toml` must agree on, beyond each one's own type and range."""

from collections.abc import Callable, Iterable

from hekla.base.errors import nearest_name
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.serve.config import GRAPH, ModelConfig, PadConfig
from hekla.serve.graph_rules import check_graph
from hekla.serve.toml_lines import KeyPath
from hekla.serve.toml_place import TomlPlaces

MAX_RANK = 32


def check_model(config: ModelConfig, places: TomlPlaces) -> None:
    """Refuse settings that contradict one another. Errors: ConfigError naming the key to change."""
    for rule in _RULES:
        rule(config, places)


def _tensors(config: ModelConfig, places: TomlPlaces) -> None:
    for table, specs in (("inputs", config.inputs), ("outputs", config.outputs)):
        _refuse_repeats([spec.name for spec in specs], table, "name", places)
        for at, spec in enumerate(specs):
            _tensor(spec, (table, at), places)


def _tensor(spec: TensorSpec, path: KeyPath, places: TomlPlaces) -> None:
    if not spec.name:
        raise places.error((*path, "name"), "is empty", "write the tensor's name as the engine knows it")
    if len(spec.shape) > MAX_RANK:
        raise places.error((*path, "shape"), f"has {len(spec.shape)} axes", f"allowed: up to {MAX_RANK}")
    for at, extent in enumerate(spec.shape):
        if not ANY <= extent < 2**31:
            cure = "allowed: 0 to 2147483647, or -1 where the request chooses"
            raise places.error((*path, "shape", at), f"{extent} is out of range", cure)
    if spec.batch_axis is None:
        return
    if not 0 <= spec.batch_axis < len(spec.shape):
        cure = f"allowed: 0 to {len(spec.shape) - 1}" if spec.shape else "a scalar has no batch axis: leave the key out"
        raise places.error((*path, "batch_axis"), f"{spec.batch_axis} is no axis of shape {list(spec.shape)}", cure)
    if spec.shape[spec.batch_axis] != ANY:
        cure = "write -1 at the batch axis of the shape"
        raise places.error(
            (*path, "shape"), f"has the fixed extent {spec.shape[spec.batch_axis]} at its batch axis", cure
        )


def _batching(config: ModelConfig, places: TomlPlaces) -> None:
    batching = config.batching
    for at, rows in enumerate(batching.preferred):
        if rows > batching.max_batch:
            cure = f"raise max_batch (now {batching.max_batch}) or drop it"
            raise places.error(("batching", "preferred", at), f"{rows} is more than max_batch", cure)
    if list(batching.preferred) != sorted(set(batching.preferred)):
        raise places.error(("batching", "preferred"), "is not in rising order", "write each size once, smallest first")
    if batching.max_delay_us and batching.max_batch == 1:
        cure = "set max_batch above 1 or drop max_delay_us"
        raise places.error(("batching", "max_delay_us"), "waits for a batch that max_batch = 1 forbids", cure)
    if batching.max_batch > 1 and config.inputs and all(spec.batch_axis is None for spec in config.inputs):
        cure = "write batch_axis = 0 in [[inputs]] and [[outputs]]"
        raise places.error(("batching", "max_batch"), "joins requests, but no input has a batch_axis", cure)


def _padding(config: ModelConfig, places: TomlPlaces) -> None:
    seen: set[tuple[str, int]] = set()
    for at, pad in enumerate(config.batching.pad):
        path = ("batching", "pad", at)
        if (pad.input, pad.axis) in seen:
            raise places.error((*path, "axis"), f"axis {pad.axis} of {pad.input!r} is padded twice", "drop one")
        seen.add((pad.input, pad.axis))
        specs = {spec.name: spec for spec in config.inputs}
        if pad.input in specs:
            _pad_fits(pad, specs[pad.input], path, places)
        elif specs:
            raise places.error((*path, "input"), f"{pad.input!r} is no input", nearest_name(pad.input, specs))


def _pad_fits(pad: PadConfig, spec: TensorSpec, path: KeyPath, places: TomlPlaces) -> None:
    if pad.axis >= len(spec.shape):
        message = f"{pad.axis} is no axis of shape {list(spec.shape)}"
        raise places.error((*path, "axis"), message, f"allowed: 0 to {len(spec.shape) - 1}")
    if pad.axis == spec.batch_axis:
        cure = "pad an axis whose length differs between requests"
        raise places.error((*path, "axis"), f"{pad.axis} is the batch axis of {spec.name!r}", cure)
    if spec.shape[pad.axis] != ANY:
        message = f"axis {pad.axis} of {spec.name!r} always has {spec.shape[pad.axis]} elements"
        raise places.error((*path, "axis"), message, "drop this table, or write -1 there in the input's shape")


def _versions(config: ModelConfig, places: TomlPlaces) -> None:
    versions = config.versions
    if versions.policy == "specific" and not versions.specific:
        raise places.error(("versions", "specific"), "is empty", "name the versions: specific = [1, 3]")
    if versions.policy != "specific" and versions.specific:
        cure = 'write policy = "specific" or drop this key'
        raise places.error(("versions", "specific"), f'means nothing with policy = "{versions.policy}"', cure)
    if len(set(versions.specific)) < len(versions.specific):
        raise places.error(("versions", "specific"), "names a version twice", "drop one")
    if versions.policy != "latest" and ("versions", "count") in places.lines:
        cure = 'write policy = "latest" or drop this key'
        raise places.error(("versions", "count"), f'means nothing with policy = "{versions.policy}"', cure)


def _sequence(config: ModelConfig, places: TomlPlaces) -> None:
    states = config.sequence.states if config.sequence else ()
    controls = config.sequence.controls if config.sequence else ()
    _refuse_repeats([control.input for control in controls], "sequence.controls", "input", places)
    for key in ("input", "output"):
        _refuse_repeats([getattr(state, key) for state in states], "sequence.states", key, places)
    for at, state in enumerate(states):
        path: KeyPath = ("sequence", "states", at)
        if state.batch_axis >= len(state.shape):
            message = f"{state.batch_axis} is no axis of shape {list(state.shape)}"
            raise places.error((*path, "batch_axis"), message, "the shape counts the batch axis too")
        if state.shape[state.batch_axis] != 1:
            cure = f"write 1 at axis {state.batch_axis}, or name another batch_axis"
            raise places.error((*path, "shape"), "is of one sequence: the batch axis has extent 1", cure)
        for key, specs in (("input", config.inputs), ("output", config.outputs)):
            for spec in specs:
                if spec.name == getattr(state, key) and spec.dtype is not state.dtype:
                    message = f"is {state.dtype.value}, but the {key} {spec.name!r} is {spec.dtype.value}"
                    raise places.error((*path, "dtype"), message, "write the same datatype in both places")


def _graph(config: ModelConfig, places: TomlPlaces) -> None:
    if config.engine.kind != GRAPH:
        if config.graph is not None:
            cure = f'write kind = "{GRAPH}" or drop [graph]'
            raise places.error(("engine", "kind"), "the file has a [graph], but another engine", cure)
        return
    if config.graph is None:
        raise places.error(("graph",), "this table is missing", f'write it, or another engine than kind = "{GRAPH}"')
    for key in config.engine.options:
        raise places.error(("engine", key), "unknown key", "a graph's engine has no options")
    for key in ("isolation", "threads"):
        if ("engine", key) in places.lines:
            cure = "write it in the model.toml of the models its steps run"
            raise places.error(("engine", key), "a graph has no engine of its own", cure)
    for table in ("batching", "pipeline", "sequence", "instances"):
        if (table,) in places.lines:
            cure = "write it in the model.toml of the models its steps run"
            raise places.error((table,), "a graph has no engine of its own for this table", cure)
    check_graph(config, places)


def _sla(config: ModelConfig, places: TomlPlaces) -> None:
    sla = config.text.sla
    for key, values, rises in (
        ("first_token_ms", sla.first_token_ms, True),
        ("between_tokens_ms", sla.between_tokens_ms, True),
        ("tokens_per_s", sla.tokens_per_s, False),
    ):
        if len(values) != 3 or list(values) != sorted(values, reverse=not rises):
            cure = f"write three numbers, {'smallest' if rises else 'largest'} first"
            raise places.error(("text", "sla", key), "is not the bounds of gold, silver and bronze", cure)


def _refuse_repeats(names: Iterable[str], table: str, key: str, places: TomlPlaces) -> None:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name in seen:
            raise places.error((*table.split("."), at, key), f"{name!r} is there already", "give each its own name")
        seen.add(name)


_Rule = Callable[[ModelConfig, TomlPlaces], None]
_RULES: tuple[_Rule, ...] = (_tensors, _batching, _padding, _versions, _sequence, _graph, _sla)
