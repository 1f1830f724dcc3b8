"""Write model folders of the byte-count text engine."""

from pathlib import Path

CORPUS = """\
The quick brown fox jumps over the lazy dog.

A stitch in time saves nine.

Grüße aus Wien, wo der Kaffee kräftig ist.

The end is near, said the clock, and struck one.
"""


def write_text_model(repository: Path, name: str = "words", *, engine: str = "", toml: str = "") -> Path:
    """Write a model; `engine` are further lines of [engine], `toml` follows it."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "model.toml").write_text(f'[engine]\nkind = "ngram"\n{engine}\n{toml}')
    (folder / "1" / "corpus.txt").write_text(CORPUS)
    return folder
