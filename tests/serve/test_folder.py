"""What a repository folder holds, which versions are served, and when something changed."""

import os
from pathlib import Path

import pytest

from hekla.base.errors import ConfigError
from hekla.serve.config import EngineConfig, ModelConfig, VersionsConfig
from hekla.serve.folder import Scan, fingerprint, scan, versions_to_serve

TOML = '[engine]\nkind = "onnx"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one model of three versions."""
    root = tmp_path / "models"
    for version in ("1", "2", "10"):
        (root / "ocr" / version).mkdir(parents=True)
        (root / "ocr" / version / "model.onnx").write_bytes(b"weights")
    (root / "ocr" / "model.toml").write_text(TOML)
    return root


def model(policy: VersionsConfig, kind: str = "onnx") -> ModelConfig:
    """A configuration with a version policy."""
    return ModelConfig("ocr", Path("models/ocr/model.toml"), EngineConfig(kind), versions=policy)


def served(found: Scan, policy: VersionsConfig, kind: str = "onnx") -> list[int]:
    """Return the numbers of the versions the policy picks from the only model found."""
    (folder,) = found.models
    return [version.number for version in versions_to_serve(folder, model(policy, kind))]


def test_versions_are_sorted_as_numbers(repository: Path) -> None:
    found = scan([repository])
    assert [(folder.name, folder.versions) for folder in found.models] == [("ocr", (1, 2, 10))]
    assert (found.refused, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionsConfig(), [10]),
        (VersionsConfig(count=2), [2, 10]),
        (VersionsConfig(count=9), [1, 2, 10]),
        (VersionsConfig("all"), [1, 2, 10]),
        (VersionsConfig("specific", specific=(10, 1)), [1, 10]),
    ],
)
def test_the_policy_picks_the_versions(repository: Path, policy: VersionsConfig, expected: list[int]) -> None:
    assert served(scan([repository]), policy) == expected


def test_a_specific_version_that_is_not_there_is_named(repository: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[versions\].specific: version 3 is not there; known: 1, 10, 2"):
        served(scan([repository]), VersionsConfig("specific", specific=(3,)))


def test_a_model_without_versions_says_what_to_do_unless_it_is_a_graph(tmp_path: Path) -> None:
    (tmp_path / "ocr").mkdir()
    (tmp_path / "ocr" / "model.toml").write_text(TOML)
    found = scan([tmp_path])
    with pytest.raises(ConfigError, match="has no version; put the model's files into a folder named 1"):
        served(found, VersionsConfig())
    assert served(found, VersionsConfig(), kind="graph") == [1]


def test_hidden_and_temporary_names_are_passed_over_in_silence(repository: Path) -> None:
    for name in (".git", "_old", "~copy", "new.tmp", "upload.part", "backup~", "lost+found"):
        (repository / name).mkdir()
        (repository / "ocr" / name).mkdir()
    found = scan([repository])
    assert [folder.name for folder in found.models] == ["ocr"]
    assert found.warnings == ()


def test_what_a_person_may_have_meant_is_a_warning(repository: Path) -> None:
    (repository / "ocr" / "latest").mkdir()
    (repository / "ocr" / "03").mkdir()
    (repository / "empty").mkdir()
    (repository / "notes.txt").touch()
    assert [warning.removeprefix(str(repository)) for warning in scan([repository]).warnings] == [
        "/empty: passed over: it has no model.toml",
        "/notes.txt: passed over: a repository holds one folder per model",
        "/ocr/03: passed over: versions are folders named 1, 2, 3 and so on",
        "/ocr/latest: passed over: versions are folders named 1, 2, 3 and so on",
    ]


@pytest.mark.parametrize("place", ["evil", "evil/model.toml", "evil/1"])
def test_a_link_out_of_the_repository_is_refused(repository: Path, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    (outside / "1").mkdir(parents=True)
    (outside / "model.toml").write_text(TOML)
    if place != "evil":
        (repository / "evil").mkdir()
        (repository / "evil" / "model.toml").write_text(TOML)
        (repository / place).unlink(missing_ok=True)
    (repository / place).symlink_to(outside / place.partition("/")[2])
    found = scan([repository])
    assert [folder.name for folder in found.models] == ["ocr"]
    ((name, error),) = found.refused
    assert name == "evil"
    assert "leads out of the repository" in str(error)


def test_a_link_within_the_repository_is_followed(repository: Path) -> None:
    (repository / "ocr" / "11").symlink_to(repository / "ocr" / "1")
    assert served(scan([repository]), VersionsConfig()) == [11]


def test_a_name_no_url_should_hold_is_refused(repository: Path) -> None:
    (repository / "a b").mkdir()
    (repository / "a b" / "model.toml").write_text(TOML)
    ((name, error),) = scan([repository]).refused
    assert (name, "is no model name" in str(error)) == ("a b", True)


def test_one_name_in_two_repositories_is_served_from_neither(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "ocr" / "1").mkdir(parents=True)
    (other / "ocr" / "model.toml").write_text(TOML)
    found = scan([repository, other])
    assert found.models == ()
    ((name, error),) = found.refused
    assert name == "ocr"
    assert str(error) == f"{other / 'ocr'}: is also in {repository / 'ocr'}; rename one of the two"


def test_a_missing_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read: No such file"):
        scan([tmp_path / "nowhere"])


def test_the_fingerprint_tells_every_change_and_only_changes(repository: Path) -> None:
    (folder,) = scan([repository]).models
    seen = {fingerprint(folder)}
    assert seen == {fingerprint(folder)}

    def changed() -> bool:
        (again,) = scan([repository]).models
        new = fingerprint(again)
        is_new = new not in seen
        seen.add(new)
        return is_new

    (repository / "ocr" / "README").touch()
    assert not changed(), "a file no version reads"
    (repository / "ocr" / "1" / ".swap").touch()
    assert not changed(), "an editor's file"
    (repository / "ocr" / "model.toml").write_text(TOML + "# more\n")
    assert changed(), "model.toml"
    os.utime(repository / "ocr" / "1" / "model.onnx", ns=(1, 1))
    assert changed(), "weights of the same size"
    (repository / "ocr" / "11").mkdir()
    assert changed(), "an empty version"
    (repository / "ocr" / "10" / "model.onnx").unlink()
    assert changed(), "a file less"
