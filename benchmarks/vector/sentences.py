"""Sentences of English that are found on any Debian with Python, and their vectors by MiniLM: a real set.

Where they are from, in this order: docstrings of Python's standard library and its help topics, manual pages,
/usr/share/doc (copyright files, READMEs, changelogs) and the licences, docstrings of what is installed beside this
interpreter. A sentence is 20 to 300 characters; of those with the same letters one is taken. Which files there are
differs from machine to machine, so the set says how many sentences came from where; on one machine it is the same
each time. `python -m benchmarks.vector.sentences` makes the set (two minutes of two threads) and prints some of it.
"""

import ast
import gzip
import hashlib
import json
import os
import re
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.vector.environments import cache
from hekla.llm.encoder_engine import load
from hekla.protocols.engine import EngineSource
from hekla.samples.pulling import pull

SHORTEST, LONGEST = 20, 300
COUNT = 101_000  # the last 1,000 are questions
MOST_BYTES = 4 << 20  # of a file that is read
PER_FILE = 200  # sentences of one file: no manual drowns the others
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/_.`<>*+=%&#@!?\[\]-]*[.!?]")
_ROFF = re.compile(r"\\f(?:\[[A-Z]*\]|\([A-Z]{2}|[A-Z0-9])|\\s[+-]?\d|\\&|\\[|^/]|\\c$")


def sentences_of(text: str) -> Iterator[str]:
    """Yield the sentences of English prose in a text: paragraphs are parted by empty lines."""
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            if SHORTEST <= len(sentence) <= LONGEST and _is_prose(sentence):
                yield sentence


def _is_prose(sentence: str) -> bool:
    letters = sum(c.isalpha() or c == " " for c in sentence)
    return sentence.count(" ") >= 3 and letters >= 0.85 * len(sentence) and _PROSE.fullmatch(sentence) is not None


def docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a Python file; none of one that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node)
            if found:
                yield found


def without_roff(source: str) -> str:
    """Return a manual page's text: requests are dropped, what they set in another type is kept."""
    lines = []
    for line in source.splitlines():
        if line.startswith((".B ", ".I ", ".BR ", ".IR ", ".BI ", ".RB ", ".RI ", ".IB ")):
            first, _, rest = line.partition(" ")
            line = rest.replace('"', "") if len(first) == 2 else rest.replace(" ", "").replace('"', "")
        elif line.startswith((".", "'")):
            line = ""  # a request: as good as the end of a paragraph
        lines.append(_ROFF.sub("", line).replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\"))
    return "\n".join(lines)


def sources() -> Iterator[tuple[str, Path]]:
    """Yield (kind, file) for each file that is looked into, in order."""
    library = Path(sysconfig.get_path("stdlib"))
    packages = Path(sysconfig.get_path("purelib"))
    yield from (("standard library", path) for path in _files(library, "*.py") if "site-packages" not in path.parts)
    yield from (("manual", path) for path in _files(Path("/usr/share/man"), "*.gz") if path.parent.parent.name == "man")
    for folder in (Path("/usr/share/doc"), Path("/usr/share/common-licenses")):
        yield from (("documentation", path) for path in _files(folder, "*"))
    yield from (("installed packages", path) for path in _files(packages, "*.py"))


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file() and not path.is_symlink())


def _texts(kind: str, path: Path) -> Iterator[str]:
    if path.stat().st_size > MOST_BYTES:
        return
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode()
    except (OSError, EOFError, UnicodeDecodeError):
        return  # an odd file of somebody's package
    if path.suffix == ".py":
        yield from docstrings(text)
    elif kind == "manual":
        yield without_roff(text)
    elif "\0" not in text[:4096] and not text.lstrip().startswith("<"):
        yield text


def corpus(count: int) -> tuple[list[str], dict[str, int]]:
    """Return so many distinct sentences in an order that is as good as any, and how many came from where.

    Errors: ValueError where this machine has fewer.
    """
    found: dict[str, tuple[str, str]] = {}  # by their letters
    for kind, path in sources():
        taken = 0
        for text in _texts(kind, path):
            for sentence in sentences_of(text):
                letters = "".join(c for c in sentence.casefold() if c.isalpha())
                if letters not in found and taken < PER_FILE:
                    found[letters] = (sentence, kind)
                    taken += 1
    if len(found) < count:
        raise ValueError(f"{len(found)} sentences are on this machine, {count} are wanted")
    order = sorted(found, key=lambda letters: hashlib.sha256(letters.encode()).digest())[:count]
    kinds = [found[letters][1] for letters in order]
    return [found[letters][0] for letters in order], {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def embedded(sentences: Sequence[str], *, threads: int) -> NDArray[np.float32]:
    """Return their vectors (n, 384), of length 1, by the sample `minilm` on the compiled encoder.

    Errors: as `pull`, where the sample is not here and cannot be fetched.
    """
    models = cache() / "models"
    pull(("minilm",), models)
    source = EngineSource("minilm", 1, models / "minilm" / "1", options={"on_too_long": "truncate"}, threads=threads)
    engine = load(source)
    found = []
    for at in range(0, len(sentences), 2048):
        texts = np.array([sentence.encode() for sentence in sentences[at : at + 2048]], object)
        found.append(engine.run({"text": texts}, ("embedding",))["embedding"])
    engine.close()
    vectors: NDArray[np.float32] = np.concatenate(found)
    return vectors


def stored() -> tuple[list[str], NDArray[np.float32]]:
    """Return COUNT sentences and their vectors, made once: sentences.json and sentences.npy in the cache."""
    vectors_path, texts_path = cache() / "sentences.npy", cache() / "sentences.json"
    if not vectors_path.exists():
        cache().mkdir(parents=True, exist_ok=True)
        sentences, origin = corpus(COUNT)
        texts_path.write_text(json.dumps({"from": origin, "sentences": sentences}))
        unfinished = vectors_path.with_suffix(".new.npy")
        np.save(unfinished, embedded(sentences, threads=len(os.sched_getaffinity(0))))
        unfinished.rename(vectors_path)
    return json.loads(texts_path.read_text())["sentences"], np.load(vectors_path, mmap_mode="r")


def main() -> None:
    sentences, vectors = stored()
    origin = json.loads((cache() / "sentences.json").read_text())["from"]
    print(f"{len(vectors):,} sentences, vectors {vectors.shape}: " + ", ".join(f"{n:,} {k}" for k, n in origin.items()))
    print("\n".join(sentences[:10]))


if __name__ == "__main__":
    main()
