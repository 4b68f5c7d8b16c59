"""Models as torch.onnx.export writes them, by both exporters: small ones of transformers with random
weights, and a Bahdanau step. For test_onnx_exports.py; as a script it writes them all:
    python3 onnx_exports.py FOLDER [NAME ...]"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from reference import perturb
from transformers import (
    BertConfig,
    BertModel,
    DeiTConfig,
    DeiTForImageClassification,
    DistilBertConfig,
    DistilBertModel,
    MobileViTConfig,
    MobileViTForImageClassification,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SwinConfig,
    SwinForImageClassification,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    ViTForImageClassification,
)

IMAGE = dict(num_channels=3, num_labels=7)


class Output(torch.nn.Module):
    """One result of a model, so that the exporters see a tensor."""

    def __init__(self, model: torch.nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(**inputs), self.name)


class Image(Output):
    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(pixel_values=pixel_values), self.name)


class Text(Output):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(input_ids=input_ids, attention_mask=attention_mask), self.name)


class Bahdanau(torch.nn.Module):
    """One step of a GRU decoder with additive attention, and the encoder before it."""

    def __init__(self, words: int = 31, size: int = 24) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(words, size)
        self.encoder = torch.nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.query = torch.nn.Linear(size, size)
        self.key = torch.nn.Linear(2 * size, size)
        self.score = torch.nn.Linear(size, 1)
        self.decoder = torch.nn.GRU(3 * size, size, batch_first=True)
        self.out = torch.nn.Linear(3 * size, words)

    def forward(self, source: torch.Tensor, token: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        memory, _ = self.encoder(self.embed(source))
        scores = self.score(torch.tanh(self.query(hidden[0]).unsqueeze(1) + self.key(memory))).squeeze(-1)
        weights = torch.softmax(scores, -1)
        context = torch.bmm(weights.unsqueeze(1), memory)
        step, state = self.decoder(torch.cat([self.embed(token), context], -1), hidden)
        return self.out(torch.cat([step, context], -1)), state, weights


def pixels(size: int, batch: int = 2) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(3)),)


def text(words: int, batch: int = 2, length: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(0, words, (batch, length), generator=torch.Generator().manual_seed(3))
    mask = (torch.arange(length) < torch.tensor([[length], [length - 4]])[:batch]).long()
    return ids, mask


def vit() -> tuple:
    config = ViTConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                       image_size=32, patch_size=8, **IMAGE)
    return Image(ViTForImageClassification(config), "logits"), pixels(32)


def deit() -> tuple:
    config = DeiTConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                        image_size=32, patch_size=8, **IMAGE)
    return Image(DeiTForImageClassification(config), "logits"), pixels(32)


def swin() -> tuple:
    config = SwinConfig(embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, image_size=64, patch_size=4,
                        **IMAGE)
    return Image(SwinForImageClassification(config), "logits"), pixels(64)


def mobilevit() -> tuple:
    config = MobileViTConfig(image_size=64, hidden_sizes=[24, 32, 40], neck_hidden_sizes=[8, 16, 24, 32, 40, 48, 64],
                             num_attention_heads=4, **IMAGE)
    return Image(MobileViTForImageClassification(config), "logits"), pixels(64)


def segformer() -> tuple:
    config = SegformerConfig(hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 5],
                             decoder_hidden_size=32, **IMAGE)
    return Image(SegformerForSemanticSegmentation(config), "logits"), pixels(64)


def bert() -> tuple:
    config = BertConfig(vocab_size=90, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
                        intermediate_size=96, max_position_embeddings=64)
    return Text(BertModel(config), "last_hidden_state"), text(90)


def distilbert() -> tuple:
    config = DistilBertConfig(vocab_size=90, dim=48, n_layers=3, n_heads=4, hidden_dim=96, max_position_embeddings=64)
    return Text(DistilBertModel(config), "last_hidden_state"), text(90)


def t5() -> tuple:
    config = T5Config(vocab_size=90, d_model=48, d_kv=12, d_ff=96, num_layers=3, num_heads=4)
    return Text(T5EncoderModel(config), "last_hidden_state"), text(90)


def bahdanau() -> tuple:
    ids = torch.randint(0, 31, (2, 6), generator=torch.Generator().manual_seed(3))
    return Bahdanau(), (ids, ids[:, :1].clone(), torch.randn(1, 2, 24, generator=torch.Generator().manual_seed(4)))


MODELS = {f.__name__: f for f in (vit, deit, swin, mobilevit, segformer, bert, distilbert, t5, bahdanau)}
EXPORTERS = ("torchscript", "dynamo")
# What of the inputs is left open.
OPEN = {
    "pixel_values": {0: "batch"},
    "input_ids": {0: "batch", 1: "sequence"},
    "attention_mask": {0: "batch", 1: "sequence"},
    "source": {0: "batch", 1: "length"},
    "token": {0: "batch"},
    "hidden": {1: "batch"},
}


EAGER = {"swin", "t5"}  # of whose fused attention the newer exporter makes nothing


def names_of(module: torch.nn.Module) -> list[str]:
    return list(module.forward.__code__.co_varnames[1 : module.forward.__code__.co_argcount])


def write(name: str, exporter: str, path: Path, opset: int = 17) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Writes the model; returns inputs, and what PyTorch makes of them."""
    torch.manual_seed(5)
    module, inputs = MODELS[name]()
    perturb(module, 5)
    if name in EAGER and exporter == "dynamo":
        module.model.set_attn_implementation("eager")
    names = names_of(module)
    open_dims = {n: OPEN[n] for n in names}
    with torch.inference_mode():
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        if exporter == "torchscript":
            torch.onnx.export(module, inputs, path, input_names=names, dynamic_axes=open_dims, opset_version=opset,
                              output_names=[f"output_{i}" for i in range(len(outputs))], dynamo=False)
        else:
            sizes = {n: {d: torch.export.Dim.DYNAMIC for d in dims} for n, dims in open_dims.items()}
            torch.onnx.export(module, inputs, path, input_names=names, dynamic_shapes=sizes, opset_version=max(18, opset),
                              output_names=[f"output_{i}" for i in range(len(outputs))], dynamo=True,
                              external_data=False, verbose=False)
        logging.disable(logging.NOTSET)
    return {n: t.numpy() for n, t in zip(names, inputs)}, [t.numpy() for t in outputs]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for model in sys.argv[2:] or MODELS:
        for kind in EXPORTERS:
            try:
                given, wanted = write(model, kind, folder / f"{model}-{kind}.onnx")
            except Exception as error:
                print(f"{model}-{kind}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
                continue
            np.savez(folder / f"{model}-{kind}-in.npz", **given)
            np.savez(folder / f"{model}-{kind}-out.npz", **{f"output_{i}": w for i, w in enumerate(wanted)})
            print(f"{model}-{kind}")
