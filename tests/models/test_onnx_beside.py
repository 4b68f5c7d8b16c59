"""An .onnx file as the hub lays it out, FOLDER/onnx/model.onnx with every dimension open, and config.json, the
tokenizer and the preprocessing in FOLDER: the commands take it as they take the folder, and say what transformers
says; so does the folder of attn import."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import unittest
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import pipeline

from reference import ROOT, AttnError, Case, attn, perturb
from text_folders import SENTENCES, write_folder, write_json

try:
    import onnx  # noqa: F401
    import onnx_models
except ImportError:
    onnx_models = None

PHOTO = next((ROOT / "models").glob("*/photos/*.jpg"), None) or next(ROOT.glob("models/**/*.jpg"))
TEXT = ("input_ids", "attention_mask", "token_type_ids")
LABELS = dict(id2label={0: "bad", 1: "fair", 2: "good"}, label2id={"bad": 0, "fair": 1, "good": 2})


def export(model: torch.nn.Module, path: Path, inputs: dict[str, torch.Tensor], outputs: list[str]) -> Path:
    """Every dimension of every input is open."""
    path.parent.mkdir(exist_ok=True)
    names = {4: ("batch_size", "num_channels", "height", "width"), 2: ("batch_size", "sequence_length")}
    axes = {name: dict(enumerate(names[value.ndim])) for name, value in inputs.items()}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            onnx_models.Outputs(model, list(inputs), outputs).eval(), tuple(inputs.values()), str(path), dynamo=False,
            opset_version=17, input_names=list(inputs), output_names=outputs, dynamic_axes=axes)
    return path


class Beside(Case):
    def setUp(self) -> None:
        super().setUp()
        if onnx_models is None:
            self.skip("onnx or onnxruntime is not installed (tests/requirements.txt)")

    def write_text_model(self, kind: str, outputs: list[str], inputs: tuple[str, ...] = TEXT, **config: object) -> tuple:
        """The .onnx file and the imported folder, the model and its tokenizer; no other weights are left."""
        folder = self.folder / kind
        model, tokenizer = write_folder(folder, kind, **config)
        ids = torch.randint(5, len(tokenizer), (2, 9))
        values = dict(zip(inputs, (ids, torch.ones_like(ids), torch.zeros_like(ids))))
        return (*self.finish(folder, model, values, outputs), model, tokenizer)

    def finish(self, folder: Path, model: torch.nn.Module, values: dict[str, torch.Tensor], outputs: list[str]) -> tuple:
        path = export(model, folder / "onnx" / "model.onnx", values, outputs)
        (folder / "model.safetensors").unlink()
        imported = self.folder / f"{folder.name}-imported"
        attn("import", path, "-o", imported)
        return path, imported

    def test_classify_text(self) -> None:
        for kind, inputs in (("Bert", TEXT), ("Roberta", TEXT[:2])):
            for problem, key in ((None, "probability"), ("multi_label_classification", "probability"), ("regression", "value")):
                with self.subTest(kind=kind, problem=problem):
                    path, imported, model, tokenizer = self.write_text_model(
                        f"{kind}ForSequenceClassification", ["logits"], inputs, problem_type=problem, **LABELS)
                    expected = pipeline("text-classification", model=model, tokenizer=tokenizer)(SENTENCES, top_k=None)
                    options = [word for text in SENTENCES for word in ("--text", text)]
                    for place in (path, imported):
                        ours = json.loads(attn("classify", place, "--json", "--top", "9", *options))["results"]
                        for mine, reference in zip(ours, expected, strict=True):
                            self.assertEqual([e["label"] for e in mine["top"]], [e["label"] for e in reference])
                            for a, b in zip(mine["top"], reference):
                                self.assertAlmostEqual(a[key], b["score"], delta=2e-6)
                    shutil.rmtree(imported)
                    shutil.rmtree(path.parents[1])

    def test_long_text_is_cut_as_the_model_is_long(self) -> None:
        path, imported, model, tokenizer = self.write_text_model(
            "RobertaForSequenceClassification", ["logits"], TEXT[:2], **LABELS)
        settings = path.parents[1] / "tokenizer_config.json"
        config = json.loads(settings.read_text())
        config["model_max_length"] = 100000
        settings.write_text(json.dumps(config))
        text = " ".join(SENTENCES * 3)
        expected = pipeline("text-classification", model=model, tokenizer=tokenizer)(
            text, truncation=True, max_length=62, top_k=1)
        for place in (path, imported):
            top = json.loads(attn("classify", place, "--json", "--text", text))["results"][0]["top"][0]
            self.assertEqual(top["label"], expected[0]["label"])
            self.assertAlmostEqual(top["probability"], expected[0]["score"], delta=2e-6)

    def test_fill_and_answer(self) -> None:
        path, imported, model, tokenizer = self.write_text_model("BertForMaskedLM", ["logits"])
        text = "Paris is the [MASK] of France."
        expected = pipeline("fill-mask", model=model, tokenizer=tokenizer)(text, top_k=3)
        for place in (path, imported):
            [ours] = json.loads(attn("fill", place, "--json", "--top", "3", "--", text))["places"]
            for mine, entry in zip(ours, expected, strict=True):
                self.assertEqual((mine["token"], mine["sequence"]), (entry["token"], entry["sequence"]))
                self.assertAlmostEqual(mine["probability"], entry["score"], delta=2e-6)

    def test_answer(self) -> None:
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "BertForQuestionAnswering")
        ask = ("--question", "Who lives in Berlin?", "--context", " ".join(SENTENCES), "--json", "--top", "4")
        expected = json.loads(attn("answer", folder, *ask))["answers"]  # compared with PyTorch in test_text_tasks
        ids = torch.randint(5, len(tokenizer), (2, 9))
        values = dict(zip(TEXT, (ids, torch.ones_like(ids), torch.zeros_like(ids))))
        for place in self.finish(folder, model, values, ["start_logits", "end_logits"]):
            for mine, entry in zip(json.loads(attn("answer", place, *ask))["answers"], expected, strict=True):
                self.assertEqual(mine["answer"], entry["answer"])
                self.assertAlmostEqual(mine["score"], entry["score"], delta=2e-6)

    def test_embed(self) -> None:
        path, _, model, tokenizer = self.write_text_model("BertModel", ["last_hidden_state", "pooler_output"])
        folder = path.parents[1]
        write_json(folder / "modules.json", [
            {"idx": i, "name": str(i), "path": place, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, place) in enumerate((("Transformer", ""), ("Pooling", "1_Pooling")))])
        write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": True})
        imported = self.folder / "again"
        attn("import", path, "-o", imported)
        with torch.inference_mode():
            expected = np.stack([
                model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=62)).last_hidden_state[0, 0].numpy()
                for text in SENTENCES])
        for place in (path, imported):
            attn("embed", place, "--out", self.folder / "v.npy", "--quiet", "--", *SENTENCES)
            self.compare(np.load(self.folder / "v.npy"), expected)

    def test_classify_photo(self) -> None:
        for name, processor in (
            ("exact", transformers.ViTImageProcessor(size={"height": 48, "width": 48})),
            ("crop", transformers.ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875)),
        ):
            folder = self.folder / name
            config = transformers.ViTConfig(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=48,
                patch_size=8, **LABELS)
            model = perturb(transformers.ViTForImageClassification(config), 1)
            model.save_pretrained(folder)
            processor.save_pretrained(folder)
            pixels = processor(Image.open(PHOTO).convert("RGB"), return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                expected = model(pixels).logits[0].softmax(0).numpy()
            for place in self.finish(folder, model, {"pixel_values": torch.zeros(1, 3, 48, 48)}, ["logits"]):
                top = json.loads(attn("classify", place, PHOTO, "--json", "--top", "3"))["results"][0]["top"]
                self.assertEqual([e["label"] for e in top], [LABELS["id2label"][i] for i in np.argsort(-expected)])
                for entry in top:
                    self.assertAlmostEqual(entry["probability"], expected[entry["index"]], delta=0.02)  # another JPEG decoder
                # Its size is known when it is read, so it is lifted as a file of fixed sizes is.
                self.assertIn('"layer": "attention"', attn("describe", place))

    def test_memory_limit(self) -> None:
        """Whatever step of the import meets it, the error names the limit."""
        path, *_ = self.write_text_model("BertForSequenceClassification", ["logits"])
        refused = 0
        for limit in range(20_000, 900_000, 22_000):
            try:
                attn("inspect", path, "--max-mem", limit)
            except AttnError as error:
                self.assertRegex(error.error, rf"^attn: [^\n]* more than the memory limit of {limit}\n$")
                refused += 1
        self.assertGreater(refused, 10)

    def test_pack_takes_modules_along(self) -> None:
        path, imported, *_ = self.write_text_model("BertModel", ["last_hidden_state"])
        for folder in (path.parents[1], imported):
            write_json(folder / "modules.json", [
                {"idx": i, "name": str(i), "path": place, "type": f"sentence_transformers.models.{kind}"}
                for i, (kind, place) in enumerate((("Transformer", ""), ("Pooling", "1_Pooling")))])
            write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": True})
        packed = self.folder / "packed"
        attn("pack", imported, "--dtype", "f16", "-o", packed)
        vectors = [attn("embed", place, "--dtype", "f16", "--", SENTENCES[0]) for place in (imported, packed)]
        self.assertEqual(*vectors)

    def test_plain(self) -> None:
        """Operator by operator, and an input without a default where its length has a name of its own."""
        path, imported, *_ = self.write_text_model("BertForSequenceClassification", ["logits"], **LABELS)
        self.assertIn('"default": 1', attn("describe", imported))
        plain = self.folder / "plain"
        attn("import", path, "--plain", "-o", plain)
        ids = np.arange(5, 12)[None]
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        ours = self.run_attn(plain, inputs, ("logits",))["logits"]
        self.compare(ours, self.run_attn(imported, inputs, ("logits",))["logits"].reshape(ours.shape))

    def test_bad_config(self) -> None:
        path, *_ = self.write_text_model("BertForSequenceClassification", ["logits"])
        config = path.parents[1] / "config.json"
        config.write_text("[]")
        with self.assertRaises(AttnError) as raised:
            attn("classify", path, "--text", "x")
        self.assertIn("config.json: expected an object", raised.exception.error)
        config.write_text(json.dumps({"architectures": ["XForSequenceClassification"], "id2label": {"7": "x"}}))
        with self.assertRaises(AttnError) as raised:
            attn("classify", path, "--text", "x")
        self.assertIn('"labels": "7" is no index below 1', raised.exception.error)


if __name__ == "__main__":
    unittest.main()
