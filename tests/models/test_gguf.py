"""Models of transformers, written as GGUF files: attn's results on the file are PyTorch's on the values in it."""

from __future__ import annotations

import json
import shutil
import unittest

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

try:
    import gguf  # noqa: F401
    from gguf_files import write_gguf
except ImportError:
    gguf = None

from reference import ROOT, AttnError, Case, attn, perturb, random_text, run_pytorch

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
K_TYPES = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


class Gguf(Case):
    def setUp(self) -> None:
        super().setUp()
        if gguf is None:
            self.skip("the gguf package is not installed (tests/requirements.txt)")

    def check(self, model: object, architecture: str, kinds: list[str], outputs: tuple[str, ...], seed: int = 0,
              tensors: dict | None = None, **more: object) -> object:
        perturb(model, seed)
        path = self.folder / f"{architecture}-{seed}-{kinds[0]}.gguf"
        write_gguf(model, path, architecture, kinds, more, tensors)
        inputs = random_text(model.config, 9, None, seed, masked=architecture == "bert")
        ours, reference = self.run_attn(path, inputs, outputs), run_pytorch(model, inputs)
        for name in outputs:
            with self.subTest(architecture=architecture, kinds=kinds, output=name):
                self.compare(ours[name], reference[name][-1] if name == "logits" else reference[name])
        return path


class Bert(Gguf):
    CONFIG = dict(
        vocab_size=90, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=40, layer_norm_eps=1e-5,
    )

    def model(self, **config: object) -> BertModel:
        return BertModel(BertConfig(**{**self.CONFIG, **config}), add_pooling_layer=False)

    def test_types(self) -> None:
        for seed, kind in enumerate(TYPES):
            self.check(self.model(), "bert", [kind], ("last_hidden_state",), seed)
        self.check(self.model(), "bert", TYPES, ("last_hidden_state",), 99)

    def test_k_types(self) -> None:
        sizes = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=1)
        for seed, kind in enumerate(K_TYPES):
            self.check(self.model(**sizes), "bert", [kind], ("last_hidden_state",), seed)

    def test_pooling(self) -> None:
        """attn embed: one vector as "bert.pooling_type" says."""
        words = ["the", "cat", "sat", "still", "here"]
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + ["\u2581" + word for word in words]
        ids = [2, 4, 5, 6, 3]
        specials = {"seperator_token_id": 3, "cls_token_id": 2, "unknown_token_id": 1, "padding_token_id": 0}
        more = {f"tokenizer.ggml.{key}": value for key, value in specials.items()}
        model = self.model(vocab_size=len(tokens))
        perturb(model, 3)
        path = self.folder / "pooled.gguf"
        pick = {None: lambda x: x.mean(0), 1: lambda x: x.mean(0), 2: lambda x: x[0], 3: lambda x: x[-1]}
        for number, pool in pick.items():
            write_gguf(model, path, "bert", ["F32"], more | ({"bert.pooling_type": number} if number else {}), None, tokens)
            with torch.no_grad():
                rows = model(torch.tensor([ids])).last_hidden_state[0]
            ours = json.loads(attn("embed", path, "the cat sat", "--json"))["vectors"][0]
            self.compare(np.array(ours, np.float32), torch.nn.functional.normalize(pool(rows), dim=0).numpy())
        write_gguf(model, path, "bert", ["F32"], more | {"bert.pooling_type": 4}, None, tokens)
        with self.assertRaisesRegex(AttnError, "pooling_type is 4, expected 1"):
            attn("embed", path, "the cat sat", "--json")

    def test_large_table(self) -> None:
        """Rows of a table that stays where it is mapped."""
        for kind in ("F32", "F16", "Q8_0", "Q4_1"):
            path = self.check(self.model(vocab_size=3000), "bert", [kind], ("last_hidden_state",), 5)
            table = next(w for w in json.loads(attn("inspect", path, "--json"))["weights"] if "word_embeddings" in w["name"])
            self.assertEqual((table["bytes"], table["memory"]), (0, table["file"]))

    def test_commands(self) -> None:
        """describe, check, inspect, trace; a folder that holds the file; its own description; kept panels."""
        path = self.check(self.model(), "bert", TYPES, ("last_hidden_state",), 1)
        self.assertEqual(attn("describe", path), (ROOT / "models" / "bert.json").read_text())
        self.assertIn("ok, ", attn("check", path))
        weights = json.loads(attn("inspect", path, "--json"))["weights"]
        self.assertEqual({w["file"] for w in weights}, {"f32", "f16", "bf16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"})
        self.assertIn("embeddings.word_embeddings.weight", {w["name"] for w in weights})
        self.assertIn("attention", attn("trace", path, "[1,2,3]"))
        inputs = {"input_ids": np.arange(7)}
        ours = self.run_attn(path, inputs, ("last_hidden_state",))["last_hidden_state"]
        for name in ("whole", "own"):
            folder = self.folder / name
            folder.mkdir()
            shutil.copy(path, folder / "x.gguf")
            if name == "own":
                (folder / "attn.json").write_text(attn("describe", path))
            again = self.run_attn(folder, inputs, ("last_hidden_state",))["last_hidden_state"]
            self.assertEqual(ours.tobytes(), again.tobytes())
        attn("pack", path, "--panels")
        again = self.run_attn(path, inputs, ("last_hidden_state",))["last_hidden_state"]
        self.assertEqual(ours.tobytes(), again.tobytes())
        shutil.copy(path, folder / "y.gguf")
        self.refuse("holds 2 .gguf files", "check", folder)
        self.refuse("is not packed into a folder", "pack", path, "--dtype", "int8", "-o", self.folder / "packed")

    def refuse(self, message: str, *arguments: object) -> None:
        with self.assertRaises(AttnError) as caught:
            attn(*arguments)
        self.assertEqual(caught.exception.status, 1)
        self.assertIn(message, caught.exception.error)

    def test_refused(self) -> None:
        path = self.check(self.model(), "bert", ["F32"], ("last_hidden_state",))
        folder = self.folder / "own"
        folder.mkdir()
        shutil.copy(path, folder / "x.gguf")
        good = json.loads(attn("describe", path))
        for change, message in (
            ({"architecture": "llama"}, "\"general.architecture\" is \"bert\", the description"),
            ({"colour": 1}, "gguf.colour is no key of this section"),
            ({"config": 3}, "gguf.config is 3, expected an object"),
            ({"config": {"hidden_size": "bert.nothing"}}, "metadata \"bert.nothing\" is missing"),
            ({"config": {"hidden_size": {"key": "x"}}}, "gguf.config.hidden_size: "),
            ({"config": {"hidden_size": {"length": 3}}}, "gguf.config.hidden_size: \"length\" is 3"),
            ({"config": {"a": {"value": 1}, "a.b": {"value": 1}}}, "gguf.config: \"a\" is a value and an object"),
            ({"config": {"x": {"key": "bert.block_count", "words": {"9": 1}}}},
             "metadata \"bert.block_count\" is \"3\", for which"),
            ({"config": {"x": {"key": "bert.block_count", "words": {"9": 1}, "otherwise": "bert.nothing"}}},
             "is missing; "),
            ({"tensors": 3}, "gguf.tensors is 3, expected an object"),
            ({"tensors": {"a.{i}": "b"}}, "gguf.tensors.a.{i}: is \"b\", expected a name in the file"),
            ({"tensors": {"same": "token_embd", "same.weight": "position_embd.weight"}},
             "two tensors have the name \"same.weight\""),
            ({"tensors": {}}, "has no tensor \"bert.embeddings.word_embeddings.weight\""),
        ):
            with self.subTest(change=change):
                (folder / "attn.json").write_text(json.dumps({**good, "gguf": {**good["gguf"], **change}}))
                self.refuse(message, "check", folder)

    def test_unknown_architecture(self) -> None:
        path = self.folder / "x.gguf"
        w = gguf.GGUFWriter(path, "mamba")
        w.add_tensor("a", np.zeros(4, np.float32))
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        self.refuse("\"general.architecture\" is \"mamba\", which no built-in description matches", "check", path)


class Llama(Gguf):
    CONFIG = dict(
        vocab_size=90, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=40, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 3000.0},
    )
    KINDS = (
        ("llama", LlamaForCausalLM, LlamaConfig, {}),
        ("qwen2", Qwen2ForCausalLM, Qwen2Config, {}),
        ("qwen3", Qwen3ForCausalLM, Qwen3Config, {"head_dim": 32}),
    )

    def test_classes(self) -> None:
        for architecture, kind, config, options in self.KINDS:
            for tied in (False, True):
                model = kind(config(**self.CONFIG, **options, tie_word_embeddings=tied))
                self.check(model, architecture, ["F32"], ("logits",), int(tied))

    def test_types(self) -> None:
        for seed, kind in enumerate(TYPES):
            self.check(LlamaForCausalLM(LlamaConfig(**self.CONFIG)), "llama", [kind], ("logits",), seed)
        config = {**self.CONFIG, "hidden_size": 256, "intermediate_size": 256}
        for seed, kind in enumerate(K_TYPES):
            self.check(LlamaForCausalLM(LlamaConfig(**config)), "llama", [kind], ("logits",), seed)

    def test_scaling(self) -> None:
        """Positions as the metadata stretch them."""
        rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 3000.0}
        model = LlamaForCausalLM(LlamaConfig(**{**self.CONFIG, "rope_parameters": rope}))
        self.check(model, "llama", ["F32"], ("logits",),
                   **{"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0})

    def test_llama3(self) -> None:
        """Factors of the frequencies, as a tensor."""
        rope = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 3000.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
        model = LlamaForCausalLM(LlamaConfig(**{**self.CONFIG, "rope_parameters": rope}))
        plain = 3000.0 ** -(np.arange(0, 16, 2) / 16)
        factors = torch.from_numpy(plain) / model.model.rotary_emb.inv_freq
        self.check(model, "llama", ["F32"], ("logits",), tensors={"rope_freqs.weight": factors.numpy().astype(np.float32)})


class Others(Gguf):
    def test_gpt2(self) -> None:
        for seed, kind in enumerate(("F32", "Q8_0", "Q4_1")):
            config = GPT2Config(vocab_size=90, n_positions=40, n_embd=64, n_layer=3, n_head=4)
            self.check(GPT2LMHeadModel(config), "gpt2", [kind], ("logits",), seed)

    def test_gemma(self) -> None:
        config = {**Llama.CONFIG, "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 4}
        rope = config.pop("rope_parameters")
        both = {"full_attention": rope, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
        for seed, kind in enumerate(("F32", "Q8_0")):
            self.check(GemmaForCausalLM(GemmaConfig(**config, rope_parameters=rope)), "gemma", [kind], ("logits",), seed)
            self.check(Gemma2ForCausalLM(Gemma2Config(**config, rope_parameters=rope)), "gemma2", [kind], ("logits",), seed)
            layers = {**config, "num_hidden_layers": 7}
            self.check(Gemma3ForCausalLM(Gemma3TextConfig(**layers, rope_parameters=both)), "gemma3", [kind], ("logits",), seed)


if __name__ == "__main__":
    unittest.main()
