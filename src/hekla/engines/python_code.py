"""A user's Python file as a module of its own: allowed by the operator, under a name nobody else can clash with."""

import sys
import traceback
import types
import uuid
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from hekla.base.errors import ConfigError, HeklaError, nearest_name
from hekla.engines.options import option_place
from hekla.protocols.engine import EngineSource


class UserCode:
    """One import of the user's file. Two engines of one file have two modules and share no globals."""

    def __init__(self, module: types.ModuleType, folder: Path, made_class: Callable[[], Any]) -> None:
        self._name, self.folder, self.made_class = module.__name__, folder, made_class

    def run(self, step: str, call: Callable[..., Any], *arguments: object) -> Any:  # whatever the user's code returns
        """Return what the call returns. Errors: ConfigError at the user's line for anything they raise."""
        return _guarded(self.folder, step, call, *arguments)

    def forget(self) -> None:
        """Take the module and its relative imports out of `sys.modules`."""
        for name in [n for n in sys.modules if n == self._name or n.startswith(self._name + ".")]:
            del sys.modules[name]


def user_code(source: EngineSource, class_option: str) -> UserCode:
    """Import the file and find the class that `class = "file.py:ClassName"` names.

    Errors: ConfigError if the text has another form, the file is missing, lies outside the folders the operator
    allows (links followed), does not import, or has no such class.
    """
    where = option_place(source, "class")
    file, _, class_name = class_option.rpartition(":")
    if not file.endswith(".py") or not class_name.isidentifier():
        raise ConfigError(f"expected 'file.py:ClassName', got {class_option!r}", where=where)
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise ConfigError(f"{file!r} leads out of the version's folder", where=where, cure="name a file inside it")
    path = (source.folder / file).resolve()
    allowed = [folder.resolve() for folder in source.code_folders]
    if not any(path.is_relative_to(folder) for folder in allowed):
        raise ConfigError(
            f"{file!r} is Python code outside the folders that code may be loaded from",
            where=where,
            cure=f"if you trust it, start the server with --python-models {source.folder.resolve().parent.parent}",
        )
    if not path.is_file():
        raise ConfigError(f"there is no file {file!r} in version {source.version}", where=where)
    folder = source.folder.resolve() if path.is_relative_to(source.folder.resolve()) else path.parent
    module = types.ModuleType(f"hekla_python_model_{uuid.uuid4().hex}")
    module.__file__ = str(path)
    module.__path__ = [str(path.parent)]  # a package, so that `from . import neighbour` works
    module.__package__ = module.__name__
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    code = UserCode(module, folder, object)
    try:
        _guarded(folder, "import", _execute, module, path)
        code.made_class = _class_in(module, class_name, file, where)
    except BaseException:
        code.forget()
        raise
    return code


def user_place(error: BaseException, folder: Path) -> str:
    """Return `model.py:12` for the innermost line of the user's own files an error went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename, folder)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{_short(own[-1].filename, folder)}:{own[-1].lineno}" if own else ""


def _guarded(folder: Path, step: str, call: Callable[..., Any], *arguments: object) -> Any:  # see UserCode.run
    try:
        return call(*arguments)
    except HeklaError:
        raise  # said on purpose
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's code raises is its fault
        text = error.msg if isinstance(error, SyntaxError) else error
        message = f"{step} failed: {type(error).__name__}: {text}"
        raise ConfigError(message, where=user_place(error, folder)) from None


def _execute(module: types.ModuleType, path: Path) -> None:
    # Compiled here, not by importlib: no stale __pycache__ is believed and none is left in the model's folder.
    exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)


def _class_in(module: types.ModuleType, name: str, file: str, where: str) -> type:
    found = vars(module).get(name)
    if not isinstance(found, type):
        classes = [k for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        raise ConfigError(f"{file} has no class {name!r}", where=where, cure=nearest_name(name, classes))
    return found


def _short(filename: str, folder: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
