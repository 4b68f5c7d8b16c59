"""Folders that transformers wrote, unmodified, from pixels: attn's results are PyTorch's within 1e-4."""

from __future__ import annotations

import json

import torch
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from reference import AttnError, Case, attn, perturb, random_pixels, run_pytorch

SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    image_size=32, patch_size=8, num_labels=10,
)
# The classes, and the results of each that attn has too.
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
        for hidden, layers, heads, intermediate in (
            (1, 1, 1, 1), (3, 2, 1, 5), (17, 1, 1, 31), (48, 5, 3, 100), (66, 3, 6, 264), (128, 4, 2, 512),
        ):
            self.check(
                dict(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                     intermediate_size=intermediate),
                [CLASSES[0], CLASSES[4]],
            )

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
