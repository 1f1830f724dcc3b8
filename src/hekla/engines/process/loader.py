"""The engine kind `process`: another kind, in a worker process."""

from dataclasses import replace
from importlib.metadata import entry_points

from hekla.base.errors import ConfigError, nearest_name
from hekla.engines.options import option_place, seconds_option, text_option
from hekla.engines.process.engine import ProcessEngine
from hekla.engines.process.messages import Assignment
from hekla.protocols.engine import EngineSource

_GROUP = "hekla.engines"
_OWN_KIND = "process"
_OWN_OPTIONS = ("engine", "grace_s")


def load(source: EngineSource) -> ProcessEngine:
    """Start a worker process and load the model there.

    Options: `engine`, the kind to run; `grace_s` (0.5), how long a run that was asked to stop may go on before its
    worker is killed; all others are that engine's.
    Errors: those of the inner loader; ConfigError for an engine that is not installed; UnavailableError if the worker
    ends before the model is loaded.
    """
    kinds = {entry.name: entry.value for entry in entry_points(group=_GROUP) if entry.name != _OWN_KIND}
    kind = text_option(source, "engine", "", ())
    if kind not in kinds:
        where = option_place(source, "engine")
        raise ConfigError(f"no engine {kind!r} to run in a process", where=where, cure=nearest_name(kind, kinds))
    grace_s = seconds_option(source, "grace_s", 0.5)
    inner = {key: value for key, value in source.options.items() if key not in _OWN_OPTIONS}
    return ProcessEngine(Assignment(kinds[kind], replace(source, options=inner)), grace_s)
