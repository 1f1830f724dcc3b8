"""Record what RapidOCR reads in the sample pictures, for tests/tasks/ocr to compare with.

Needs an environment of its own, because Hekla's has no OpenCV:

    python -m venv build/rapidocr && build/rapidocr/bin/pip install rapidocr==3.10.0 onnxruntime
    build/rapidocr/bin/python tools/make_ocr_goldens.py

Writes tests/tasks/ocr/goldens/NAME.json for every picture: `boxes`, `texts` and `scores` as RapidOCR answers them with
its default models (PP-OCRv6 small) and settings, less the classifier that turns upside-down lines, which Hekla's sample
does not have. The files name the versions they were made with.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from rapidocr import RapidOCR  # type: ignore[import-not-found]  # in an environment of its own, as said above

ROOT = Path(__file__).parents[1]
PICTURES = (
    "examples/receipt.png",
    "examples/poster.jpg",
    *(f"tests/tasks/ocr/pictures/{name}.png" for name in ("tilted", "strip", "blank")),
)
PACKAGES = ("rapidocr", "onnxruntime", "opencv-python-headless", "numpy")


def main() -> None:
    """Write all the goldens."""
    folder = ROOT / "tests/tasks/ocr/goldens"
    folder.mkdir(parents=True, exist_ok=True)
    reader = RapidOCR()
    for name in PICTURES:
        # As BGR pixels: given a file with a palette, RapidOCR would read the palette's indices for grey levels.
        pixels = np.asarray(Image.open(ROOT / name).convert("RGB"))[:, :, ::-1]
        answer = reader(pixels, use_cls=False)
        lines = (
            [] if answer.boxes is None else list(zip(answer.boxes.tolist(), answer.txts, answer.scores, strict=True))
        )
        golden = {
            "picture": name,
            "made_with": {package: version(package) for package in PACKAGES},
            "boxes": [box for box, _, _ in lines],
            "texts": [text for _, text, _ in lines],
            "scores": [round(score, 4) for _, _, score in lines],
        }
        text = json.dumps(golden, ensure_ascii=False, indent=1)
        (folder / f"{Path(name).stem}.json").write_text(text + "\n", encoding="utf-8")
        print(name, golden["texts"])


if __name__ == "__main__":
    main()
