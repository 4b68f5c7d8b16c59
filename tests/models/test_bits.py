"""The same bits however a model is run; and the bundled CCT against PyTorch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertModel,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    ViTConfig,
    ViTForImageClassification,
    WhisperConfig,
    WhisperModel,
)
from transformers.image_utils import load_image

from reference import ROOT, Case, Inputs, as_inputs, levels, perturb, random_mel, random_pixels, random_text

import cct  # of tools/export, which reference puts on the path

CCT = ROOT / "models" / "cifar10_cct"
SIZE = dict(
    hidden_size=60, num_hidden_layers=2, num_attention_heads=5, intermediate_size=133,
    image_size=45, patch_size=7, num_labels=13,
)


class Bits(Case):
    """Of models larger than those of test_model_bits.c, through the command."""

    def check(self, folder: Path, inputs: np.ndarray | Inputs, output: str = "logits") -> None:
        """inputs: a batch of 8."""
        inputs, wanted = as_inputs(inputs), None
        for level in levels():
            for threads in (1, 2, 3, 4):
                with self.subTest(folder=folder.name, level=level, threads=threads):
                    result = self.run_attn(
                        folder, inputs, (output,), "--threads", threads, env={"ATTN_CPU": level}
                    )[output]
                    wanted = result if wanted is None else wanted
                    self.assertEqual(result.tobytes(), wanted.tobytes())
        for i in range(8):
            for item in (i, slice(i, i + 1)):
                result = self.run_attn(folder, {name: value[item] for name, value in inputs.items()}, (output,))
                self.assertEqual(result[output].tobytes(), wanted[i].tobytes())

    def test_vit(self) -> None:
        model = perturb(ViTForImageClassification(ViTConfig(**SIZE)), 1)
        self.check(self.write(model, "vit"), random_pixels(model.config, 8))

    def test_deit(self) -> None:
        model = perturb(DeiTForImageClassificationWithTeacher(DeiTConfig(**SIZE)), 2)
        self.check(self.write(model, "deit"), random_pixels(model.config, 8))

    def test_bert(self) -> None:
        config = BertConfig(
            vocab_size=301, hidden_size=60, num_hidden_layers=2, num_attention_heads=5, intermediate_size=133,
        )
        model = perturb(BertModel(config), 3)
        self.check(self.write(model, "bert"), random_text(config, 77, 8), "last_hidden_state")

    def test_whisper(self) -> None:
        config = WhisperConfig(
            d_model=60, encoder_layers=2, encoder_attention_heads=5, encoder_ffn_dim=133, decoder_layers=1,
            decoder_ffn_dim=8, vocab_size=20, num_mel_bins=17, max_source_positions=83, pad_token_id=0,
            bos_token_id=1, eos_token_id=2, decoder_start_token_id=3, suppress_tokens=None,
            begin_suppress_tokens=None,
        )
        model = perturb(WhisperModel(config), 4)
        self.check(self.write(model, "whisper"), random_mel(config, 8), "last_hidden_state")

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
