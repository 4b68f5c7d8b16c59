"""The encoders of text as transformers writes them, unmodified, from token ids: attn's results are
PyTorch's within 1e-4, or 1e-5 of the largest. A padded batch gives each text the bits that it has alone."""

from __future__ import annotations

import unittest

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

from reference import AttnError, Case, Inputs, attn, perturb, random_text

SIZES = dict(
    vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=42, type_vocab_size=3,
)
NARROW = dict(embedding_size=16)
DISTIL = dict(vocab_size=97, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=42)
DEBERTA = dict(
    relative_attention=True, position_buckets=8, max_relative_positions=-1, pos_att_type=["p2c", "c2p"],
    share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0,
)
HEADS = {
    "Model": ("last_hidden_state", "pooler_output"),
    "ForSequenceClassification": ("logits",),
    "ForTokenClassification": ("logits",),
    "ForQuestionAnswering": ("start_logits", "end_logits"),
    "ForMaskedLM": ("prediction_logits",),
    "ForPreTraining": ("prediction_logits", "seq_relationship_logits", "sop_logits", "replaced_logits"),
    "ForNextSentencePrediction": ("seq_relationship_logits",),
}
# The name of the class in transformers without its head, and the config; padding_idx where it counts.
FAMILIES = {
    "Bert": SIZES, "DistilBert": DISTIL, "Roberta": SIZES, "XLMRoberta": SIZES, "Camembert": SIZES,
    "Albert": {**SIZES, **NARROW}, "Electra": {**SIZES, **NARROW},
    "MPNet": {key: value for key, value in SIZES.items() if key != "type_vocab_size"},
    "DebertaV2": {**SIZES, **DEBERTA},
}
# What transformers calls "logits" there.
LOGITS = {
    "ForMaskedLM": "prediction_logits", "ForNextSentencePrediction": "seq_relationship_logits",
    "ForPreTraining": "replaced_logits",
}
PER_TOKEN = ("last_hidden_state", "prediction_logits", "replaced_logits")


def make(family: str, head: str, seed: int = 1, **config: object) -> torch.nn.Module:
    kind = getattr(transformers, family + head)
    labels = {} if head == "ForQuestionAnswering" else {"num_labels": 5}
    return perturb(kind(getattr(transformers, family + "Config")(**{**FAMILIES[family], **labels, **config})), seed)


def heads_of(family: str) -> list[str]:
    return [head for head in HEADS if hasattr(transformers, family + head)]


def text_for(model: torch.nn.Module, length: int, batch: int | None = None, seed: int = 1, masked: bool = True) -> Inputs:
    """Ids without padding inside, right padding where masked: positions count tokens."""
    types = getattr(model.config, "type_vocab_size", 0)
    model.config.type_vocab_size = max(types, 1)
    text = random_text(model.config, length, batch, seed, masked)
    model.config.type_vocab_size = types
    if types < 1 or model.config.model_type in ("distilbert", "mpnet"):
        text.pop("token_type_ids", None)
    pad = model.config.pad_token_id
    text["input_ids"][text["input_ids"] == pad] = pad + 5
    if masked:
        text["input_ids"][text["attention_mask"] == 0] = pad
    return text


def reference(model: torch.nn.Module, head: str, text: Inputs) -> Inputs:
    single = text["input_ids"].ndim == 1
    given = {name: torch.from_numpy(value[None] if single else value) for name, value in text.items()}
    with torch.inference_mode():
        found = {name: value.numpy() for name, value in model(**given).items() if isinstance(value, torch.Tensor)}
    if "logits" in found:
        found[LOGITS.get(head, "logits")] = found.pop("logits")
    return {name: value[0] if single else value for name, value in found.items()}


class Encoder(Case):
    def check(self, family: str, head: str, lengths: tuple = ((11, None), (23, 3)), **config: object) -> None:
        model = make(family, head, **config)
        folder = self.write(model, family + head)
        for length, batch in lengths:
            for masked in (True,) if batch else (True, False):
                with self.subTest(model=family + head, length=length, batch=batch, masked=masked, **config):
                    text = text_for(model, length, batch, length, masked)
                    want = reference(model, head, text)
                    names = tuple(name for name in HEADS[head] if name in want)
                    self.assertTrue(names)
                    ours = self.run_attn(folder, text, names)
                    for name in names:
                        a, b = ours[name], want[name]
                        per_token = name in PER_TOKEN or name.startswith(("start", "end")) or (
                            name == "logits" and head == "ForTokenClassification")
                        if masked and per_token:  # what a padding token gives is nobody's
                            keep = text["attention_mask"] != 0
                            a, b = a[keep], b[keep]
                        self.compare(a, b)


class Encoders(Encoder):
    """Every family with every head."""


def add_tests() -> None:
    for family in FAMILIES:
        def run(self: Encoders, family: str = family) -> None:
            for head in heads_of(family):
                self.check(family, head)
        setattr(Encoders, f"test_{family.lower()}", run)


add_tests()


class Settings(Encoder):
    def test_albert_groups(self) -> None:
        for layers, groups, inner in ((5, 2, 1), (7, 3, 2), (3, 3, 1)):
            self.check("Albert", "Model", num_hidden_layers=layers, num_hidden_groups=groups, inner_group_num=inner)

    def test_electra_without_projection(self) -> None:
        self.check("Electra", "ForSequenceClassification", embedding_size=32)

    def test_mpnet_far(self) -> None:
        """Distances beyond every bucket."""
        self.check("MPNet", "Model", ((300, None),), max_position_embeddings=310)

    def test_deberta(self) -> None:
        long = ((40, 2), (7, None))
        for config in (
            dict(pos_att_type=["c2p"]), dict(pos_att_type=["p2c"]), dict(pos_att_type=None), dict(pos_att_type="c2p|p2c"),
            dict(share_att_key=False), dict(share_att_key=False, norm_rel_ebd="none", position_buckets=-1),
            dict(relative_attention=False, position_biased_input=True, type_vocab_size=2),
            dict(max_relative_positions=20, position_buckets=6), dict(embedding_size=16, legacy=False),
        ):
            self.check("DebertaV2", "ForSequenceClassification", long, **config)
        self.check("DebertaV2", "ForMaskedLM", long, legacy=False)
        with self.assertRaisesRegex(AttnError, "conv_kernel_size"):
            attn("check", self.write(make("DebertaV2", "Model", conv_kernel_size=3), "conv"))

    def test_deberta_far(self) -> None:
        self.check("DebertaV2", "Model", ((400, None),), max_position_embeddings=512, position_buckets=64)

    def test_untied(self) -> None:
        for family in ("Bert", "Roberta", "DistilBert", "Albert", "Electra", "MPNet"):
            self.check(family, "ForMaskedLM", ((9, 2),), tie_word_embeddings=False)

    def test_without_prefix(self) -> None:
        """A base model's names, with the head's: what other tools write; and LayerNorm as older files name it."""
        for family, prefix in (("Bert", "bert."), ("Roberta", "roberta."), ("MPNet", "mpnet."), ("Albert", "albert.")):
            model = make(family, "ForTokenClassification")
            folder = self.write(model, family)
            tensors = load_file(folder / "model.safetensors")
            renamed = {name.removeprefix(prefix): value for name, value in tensors.items()}
            if family in ("Bert", "Albert"):
                older = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
                for new, old in older.items():
                    renamed = {name.replace("." + new, "." + old): value for name, value in renamed.items()}
            self.assertNotEqual(sorted(renamed), sorted(tensors))
            text = text_for(model, 13, None, 3)
            before = self.run_attn(folder, text, ("logits",))["logits"]
            save_file(renamed, folder / "model.safetensors")
            after = self.run_attn(folder, text, ("logits",))["logits"]
            self.assertEqual(before.tobytes(), after.tobytes())

    def test_padding_inside(self) -> None:
        """Positions of RoBERTa and MPNet count tokens: padding on the left changes nothing."""
        for family in ("Roberta", "MPNet"):
            model = make(family, "Model")
            folder = self.write(model, family)
            ids = text_for(model, 9, None, 4, False)["input_ids"]
            pad = model.config.pad_token_id if family == "Roberta" else 1
            left = np.concatenate([np.full(4, pad), ids])
            right = np.concatenate([ids, np.full(4, pad)])
            outputs = []
            for padded in (left, right):
                text = {"input_ids": padded, "attention_mask": (padded != pad).astype(np.int64)}
                outputs.append(self.run_attn(folder, text, ("last_hidden_state",))["last_hidden_state"][padded != pad])
                self.compare(outputs[-1], reference(model, "Model", text)["last_hidden_state"][padded != pad])
            self.compare(*outputs)
            self.assertEqual(
                outputs[1].tobytes(),
                self.run_attn(folder, {"input_ids": ids}, ("last_hidden_state",))["last_hidden_state"].tobytes())


class Batches(Case):
    """Texts of unequal length in a padded batch: each has the bits that it has alone."""

    def test_same_bits(self) -> None:
        lengths = (1, 7, 16, 17, 31, 2)
        for family in ("Bert", "Roberta", "MPNet", "Albert", "DebertaV2"):
            model = make(family, "ForTokenClassification")
            folder = self.write(model, family)
            pad = model.config.pad_token_id
            texts = [text_for(model, n, None, n, False)["input_ids"] for n in lengths]
            width = max(lengths)
            ids = np.stack([np.concatenate([text, np.full(width - len(text), pad)]) for text in texts])
            mask = np.stack([np.arange(width) < n for n in lengths]).astype(np.int32)
            for dtype in ("f32", "bf16", "int8"):
                with self.subTest(family=family, dtype=dtype):
                    batch = self.run_attn(folder, {"input_ids": ids, "attention_mask": mask}, ("logits",), "--dtype", dtype)
                    for i, text in enumerate(texts):
                        alone = self.run_attn(folder, {"input_ids": text}, ("logits",), "--dtype", dtype)
                        self.assertEqual(batch["logits"][i, : len(text)].tobytes(), alone["logits"].tobytes())


if __name__ == "__main__":
    unittest.main()
