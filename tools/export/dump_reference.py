"""Runs the model of a Hugging Face folder in PyTorch and writes what each of its modules gives, for
`attn trace --compare`, which then names the first layer that differs.

    python tools/export/dump_reference.py FOLDER --image PHOTO --save-input x.npy --out dump.safetensors
    attn trace FOLDER x.npy --compare dump.safetensors

The tensors of the dump have attn's names of the layers: those of the weights in the folder's file,
without ".weight" ("vit.encoder.layer.0.layernorm_before"). The modules of transformers 5 have other
names; each is told by the tensors of the file that its parameters hold. Beside them the dump has the
results of the model ("logits", ...), its input ("pixels"), and, under "module/NAME", the results of
the modules that have no weights of their own. All are f32 and of one item: the batch is left out.

The pixels of a photo come from the PIL/NumPy path of the folder's image processor, which is attn's
reference too; with --save-input both start from the same pixels (`attn trace FOLDER PHOTO` would
compare the preprocessing as well).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from difflib import SequenceMatcher
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.image_utils import load_image


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of model.safetensors, or of the shards."""
    index = folder / "model.safetensors.index.json"
    files = {"model.safetensors"}
    if index.exists():
        files = set(json.loads(index.read_text())["weight_map"].values())
    weights = {}
    for file in sorted(files):
        with safe_open(folder / file, framework="pt") as tensors:
            weights.update({name: tensors.get_tensor(name) for name in tensors.keys()})
    return weights


def load_model(folder: Path) -> nn.Module:
    """The class that config.json names, in float32."""
    config = transformers.AutoConfig.from_pretrained(folder)
    names = config.architectures or []
    if not names or not hasattr(transformers, names[0]):
        raise SystemExit(f"{folder}/config.json: \"architectures\" is {names}, which transformers does not have")
    return getattr(transformers, names[0]).from_pretrained(folder, dtype=torch.float32).eval()


def read_photo(folder: Path, photo: Path) -> np.ndarray:
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    return np.asarray(processor(load_image(str(photo)), return_tensors="np")["pixel_values"][0], np.float32)


def similarity(parameter: str, weight: str) -> tuple[bool, float]:
    """How alike two names are; the numbers in them, such as the layer's, count most."""
    return (
        re.findall(r"\d+", parameter) == re.findall(r"\d+", weight),
        SequenceMatcher(None, parameter, weight).ratio(),
    )


def checkpoint_names(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, str]:
    """Parameter -> the name of the tensor in the file that it was read from.

    A parameter is known by its value. Where several tensors have it (biases of zero, say), the same
    name wins, then the most similar one, and no tensor is given twice."""
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    by_shape: dict[torch.Size, list[str]] = {}
    for name, weight in weights.items():
        by_shape.setdefault(weight.shape, []).append(name)
    candidates = [
        (name == other, *similarity(name, other), name, other)
        for name, parameter in parameters.items()
        for other in by_shape.get(parameter.shape, [])
        if torch.equal(parameter, weights[other].to(parameter.dtype))
    ]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for *_, name, other in sorted(candidates, reverse=True):
        if name not in found and other not in taken:
            found[name] = other
            taken.add(other)
    return found


def module_names(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, str]:
    """Module -> the name of its layer in attn, for the modules that have weights of their own."""
    found = checkpoint_names(model, weights)
    names = {}
    for module, _ in model.named_modules():
        weight = found.get(f"{module}.weight" if module else "weight")
        if weight and weight.endswith(".weight"):
            names[module] = weight.removesuffix(".weight")
    return names


def one_item(value: Tensor) -> Tensor:
    return value[0].to(torch.float32).contiguous().clone()


def layer_output(module: nn.Module, value: Tensor) -> Tensor:
    """[1, ...] -> [...]; patches [1, dim, rows, columns] -> [rows * columns, dim], as attn has them."""
    if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride:
        value = value.flatten(2).transpose(1, 2)
    return one_item(value)


def dump(folder: Path, pixels: np.ndarray) -> dict[str, Tensor]:
    """pixels: [channels, height, width]."""
    model = load_model(folder)
    names = module_names(model, read_weights(folder))
    tensors: dict[str, Tensor] = {"pixels": torch.from_numpy(pixels).clone()}

    def hook(path: str):
        def keep(module: nn.Module, _: object, output: object) -> None:
            value = output[0] if isinstance(output, tuple) else output
            if isinstance(value, Tensor) and value.dim() > 0:
                tensors[names.get(path, f"module/{path}")] = layer_output(module, value)

        return keep

    for path, module in model.named_modules():
        if path:
            module.register_forward_hook(hook(path))
    with torch.inference_mode():
        results = model(pixel_values=torch.from_numpy(pixels[None]))
    for name, value in results.items():
        if isinstance(value, Tensor) and value.dim() > 0:
            tensors[name] = one_item(value)
    return tensors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the model, as transformers writes it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", type=Path, metavar="PHOTO", help="a photo, preprocessed as the folder says")
    source.add_argument("--input", type=Path, metavar="X.npy", help="pixels [channels, height, width]")
    parser.add_argument("--out", type=Path, required=True, metavar="DUMP.safetensors")
    parser.add_argument("--save-input", type=Path, metavar="X.npy", help="also write the pixels, for attn trace")
    arguments = parser.parse_args()

    pixels = read_photo(arguments.folder, arguments.image) if arguments.image else np.load(arguments.input)
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.ndim != 3:
        raise SystemExit(f"{arguments.input}: shape {list(pixels.shape)}, expected [channels, height, width]")
    pixels = np.ascontiguousarray(pixels, np.float32)
    tensors = dump(arguments.folder, pixels)
    save_file(tensors, arguments.out)
    if arguments.save_input:
        np.save(arguments.save_input, pixels)
    layers = sum(not name.startswith("module/") for name in tensors)
    print(f"{arguments.out}: {len(tensors)} tensors, {layers} of them by the names of the folder's weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
