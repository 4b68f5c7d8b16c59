"""Trains the tokenizers that the tests use, by the libraries that users train theirs with.

    python tests/golden/train_tokenizers.py                      # the small ones, into tests/golden/tokenizers
    python tests/golden/train_tokenizers.py --large --out DIR [--text FILE ...]

Needs `tokenizers`, `sentencepiece`, `transformers`. Text: this repository's, the sentences of
tests/text/lines.py in their many scripts, and for the large ones Python's standard library and the
files named. Three folders, as users have them, and beside each what `transformers` makes of it where
it has no tokenizer.json (DIR/NAME.json):

    gpt2      byte-level BPE: vocab.json, merges.txt
    llama     SentencePiece BPE with byte fallback: tokenizer.model
    t5        SentencePiece Unigram, character map: spiece.model
    xlmr      the same model under the names of XLM-RoBERTa: sentencepiece.bpe.model
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import sys
import sysconfig
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import sentencepiece
import tokenizers
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "text"))
import lines as hard


def read_texts(large: bool, files: list[str]) -> list[str]:
    paths = [ROOT / "README.md", *sorted((ROOT / "models").glob("*.md")), *sorted((ROOT / "runtime").glob("*.[ch]")),
             *map(pathlib.Path, files)]
    if large:
        paths += sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    found = []
    for path in paths:
        found += [line for line in path.read_text(errors="replace").split("\n") if line.strip()]
    # Every script often enough to get tokens, in many orders of its words.
    r = random.Random(5)
    for line in (hard.SCRIPTS + hard.CODE[:-1]) * (400 if large else 30):
        words = line.split(" ")
        r.shuffle(words)
        found.append(" ".join(words))
    found += [" ".join(hard.EMOJI), " ".join(hard.COMPATIBLE)] * 3
    return found


def train_gpt2(texts: list[str], size: int, out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    t.model.save(str(out))
    config = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "bos_token": "<|endoftext|>",
              "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def write_rules(path: pathlib.Path) -> None:
    """A part of nmt_nfkc, so that the map stays small: control characters, white space, NFKC of the
    letters that lines.py has."""
    rules = {}
    for c in [*range(1, 9), 11, *range(14, 32), 0x7F, 0x8F, 0x9F, 0x200B, 0x200E, 0x200F, 0xFEFF]:
        rules[(c,)] = ()
    for c in [9, 10, 12, 13, 0xA0, 0x1680, 0x2028, 0x2029, 0x3000, *range(0x2000, 0x200B)]:
        rules[(c,)] = (32,)
    letters = {c for line in hard.SCRIPTS + hard.COMPATIBLE for c in line}
    letters |= set(map(chr, [*range(0xA8, 0x180), *range(0x2100, 0x2140), *range(0xFF01, 0xFFA0)]))
    for c in sorted(letters):
        for form in {c, unicodedata.normalize("NFD", c), unicodedata.normalize("NFKD", c)}:
            to = unicodedata.normalize("NFKC", form)
            if to != form and len(form) <= 4:
                rules[tuple(map(ord, form))] = tuple(map(ord, to))
    text = "".join("%s\t%s\n" % (" ".join("%X" % c for c in a), " ".join("%X" % c for c in b))
                   for a, b in sorted(rules.items()))
    path.write_text(text)


def train_spm(texts: list[str], size: int, large: bool, model: pathlib.Path, **options) -> None:
    model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text"
        text.write_text("\n".join(texts))
        if not large and options["model_type"] == "unigram":
            write_rules(pathlib.Path(folder) / "rules.tsv")
            options |= {"normalization_rule_tsv": folder + "/rules.tsv"}
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=folder + "/m", vocab_size=size, num_threads=1, minloglevel=2,
            max_sentence_length=100000, hard_vocab_limit=False, self_test_sample_size=0, **options)
        shutil.copy(folder + "/m.model", model)


def write_config(folder: pathlib.Path, name: str, **more) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **more}, indent=1) + "\n")


def convert(folder: pathlib.Path) -> None:
    """What transformers makes of the folder, on two lines: the rest, and the model."""
    t = transformers.AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as saved:
        t.save_pretrained(saved)
        made = json.loads((pathlib.Path(saved) / "tokenizer.json").read_text())
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    folder.with_suffix(".json").write_text(text + "\n")


def write_alone(out: pathlib.Path) -> None:
    """What the sentencepiece library makes of lines by the files alone: alone.json. Lines with < name
    control pieces, which it does not read in a text; it sums scores as floats, so the lines are short
    enough for no two ways to be as good as each other."""
    made = {}
    for name in ["llama/tokenizer.model", "t5/spiece.model"]:
        model = sentencepiece.SentencePieceProcessor(model_file=str(out / name))
        texts = [t for t in hard.lines(1500, 9) if len(t) < 90 and b"<" not in t and "▁".encode() not in t]
        made[name] = [[t.hex(), model.encode(hard.text(t))] for t in texts[:200]]
    (out / "alone.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")


def main() -> None:
    args = argparse.ArgumentParser()
    args.add_argument("--large", action="store_true")
    args.add_argument("--out", type=pathlib.Path, default=ROOT / "tests" / "golden" / "tokenizers")
    args.add_argument("--text", nargs="*", default=[])
    args = args.parse_args()
    texts = read_texts(args.large, args.text)
    size = 32000 if args.large else 900
    train_gpt2(texts, size, args.out / "gpt2")
    train_spm(texts, size, args.large, args.out / "llama" / "tokenizer.model", model_type="bpe", byte_fallback=True,
              character_coverage=0.9995 if args.large else 0.98, split_digits=True,
              normalization_rule_name="identity", remove_extra_whitespaces=False,
              allow_whitespace_only_pieces=True, user_defined_symbols=["<|user|>"])
    write_config(args.out / "llama", "LlamaTokenizer", add_bos_token=True, add_eos_token=False, legacy=False,
                 bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    common = dict(model_type="unigram", character_coverage=0.9995 if args.large else 0.985,
                  **({"normalization_rule_name": "nmt_nfkc"} if args.large else {}))
    train_spm(texts, size, args.large, args.out / "t5" / "spiece.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
              **common)
    write_config(args.out / "t5", "T5Tokenizer", extra_ids=100 if args.large else 10, eos_token="</s>",
                 unk_token="<unk>", pad_token="<pad>")
    train_spm(texts, size, args.large, args.out / "xlmr" / "sentencepiece.bpe.model", unk_id=0, bos_id=1, eos_id=2,
              **common)
    write_config(args.out / "xlmr", "XLMRobertaTokenizer", bos_token="<s>", eos_token="</s>", sep_token="</s>",
                 cls_token="<s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
    for name in ["gpt2", "llama", "t5", "xlmr"]:
        convert(args.out / name)
    write_alone(args.out)


if __name__ == "__main__":
    main()
