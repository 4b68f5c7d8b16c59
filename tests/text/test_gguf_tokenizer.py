"""Tokenizers written as GGUF metadata, as llama.cpp's conversion does, encode and decode as the originals do in
the tokenizers library."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402
from transformers import BertTokenizer, GemmaTokenizer, LlamaTokenizer  # noqa: E402
from transformers.tokenization_utils_base import generate_merges  # noqa: E402

try:
    import gguf
except ImportError:
    gguf = None

ROOT = Path(__file__).resolve().parents[2]
ATTN = Path(os.environ.get("ATTN", ROOT / "build" / "attn")).resolve()
TRAINING = [(ROOT / name).read_text() for name in ("README.md", "models/FORMAT.md", "runtime/weights/weights.c")]
TEXTS = [
    "", "Hello world", "  two  spaces   three ", "it's we'll I'M DON'T", "12 345 6789 1234567", "naïve Ünïcödé Straße",
    "日本語のテキスト 中文 한국어", "עברית العربية हिन्दी ไทย", "😀👩‍👩‍👧 emoji 🏳️‍🌈", "tab\tline\n\nlines \r\n end ", "e\u0301 combining n\u0303",
    "<s> special </s> <|end|> tokens <|end|>", "a_b-c/d\\e [brackets] {x: 1} $5.00 100% #tag @user", "x" * 300,
    "\u00a0nbsp\u2003em\u200bzero", "CamelCaseWord snake_case_word ALLCAPS", "...!!!???---", "\x01\x7f control",
] + [text[:4000] for text in TRAINING]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}" + REST
ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDS}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDS}|\p{{N}}{{1,3}}" + REST
)


def split(pattern: str) -> object:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(*before: object, regex: bool = False) -> object:
    return pre_tokenizers.Sequence([*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)])


CUTS = {
    "gpt-2": byte_level(regex=True), "smollm": byte_level(pre_tokenizers.Digits(True), regex=True),
    "llama-bpe": byte_level(split(LLAMA3)), "qwen2": byte_level(split(QWEN2)), "tekken": byte_level(split(TEKKEN)),
    "gpt-4o": byte_level(split(GPT4O)), "dbrx": byte_level(split(LLAMA3)),
    "default": byte_level(split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]")),
}
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


@unittest.skipIf(gguf is None, "the gguf package is not installed (tests/requirements.txt)")
class GgufTokenizer(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "x.gguf"

    def write(self, model: str, tokens: list[str], types: list[int], architecture: str = "llama", **more: object) -> None:
        w = gguf.GGUFWriter(self.path, architecture)
        w.add_tokenizer_model(model)
        w.add_token_list(tokens)
        w.add_token_types(types)
        for key, value in more.items():
            key = f"tokenizer.{'' if key == 'chat_template' else 'ggml.'}{key.replace('__', '.')}"
            if isinstance(value, bool):
                w.add_bool(key, value)
            elif isinstance(value, int):
                w.add_uint32(key, value)
            elif isinstance(value, str):
                w.add_string(key, value)
            else:
                w.add_array(key, value)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()

    def attn(self, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([ATTN, "tokenize", self.path, *map(str, arguments), "--json"], capture_output=True, timeout=60)

    def compare(self, reference: Tokenizer) -> None:
        text = self.path.with_name("text")
        for given in [*TEXTS, "\n".join(TEXTS)]:
            text.write_bytes(given.encode())
            result = self.attn("--file", text)
            self.assertEqual(result.returncode, 0, result.stderr)
            ids, expected = json.loads(result.stdout)["ids"], reference.encode(given).ids
            self.assertEqual(ids, expected, given[:60])
            if not ids:
                continue
            result = self.attn("--decode", ",".join(map(str, ids)))
            self.assertEqual(json.loads(result.stdout)["text"], reference.decode(ids, skip_special_tokens=False), given[:60])

    def test_byte_level(self) -> None:
        specials = ["<s>", "</s>", "<|end|>"]
        for pre, cut in CUTS.items():
            with self.subTest(pre=pre):
                reference = Tokenizer(models.BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
                reference.pre_tokenizer, reference.decoder = cut, decoders.ByteLevel()
                if pre == "qwen2":
                    reference.normalizer = normalizers.NFC()
                reference.train_from_iterator(TRAINING, trainers.BpeTrainer(
                    vocab_size=900, special_tokens=specials[:2], show_progress=False,
                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
                reference.add_tokens([AddedToken(specials[2], normalized=False)])
                vocab = reference.get_vocab()
                tokens = sorted(vocab, key=vocab.get)
                merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(reference.to_str())["model"]["merges"]]
                types = [CONTROL if t in specials[:2] else USER_DEFINED if t in specials else NORMAL for t in tokens]
                self.write("gpt2", tokens, types, pre=pre, merges=merges, bos_token_id=0, eos_token_id=1, add_bos_token=False)
                self.compare(reference)

    def test_ends(self) -> None:
        """add_bos_token and add_eos_token; llama-bpe begins with bos if nothing else is said."""
        tokens = ["<s>", "</s>", "a", "b", "aa"]
        types = [CONTROL, CONTROL, NORMAL, NORMAL, NORMAL]
        for more, expected in (
            ({}, [2, 3]), ({"pre": "llama-bpe"}, [0, 2, 3]), ({"pre": "llama-bpe", "add_bos_token": False}, [2, 3]),
            ({"add_bos_token": True, "add_eos_token": True}, [0, 2, 3, 1]), ({"add_eos_token": True}, [2, 3, 1]),
        ):
            self.write("gpt2", tokens, types, merges=["a a"], bos_token_id=0, eos_token_id=1, **more)
            self.assertEqual(json.loads(self.attn("ab").stdout)["ids"], expected, more)

    def test_sentencepiece(self) -> None:
        pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        pieces.pre_tokenizer = pre_tokenizers.Metaspace()
        trained = trainers.BpeTrainer(
            vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)], show_progress=False)
        pieces.train_from_iterator(TRAINING, trained)
        vocab = pieces.get_vocab()
        tokens = sorted(vocab, key=vocab.get)
        types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(tokens) - 259)
        scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
        merges = generate_merges(vocab, dict(zip(tokens, scores)))
        for prefix in (True, False):
            with self.subTest(prefix=prefix):
                reference = LlamaTokenizer(vocab=vocab, merges=merges, add_prefix_space=prefix).backend_tokenizer
                self.write("llama", tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unknown_token_id=0,
                           add_bos_token=False, add_space_prefix=prefix)
                self.compare(reference)
        self.write("llama", tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unknown_token_id=0)
        self.assertEqual(json.loads(self.attn("a").stdout)["ids"][0], 1)
        # Gemma: scores that say nothing, runs of spaces as they are.
        tokens += ["\u2581" * n for n in (2, 3, 4, 8) if "\u2581" * n not in vocab]
        types += [NORMAL] * (len(tokens) - len(types))
        vocab = {token: i for i, token in enumerate(tokens)}
        merges = generate_merges(vocab, {token: -i for token, i in vocab.items()})
        spelled = [" " * len(t) if len(t) > 1 and not t.strip("\u2581") else t for t in tokens]
        self.write("llama", spelled, types, "gemma2", scores=[-1000.0] * len(tokens), bos_token_id=1, eos_token_id=2,
                   unknown_token_id=0, add_bos_token=False, add_space_prefix=False)
        self.compare(GemmaTokenizer(vocab=vocab, merges=merges, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
                                    pad_token="<unk>", mask_token="<unk>").backend_tokenizer)

    def test_wordpiece(self) -> None:
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        for lower in (True, False):
            words = BertTokenizer(vocab={t: i for i, t in enumerate(specials)}, do_lower_case=lower).backend_tokenizer
            words.train_from_iterator(TRAINING, trainers.WordPieceTrainer(
                vocab_size=900, special_tokens=specials, show_progress=False))
            vocab = words.get_vocab()
            tokens = sorted(vocab, key=vocab.get)
            types = [CONTROL] * 5 + [NORMAL] * (len(tokens) - 5)
            spelled = [t if i < 5 else t[2:] if t.startswith("##") else "\u2581" + t for i, t in enumerate(tokens)]
            self.write("bert", spelled, types, normalizer__lowercase=lower, seperator_token_id=3, cls_token_id=2,
                       unknown_token_id=1, padding_token_id=0, mask_token_id=4)
            self.compare(BertTokenizer(vocab=vocab, do_lower_case=lower).backend_tokenizer)

    def test_refused(self) -> None:
        good = dict(merges=["a b"], bos_token_id=0)
        tokens, types = ["<s>", "a", "b", "ab"], [CONTROL, NORMAL, NORMAL, NORMAL]
        for model, change, message in (
            ("t5", {}, '"tokenizer.ggml.model" is "t5", expected gpt2, llama or bert'),
            ("gpt2", {"pre": "kimi-k2"}, '"tokenizer.ggml.pre" is "kimi-k2": how such a model cuts text is not known here'),
            ("gpt2", {"bos_token_id": 9}, '"tokenizer.ggml.bos_token_id" is 9, expected an id below 4'),
            ("gpt2", {"merges": "a b"}, '"tokenizer.ggml.merges" is no array of texts'),
            ("gpt2", {"merges": [1, 2]}, '"tokenizer.ggml.merges" is no array of texts'),
            ("llama", {"merges": None}, '"tokenizer.ggml.scores" is missing'),
            ("llama", {"merges": None, "scores": [0.0]}, '"tokenizer.ggml.scores" has 1 elements, but there are 4 tokens'),
            ("bert", {}, "metadata: no token is "),
        ):
            with self.subTest(change=change, model=model):
                more = {key: value for key, value in {**good, **change}.items() if value is not None}
                self.write(model, tokens, types, **more)
                result = self.attn("a")
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertIn(message, result.stderr.decode())
                self.assertIn(str(self.path), result.stderr.decode())


if __name__ == "__main__":
    unittest.main()
