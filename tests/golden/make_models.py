"""Writes tests/golden/models/: tiny models with random weights, as transformers writes them, a photo,
and what PyTorch makes of both.

    python tests/golden/make_models.py

expected.safetensors of each folder holds inputs and outputs under their names in the description, of
eight items each: random "pixels" and the "logits" of vit_tiny, deit_tiny and cifar10_cct (whose model
is models/cifar10_cct); "input_ids", "attention_mask", "token_type_ids", "last_hidden_state",
"pooler_output" and "logits" of bert_tiny; "input_features" and the encoder's "last_hidden_state" of
whisper_tiny. vit_tiny and deit_tiny also have "photo_pixels" [3, 32, 32] and "photo_logits" [10], of
photo.png through the folder's preprocessing (the PIL/NumPy path of transformers).

After a change, `ninja update_bits` renews tests/golden/models/bits.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    WhisperConfig,
    WhisperModel,
)
from transformers.image_utils import load_image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))

from reference import ROOT, perturb, random_mel, random_text, run_pytorch  # noqa: E402

import cct  # noqa: E402  (of tools/export, which reference puts on the path)

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


def write_expected(name: str, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
    folder = HERE / "models" / name
    folder.mkdir(exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in (inputs | outputs).items()}, folder / "expected.safetensors")


def write_bert() -> None:
    config = BertConfig(
        vocab_size=61, hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=70,
        max_position_embeddings=29, type_vocab_size=2, num_labels=5,
    )
    model = perturb(BertForSequenceClassification(config), 3)
    model.save_pretrained(HERE / "models" / "bert_tiny")
    text = random_text(config, 23, BATCH, 3)
    hidden = run_pytorch(model.bert, text)
    write_expected("bert_tiny", text, {
        "last_hidden_state": hidden["last_hidden_state"], "pooler_output": hidden["pooler_output"],
        "logits": run_pytorch(model, text)["logits"],
    })


def write_whisper() -> None:
    config = WhisperConfig(
        vocab_size=20, num_mel_bins=11, d_model=36, encoder_layers=2, encoder_attention_heads=3,
        encoder_ffn_dim=70, decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=4,
        max_source_positions=19, max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None,
    )
    model = perturb(WhisperModel(config), 4)
    model.save_pretrained(HERE / "models" / "whisper_tiny")
    mel = random_mel(config, BATCH, 4)
    write_expected("whisper_tiny", mel, {"last_hidden_state": run_pytorch(model, mel)["last_hidden_state"]})


def write_cct() -> None:
    pixels = np.random.default_rng(5).standard_normal((BATCH, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        logits = cct.load(ROOT / "models" / "cifar10_cct")(torch.from_numpy(pixels)).numpy()
    write_expected("cifar10_cct", {"pixels": pixels}, {"logits": logits})


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
    write_bert()
    write_whisper()
    write_cct()


if __name__ == "__main__":
    main()
