"""A GGUF file of Llama's shape beside PyTorch on the very values that it holds.

    python tests/models/compare_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf [--write FOLDER] [--tokens 64]

Reads the file with the gguf package, gives its values to transformers' LlamaForCausalLM in f32, and compares, for
ten prompts, the text that both write greedily, and the logits after each of its tokens. --write keeps the model
as a folder of Hugging Face. ATTN names the command. Not among the tests: it wants the real file."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gguf_files import NAMES, unpermute
from reference import attn

PROMPTS = [
    "The capital of France is", "Once upon a time", "def fibonacci(n):", "Water boils at", "My favourite recipe is",
    "In 1969, the first", "The three laws of motion are", "Dear Sir or Madam,", "2 + 2 = 4, 3 + 3 =", "Der Himmel ist",
]


def load(path: Path) -> LlamaForCausalLM:
    reader = gguf.GGUFReader(path)
    get = lambda key: reader.fields["llama." + key].contents()  # noqa: E731
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    tensors = {t.name: t for t in reader.tensors}
    config = LlamaConfig(
        vocab_size=get("vocab_size"), hidden_size=get("embedding_length"), num_hidden_layers=get("block_count"),
        num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=get("feed_forward_length"),
        max_position_embeddings=get("context_length"), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": get("rope.freq_base")},
        tie_word_embeddings="output.weight" not in tensors,
        bos_token_id=reader.fields["tokenizer.ggml.bos_token_id"].contents(),
        eos_token_id=reader.fields["tokenizer.ggml.eos_token_id"].contents(),
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            base, _, suffix = name.rpartition(".")
            number = next((part for part in base.split(".") if part.isdigit()), None)
            pattern = ".".join("{}" if part.isdigit() else part for part in base.split("."))
            t = tensors[f"{NAMES['llama'][pattern].format(number)}.{suffix}"]
            data = gguf.quants.dequantize(t.data, t.tensor_type).reshape(parameter.shape).astype(np.float32)
            turned = heads if ".attn_q." in t.name else kv_heads if ".attn_k." in t.name else None
            parameter.copy_(torch.from_numpy(unpermute(data, turned).copy() if turned else data.copy()))
    return model.eval()


def load_tokenizer(path: Path) -> object:
    """Byte-level BPE by the file's own merges, split as SmolLM2 does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    reader = gguf.GGUFReader(path)
    get = lambda key: reader.fields["tokenizer.ggml." + key].contents()  # noqa: E731
    vocab = {token: i for i, token in enumerate(get("tokens"))}
    tokenizer = Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in get("merges")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    model = load(options.file)
    if options.write:
        model.save_pretrained(options.write)
    tokenizer = load_tokenizer(options.file)
    table = model.get_output_embeddings().weight
    equal, differences = 0, []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for prompt in PROMPTS:
            ids = torch.tensor([tokenizer.encode(prompt).ids])
            whole = model.generate(ids, max_new_tokens=options.tokens, do_sample=False, pad_token_id=0)
            ours = json.loads(attn("generate", options.file, "--raw", "--prompt", prompt, "--max-tokens", options.tokens, "--json"))
            new = [i for i in whole[0, ids.shape[1]:].tolist() if i != model.config.eos_token_id]
            same = ours["prompt_ids"] == ids[0].tolist() and [i for i in ours["ids"] if i != model.config.eos_token_id] == new
            same = same and ours["text"] == tokenizer.decode(new)
            equal += same
            np.save(f"{folder}/ids.npy", whole[0, :-1].numpy())
            attn("run", options.file, "--in", f"input_ids={folder}/ids.npy", "--out", f"last_hidden_state={folder}/x.npy")
            logits = torch.from_numpy(np.load(f"{folder}/x.npy")) @ table.T
            differences.append(float((logits - model(whole[:, :-1]).logits[0]).abs().max()))
            print(f"{'equal' if same else 'DIFFERS'}, {len(new)} tokens, logits within {differences[-1]:.2e}: {prompt}", flush=True)
    print(f"{equal} of {len(PROMPTS)} prompts give the same text; logits within {max(differences):.2e}")


if __name__ == "__main__":
    main()
