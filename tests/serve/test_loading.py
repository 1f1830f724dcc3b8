"""From a folder to engines: whatever a plug-in raises is told as what it is, a model that is broken."""

import asyncio
from pathlib import Path

import pytest
from tests.serve.execution.scripted import DoublingEngine

from hekla.base.errors import ConfigError, HeklaError, ModelFileError
from hekla.protocols.engine import Engine, EngineLoader, EngineSource
from hekla.protocols.stage import Stage, StageSource
from hekla.serve.config import EngineConfig, InstancesConfig, ModelConfig, PipelineConfig, StageConfig
from hekla.serve.folder import VersionFolder
from hekla.serve.loading import Parts, load_version


def _load(config: ModelConfig, engine: EngineLoader, stages: bool = True) -> None:
    def stage(source: StageSource) -> Stage:
        raise ZeroDivisionError("a bug in a stage")

    parts = Parts({"toy": engine}, {"buggy": stage} if stages else {}, threads=2)
    folder = VersionFolder(1, Path("m/1"))
    asyncio.run(load_version(config, folder, parts, lambda *_: lambda: None, None))


def _config(engine: EngineConfig | None = None, count: int = 1, stage: str = "") -> ModelConfig:
    return ModelConfig(
        "m",
        Path("m/model.toml"),
        engine or EngineConfig("toy"),
        instances=InstancesConfig(count),
        pipeline=PipelineConfig(preprocess=StageConfig(stage) if stage else None),
    )


def _raise(error: BaseException) -> EngineLoader:
    def load(source: EngineSource) -> Engine:
        raise error

    return load


@pytest.mark.parametrize("error", [OSError("disk"), KeyError("x"), MemoryError()])
def test_whatever_a_loader_raises_is_a_broken_model(error: Exception) -> None:
    with pytest.raises(ModelFileError, match=rf"m/model.toml: \[engine\]: could not be loaded: {type(error).__name__}"):
        _load(_config(), _raise(error))


def test_whatever_a_stage_raises_is_a_broken_model() -> None:
    with pytest.raises(ModelFileError, match=r"\[pipeline.preprocess\]: could not be loaded: ZeroDivisionError"):
        _load(_config(stage="buggy"), lambda source: DoublingEngine())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (_config(EngineConfig("toys")), "unknown engine 'toys'; did you mean 'toy'?"),
        (_config(EngineConfig("toy", isolation="process")), "no engine 'process' is installed"),
        (_config(stage="bugy"), "unknown stage 'bugy'; did you mean 'buggy'?"),
    ],
)
def test_what_is_not_installed_is_named(config: ModelConfig, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(config, lambda source: DoublingEngine())
    assert says in str(caught.value)


def test_when_one_instance_cannot_be_loaded_the_others_are_closed() -> None:
    made: list[DoublingEngine] = []

    def load(source: EngineSource) -> Engine:
        if len(made) == 2:
            raise ModelFileError("no room for a third")
        made.append(DoublingEngine())
        return made[-1]

    with pytest.raises(HeklaError, match="no room"):
        _load(_config(count=3), load)
    assert [engine.is_closed for engine in made] == [True, True]
