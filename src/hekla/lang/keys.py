"""The name of a kernel's code in the cache, made from its source: a warm process finds it without a front end.

A key covers all that decides the code: the text of the kernel, where it stands, and the value of each name in it
(numbers and tuples by value, types and records by their fields, dataclasses by theirs and their methods, kernels and
@comptime functions by their own text and names, and so on); then the types and constants asked for, the flags, the
processor, the compiler's own files and the versions of Python, NumPy and llvmlite.

A value that cannot be told (an object that is no dataclass, say) leaves the kernel without a key: it goes through
the front end in each process, and its code is then found by its LLVM text. What @comptime functions read besides their
arguments and names (files, the clock) is not seen: such a kernel may keep what they once gave.
"""

import builtins
import dataclasses
import enum
import hashlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import llvmlite
import ml_dtypes
import numpy as np

from hekla.lang import types as t
from hekla.lang.front.definition import Definition, Missing, definition_of
from hekla.lang.host import this_processor
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.surface import Builtin, Comptime, Marker, TypeBuilder
from hekla.lang.texts import Folder, Texts

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
_NAMED = (t.Type, t.ConstParam, Builtin, Marker, TypeBuilder)
_ELSEWHERE = frozenset({"explain", "interpreter"})  # folders that do not decide a kernel's code
_VERSIONED = {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__}


_OF_EVERY_CLASS = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__match_args__", "__hash__",
        "__dataclass_fields__", "__dataclass_params__", "__annotations__", "__orig_bases__", "__parameters__",
        "__firstlineno__", "__static_attributes__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__",
        "_abc_impl", "__replace__",
    }
)  # fmt: skip


class CannotTellError(Exception):
    """A value whose equality with that of another process cannot be decided."""


def source_key(
    definition: Definition, kinds: Iterable[t.Type], named: Mapping[str, Any], flags: str, texts: Texts | None = None
) -> str | None:  # Any: compile-time values
    """Return the key of a kernel for these types and constants, None where it cannot be told.

    flags: what else decides the code, as text; it must say the target where that is not this processor.
    texts: where the source is read; without them it is read from the files.
    """
    digest = _Digest(texts or Texts(CodeCache(None), definition))
    try:
        digest.add_definition(definition)
        for kind in kinds:
            digest.add(kind)
        for name in sorted(named):
            digest.note(f"named {name}")
            digest.add(named[name])
    except CannotTellError:
        return None
    return code_key(flags, *digest.parts)


def code_key(*parts: str) -> str | None:
    """Return the key of code that the compiler makes of these texts; None where the processor cannot be told."""
    if not this_processor():
        return None
    whole = [compiler(), this_processor(), *parts]
    return hashlib.sha256("\0".join(whole).encode(errors="surrogatepass")).hexdigest()


@cache
def compiler() -> str:
    """Return what differs where this compiler differs: a hash of its files, and versions."""
    digest = Folder(CodeCache.standard(), Path(__file__).parent, _ELSEWHERE).digest()
    return f"{digest} llvmlite {llvmlite.__version__} numpy {np.__version__} python {sys.version_info[:3]}"


class _Digest:
    """Collects what decides a kernel's code; whatever it has met before it only refers to."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.parts: list[str] = []
        self._met: dict[int, int] = {}
        self._asked: dict[str, set[str]] = {}  # by module: two kernels may ask one module for different names
        self._told: dict[int, set[str]] = {}  # names in the globals of kernels, by the number of these
        self._kept: list[object] = []  # so that no number in `_met` is given to another object

    def note(self, text: str) -> None:
        """Add a text."""
        self.parts.append(text)

    def add(self, value: object, words: tuple[str, ...] = ()) -> None:
        """Add a value; `words` are the names that may be asked of a module. Errors: CannotTellError."""
        if type(value) in _PLAIN:
            self.note(f"{type(value).__name__} {value!r}")
        elif isinstance(value, t.ScalarType):
            self.note(value.name)
        elif isinstance(value, _NAMED):
            self.note(f"{type(value).__name__} {value!r}")
        elif isinstance(value, np.generic | np.ndarray):
            self._add_array(np.asarray(value))
        elif (definition := definition_of(value)) is not None:
            self.add_definition(definition)
        elif isinstance(value, ModuleType):
            self._add_module(value, words)
        elif not self._is_new(value):
            return
        elif isinstance(value, Comptime):
            self.note("comptime")
            self._add_function(value.function, words)
        elif type(value) in (tuple, list, range, set, frozenset, dict):
            self._add_collection(value)
        elif isinstance(value, type):
            self._add_class(value)
        elif _is_record(value):
            self._add_record(value)
        else:
            self._add_function(value, words)

    def add_definition(self, definition: Definition) -> None:
        """Add a kernel: its text, its place, and what its names stand for. Errors: CannotTellError."""
        if not self._is_new(definition):
            return
        self.note(f"kernel {definition.inline} {definition.demand!r}")
        words = self._add_text(definition)
        # names of a file need telling once, not for each kernel in it
        told = set() if definition.closure else self._told.setdefault(id(definition.function.__globals__), set())
        for word in words:
            if word in told:
                continue
            value = definition.lookup(word)
            if isinstance(value, Missing):
                continue
            self._texts.useful.add(word)
            if isinstance(value, FunctionType):
                self.note(f"{word}: a Python function")  # no kernel calls it, but a comment may speak of it
            else:
                self.note(word)
                self.add(value, words)
            if not isinstance(value, ModuleType):  # of which each kernel asks for other names
                told.add(word)

    def _add_text(self, definition: Definition) -> tuple[str, ...]:
        """Note the text of a function and where it stands, and return the words in it."""
        found = self._texts.of(definition)
        if found is None:
            raise CannotTellError(definition.name)
        code = definition.function.__code__
        self.note(f"{code.co_filename}:{code.co_firstlineno} {found[0]}")
        return found[1]

    def _is_new(self, value: object) -> bool:
        number = self._met.setdefault(id(value), len(self._met))
        if number < len(self._kept):
            self.note(f"as before: {number}")
            return False
        self._kept.append(value)
        return True

    def _add_array(self, value: "np.ndarray[Any, Any]") -> None:  # Any: of any elements
        if value.dtype.hasobject:
            raise CannotTellError("an array of objects")
        self.note(f"array {value.dtype!r} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")

    def _add_collection(self, value: Any) -> None:  # Any: one of the kinds above
        self.note(f"{type(value).__name__} {len(value)}")
        if isinstance(value, range):
            self.note(repr(value))
        elif isinstance(value, set | frozenset):
            if any(type(v) not in _PLAIN for v in value):
                raise CannotTellError("a set of objects")
            self.parts += sorted(map(repr, value))
        elif isinstance(value, dict):
            for name, item in value.items():
                self.add(name)
                self.add(item)
        else:
            for item in value:
                self.add(item)

    def _add_module(self, module: ModuleType, words: tuple[str, ...]) -> None:
        self.note(f"module {module.__name__}")
        if _is_library(module.__name__):
            self.note(_VERSIONED.get(_root(module.__name__), ""))
            return
        if not words:
            raise CannotTellError(module.__name__)  # one in a collection: any of its names may be asked for
        asked, names = self._asked.setdefault(module.__name__, set()), vars(module)
        for word in words:
            if word in names and word not in asked:
                asked.add(word)
                self._texts.useful.add(word)
                self.note(word)
                self.add(names[word], words)

    def _add_class(self, value: type) -> None:
        """Add a class, its methods among it: a constant may be what one of them returns."""
        self.note(f"class {value.__module__}.{value.__qualname__} {_VERSIONED.get(_root(value.__module__), '')}")
        if _is_library(value.__module__):
            return
        if issubclass(value, enum.Enum):
            raise CannotTellError(repr(value))
        for base in value.__bases__:
            self.add(base)
        fields = getattr(value, "_fields", ())  # of a named tuple: what a record has in them is added there
        for name, member in vars(value).items():
            if name not in _OF_EVERY_CLASS and name not in fields and not isinstance(member, MemberDescriptorType):
                inside = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
                inside = getattr(inside, "__wrapped__", inside)
                self.note(name)
                if not (isinstance(inside, FunctionType) and inside.__code__.co_filename == "<string>"):
                    self.add(inside)  # what dataclasses and named tuples write themselves follows from the fields

    def _add_record(self, value: Any) -> None:  # Any: see _is_record
        self.add(type(value))
        names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else value._fields
        if set(getattr(value, "__dict__", {})) - set(names):
            raise CannotTellError(repr(value))
        for name in names:
            self.note(name)
            self.add(getattr(value, name))

    def _add_function(self, value: object, words: tuple[str, ...]) -> None:
        """Add a Python function that may run while compiling, or a class or built-in function of a library."""
        module = getattr(value, "__module__", None)
        if isinstance(value, BuiltinFunctionType) or (isinstance(value, FunctionType) and _is_library(module)):
            if not _is_library(module):
                raise CannotTellError(repr(value))
            self.note(f"{module}.{getattr(value, '__qualname__', '')} {_VERSIONED.get(_root(module), '')}")
            return
        if not isinstance(value, FunctionType):
            raise CannotTellError(repr(value))
        self.note("function")
        as_written = Definition(value)
        self._add_text(as_written)
        inside = _words_run(value.__code__)
        for word in inside:
            found = as_written.lookup(word)
            if isinstance(found, Missing):
                found = getattr(builtins, word, found)
            if not isinstance(found, Missing):
                self.note(word)
                self.add(found, inside)
        for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            self.add(default)


def _is_record(value: object) -> bool:
    """True for what has named fields and nothing else: of a dataclass, or a named tuple."""
    return dataclasses.is_dataclass(value) or (isinstance(value, tuple) and hasattr(type(value), "_fields"))


def _words_run(code: CodeType) -> tuple[str, ...]:
    """Return the names that running a function may look up, those of the functions in it included."""
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= {*_words_run(constant)}
    return tuple(sorted(found))


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _is_library(module: str | None) -> bool:
    """True for what `compiler` covers, or a version: Python's own modules, NumPy, and the compiler's files."""
    root = _root(module)
    inside = module is not None and module.startswith("hekla.lang.") and module.split(".")[2] not in _ELSEWHERE
    return inside or root in _VERSIONED or root in sys.stdlib_module_names or module == builtins.__name__
