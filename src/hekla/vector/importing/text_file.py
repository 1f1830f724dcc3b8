"""Plain text: a point for each line, or for each paragraph (lines up to an empty one).

The payload is {"text": ..., "line": number of its first line}. They have no vector: an embedding model gives it, if the
collection has any.
"""

from collections.abc import Iterator
from pathlib import Path

from hekla.vector.errors import DamagedError
from hekla.vector.importing.source import Names, Unnumbered
from hekla.vector.point import Point

TEXT, LINE = "text", "line"


class LineSource:
    """A file's lines that are not blank. Errors: DamagedError for what is not UTF-8."""

    def __init__(self, path: Path, names: Names) -> None:
        self._path = path
        self.total, self.done = path.stat().st_size, 0

    def chunks(self, points: int) -> Iterator[Unnumbered]:
        """Yield a point for each text."""
        made: list[Point] = []
        for number, text in self._texts():
            made.append(Point(0, {}, {TEXT: text, LINE: number}))
            if len(made) == points:
                yield Unnumbered(made)
                made = []
        if made:
            yield Unnumbered(made)

    def _texts(self) -> Iterator[tuple[int, str]]:
        return ((number, line) for number, line in self._lines() if line)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield every line's number and text, blanks at its ends removed."""
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DamagedError(
                        "is not UTF-8", where=f"{self._path}:{number}", cure="convert it first"
                    ) from error
                self.done += len(line)
                yield number, text.strip()


class ParagraphSource(LineSource):
    """A file's paragraphs, each as one line. Errors: as `LineSource`."""

    def _texts(self) -> Iterator[tuple[int, str]]:
        first, lines = 0, list[str]()
        for number, line in self._lines():
            if line:
                first = first or number
                lines.append(line)
            elif lines:
                yield first, " ".join(lines)
                first, lines = 0, []
        if lines:
            yield first, " ".join(lines)
