"""Classifies images with the bundled CIFAR-10 model in PyTorch: the reference that `attn` is held to.

    python tools/export/evaluate_cifar10.py --data cifar10_jpeg.tar.gz --labels labels.txt
    python tools/export/evaluate_cifar10.py --images cat.png truck.jpg

The first prints the accuracy on the 10,000 test images and writes one line per image, `PATH INDEX`, in
the order of the paths. The second goes through the folder's whole `preprocessor_config.json` and prints
the three most probable classes of each photo.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

import cct
import cifar10


def preprocess(image: Image.Image, config: dict) -> np.ndarray:
    """What Hugging Face's CLIPImageProcessor makes of an image: f32 [3, crop, crop]."""
    image = ImageOps.exif_transpose(image).convert("RGB")
    edge = config["size"]["shortest_edge"]
    short, long = sorted(image.size)
    other = int(edge * long / short)
    size = (edge, other) if image.width <= image.height else (other, edge)
    image = image.resize(size, config["resample"])
    height, width = config["crop_size"]["height"], config["crop_size"]["width"]
    left, top = (image.width - width) // 2, (image.height - height) // 2
    pixels = np.asarray(image.crop((left, top, left + width, top + height)))
    pixels = (pixels.astype(np.float64) * config["rescale_factor"]).astype(np.float32)
    mean, std = np.float32(config["image_mean"]), np.float32(config["image_std"])
    return ((pixels - mean) / std).transpose(2, 0, 1)


@torch.inference_mode()
def logits(model: nn.Module, images: list[Image.Image], config: dict, batch: int = 500) -> torch.Tensor:
    """[number of images, 10]"""
    parts = []
    for start in range(0, len(images), batch):
        pixels = np.stack([preprocess(image, config) for image in images[start : start + batch]])
        parts.append(model(torch.from_numpy(pixels)))
    return torch.cat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="evaluates the CIFAR-10 model that attn ships")
    parser.add_argument("--model", type=Path, default=Path("models/cifar10_cct"), help="the model folder")
    parser.add_argument("--data", type=Path, help="CIFAR-10 as JPEGs: a .tar.gz or a folder")
    parser.add_argument("--labels", type=Path, help="where to write the predicted label of every test image")
    parser.add_argument("--logits", type=Path, help="where to write the logits, f32 [10000, 10], as .npy")
    parser.add_argument("--images", type=Path, nargs="+", default=[], help="photos to classify")
    options = parser.parse_args()
    if not options.data and not options.images:
        parser.error("nothing to classify: give --data or --images")

    model = cct.load(options.model)
    config = json.loads((options.model / "preprocessor_config.json").read_text())

    if options.data:
        pixels, labels, paths = cifar10.load(options.data, "test")
        values = logits(model, [Image.fromarray(image) for image in pixels], config).numpy()
        predicted = values.argmax(axis=1)
        right = int((predicted == labels).sum())
        print(f"{right} of {len(labels)} right: {right / len(labels):.2%}")
        if options.labels:
            options.labels.write_text("".join(f"{p} {i}\n" for p, i in zip(paths, predicted)))
        if options.logits:
            np.save(options.logits, values)

    for path in options.images:
        with Image.open(path) as image:
            probabilities = logits(model, [image], config)[0].softmax(dim=0)
        top = probabilities.topk(3)
        print(f"{path}: " + ", ".join(f"{cifar10.CLASSES[i]} {p:.1%}" for p, i in zip(*top)))


if __name__ == "__main__":
    main()
