"""The load stage `image.decode`: what it shows of a picture, and what it refuses."""

import contextlib
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hekla.base.errors import ConfigError, InputError, ShapeError, TooLargeError
from hekla.protocols.stage import Stage, StageSource
from hekla.tasks.image import DecodeOptions, Pixels, decode_image, load_decode_image

EXAMPLES = Path(__file__).parents[2] / "examples"
DEFAULTS = DecodeOptions()


def stage(**options: object) -> Stage:
    return load_decode_image(StageSource("m", Path(), options, "model.toml: [pipeline.load]"))


def tensor(*files: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
    array = np.empty(len(files), dtype=np.object_)
    array[:] = files
    return array


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(file: bytes, options: DecodeOptions = DEFAULTS) -> Pixels:
    return decode_image(file, options, where="image")


def corner_picture(width: int = 7, height: int = 5) -> Image.Image:
    """Return a grey picture no two of whose eight orientations are alike."""
    picture = Image.new("L", (width, height), 40)
    picture.putpixel((0, 0), 250)
    picture.putpixel((1, 0), 150)
    return picture


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_decoding_undoes_lossless_encoding(
    kind: str, options: dict[str, object], width: int, height: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(decoded(encoded(Image.fromarray(pixels), kind, **options)), pixels)


def test_a_jpeg_comes_back_within_its_own_loss() -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (48, 1, 3))
    found = decoded(encoded(Image.fromarray(ramp), "JPEG", quality=95))
    assert found.shape == (48, 64, 3)
    assert np.abs(found.astype(int) - ramp).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_orientation_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(corner_picture(48, 32).convert("RGB"), kind, exif=exif, quality=95)
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    assert np.array_equal(decoded(file), np.asarray(oracle.convert("RGB")))


def test_the_orientation_test_can_tell_all_eight_apart() -> None:
    turned = [corner_picture()] + [corner_picture().transpose(method) for method in Image.Transpose]
    assert len({(picture.size, picture.tobytes()) for picture in turned}) == 8


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_does_not_hide_the_picture() -> None:
    file = encoded(corner_picture(16, 16), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decoded(file).shape == (16, 16, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_opaque_colour_models_look_as_pillow_shows_them(mode: str) -> None:
    picture = Image.linear_gradient("L").resize((20, 16)).convert(mode)
    assert np.array_equal(decoded(encoded(picture, "PNG")), np.asarray(picture.convert("RGB")))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    red = Image.new("RGB", (16, 16), (220, 30, 30)).convert("CMYK")
    assert np.abs(decoded(encoded(red, "JPEG", quality=95)).astype(int) - (220, 30, 30)).max() <= 6


def test_sixteen_bit_grey_keeps_its_upper_eight_bits() -> None:
    levels = np.array([[0, 255, 256, 0x1234, 0xFFFF]], dtype=np.uint16)
    found = decoded(encoded(Image.fromarray(levels), "PNG"))
    assert found[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]
    assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_shows_the_background(mode: str) -> None:
    picture = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    picture.putpixel((2, 0), (0, 0, 0, 51))
    file = encoded(picture.convert(mode), "PNG")
    assert decoded(file)[0, :, 0].tolist() == [0, 255, 204]
    assert decoded(file, DecodeOptions(background="black"))[0, :, 0].tolist() == [0, 0, 0]


def test_a_transparent_palette_colour_shows_the_background() -> None:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    assert decoded(encoded(picture, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize(("mode", "key"), [("RGB", (10, 10, 10)), ("L", 10)])
def test_a_transparent_key_colour_shows_the_background(mode: str, key: object) -> None:
    picture = Image.new("L", (2, 1), 10)
    picture.putpixel((1, 0), 40)
    assert decoded(encoded(picture.convert(mode), "PNG", transparency=key))[0, :, 0].tolist() == [255, 40]


@pytest.mark.parametrize(("ink", "behind"), [(250, 0), (20, 255)])
def test_a_contrasting_background_makes_ink_visible(ink: int, behind: int) -> None:
    picture = Image.new("RGBA", (9, 9), (128, 128, 128, 0))
    picture.putpixel((4, 4), (ink, ink, ink, 255))
    found = decoded(encoded(picture, "PNG"), DecodeOptions(background="contrast"))
    assert (found[4, 4, 0], found[0, 0, 0]) == (ink, behind)


def test_a_picture_of_nothing_is_white() -> None:
    nothing = encoded(Image.new("RGBA", (2, 2), (255, 255, 255, 0)), "PNG")
    assert decoded(nothing, DecodeOptions(background="contrast")).min() == 255


# Files that declare 100 000 x 100 000 pixels, or the most their format can, over a few bytes of content.


def png_bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def jpeg_bomb() -> bytes:
    file = bytearray(encoded(corner_picture(8, 8), "JPEG"))
    frame = file.index(b"\xff\xc0")
    file[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(file)


def bmp_bomb() -> bytes:
    file = bytearray(encoded(corner_picture(8, 8), "BMP"))
    file[18:26] = struct.pack("<ii", 100_000, 100_000)
    return bytes(file)


def webp_bomb() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 1
    file = bytearray(encoded(corner_picture(8, 8).convert("RGB"), "WEBP", exif=exif))
    assert file[12:16] == b"VP8X"
    file[24:30] = (99_999).to_bytes(3, "little") * 2
    return bytes(file)


def webp_lossy_bomb() -> bytes:
    file = bytearray(encoded(corner_picture(8, 8).convert("RGB"), "WEBP"))
    assert file[12:16] == b"VP8 "
    file[26:30] = struct.pack("<HH", 16_383, 16_383)
    return bytes(file)


def webp_lossless_bomb() -> bytes:
    file = bytearray(encoded(corner_picture(8, 8).convert("RGB"), "WEBP", lossless=True))
    assert file[12:16] == b"VP8L"
    file[21:25] = (16_382 | 16_382 << 14).to_bytes(4, "little")
    return bytes(file)


BOMBS = (png_bomb, jpeg_bomb, bmp_bomb, webp_bomb, webp_lossy_bomb, webp_lossless_bomb)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_an_image_bomb_is_refused_before_memory_is_asked_for(bomb: Callable[[], bytes]) -> None:
    file = bomb()
    tracemalloc.start()
    with pytest.raises(TooLargeError, match=r"^image: the limit is 64 megapixels, got \d+ x \d+ pixels"):
        decoded(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_limit_is_the_options() -> None:
    file = encoded(Image.new("L", (100, 101)), "PNG")
    assert decoded(file, DecodeOptions(max_megapixels=0.0101)).shape == (101, 100, 3)
    with pytest.raises(TooLargeError, match=r"0\.01 megapixels, got 100 x 101 pixels .*; scale the image down"):
        decoded(file, DecodeOptions(max_megapixels=0.01))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_a_file_cut_short_anywhere_is_refused_and_named(kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = encoded(Image.fromarray(noise), kind)
    for length in range(1, len(file) * 9 // 10, max(len(file) // 40, 1)):
        with pytest.raises(InputError, match=r"^image: ") as caught:
            decoded(file[:length])
        assert not isinstance(caught.value, TooLargeError)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage and goes on; here every warning is an error
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
@pytest.mark.parametrize("seed", range(4))
def test_damage_raises_nothing_but_input_errors(kind: str, seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = corner_picture(20, 12).convert("P" if kind in ("PNG", "BMP") else "RGB")
    sound = encoded(picture, kind, **({} if kind == "BMP" else {"exif": exif}))
    chance = random.Random(seed)
    for _ in range(150):
        file = bytearray(sound)
        for _ in range(chance.randint(1, 6)):
            file[chance.randrange(len(file) if chance.random() < 0.5 else min(64, len(file)))] = chance.randrange(256)
        with contextlib.suppress(InputError):
            assert decoded(bytes(file), DecodeOptions(max_megapixels=1)).shape[2] == 3


@pytest.mark.parametrize("file", [b"GIF89a\x01\x00\x01\x00", b"II*\x00", b"<svg/>", b"hello", b"RIFF\0\0\0\0WAVEfmt "])
def test_another_format_is_refused_with_the_formats_that_work(file: bytes) -> None:
    with pytest.raises(InputError, match=r"^image: .*; send the bytes of one JPEG, PNG, WebP or BMP file$"):
        decoded(file)


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"^image: the image is empty; send the bytes"):
        decoded(b"")


def test_the_stage_replaces_image_by_pixels_and_passes_the_rest() -> None:
    values = stage().run({"image": tensor((EXAMPLES / "receipt.png").read_bytes()), "carried": 1}, {})
    assert values.keys() == {"pixels", "carried"}
    assert values["pixels"].shape == (543, 460, 3)
    assert values["pixels"].dtype == np.uint8


@pytest.mark.parametrize("count", [0, 2])
def test_the_stage_takes_exactly_one_image(count: int) -> None:
    with pytest.raises(ShapeError, match=rf"^image: expected shape \[1\], got \[{count}\]"):
        stage().run({"image": tensor(*[b"x"] * count)}, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_megapixel": 1}, r"\[pipeline.load\]\.max_megapixel: unknown option; did you mean 'max_megapixels'\?"),
        ({"max_megapixels": "1"}, r"\.max_megapixels: expected a number, got '1'"),
        ({"max_megapixels": 0}, r"\.max_megapixels: expected from 1e-06 to 1000, got 0"),
        ({"background": "pink"}, r"\.background: expected one of white, black, contrast, got 'pink'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stage(**options)
