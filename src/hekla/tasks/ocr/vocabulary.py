"""A recogniser's characters, read from the metadata of its ONNX file without loading the graph.

An ONNX file is one protobuf message, ModelProto. Of its fields only this one is read, the others are skipped over:

field             number  wire type  meaning
metadata_props        14  2 (bytes)  StringStringEntryProto: field 1 the key, field 2 the value, both UTF-8
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hekla.base.errors import ModelFileError

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_MAX_ENTRY_BYTES = 16 * 2**20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_characters(path: Path) -> tuple[str, ...]:
    """Return what each class of the recogniser means: class 0, the CTC blank, is "", the last one the space.

    The file lists the classes between these two as the lines of the entry `character`, as PaddleOCR's exporters write.
    Errors: ModelFileError if the file cannot be read, is no ONNX file, or has no such entry.
    """
    entries = read_metadata(path)
    if "character" not in entries:
        raise ModelFileError(
            "the model does not list its characters",
            where=str(path),
            cure="export the recogniser with the metadata entry `character`",
        )
    return ("", *entries["character"].splitlines(), " ")


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata entries of an ONNX file. Errors: ModelFileError if it cannot be read or is damaged."""
    entries: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for _, entry in _byte_fields(file, os.fstat(file.fileno()).st_size, wanted=(_METADATA_PROPS,)):
                fields = dict(_byte_fields(io.BytesIO(entry), len(entry), wanted=(_KEY, _VALUE)))
                entries[fields.get(_KEY, b"").decode()] = fields.get(_VALUE, b"").decode()
    except OSError as error:
        raise ModelFileError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, EOFError) as error:
        raise ModelFileError(f"not an ONNX file, or a damaged one: {error}", where=str(path)) from error
    return entries


def _byte_fields(file: BinaryIO, size: int, *, wanted: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """Yield (number, content) of the fields that are wanted, seeking over all others."""
    while file.tell() < size:
        tag = _varint(file)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _varint(file)
            continue
        if wire_type not in (_FIXED64, _BYTES, _FIXED32) or number == 0:
            raise ValueError(f"byte {file.tell()} starts no field")
        length = _varint(file) if wire_type == _BYTES else 8 if wire_type == _FIXED64 else 4
        if file.tell() + length > size:
            raise EOFError("a field reaches beyond the end")
        if number in wanted and wire_type == _BYTES:
            if length > _MAX_ENTRY_BYTES:
                raise ValueError(f"a metadata entry of {length} bytes")
            yield number, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("the file ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")
