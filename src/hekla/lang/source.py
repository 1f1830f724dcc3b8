"""Where things stand in the user's file, and how to show it."""

import ast
import linecache
import re
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one source line; lines and columns count from 1, `end_column` is exclusive."""

    file: str
    line: int
    column: int
    end_column: int

    def line_text(self) -> str:
        """Return the line of source, without its end, or an empty text when the file is gone."""
        return linecache.getline(self.file, self.line).rstrip("\n")

    def caret(self) -> str:
        """Return the source line with a row of carets under this stretch."""
        text = self.line_text()
        stripped = text.lstrip()
        start = self.column - 1 - (len(text) - len(stripped))
        width = max(1, min(self.end_column, len(text) + 1) - self.column)
        return f"    {stripped}\n    {' ' * start}{'^' * width}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


def span_of(file: str, node: ast.AST) -> Span:
    """Return the place of an AST node; a node over several lines is cut at the end of its first.

    Columns are in characters, where the ast module counts UTF-8 bytes.
    """
    line = getattr(node, "lineno", 1)
    text = linecache.getline(file, line).rstrip("\n").encode()
    start = getattr(node, "col_offset", 0)
    same_line = getattr(node, "end_lineno", line) == line
    end = getattr(node, "end_col_offset", start + 1) if same_line else len(text)
    column = len(text[:start].decode(errors="replace")) + 1
    return Span(file, line, column, len(text[:end].decode(errors="replace")) + 1)


@lru_cache(maxsize=64)
def _functions(file: str, text: str) -> tuple[AnyFunction, ...]:
    """Return every function definition of a file; many kernels share one file."""
    return tuple(n for n in ast.walk(ast.parse(text, file)) if isinstance(n, AnyFunction))


def parse_function(function: FunctionType) -> tuple[str, AnyFunction] | None:
    """Return (file, definition) of a function, with the file's own line numbers; None where no source is kept."""
    file = function.__code__.co_filename
    text = "".join(linecache.getlines(file))
    if not text:
        return None
    first = function.__code__.co_firstlineno
    for node in _functions(file, text):
        if node.name == function.__name__ and first in (node.lineno, *(d.lineno for d in node.decorator_list)):
            return file, node
    return None


def function_text(function: FunctionType) -> tuple[str, int, str] | None:
    """Return (file, first line, text) of a function, decorators included; None where no source is kept.

    The text is found without parsing: from the function's first line to the next one that is not indented more, once
    the last line that has code is passed.
    """
    code = function.__code__
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno
    if not 0 < first <= len(lines):
        return None
    margin = len(lines[first - 1]) - len(lines[first - 1].lstrip())
    last = max((line for _, _, line in code.co_lines() if line is not None), default=first)
    while last < len(lines) and (not (text := lines[last].lstrip()) or len(lines[last]) - len(text) > margin):
        last += 1
    return code.co_filename, first, "".join(lines[first - 1 : last]).rstrip()


def words_of(text: str) -> tuple[str, ...]:
    """Return every name in a piece of source once, in order; words of comments and texts are among them."""
    return tuple(sorted(set(_WORD.findall(text))))
