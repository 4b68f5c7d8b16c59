"""tools/export/dump_reference.py and `attn trace --compare`: which layer is the first that differs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from reference import ROOT, AttnError, Case, attn, perturb, random_pixels

import dump_reference  # of tools/export, which reference puts on the path

SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    image_size=32, patch_size=8, num_labels=10,
)
LAYERS_PER_BLOCK = 8  # two norms; query, key, value; three more linear ones


class Dump(Case):
    def dump(self, folder: Path, pixels: np.ndarray) -> Path:
        out = self.folder / "dump.safetensors"
        np.save(self.folder / "x.npy", pixels)
        save_file(dump_reference.dump(folder, pixels), out)
        return out

    def dump_by_command(self, folder: Path, *arguments: object) -> Path:
        out = self.folder / "dump.safetensors"
        command = [sys.executable, ROOT / "tools/export/dump_reference.py", folder, *arguments, "--out", out]
        subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
        return out

    def test_same(self) -> None:
        """Every layer with weights is compared, and none differs."""
        for kind, config, heads, options in (
            (ViTForImageClassification, ViTConfig, 1, {}),
            (ViTModel, ViTConfig, 1, {}),
            (DeiTForImageClassificationWithTeacher, DeiTConfig, 2, {"max_shard_size": "20KB"}),
        ):
            with self.subTest(model=kind.__name__):
                model = perturb(kind(config(**SMALL)), 1)
                folder = self.write(model, kind.__name__, **options)
                dump = self.dump(folder, random_pixels(model.config))
                text = attn("trace", folder, self.folder / "x.npy", "--compare", dump)
                compared = int(text.splitlines()[-1].split()[0])
                # the patches, the blocks, the last norm, the heads or the pooler
                self.assertGreaterEqual(compared, 2 + 2 * LAYERS_PER_BLOCK + heads)
                self.assertIn(" 0 differ", text)

    def test_fresh_weights(self) -> None:
        """As transformers initialises them: norms and biases are equal, so only names tell them apart."""
        torch.manual_seed(0)
        model = ViTForImageClassification(ViTConfig(**SMALL)).eval()
        folder = self.write(model)
        dump = self.dump(folder, random_pixels(model.config))
        text = attn("trace", folder, self.folder / "x.npy", "--compare", dump)
        self.assertIn(f"{2 + 2 * LAYERS_PER_BLOCK + 1} layers compared, 0 differ", text)

    def test_photo(self) -> None:
        """The pixels of a photo, as saved and as attn preprocesses it."""
        photo = ROOT / "tests" / "golden" / "models" / "photo.png"
        folder = self.write(perturb(DeiTForImageClassificationWithTeacher(DeiTConfig(**SMALL)), 2))
        DeiTImageProcessorPil(
            size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
        ).save_pretrained(folder)
        dump = self.dump_by_command(folder, "--image", photo, "--save-input", self.folder / "x.npy")
        for source in (self.folder / "x.npy", photo):
            self.assertIn(" 0 differ", attn("trace", folder, source, "--compare", dump))

    def test_first_that_differs(self) -> None:
        """One weight is changed after the dump: just its layer is named, and the exit status is 1."""
        model = perturb(ViTForImageClassification(ViTConfig(**SMALL)), 3)
        folder = self.write(model)
        dump = self.dump(folder, random_pixels(model.config))
        weights = load_file(folder / "model.safetensors")
        for layer in (
            "embeddings.patch_embeddings.projection", "encoder.layer.0.attention.attention.key",
            "encoder.layer.1.layernorm_after", "encoder.layer.1.output.dense", "layernorm",
        ):
            with self.subTest(layer=layer):
                changed = {name: weight.clone() for name, weight in weights.items()}
                changed[f"vit.{layer}.weight"].view(-1)[0] += 0.5
                save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
                with self.assertRaises(AttnError) as caught:
                    attn("trace", folder, self.folder / "x.npy", "--compare", dump)
                self.assertEqual(caught.exception.status, 1)
                self.assertIn(f"the first layer that differs is {layer} (", caught.exception.output)
                with self.assertRaises(AttnError) as caught:
                    attn("trace", folder, self.folder / "x.npy", "--compare", dump, "--json")
                read = json.loads(caught.exception.output)
                first = next(step for step in read["steps"] if step["differs"])
                self.assertEqual(first["node"], layer)
