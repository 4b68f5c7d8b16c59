"""Trains models/sentiment: a small transformer that tells good sentences from bad ones.

    python train_sentiment.py --data UCI --minilm MINILM --teacher /tmp/teacher --out models/sentiment

UCI holds amazon_cells.txt, imdb.txt and yelp.txt: 3 x 1000 sentences from reviews with a 0 or 1 after a tab
(Kotzias et al. 2015, "From Group to Individual Labels using Deep Features"; CC BY 4.0). A third of each file is
held out and seen by no step of the training. MINILM is all-MiniLM-L6-v2 (Apache-2.0; tools/fetch.sh minilm).

1. The teacher: MiniLM with a classifier, fine-tuned on the other two thirds, is written to --teacher (and read
   from there if it is there already). It is 90 MB and the better model: attn classifies with it, too.
2. The student: two layers of 128 columns over MiniLM's own word vectors, cut down to the most frequent 6000
   word pieces and to 128 columns by principal components. It learns what the teacher says of the training
   sentences and of sentences made of their pieces (Hinton et al. 2015, arXiv:1503.02531).

The student is written in bf16 with its tokenizer as a folder of transformers. Accuracy on the held-out third is
printed; the seed is fixed. Minutes with a GPU, about half an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, kl_div
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

Rows = list[tuple[str, int]]
LABELS = {0: "negative", 1: "positive"}
SEED, PIECES, WIDTH, LENGTH = 7, 6000, 128, 96
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def read(data: Path) -> tuple[Rows, Rows]:
    """The sentences to train on, and a third of each file held out."""
    train, held = [], []
    for file in sorted(data.glob("*.txt")):
        lines = [line.rsplit("\t", 1) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
        rows = [(text.strip(), int(label)) for text, label in lines]
        random.Random(SEED).shuffle(rows)
        third = len(rows) // 3
        held += rows[:third]
        train += rows[third:]
    random.Random(SEED + 1).shuffle(train)
    return train, held


def run(model: torch.nn.Module, tokenizer: object, texts: list[str], length: int = LENGTH) -> torch.Tensor:
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
    return model(**{name: value.to(model.device) for name, value in tokens.items()}).logits


def logits_of(model: torch.nn.Module, tokenizer: object, texts: list[str], length: int = LENGTH) -> torch.Tensor:
    model.eval()
    with torch.inference_mode():
        return torch.cat([run(model, tokenizer, texts[i : i + 64], length).cpu() for i in range(0, len(texts), 64)])


def accuracy(model: torch.nn.Module, tokenizer: object, rows: Rows) -> float:
    guess = logits_of(model, tokenizer, [text for text, _ in rows]).argmax(-1)
    return (guess == torch.tensor([label for _, label in rows])).float().mean().item()


def fit(model: torch.nn.Module, tokenizer: object, rows: list, epochs: int, rate: float, loss_of: object, show: Rows) -> None:
    """rows: (text, target); loss_of(logits, targets)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * ((len(rows) + 31) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    order, started = random.Random(1), time.time()
    for epoch in range(epochs):
        model.train()
        index = list(range(len(rows)))
        order.shuffle(index)
        for i in range(0, len(index), 32):
            batch = [rows[j] for j in index[i : i + 32]]
            loss = loss_of(run(model, tokenizer, [text for text, _ in batch]).cpu(), [y for _, y in batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"  epoch {epoch + 1}: {time.time() - started:.0f} s, held out {accuracy(model, tokenizer, show):.4f}", flush=True)


def get_teacher(minilm: Path, folder: Path, train: Rows, held: Rows) -> tuple[torch.nn.Module, object]:
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    if not (folder / "config.json").is_file():
        model = AutoModelForSequenceClassification.from_pretrained(
            minilm, dtype=torch.float32, num_labels=2, id2label=LABELS, label2id={name: i for i, name in LABELS.items()})

        def loss(logits: torch.Tensor, labels: list) -> torch.Tensor:
            return cross_entropy(logits, torch.tensor(labels), label_smoothing=0.05)

        fit(model.to(DEVICE), tokenizer, train, 4, 1e-4, loss, held)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return AutoModelForSequenceClassification.from_pretrained(folder).to(DEVICE), tokenizer


def cut_vocabulary(minilm: Path, train: Rows) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """MiniLM's tokenizer with the special tokens, the pieces of the training sentences, single characters,
    and the first of the rest: the vocabulary is ordered by frequency. Also the old ids of the new ones."""
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    by_id = {i: piece for piece, i in vocabulary.items()}
    special = [vocabulary[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    keep = {i for text, _ in train for i in tokenizer.encode(text).ids}
    keep |= {i for piece, i in vocabulary.items() if len(piece.removeprefix("##")) == 1 and ord(piece[-1]) < 0x250}
    for i in range(1996, len(vocabulary)):  # the first word is "the"
        if len(keep | set(special)) >= PIECES:
            break
        keep.add(i)
    old = special + sorted(keep - set(special))
    root = json.loads(tokenizer.to_str())
    root["model"]["vocab"] = {by_id[i]: n for n, i in enumerate(old)}
    root["padding"] = root["truncation"] = None
    for token in root["added_tokens"]:
        token["id"] = old.index(vocabulary[token["content"]])
    for entry in root["post_processor"].get("special_tokens", {}).values():
        entry["ids"] = [old.index(i) for i in entry["ids"]]
    for key in ("cls", "sep"):
        if isinstance(root["post_processor"].get(key), list):
            root["post_processor"][key][1] = old.index(root["post_processor"][key][1])
    small = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(root)), model_max_length=128, pad_token="[PAD]",
        unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return small, old


def make_student(minilm: Path, old: list[int]) -> BertForSequenceClassification:
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(old), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=128, type_vocab_size=1, hidden_dropout_prob=0.2, num_labels=2, id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()}, attention_probs_dropout_prob=0.1)
    student = BertForSequenceClassification(config)
    source = AutoModelForSequenceClassification.from_pretrained(minilm, dtype=torch.float32).base_model.embeddings.word_embeddings
    words = source.weight.detach()[old]
    words = words - words.mean(0)
    _, _, axes = torch.linalg.svd(words, full_matrices=False)
    small = words @ axes[:WIDTH].T
    with torch.no_grad():
        student.bert.embeddings.word_embeddings.weight.copy_(small * (0.05 / small.std()))
    return student


def invent(train: Rows, count: int) -> list[str]:
    """Sentences for the teacher to judge: parts, two parts together, words left out."""
    r, texts = random.Random(SEED + 2), []
    for _ in range(count):
        words = r.choice(train)[0].split()
        kind = r.random()
        if kind < 0.4:
            words = [word for word in words if r.random() > 0.2]
        elif kind < 0.7:
            first = r.randrange(len(words))
            words = words[first : first + r.randint(2, 12)]
        else:
            other = r.choice(train)[0].split()
            cut, start = r.randint(1, len(words)), r.randrange(len(other))
            words = words[:cut] + other[start:]
        if words:
            texts.append(" ".join(words[:60]))
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--invented", type=int, default=40000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    train, held = read(options.data)
    print(f"{len(train)} sentences to train on, {len(held)} held out")
    teacher, teacher_tokenizer = get_teacher(options.minilm, options.teacher, train, held)
    print(f"teacher: {accuracy(teacher, teacher_tokenizer, held):.4f} of the held-out sentences")
    texts = [text for text, _ in train] * 4 + invent(train, options.invented)
    targets = torch.softmax(logits_of(teacher, teacher_tokenizer, texts), -1)
    rows = list(zip(texts, targets))
    tokenizer, old = cut_vocabulary(options.minilm, train)
    student = make_student(options.minilm, old)

    def loss(logits: torch.Tensor, wanted: list) -> torch.Tensor:
        return kl_div(torch.log_softmax(logits, -1), torch.stack(wanted), reduction="batchmean")

    fit(student.to(DEVICE), tokenizer, rows, options.epochs, 1e-3, loss, held)
    student = student.cpu().to(torch.bfloat16)
    student.save_pretrained(options.out)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(options.out)
    student = BertForSequenceClassification.from_pretrained(options.out, dtype=torch.float32)
    print(f"student: {accuracy(student, tokenizer, held):.4f} of the held-out sentences")


if __name__ == "__main__":
    main()
