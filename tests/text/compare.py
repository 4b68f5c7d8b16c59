"""Compares attn's tokenizers with the `tokenizers` library, line by line."""
import lines as hard


def byte_places(line):
    """Of each character of text(line), and of its end, the byte of the line where it begins."""
    places, at = [], 0
    while at < len(line):
        places.append(at)
        # U+FFFD stands for a malformed part: how long that is, the decoder says.
        for length in range(1, 5):
            part = line[at:at + length]
            try:
                part.decode("utf-8")
                break
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data" or at + length >= len(line):
                    length = max(1, error.end - error.start)
                    break
        at += length
    return places + [len(line)]


def expected(reference, line, pair=None, special=True):
    """What attn's encode should give: the library's encoding with offsets in bytes."""
    e = reference.encode(hard.text(line), None if pair is None else hard.text(pair),
                         add_special_tokens=special)
    return described(e, (byte_places(line), byte_places(pair or b"")))


def described(e, places):
    """An encoding of the library as attn gives it."""
    sequence = [-1 if s is None else s for s in e.sequence_ids]
    offsets = []
    for (first, end), s in zip(e.offsets, sequence):
        at = places[max(s, 0)]
        offsets.append((at[first], at[end]) if s >= 0 else (first, end))
    return {"ids": e.ids, "type_ids": e.type_ids, "attention": e.attention_mask,
            "special": e.special_tokens_mask, "sequence": sequence,
            "word": [-1 if w is None else w for w in e.word_ids], "offsets": offsets}


def difference(tokenizer, reference, line, pair=None):
    """None, or what differs."""
    want, got = expected(reference, line, pair), tokenizer.encode(line, pair)
    for key in want:
        if want[key] != got[key]:
            return f"{line!r} {pair!r}: {key}: {got[key][:60]} instead of {want[key][:60]}"
    for skip in (False, True):
        text = tokenizer.decode(want["ids"], skip)
        should = reference.decode(want["ids"], skip_special_tokens=skip).encode()
        if text != should:
            return f"{line!r}: decoded: {text!r} instead of {should!r}"
    return None
