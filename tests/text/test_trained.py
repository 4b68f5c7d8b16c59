"""The trained tokenizers of tests/golden/tokenizers against the `tokenizers` library: ids, offsets and
decoded text of hard lines, from tokenizer.json and from the older files of the same tokenizer.

    ATTN_ENCODE_LINES=build/encode_lines python tests/text/test_trained.py

ATTN_LINES: how many lines (default 2000). ATTN_TOKENIZERS: another folder of such tokenizers.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest

os.environ["TOKENIZERS_PARALLELISM"] = "false"
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import lines as hard

try:
    import tokenizers
except ImportError as error:
    raise unittest.SkipTest(f"not installed: {error.name}")

FOLDER = pathlib.Path(os.environ.get("ATTN_TOKENIZERS", HERE.parent / "golden" / "tokenizers"))
COUNT = int(os.environ.get("ATTN_LINES", "2000"))


def default_driver() -> pathlib.Path:
    return pathlib.Path(os.environ.get("ATTN", "build/attn")).parent / "encode_lines"


DRIVER = os.environ.get("ATTN_ENCODE_LINES", str(default_driver()))


def attn_encode(model, texts):
    """For each text (ids, [(first, end)], decoded)."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    done = subprocess.run([DRIVER, str(model)], input=data, capture_output=True)
    if done.returncode:
        raise AssertionError(done.stderr.decode(errors="replace")[-2000:])
    out, at = done.stdout, 0
    for _ in texts:
        count, = struct.unpack_from("<I", out, at)
        tokens = list(struct.iter_unpack("<iII", out[at + 4:at + 4 + 12 * count]))
        at += 4 + 12 * count
        length, = struct.unpack_from("<I", out, at)
        yield [t[0] for t in tokens], [t[1:] for t in tokens], out[at + 4:at + 4 + length]
        at += 4 + length
    if at != len(out):
        raise AssertionError(f"{len(out) - at} bytes too many")


class Trained(unittest.TestCase):
    def compare(self, name, model, seed, exact=False):
        """exact: scores as a SentencePiece file has them, not as the library reads them from JSON."""
        reference = tokenizers.Tokenizer.from_file(str(FOLDER / (name + ".json")))
        parts = json.loads((FOLDER / (name + ".json")).read_text())["model"]
        if exact and parts["type"] == "Unigram":
            reference.model = tokenizers.models.Unigram(list(map(tuple, parts["vocab"])), parts["unk_id"],
                                                        parts["byte_fallback"])
        texts = list(hard.lines(COUNT, seed))
        for line, (ids, offsets, decoded) in zip(texts, attn_encode(model, texts)):
            want = reference.encode(hard.text(line))
            place = hard.places(line)
            self.assertEqual(ids, want.ids, line)
            self.assertEqual(offsets, [(place[a], place[b]) for a, b in want.offsets], line)
            self.assertEqual(decoded, reference.decode(want.ids).encode(), line)

    def test_tokenizer_json(self):
        for seed, name in enumerate(["gpt2", "llama", "t5", "xlmr"]):
            with self.subTest(name):
                self.compare(name, FOLDER / (name + ".json"), seed)

    def test_older_files(self):
        for seed, name in enumerate(["gpt2", "llama", "t5", "xlmr"]):
            with self.subTest(name):
                self.compare(name, FOLDER / name, 100 + seed, exact=True)

    def test_files_alone(self):
        """A SentencePiece file without a tokenizer_class: as the sentencepiece library."""
        golden = HERE.parent / "golden" / "tokenizers"
        for name, cases in json.loads((golden / "alone.json").read_text()).items():
            texts = [bytes.fromhex(text) for text, _ in cases]
            for (_, want), line, (ids, _, _) in zip(cases, texts, attn_encode(golden / name, texts)):
                self.assertEqual(ids, want, (name, line))


if __name__ == "__main__":
    unittest.main()
