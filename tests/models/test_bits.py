"""The same bits however a model is run; and the bundled CCT against PyTorch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher, ViTConfig, ViTForImageClassification
from transformers.image_utils import load_image

from reference import ROOT, Case, levels, perturb, random_pixels

import cct  # of tools/export, which reference puts on the path

CCT = ROOT / "models" / "cifar10_cct"
SIZE = dict(
    hidden_size=60, num_hidden_layers=2, num_attention_heads=5, intermediate_size=133,
    image_size=45, patch_size=7, num_labels=13,
)


class Bits(Case):
    def check(self, folder: Path, pixels: np.ndarray) -> None:
        """pixels: a batch of 8."""
        wanted = None
        for level in levels():
            for threads in (1, 2, 3, 4):
                with self.subTest(folder=folder.name, level=level, threads=threads):
                    logits = self.run_attn(
                        folder, pixels, ("logits",), "--threads", threads, env={"ATTN_CPU": level}
                    )["logits"]
                    wanted = logits if wanted is None else wanted
                    self.assertEqual(logits.tobytes(), wanted.tobytes())
        for i, one in enumerate(pixels):
            for single in (one, one[None]):
                logits = self.run_attn(folder, single, ("logits",))["logits"]
                self.assertEqual(logits.tobytes(), wanted[i].tobytes())

    def test_vit(self) -> None:
        model = perturb(ViTForImageClassification(ViTConfig(**SIZE)), 1)
        self.check(self.write(model, "vit"), random_pixels(model.config, 8))

    def test_deit(self) -> None:
        model = perturb(DeiTForImageClassificationWithTeacher(DeiTConfig(**SIZE)), 2)
        self.check(self.write(model, "deit"), random_pixels(model.config, 8))

    def test_cct(self) -> None:
        if not (CCT / "model.safetensors").is_file():
            self.skip("models/cifar10_cct has no model.safetensors")
        self.check(CCT, np.random.default_rng(3).standard_normal((8, 3, 32, 32)).astype(np.float32))


class CompactTransformer(Case):
    def compare_model(self, folder: Path, model: torch.nn.Module, pixels: np.ndarray) -> None:
        with torch.inference_mode():
            reference = model(torch.from_numpy(pixels)).numpy()
        self.compare(self.run_attn(folder, pixels, ("logits",))["logits"], reference)

    def test_random_weights(self) -> None:
        model = perturb(cct.Cct(), 4)
        folder = self.folder / "cct"
        folder.mkdir()
        shutil.copy(CCT / "attn.json", folder)
        weights = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
        save_file(weights, folder / "model.safetensors")
        pixels = np.random.default_rng(5).standard_normal((8, 3, 32, 32)).astype(np.float32)
        self.compare_model(folder, model, pixels)

    def test_bundled(self) -> None:
        """On the sample photos, squeezed to 32 x 32."""
        if not (CCT / "model.safetensors").is_file():
            self.skip("models/cifar10_cct has no model.safetensors")
        photos = [p for p in sorted((ROOT / "models" / "samples").glob("*.*")) if p.suffix in (".png", ".jpg", ".bmp", ".gif")]
        if not photos:
            self.skip("models/samples has no photos")
        images = [load_image(str(photo)).resize((32, 32)) for photo in photos]
        pixels = np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1 for image in images])
        self.compare_model(CCT, cct.load(CCT), pixels)
