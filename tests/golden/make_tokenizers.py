#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: small tokenizer.json files, one per part of the format, and what the
`tokenizers` library makes of a few texts with each, in expected.json.

    python tests/golden/make_tokenizers.py

expected.json: {file: [{"text", "pair", "add_special", "ids", "offsets" (bytes), "type_ids", "word",
"sequence", "attention", "special", "decoded", "decoded_special"}]}; lists of the usual value only
are left out.
"""
import json
import os
import sys

import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "tokenizer")
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "text"))
import compare  # noqa: E402

TEXTS = [
    "", " ", "Hello, world!", "  two  spaces\tand\nlines  ", "Ünïcödé ÀÉ ﬁne", "e\u0301a\u0323\u0302 q\u0307\u0323",
    "İstanbul ΌΣΟΣ ǅ", "東京タワー 3階", "a [MASK] b[SEP]c", "yesterday Yesterday <x>  <y> z<w>z <w>", "it's 12,345.67 don't we'll",
    "👩‍👩‍👧 ok 👍🏽", "-a--b-", "\u200bzero\u00adwidth\ufeff", "▁lower ▁▁x", "한국어 각 ᄀ\u1161\u11a8", "Ａｂｃ ① ㍿ ½",
]

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "hello", "world", "two", "spaces", "and", "lines", "it",
         "s", "don", "t", "we", "ll", "a", "b", "c", "ok", "yes", "##ter", "##day", "un", "##code", "##a", "##b", "##e",
         "e", "i", "##s", "##t", ",", ".", "!", "'", "-", "12", "345", "1", "2", "3", "##2", "##3", "東", "京", "z", "x",
         "▁", "▁lower", "▁x", "Ġ", "Ġok", "Hello", "Ġworld"]


def base(**parts):
    result = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(WORDS)}},
    }
    result.update(parts)
    return result


def level(**parts):
    """WordLevel over what the texts hold: each pre-token that is known has an id of its own."""
    return base(model={"type": "WordLevel", "unk_token": "[UNK]",
                       "vocab": {word: i for i, word in enumerate(WORDS)}}, **parts)


def added(content, id, **flags):
    token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}
    token.update(flags)
    return token


BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
        "strip_accents": None, "lowercase": True}
SPLIT = {"type": "BertPreTokenizer"}
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                       "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}},
}
ROBERTA = {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1], "trim_offsets": True,
           "add_prefix_space": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
SPECIAL = [added(word, i, special=True) for i, word in enumerate(WORDS[:5])]


def normalizer(**parts):
    return level(normalizer=parts, pre_tokenizer={"type": "Whitespace"})


def pre(**parts):
    return level(pre_tokenizer=parts)


def split(pattern, behavior, invert=False):
    kind = "Regex" if pattern.startswith("re:") else "String"
    return pre(type="Split", pattern={kind: pattern.removeprefix("re:")}, behavior=behavior, invert=invert)


def decoder(*list_):
    return base(pre_tokenizer={"type": "Whitespace"}, added_tokens=SPECIAL,
                decoder=list_[0] if len(list_) == 1 else {"type": "Sequence", "decoders": list(list_)})


def truncated(max_length, stride, strategy, direction, **parts):
    return base(normalizer=BERT, pre_tokenizer=SPLIT, post_processor=TEMPLATE, truncation={
        "max_length": max_length, "stride": stride, "strategy": strategy, "direction": direction}, **parts)


def padded(strategy, direction, multiple, **parts):
    return base(normalizer=BERT, pre_tokenizer=SPLIT, padding={
        "strategy": strategy, "direction": direction, "pad_to_multiple_of": multiple, "pad_id": 3,
        "pad_type_id": 7, "pad_token": "[PAD]"}, **parts)


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
FILES = {
    "bert": base(normalizer=BERT, pre_tokenizer=SPLIT, post_processor=TEMPLATE, added_tokens=SPECIAL,
                 decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}),
    "bert_processing": base(normalizer=dict(BERT, lowercase=False), pre_tokenizer=SPLIT, post_processor={
        "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}, decoder={
            "type": "WordPiece", "prefix": "##", "cleanup": False}),
    "bert_accents": base(normalizer=dict(BERT, strip_accents=False, clean_text=False), pre_tokenizer=SPLIT),
    "bert_strip": base(normalizer=dict(BERT, strip_accents=True, lowercase=False, handle_chinese_chars=False),
                       pre_tokenizer=SPLIT),
    "roberta": level(pre_tokenizer=BYTES, post_processor=ROBERTA, decoder=BYTES,
                     added_tokens=SPECIAL[:4] + [added("[MASK]", 4, lstrip=True, special=True)]),
    "byte_level": level(pre_tokenizer=dict(BYTES, add_prefix_space=False), decoder=BYTES,
                        post_processor={"type": "Sequence", "processors": [
                            dict(BYTES, add_prefix_space=False), TEMPLATE]}),
    "byte_level_whole": level(pre_tokenizer=dict(BYTES, use_regex=False), post_processor=dict(BYTES, trim_offsets=False)),
    "byte_level_normalizer": level(normalizer={"type": "ByteLevel"}, pre_tokenizer={"type": "Split", "pattern": {
        "String": "Ġ"}, "behavior": "MergedWithNext", "invert": False}, decoder=BYTES),
    "nfc": normalizer(type="NFC"), "nfd": normalizer(type="NFD"), "nfkc": normalizer(type="NFKC"),
    "nfkd": normalizer(type="NFKD"), "lowercase": normalizer(type="Lowercase"), "nmt": normalizer(type="Nmt"),
    "strip": level(normalizer={"type": "Strip", "strip_left": True, "strip_right": True}),
    "strip_left": level(normalizer={"type": "Strip", "strip_left": True, "strip_right": False}),
    "strip_accents": normalizer(type="Sequence", normalizers=[{"type": "NFD"}, {"type": "StripAccents"}]),
    "replace": normalizer(type="Sequence", normalizers=[
        {"type": "Replace", "pattern": {"String": "world"}, "content": "two"},
        {"type": "Replace", "pattern": {"Regex": "\\d+"}, "content": "12"},
        {"type": "Replace", "pattern": {"String": "l"}, "content": ""}]),
    "prepend": level(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}),
    "whitespace": pre(type="Whitespace"), "whitespace_split": pre(type="WhitespaceSplit"),
    "digits": pre(type="Digits", individual_digits=True), "digits_runs": pre(type="Digits", individual_digits=False),
    "delimiter": pre(type="CharDelimiterSplit", delimiter="-"), "scripts": pre(type="UnicodeScripts"),
    "length": pre(type="FixedLength", length=3),
    "sequence": pre(type="Sequence", pretokenizers=[{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True},
                                                    {"type": "Punctuation", "behavior": "Isolated"}]),
    "metaspace": level(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
                       decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
    "metaspace_first": level(added_tokens=SPECIAL, pre_tokenizer={
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}),
    "metaspace_never": level(pre_tokenizer={"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"},
                             decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}),
    "metaspace_old": level(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}),
    **{f"punctuation_{b.lower()}": pre(type="Punctuation", behavior=b) for b in BEHAVIORS},
    **{f"split_{b.lower()}": split("-", b) for b in BEHAVIORS},
    **{f"split_invert_{b.lower()}": split("re:[a-z]+", b, True) for b in BEHAVIORS},
    "split_empty": split("re:x*", "Isolated"), "split_lookahead": split("re:\\s+(?!\\S)|\\s+|\\w", "MergedWithNext"),
    "split_qwen": split("re:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "Isolated"),
    "split_possessive": split("re:[^\\s\\p{L}]?+\\p{Letter}++|\\p{N}{1,2}+|\\h|[[:punct:]]|\\b", "Isolated"),
    "split_lines": split("re:^.|.$|(?m:\\n.)", "Isolated"),
    "added": base(normalizer=BERT, pre_tokenizer=SPLIT, added_tokens=SPECIAL + [
        added("<x>", 60, lstrip=True), added("<y>", 61, rstrip=True), added("<w>", 62, single_word=True),
        added("Yesterday", 63, normalized=True), added("lines  ", 64, normalized=True, lstrip=True),
        added("do", 65), added("don", 66), added("don't w", 67)]),
    "truncate_right": truncated(6, 0, "LongestFirst", "Right"), "truncate_left": truncated(6, 2, "LongestFirst", "Left"),
    "truncate_first": truncated(9, 1, "OnlyFirst", "Right"), "truncate_second": truncated(12, 1, "OnlySecond", "Left"),
    "pad_fixed": padded({"Fixed": 8}, "Right", None), "pad_left": padded({"Fixed": 7}, "Left", 4, post_processor=TEMPLATE),
    "pad_multiple": padded("BatchLongest", "Right", 8, post_processor=TEMPLATE),
    "decode_none": decoder({"type": "Fuse"}) | {"decoder": None},
    "decode_bpe": decoder({"type": "BPEDecoder", "suffix": "s"}),
    "decode_ctc": decoder({"type": "CTC", "pad_token": "a", "word_delimiter_token": "t", "cleanup": True}),
    "decode_sequence": decoder({"type": "Replace", "pattern": {"String": "l"}, "content": " "}, {"type": "ByteFallback"},
                               {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}),
    "decode_strip": decoder({"type": "Strip", "content": "l", "start": 1, "stop": 1}),
    "decode_bytes": base(pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "ByteFallback"}, model={
        "type": "WordLevel", "unk_token": "<0xZZ>", "vocab": {"<0x41>": 0, "<0xE2>": 1, "<0x96>": 2, "<0x81>": 3, "b": 4,
                                                             "<0xZZ>": 5, "<0xff>": 6}}),
}
BYTE_IDS = [0, 1, 2, 3, 4, 5, 6, 1, 2, 4, 1, 99]


def case(reference, text, pair, special):
    want = compare.expected(reference, text.encode(), None if pair is None else pair.encode(), special)
    want.update(text=text, pair=pair, add_special=special, decoded=reference.decode(want["ids"], True),
                decoded_special=reference.decode(want["ids"], False))
    # What goes without saying is left out.
    for key, usual in (("attention", 1), ("special", 0), ("type_ids", 0), ("sequence", 0)):
        if all(value == usual for value in want[key]):
            del want[key]
    if pair is None:
        del want["pair"]
    if want["decoded_special"] == want["decoded"]:
        del want["decoded_special"]
    return want


def cases(name, reference):
    result = []
    for i, text in enumerate(TEXTS):
        pair = TEXTS[(i + 5) % len(TEXTS)] if i % 3 == 0 else None
        try:
            result.append(case(reference, text, pair, i % 5 != 4))
        except BaseException as error:  # truncation that cannot be done: an exception, or a panic
            assert name.startswith("truncate"), (name, text, error)
            result.append({"text": text, "pair": pair, "add_special": i % 5 != 4, "refused": True})
    if name == "decode_bytes":
        result.append({"decode": BYTE_IDS, "decoded": reference.decode(BYTE_IDS, True),
                       "decoded_special": reference.decode(BYTE_IDS, False)})
    return result


def main():
    os.makedirs(OUT, exist_ok=True)
    expected = {}
    for name, file in FILES.items():
        text = json.dumps(file, ensure_ascii=False)
        expected[name] = cases(name, tokenizers.Tokenizer.from_str(text))
    # The parts only: the vocabulary is the same in nearly all.
    shared = {word: i for i, word in enumerate(WORDS)}
    for file in FILES.values():
        if file["model"]["vocab"] == shared:
            file["model"]["vocab"] = None
        for key in [key for key, value in file.items() if value in (None, [])]:
            del file[key]
    with open(os.path.join(OUT, "parts.json"), "w", encoding="utf-8") as out:
        json.dump({"tokenizers": tokenizers.__version__, "vocab": shared, "files": FILES}, out, ensure_ascii=False,
                  separators=(",", ":"))
        out.write("\n")
    with open(os.path.join(OUT, "expected.json"), "w", encoding="utf-8") as out:
        json.dump(expected, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
    print(f"{len(FILES)} files, {sum(map(len, expected.values()))} cases")


if __name__ == "__main__":
    main()
