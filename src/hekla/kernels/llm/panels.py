"""Panels: how quantised matrices lie in memory so that one load of 64 bytes feeds the integer dot product.

A matrix (outputs, inputs) is cut into panels of 16 outputs; a panel of n inputs is, one part after the other:

    part    bytes per 32 inputs   meaning
    codes   256 (512: 8 bits)     vector j of 64 bytes, byte 4 * output + b: low half input 4j + b, high half
                                  input 16 + 4j + b; of 8 bits: eight vectors, byte 4 * output + b of g: input 4g + b
    high    0, 64, 128            5 bits: bit g of byte 4 * output + b is bit 4 of input 4g + b;
                                  6 bits: two vectors, bits 2 (g % 4) of vector g // 4
    scales  see STYLES            f16 and bytes, 16 outputs side by side

A weight is code * d + m, where d and m come from the scales:

    style    per       layout                                          d, m
    plain    32        d f16                                           d, -zero * d
    affine   32        d f16, m f16                                    d, m
    super    256       d f16, e f16; then 8 times: s u8, t u8          d * s, -(e * t)
    halves   256       d f16; then 16 times (per 16 inputs): s i8      d * s, -zero * d * s
    grouped  group     d f16, z u8                                     d, -(d * z)

A group is 32 inputs times a power of two.

Floats lie as 16 outputs of input 0, 16 outputs of input 1, ... Parts of a panel begin at multiples of 64 bytes.
"""

from dataclasses import dataclass

LANES = 16  # outputs of a panel
BLOCK = 32  # inputs that share one pair of d and m
SUPER = 256


@dataclass(frozen=True, slots=True)
class Kind:
    """How the weights of a matrix are stored. `zero` is the code of weight 0 where the style has no m."""

    name: str
    bits: int
    style: str
    zero: int = 0

    @property
    def is_float(self) -> bool:
        """True where weights are floats, of `bits` bits."""
        return self.style == "float"


KINDS = (
    Kind("Q4_0", 4, "plain", 8),
    Kind("Q4_1", 4, "affine"),
    Kind("Q5_0", 5, "plain", 16),
    Kind("Q5_1", 5, "affine"),
    Kind("Q8_0", 8, "plain", 128),
    Kind("Q4_K", 4, "super"),
    Kind("Q5_K", 5, "super"),
    Kind("Q6_K", 6, "halves", 32),
    Kind("AWQ4", 4, "grouped"),
    Kind("F16", 16, "float"),
    Kind("BF16", 16, "float"),
    Kind("F32", 32, "float"),
)
NUMBERS = {kind.name: number for number, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class PanelLayout:
    """Where the parts of one panel lie, in bytes from its start."""

    high: int
    scales: int
    bytes: int


def aligned(size: int) -> int:
    """Return the next multiple of 64."""
    return -(-size // 64) * 64


def panel_layout(kind: Kind, inputs: int, group: int = BLOCK) -> PanelLayout:
    """Return the layout of a panel of so many inputs; `group` is how many share a scale (style grouped)."""
    if kind.is_float:
        size = inputs * LANES * kind.bits // 8
        return PanelLayout(size, size, aligned(size))
    blocks = inputs // BLOCK
    high = blocks * (512 if kind.bits == 8 else 256)
    scales = high + blocks * {4: 0, 5: 64, 6: 128, 8: 0}[kind.bits]
    size = {
        "plain": 32 * blocks,
        "affine": 64 * blocks,
        "super": 320 * (inputs // SUPER),
        "halves": 288 * (inputs // SUPER),
        "grouped": 48 * (inputs // group),
    }[kind.style]
    return PanelLayout(high, scales, aligned(scales + size))
