"""On which line each key of a TOML document stands, which `tomllib` does not tell."""

import tomllib
from collections.abc import Mapping

# A place in the parsed document: ("batching", "pad", 0, "axis").
KeyPath = tuple[str | int, ...]


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line, counted from 1, of every key and table header of a document `tomllib` has accepted.

    Tables count from their header, keys inside inline tables from where they stand; the elements of an array of
    inline tables are numbered as those of an array of tables are. () is line 1.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Reads keys and steps over values. The document is known to be valid: nothing is checked twice."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n") + "\n"
        self.at = 0
        self.lines: dict[KeyPath, int] = {(): 1}
        self._counts: dict[KeyPath, int] = {}  # arrays of tables seen so far
        self._counted_to, self._line = 0, 1

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                self.at += 2
                table = self._next_element(self._key())
                self._note(table)
                self.at = self.text.index("]]", self.at) + 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._resolve(self._key())
                self._note_all(table)
                self.at = self.text.index("]", self.at) + 1
            else:
                self._pair(table)

    def _pair(self, table: KeyPath) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _note(self, path: KeyPath) -> None:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        self.lines.setdefault(path, self._line)

    def _note_all(self, path: KeyPath) -> None:
        for end in range(1, len(path) + 1):
            self._note(path[:end])

    def _resolve(self, names: tuple[str, ...]) -> KeyPath:
        """Return where a header points: through an array of tables it means the array's last element."""
        path: KeyPath = ()
        for name in names:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _next_element(self, names: tuple[str, ...]) -> KeyPath:
        array = (*self._resolve(names[:-1]), names[-1])
        count = self._counts.get(array, 0)
        self._counts[array] = count + 1
        self._note_all(array)
        return (*array, count)

    def _skip_blank(self) -> bool:
        """Step over white space, commas and comments; return False at the end."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self.text.index("\n", self.at)
            elif self.text[self.at] not in " \t\n,":
                return True
            else:
                self.at += 1
        return False

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip_blank()
            start = self.at
            if self.text[start] in "\"'":
                self._string()
                parts.append(_unquoted(self.text[start : self.at]))
            else:
                while self.text[self.at] not in " \t=.]":
                    self.at += 1
                parts.append(self.text[start : self.at])
            self._skip_blank()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self.at += 1
            index = 0
            while self._skip_blank() and self.text[self.at] != "]":
                self._note((*path, index))
                self._value((*path, index))
                index += 1
            self.at += 1
        elif char == "{":
            self.at += 1
            while self._skip_blank() and self.text[self.at] != "}":
                self._pair(path)
            self.at += 1
        else:
            while self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            self.at += 3
            self._until(quote * 3)
            while self.text[self.at] == quote:  # up to two more quotes belong to the string
                self.at += 1
        else:
            self.at += 1
            self._until(quote)

    def _until(self, end: str) -> None:
        while not self.text.startswith(end, self.at):
            self.at += 2 if end[0] == '"' and self.text[self.at] == "\\" else 1
        self.at += len(end)


def _unquoted(key: str) -> str:
    # Escapes in keys are resolved by the one parser that knows them all.
    return str(tomllib.loads(f"key = {key}")["key"])
