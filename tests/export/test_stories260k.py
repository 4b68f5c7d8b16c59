"""The bundled stories model: what its README says of it, and how its script converts.

python -m unittest discover -s tests/export -v
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "models" / "stories260k"
SCRIPT = REPOSITORY / "tools" / "export" / "stories260k.py"
SHARED = Path(os.environ.get("ATTN_SHARED", REPOSITORY.parent / "shared"))
SOURCE = SHARED / "data" / "models" / "stories260k"

# The beginning of the story that llama2.c tells at temperature 0.
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the park.\" "
    "Lily was sad and didn't know what to do."
)


def needs(*modules: str):
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


def llama2c_ids(pieces: dict[str, int], text: str) -> list[int]:
    """As llama2.c does: characters or bytes, then again and again the pair with the best score, the leftmost
    of them. Scores fall as ids rise."""
    ids = [1]
    for character in "\u2581" + text.replace(" ", "\u2581") if text else "":
        ids += [pieces[character]] if character in pieces else [byte + 3 for byte in character.encode()]
    names = {i: piece for piece, i in pieces.items()}
    while True:
        pairs = [(pieces.get(names[a] + names[b], 1 << 30), at) for at, (a, b) in enumerate(zip(ids, ids[1:]))]
        best, at = min(pairs, default=(1 << 30, 0))
        if best == 1 << 30:
            return ids
        ids[at:at + 2] = [best]


class Stories260k(unittest.TestCase):
    def skip(self, reason: str) -> None:
        print(f"\nSKIP {self.id().split('.', 1)[-1]}: {reason}")
        self.skipTest(reason)

    @needs("numpy", "safetensors")
    def test_the_script_makes_the_folder(self) -> None:
        if not SOURCE.is_dir():
            self.skip(f"{SOURCE} is not here")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, SCRIPT, SOURCE / "stories260K.bin", SOURCE / "tok512.bin", folder], check=True)
            made = sorted(path.name for path in Path(folder).iterdir())
            self.assertEqual(made, sorted({path.name for path in MODEL.iterdir()} - {"README.md", "LICENSE"}))
            for name in made:
                self.assertEqual((Path(folder) / name).read_bytes(), (MODEL / name).read_bytes(), name)

    @needs("numpy", "safetensors")
    def test_bad_files(self) -> None:
        sizes = (8, 12, 1, 2, 1, 260, 4)
        floats = 260 * 8 + 8 + 64 + 32 + 32 + 64 + 8 + 3 * 96 + 8 + 2 * 4 * 2
        weights = struct.pack("<7i", *sizes) + bytes(4 * floats)
        texts = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % i for i in range(256)] + [b"a"]
        pieces = struct.pack("<i", 6) + b"".join(struct.pack("<fi", 0, len(text)) + text for text in texts)
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("w.bin", "t.bin", "out")]
            for first, second, words in (
                (weights, pieces, ""), (weights[:20], pieces, "w.bin: 20 bytes, expected a header of 28"),
                (weights[:-4], pieces, f"w.bin: {len(weights) - 4} bytes, expected {len(weights)}"),
                (struct.pack("<7i", 8, 12, 1, 3, 1, 260, 4), pieces, "w.bin: impossible sizes (8, 12, 1, 3, 1, 260, 4)"),
                (weights, pieces[:-1], "t.bin: piece 259 of 260 does not lie within"),
                (weights, pieces + b"x", "t.bin: not 260 pieces"),
                (weights, pieces.replace(b"<0x07>", b"<0x08>"), "t.bin: not 260 pieces, the bytes from 3 on"),
            ):
                with self.subTest(words=words):
                    files[0].write_bytes(first)
                    files[1].write_bytes(second)
                    result = subprocess.run([sys.executable, SCRIPT, *files], capture_output=True, text=True)
                    self.assertEqual(result.returncode, 1 if words else 0)
                    self.assertIn(words, result.stderr)
                    self.assertEqual(result.stderr.count("\n"), 1 if words else 0)

    @needs("tokenizers")
    def test_tokens_are_those_of_llama2c(self) -> None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        pieces = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
        draw = random.Random(5)
        letters = "".join(piece for piece in pieces if len(piece) == 1).replace("\u2581", "   ")
        texts = ["", " ", "  ", "Once upon a time", "caf\u00e9 \u4f60\u597d \U0001f600 x", "tab\tline\nend"]
        texts += STORY.split(". ")
        texts += ["".join(draw.choice(letters) for _ in range(draw.randint(1, 60))) for _ in range(300)]
        words = [piece for piece in pieces if not piece.startswith("<")]
        texts += ["".join(draw.choice(words) for _ in range(draw.randint(1, 20))).replace("\u2581", " ") for _ in range(300)]
        for text in texts:
            encoded = tokenizer.encode(text)
            self.assertEqual(encoded.ids, llama2c_ids(pieces, text), repr(text))
            self.assertEqual(tokenizer.decode(encoded.ids), text)

    @needs("torch", "transformers")
    def test_the_story_is_that_of_llama2c(self) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        tokenizer = AutoTokenizer.from_pretrained(MODEL)
        model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        self.assertEqual(sum(p.numel() for p in model.parameters()), 260_032)
        ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
        told = model.generate(ids, do_sample=False, max_new_tokens=130)[0]
        story = tokenizer.decode(told, skip_special_tokens=True)
        self.assertEqual(story[:len(STORY)], STORY)


if __name__ == "__main__":
    unittest.main()
