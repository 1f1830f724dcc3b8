"""The pinned manifest is whole and every sample has a recipe that the server can read."""

import re
from pathlib import PurePosixPath

import pytest

from hekla.base.errors import NotFoundError
from hekla.samples.manifest import chosen_models, sample_models
from hekla.samples.pulling import BUILDS
from hekla.serve.model_toml import read_model_toml

MODELS = sample_models()


def test_every_pin_is_a_whole_hash_and_a_wheel_for_any_platform() -> None:
    files = [file for model in MODELS.values() for file in model.files]
    assert files
    for file in files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        for part in file.parts:
            assert re.fullmatch("[0-9a-f]{64}", part.package.sha256)
            assert part.package.wheel.endswith("-py3-none-any.whl")
            assert part.package.version in part.package.wheel


def test_no_file_leads_out_of_its_version_folder() -> None:
    for model in MODELS.values():
        targets = [PurePosixPath(file.to) for file in model.files]
        assert len(set(targets)) == len(targets)
        assert all(not target.is_absolute() and ".." not in target.parts for target in targets)


def test_every_build_and_every_need_exists() -> None:
    for model in MODELS.values():
        assert model.build in {"", *BUILDS}
        assert set(model.needs) <= MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_every_recipe_is_a_model_toml_the_server_reads(name: str) -> None:
    config = read_model_toml(MODELS[name].recipe / "model.toml")
    assert config.name == name
    assert config.description


def test_a_model_comes_after_what_it_is_made_of() -> None:
    names = [model.name for model in chosen_models(["ocr", "embed"], MODELS)]
    assert names == ["ocr-detection", "ocr-recognition", "ocr", "embed"]


def test_no_name_means_those_that_are_pulled_by_default() -> None:
    assert {model.name for model in chosen_models([], MODELS)} == MODELS.keys() - {"gemma3"}


def test_a_misspelled_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match=r"'embd' is not a sample model; did you mean 'embed'\?"):
        chosen_models(["embd"], MODELS)
