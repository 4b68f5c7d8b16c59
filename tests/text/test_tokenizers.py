"""attn's tokenizers against the `tokenizers` library: ids, offsets in bytes, word, type and sequence ids,
masks and decoded text, over lines that are hard (lines.py).

    ATTN=build/attn python tests/text/test_tokenizers.py --lines 100000 [FILE...]

compares as many lines with tokenizer.json files of one's own.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest

import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import compare  # noqa: E402
import lines as hard  # noqa: E402
from attn_text import Error, Tokenizer  # noqa: E402

GOLDEN = os.path.join(os.path.dirname(HERE), "golden")


def golden_parts():
    """{name: the text of a tokenizer.json} of make_tokenizers.py."""
    with open(os.path.join(GOLDEN, "tokenizer/parts.json"), encoding="utf-8") as file:
        parts = json.load(file)
    result = {}
    for name, one in parts["files"].items():
        one["model"]["vocab"] = one["model"]["vocab"] or parts["vocab"]
        for key in ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"):
            one.setdefault(key, None)
        result[name] = json.dumps(one, ensure_ascii=False)
    return result


def differences(path, count, seed):
    """Up to 5 differences over `count` lines; every seventh line has the one before as its pair."""
    tokenizer, reference = Tokenizer(path), tokenizers.Tokenizer.from_file(path)
    found, before = [], None
    for number, line in enumerate(hard.lines(count, seed)):
        one = compare.difference(tokenizer, reference, line, before if number % 7 == 0 else None)
        before = line
        if one:
            found.append(one)
            if len(found) == 5:
                break
    return found


class Lines(unittest.TestCase):
    def check(self, path, count, seed):
        self.assertEqual(differences(path, count, seed), [])

    def test_parts(self):
        for seed, (name, text) in enumerate(golden_parts().items()):
            if name.startswith(("truncate", "decode_ctc", "decode_bpe", "decode_sequence")):
                continue  # what the library cannot truncate or decode, it panics at
            with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(text)
                file.flush()
                self.check(file.name, 60, seed)

    def test_trained(self):
        folder = os.path.join(GOLDEN, "tokenizers")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json") and name != "alone.json":  # that one holds results
                with self.subTest(name):
                    self.check(os.path.join(folder, name), 500, 7)

    def test_windows(self):
        """What truncation cuts off, beside the library's overflowing encodings."""
        parts, total = golden_parts(), 0
        trained = {name: os.path.join(GOLDEN, "tokenizers", name + ".json") for name in ("gpt2", "llama", "xlmr")}
        files = {name: text for name, text in parts.items() if name in ("bert", "bert_processing", "roberta", "sequence")}
        for name, path in trained.items():
            with open(path, encoding="utf-8") as file:
                files[name] = file.read()
        self.assertGreater(len(files), 4)
        for number, (name, text) in enumerate(files.items()):
            reference = tokenizers.Tokenizer.from_str(text)
            reference.no_padding()
            for length, stride, cut, left in (
                (12, 0, 1, False), (9, 3, 1, False), (9, 2, 1, True), (14, 4, 2, False), (20, 7, 3, False),
                (20, 5, 3, True), (7, 1, 2, True),
            ):
                strategy = ("longest_first", "only_first", "only_second")[cut - 1]
                reference.enable_truncation(length, stride=stride, strategy=strategy,
                                            direction="left" if left else "right")
                with self.subTest(name, length=length, stride=stride, strategy=strategy, left=left), \
                        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
                    file.write(reference.to_str() if left else text)
                    file.flush()
                    tokenizer, before = Tokenizer(file.name), None
                    options = {} if left else {"max_length": length, "stride": stride, "cut": cut}
                    for line in hard.lines(40, number):
                        # Of pairs without a post-processor the library forgets whose the later windows are.
                        for pair in (None, before) if name != "sequence" else (None,):
                            total += self.check_windows(tokenizer, reference, line, pair, options)
                        before = b" ".join(line.split(b" ")[:3])[:30]
        self.assertGreater(total, 2000)

    def check_windows(self, tokenizer, reference, line, pair, options):
        """The number of windows; 0 where neither can."""
        try:
            e = reference.encode(hard.text(line), None if pair is None else hard.text(pair))
        except BaseException as error:  # too short, or a stride too long: the latter panics
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            with self.assertRaises(Error):
                tokenizer.windows(line, pair, **options)
            return 0
        places = compare.byte_places(line), compare.byte_places(pair or b"")
        want = [compare.described(one, places) for one in [e, *e.overflowing]]
        self.assertEqual(tokenizer.windows(line, pair, **options), want, (line, pair))
        return len(want)

    def test_vocab_txt(self):
        try:
            from transformers import BertTokenizer
        except ImportError as error:
            self.skipTest(f"transformers: {error}")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##lo", "he", "Straße", "strasse", "東", "a",
                 "##a", ",", "é", "e"]
        for config in ({}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}):
            with self.subTest(config), tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
                    file.write("\n".join(words) + "\n")
                with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
                    json.dump({"tokenizer_class": "BertTokenizer", **config}, file)
                reference = BertTokenizer.from_pretrained(folder)
                tokenizer = Tokenizer(folder)
                for role in ("unk", "sep", "pad", "cls", "mask"):
                    self.assertEqual(tokenizer.special(role), getattr(reference, role + "_token_id"))
                for text in ("Hello, Straße 東京 é[MASK]a helo", "aaaa Éa", ""):
                    want = reference(text, "hello")
                    got = tokenizer.encode(text.encode(), b"hello")
                    self.assertEqual(got["ids"], want["input_ids"], text)
                    self.assertEqual(got["type_ids"], want["token_type_ids"], text)
                    self.assertEqual(tokenizer.encode(text.encode())["ids"], reference(text)["input_ids"])

    def test_added_tokens_decoder(self):
        parts = golden_parts()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
                file.write(parts["bert_strip"])
            with open(os.path.join(folder, "special_tokens_map.json"), "w", encoding="utf-8") as file:
                json.dump({"eos_token": "[SEP]", "pad_token": {"content": "[PAD]"}}, file)
            with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
                json.dump({"bos_token": "<new>", "added_tokens_decoder": {
                    "100": {"content": "<new>", "special": True, "lstrip": False, "rstrip": False,
                            "normalized": False, "single_word": False}}}, file)
            tokenizer = Tokenizer(folder)
            self.assertEqual([tokenizer.special(role) for role in ("eos", "pad", "cls")], [2, 3, -1])
            self.assertEqual(tokenizer.special("bos"), tokenizer.id("<new>"))
            self.assertEqual(tokenizer.encode(b"a<new>")["ids"][-1], tokenizer.id("<new>"))

    def test_command(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tokenizer.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write(golden_parts()["bert"])

            def run(*arguments, text=None):
                return subprocess.run([os.environ["ATTN"], "tokenize", *arguments], input=text, capture_output=True)

            want = Tokenizer(path).encode("hello é".encode(), b"world")
            for done in (run(folder, "hello é", "--pair", "world", "--json"),
                         run(path, "--file", "-", "--pair", "world", "--json", text="hello é".encode())):
                got = json.loads(done.stdout)
                self.assertEqual(got["ids"], want["ids"])
                self.assertEqual(got["offsets"], [list(place) for place in want["offsets"]])
                self.assertEqual(got["sequence_ids"], want["sequence"])
                self.assertEqual(got["tokens"][0], "[CLS]")
            self.assertIn(b"hello", run(folder, "hello").stdout)
            self.assertNotIn(b"[CLS]", run(folder, "hello", "--no-special").stdout)
            self.assertEqual(run(folder, "--decode", "1,5 6,2").stdout, b"[CLS] hello world [SEP]\n")
            self.assertEqual(run(folder, "--decode", "[1, 5, 6]", "--no-special").stdout, b"hello world\n")
            windows = json.loads(run(folder, "hello hello world", "--windows", "--max-length", "4", "--stride", "1",
                                     "--json").stdout)["windows"]
            self.assertEqual([one["tokens"][1:-1] for one in windows], [["hello", "hello"], ["hello", "world"]])
            self.assertEqual(run(folder, "hello hello world", "--windows", "--max-length", "4").stdout.count(b"[CLS]"), 2)
            cut = json.loads(run(folder, "hello hello world", "--max-length", "4", "--json").stdout)
            self.assertEqual(cut["tokens"], windows[0]["tokens"])
            for arguments in (["x", "--stride", "1"], ["--decode", "1", "--windows"]):
                self.assertEqual(run(folder, *arguments).returncode, 2, arguments)
            for arguments, status in ((["x"], 2), ([folder, "--decode", "no"], 1), (["nowhere", "x"], 1)):
                done = run(*arguments)
                self.assertEqual(done.returncode, status, arguments)
                self.assertTrue(done.stderr)

    def test_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(Error, "no tokenizer here"):
                Tokenizer(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", help="tokenizer.json files; none: the trained ones of tests/golden")
    options = parser.parse_args()
    folder = os.path.join(GOLDEN, "tokenizers")
    files = options.files or [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".json")]
    bad = 0
    for path in files:
        found = differences(path, options.lines, options.seed)
        print(f"{path}: {options.lines} lines, {'equal' if not found else 'differs'}")
        for one in found:
            print("   ", one)
        bad += len(found)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) > 1 and "--lines" in sys.argv else unittest.main())
