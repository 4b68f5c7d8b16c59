"""ONNX exports of models with random weights, as torch.onnx.export writes them, and what they compute.

    python tools/export/onnx_models.py FOLDER [--real] [--only vit,bert,...] [--exporters legacy,dynamo]

For each model FOLDER/NAME holds legacy.onnx (dynamo=False) and dynamo.onnx (dynamo=True), the batch and a
text's length open; inputs.npz and outputs.npz, and a second pair inputs_2.npz and outputs_2.npz of another
batch and length, by the names of the graph, computed by ONNX Runtime (within 1e-4 of PyTorch); and hf, the
folder that transformers' save_pretrained writes, unmodified. Without --real the models are tiny, for tests;
with it they have their usual sizes, for timing. A model that an exporter refuses is named, and the exit
status is 1.

Needs torch, transformers, onnx, onnxscript, onnxruntime."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import onnxruntime
import torch
import transformers as hf
from transformers.utils import logging as hf_logging

hf_logging.disable_progress_bar()
onnxruntime.set_default_logger_severity(3)

EXPORTERS = ("legacy", "dynamo")


class Attend(torch.nn.Module):
    """One step of Bahdanau et al. 2015: additive attention over a bidirectional GRU's states, then the
    decoder's GRU cell and the logits."""

    def __init__(self, words: int, dim: int) -> None:
        super().__init__()
        self.source = torch.nn.Embedding(words, dim)
        self.target = torch.nn.Embedding(words, dim)
        self.encoder = torch.nn.GRU(dim, dim, bidirectional=True, batch_first=True)
        self.first = torch.nn.Linear(dim, dim)
        self.query = torch.nn.Linear(dim, dim, bias=False)
        self.key = torch.nn.Linear(2 * dim, dim)
        self.score = torch.nn.Linear(dim, 1, bias=False)
        self.decoder = torch.nn.GRUCell(3 * dim, dim)
        self.head = torch.nn.Linear(4 * dim, words)

    def forward(self, source: torch.Tensor, word: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, last = self.encoder(self.source(source))  # [batch, seq, 2 dim], [2, batch, dim]
        state = torch.tanh(self.first(last[1]))
        scores = self.score(torch.tanh(self.query(state).unsqueeze(1) + self.key(states)))
        weights = torch.softmax(scores.squeeze(-1), dim=-1)
        context = torch.bmm(weights.unsqueeze(1), states).squeeze(1)
        embedded = self.target(word)
        state = self.decoder(torch.cat([embedded, context], -1), state)
        return self.head(torch.cat([state, context, embedded], -1)), state, weights


class Outputs(torch.nn.Module):
    """A model of transformers as a function of tensors: its inputs in order, the outputs of these names."""

    def __init__(self, model: torch.nn.Module, inputs: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.model(**dict(zip(self.inputs, values)))
        return tuple(result[name] for name in self.outputs)


@dataclasses.dataclass
class Model:
    make: Callable[[bool], torch.nn.Module]  # real sizes or tiny ones
    outputs: list[str]
    text: bool = False
    words: int = 100
    masked: tuple[str, ...] = ()  # further inputs of a text


def vit(config: type, model: type, real: dict) -> Callable[[bool], torch.nn.Module]:
    tiny = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32,
                patch_size=8, num_labels=10)
    return lambda is_real: model(config(**(real if is_real else tiny)))


def swin(is_real: bool) -> torch.nn.Module:
    tiny = dict(image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4,
                num_labels=10)
    return hf.SwinForImageClassification(hf.SwinConfig(**({} if is_real else tiny)))


def mobilevit(is_real: bool) -> torch.nn.Module:
    tiny = dict(image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 16, 24, 32],
                num_attention_heads=4, num_labels=10)
    return hf.MobileViTForImageClassification(hf.MobileViTConfig(**({"num_labels": 1000} if is_real else tiny)))


def segformer(is_real: bool) -> torch.nn.Module:
    tiny = dict(image_size=64, num_encoder_blocks=4, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32],
                num_attention_heads=[1, 2, 3, 4], decoder_hidden_size=16, num_labels=5)
    real = dict(num_labels=150)
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(**(real if is_real else tiny)))


def bert(is_real: bool) -> torch.nn.Module:
    tiny = dict(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                max_position_embeddings=64)
    real = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    return hf.BertModel(hf.BertConfig(**(real if is_real else tiny)))


def distilbert(is_real: bool) -> torch.nn.Module:
    tiny = dict(vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64, num_labels=3)
    return hf.DistilBertForSequenceClassification(hf.DistilBertConfig(**({} if is_real else tiny)))


def t5(is_real: bool) -> torch.nn.Module:
    tiny = dict(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return hf.T5EncoderModel(hf.T5Config(**({"num_layers": 6} if is_real else tiny)))


SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, num_labels=1000)
TINY = dict(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768, num_labels=1000)
MODELS = {
    "vit": Model(vit(hf.ViTConfig, hf.ViTForImageClassification, SMALL), ["logits"]),
    "deit": Model(vit(hf.DeiTConfig, hf.DeiTForImageClassificationWithTeacher, TINY), ["logits"]),
    "swin": Model(swin, ["logits"]),
    "mobilevit": Model(mobilevit, ["logits"]),
    "segformer": Model(segformer, ["logits"]),
    "bert": Model(bert, ["last_hidden_state", "pooler_output"], True, masked=("attention_mask", "token_type_ids")),
    "distilbert": Model(distilbert, ["logits"], True, masked=("attention_mask",)),
    "t5": Model(t5, ["last_hidden_state"], True, masked=("attention_mask",)),
    "bahdanau": Model(lambda is_real: Attend(1000 if is_real else 50, 256 if is_real else 16),
                      ["logits", "state", "weights"], True, 50),
}


def perturb(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random values at which every parameter matters: norms are not 1 and 0, biases not 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias") or "bias_" in name:
                parameter.copy_(0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(1 + 0.2 * noise)
            elif "embed" in name or name.endswith("token"):
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(noise * 1.1 / math.sqrt(parameter[0].numel()))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(1 + 0.5 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def sample(model: Model, module: torch.nn.Module, batch: int, length: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    if isinstance(module, Attend):
        return {"source": random.integers(0, model.words, (batch, length)), "word": random.integers(0, model.words, batch)}
    if not model.text:
        size = getattr(module.config, "image_size", 512)
        return {"pixel_values": random.standard_normal((batch, 3, size, size)).astype(np.float32)}
    values = {"input_ids": random.integers(0, module.config.vocab_size, (batch, length))}
    if "attention_mask" in model.masked:
        kept = random.integers(length // 2, length + 1, (batch, 1))
        values["attention_mask"] = (np.arange(length) < kept).astype(np.int64)
    if "token_type_ids" in model.masked:
        values["token_type_ids"] = random.integers(0, 2, (batch, length))
    return values


def open_axes(inputs: dict[str, np.ndarray], text: bool) -> dict[str, dict[int, str]]:
    """The first dimension of every input is the batch; the second of a text its length."""
    return {name: {0: "batch", **({1: "seq"} if text and value.ndim > 1 else {})} for name, value in inputs.items()}


def export(model: Model, module: torch.nn.Module, inputs: dict[str, np.ndarray], path: Path, exporter: str) -> None:
    names = list(inputs)
    # The exporters give a module the mode back that it was in, with all that it holds.
    whole = module if isinstance(module, Attend) else Outputs(module, names, model.outputs).eval()
    values = tuple(torch.from_numpy(inputs[name]) for name in names)
    axes = open_axes(inputs, model.text)
    common = dict(input_names=names, output_names=model.outputs)
    if exporter == "legacy":
        torch.onnx.export(whole, values, str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **common)
        return
    shapes = tuple({i: torch.export.Dim.DYNAMIC for i in axes[name]} for name in names)
    if not isinstance(module, Attend):
        shapes = (shapes,)  # those of *values
    torch.onnx.export(whole, values, str(path), dynamo=True, dynamic_shapes=shapes, external_data=False, **common)


def run(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, {i.name: inputs[i.name] for i in session.get_inputs()})))


def export_checked(model: Model, module: torch.nn.Module, sets: list[dict[str, np.ndarray]], path: Path,
                   exporter: str) -> list[dict[str, np.ndarray]]:
    """Exports, and runs every set of inputs; raises if PyTorch's results are others."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        export(model, module, sets[0], path, exporter)
    results = [run(path, inputs) for inputs in sets]
    for inputs, outputs in zip(sets, results):
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.no_grad():
            expected = module(**tensors)
        if isinstance(expected, tuple):
            expected = dict(zip(model.outputs, expected))
        for name, value in outputs.items():
            difference = np.abs(expected[name].numpy() - value).max()
            if not difference <= 1e-4 * max(1, np.abs(value).max()):
                raise ValueError(f"{name} of ONNX Runtime differs from PyTorch's by {difference:g}")
    return results


def last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "Error'>" in line] or str(error).strip().splitlines()
    return lines[0][:200] if lines else repr(error)


def write(name: str, folder: Path, real: bool = False, exporters: tuple[str, ...] = EXPORTERS) -> list[str]:
    """Writes one model; returns what went wrong, a line for each exporter."""
    model, problems = MODELS[name], []
    module = perturb(model.make(real), len(name))
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(module, "save_pretrained"):
        module.save_pretrained(folder / "hf")
    sets = [sample(model, module, 2, 128 if real else 12, 1), sample(model, module, 3, 16 if real else 7, 2)]
    for exporter in exporters:
        path, results = folder / f"{exporter}.onnx", None
        # With SDPA some models cannot be exported by the new one: their views assume its memory layout.
        for attention in ("sdpa", "eager"):
            if hasattr(module, "set_attn_implementation"):
                module.set_attn_implementation(attention)
            try:
                results = export_checked(model, module, sets, path, exporter)
                break
            except Exception as error:
                path.unlink(missing_ok=True)
                problem = f"{name}: {exporter}: {last_line(error)}"
        if results is None:
            problems.append(problem)
            continue
        for i, (inputs, outputs) in enumerate(zip(sets, results)):
            end = "" if i == 0 else f"_{i + 1}"
            np.savez(folder / f"inputs{end}.npz", **inputs)
            np.savez(folder / f"outputs{end}.npz", **outputs)
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--exporters", default=",".join(EXPORTERS))
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(MODELS) or set(options.exporters.split(",")) - set(EXPORTERS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)} and {', '.join(EXPORTERS)}")
    logging.disable(logging.WARNING)
    status = 0
    for name in options.only.split(","):
        problems = write(name, options.folder / name, options.real, tuple(options.exporters.split(",")))
        for problem in problems:
            print(problem, file=sys.stderr)
            status = 1
        print(f"{name}: {', '.join(sorted(p.name for p in (options.folder / name).glob('*.onnx')))}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
