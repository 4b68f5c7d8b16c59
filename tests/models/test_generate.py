"""attn generate beside transformers' generate(): greedy tokens, repetition penalty, beams, stop ids, the
text of a folder with a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GemmaConfig, GemmaForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast,
)

from reference import Case, attn, perturb

try:
    from gguf_files import write_gguf
except ImportError:
    write_gguf = None

VOCABULARY = 90
WAYS = [(), ("--no-cache",), ("--block", 1), ("--block", 5, "--threads", 2)]


def make(family: str, seed: int, **options: object) -> torch.nn.Module:
    if family == "gpt2":
        config = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=96,
                            bos_token_id=1, eos_token_id=2, **options)
        return perturb(GPT2LMHeadModel(config), seed)
    sizes = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96)
    if family == "gemma":
        return perturb(GemmaForCausalLM(GemmaConfig(**sizes, head_dim=8, bos_token_id=1, eos_token_id=2)), seed)
    return perturb(LlamaForCausalLM(LlamaConfig(**sizes, bos_token_id=1, eos_token_id=2, **options)), seed)


def prompt_ids(length: int, seed: int = 1) -> list[int]:
    return np.random.default_rng(seed).integers(3, VOCABULARY, length).tolist()


def reference(model: torch.nn.Module, ids: list[int], **options: object) -> list[int]:
    options = dict(do_sample=False, pad_token_id=0, max_new_tokens=40, **options)
    with torch.inference_mode():
        found = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **options)
    return found[0].tolist()[len(ids):]


class Generate(Case):
    def ours(self, folder: Path, ids: list[int], *options: object) -> dict:
        text = ",".join(map(str, ids))
        return json.loads(attn("generate", folder, "--ids", text, "--max-tokens", 40, "--json", *options))

    def same(self, folder: Path, model: torch.nn.Module, ids: list[int], options: tuple, **given: object) -> None:
        want = reference(model, ids, **given)
        for way in WAYS:
            with self.subTest(given=given, way=way):
                found = self.ours(folder, ids, *options, *way)
                self.assertEqual(found["ids"], want)
                self.assertEqual(found["finish"], "stop" if want[-1] in self.stops else "length")

    stops = {2}

    def test_greedy(self) -> None:
        for family in ("gpt2", "llama", "gemma"):
            model = make(family, seed=5)
            folder = self.write(model, family)
            for length in (1, 13):
                self.same(folder, model, prompt_ids(length), ())
                self.same(folder, model, prompt_ids(length), ("--repetition-penalty", 1.3), repetition_penalty=1.3)

    def test_beams(self) -> None:
        ways = [(3, 1.0, False), (4, 0.0, True), (2, 2.0, "never"), (5, -1.0, False)]
        for family in ("gpt2", "llama"):
            model = make(family, seed=6)
            folder = self.write(model, family)
            for beams, penalty, early in ways:
                options = ("--beams", beams, "--length-penalty", penalty, "--early-stopping", str(early).lower())
                self.same(folder, model, prompt_ids(7, beams), options, num_beams=beams, length_penalty=penalty,
                          early_stopping=early)
        self.same(folder, model, prompt_ids(7), ("--beams", 3, "--repetition-penalty", 1.2), num_beams=3,
                  repetition_penalty=1.2)

    def test_stop_ids(self) -> None:
        """Several, from generation_config.json, which goes before config.json."""
        model = make("llama", seed=7)
        ids = prompt_ids(6)
        free = reference(model, ids)
        self.stops = {free[9], free[14]}
        model.generation_config.eos_token_id = sorted(self.stops)
        folder = self.write(model)
        first = min(free.index(stop) for stop in self.stops)
        self.assertEqual(self.ours(folder, ids)["ids"], free[:first + 1])
        self.same(folder, model, ids, (), eos_token_id=sorted(self.stops))
        self.same(folder, model, ids, ("--beams", 3), num_beams=3, eos_token_id=sorted(self.stops))

    def test_stop_ids_of_gguf(self) -> None:
        if write_gguf is None:
            self.skip("the gguf package is not there")
        model = make("llama", seed=7)
        ids = prompt_ids(6)
        free = reference(model, ids)
        path = self.folder / "model.gguf"
        write_gguf(model, path, "llama", ["F32"], {"tokenizer.ggml.eot_token_id": free[9], "tokenizer.ggml.bos_token_id": ids[0]})
        found = self.ours(path, ids)
        self.assertEqual((found["ids"], found["finish"]), (free[:free.index(free[9]) + 1], "stop"))
        self.assertEqual(self.ours(path, [])["prompt_ids"], ids[:1])

    def test_sampling_follows_the_distribution(self) -> None:
        """The first token of many seeds, against the probabilities that transformers' processors leave."""
        model = make("llama", seed=8)
        folder, ids = self.write(model), prompt_ids(5)
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1].double() / 1.5
        keep = torch.topk(logits, 5).indices
        probability = torch.full_like(logits, 0).index_put((keep,), torch.softmax(logits[keep], 0))
        drawn = torch.zeros_like(logits)
        for seed in range(80):
            out = attn("generate", folder, "--ids", ",".join(map(str, ids)), "--max-tokens", 1, "--temperature", 1.5,
                       "--top-k", 5, "--seed", seed, "--quiet")
            drawn[int(out)] += 1
        self.assertEqual(float(drawn[probability == 0].sum()), 0)
        expected = probability[keep] * 80
        chi = float(((drawn[keep] - expected) ** 2 / expected).sum())
        self.assertLess(chi, 18.5)  # 4 degrees of freedom: 0.1 % are above

    def test_text(self) -> None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.train_from_iterator(["Once upon a time there was a girl. Es war einmal ein Mädchen."], trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|im_end|>")
        fast.chat_template = (
            "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
            "+ '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
        global VOCABULARY
        small, VOCABULARY = VOCABULARY, len(fast)
        self.addCleanup(lambda: globals().update(VOCABULARY=small))
        model = make("llama", seed=9)
        folder = self.write(model)
        fast.save_pretrained(folder)
        said = "Once upon a Mädchen"
        for options, ids in (
            (("--prompt", said), fast(said)["input_ids"]),
            (("--prompt", said, "--chat", "--system", "Hi"), fast.apply_chat_template(
                [{"role": "system", "content": "Hi"}, {"role": "user", "content": said}], add_generation_prompt=True,
                return_dict=False)),
        ):
            want = reference(model, ids)
            found = json.loads(attn("generate", folder, *options, "--max-tokens", 40, "--json"))
            text = fast.decode(want, skip_special_tokens=True)
            self.assertEqual((found["prompt_ids"], found["ids"], found["text"]), (ids, want, text))
            streamed = attn("generate", folder, *options, "--max-tokens", 40, "--quiet")
            self.assertEqual(streamed, text + "\n")
            stop = text[len(text) // 2:len(text) // 2 + 3]
            cut = json.loads(attn("generate", folder, *options, "--max-tokens", 40, "--json", "--stop", stop))
            self.assertEqual((cut["text"], cut["finish"]), (text[:text.index(stop)], "stop string"))
