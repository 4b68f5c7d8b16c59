"""Golden values for tests/runtime/test_image.c, test_resize.c and test_preprocess.c.

Run from the repository root: python tests/golden/make_images.py
Needs Pillow 13, NumPy and transformers 5.23 (the PIL backend of its image processors).
Writes tests/golden/images/. Every expected value comes from Pillow or transformers; pixels and
floats are stored as FNV-1a hashes of their bytes (RGB rows; little-endian float32, [3, h, w])."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "images"
FILTERS = range(6)


def fnv(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def lcg_image(width: int, height: int, seed: int) -> Image.Image:
    """Bytes are bits 24..31 of x = x * 1664525 + 1013904223 mod 2^32, row by row, R G B."""
    count, x, data = width * height * 3, seed, bytearray()
    for _ in range(count):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        data.append(x >> 24)
    return Image.frombytes("RGB", (width, height), bytes(data))


def resize_cases():
    rng = random.Random(1)
    sizes = [(1, 1, 1, 1), (1, 1, 7, 5), (7, 5, 1, 1), (1, 200, 3, 20), (200, 1, 20, 3), (33, 1, 1, 33),
             (1, 33, 33, 1), (64, 48, 64, 24), (64, 48, 32, 48), (31, 17, 31, 17), (2, 2, 150, 150),
             (500, 3, 2, 90), (3, 500, 90, 2), (2, 1, 1, 2), (100, 100, 99, 101), (49, 7, 7, 49)]
    while len(sizes) < 216:
        top = rng.choice((4, 12, 40, 100))
        sizes.append(tuple(rng.randint(1, top) for _ in range(4)))
    lines = ["# in_width in_height out_width out_height seed, then the hash per filter 0..5"]
    for seed, (iw, ih, ow, oh) in enumerate(sizes, 1):
        image = lcg_image(iw, ih, seed)
        hashes = [fnv(image.resize((ow, oh), f).tobytes()) for f in FILTERS]
        lines.append(" ".join(map(str, (iw, ih, ow, oh, seed, *hashes))))
    (OUT / "resize.txt").write_text("\n".join(lines) + "\n")


def main():
    OUT.mkdir(exist_ok=True)
    resize_cases()


if __name__ == "__main__":
    main()
