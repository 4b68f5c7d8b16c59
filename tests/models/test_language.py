"""Language models as transformers writes them: logits and hidden states are PyTorch's within 1e-4; 64 greedy
tokens are the same, without a cache and, bit for bit, with one, in blocks and token by token."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from reference import ATTN, ROOT, AttnError, Case, attn, perturb

DECODE = Path(os.environ.get("ATTN_DECODE", ATTN.parent / "decode"))
VOCABULARY, STEPS = 101, 64

LLAMA = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)
GEMMA = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, head_dim=12, max_position_embeddings=128)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=128)
NEOX = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128)
BLOOM = dict(hidden_size=32, n_layer=2, n_head=4)
MPT = dict(d_model=32, n_layers=2, n_heads=4)
OPT = dict(hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
           word_embed_proj_dim=32)
PHI3 = dict(LLAMA, pad_token_id=0, bos_token_id=1, eos_token_id=2, original_max_position_embeddings=128)
ROPE = dict(rope_theta=1000.0, factor=4.0)

HEADS = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}


def long_rope(count: int, **more: object) -> dict:
    return dict(rope_type="longrope", rope_theta=1000.0, short_factor=[1 + 0.05 * i for i in range(count)],
                long_factor=[1.5 + 0.7 * i for i in range(count)], **more)


# The family, its small sizes, and what differs: each a model of its own.
FAMILIES = {
    "Llama": (LLAMA, [
        {},
        dict(tie_word_embeddings=True, num_key_value_heads=4, head_dim=10, hidden_act="gelu"),
        dict(attention_bias=True, mlp_bias=True, num_key_value_heads=1, rms_norm_eps=1e-3),
        dict(rope_parameters=dict(ROPE, rope_type="linear")),
        dict(rope_parameters=dict(ROPE, rope_type="dynamic")),
        dict(rope_parameters=dict(ROPE, rope_type="yarn", original_max_position_embeddings=32)),
        dict(rope_parameters=dict(ROPE, rope_type="yarn", original_max_position_embeddings=16, truncate=False,
                                  beta_fast=8.0, beta_slow=2.0, mscale=0.8, mscale_all_dim=0.3)),
        dict(rope_parameters=dict(ROPE, rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0,
                                  original_max_position_embeddings=32)),
    ]),
    "Mistral": (LLAMA, [dict(sliding_window=None), dict(sliding_window=7, head_dim=6)]),
    "Qwen2": (LLAMA, [
        {},
        dict(use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True),
    ]),
    "Qwen3": (LLAMA, [dict(head_dim=12), dict(head_dim=8, attention_bias=True, num_key_value_heads=1)]),
    "Phi3": (PHI3, [
        {}, dict(sliding_window=7, num_key_value_heads=4, tie_word_embeddings=True),
        dict(num_key_value_heads=1, rope_parameters=dict(long_rope(3), partial_rotary_factor=0.75)),
    ]),
    "Gemma": (GEMMA, [{}, dict(tie_word_embeddings=False, attention_bias=True)]),
    "Gemma2": (GEMMA, [
        dict(sliding_window=9, query_pre_attn_scalar=20, attn_logit_softcapping=1.5, final_logit_softcapping=2.0),
        dict(attn_logit_softcapping=None, final_logit_softcapping=None,
             layer_types=["full_attention", "full_attention", "sliding_attention"], sliding_window=4),
    ]),
    "Gemma3Text": (GEMMA, [
        dict(sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
             final_logit_softcapping=3.0),
        dict(sliding_window=3, rope_parameters={
            "sliding_attention": dict(rope_type="default", rope_theta=50.0),
            "full_attention": dict(ROPE, rope_type="linear")},
            layer_types=["full_attention", "sliding_attention", "full_attention"]),
    ]),
    "GPT2": (GPT2, [
        {}, dict(n_inner=20, activation_function="relu", scale_attn_by_inverse_layer_idx=True),
        dict(scale_attn_weights=False, tie_word_embeddings=False),
    ]),
    "GPTNeoX": (NEOX, [
        {}, dict(use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new", tie_word_embeddings=True),
        dict(rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=1.0)),
    ]),
    "Bloom": (BLOOM, [{}, dict(n_head=8), dict(hidden_size=30, n_head=6, apply_residual_connection_post_layernorm=True)]),
    "Mpt": (MPT, [{}, dict(d_model=30, n_heads=5, attn_config=dict(clip_qkv=1.0, softmax_scale=0.2))]),
    "OPT": (OPT, [
        {}, dict(do_layer_norm_before=False, word_embed_proj_dim=20, activation_function="gelu"),
        dict(enable_bias=False, _remove_final_layer_norm=True),
    ]),
}


def make(family: str, sizes: dict, seed: int = 1) -> torch.nn.Module:
    config = getattr(transformers, family + "Config")(vocab_size=VOCABULARY, **sizes)
    return perturb(getattr(transformers, HEADS.get(family, family + "ForCausalLM"))(config), seed)


def random_ids(length: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, length)


class Language(Case):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        torch.set_num_threads(1)  # the models are tiny

    def compare_model(self, folder: Path, model: torch.nn.Module, lengths: tuple[int, ...] = (1, 2, 7, 33)) -> None:
        for length in lengths:
            ids = random_ids(length)
            with torch.inference_mode():
                output = model(torch.from_numpy(ids[None]), output_hidden_states=True)
            ours = self.run_attn(folder, {"input_ids": ids}, ("logits", "last_hidden_state"))
            self.compare(ours["logits"], output.logits[0, -1].numpy())
            self.compare(ours["last_hidden_state"], output.hidden_states[-1][0].numpy())

    def compare_greedy(self, folder: Path, model: torch.nn.Module, ids: list[int]) -> None:
        result = subprocess.run([str(DECODE), str(folder), str(STEPS), *map(str, ids)], capture_output=True,
                                text=True, timeout=120)
        self.assertEqual(result.stderr, "")
        # What follows each beginning of the text is what transformers would choose there.
        found = np.array(result.stdout.split(), np.int64)
        self.assertEqual(len(found), STEPS)
        with torch.inference_mode():
            logits = model(torch.tensor([[*ids, *found[:-1]]])).logits[0]
        self.assertEqual(found.tolist(), logits[len(ids) - 1:].argmax(-1).tolist())

    def check(self, family: str) -> None:
        sizes, variants = FAMILIES[family]
        for number, variant in enumerate(variants):
            with self.subTest(**variant):
                model = make(family, {**sizes, **variant})
                folder = self.write(model, f"{family}-{number}")
                self.compare_model(folder, model)
                self.compare_greedy(folder, model, random_ids(5, 2).tolist())

    def edited(self, family: str, sizes: dict, edit: Callable[[dict], object]) -> tuple[Path, torch.nn.Module]:
        """A folder whose config.json was changed, and what transformers reads from it."""
        folder = self.write(make(family, {**FAMILIES[family][0], **sizes}), f"{family}-{len(list(self.folder.iterdir()))}")
        config = json.loads((folder / "config.json").read_text())
        edit(config)
        (folder / "config.json").write_text(json.dumps(config))
        return folder, AutoModelForCausalLM.from_pretrained(folder).eval()

    def test_llama(self) -> None:
        self.check("Llama")

    def test_mistral(self) -> None:
        self.check("Mistral")

    def test_qwen(self) -> None:
        self.check("Qwen2")
        self.check("Qwen3")

    def test_gemma(self) -> None:
        for family in ("Gemma", "Gemma2", "Gemma3Text"):
            self.check(family)

    def test_phi(self) -> None:
        self.check("Phi3")

    def test_longrope(self) -> None:
        """Texts on both sides of the trained length, and one that grows beyond it: with a cache it is run again there, as
        transformers does."""
        for number, more in enumerate(({}, dict(factor=2.5), dict(attention_factor=1.25))):
            with self.subTest(**more):
                sizes = {**PHI3, "original_max_position_embeddings": 24, "rope_parameters": long_rope(4, **more)}
                model = make("Phi3", sizes)
                folder = self.write(model, f"longrope-{number}")
                self.compare_model(folder, model, (1, 24, 25, 100))
                for length in (5, 23, 24, 30):
                    prompt = random_ids(length, 3)
                    with torch.inference_mode():
                        want = model.generate(torch.from_numpy(prompt[None]), max_new_tokens=40, do_sample=False,
                                              eos_token_id=None)[0, length:].tolist()
                    for options in ((), ("--no-cache",), ("--window",), ("--max-mem", "64M")):
                        ours = json.loads(attn("generate", folder, "--ids", ",".join(map(str, prompt)), "--max-tokens", "40",
                                               "--json", *options))
                        self.assertEqual(ours["ids"], want, (length, options))
                    beams = [json.loads(attn("generate", folder, "--ids", ",".join(map(str, prompt)), "--max-tokens", "30",
                                             "--json", "--beams", "3", *options))["ids"] for options in ((), ("--no-cache",))]
                    self.assertEqual(*beams)
        # The caller of a session is told: blocks of three do not know what comes.
        result = subprocess.run([str(DECODE), str(folder), "30", "1", "2", "3"], capture_output=True, text=True, timeout=120)
        self.assertIn("rotates the positions of texts beyond 24 otherwise", result.stderr)

    def test_gpt(self) -> None:
        self.check("GPT2")
        self.check("GPTNeoX")

    def test_linear_biases(self) -> None:
        self.check("Bloom")
        self.check("Mpt")

    def test_opt(self) -> None:
        self.check("OPT")

    def test_older_configs(self) -> None:
        """config.json as earlier versions of transformers wrote it."""
        def old_rope(config: dict, theta: float, scaling: dict | None) -> None:
            del config["rope_parameters"]
            config.update(rope_theta=theta, rope_scaling=scaling)

        def old_llama(config: dict) -> None:
            old_rope(config, 500.0, {"type": "linear", "factor": 2.0})
            config["head_dim"] = None
            del config["num_key_value_heads"]

        def old_llama3(config: dict) -> None:
            old_rope(config, 500.0, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                     "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
            del config["head_dim"]

        def old_qwen(config: dict) -> None:
            old_rope(config, 500.0, None)
            del config["layer_types"]

        def old_phi3(config: dict) -> None:
            factors = {key: value for key, value in long_rope(4).items() if key.endswith("_factor")}
            old_rope(config, 500.0, {"type": "longrope", **factors})

        def old_gemma3(config: dict) -> None:
            old_rope(config, 5000.0, {"rope_type": "linear", "factor": 8.0})
            config.update(rope_local_base_freq=100.0, sliding_window_pattern=2)
            del config["layer_types"], config["_sliding_window_pattern"]

        def old_neox(config: dict) -> None:
            del config["rope_parameters"]
            config.update(rotary_pct=0.5, rotary_emb_base=500)

        def old_bloom(config: dict) -> None:
            config.update(num_attention_heads=config.pop("n_head"), n_embed=config.pop("hidden_size"))

        def nothing(config: dict) -> None:
            old_rope(config, 10000.0, None)

        window = dict(use_sliding_window=True, sliding_window=5, max_window_layers=1)
        for family, sizes, edit in (
            ("Llama", dict(num_key_value_heads=4), old_llama), ("Llama", {}, old_llama3), ("Llama", {}, nothing),
            ("Qwen2", window, old_qwen), ("Qwen2", dict(window, use_sliding_window=False), old_qwen),
            ("Qwen3", dict(head_dim=8), old_qwen), ("Mistral", dict(sliding_window=6), nothing),
            ("Gemma2", dict(sliding_window=5), lambda config: config.pop("layer_types")),
            ("Gemma3Text", dict(sliding_window=5), old_gemma3), ("GPTNeoX", {}, old_neox),
            ("Bloom", {}, old_bloom),
            ("Phi3", dict(original_max_position_embeddings=24), old_phi3),
        ):
            with self.subTest(family=family, edit=edit.__name__):
                self.compare_model(*self.edited(family, sizes, edit), (9, 40))

    def test_output_matrix(self) -> None:
        """Tied though the file has a matrix; not tied, and the file has none; of a model without a head."""
        model = make("Llama", {**LLAMA, "tie_word_embeddings": True})
        folder = self.write(model, "tied")
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.weight"] = torch.zeros(VOCABULARY, 32)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        self.compare_model(folder, model, (5,))
        for family in ("Llama", "GPTNeoX", "Gemma2"):
            model = make(family, {**FAMILIES[family][0], "tie_word_embeddings": False})
            folder = self.write(model.base_model, f"{family}-headless")
            ids = random_ids(6)
            ours = self.run_attn(folder, {"input_ids": ids}, ("last_hidden_state",))
            with torch.inference_mode():
                reference = model.base_model(torch.from_numpy(ids[None])).last_hidden_state[0].numpy()
            self.compare(ours["last_hidden_state"], reference)
            with self.assertRaisesRegex(AttnError, "logits"):
                self.run_attn(folder, {"input_ids": ids}, ("logits",))

    def test_stories260k(self) -> None:
        """The model that ships."""
        folder = ROOT / "models" / "stories260k"
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.compare_model(folder, model, (1, 9, 512))
        self.compare_greedy(folder, model, [1, 403, 407, 261, 378])

    def test_half_precision(self) -> None:
        """attn computes in f32; so the reference is the same weights, widened."""
        for dtype in (torch.float16, torch.bfloat16):
            folder = self.write(make("Llama", {**LLAMA, "tie_word_embeddings": True}).to(dtype), str(dtype))
            self.compare_model(folder, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), (12,))

    def test_as_many_tokens_as_positions(self) -> None:
        model = make("Qwen2", LLAMA)
        folder = self.write(model)
        self.compare_model(folder, model, (128,))
        with self.assertRaisesRegex(AttnError, '"seq" is at most 128'):
            self.run_attn(folder, {"input_ids": random_ids(129)}, ("logits",))

    def test_refused(self) -> None:
        """What attn cannot run, it names."""
        rope = {"rope_type": "ntk", "rope_theta": 10000.0}
        for family, edit, words in (
            ("Llama", dict(rope_parameters=rope), '"scaling": key "rope_type" is "ntk", expected one of: default'),
            ("Llama", dict(rope_parameters=dict(rope, rope_type="default", mrope_section=[2, 2])), '"mrope_section"'),
            ("Llama", dict(rope_parameters=dict(rope, rope_type="yarn")), '"factor" is missing'),
            ("Llama", dict(rope_scaling={"type": "ntk"}, rope_parameters=None), '"ntk"'),
            ("Phi3", dict(rope_parameters=long_rope(3)), '"short_factor" has 3 numbers, expected 4'),
            ("Phi3", dict(rope_parameters=dict(long_rope(4), long_factor=[1, 2, 0, 1])), 'number 2 of "long_factor" is 0'),
            ("Phi3", dict(rope_parameters=dict(rope_type="longrope", long_factor=[1, 2, 3, 1])), '"short_factor" has 0 numbers'),
            ("Llama", dict(hidden_act="mish"), "mish"),
            ("Llama", dict(num_attention_heads=5), "heads"),
            ("Llama", dict(num_hidden_layers=3), "layers.2."),
            ("Qwen2", dict(layer_types=["full_attention", "chunked_attention"]),
             'require.layer_types: CONFIG has "chunked_attention", this description knows "full_attention"'),
            ("Gemma2", dict(use_bidirectional_attention=True), "require.use_bidirectional_attention: CONFIG has true"),
            ("GPT2", dict(add_cross_attention=True), "require.add_cross_attention: CONFIG has true"),
            ("Mpt", dict(attn_config={"alibi": True, "alibi_bias_max": 16}), "require.attn_config.alibi_bias_max: CONFIG has 16"),
            ("Mpt", dict(logit_scale=0.5), "require.logit_scale: CONFIG has 0.5, this description knows none"),
        ):
            with self.subTest(family=family, **edit):
                folder = self.write(make(family, FAMILIES[family][0]), f"{family}-{len(list(self.folder.iterdir()))}")
                read = json.loads((folder / "config.json").read_text())
                (folder / "config.json").write_text(json.dumps({**read, **edit}))
                with self.assertRaises(AttnError) as caught:
                    attn("check", folder)
                self.assertEqual(caught.exception.status, 1)
                self.assertIn(words.replace("CONFIG", str(folder / "config.json")), caught.exception.error)
                self.assertEqual(caught.exception.error.count("\n"), 1)
