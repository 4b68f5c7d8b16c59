"""Folders that transformers wrote, unmodified, from pixels, token ids or a mel spectrogram: attn's results
are PyTorch's within 1e-4, or 1e-5 of the largest."""

from __future__ import annotations

import json

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
    WhisperConfig,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from reference import AttnError, Case, attn, perturb, random_mel, random_pixels, random_text, run_pytorch

SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    image_size=32, patch_size=8, num_labels=10,
)
# The classes, and the results of each that attn has too.
SIZES = [
    dict(zip(("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"), sizes))
    for sizes in ((1, 1, 1, 1), (3, 2, 1, 5), (17, 1, 1, 31), (48, 5, 3, 100), (66, 3, 6, 264), (128, 4, 2, 512))
]
CLASSES = [
    (ViTForImageClassification, ViTConfig, ("logits",), {}),
    (ViTModel, ViTConfig, ("last_hidden_state", "pooler_output"), {}),
    (ViTModel, ViTConfig, ("last_hidden_state",), {"add_pooling_layer": False}),
    (DeiTForImageClassification, DeiTConfig, ("logits",), {}),
    (DeiTForImageClassificationWithTeacher, DeiTConfig, ("logits",), {}),
    (DeiTModel, DeiTConfig, ("last_hidden_state", "pooler_output"), {}),
    (DeiTModel, DeiTConfig, ("last_hidden_state",), {"add_pooling_layer": False}),
]


class Pixels(Case):
    def check(self, config: dict, classes: list = CLASSES, batch: int | None = None) -> None:
        for seed, (kind, config_kind, outputs, options) in enumerate(classes):
            with self.subTest(model=kind.__name__, **config, **options):
                model = perturb(kind(config_kind(**{**SMALL, **config}), **options), seed)
                folder = self.write(model, f"{kind.__name__}-{seed}")
                self.compare_folder(folder, model, random_pixels(model.config, batch, seed), outputs)

    def test_classes(self) -> None:
        self.check({})

    def test_sizes(self) -> None:
        for sizes in SIZES:
            self.check(sizes, [CLASSES[0], CLASSES[4]])

    def test_images_and_patches(self) -> None:
        """Where the patch does not divide the image, the rest of the image is not looked at."""
        for image, patch in ((45, 7), (33, 16), (17, 3), (31, 31), (16, 1), (50, 9)):
            self.check(dict(image_size=image, patch_size=patch), [CLASSES[0], CLASSES[5]])

    def test_channels(self) -> None:
        for channels in (1, 2, 4):
            self.check(dict(num_channels=channels), [CLASSES[0], CLASSES[4]])

    def test_no_qkv_bias(self) -> None:
        self.check(dict(qkv_bias=False))

    def test_activations(self) -> None:
        for act in (
            "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_python", "gelu_fast", "quick_gelu", "relu",
            "silu", "swish", "tanh", "sigmoid", "linear",
        ):
            self.check(dict(hidden_act=act), [CLASSES[0], CLASSES[3]])

    def test_pooler(self) -> None:
        """Another activation, and in ViT another width."""
        self.check(dict(pooler_act="relu"), [CLASSES[1], CLASSES[5]])
        self.check(dict(pooler_output_size=20, pooler_act="gelu"), [CLASSES[1], CLASSES[5]])

    def test_layer_norm_eps(self) -> None:
        self.check(dict(layer_norm_eps=0.1), [CLASSES[0], CLASSES[3]])

    def test_labels(self) -> None:
        for labels in (1, 2, 1000):
            self.check(dict(num_labels=labels), [CLASSES[0], CLASSES[3], CLASSES[4]])

    def test_no_labels(self) -> None:
        """transformers then calls the class token "logits"; attn gives the whole last hidden state."""
        for kind, config in ((ViTForImageClassification, ViTConfig), (DeiTForImageClassification, DeiTConfig)):
            model = perturb(kind(config(**{**SMALL, "num_labels": 0})), 5)
            pixels = random_pixels(model.config)
            ours = self.run_attn(self.write(model, kind.__name__), pixels, ("last_hidden_state",))
            self.compare(ours["last_hidden_state"][0], run_pytorch(model, pixels)["logits"])

    def test_batches(self) -> None:
        for batch in range(1, 9):
            self.check({}, [CLASSES[0], CLASSES[4]], batch)
        self.check({}, CLASSES, 3)

    def test_label_names(self) -> None:
        names = {i: f"name {i}" for i in range(10)}
        model = perturb(ViTForImageClassification(ViTConfig(**SMALL, id2label=names)), 3)
        described = attn("describe", self.write(model))
        self.assertIn("id2label", described)
        self.assertEqual(json.loads(described)["name"], "vit")

    def test_real_sizes(self) -> None:
        """ViT-Tiny as it is, and one layer as wide as ViT-Base's."""
        self.check(
            dict(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768,
                 image_size=224, patch_size=16, num_labels=1000),
            [CLASSES[0], CLASSES[4]],
        )
        self.check(
            dict(hidden_size=768, num_hidden_layers=1, num_attention_heads=12, intermediate_size=3072,
                 image_size=224, patch_size=16, num_labels=1000),
            [CLASSES[0]],
        )


TEXT = dict(
    vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=40, type_vocab_size=3, num_labels=5,
)
HIDDEN, POOLED = ("last_hidden_state",), ("last_hidden_state", "pooler_output")
TEXT_CLASSES = [
    (BertModel, POOLED, {}),
    (BertModel, HIDDEN, {"add_pooling_layer": False}),
    (BertForSequenceClassification, ("logits",), {}),
    (BertForTokenClassification, ("logits",), {}),
]


class Text(Case):
    def check(
        self, config: dict, classes: list = TEXT_CLASSES, lengths: tuple[int, ...] = (11,),
        batch: int | None = None,
    ) -> None:
        for seed, (kind, outputs, options) in enumerate(classes):
            model = perturb(kind(BertConfig(**{**TEXT, **config}), **options), seed)
            folder = self.write(model, f"{kind.__name__}-{seed}")
            for length in lengths:
                for masked in (True, False):
                    with self.subTest(model=kind.__name__, length=length, masked=masked, **config, **options):
                        text = random_text(model.config, length, batch, seed, masked)
                        self.compare_folder(folder, model, text, outputs)

    def test_classes(self) -> None:
        self.check({})

    def test_lengths(self) -> None:
        """Of one folder: from a token alone to as many as there are positions."""
        self.check({}, [TEXT_CLASSES[0], TEXT_CLASSES[2]], (1, 2, 3, 7, 8, 16, 17, 31, 33, 40))
        with self.assertRaisesRegex(AttnError, '"seq" is at most 40'):
            model = perturb(BertModel(BertConfig(**TEXT)), 1)
            self.run_attn(self.write(model), random_text(model.config, 41), HIDDEN)

    def test_sizes(self) -> None:
        for sizes in SIZES:
            self.check(sizes, [TEXT_CLASSES[0], TEXT_CLASSES[2]])

    def test_batches(self) -> None:
        """Each item with a mask of its own."""
        for batch in range(1, 9):
            self.check({}, [TEXT_CLASSES[0], TEXT_CLASSES[2]], (9, 23), batch)

    def test_settings(self) -> None:
        for act in ("gelu", "gelu_new", "relu", "silu"):
            self.check(dict(hidden_act=act), [TEXT_CLASSES[2]])
        self.check(dict(layer_norm_eps=0.1))
        self.check(dict(type_vocab_size=1, num_labels=1, vocab_size=2))
        self.check(dict(is_decoder=True), TEXT_CLASSES[:2], (1, 5, 40))

    def test_one_mask_for_all(self) -> None:
        """A mask without a batch is every item's."""
        model = perturb(BertModel(BertConfig(**TEXT)), 4)
        text = random_text(model.config, 21, 5)
        shared = {name: value[0] if name != "input_ids" else value for name, value in text.items()}
        repeated = {name: np.broadcast_to(value, text[name].shape).copy() for name, value in shared.items()}
        folder = self.write(model)
        ours, alike = self.run_attn(folder, shared, POOLED), self.run_attn(folder, repeated, POOLED)
        for name in POOLED:
            self.compare(ours[name], run_pytorch(model, repeated)[name])
            self.assertEqual(ours[name].tobytes(), alike[name].tobytes())

    def test_what_is_hidden_does_not_matter(self) -> None:
        """The tokens before the padding are the same without it."""
        model = perturb(BertModel(BertConfig(**TEXT)), 5)
        folder = self.write(model)
        text = random_text(model.config, 40)
        text["attention_mask"] = (np.arange(40) < 13).astype(np.int64)
        short = {name: value[:13] for name, value in text.items() if name != "attention_mask"}
        ours, cut = self.run_attn(folder, text, POOLED), self.run_attn(folder, short, POOLED)
        self.compare(ours["last_hidden_state"][:13], cut["last_hidden_state"])
        self.compare(ours["pooler_output"], cut["pooler_output"])

    def test_real_sizes(self) -> None:
        """MiniLM-L6 as it is, and one layer as wide as BERT-Base's."""
        wide = dict(vocab_size=1000, max_position_embeddings=512, type_vocab_size=2)
        self.check(
            dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, **wide),
            [TEXT_CLASSES[0]], (16, 128, 512),
        )
        self.check(
            dict(hidden_size=768, num_hidden_layers=1, num_attention_heads=12, intermediate_size=3072, **wide),
            [TEXT_CLASSES[2]], (100,),
        )

    def test_refused(self) -> None:
        model = perturb(BertModel(BertConfig(**TEXT)), 7)
        folder = self.write(model)
        read = json.loads((folder / "config.json").read_text())
        text = random_text(model.config, 9)
        for config, inputs, words in (
            ({}, {"input_ids": text["input_ids"] + 97}, 'input "input_ids": element 0 is '),
            ({}, {"attention_mask": text["attention_mask"] + 1}, "expected 0 to 1"),
            ({}, {"token_type_ids": text["token_type_ids"][:5]}, 'input "token_type_ids": shape [5], expected 9'),
            (dict(position_embedding_type="relative_key"), {}, 'require.position_embedding_type: '),
            (dict(hidden_act="mish"), {}, "mish"),
            (dict(max_position_embeddings=41), {"input_ids": [0] * 41}, "needs 41 rows"),
            (dict(num_hidden_layers=3), {}, "encoder.layer.2."),
        ):
            with self.subTest(words=words):
                (folder / "config.json").write_text(json.dumps({**read, **config}))
                given = {**text, **inputs}
                if len(given["input_ids"]) != 9:
                    given = {"input_ids": np.array(given["input_ids"])}
                with self.assertRaises(AttnError) as caught:
                    self.run_attn(folder, given, HIDDEN)
                self.assertEqual(caught.exception.status, 1)
                self.assertIn(words, caught.exception.error)
                self.assertEqual(caught.exception.error.count("\n"), 1)


MEL = dict(
    vocab_size=60, num_mel_bins=10, d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64,
    decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=20, max_source_positions=25,
    max_target_positions=12, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    suppress_tokens=None, begin_suppress_tokens=None,
)


class Mel(Case):
    """Whisper's encoder."""

    def check(self, config: dict, kind: type = WhisperModel, batch: int | None = None) -> None:
        with self.subTest(model=kind.__name__, batch=batch, **config):
            model = perturb(kind(WhisperConfig(**{**MEL, **config})), 3)
            folder = self.write(model, kind.__name__)
            self.compare_folder(folder, model, random_mel(model.config, batch), HIDDEN)

    def test_classes(self) -> None:
        for kind in (WhisperModel, WhisperForConditionalGeneration, WhisperForAudioClassification):
            self.check({}, kind)

    def test_sizes(self) -> None:
        for width, layers, heads, ffn, bins, positions in (
            (4, 1, 1, 1, 1, 1), (6, 2, 1, 5, 3, 2), (16, 1, 8, 31, 80, 7), (48, 5, 3, 100, 128, 33),
            (66, 3, 6, 264, 13, 64), (128, 4, 2, 512, 80, 150),
        ):
            self.check(dict(d_model=width, encoder_layers=layers, encoder_attention_heads=heads,
                            encoder_ffn_dim=ffn, num_mel_bins=bins, max_source_positions=positions))

    def test_batches(self) -> None:
        for batch in range(1, 9):
            self.check({}, WhisperModel, batch)

    def test_settings(self) -> None:
        for act in ("gelu_new", "relu", "silu"):
            self.check(dict(activation_function=act))
        self.check(dict(scale_embedding=True))

    def test_real_size(self) -> None:
        """Whisper-tiny, one block of its encoder."""
        self.check(dict(num_mel_bins=80, d_model=384, encoder_layers=1, encoder_attention_heads=6,
                        encoder_ffn_dim=1536, max_source_positions=1500))

    def test_refused(self) -> None:
        model = perturb(WhisperModel(WhisperConfig(**MEL)), 7)
        folder, mel = self.write(model), random_mel(model.config)["input_features"]
        for wrong, words in (
            (mel[:, 1:], "shape [10, 49], expected 50 at dimension 1"),
            (mel[1:], "shape [9, 50], expected 10 at dimension 0"),
        ):
            with self.assertRaises(AttnError) as caught:
                self.run_attn(folder, {"input_features": wrong}, HIDDEN)
            self.assertIn(words, caught.exception.error)


class Files(Case):
    """Other ways to write the same weights."""

    def model(self) -> torch.nn.Module:
        return perturb(ViTForImageClassification(ViTConfig(**SMALL)), 11)

    def test_half_precision(self) -> None:
        """attn computes in f32; so the reference is the same weights, widened."""
        for dtype in (torch.float16, torch.bfloat16):
            for kind, config_kind, outputs, options in (CLASSES[0], CLASSES[4], CLASSES[5]):
                with self.subTest(dtype=dtype, model=kind.__name__):
                    model = perturb(kind(config_kind(**SMALL), **options), 7).to(dtype)
                    folder = self.write(model, f"{kind.__name__}-{dtype}")
                    wide = model.to(torch.float32)
                    self.compare_folder(folder, wide, random_pixels(model.config), outputs)

    def test_half_precision_pixels(self) -> None:
        """A .npy of float16 is widened in the same way."""
        model = self.model()
        folder, pixels = self.write(model), random_pixels(model.config).astype("float16")
        ours = self.run_attn(folder, pixels, ("logits",))
        self.compare(ours["logits"], run_pytorch(model, pixels.astype("float32"))["logits"])

    def test_shards(self) -> None:
        for kind, config_kind, outputs, options in (CLASSES[0], CLASSES[4]):
            model = perturb(kind(config_kind(**SMALL), **options), 8)
            folder = self.write(model, kind.__name__, max_shard_size="20KB")
            self.assertGreater(len(list(folder.glob("model-*.safetensors"))), 2)
            self.assertFalse((folder / "model.safetensors").exists())
            self.compare_folder(folder, model, random_pixels(model.config), outputs)

    def test_description_from_describe(self) -> None:
        """What `describe` prints, saved as attn.json, is the model."""
        for kind, config_kind, outputs, options in CLASSES:
            with self.subTest(model=kind.__name__, **options):
                model = perturb(kind(config_kind(**SMALL), **options), 9)
                folder, pixels = self.write(model, f"{kind.__name__}-{len(outputs)}"), random_pixels(model.config)
                before = self.run_attn(folder, pixels, outputs)
                description = json.loads(attn("describe", folder))
                description["name"] = "edited"
                (folder / "attn.json").write_text(json.dumps(description))
                self.assertIn("edited", attn("describe", folder))
                after = self.run_attn(folder, pixels, outputs)
                for name in outputs:
                    self.assertEqual(before[name].tobytes(), after[name].tobytes())

    def test_what_is_not_used_is_listed(self) -> None:
        """A pooler in a folder whose config says nothing of it is used; an unknown tensor is named."""
        from safetensors.torch import load_file, save_file

        folder = self.write(self.model())
        tensors = load_file(folder / "model.safetensors")
        tensors["vit.surplus.weight"] = torch.zeros(2)
        save_file(tensors, folder / "model.safetensors")
        self.assertIn("vit.surplus.weight", attn("check", folder))

    def test_refused(self) -> None:
        """What attn cannot run, it names."""
        for config, words in (
            (dict(hidden_act="mish"), "mish"),
            (dict(num_hidden_layers=3), "encoder.layer.2."),
            (dict(image_size=40), '[26, 32] and "vit.embeddings.position_embeddings" [1, 17, 32]'),
            (dict(patch_size=4), "projection"),
            (dict(num_attention_heads=5), "heads"),
            (dict(model_type="vit_other"), "vit_other"),
        ):
            with self.subTest(**config):
                folder = self.write(self.model())
                read = json.loads((folder / "config.json").read_text())
                (folder / "config.json").write_text(json.dumps({**read, **config}))
                with self.assertRaises(AttnError) as caught:
                    attn("check", folder)
                self.assertEqual(caught.exception.status, 1)
                self.assertIn(words, caught.exception.error)
                self.assertEqual(caught.exception.error.count("\n"), 1)
