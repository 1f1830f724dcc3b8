"""Header blocks: our short ways and memory give what the hpack library gives."""

import contextlib

import pytest
from hpack import Encoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from hekla.serve.http2.frames import ConnectionFault, ErrorCode
from hekla.serve.http2.header_decoder import Fields, HeaderDecoder


def decoder(limit: int = 4096) -> HeaderDecoder[Fields]:
    return HeaderDecoder(limit, lambda fields: fields)


def read(reader: HeaderDecoder[Fields], block: bytes) -> Fields:
    """Look a block up as a connection does."""
    known = reader.remembered.get(block)
    return reader.decode(block) if known is None else known


NAMES = st.sampled_from([b":path", b"content-type", b"te", b"grpc-timeout", b"user-agent", b"x", b"cookie"])
VALUES = st.sampled_from([b"", b"/a.B/C", b"trailers", b"application/grpc", b"1S", b"999m", b"v" * 130, b"\xff\x00"])


@given(st.lists(st.tuples(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8), st.booleans()), max_size=12))
def test_whatever_an_encoder_says_is_what_we_read(lists: list[tuple[list[tuple[bytes, bytes, bool]], bool]]) -> None:
    encoder, reader = Encoder(), decoder(1 << 20)
    for fields, huffman in lists:
        given = [NeverIndexedHeaderTuple(name, value) if never else (name, value) for name, value, never in fields]
        block = encoder.encode(given, huffman=huffman)
        assert read(reader, block) == [(name, value) for name, value, _ in fields]


def test_a_remembered_block_is_forgotten_when_the_table_changes() -> None:
    encoder, reader = Encoder(), decoder()
    encoder.encode([])
    first = encoder.encode([(b"a", b"1")])
    newest = b"\xbe"  # the dynamic table's newest entry
    assert read(reader, first) == [(b"a", b"1")]
    assert read(reader, newest) == [(b"a", b"1")]
    assert newest in reader.remembered
    read(reader, encoder.encode([(b"b", b"2")]))
    assert read(reader, newest) == [(b"b", b"2")]


def test_only_so_many_blocks_are_remembered() -> None:
    reader = decoder()
    for number in range(1000):
        reader.decode(b"\x0f\x10\x03%03d" % number)  # content-type, not indexed
    assert 0 < len(reader.remembered) <= 128


@pytest.mark.parametrize("block", [b"\x83" * 200, b"\x0f\x10\x04abcd" * 100])
def test_a_list_over_the_limit_is_refused_on_the_short_way_too(block: bytes) -> None:
    with pytest.raises(ConnectionFault) as fault:
        decoder().decode(block)
    assert fault.value.code is ErrorCode.ENHANCE_YOUR_CALM


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    with contextlib.suppress(ConnectionFault):
        decoder().decode(block)
