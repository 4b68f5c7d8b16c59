"""The bundled CIFAR-10 model in PyTorch: what its README says of it, measured.

python -m unittest discover -s tests/export -v
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "models" / "cifar10_cct"
SAMPLES = REPOSITORY / "models" / "samples"
SHARED = Path(os.environ.get("ATTN_SHARED", REPOSITORY.parent / "shared"))
CIFAR10 = SHARED / "data" / "images" / "cifar10_jpeg.tar.gz"
sys.path.insert(0, str(REPOSITORY / "tools" / "export"))


def needs(module: str):
    return unittest.skipUnless(
        importlib.util.find_spec(module), f"the Python module {module} is not installed"
    )


@needs("torch")
@needs("PIL")
class Cifar10Cct(unittest.TestCase):
    def setUp(self) -> None:
        import cct

        self.model = cct.load(MODEL)
        self.config = json.loads((MODEL / "preprocessor_config.json").read_text())

    def test_size(self) -> None:
        from safetensors import safe_open

        self.assertLess((MODEL / "model.safetensors").stat().st_size, 6_000_000)
        with safe_open(MODEL / "model.safetensors", "np") as file:
            self.assertEqual({file.get_slice(name).get_dtype() for name in file.keys()}, {"F32"})

    def test_a_cifar_image_is_only_normalised(self) -> None:
        import numpy as np
        from evaluate_cifar10 import preprocess
        from PIL import Image

        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        mean, std = np.array(self.config["image_mean"]), np.array(self.config["image_std"])
        expected = ((image / 255 - mean) / std).transpose(2, 0, 1)
        self.assertLess(abs(preprocess(Image.fromarray(image), self.config) - expected).max(), 1e-6)

    def test_samples(self) -> None:
        """Each photo of the table in LICENSE.md gets the class that the table names."""
        import cifar10
        from evaluate_cifar10 import logits
        from PIL import Image

        table = (SAMPLES / "LICENSE.md").read_text()
        rows = re.findall(r"^\| `(\S+)` \|.*\| (\w+) [\d.]+ % \|$", table, re.MULTILINE)
        photos = sorted(path.name for path in SAMPLES.iterdir() if path.suffix != ".md")
        self.assertEqual(sorted(name for name, _ in rows), photos)
        for name, expected in rows:
            with self.subTest(name), Image.open(SAMPLES / name) as image:
                best = logits(self.model, [image], self.config)[0].argmax()
                self.assertEqual(cifar10.CLASSES[best], expected)

    @needs("transformers")
    def test_preprocessing_equals_that_of_transformers(self) -> None:
        import numpy as np
        from evaluate_cifar10 import preprocess
        from PIL import Image
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        processor = CLIPImageProcessorPil.from_pretrained(MODEL)
        for path in SAMPLES.iterdir():
            if path.suffix != ".md":
                with self.subTest(path.name), Image.open(path) as image:
                    theirs = processor(image, return_tensors="np")["pixel_values"][0]
                    self.assertTrue(np.array_equal(preprocess(image, self.config), theirs))

    @unittest.skipUnless(CIFAR10.exists(), f"the CIFAR-10 images are absent: {CIFAR10}")
    def test_accuracy(self) -> None:
        import cifar10
        from evaluate_cifar10 import logits
        from PIL import Image

        pixels, labels, _ = cifar10.load(CIFAR10, "test")
        predicted = logits(self.model, [Image.fromarray(image) for image in pixels], self.config).argmax(
            dim=1
        )
        right = int((predicted.numpy() == labels).sum())
        stated = int(re.search(r"(\d+) of the 10,000", (MODEL / "README.md").read_text()).group(1))
        # Another machine's kernels may tip an image or two that lie on the fence.
        self.assertAlmostEqual(right, stated, delta=3)
        self.assertGreaterEqual(right, 8500)


if __name__ == "__main__":
    unittest.main()
