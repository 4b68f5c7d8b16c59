"""Small folders of text models: random weights, and a tokenizer trained on the sentences below."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from reference import perturb

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.", "Paris is the capital of France, and Berlin of Germany.",
    "My name is Wolfgang and I live in Berlin.", "A café, naïve and Zürich: accents!", "I loved it.", "No.",
    "Numbers such as 12, 345 and 6.78 stand between the words of a much longer sentence that goes on and on.",
    "東京は日本の首都です", "it's the worst thing - ever ...", "x", "Anna Schmidt works at Contoso in New York.",
    "What is the capital of France?", "Where does Wolfgang live?", "emoji 😀 and more 👍🏽 here",
]


def train_tokenizer(kind: str, room: int = 200) -> transformers.PreTrainedTokenizerFast:
    """"wordpiece" as BERT's, or "bpe" as RoBERTa's."""
    if kind == "wordpiece":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=room, special_tokens=special))
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names = dict(
            model_input_names=["input_ids", "token_type_ids", "attention_mask"], pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
        from tokenizers import decoders
        tokenizer.decoder = decoders.WordPiece()
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.train_from_iterator(
            SENTENCES, trainers.BpeTrainer(vocab_size=room + 256, special_tokens=special, initial_alphabet=alphabet))
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        names = dict(pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>", mask_token="<mask>", bos_token="<s>", eos_token="</s>")
        from tokenizers import decoders
        tokenizer.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=62, **names)


def write_folder(folder: Path, kind: str, seed: int = 1, **config: object) -> tuple[torch.nn.Module, object]:
    """kind: "BertForTokenClassification", "RobertaModel" ...; the model and its tokenizer."""
    roberta = kind.startswith("Roberta")
    tokenizer = train_tokenizer("bpe" if roberta else "wordpiece")
    family = kind.split("For")[0].removesuffix("Model")
    settings = dict(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, type_vocab_size=1 if roberta else 2, pad_token_id=tokenizer.pad_token_id)
    model = perturb(getattr(transformers, kind)(getattr(transformers, family + "Config")(**{**settings, **config})), seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
