"""Compares attn with PyTorch on all 10,000 CIFAR-10 test images: one call of `attn classify`.

    python tools/export/compare_cifar10.py --attn build/attn --data cifar10_jpeg.tar.gz

Both start from the JPEG files. PyTorch's are decoded by Pillow, that is libjpeg-turbo; attn's by
stb_image, or by libjpeg-turbo in a build with -DATTN_LIBJPEG=ON. Prints both accuracies and every
image whose label differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import cct
import cifar10
from evaluate_cifar10 import logits


def main() -> None:
    parser = argparse.ArgumentParser(description="compares attn with PyTorch on the CIFAR-10 test images")
    parser.add_argument("--attn", type=Path, required=True, help="the binary")
    parser.add_argument("--model", type=Path, default=Path("models/cifar10_cct"), help="the model folder")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as JPEGs: a .tar.gz or a folder")
    options = parser.parse_args()

    pixels, labels, paths = cifar10.load(options.data, "test")
    config = json.loads((options.model / "preprocessor_config.json").read_text())
    model = cct.load(options.model)
    values = logits(model, [Image.fromarray(image) for image in pixels], config).numpy()
    reference = values.argmax(axis=1)

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data
        if not folder.is_dir():
            folder = Path(scratch)
            with tarfile.open(options.data) as archive:
                archive.extractall(folder, filter="data")
        start = time.monotonic()
        done = subprocess.run(
            [options.attn.resolve(), "classify", options.model.resolve(), *paths, "--json", "--top", "10"],
            cwd=folder, stdout=subprocess.PIPE, check=True,
        )  # standard error stays: the progress bar
        seconds = time.monotonic() - start
    results = json.loads(done.stdout)["results"]
    assert [r["input"] for r in results] == paths
    ours = np.array([r["top"][0]["index"] for r in results])
    probability = np.zeros_like(values)
    for row, result in enumerate(results):
        for entry in result["top"]:
            probability[row, entry["index"]] = entry["probability"]
    wanted = np.exp(values - values.max(axis=1, keepdims=True))
    wanted /= wanted.sum(axis=1, keepdims=True)

    count = len(labels)
    print(f"PyTorch  {int((reference == labels).sum())} of {count} right")
    print(f"attn     {int((ours == labels).sum())} of {count} right, {seconds:.1f} s for all")
    print(f"largest difference of a probability {np.abs(probability - wanted).max():.2e}")
    different = np.flatnonzero(ours != reference)
    print(f"{len(different)} labels differ")
    for i in different:
        print(
            f"  {paths[i]}: attn {cifar10.CLASSES[ours[i]]} ({probability[i, ours[i]]:.4f}), "
            f"PyTorch {cifar10.CLASSES[reference[i]]} ({wanted[i, reference[i]]:.4f})"
        )


if __name__ == "__main__":
    main()
