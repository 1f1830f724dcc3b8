"""The pair d, m of each block of 32 inputs, for the 16 outputs of a panel: weight = code * d + m (`panels.py`).

Products of the stored scales are exact in f32: at most 11 + 7 bits.
"""

from hekla.lang import Const, Vec, View, bitcast, f16, f32, i8, index, kernel, load, u8


@kernel(inline=True)
def halves_at(w: View[u8, 1], h: View[f16, 1], at: index) -> Vec[f32, 16]:
    """Sixteen f16 at a byte."""
    return f32(load(h, at // 2, width=16))


@kernel(inline=True)
def scale_of(w: View[u8, 1], h: View[f16, 1], scales: index, b: index, per: index, *, style: Const) -> Vec[f32, 16]:
    """Return d of block b; 2 to the `per` blocks share a scale in style grouped."""
    if style == "plain":
        return halves_at(w, h, scales + b * 32)
    if style == "affine":
        return halves_at(w, h, scales + b * 64)
    if style == "super":
        at = scales + (b >> 3) * 320
        return halves_at(w, h, at) * f32(load(w, at + 64 + (b & 7) * 32, width=16))
    return halves_at(w, h, scales + (b >> per) * 48)


@kernel(inline=True)
def shift_of(
    w: View[u8, 1], h: View[f16, 1], scales: index, b: index, per: index, d: Vec[f32, 16], *, style: Const, zero: Const
) -> Vec[f32, 16]:
    """Return m of block b, whose d is known."""
    if style == "plain":
        return d * (-zero)
    if style == "affine":
        return halves_at(w, h, scales + b * 64 + 32)
    if style == "super":
        at = scales + (b >> 3) * 320
        return -(halves_at(w, h, at + 32) * f32(load(w, at + 80 + (b & 7) * 32, width=16)))
    return -(d * f32(load(w, scales + (b >> per) * 48 + 32, width=16)))


@kernel(inline=True)
def half_scale(w: View[u8, 1], h: View[f16, 1], scales: index, half: index) -> Vec[f32, 16]:
    """Return d of the inputs 16 * half to 16 * half + 15, style halves."""
    at = scales + (half >> 4) * 288
    signed = bitcast(Vec[i8, 16], load(w, at + 32 + (half & 15) * 16, width=16))
    return halves_at(w, h, at) * f32(signed)
