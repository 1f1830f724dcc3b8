"""Draw the sample pictures with text: `python tools/make_ocr_images.py`, anywhere with Pillow and NumPy.

Writes examples/receipt.png and examples/poster.jpg, and the small pictures of tests/tasks/ocr/pictures. The letters are
Pillow's own font (Aileron, CC0), so the words in the pictures are known, and no font has to be installed. The
pictures are committed, because another Pillow or FreeType may draw a letter a little differently.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "tests/tasks/ocr/pictures"
SEED = 20

INK, PALE, PAPER = (38, 36, 42), (120, 116, 122), (253, 252, 248)

RECEIPT = (
    ("Kaffi Hekla", "", 34),
    ("Austurvegur 12, Selfoss", "", 17),
    ("-", "", 0),
    ("2 x Flat white", "1.380", 20),
    ("1 x Rye bread, smoked trout", "2.150", 20),
    ("1 x Skyr cake", "1.190", 20),
    ("1 x Sparkling water", "450", 20),
    ("-", "", 0),
    ("Subtotal", "5.170", 20),
    ("VAT 11%", "569", 20),
    ("Total ISK", "5.739", 27),
    ("-", "", 0),
    ("Card ending 4471", "approved", 17),
    ("14 June 2024  09:41", "No. 30822", 17),
    ("Takk fyrir og velkomin aftur!", "", 18),
)


def receipt() -> Image.Image:
    """Return a café's receipt, 460 pixels wide: names on the left, prices on the right."""
    width, margin = 460, 34
    page = Image.new("RGB", (width, 640), PAPER)
    draw = ImageDraw.Draw(page)
    y = 30
    for left, right, size in RECEIPT:
        if left == "-":
            draw.line((margin, y + 8, width - margin, y + 8), fill=PALE, width=1)
            y += 20
            continue
        font = ImageFont.load_default(size)
        if right:
            draw.text((margin, y), left, INK, font)
            draw.text((width - margin, y), right, INK, font, anchor="ra")
        else:
            draw.text((width / 2, y), left, INK, font, anchor="ma")
        y += round(size * 1.75)
    return page.crop((0, 0, width, y + 14))


def poster() -> Image.Image:
    """Return a photograph of a poster, as near as drawing comes to one: at an angle, unevenly lit, soft and noisy."""
    board = Image.new("RGB", (720, 460), (24, 60, 92))
    draw = ImageDraw.Draw(board)
    draw.rectangle((18, 18, 701, 441), outline=(240, 196, 84), width=5)
    for y, size, text in (
        (66, 66, "NORTHERN LIGHTS"),
        (176, 44, "Open air concert"),
        (256, 36, "Saturday 21 September, 8 pm"),
        (336, 30, "Free entry  -  bring a warm coat"),
    ):
        draw.text((360, y), text, (250, 244, 226), ImageFont.load_default(size), anchor="ma")
    wall = Image.new("RGB", (960, 720), (168, 158, 146))
    corners = ((0, 0), (720, 0), (720, 460), (0, 460))
    hung = board.transform(
        wall.size,
        Image.Transform.PERSPECTIVE,
        _perspective(((112, 150), (838, 84), (862, 566), (92, 590)), corners),
        Image.Resampling.BICUBIC,
    )
    cover = Image.new("L", board.size, 255).transform(
        wall.size,
        Image.Transform.PERSPECTIVE,
        _perspective(((112, 150), (838, 84), (862, 566), (92, 590)), corners),
        Image.Resampling.BICUBIC,
    )
    wall.paste(hung, (0, 0), cover)
    light = np.linspace(0.72, 1.12, 960)[None, :, None] * np.linspace(1.06, 0.86, 720)[:, None, None]
    noise = np.random.default_rng(SEED).normal(0, 3, (720, 960, 3))
    pixels = np.asarray(wall.filter(ImageFilter.GaussianBlur(0.8))) * light + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def tilted() -> Image.Image:
    """Return two lines turned by 17 degrees and one that runs down the page."""
    page = Image.new("RGB", (520, 420), "white")
    draw = ImageDraw.Draw(page)
    draw.text((60, 150), "Tilted by seventeen", INK, ImageFont.load_default(34))
    draw.text((60, 210), "degrees, two lines", INK, ImageFont.load_default(34))
    page = page.rotate(17, Image.Resampling.BICUBIC, fillcolor="white")
    down = Image.new("RGB", (260, 44), "white")
    ImageDraw.Draw(down).text((6, 4), "Down the side", INK, ImageFont.load_default(30))
    page.paste(down.transpose(Image.Transpose.ROTATE_270), (450, 90))
    return page


def strip() -> Image.Image:
    """Return one line in a picture that is 28 pixels high: it needs the padding above and below."""
    page = Image.new("RGB", (420, 28), "white")
    ImageDraw.Draw(page).text((8, 3), "One low strip of words 0123456789", INK, ImageFont.load_default(20))
    return page


def blank() -> Image.Image:
    """Return a picture with no text in it."""
    return Image.new("RGB", (320, 240), (200, 210, 214))


def _perspective(target: tuple[tuple[float, float], ...], source: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """Return Pillow's eight coefficients for the map that shows the source corners at the target corners."""
    rows, right = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(rows, dtype=float), np.array(right, dtype=float)).tolist())


def main() -> None:
    """Write all the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    receipt().quantize(32, dither=Image.Dither.NONE).save(ROOT / "examples/receipt.png", optimize=True)
    poster().save(ROOT / "examples/poster.jpg", quality=72, optimize=True)
    for name, picture in (("tilted", tilted()), ("strip", strip()), ("blank", blank())):
        picture.convert("L").save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
