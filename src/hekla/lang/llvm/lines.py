"""Source lines in LLVM text: debug locations for every instruction, by which remarks and assembly name their line."""

from dataclasses import dataclass, field

from hekla.lang.source import Span

FIRST_NUMBER = 10000  # of our metadata; lower numbers belong to llvm/text.py


@dataclass(slots=True)
class Lines:
    """Metadata of one module. `in_assembly` puts the lines into assembly too; else LLVM's remarks alone see them."""

    in_assembly: bool = False
    entries: list[str] = field(default_factory=list)
    places: dict[tuple[str, int, int], Span] = field(default_factory=dict)  # (symbol, line, column)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)

    def scope(self, symbol: str, home: Span) -> int:
        """Return the number of a function's own metadata; `home` is where the source defines it."""
        file, kind = self._file(home.file), self._add(("type",), "!DISubroutineType(types: !{null})")
        text = (
            f'distinct !DISubprogram(name: "{symbol}", linkageName: "{symbol}", scope: !{file}, file: !{file}, '
            f"line: {home.line}, type: !{kind}, scopeLine: {home.line}, "
            f"spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !{self._unit()})"
        )
        return self._add(("function", symbol), text)

    def location(self, symbol: str, home: Span, span: Span) -> int:
        """Return the number of a place in a function."""
        self.places.setdefault((symbol, span.line, span.column), span)
        text = f"!DILocation(line: {span.line}, column: {span.column}, scope: !{self.scope(symbol, home)})"
        return self._add(("place", symbol, span.line, span.column), text)

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
