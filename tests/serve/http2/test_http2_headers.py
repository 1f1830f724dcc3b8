"""Header blocks: our short ways and memory give what the hpack library gives."""

import pytest
from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple
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


def test_a_table_that_was_shrunk_keeps_nothing() -> None:
    reader = decoder()
    assert read(reader, b"\x20\x04\x01a") == [(b":path", b"a")]
    assert read(reader, b"\x44\x01b") == [(b":path", b"b")]  # added to a table of no size
    with pytest.raises(ConnectionFault):
        read(reader, b"\xbe")


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


BYTES = st.sampled_from([0x82, 0x83, 0xBE, 0xBF, 0xC0, 0x04, 0x0F, 0x10, 0x20, 0x3F, 0x41, 0x7E, 0x7F, 0, 1, 2, 0x82])


@given(st.lists(st.one_of(st.lists(BYTES, max_size=12).map(bytes), st.binary(max_size=40)), max_size=6))
def test_any_bytes_are_read_as_the_library_reads_them_or_refused(blocks: list[bytes]) -> None:
    library, reader = Decoder(4096), decoder()
    for block in blocks:
        try:
            expected = [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
        except (HPACKError, IndexError, ValueError):
            with pytest.raises(ConnectionFault):
                read(reader, block)
            return
        assert read(reader, block) == expected
