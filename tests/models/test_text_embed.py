"""attn embed against PyTorch: every pooling, Dense, Normalize, prompts; a text alone and among others gives
the same bits. With sentence-transformers installed, against it, too."""

from __future__ import annotations

import json
import unittest

import numpy as np
import torch
from safetensors.torch import save_file

from reference import ROOT, AttnError, Case, attn
from text_folders import SENTENCES, write_folder, write_json

POOLINGS = {
    "cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken",
}


def pooled(rows: np.ndarray, mode: str, first: int = 0) -> np.ndarray:
    """rows: [tokens, dim], the first ones a prompt's that does not count."""
    kept = rows[first:]
    weights = np.arange(first + 1, len(rows) + 1)[:, None]
    return {
        "cls": kept[0], "max": kept.max(0), "mean": kept.mean(0),
        "mean_sqrt_len_tokens": kept.sum(0) / np.sqrt(len(kept)),
        "weightedmean": (kept * weights).sum(0) / weights.sum(), "lasttoken": kept[-1],
    }[mode]


class Embed(Case):
    def embed(self, folder: object, texts: list[str], *options: str) -> np.ndarray:
        out = self.folder / "vectors.npy"
        attn("embed", folder, "--out", out, "--quiet", *options, "--", *texts)
        return np.load(out)

    def hidden(self, model: torch.nn.Module, tokenizer: object, text: str, limit: int = 62) -> np.ndarray:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)
        with torch.inference_mode():
            return model(**tokens).last_hidden_state[0].double().numpy()

    def modules(self, folder: object, *rest: str, **pooling: object) -> None:
        kinds = ("Transformer", "Pooling", *rest)
        write_json(folder / "modules.json", [
            {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
            for i, kind in enumerate(kinds)])
        write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **pooling})

    def test_poolings(self) -> None:
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "BertModel")
        hidden = [self.hidden(model, tokenizer, text) for text in SENTENCES]
        for mode, flag in POOLINGS.items():
            for config in ({f"pooling_mode_{flag}": True}, {"pooling_mode": mode}):
                self.modules(folder, **config)
                self.compare(self.embed(folder, SENTENCES), np.stack([pooled(rows, mode) for rows in hidden]))
        self.modules(folder, pooling_mode=["lasttoken", "mean"])
        both = [np.concatenate([pooled(rows, mode) for mode in ("lasttoken", "mean")]) for rows in hidden]
        self.compare(self.embed(folder, SENTENCES), np.stack(both))

    def test_dense_and_normalize(self) -> None:
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "RobertaModel")
        self.modules(folder, "Dense", "Normalize", pooling_mode_mean_tokens=True)
        dense = torch.nn.Linear(32, 20)
        for name, function in (("Tanh", np.tanh), ("Identity", lambda x: x)):
            write_json(folder / "2_Dense" / "config.json", {
                "in_features": 32, "out_features": 20, "bias": True,
                "activation_function": f"torch.nn.modules.{'activation' if name == 'Tanh' else 'linear'}.{name}"})
            save_file({"linear.weight": dense.weight.data, "linear.bias": dense.bias.data}, folder / "2_Dense" / "model.safetensors")
            want = []
            for text in SENTENCES:
                vector = pooled(self.hidden(model, tokenizer, text), "mean")
                vector = function(dense.weight.detach().double().numpy() @ vector + dense.bias.detach().double().numpy())
                want.append(vector / np.linalg.norm(vector))
            self.compare(self.embed(folder, SENTENCES), np.stack(want))

    def test_embedding_gemma(self) -> None:
        """Gemma 3 that sees both ways, with the modules of its folder: mean, two Dense, Normalize."""
        import transformers

        from reference import perturb
        from text_folders import train_tokenizer

        folder = self.folder / "m"
        tokenizer = train_tokenizer("wordpiece")
        sizes = dict(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                     num_key_value_heads=1, head_dim=8, max_position_embeddings=64, pad_token_id=0, query_pre_attn_scalar=8,
                     use_bidirectional_attention=True, layer_types=["sliding_attention", "full_attention", "sliding_attention"])
        for window in (6, 9, 40):
            model = perturb(transformers.Gemma3TextModel(transformers.Gemma3TextConfig(**sizes, sliding_window=window)), window)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            # The config in memory has another window than the file, and the file an even one.
            model = transformers.AutoModel.from_pretrained(folder).eval()
            self.modules(folder, "Dense", "Dense", "Normalize", pooling_mode_mean_tokens=True)
            dense = [torch.randn(48, 32) / 6, torch.randn(32, 48) / 7]
            for i, weight in enumerate(dense):
                path = folder / f"{i + 2}_Dense"
                write_json(path / "config.json", {
                    "in_features": weight.shape[1], "out_features": weight.shape[0], "bias": False,
                    "activation_function": "torch.nn.modules.linear.Identity"})
                save_file({"linear.weight": weight}, path / "model.safetensors")
            want = []
            for text in SENTENCES:
                vector = pooled(self.hidden_without_types(model, tokenizer, text), "mean")
                for weight in dense:
                    vector = weight.double().numpy() @ vector
                want.append(vector / np.linalg.norm(vector))
            ours = self.embed(folder, SENTENCES)
            self.compare(ours, np.stack(want))
            for i, text in enumerate(SENTENCES):
                self.assertEqual(ours[i].tobytes(), self.embed(folder, [text])[0].tobytes())

    def hidden_without_types(self, model: torch.nn.Module, tokenizer: object, text: str) -> np.ndarray:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=62)
        with torch.inference_mode():
            return model(input_ids=tokens["input_ids"]).last_hidden_state[0].double().numpy()

    def test_without_modules(self) -> None:
        """The mean, normalised; the same bits alone, in any company, from a file, and as JSON."""
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "BertModel")
        want = [pooled(self.hidden(model, tokenizer, text), "mean") for text in SENTENCES]
        ours = self.embed(folder, SENTENCES)
        self.compare(ours, np.stack([vector / np.linalg.norm(vector) for vector in want]))
        for i, text in enumerate(SENTENCES):
            self.assertEqual(ours[i].tobytes(), self.embed(folder, [text])[0].tobytes())
        for dtype in ("bf16", "int8"):
            reduced = self.embed(folder, SENTENCES, "--dtype", dtype)
            for i in (0, 4, 6):
                self.assertEqual(reduced[i].tobytes(), self.embed(folder, [SENTENCES[i]], "--dtype", dtype)[0].tobytes())
        lines = self.folder / "lines.txt"
        lines.write_text("\r\n".join(SENTENCES), encoding="utf-8")
        self.assertEqual(ours.tobytes(), self.embed(folder, [], "--file", str(lines)).tobytes())
        shown = json.loads(attn("embed", folder, "--json", SENTENCES[0]))
        self.assertEqual(shown["size"], 32)
        self.assertEqual(np.array(shown["vectors"][0], np.float32).tobytes(), ours[0].tobytes())
        printed = np.array(attn("embed", folder, SENTENCES[0]).split(), np.float32)
        self.assertEqual(printed.tobytes(), ours[0].tobytes())

    def test_settings(self) -> None:
        """max_seq_length, do_lower_case, prompts, and a transformer in a folder of its own."""
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder / "0_Transformer", "RobertaModel")
        write_json(folder / "modules.json", [
            {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])
        write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "include_prompt": False})
        write_json(folder / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": True})
        write_json(folder / "config_sentence_transformers.json", {
            "prompts": {"query": "Query: ", "passage": "Read this: "}, "default_prompt_name": "query"})
        for name, prompt in ((None, "Query: "), ("passage", "Read this: "), ("", "")):
            first = len(tokenizer(prompt.lower())["input_ids"]) - 1 if prompt else 0
            want = [
                pooled(self.hidden(model, tokenizer, (prompt + text).lower(), 24), "mean", first) for text in SENTENCES[:4]]
            options = [] if name is None else ["--prompt", name]
            self.compare(self.embed(folder, SENTENCES[:4], *options), np.stack(want))
        with self.assertRaisesRegex(AttnError, 'no prompt "other"'):
            self.embed(folder, ["x"], "--prompt", "other")

    def test_refused(self) -> None:
        folder = self.folder / "m"
        write_folder(folder, "BertModel")
        for kinds, files, words in (
            (("Pooling",), {"1_Pooling": {}}, "no pooling is asked for"),
            (("Pooling",), {"1_Pooling": {"pooling_mode": "median"}}, '"median"'),
            (("LSTM",), {"1_LSTM": {}}, 'of type "LSTM" is not known'),
            (("Normalize",), {}, "a Pooling must follow"),
            (("Pooling", "Dense"), {"1_Pooling": {"pooling_mode": "cls"}, "2_Dense": {"in_features": 0}}, "in_features"),
            (("Pooling",), {}, "config.json is not there"),
        ):
            for config in folder.glob("?_*/config.json"):
                config.unlink()
            write_json(folder / "modules.json", [
                {"path": f"{i}_{kind}" if i else "", "type": f"a.{kind}"} for i, kind in enumerate(("Transformer", *kinds))])
            for path, config in files.items():
                write_json(folder / path / "config.json", config)
            with self.subTest(words=words), self.assertRaises(AttnError) as caught:
                self.embed(folder, ["x"])
            self.assertIn(words, caught.exception.error)
            self.assertEqual(caught.exception.error.count("\n"), 1)
        write_json(folder / "modules.json", [{"path": "../x", "type": "a.Transformer"}])
        with self.assertRaisesRegex(AttnError, "inside the folder"):
            self.embed(folder, ["x"])

    def test_sentence_transformers(self) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            self.skip("sentence-transformers is not installed")
        folder = self.folder / "m"
        write_folder(folder, "BertModel")
        self.modules(folder, "Normalize", pooling_mode_mean_tokens=True, pooling_mode_max_tokens=True)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
        write_json(folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": None})
        model = SentenceTransformer(str(folder), device="cpu")
        self.compare(self.embed(folder, SENTENCES), model.encode(SENTENCES))

    def test_images(self) -> None:
        """The vector of a photo is the output of kind embedding."""
        from transformers import ViTConfig, ViTImageProcessor, ViTModel

        from reference import perturb

        model = perturb(ViTModel(ViTConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=40, image_size=32, patch_size=8)), 1)
        folder = self.write(model, "vit")
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
        photo = ROOT / "models" / "samples" / "cat.png"
        ours = self.embed(folder, [str(photo), str(photo)])
        self.assertEqual(ours.shape, (2, 32))
        out = self.folder / "p.npy"
        attn("run", folder, "--in", f"pixels={photo}", "--out", f"pooler_output={out}")
        self.assertEqual(ours[1].tobytes(), np.load(out).tobytes())


if __name__ == "__main__":
    unittest.main()
