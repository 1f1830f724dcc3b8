"""GGUF files: what the writer writes the reader reads, and nothing hostile gets further than a typed error."""

import contextlib
import struct
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.llm.files.small_files import SMALL, write_small_gguf

from hekla.base.errors import HeklaError, ModelFileError, NotFoundError, UnsupportedError
from hekla.llm.gguf import Strings, read_gguf
from hekla.llm.gguf_writer import TensorToWrite, write_gguf
from hekla.llm.metadata import MetadataValue
from hekla.llm.model_file import open_model
from hekla.llm.model_language import ModelLanguage
from hekla.llm.tensors import Quantisation


def string(text: str | bytes) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(content)) + content


def tensor_row(name: str, extents: tuple[int, ...], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, kind, offset)


def file_of(rows: list[bytes], pairs: list[bytes] = [], data: bytes = b"", *, version: int = 3) -> bytes:  # noqa: B006  read only
    head = b"GGUF" + struct.pack("<IQQ", version, len(rows), len(pairs)) + b"".join(pairs) + b"".join(rows)
    return head + bytes(-len(head) % 32) + data


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "hostile.gguf"
        path.write_bytes(content)
        return path

    return write


def test_metadata_and_tensors_come_back_as_they_were_written(tmp_path: Path) -> None:
    metadata: dict[str, MetadataValue] = {
        "text": "grüße",
        "yes": True,
        "small": 7,
        "large": 1 << 40,
        "below": -5,
        "far_below": -(1 << 40),
        "half": 0.5,
        "texts": ["a", "", "ß"],
        "numbers": np.arange(5, dtype=np.int32),
        "none": [],
    }
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensors = [
        TensorToWrite(name, Quantisation.F32, (3, 4), lambda: values.reshape(-1).view(np.uint8)) for name in "ab"
    ]
    write_gguf(tmp_path / "m.gguf", metadata, tensors)
    file = read_gguf(tmp_path / "m.gguf")
    arrays = {key: list(value) for key, value in file.metadata.items() if isinstance(value, np.ndarray | Sequence)}
    found = {**file.metadata, **arrays, "text": file.metadata["text"]}
    assert found == {**metadata, "numbers": [0, 1, 2, 3, 4]}
    assert [tensor.shape for tensor in file.tensors.values()] == [(3, 4), (3, 4)]
    np.testing.assert_array_equal(file.tensors["b"].data.view(np.float32).reshape(3, 4), values)
    assert not file.tensors["b"].data.flags.writeable


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_small_gguf(tmp_path / "m.gguf")
    before = path.read_bytes()

    def fail() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_gguf(path, {}, [TensorToWrite("a", Quantisation.F32, (8,), fail)])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected it to begin with b'GGUF', found b''"),
        (b"PK\x03\x04 a zip", "found b'PK"),
        (b"GGUF\x03\x00", "version at byte 4: expected 4 bytes more, the file has 2"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 62, 0), "4611686018427387904 tensors announced"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, (1 << 64) - 1), "18446744073709551615 metadata pairs announced"),
        (file_of([], [string("k") + struct.pack("<IQ", 8, 1 << 63)]), "value of 'k' of 9223372036854775808 bytes"),
        (file_of([], [string("k") + struct.pack("<IIQ", 9, 8, 1 << 60)]), "items of 'k' announced"),
        (file_of([], [string("k") + struct.pack("<IIQ", 9, 6, 1 << 61)]), "items of 'k' announced"),
        (file_of([], [string("k") + struct.pack("<I", 13)]), "'k': expected a kind from 0 to 12, found 13"),
        (file_of([], [string("k") + struct.pack("<II", 4, 1)] * 2), "has the key 'k' twice"),
        (file_of([], [string(b"\xff\xfe") + struct.pack("<II", 4, 1)]), "expected UTF-8, found b'\\xff\\xfe'"),
        (file_of([], [string("general.alignment") + struct.pack("<II", 4, 3)]), "expected a power of two"),
        (file_of([], [string("general.alignment") + struct.pack("<II", 4, 0)]), "expected a power of two"),
        (file_of([tensor_row("t", (1 << 63, 1 << 63), 0, 0)]), "ends at byte 3402823669209384634633"),
        (file_of([tensor_row("t", (4, 0), 0, 0)]), "needs rows of whole blocks of 1, found (0, 4)"),
        (file_of([tensor_row("t", (), 0, 0)]), "expected 1 to 4 dimensions, found 0"),
        (file_of([string("t") + struct.pack("<I", 1 << 31)]), "expected 1 to 4 dimensions, found 2147483648"),
        (file_of([tensor_row("t", (33,), 2, 0)], data=bytes(64)), "needs rows of whole blocks of 32, found (33,)"),
        (file_of([tensor_row("t", (8,), 0, 8)], data=bytes(64)), "a multiple of 32, found 8"),
        (file_of([tensor_row("t", (8,), 0, 32)], data=bytes(32)), "ends at byte 64 of the data, which has 32"),
        (file_of([tensor_row("t", (8,), 0, 0)] * 2, data=bytes(64)), "'t' is there twice"),
        (
            file_of([tensor_row("a", (16,), 0, 0), tensor_row("b", (8,), 0, 32)], data=bytes(64)),
            "'a' and 'b' overlap at byte 32",
        ),
    ],
)
def test_a_hostile_file_is_refused_with_what_was_found(
    written: Callable[[bytes], Path], content: bytes, message: str
) -> None:
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as refused:
            read_gguf(written(content))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert message in str(refused.value)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file_of([], version=1), "GGUF version 1"),
        (file_of([], version=3 << 24), "GGUF version 3 in big-endian order"),
        (file_of([tensor_row("blk.0.x", (256,), 16, 0)]), "tensor 'blk.0.x' has the quantisation IQ2_XXS"),
        (
            file_of([tensor_row("t", (256,), 10, 0)]),
            "the quantisation Q2_K; convert the model to one of BF16, F16, F32",
        ),
        (file_of([tensor_row("t", (256,), 4711, 0)]), "the quantisation number 4711"),
        (file_of([], [string("k") + struct.pack("<IIQ", 9, 9, 1)]), "'k' is an array of arrays"),
    ],
)
def test_what_is_not_read_is_named(written: Callable[[bytes], Path], content: bytes, message: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        read_gguf(written(content))
    assert message in str(refused.value)


def test_a_string_that_is_no_utf8_is_named_when_it_is_read(written: Callable[[bytes], Path]) -> None:
    items = string("fine") + string(b"\xc3")
    file = read_gguf(written(file_of([], [string("k") + struct.pack("<IIQ", 9, 8, 2) + items])))
    strings = file.metadata["k"]
    assert isinstance(strings, Strings)
    with pytest.raises(ModelFileError, match="'k': expected UTF-8"):
        list(strings)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.text(max_size=4), st.text("\0a", max_size=20), st.text("b\x7f", max_size=200)), max_size=6)
)
def test_arrays_of_any_texts_are_read_alike(written: Callable[[bytes], Path], texts: list[str]) -> None:
    content = b"".join(string(text) for text in texts)
    pair = string("k") + struct.pack("<IIQ", 9, 8, len(texts)) + content
    strings = read_gguf(written(file_of([], [pair]))).metadata["k"]
    assert isinstance(strings, Strings)
    assert list(strings) == [strings[at] for at in range(len(strings))] == texts
    assert list(strings[1:]) == texts[1:]
    assert list(strings[::2]) == texts[::2]


def test_a_folder_that_has_no_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(NotFoundError, match="no model here"):
        open_model(tmp_path)


def opened(path: Path) -> None:
    """Do what starting an engine does with a file, up to its first prompt."""
    language = ModelLanguage(open_model(path))
    language.decode(language.encode("hello world <|im_end|>", is_special=True))
    if language.has_chat_template:
        language.render_chat([{"role": "user", "content": "hello"}])


@pytest.mark.slow
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_small_gguf(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in [*range(1200), *range(1200, len(whole) - 32, 997)]:
        cut.write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            open_model(cut)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_small_gguf(tmp_path_factory.mktemp("whole") / "m.gguf", SMALL, Quantisation.Q4_1).read_bytes()


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_in_the_header_never_end_in_anything_but_a_typed_error(
    whole: bytes, written: Callable[[bytes], Path], flips: list[tuple[int, int]]
) -> None:
    content = bytearray(whole)
    for at, value in flips:
        content[at % len(content)] = value
    with contextlib.suppress(HeklaError):
        opened(written(bytes(content)))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 8000),
    st.sampled_from([0, 1, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
)
def test_extreme_numbers_anywhere_in_the_header_never_end_in_anything_but_a_typed_error(
    whole: bytes, written: Callable[[bytes], Path], at: int, number: int
) -> None:
    content = bytearray(whole)
    content[at : at + 8] = number.to_bytes(8, "little")
    with contextlib.suppress(HeklaError):
        opened(written(bytes(content)))


def test_the_unharmed_file_opens(whole: bytes, written: Callable[[bytes], Path]) -> None:
    opened(written(whole))
