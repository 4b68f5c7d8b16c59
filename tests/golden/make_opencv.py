"""Golden values for tests/runtime/test_resize.c: resizing as cv2.resize does it.

Run from the repository root: python tests/golden/make_opencv.py
Needs opencv-python-headless 5.0 and what make_images.py needs, whose random images it takes.
Writes tests/golden/images/resize_opencv.txt."""

import random

import cv2
import numpy as np

from make_images import OUT, fnv, lcg_image


def main():
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


if __name__ == "__main__":
    main()
