"""CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images") from JPEG files.

The data is a folder, or a .tar.gz of one, with `train/CLASS/NNNN.jpg` and `test/CLASS/NNNN.jpg`.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGE_SIZE = 32


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    if data.is_dir():
        for path in data.rglob("*.jpg"):
            yield path.relative_to(data).as_posix(), path.read_bytes()
    else:
        with tarfile.open(data) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".jpg"):
                    yield member.name, archive.extractfile(member).read()


def load(data: Path, split: str, cache: Path | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images uint8 [n, 32, 32, 3], labels int64 [n] and paths, sorted by path.

    With a cache folder, what was decoded the first time is read from there afterwards.
    """
    stored = cache / f"cifar10_{split}.npz" if cache else None
    if stored and stored.exists():
        with np.load(stored) as arrays:
            return arrays["images"], arrays["labels"], arrays["paths"].tolist()
    files = sorted((name, jpeg) for name, jpeg in _files(data) if name.split("/")[-3] == split)
    if not files:
        raise SystemExit(f"{data}: no {split}/CLASS/*.jpg in it")
    paths = [name for name, _ in files]
    labels = np.array([CLASSES.index(name.split("/")[-2]) for name in paths])
    images = np.stack([np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for _, jpeg in files])
    assert images.shape[1:] == (IMAGE_SIZE, IMAGE_SIZE, 3), images.shape
    if stored:
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(stored, images=images, labels=labels, paths=np.array(paths))
    return images, labels, paths
