"""Photos through the whole preprocessing: attn's logits are PyTorch's within 1e-4, and the best class is
the same. The reference is the PIL/NumPy path of transformers' image processors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)
from transformers.image_utils import load_image

from reference import ROOT, Case, attn, perturb, run_pytorch, top

SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    image_size=48, patch_size=8, num_labels=10,
)
SQUARE = {"height": 48, "width": 48}
PROCESSORS = {
    "vit": ViTImageProcessorPil(size=SQUARE),
    "deit": DeiTImageProcessorPil(
        size={"shortest_edge": 55}, crop_size=SQUARE, image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ),
    "lanczos": ViTImageProcessorPil(size=SQUARE, resample=1, image_mean=[0.1, 0.2, 0.3]),
    "no resize": DeiTImageProcessorPil(do_resize=False, crop_size=SQUARE),
}
# A JPEG decoder may be a level off here and there; the models are random, so only the size is bounded.
JPEG_TOLERANCE = 0.1


def draw(width: int, height: int, mode: str, seed: int) -> Image.Image:
    """Gradients, a disc and noise, in one of Pillow's modes."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([255 * x / width, 255 * y / height, 255 - 127 * (x / width + y / height)], axis=-1)
    image[(x - width / 2) ** 2 + (y - height / 3) ** 2 < (min(width, height) / 4) ** 2] = (240, 200, 20)
    image += np.random.default_rng(seed).integers(-30, 31, image.shape)
    photo = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    if mode == "RGBA":
        photo.putalpha(Image.fromarray(((x * 7 + y * 3) % 256).astype(np.uint8)))
        return photo
    if mode == "LA":
        return draw(width, height, "RGBA", seed).convert("LA")
    return photo.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else photo.convert(mode)


class Photos(Case):
    def setUp(self) -> None:
        super().setUp()
        self.models: dict[str, tuple[Path, torch.nn.Module]] = {}
        for seed, (name, processor) in enumerate(PROCESSORS.items()):
            deit = isinstance(processor, DeiTImageProcessorPil)
            kind = DeiTForImageClassificationWithTeacher if deit else ViTForImageClassification
            model = perturb(kind((DeiTConfig if deit else ViTConfig)(**SMALL)), seed)
            folder = self.write(model, name)
            processor.save_pretrained(folder)
            self.models[name] = (folder, model)

    def reference(self, name: str, photo: Path) -> np.ndarray:
        pixels = PROCESSORS[name](load_image(str(photo)), return_tensors="np")["pixel_values"][0]
        return run_pytorch(self.models[name][1], pixels.astype(np.float32))["logits"]

    def check(self, name: str, photo: Path) -> None:
        folder, _ = self.models[name]
        reference = self.reference(name, photo)
        ours = self.run_attn(folder, photo, ("logits",))["logits"]
        self.compare(ours, reference)
        self.assertEqual(int(ours.argmax()), int(reference.argmax()))

    def test_generated(self) -> None:
        """Odd sizes, wide and tall, smaller and larger than the model's; each mode of PNG."""
        sizes = ((48, 48), (1, 1), (3, 200), (301, 47), (61, 45), (640, 481), (55, 90))
        for seed, (width, height) in enumerate(sizes):
            modes = ("RGB", "RGBA", "L", "LA", "P", "1") if seed > 3 else ("RGB",)
            for mode in modes:
                photo = self.folder / f"{width}x{height}-{mode}.png"
                draw(width, height, mode, seed).save(photo)
                for name in self.models:
                    with self.subTest(photo=photo.name, processor=name):
                        self.check(name, photo)

    def test_classify(self) -> None:
        """classify's probabilities are the softmax of PyTorch's logits, the best first."""
        photo = self.folder / "photo.png"
        draw(200, 133, "RGB", 9).save(photo)
        for name, (folder, model) in self.models.items():
            logits = torch.from_numpy(self.reference(name, photo))
            classes = top(attn("classify", folder, photo, "--json", "--top", 10))
            expected = torch.softmax(logits.double(), 0)
            self.assertEqual([c["index"] for c in classes], logits.argsort(descending=True).tolist())
            for c in classes:
                self.assertAlmostEqual(c["probability"], float(expected[c["index"]]), delta=1e-5)
                self.assertEqual(c["label"], model.config.id2label[c["index"]])

    def test_samples(self) -> None:
        """The bundled photos: JPEG within a bound, everything else exactly."""
        samples = [p for p in sorted((ROOT / "models" / "samples").glob("*.*")) if p.suffix in
                   (".png", ".jpg", ".bmp", ".gif", ".tga", ".ppm")]
        if not samples:
            self.skip("models/samples has no photos")
        worst = 0.0
        for photo in samples:
            for name in ("vit", "deit"):
                with self.subTest(photo=photo.name, processor=name):
                    if photo.suffix == ".jpg":
                        ours = self.run_attn(self.models[name][0], photo, ("logits",))["logits"]
                        difference = float(np.abs(ours - self.reference(name, photo)).max())
                        worst = max(worst, difference)
                        self.assertLessEqual(difference, JPEG_TOLERANCE)
                        exact = self.folder / f"{photo.stem}.png"
                        load_image(str(photo)).save(exact)
                        self.check(name, exact)
                    else:
                        self.check(name, photo)
        print(f"\nsample photos as JPEG: largest difference {worst:.3g} of the logits of random models")
