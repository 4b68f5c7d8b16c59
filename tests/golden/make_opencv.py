"""Golden values for tests/runtime/test_resize.c and test_read.c: resizing as cv2.resize does it, and the
pixels that PaddleOCR's recogniser and fast-plate-ocr make of a photo with it.

Run from the repository root: python tests/golden/make_opencv.py
Needs opencv-python-headless 5.0 and what make_images.py needs, whose random images it takes.
Writes tests/golden/images/resize_opencv.txt and pixels_opencv.txt."""

import math
import random

import cv2
import numpy as np

from make_images import OUT, fnv, lcg_image


def paddle(image: np.ndarray, height: int = 48, width: int = 320) -> np.ndarray:
    """resize_norm_img of PaddleOCR's predict_rec.py for a batch of one, float32 [3, height, ...]."""
    ratio = image.shape[1] / float(image.shape[0])
    padded = int(height * max(width / height, ratio))
    resized = min(padded, math.ceil(height * ratio))
    pixels = cv2.resize(image, (resized, height)).astype("float32").transpose((2, 0, 1)) / 255
    pixels -= 0.5
    pixels /= 0.5
    result = np.zeros((3, height, padded), dtype=np.float32)
    result[:, :, :resized] = pixels
    return result


def plates(image: np.ndarray, height: int = 64, width: int = 128) -> np.ndarray:
    """resize_image of fast-plate-ocr, uint8 [height, width, 3]: RGB of cv2's BGR."""
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (width, height), interpolation=cv2.INTER_LINEAR)


def pixel_cases():
    lines = ["# photo, crop of it (left, top, width, height), hash and width of PaddleOCR's pixels, of the plates'"]
    rng = random.Random(3)
    for photo in "abc":
        image = cv2.imread(str(OUT / f"photo_{photo}.png"))
        height, width = image.shape[:2]
        for case in range(8):
            w, h = rng.randint(2, width), rng.randint(2, height if case % 2 else 4)
            left, top = (0, 0) if case == 0 else (rng.randint(0, width - w), rng.randint(0, height - h))
            if case == 0:
                w, h = width, height
            crop = image[top : top + h, left : left + w]
            line = paddle(crop)
            lines.append(f"photo_{photo}.png {left} {top} {w} {h} {fnv(line.tobytes())} {line.shape[2]} "
                         f"{fnv(plates(crop).tobytes())}")
    (OUT / "pixels_opencv.txt").write_text("\n".join(lines) + "\n")


def resize_cases():
    rng = random.Random(2)
    sizes = [(1, 1, 1, 1), (1, 1, 7, 5), (7, 5, 1, 1), (1, 200, 3, 20), (200, 1, 20, 3), (64, 48, 32, 24),
             (32, 24, 64, 48), (64, 48, 64, 24), (64, 48, 32, 48), (2, 2, 150, 150), (3, 500, 90, 2),
             (500, 3, 2, 90), (100, 100, 99, 101), (256, 128, 128, 64), (333, 77, 128, 64), (90, 31, 128, 64)]
    while len(sizes) < 160:
        top = rng.choice((4, 12, 40, 160))
        sizes.append(tuple(rng.randint(1, top) for _ in range(4)))
    lines = ["# in_width in_height out_width out_height seed, then the hash of INTER_LINEAR"]
    for seed, (iw, ih, ow, oh) in enumerate(sizes, 1):
        image = np.asarray(lcg_image(iw, ih, seed))
        result = cv2.resize(image, (ow, oh), interpolation=cv2.INTER_LINEAR)
        lines.append(f"{iw} {ih} {ow} {oh} {seed} {fnv(result.tobytes())}")
    (OUT / "resize_opencv.txt").write_text("\n".join(lines) + "\n")


def main():
    resize_cases()
    pixel_cases()


if __name__ == "__main__":
    main()
