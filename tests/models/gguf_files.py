"""Writes models of transformers as GGUF files, as llama.cpp's conversion does: names, metadata, turned
queries and keys. Needs the gguf package."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

# The modules of one layer and the others: transformers' name and the file's.
NAMES = {
    "bert": {
        "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
        "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
        "encoder.layer.{}.attention.self.query": "blk.{}.attn_q", "encoder.layer.{}.attention.self.key": "blk.{}.attn_k",
        "encoder.layer.{}.attention.self.value": "blk.{}.attn_v",
        "encoder.layer.{}.attention.output.dense": "blk.{}.attn_output",
        "encoder.layer.{}.attention.output.LayerNorm": "blk.{}.attn_output_norm",
        "encoder.layer.{}.intermediate.dense": "blk.{}.ffn_up", "encoder.layer.{}.output.dense": "blk.{}.ffn_down",
        "encoder.layer.{}.output.LayerNorm": "blk.{}.layer_output_norm",
    },
    "llama": {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
        "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
        "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q", "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
        "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v", "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
        "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm", "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
        "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate", "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
        "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
    },
    "gpt2": {
        "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
        "transformer.h.{}.ln_1": "blk.{}.attn_norm", "transformer.h.{}.ln_2": "blk.{}.ffn_norm",
        "transformer.h.{}.attn.c_attn": "blk.{}.attn_qkv", "transformer.h.{}.attn.c_proj": "blk.{}.attn_output",
        "transformer.h.{}.mlp.c_fc": "blk.{}.ffn_up", "transformer.h.{}.mlp.c_proj": "blk.{}.ffn_down",
    },
}
NAMES["qwen2"] = NAMES["qwen3"] = NAMES["gemma"] = NAMES["llama"]
NAMES["gemma2"] = NAMES["gemma3"] = {
    **NAMES["llama"], "model.layers.{}.post_attention_layernorm": "blk.{}.post_attention_norm",
    "model.layers.{}.pre_feedforward_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.post_feedforward_layernorm": "blk.{}.post_ffw_norm",
}


def theirs(architecture: str, name: str) -> str | None:
    """The file's name of a parameter; None: it is left out."""
    base, _, suffix = name.rpartition(".")
    parts = base.split(".")
    number = next((part for part in parts if part.isdigit()), None)
    pattern = ".".join("{}" if part.isdigit() else part for part in parts)
    found = NAMES[architecture].get(pattern)
    return found and f"{found.format(number)}.{suffix}"


def quantize(data: np.ndarray, kind: Type) -> np.ndarray:
    """The package's blocks; where it cannot make them, blocks of random bits with small scales."""
    if kind.name.endswith("_K"):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = np.random.default_rng(data.size).integers(0, 256, (data.size // elements, size), dtype=np.uint8)
        halves = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}[kind.name]
        for at in halves:
            blocks[:, at:at + 2] = np.full((len(blocks), 1), 2e-4 if kind.name != "Q6_K" else 3e-5, np.float16).view(np.uint8)
        return blocks.reshape(data.shape[0], -1)
    return gguf.quants.quantize(data, kind)


def permute(data: np.ndarray, heads: int) -> np.ndarray:
    """Rows i and d / 2 + i of a head become neighbours."""
    return data.reshape(heads, 2, data.shape[0] // heads // 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)


def unpermute(data: np.ndarray, heads: int) -> np.ndarray:
    return data.reshape(heads, data.shape[0] // heads // 2, 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)


def write_metadata(w: gguf.GGUFWriter, config: object, architecture: str, tokens: list[str] | None = None) -> None:
    get = lambda *names: next(getattr(config, name) for name in names if hasattr(config, name))  # noqa: E731
    w.add_block_count(get("num_hidden_layers", "n_layer"))
    w.add_context_length(get("max_position_embeddings", "n_positions"))
    w.add_embedding_length(get("hidden_size", "n_embd"))
    w.add_head_count(get("num_attention_heads", "n_head"))
    w.add_feed_forward_length(getattr(config, "intermediate_size", None) or 4 * get("hidden_size", "n_embd"))
    if architecture in ("bert", "gpt2"):
        w.add_layer_norm_eps(get("layer_norm_eps", "layer_norm_epsilon"))
    else:
        w.add_layer_norm_rms_eps(config.rms_norm_eps)
        w.add_head_count_kv(config.num_key_value_heads)
        rope = config.rope_parameters
        w.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
        for name, add in (("sliding_window", w.add_sliding_window), ("final_logit_softcapping", w.add_final_logit_softcapping),
                          ("attn_logit_softcapping", w.add_attn_logit_softcapping)):
            if getattr(config, name, None) is not None and "gemma" in architecture:
                add(getattr(config, name))
        if getattr(config, "head_dim", None):
            w.add_key_length(config.head_dim)
            w.add_value_length(config.head_dim)
            w.add_rope_dimension_count(config.head_dim)
    if architecture == "bert":
        w.add_causal_attention(False)
        w.add_token_type_count(config.type_vocab_size)
    w.add_tokenizer_model({"bert": "bert", "gpt2": "gpt2"}.get(architecture, "llama"))
    w.add_token_list(tokens or [f"t{i}" for i in range(config.vocab_size)])


def write_gguf(
    model: torch.nn.Module, path: Path, architecture: str, kinds: list[str], more: dict | None = None,
    tensors: dict | None = None, tokens: list[str] | None = None,
) -> None:
    """Matrices in the types of `kinds`, one after another; all else f32. The model gets the values that the file
    then has. more: further metadata; tensors: further ones; tokens: the vocabulary, else "t0", "t1" ..."""
    w = gguf.GGUFWriter(path, architecture)
    write_metadata(w, model.config, architecture, tokens)
    for key, value in (more or {}).items():
        add = {str: w.add_string, int: w.add_uint32}.get(type(value), w.add_float32)
        add(key, value)
    tied = getattr(model.config, "tie_word_embeddings", False)
    count = 0
    for key, value in (tensors or {}).items():
        w.add_tensor(key, value)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            their = theirs(architecture, name)
            if their is None or (tied and their == "output.weight"):
                continue
            data = parameter.numpy()
            turned = architecture == "gpt2" and data.ndim == 2 and "embd" not in their
            heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(their.split(".")[-2])
            heads = getattr(model.config, heads) if heads and architecture == "llama" else None
            data = data + 1 if "gemma" in architecture and "norm" in their else data
            data = data.T if turned else data
            data = permute(data, heads) if heads else data
            kind = Type[kinds[count % len(kinds)]] if data.ndim == 2 else Type.F32
            count += data.ndim == 2
            if kind == Type.F32:
                w.add_tensor(their, np.ascontiguousarray(data))
                continue
            blocks = quantize(np.ascontiguousarray(data), kind)
            w.add_tensor(their, blocks, raw_dtype=kind)
            data = gguf.quants.dequantize(blocks, kind).reshape(data.shape)
            data = unpermute(data, heads) if heads else data
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(data.T if turned else data)))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
