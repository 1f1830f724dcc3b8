"""From a version's folder to a model that answers: engines and stages are made, checked and put together."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hekla.base.errors import ConfigError, HeklaError, ModelFileError, nearest_name
from hekla.protocols.engine import Engine, EngineLoader, EngineSource
from hekla.protocols.stage import Stage, StageLoader, StageSource
from hekla.protocols.text_engine import TextEngine, TextEngineLoader, TextEngineSource
from hekla.serve.config import GRAPH, BatchingConfig, ModelConfig, PipelineConfig, StageConfig
from hekla.serve.execution.aside import run_aside
from hekla.serve.execution.engine_executor import EngineExecutor
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.graph import Graph, Submit
from hekla.serve.execution.pipeline import Pipeline
from hekla.serve.execution.sequence import SequenceExecutor
from hekla.serve.execution.stage_pool import StagePool
from hekla.serve.folder import VersionFolder
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.served_model import OnAnswered, ServedModel
from hekla.serve.text.executor import TextExecutor
from hekla.serve.text.generation import OnText
from hekla.serve.text.model import TextModel
from hekla.serve.text.vllm_parameters import read_parameters

_log = logging.getLogger(__name__)
_ISOLATED = "process"  # the engine kind that runs another one in a worker process


@dataclass(frozen=True, slots=True)
class Parts:
    """What models are made of, given by whoever composes the server."""

    engines: Mapping[str, EngineLoader]
    stages: Mapping[str, StageLoader]
    threads: int  # per engine, where model.toml does not say
    code_folders: tuple[Path, ...] = ()
    text_engines: Mapping[str, TextEngineLoader] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Made:
    engines: tuple[Engine, ...]
    stages: Mapping[str, Stage]  # "load", "preprocess", "postprocess", or a graph's step names

    def close(self) -> None:
        """Free the engines, whatever one of them says to it."""
        for engine in self.engines:
            try:
                engine.close()
            except Exception as error:  # noqa: BLE001 - a plug-in's code; it is gone either way
                _log.warning("an engine was not closed cleanly: %s", error)


async def load_version(
    config: ModelConfig,
    folder: VersionFolder,
    parts: Parts,
    submit: Submit,
    on_answered: OnAnswered | None,
    on_text: OnText | None = None,
) -> ServedModel:
    """Return the model ready to answer. Files are read off the event loop.

    Errors: ConfigError and ModelFileError, pointing into model.toml or at the model's file.
    """
    if config.engine.kind in parts.text_engines:
        return await _load_text(config, folder, parts, on_answered, on_text)
    made = await run_aside(lambda: _make(config, folder, parts))
    statistics = ModelStatistics()
    try:
        executor = _executor(config, folder, parts, made, statistics, submit)
        return ServedModel(config, folder.number, executor, statistics, on_answered)
    except BaseException:
        await run_aside(made.close)
        raise


async def _load_text(
    config: ModelConfig, folder: VersionFolder, parts: Parts, on_answered: OnAnswered | None, on_text: OnText | None
) -> ServedModel:
    def make() -> TextEngine:
        return _make_text_engine(config, folder, parts)

    statistics = ModelStatistics()
    engine = await run_aside(make)
    model = TextModel(config, folder.number, engine, make, statistics, on_text)
    return ServedModel(config, folder.number, TextExecutor(model, read_parameters), statistics, on_answered)


def _make_text_engine(config: ModelConfig, folder: VersionFolder, parts: Parts) -> TextEngine:
    where = f"{config.path}: [engine]"
    for table, is_given in (
        ("inputs", config.inputs),
        ("outputs", config.outputs),
        ("pipeline", config.pipeline != PipelineConfig()),
        ("sequence", config.sequence),
        ("batching", config.batching != BatchingConfig()),
        ("instances", config.instances.count != 1),
        ("engine.isolation", config.engine.isolation != "thread"),
    ):
        if is_given:
            raise ConfigError("is not for a model that writes text", where=f"{config.path}: [{table}]", cure="drop it")
    source = TextEngineSource(
        model=config.name,
        version=folder.number,
        folder=folder.path,
        options=config.engine.options,
        threads=config.engine.threads or parts.threads,
        where=where,
    )
    try:
        return parts.text_engines[config.engine.kind](source)
    except HeklaError:
        raise
    except Exception as error:  # a plug-in's code, an operator's
        raise _broken(error, where) from error


def _make(config: ModelConfig, folder: VersionFolder, parts: Parts) -> _Made:
    stages = {
        name: _make_stage(stage, folder, config, parts, f"[{_table(config)}.{name}]")
        for name, stage in _stage_configs(config).items()
    }
    if config.engine.kind == GRAPH:
        return _Made((), stages)
    engines: list[Engine] = []
    try:
        for _ in range(config.instances.count):
            engines.append(_make_engine(config, folder, parts))
    except BaseException:
        _Made(tuple(engines), {}).close()
        raise
    return _Made(tuple(engines), stages)


def _make_engine(config: ModelConfig, folder: VersionFolder, parts: Parts) -> Engine:
    kind = config.engine.kind
    where = f"{config.path}: [engine]"
    loader = parts.engines.get(kind)
    if loader is None:
        raise ConfigError(
            f"unknown engine {kind!r}",
            where=f"{where}.kind",
            cure=nearest_name(kind, [*parts.engines, *parts.text_engines, GRAPH]),
        )
    source = EngineSource(
        model=config.name,
        version=folder.number,
        folder=folder.path,
        inputs=config.inputs,
        outputs=config.outputs,
        options=config.engine.options,
        threads=config.engine.threads or parts.threads,
        code_folders=parts.code_folders,
        where=where,
    )
    if config.engine.isolation == "process":
        isolated = parts.engines.get(_ISOLATED)
        if isolated is None:
            raise ConfigError(f"no engine {_ISOLATED!r} is installed", where=f"{where}.isolation")
        loader, source = isolated, replace(source, options={**source.options, "engine": kind})
    try:
        return loader(source)
    except HeklaError:
        raise
    except Exception as error:  # a plug-in's code, an operator's
        raise _broken(error, where) from error


def _make_stage(stage: StageConfig, folder: VersionFolder, config: ModelConfig, parts: Parts, table: str) -> Stage:
    where = f"{config.path}: {table}"
    loader = parts.stages.get(stage.stage)
    if loader is None:
        raise ConfigError(
            f"unknown stage {stage.stage!r}", where=f"{where}.stage", cure=nearest_name(stage.stage, parts.stages)
        )
    try:
        return loader(StageSource(config.name, folder.path, stage.options, where))
    except HeklaError:
        raise
    except Exception as error:  # a plug-in's code, an operator's
        raise _broken(error, where) from error


def _broken(error: Exception, where: str) -> ModelFileError:
    return ModelFileError(f"could not be loaded: {type(error).__name__}: {error}", where=where)


def _table(config: ModelConfig) -> str:
    return "graph.steps" if config.engine.kind == GRAPH else "pipeline"


def _stage_configs(config: ModelConfig) -> dict[str, StageConfig]:
    if config.graph is not None:
        return {step.name: step.stage for step in config.graph.steps if step.stage is not None}
    pipeline = config.pipeline
    named = {"load": pipeline.load, "preprocess": pipeline.preprocess, "postprocess": pipeline.postprocess}
    return {name: stage for name, stage in named.items() if stage is not None}


def _executor(
    config: ModelConfig,
    folder: VersionFolder,
    parts: Parts,
    made: _Made,
    statistics: ModelStatistics,
    submit: Submit,
) -> Executor:
    pools = {
        name: StagePool(name, made.stages[name], stage, statistics) for name, stage in _stage_configs(config).items()
    }
    executor: Executor
    if config.graph is not None:
        executor = Graph(config.graph, config.inputs, config.outputs, pools, submit)
    else:
        engine = EngineExecutor(
            config,
            made.engines,
            lambda: _make_engine(config, folder, parts),
            statistics,
            trusted=not pools,
        )
        before: Sequence[StagePool] = [pools[name] for name in ("load", "preprocess") if name in pools]
        executor = Pipeline(before, engine, pools.get("postprocess")) if pools else engine
    if config.sequence is not None:
        executor = SequenceExecutor(executor, config.sequence, config.name)
    return executor
