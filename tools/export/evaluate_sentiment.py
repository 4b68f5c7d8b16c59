"""The accuracy of models/sentiment on the held-out third of the sentences, in PyTorch and in attn.

    python tools/export/evaluate_sentiment.py --data UCI --attn build/attn [--model FOLDER]

The sentences are those of train_sentiment.py; --model may also be its teacher. It fails if a label differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from train_sentiment import logits_of, read

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--attn", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "sentiment")
    parser.add_argument("options", nargs="*", help="options for attn, after --")
    given = parser.parse_args()
    _, held = read(given.data)
    texts, labels = [text for text, _ in held], [label for _, label in held]
    model = AutoModelForSequenceClassification.from_pretrained(given.model, dtype=torch.float32)
    logits = logits_of(model, AutoTokenizer.from_pretrained(given.model), texts, model.config.max_position_embeddings)
    reference, probabilities = logits.argmax(-1).tolist(), torch.softmax(logits, -1)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as lines:
        lines.write("\n".join(texts) + "\n")
        lines.flush()
        command = [given.attn, "classify", given.model, "--json", "--file", lines.name, *given.options]
        results = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["results"]
    ours = [result["top"][0]["index"] for result in results]
    furthest = max(
        abs(result["top"][0]["probability"] - row[result["top"][0]["index"]].item())
        for result, row in zip(results, probabilities, strict=True))
    for name, guess in (("PyTorch", reference), ("attn", ours)):
        right = sum(a == b for a, b in zip(guess, labels, strict=True))
        print(f"{name}: {right} of {len(labels)} right, {100 * right / len(labels):.2f} %")
    different = sum(a != b for a, b in zip(ours, reference, strict=True))
    print(f"{different} labels differ; probabilities by at most {furthest:.2g}")
    if different and not given.options:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
