"""The load stage `image.decode`: an encoded picture to RGB pixels, whatever colour model it was stored in."""

import io
import struct
import zlib
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, InputError, ShapeError, TooLargeError
from hekla.protocols.stage import Stage, StageSource, Values
from hekla.protocols.tensor import TensorSpec
from hekla.tasks.options import read_options, require

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB

MAX_MEGAPIXELS = 64.0
_BACKGROUNDS = ("white", "black", "contrast")

# The formats are opened by name instead of through `Image.open`: what a picture may be is then decided here, not by
# what other code has registered, and Pillow's own size check, which warns before it refuses, is out of the way.
_FORMATS: tuple[tuple[bytes, Callable[[io.BytesIO], Image.Image]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"BM", BmpImageFile),
    (b"RIFF", WebPImageFile),
)

# What Pillow's readers raise on damaged files; the fuzz test in tests/tasks/test_image.py keeps the list honest.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """The table of `image.decode`."""

    max_megapixels: float = MAX_MEGAPIXELS
    background: str = "white"  # what shows through transparency; "contrast": black behind light ink, else white

    def __post_init__(self) -> None:
        require("max_megapixels", self.max_megapixels, at_least=0.000001, at_most=1000)
        if self.background not in _BACKGROUNDS:
            raise ConfigError(f"expected one of {', '.join(_BACKGROUNDS)}, got {self.background!r}", where="background")


class DecodeImage:
    """Replaces `image`, one JPEG, PNG, WebP or BMP file, by `pixels`, (height, width, 3) uint8 RGB."""

    inputs = (TensorSpec("image", DType.BYTES, (1,)),)
    outputs = ()

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: InputError, of which TooLargeError for a picture over the limit, found before it is decoded."""
        pixels = decode_image(one_bytes(values["image"], "image"), self._options, where="image")
        return without(values, "image") | {"pixels": pixels}


def load_decode_image(source: StageSource) -> Stage:
    """Make the stage `image.decode`. Errors: ConfigError for a wrong option."""
    return DecodeImage(read_options(DecodeOptions, source))


def one_bytes(value: NDArray[Any], where: str) -> bytes:  # Any: checked here
    """Return the only element of a BYTES tensor. Errors: ShapeError if there is not exactly one."""
    if value.size != 1:
        raise ShapeError(where, expected="[1]", got=value.shape)
    return bytes(value.reshape(-1)[0])


def without(values: Values, *names: str) -> dict[str, Any]:  # Any: the seam's
    """Return the values less those a stage has used up, so that a large one is freed while the request waits."""
    return {name: value for name, value in values.items() if name not in names}


def decode_image(encoded: bytes, options: DecodeOptions, *, where: str) -> Pixels:
    """Return the pixels of an encoded picture, upright, transparency flattened; the first frame of several.

    Shapes:  -> (height, width, 3) uint8 RGB, read-only; 16-bit samples keep their upper 8 bits.
    Errors:  InputError naming `where` for another format or damage; TooLargeError for a declared size over the
             limit, raised before memory for the pixels is asked for.
    """
    if not encoded:
        raise InputError("the image is empty", where=where, cure=_CURE)
    declared = _webp_size(encoded)  # libwebp allocates the canvas as it opens the file
    if declared is not None:
        _check_size(declared, options.max_megapixels, where)
    picture = _open(encoded, where)
    _check_size(picture.size, options.max_megapixels, where)
    try:
        picture.load()
        upright = _upright(picture)
        return np.asarray(_flattened(upright, options.background), dtype=np.uint8)
    except _DAMAGE as error:
        raise InputError(f"the {picture.format} image is damaged or cut short: {error}", where=where) from error


_CURE = "send the bytes of one JPEG, PNG, WebP or BMP file"


def _open(encoded: bytes, where: str) -> Image.Image:
    for signature, opener in _FORMATS:
        if encoded.startswith(signature):
            try:
                return opener(io.BytesIO(encoded))
            except _DAMAGE as error:
                raise InputError(f"the image's header is damaged: {error}", where=where, cure=_CURE) from error
    raise InputError(f"not a known image format: it starts with {encoded[:8]!r}", where=where, cure=_CURE)


def _check_size(size: tuple[int, int], max_megapixels: float, where: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"the image declares {width} x {height} pixels", where=where)
    if width * height > max_megapixels * 1e6:
        raise TooLargeError(
            where,
            limit=f"{max_megapixels:g} megapixels",
            got=f"{width} x {height} pixels ({width * height / 1e6:.1f} megapixels)",
            cure="scale the image down",
        )


def _webp_size(encoded: bytes) -> tuple[int, int] | None:
    """Return the (width, height) a WebP file declares, None for anything else (RFC 9649, sections 2.5 to 2.7)."""
    if encoded[:4] != b"RIFF" or encoded[8:12] != b"WEBP" or len(encoded) < 30:
        return None
    kind = encoded[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(encoded[24:27], "little"), 1 + int.from_bytes(encoded[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return (
            int.from_bytes(encoded[26:28], "little") & 0x3FFF,
            int.from_bytes(encoded[28:30], "little") & 0x3FFF,
        )
    return None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except _DAMAGE:
        return picture  # cameras and editors write broken EXIF beside sound pixels
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if method is None else picture.transpose(method)


def _flattened(picture: Image.Image, background: str) -> Image.Image:
    """Return the picture as RGB."""
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        grey = np.asarray(picture).astype(np.int64) >> 8
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    canvas = Image.new("RGBA", layered.size, _background(layered, background))
    return Image.alpha_composite(canvas, layered).convert("RGB")


def _background(layered: Image.Image, background: str) -> str:
    if background != "contrast":
        return background
    visible = np.asarray(layered.getchannel("A")) > 0
    luminance = np.asarray(layered.convert("RGB").convert("L"))[visible]
    return "black" if luminance.size and luminance.mean() >= 128 else "white"
