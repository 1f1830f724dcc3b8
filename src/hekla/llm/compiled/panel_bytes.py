"""A tensor as its file has it, rearranged into panels (`hekla.kernels.llm.panels`), in NumPy.

Nothing is rounded: codes and scales keep their bits, only their places change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.llm.panels import LANES, Kind, panel_layout
from hekla.llm.awq import unpacked
from hekla.llm.dequantise import scales_and_minima
from hekla.llm.tensors import StoredTensor

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows of a quantised matrix. n: rows, b: blocks of 32 inputs.

    nibbles (n, b, 16): low halves are inputs 0 to 15, high ones 16 to 31; high (n, b, 32) further bits, or None;
    or bytes (n, b, 32), codes of 8 bits. scales: parts (n, count, unit bytes), in the order a panel interleaves them.
    """

    nibbles: U8 | None
    high: U8 | None
    bytes: U8 | None
    scales: tuple[U8, ...]


def pack_rows(kind: Kind, rows: U8, inputs: int, out: U8) -> None:
    """Write panels of rows as the file has them.

    Shapes: rows (16 p, bytes of a row) u8 -> out (p, bytes of a panel) u8, zeroed. Not for AWQ.
    """
    if kind.is_float:
        size = kind.bits // 8
        values = rows.view(f"u{size}").reshape(-1, LANES, inputs).transpose(0, 2, 1)
        out[:, : inputs * LANES * size].view(f"u{size}").reshape(values.shape)[:] = values
        return
    count = len(rows)
    write_parts(kind, PARTS[kind.name](rows.reshape(count, -1)), inputs, out)


def write_parts(kind: Kind, parts: Parts, inputs: int, out: U8, group: int = 32) -> None:
    """Write panels of parts into out (p, bytes of a panel)."""
    layout = panel_layout(kind, inputs, group)
    blocks = inputs // 32
    if parts.bytes is not None:
        words = parts.bytes.view("<u4").reshape(-1, LANES, blocks, 8)
        out[:, : layout.high].view("<u4").reshape(-1, blocks, 8, LANES)[:] = words.transpose(0, 2, 3, 1)
    if parts.nibbles is not None:
        words = parts.nibbles.view("<u4").reshape(-1, LANES, blocks, 4)
        out[:, : layout.high].view("<u4").reshape(-1, blocks, 4, LANES)[:] = words.transpose(0, 2, 3, 1)
    if parts.high is not None:
        planes = out[:, layout.high : layout.scales]
        bits = kind.bits - 4
        steps = 8 // bits  # codes a byte holds
        # (p, 16, blocks, planes, codes of a byte, 4 inputs)
        high = parts.high.reshape(-1, LANES, blocks, 8 // steps, steps, 4)
        joined = np.bitwise_or.reduce(high << (bits * np.arange(steps, dtype=np.uint8))[:, None], axis=4)
        planes.reshape(-1, blocks, 8 // steps, LANES, 4)[:] = joined.transpose(0, 2, 3, 1, 4)
    write_scales(kind, parts.scales, out[:, layout.scales :])


def write_scales(kind: Kind, scales: tuple[U8, ...], out: U8) -> None:
    """Write the scales' part of panels. Each of scales (16 p, count, unit): a unit of 16 outputs stands together."""
    by_panel = [s.reshape(-1, LANES, *s.shape[1:]).transpose(0, 2, 1, 3) for s in scales]  # (p, count, 16, unit)
    flat = [s.reshape(*s.shape[:2], -1) for s in by_panel]
    if kind.style == "super":
        d, e, s, t = flat
        pairs = np.concatenate([s, t], axis=2).reshape(len(s), d.shape[1], -1)  # eight blocks of a super block
        joined = np.concatenate([d, e, pairs], axis=2)
    elif kind.style == "halves":
        d, s = flat
        joined = np.concatenate([d, s.reshape(len(s), d.shape[1], -1)], axis=2)
    else:
        joined = np.concatenate(flat, axis=2)
    joined = joined.reshape(len(joined), -1)
    out[:, : joined.shape[1]] = joined


def awq_parts(tensor: StoredTensor, order: I64) -> Parts:
    """Return the rows `order` (below 0: a row of zeros) of an AWQ matrix."""
    outputs, inputs = tensor.shape
    assert tensor.scales is not None
    assert tensor.zeros is not None
    none = order < 0
    codes = unpacked(tensor.data.view("<u4").reshape(inputs, outputs // 8)).T[order]  # (n, inputs)
    zeros = unpacked(tensor.zeros.reshape(-1).view("<u4").reshape(-1, outputs // 8)).T[order]
    scales = np.where(none[:, None], np.float16(0), tensor.scales.T[order]).astype("<f2")
    halves = codes.reshape(len(order), -1, 2, 16)
    scale_bytes = np.ascontiguousarray(scales).view(np.uint8).reshape(*scales.shape, 2)
    return Parts(
        np.ascontiguousarray(halves[:, :, 0] | halves[:, :, 1] << 4), None, None, (scale_bytes, zeros[:, :, None])
    )


def _blocks(rows: U8, size: int) -> U8:
    return rows.reshape(len(rows), -1, size)


def _copy(part: U8) -> U8:
    return np.ascontiguousarray(part)


def _q4_0(rows: U8) -> Parts:
    b = _blocks(rows, 18)
    return Parts(_copy(b[:, :, 2:]), None, None, (b[:, :, :2],))


def _q4_1(rows: U8) -> Parts:
    b = _blocks(rows, 20)
    return Parts(_copy(b[:, :, 4:]), None, None, (b[:, :, :2], b[:, :, 2:4]))


def _fifth(packed: U8) -> U8:
    return np.unpackbits(packed, axis=2, bitorder="little")


def _q5_0(rows: U8) -> Parts:
    b = _blocks(rows, 22)
    return Parts(_copy(b[:, :, 6:]), _fifth(b[:, :, 2:6]), None, (b[:, :, :2],))


def _q5_1(rows: U8) -> Parts:
    b = _blocks(rows, 24)
    return Parts(_copy(b[:, :, 8:]), _fifth(b[:, :, 4:8]), None, (b[:, :, :2], b[:, :, 2:4]))


def _q8_0(rows: U8) -> Parts:
    b = _blocks(rows, 34)
    return Parts(None, None, _copy(b[:, :, 2:]) ^ np.uint8(128), (b[:, :, :2],))


def _from_codes(low: U8) -> U8:
    """Return nibbles by blocks from codes below 16, (n, b, 32)."""
    packed: U8 = low[:, :, :16] | low[:, :, 16:] << np.uint8(4)
    return packed


def _low_by_64(packed: U8) -> U8:
    """Return low 4 bits of super blocks whose every 32 bytes hold 64 codes: (n, s, 128) -> (n, 8 s, 32)."""
    quarters = packed.reshape(*packed.shape[:2], 4, 1, 32)
    return np.concatenate([quarters & 15, quarters >> 4], axis=3).reshape(len(packed), -1, 32)


def _super_scales(b: U8) -> tuple[U8, ...]:
    count = len(b)
    scales, minima = scales_and_minima(b[:, :, 4:16].reshape(-1, 12))
    return b[:, :, :2], b[:, :, 2:4], scales.reshape(count, -1, 1), minima.reshape(count, -1, 1)


def _q4_k(rows: U8) -> Parts:
    b = _blocks(rows, 144)
    return Parts(_from_codes(_low_by_64(b[:, :, 16:])), None, None, _super_scales(b))


def _q5_k(rows: U8) -> Parts:
    b = _blocks(rows, 176)
    fifth = np.unpackbits(b[:, :, 16:48, None], axis=3, bitorder="little").transpose(0, 1, 3, 2)  # (n, s, 8, 32)
    high = _copy(fifth).reshape(len(b), -1, 32)
    return Parts(_from_codes(_low_by_64(b[:, :, 48:])), high, None, _super_scales(b))


def _q6_k(rows: U8) -> Parts:
    b = _blocks(rows, 210)
    count = len(b)
    low = b[:, :, :128].reshape(count, -1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=3).reshape(count, -1, 32)
    high = b[:, :, 128:192].reshape(count, -1, 2, 1, 32)
    high = np.concatenate([high >> shift & 3 for shift in (0, 2, 4, 6)], axis=3).reshape(count, -1, 32)
    return Parts(_from_codes(low), high, None, (b[:, :, 208:], b[:, :, 192:208].reshape(count, -1, 1)))


PARTS: Mapping[str, Callable[[U8], Parts]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
