"""Makes a Hugging Face folder of a llama2.c checkpoint, such as the bundled models/stories260k.

    python tools/export/stories260k.py stories260K.bin tok512.bin OUT

The checkpoint (the unversioned format): seven i32 (dim, hidden, layers, heads, key heads, vocabulary, positions),
then f32 tensors, those of one kind of all layers together. Rotary positions there turn neighbouring columns;
Hugging Face's turn the two halves of a head, so the rows of q and k are put in that order. Nothing else changes.

The tokenizer: the longest piece, then score, length and text of each piece. llama2.c joins the two neighbours
whose joint piece has the highest score, the leftmost first; the merges written here, in the order of the scores,
do the same.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

BYTES = 3  # pieces <0x00> ... <0xFF> begin at this id, after <unk>, <s> and </s>


class BadFile(Exception):
    pass


def read_checkpoint(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    data = path.read_bytes()
    if len(data) < 28:
        raise BadFile(f"{path}: {len(data)} bytes, expected a header of 28")
    dim, hidden, layers, heads, kv_heads, vocabulary, positions = struct.unpack("<7i", data[:28])
    tied, vocabulary = vocabulary > 0, abs(vocabulary)
    if min(dim, hidden, layers, heads, kv_heads, vocabulary, positions) < 1 or dim % heads or heads % kv_heads:
        raise BadFile(f"{path}: impossible sizes {struct.unpack('<7i', data[:28])}")
    kv, half = dim // heads * kv_heads, dim // heads // 2
    shapes = [
        ("embed_tokens", (vocabulary, dim)), ("input_layernorm", (layers, dim)), ("self_attn.q_proj", (layers, dim, dim)),
        ("self_attn.k_proj", (layers, kv, dim)), ("self_attn.v_proj", (layers, kv, dim)),
        ("self_attn.o_proj", (layers, dim, dim)), ("post_attention_layernorm", (layers, dim)),
        ("mlp.gate_proj", (layers, hidden, dim)), ("mlp.down_proj", (layers, dim, hidden)),
        ("mlp.up_proj", (layers, hidden, dim)), ("norm", (dim,)), ("", (2, positions, half)),
    ] + ([] if tied else [("lm_head", (vocabulary, dim))])
    wanted = 28 + 4 * sum(int(np.prod(shape)) for _, shape in shapes)
    if len(data) != wanted:
        raise BadFile(f"{path}: {len(data)} bytes, expected {wanted}")
    tensors, at = {}, 28
    for name, shape in shapes:
        values = np.frombuffer(data, "<f4", int(np.prod(shape)), at).reshape(shape)
        at += values.nbytes
        if name in ("embed_tokens", "norm"):
            tensors[f"model.{name}.weight"] = values
        elif name == "lm_head":
            tensors["lm_head.weight"] = values
        elif name:
            for i in range(layers):
                tensors[f"model.layers.{i}.{name}.weight"] = values[i]
    for name, count in (("q_proj", heads), ("k_proj", kv_heads)):
        for i in range(layers):
            key = f"model.layers.{i}.self_attn.{name}.weight"
            tensors[key] = tensors[key].reshape(count, half, 2, dim).swapaxes(1, 2).reshape(-1, dim)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": dim, "intermediate_size": hidden,
        "max_position_embeddings": positions, "mlp_bias": False, "num_attention_heads": heads,
        "num_hidden_layers": layers, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "rope_scaling": None, "tie_word_embeddings": tied, "torch_dtype": "float32",
        "vocab_size": vocabulary,
    }
    return config, {key: np.ascontiguousarray(value) for key, value in tensors.items()}


def read_pieces(path: Path, count: int) -> list[tuple[float, str]]:
    """Score and text of each piece, a space as SentencePiece writes it."""
    data, at, pieces = path.read_bytes(), 4, []
    for i in range(count):
        if len(data) < at + 8 or struct.unpack_from("<i", data, at + 4)[0] not in range(len(data) - at - 7):
            raise BadFile(f"{path}: piece {i} of {count} does not lie within the {len(data)} bytes")
        score, length = struct.unpack_from("<fi", data, at)
        pieces.append((score, data[at + 8:at + 8 + length].decode().replace(" ", "\u2581")))
        at += 8 + length
    pieces[:BYTES] = [(0.0, "<unk>"), (0.0, "<s>"), (0.0, "</s>")]
    if at != len(data) or any(text != f"<0x{i:02X}>" for i, (_, text) in enumerate(pieces[BYTES:BYTES + 256])):
        raise BadFile(f"{path}: not {count} pieces, the bytes from {BYTES} on")
    return pieces


def make_tokenizer(pieces: list[tuple[float, str]]) -> dict:
    ids = {text: i for i, (_, text) in enumerate(pieces)}
    merges = []
    for i in sorted(range(BYTES + 256, len(pieces)), key=lambda i: -pieces[i][0]):
        text = pieces[i][1]
        splits = [(text[:at], text[at:]) for at in range(1, len(text))]
        splits = [(a, b) for a, b in splits if a in ids and b in ids]
        merges += [list(pair) for pair in sorted(splits, key=lambda pair: (ids[pair[0]], ids[pair[1]]))]
    special = [
        {"id": i, "content": pieces[i][1], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True} for i in range(BYTES)
    ]
    first = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing", "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 1}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": ids, "merges": merges},
    }


def write_folder(out: Path, config: dict, tensors: dict[str, np.ndarray], tokenizer: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # A new story begins with <s>: where llama2.c stops, too.
    files = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": [1, 2]},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
            "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False,
            "model_max_length": config["max_position_embeddings"]},
        "tokenizer.json": tokenizer,
    }
    for name, content in files.items():
        indent = None if name == "tokenizer.json" else 2
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n")
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    (out / "model.safetensors").chmod(0o644)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    try:
        config, tensors = read_checkpoint(args.checkpoint)
        tokenizer = make_tokenizer(read_pieces(args.tokenizer, config["vocab_size"]))
        write_folder(args.out, config, tensors, tokenizer)
    except (BadFile, OSError, UnicodeDecodeError) as error:
        print(f"stories260k.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
