"""Writes tests/golden/models/: a tiny ViT and a tiny DeiT with random weights, as transformers writes
them, a photo, and what PyTorch makes of it.

    python tests/golden/make_models.py

expected.safetensors of each folder: "pixels" [8, 3, 32, 32], random; "logits" [8, 10], of them; and
"photo_pixels" [3, 32, 32] and "photo_logits" [10], of photo.png through the folder's preprocessing
(the PIL/NumPy path of transformers).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)
from transformers.image_utils import load_image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))

from reference import perturb  # noqa: E402

CONFIG = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    image_size=32, patch_size=8, id2label={i: f"class {i}" for i in range(10)},
)
BATCH = 8


def write_photo(path: Path) -> None:
    """Colour gradients, a disc and some noise, 61 wide and 45 high."""
    y, x = np.mgrid[0:45, 0:61]
    image = np.stack([4 * x, 5 * y, 255 - 2 * (x + y)], axis=-1).clip(0, 255)
    image[(x - 35) ** 2 + (y - 20) ** 2 < 150] = (240, 200, 20)
    image = image + np.random.default_rng(0).integers(-8, 9, image.shape)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path, optimize=True)


def write_model(name: str, model: torch.nn.Module, processor: object, photo: Path, seed: int) -> None:
    folder = photo.parent / name
    perturb(model, seed).save_pretrained(folder)
    processor.save_pretrained(folder)
    pixels = np.random.default_rng(seed).standard_normal((BATCH, 3, 32, 32)).astype(np.float32)
    photo_pixels = processor(load_image(str(photo)), return_tensors="np")["pixel_values"]
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels)).logits.numpy()
        photo_logits = model(torch.from_numpy(photo_pixels)).logits.numpy()
    save_file(
        {"pixels": pixels, "logits": logits, "photo_pixels": photo_pixels[0], "photo_logits": photo_logits[0]},
        folder / "expected.safetensors",
    )


def main() -> None:
    photo = HERE / "models" / "photo.png"
    photo.parent.mkdir(exist_ok=True)
    write_photo(photo)
    write_model(
        "vit_tiny", ViTForImageClassification(ViTConfig(**CONFIG)),
        ViTImageProcessorPil(size={"height": 32, "width": 32}), photo, 1,
    )
    write_model(
        "deit_tiny", DeiTForImageClassificationWithTeacher(DeiTConfig(**CONFIG)),
        DeiTImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}), photo, 2,
    )


if __name__ == "__main__":
    main()
