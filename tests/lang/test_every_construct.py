"""Every construct of Python's grammar: it is of the language, or it is refused by name with what to write instead."""

import ast
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from hekla.base.errors import ConfigError
from hekla.lang import kernel, struct, vectorize
from hekla.lang.actors import actor
from hekla.lang.errors import KernelError
from hekla.lang.files import kernel_in

# Constructs by the name of their node. A text: a statement that is of the language. A pair: one that is not, and what
# the error says. `x` is a MutView[f32, 1], `n` an index, `v` a Vec[i32, 4], `b` a bool, `k` another kernel.
STATEMENTS: dict[str, str | tuple[str, str]] = {
    "FunctionDef": ("def inner():\n        pass", "a nested function"),
    "AsyncFunctionDef": ("async def inner():\n        pass", "an async function"),
    "ClassDef": ("class A:\n        pass", "a nested class"),
    "Return": "if b:\n        return 1.0",
    "Delete": ("del x[0]", "del"),
    "Assign": "y = n",
    "TypeAlias": ("type A = f32", "a type alias"),
    "AugAssign": "x[0] += 1.0",
    "AnnAssign": "y: f32 = 1.0",
    "For": "for i in range(n):\n        pass",
    "AsyncFor": ("async for i in x:\n        pass", "an async function"),
    "While": "while b:\n        b = False",
    "If": "if b:\n        pass",
    "With": ("with x:\n        pass", "with"),
    "AsyncWith": ("async with x:\n        pass", "an async function"),
    "Match": ("match n:\n        case 1:\n            pass", "match"),
    "Raise": ("raise ValueError", "raise"),
    "Try": ("try:\n        pass\n    finally:\n        pass", "try/except"),
    "TryStar": ("try:\n        pass\n    except* ValueError:\n        pass", "try/except*"),
    "Assert": ("assert b", "assert"),
    "Import": ("import math", "import"),
    "ImportFrom": ("from math import pi", "import"),
    "Global": ("global z", "global"),
    "Nonlocal": ("", "nonlocal"),  # needs an enclosing function: see below
    "Expr": "k(1.0)",
    "Pass": "pass",
    "Break": "while b:\n        break",
    "Continue": "for i in range(n):\n        continue",
}
EXPRESSIONS: dict[str, str | tuple[str, str]] = {
    "BoolOp": "b and b",
    "NamedExpr": ("(y := n)", "the walrus operator"),
    "BinOp": "n + 1",
    "UnaryOp": "-n",
    "Lambda": ("lambda: n", "lambda"),
    "IfExp": "n if b else 1",
    "Dict": ("{n: 1}", "a dict"),
    "Set": ("{n}", "a set"),
    "ListComp": ("[i for i in range(3)]", "a list comprehension"),
    "SetComp": ("{i for i in range(3)}", "a set comprehension"),
    "DictComp": ("{i: 1 for i in range(3)}", "a dict comprehension"),
    "GeneratorExp": ("(i for i in range(3))", "a generator expression"),
    "Await": ("await n", "an async function"),
    "Yield": ("yield n", "yield"),
    "YieldFrom": ("yield from x", "yield from"),
    "Compare": "n < 1",
    "Call": "k(1.0)",
    "FormattedValue": ("f'{n}'", "an f-string"),
    "JoinedStr": ("f'{n}'", "an f-string"),
    "Interpolation": ("t'{n}'", "a template string"),
    "TemplateStr": ("t'{n}'", "a template string"),
    "Constant": "f32(1.0)",
    "Attribute": "x.rank + n",
    "Subscript": "x[0]",
    "Starred": ("k(*x)", "*unpacking"),
    "Name": "n",
    "List": ("[n, 1]", "a list"),
    "Tuple": ("(n, 1)", "a tuple of run-time values"),
    "Slice": "x[1:][0]",
}
OPERATORS: dict[str, str | tuple[str, str]] = {
    "And": "b and b",
    "Or": "b or b",
    "Add": "n + n",
    "Sub": "n - n",
    "Mult": "n * n",
    "MatMult": ("x @ x", "@ does not take MutView[f32, 1]"),
    "Div": "x[0] / x[1]",
    "Mod": "n % n",
    "Pow": ("n ** n", "** does not take index"),
    "LShift": "n << n",
    "RShift": "n >> n",
    "BitOr": "n | n",
    "BitXor": "n ^ n",
    "BitAnd": "n & n",
    "FloorDiv": "n // n",
    "Invert": "~n",
    "Not": "not b",
    "UAdd": "+n",
    "USub": "-n",
    "Eq": "n == n",
    "NotEq": "n != n",
    "Lt": "n < n",
    "LtE": "n <= n",
    "Gt": "n > n",
    "GtE": "n >= n",
    "Is": ("n is n", "`is` or `in` on run-time values"),
    "IsNot": ("n is not n", "`is` or `in` on run-time values"),
    "In": ("n in x", "`is` or `in` on run-time values"),
    "NotIn": ("n not in x", "`is` or `in` on run-time values"),
}
MORE: dict[str, tuple[str, str]] = {
    "keyword": ("y = k(**x)", "**unpacking"),
    "keyword of a kernel": ("y = k(x=1.0)", "k() has no compile-time parameter 'x'"),
    "for else": ("for i in range(n):\n        pass\n    else:\n        pass", "else on a loop"),
    "while else": ("while b:\n        pass\n    else:\n        pass", "else on a loop"),
    "complex": ("y = 1j", "the constant 1j"),
    "bytes": ("y = b'a'", "the constant b'a'"),
    "ellipsis": ("y = ...", "the constant ..."),
    "text": ("y = 'a'", "'a' is not a value at run time"),
    "none": ("y = None", "None is not a value at run time"),
    "chain": ("y = 1 < n < 2", "a chained comparison"),
    "several": ("a, c = n, n", "assigning to several names"),
    "starred target": ("a, *c = x", "assigning to several names"),
    "chained": ("a = c = n", "a = b = value"),
    "slice": ("x[0:2] = 1.0", "assigning to a slice"),
    "method": ("y = x.sum()", "MutView[f32, 1] has no attribute 'sum'"),
    "several results": ("return n, n", "returning a tuple"),
    **{
        name: (f"y = {name}(x)", f"Python's {name}")
        for name in ("sum", "sorted", "any", "list", "type", "round", "open", "map", "iter", "hasattr", "eval")
    },
    "isinstance": ("y = isinstance(n, index)", "isinstance"),
    "print": ("y = print(n)", "print() gives nothing"),
    "print to": ("print(n, file=x)", "print() has no keyword 'file'"),
    "enumerate": ("for i, e in enumerate(x):\n        pass", "a loop over several names"),
    "zip": ("for i in zip(x, x):\n        pass", "a loop over anything but range()"),
    "elements": ("for e in x:\n        pass", "a loop over anything but range()"),
}
HEAD = "from hekla.lang import *\n\n\n@kernel\ndef k(x: f32) -> f32:\n    return x\n\n\n"
DEF = "def program(x: MutView[f32, 1], n: index, b: bool) -> f32:\n    "


def written(statement: str) -> str:
    """Return the program of a statement."""
    asynchronous = statement.startswith(("async for", "async with")) or "await" in statement
    return f"{HEAD}@kernel\n{'async ' if asynchronous else ''}{DEF}{statement}\n    return 0.0\n"


def statement_of(expression: str | tuple[str, str]) -> str | tuple[str, str]:
    """Return a statement that has an expression in it."""
    return f"y = {expression}" if isinstance(expression, str) else (f"y = {expression[0]}", expression[1])


ALL = {**STATEMENTS, **{n: statement_of(e) for n, e in {**EXPRESSIONS, **OPERATORS}.items()}, **MORE}
NEWER = {"TypeAlias", "TemplateStr", "Interpolation"}  # than the oldest Python that Hekla runs on


def nodes_of(*roots: type[ast.AST]) -> set[str]:
    """Return the names of the nodes of Python's grammar below some roots; ast keeps old names beside them."""
    old = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis"}
    return {c.__name__ for root in roots for c in root.__subclasses__() if c.__name__ not in old}


def test_no_construct_is_left_out() -> None:
    assert nodes_of(ast.stmt) - STATEMENTS.keys() == set()
    assert nodes_of(ast.expr) - EXPRESSIONS.keys() == set()
    assert nodes_of(ast.boolop, ast.operator, ast.unaryop, ast.cmpop) - OPERATORS.keys() == set()


@pytest.mark.parametrize("name", [n for n in ALL if n not in NEWER or hasattr(ast, n)])
def test_a_construct_is_of_the_language_or_refused_with_what_to_write_instead(name: str, tmp_path: Path) -> None:
    given = ALL[name]
    statement = given if isinstance(given, str) else given[0]
    text = written(statement)
    if name == "Nonlocal":
        inner = "".join(f"    {line}\n" for line in f"@kernel\n{DEF}nonlocal z\n    return 0.0".splitlines())
        text = f"{HEAD}def outer(z):\n{inner}    return program\n\n\nprogram = outer(1)\n"
    path = tmp_path / "program.py"
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # Python's own, about `n is 1` and the like
        program = kernel_in(path, "program")
    if isinstance(given, str):
        program.lower()
        return
    with pytest.raises(KernelError) as caught:
        program.lower()
    assert caught.value.message.startswith(given[1]), caught.value.message
    assert caught.value.cure, "every refusal says what to write"
    assert caught.value.span.file == str(path)


@pytest.mark.parametrize("decorate", [kernel, struct, actor, vectorize(arch="native")])
def test_a_decorator_on_what_it_does_not_go_on_says_so(decorate: Callable[[object], object]) -> None:
    with pytest.raises(ConfigError, match=r"@\w+ goes on a (function|class)"):
        decorate(3)
