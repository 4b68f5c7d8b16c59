"""Text read in pictures: the bundled plate reader, and PaddleOCR's reader of lines where its file is at hand, give
the text and the probabilities of ONNX Runtime on the pixels of the original preprocessing (OpenCV).

The original models are given by the environment: ATTN_PLATES_ONNX (fast-plate-ocr's cct_xs_v1_global.onnx),
ATTN_PPOCR_ONNX and ATTN_PPOCR_KEYS (ch_PP-OCRv4_rec_infer.onnx and ppocr_keys_v1.txt). Without them, what the
plate reader must read stands in tests/golden/models/plates.json; write it anew by running this file with
--write. The pictures are drawn by Pillow with the fonts of fonts-dejavu and fonts-liberation."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import string
import sys
import unittest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from reference import ROOT, Case, attn

try:
    import cv2
    import onnxruntime
except ImportError:
    cv2 = None

FONTS = [Path("/usr/share/fonts/truetype") / name for name in (
    "dejavu/DejaVuSans.ttf", "dejavu/DejaVuSans-Bold.ttf", "dejavu/DejaVuSansMono-Bold.ttf", "dejavu/DejaVuSerif.ttf",
    "liberation/LiberationSans-Bold.ttf", "liberation/LiberationSans-Regular.ttf", "liberation/LiberationMono-Bold.ttf",
    "liberation/LiberationSerif-Regular.ttf", "liberation/LiberationSansNarrow-Bold.ttf")]
ALPHABET = string.digits + string.ascii_uppercase + "_"
GOLDEN = ROOT / "tests/golden/models/plates.json"
COUNT = 60
WORDS = ("attention is all you need a model reads this line of text and nobody wrote it by hand runtime small "
         "Query Key Value Softmax 2017 42 % (C11) north-east e.g. 3.14 hello, world! Weights").split()
# PP-OCR reads lines with the preprocessing of PaddleOCR's predict_rec.py.
LINE_INPUT = {"kind": "image", "channels": "bgr", "image": {
    "resize": "opencv_linear", "fit": "height", "min_width": 320, "scale": "1 / 255", "mean": 0.5, "std": 0.5}}
LINE_OUTPUT = {"kind": "ctc", "keys": {"file": "keys.txt"}, "space": True, "probability": "none"}


def draw(text: str, seed: int) -> Image.Image:
    """Dark on light or light on dark; a frame, a slant, blur and noise by the seed."""
    rng = random.Random(seed)
    font = ImageFont.truetype(str(FONTS[seed % len(FONTS)]), rng.randint(14, 64))
    left, top, right, bottom = font.getbbox(text)
    margin = rng.randint(3, 14)
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    dark, light = [rng.randint(0, 70) for _ in range(3)], [rng.randint(185, 255) for _ in range(3)]
    paper, ink = (dark, light) if rng.random() < 0.2 else (light, dark)
    image = Image.new("RGB", size, tuple(paper))
    pen = ImageDraw.Draw(image)
    pen.text((margin - left, margin - top), text, font=font, fill=tuple(ink))
    if rng.random() < 0.5:
        pen.rectangle((1, 1, size[0] - 2, size[1] - 2), outline=tuple(ink), width=rng.randint(1, 3))
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=tuple(paper))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    noise = np.random.default_rng(seed).normal(0, rng.choice((0, 4, 10)), (size[1], size[0], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def plate(seed: int) -> str:
    rng = random.Random(seed)
    form = rng.choice(("LLLDDD", "LLDDLLL", "DDLLDD", "LDDDLLL", "LLLDDDD", "DDDLLL", "LLDDDLL", "LDDDDD"))
    return "".join(rng.choice(string.digits if c == "D" else string.ascii_uppercase) for c in form)


def line(seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 7)))


def plate_pixels(path: Path) -> np.ndarray:
    """resize_image of fast-plate-ocr."""
    return cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (128, 64))[None]


def line_pixels(path: Path, height: int = 48, width: int = 320) -> np.ndarray:
    """resize_norm_img of PaddleOCR."""
    image = cv2.imread(str(path))
    ratio = image.shape[1] / float(image.shape[0])
    padded = int(height * max(width / height, ratio))
    resized = min(padded, math.ceil(height * ratio))
    pixels = cv2.resize(image, (resized, height)).astype("float32").transpose((2, 0, 1)) / 255
    out = np.zeros((1, 3, height, padded), np.float32)
    out[0, :, :, :resized] = (pixels - 0.5) / 0.5
    return out


def read_slots(rows: np.ndarray) -> tuple[str, float]:
    text = "".join(ALPHABET[i] for i in rows.argmax(-1))
    return text.replace("_", ""), float(rows.max(-1).mean())


def read_ctc(rows: np.ndarray, keys: list[str]) -> tuple[str, float]:
    """CTCLabelDecode of PaddleOCR; keys begin with the blank."""
    best, kept = rows.argmax(-1), []
    for i, k in enumerate(best):
        if k != 0 and (i == 0 or best[i - 1] != k):
            kept.append(i)
    return "".join(keys[best[i]] for i in kept), float(np.mean([rows[i].max() for i in kept])) if kept else 0.0


def given(name: str) -> Path | None:
    path = os.environ.get(name)
    return Path(path) if path else None


class Read(Case):
    def setUp(self) -> None:
        super().setUp()
        missing = [str(font) for font in FONTS if not font.exists()]
        if missing:
            self.skip(f"no fonts: {missing[0]} (fonts-dejavu, fonts-liberation)")

    def pictures(self, text: object) -> tuple[list[Path], list[str]]:
        paths, texts = [], []
        for seed in range(COUNT):
            texts.append(text(seed))
            paths.append(self.folder / f"{seed}.png")
            draw(texts[-1], seed).save(paths[-1])
        return paths, texts

    def ours(self, model: Path, paths: list[Path]) -> list[dict]:
        return json.loads(attn("read", model, *paths, "--json", "--quiet"))["results"]

    def compare_texts(self, ours: list[dict], wanted: list[tuple[str, float]], drawn: list[str]) -> None:
        for result, (text, confidence), was in zip(ours, wanted, drawn, strict=True):
            self.assertEqual(result["text"], text, (result["input"], was))
            self.assertAlmostEqual(result["confidence"], confidence, delta=1e-4)
        right = sum(r["text"].replace(" ", "") == was.replace(" ", "") for r, was in zip(ours, drawn))
        print(f"{right} of {len(drawn)} read as they were drawn")
        self.assertGreater(right, len(drawn) // 3)  # the plates' fonts are no plate's

    def test_plates(self) -> None:
        """The bundled model reads what ONNX Runtime read when the golden file was written. Another release of
        Pillow may draw other pixels: then only a model that is given can be compared with."""
        paths, drawn = self.pictures(plate)
        golden = json.loads(GOLDEN.read_text())
        if hashes(paths) != golden["hashes"]:
            self.skip("this Pillow and these fonts draw other pictures than those of plates.json")
        self.compare_texts(self.ours(ROOT / "models/plates", paths), [tuple(w) for w in golden["read"]], drawn)

    def test_plates_original(self) -> None:
        source = given("ATTN_PLATES_ONNX")
        if not source or not cv2:
            self.skip("ATTN_PLATES_ONNX names no file, or opencv-python-headless or onnxruntime is not installed")
        paths, drawn = self.pictures(plate)
        wanted = original_plates(source, paths)
        self.compare_texts(self.ours(ROOT / "models/plates", paths), wanted, drawn)
        # The original file itself, imported, with bytes as its input.
        folder = self.folder / "imported"
        attn("import", source, "-o", folder)
        description = json.loads((folder / "attn.json").read_text())
        [(name, port)], [out] = description["inputs"].items(), description["outputs"]
        port.update(kind="image", layout="hwc", image={"resize": "opencv_linear"})
        description["outputs"][out] |= {"kind": "slots", "keys": ALPHABET, "filler": "_", "probability": "none"}
        (folder / "attn.json").write_text(json.dumps(description))
        self.compare_texts(self.ours(folder, paths), wanted, drawn)

    def test_lines(self) -> None:
        source, keys = given("ATTN_PPOCR_ONNX"), given("ATTN_PPOCR_KEYS")
        if not source or not keys or not cv2:
            self.skip("ATTN_PPOCR_ONNX and ATTN_PPOCR_KEYS name no files, or opencv-python-headless or onnxruntime "
                      "is not installed")
        paths, drawn = self.pictures(line)
        folder = self.folder / "imported"
        attn("import", source, "-o", folder)
        shutil.copy(keys, folder / "keys.txt")
        description = json.loads((folder / "attn.json").read_text())
        [port], [out] = description["inputs"].values(), description["outputs"]
        port.update(LINE_INPUT)
        description["outputs"][out] |= LINE_OUTPUT
        (folder / "attn.json").write_text(json.dumps(description))
        session = onnxruntime.InferenceSession(str(source))
        characters = ["", *keys.read_text().splitlines(), " "]
        wanted = [read_ctc(session.run(None, {"x": line_pixels(path)})[0][0], characters) for path in paths]
        self.compare_texts(self.ours(folder, paths), wanted, drawn)

    def test_heatmap(self) -> None:
        out = self.folder / "heat.png"
        attn("read", ROOT / "models/plates", ROOT / "models/plates/plate.png", "--heatmap", out, "--quiet")
        with Image.open(out) as image:
            self.assertGreater(image.size, (600, 300))


def original_plates(source: Path, paths: list[Path]) -> list[tuple[str, float]]:
    session = onnxruntime.InferenceSession(str(source))
    return [read_slots(session.run(None, {session.get_inputs()[0].name: plate_pixels(path)})[0][0]) for path in paths]


def hashes(paths: list[Path]) -> str:
    """One of all pixels."""
    value = hashlib.sha256()
    for path in paths:
        with Image.open(path) as image:
            value.update(image.tobytes())
    return value.hexdigest()


def write_golden() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{seed}.png" for seed in range(COUNT)]
        for seed, path in enumerate(paths):
            draw(plate(seed), seed).save(path)
        read = original_plates(given("ATTN_PLATES_ONNX"), paths)
        golden = {"note": "written by tests/models/test_read.py --write: what ONNX Runtime reads", "hashes": hashes(paths),
                  "read": [[text, round(confidence, 6)] for text, confidence in read]}
        GOLDEN.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write_golden()
    else:
        unittest.main()
