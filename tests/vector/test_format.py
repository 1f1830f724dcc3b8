"""docs/formats/vector-collection.md says where every byte is: a collection is read here by that page alone."""

import json
import re
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.vector.whole_collection import FIELDS, SCHEMA, id_of, point, write_whole

PAGE = (Path(__file__).parents[2] / "docs/formats/vector-collection.md").read_text()
FORMATS = {4: "<I", 8: "<Q"}


def table(heading: str, number: int = 0) -> list[tuple[int, int, str]]:
    """Return the (offset, size, meaning) rows of a section's table; those whose size is a number."""
    section = PAGE.split(f"{heading}\n", 1)[1].split("\n## ")[0]
    found = section.split("| offset | size | meaning |\n|---|---|---|\n")[number + 1]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (.*) \|$", found.split("\n\n")[0], re.MULTILINE)
    return [(int(offset), int(size), meaning) for offset, size, meaning in rows]


def read(data: bytes, rows: list[tuple[int, int, str]]) -> dict[str, Any]:
    """Return a structure's fields by what the page calls them, numbers where they have the size of one."""
    fields: dict[str, Any] = {}
    for offset, size, meaning in rows:
        raw = data[offset : offset + size]
        is_text = meaning.startswith("`")
        fields[meaning.split(";")[0]] = raw if size not in FORMATS or is_text else struct.unpack(FORMATS[size], raw)[0]
    return fields


def check(fields: dict[str, Any], magic: str) -> None:
    assert fields[f"`{magic}`"] == magic.encode()
    assert fields["version: 1"] == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("format") / "points"
    write_whole(made)
    return made


def sections(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return `about` and the arrays of a file of sections, every checksum compared."""
    data = path.read_bytes()
    fields = read(data, table("## Files of sections: .hks"))
    check(fields, "HKLSEG01")
    assert fields["bytes of the file"] == len(data)
    assert zlib.crc32(data[:12] + bytes(4) + data[16:64]) == fields["CRC-32 of bytes 0 to 63 with this field 0"]
    assert not any(fields["0"])
    start, size = fields["where the table begins"], fields["bytes of the table"]
    text = data[start : start + size]
    assert zlib.crc32(text) == fields["CRC-32 of the table"]
    document = json.loads(text)
    arrays = {}
    for name, (at, length, dtype, shape, checksum) in document["sections"].items():
        assert at % 4096 == 0
        assert zlib.crc32(data[at : at + length]) == checksum
        arrays[name] = np.frombuffer(data[at : at + length], dtype).reshape(shape)
    return document["about"], arrays


def manifest(folder: Path) -> dict[str, Any]:
    line, checksum = (folder / "manifest.json").read_bytes().splitlines()
    assert int(checksum, 16) == zlib.crc32(line)
    document: dict[str, Any] = json.loads(line)
    return document


def test_the_manifest_has_the_keys_that_the_page_has(folder: Path) -> None:
    document = manifest(folder)
    keys = re.findall(r"^\| `(\w+)` \|", PAGE.split("## manifest.json")[1].split("\n## ")[0], re.MULTILINE)
    assert list(document) == keys
    assert [sorted(entry) for entry in document["segments"]] == [["bytes", "deleted", "number", "rows"]] * 2


def test_a_segment_is_read_by_the_page(folder: Path) -> None:
    entry = manifest(folder)["segments"][0]
    path = folder / f"segment-{entry['number']:016x}.hks"
    assert path.stat().st_size == entry["bytes"]
    about, arrays = sections(path)
    assert about == {"rows": 40, "number": entry["number"], "is_optimised": True}
    for row in (0, 5, 8, 33):
        high, low = int(arrays["id.high"][row]), int(arrays["id.low"][row])
        key = next(k for k in range(40) if id_of(k) == low or getattr(id_of(k), "int", -1) == high << 64 | low)
        wanted = point(key)
        assert arrays["id.is_uuid"][row] == (key % 5 == 0)
        start, end = arrays["payload.offsets"][row : row + 2].tolist()
        assert json.loads(arrays["payload.text"][start:end].tobytes()) == wanted.payload
        assert arrays["dense..is_present"][row] == (key % 7 != 0)
        if key % 7:
            assert np.array_equal(arrays["dense..values"][row], np.asarray(wanted.vectors[""], np.float32))
        start, end = arrays["dense.late.offsets"][row : row + 2].tolist()
        assert np.array_equal(arrays["dense.late.values"][start:end], np.asarray(wanted.vectors["late"], np.float32))
        bits = np.unpackbits(arrays["dense.bits.values"][row], count=12, bitorder="little")
        assert np.array_equal(bits, np.asarray(wanted.vectors["bits"]))
        start, end = arrays["sparse.words.offsets"][row : row + 2].tolist()
        assert arrays["sparse.words.indices"][start:end].tolist() == [key % 5, 7 + key % 3]
        if key % 5:
            at = int(np.searchsorted(arrays["lookup.number"], key))
            assert arrays["lookup.number.row"][at] == row


def test_payload_indexes_are_read_by_the_page(folder: Path) -> None:
    number = manifest(folder)["segments"][0]["number"]
    _, arrays = sections(folder / f"segment-{number:016x}.hks")
    payloads = [
        json.loads(arrays["payload.text"][int(a) : int(b)].tobytes()) for a, b in pairwise(arrays["payload.offsets"])
    ]
    offsets, text = arrays["field.colour.terms.offsets"], arrays["field.colour.terms.text"]
    terms = [text[int(a) : int(b)].tobytes() for a, b in pairwise(offsets)]
    assert terms == [b"green", b"red"]
    first, last = arrays["field.colour.rows.offsets"][1:3].tolist()
    red = arrays["field.colour.rows"][first:last].tolist()
    assert red == [row for row, payload in enumerate(payloads) if payload["colour"] == "red"]
    rows = arrays["field.size.values.row"]
    assert arrays["field.size.values"].tolist() == [payloads[row]["size"] for row in rows]
    assert arrays["field.place.lat"].tolist() == [payloads[r]["place"]["lat"] for r in arrays["field.place.geo.row"]]
    assert arrays["field.size.present"].tolist() == [(1 << 40) - 1]
    assert arrays["field.text.lengths"].tolist() == [3] * 40


def test_every_section_of_a_segment_is_on_the_page(folder: Path) -> None:
    named = set(re.findall(r"`([\w.]+)`", PAGE))
    number = manifest(folder)["segments"][0]["number"]
    _, arrays = sections(folder / f"segment-{number:016x}.hks")
    for name in arrays:
        short = name
        for path in (*FIELDS, "text"):
            short = short.removeprefix(f"field.{path}.")
        for vector in (*SCHEMA.vectors, *SCHEMA.sparse):
            short = re.sub(rf"^(dense|sparse|graph)\.{vector}(?=\.|$)", r"\1.V", short)
        assert short in named, name


def test_deleted_rows_are_read_by_the_page(folder: Path) -> None:
    entry = manifest(folder)["segments"][0]
    about, arrays = sections(folder / entry["deleted"])
    assert (about, list(arrays)) == ({}, ["deleted"])
    _, rows = sections(folder / f"segment-{entry['number']:016x}.hks")
    word = int(arrays["deleted"][0])
    gone = {int(rows["id.low"][row]) for row in range(40) if word >> row & 1}
    assert gone == {1, 5, 6}


def test_the_log_is_read_by_the_page(folder: Path) -> None:
    path = folder / f"log-{manifest(folder)['log_start']:016x}.hkl"
    data = path.read_bytes()
    head = read(data, table("## The log"))
    check(head, "HKLLOG01")
    assert zlib.crc32(data[:24]) == head["CRC-32 of bytes 0 to 23"]
    sequence, at, kinds = head["number of the first batch"], 32, []
    while data[at:].strip(b"\0"):  # behind the last batch: zeros
        record = read(data[at : at + 24], table("## The log", 1))
        size = record["s: bytes of the batch"]
        checksum = record["CRC-32 of the record from byte 4 on, without what fills it up"]
        assert zlib.crc32(data[at + 4 : at + 24 + size]) == checksum
        assert record["number of the batch: one more than that of the batch before"] == sequence
        batch = data[at + 24 : at + 24 + size]
        length = read(batch, table("## The log", 2))["j: bytes of the document"]
        document = json.loads(batch[8 : 8 + length])
        kinds.append(document["data"])
        start = 8 + -(-length // 8) * 8
        arrays = {
            name: np.frombuffer(batch, dtype, int(np.prod(shape)), start + offset).reshape(shape)
            for name, (dtype, shape, offset) in document["arrays"].items()
        }
        if len(kinds) == 1:
            assert arrays["id.low"].tolist() == [60, 61]
        if len(kinds) == 2:
            assert arrays["delete.low"].tolist() == [2, 61]
        sequence, at = sequence + 1, at + 24 + -(-size // 8) * 8
    assert kinds == [["upserts"], ["deletes"], ["upserts"]]


def test_a_page_that_differs_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PAGE.replace("| 24 | 8 | where the table begins |", "| 32 | 8 | where the table begins |")
    monkeypatch.setattr("tests.vector.test_format.PAGE", wrong)
    with pytest.raises((AssertionError, ValueError)):
        sections(next(folder.glob("segment-*.hks")))
