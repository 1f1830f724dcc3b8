"""Source lines in LLVM text: debug locations for every instruction, by which remarks and assembly name their line."""

from dataclasses import dataclass, field

from hekla.lang.ir.core import Function
from hekla.lang.source import Span

FIRST_NUMBER = 10000  # of our metadata; lower numbers belong to llvm/text.py


@dataclass(slots=True)
class Lines:
    """Metadata of one module. `in_assembly` puts the lines into assembly too; else LLVM's remarks alone see them."""

    in_assembly: bool = False
    entries: list[str] = field(default_factory=list)
    places: dict[tuple[str, int, int], Span] = field(default_factory=dict)  # (symbol, line, column)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)

    def scope(self, function: Function) -> int:
        """Return the number of a function's own metadata."""
        text = (
            f'distinct !DISubprogram(name: "{function.symbol}", linkageName: "{function.symbol}", '
            f"scope: !{self._file(function.span.file)}, file: !{self._file(function.span.file)}, "
            f"line: {function.span.line}, type: !{self._add(('type',), '!DISubroutineType(types: !{null})')}, "
            f"scopeLine: {function.span.line}, spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !{self._unit()})"
        )
        return self._add(("function", function.symbol), text)

    def location(self, function: Function, span: Span) -> int:
        """Return the number of a place in a function."""
        self.places.setdefault((function.symbol, span.line, span.column), span)
        text = f"!DILocation(line: {span.line}, column: {span.column}, scope: !{self.scope(function)})"
        return self._add(("place", function.symbol, span.line, span.column), text)

    def finish(self) -> list[str]:
        """Return the lines of metadata."""
        version = self._add(("version",), '!{i32 2, !"Debug Info Version", i32 3}')
        dwarf = self._add(("dwarf",), '!{i32 2, !"Dwarf Version", i32 4}')
        named = [f"!llvm.module.flags = !{{!{version}, !{dwarf}}}", f"!llvm.dbg.cu = !{{!{self._unit()}}}"]
        return [*named, *self.entries]

    def _unit(self) -> int:
        kind = "LineTablesOnly" if self.in_assembly else "NoDebug"
        text = (
            f"distinct !DICompileUnit(language: DW_LANG_C99, file: !{self._file('hekla')}, "
            f'producer: "hekla", isOptimized: true, runtimeVersion: 0, emissionKind: {kind})'
        )
        return self._add(("unit",), text)

    def _file(self, name: str) -> int:
        escaped = name.replace("\\", "\\5C").replace('"', "\\22")
        return self._add(("file", name), f'!DIFile(filename: "{escaped}", directory: "")')

    def _add(self, key: tuple[object, ...], text: str) -> int:
        if key not in self._numbers:
            self._numbers[key] = FIRST_NUMBER + len(self._numbers)
            self.entries.append(f"!{self._numbers[key]} = {text}")
        return self._numbers[key]
