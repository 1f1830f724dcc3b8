"""For mypy: reads the types of the language as Any, so that it checks the Python around kernels and not their bodies.

In the user's pyproject.toml: `[tool.mypy]`, `plugins = ["hekla.lang.mypy_plugin"]`. Only mypy imports this file.
"""

from collections.abc import Callable

from mypy.nodes import GDEF, SymbolTableNode, TypeAlias
from mypy.plugin import AnalyzeTypeContext, ClassDefContext, DynamicClassDefContext, Plugin
from mypy.types import AnyType, Type, TypeOfAny

WORDS = ("hekla.lang.types.", "hekla.lang.surface.", "hekla.lang.actors.declare.Address")
PARAMETERS = frozenset({"hekla.lang.types.TypeParam", "hekla.lang.types.ConstParam"})
CLASSES = frozenset({"hekla.lang.surface.struct", "hekla.lang.actors.declare.actor"})


class LanguagePlugin(Plugin):
    """`View[f32, 1]` is Any in an annotation; a @struct or an @actor has whatever attributes are asked for."""

    def get_type_analyze_hook(self, fullname: str) -> Callable[[AnalyzeTypeContext], Type] | None:
        """Read a word of the language in an annotation."""
        return _any if fullname.startswith(WORDS) else None

    def get_dynamic_class_hook(self, fullname: str) -> Callable[[DynamicClassDefContext], None] | None:
        """Read `T = TypeParam("T")`, so that T may stand in annotations."""
        return _name_of_any if fullname in PARAMETERS else None

    def get_class_decorator_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        """Read a class under @struct or @actor."""
        return _anything if fullname in CLASSES else None


def _any(_: AnalyzeTypeContext) -> Type:
    return AnyType(TypeOfAny.explicit)


def _name_of_any(at: DynamicClassDefContext) -> None:
    module = at.api.qualified_name(at.name)
    alias = TypeAlias(AnyType(TypeOfAny.explicit), module, module.rpartition(".")[0], at.call.line, at.call.column)
    at.api.add_symbol_table_node(at.name, SymbolTableNode(GDEF, alias))


def _anything(at: ClassDefContext) -> None:
    at.cls.info.fallback_to_any = True


def plugin(_version: str) -> type[Plugin]:
    """Return the plugin, as mypy asks for it."""
    return LanguagePlugin
