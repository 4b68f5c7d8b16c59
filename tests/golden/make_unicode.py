#!/usr/bin/env python3
"""Writes runtime/inputs/tokenizer/unicode_tables.def, script_tables.def and pattern_new.def: what the
`tokenizers` library takes each character for. The library's parts follow different versions of Unicode (its categories are older
than its \\w), so its behaviour is asked for, character by character.

    python tests/golden/make_unicode.py
"""

import os
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "runtime/inputs/tokenizer")
FLAGS = ["SPACE", "PUNCTUATION", "CONTROL", "NONSPACING", "MARK", "NUMBER", "WORD", "DECOMPOSES",
         "CLASS", "SECOND"]


def properties():
    """{code point: flags}"""
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False,
                                       strip_accents=False, lowercase=False)
    accents = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False,
                                         strip_accents=True, lowercase=False)
    nfd, nfc, nfkd = normalizers.NFD(), normalizers.NFC(), normalizers.NFKD()
    marks = normalizers.StripAccents()
    space = pre_tokenizers.WhitespaceSplit()
    punctuation = pre_tokenizers.Punctuation("isolated")
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.Whitespace()

    result = {}
    seconds = set()
    for code in range(0x110000):
        if 0xd800 <= code <= 0xdfff:
            continue
        c = chr(code)
        changed = nfkd.normalize_str(c) != c
        ordered = unicodedata.combining(c) != 0 and not changed and (
            nfd.normalize_str("x\u035d" + c) != "x\u035d" + c
            or nfd.normalize_str("x" + c + "\u0334") != "x" + c + "\u0334"
            or unicodedata.combining(c) in (1, 234))
        parts = unicodedata.decomposition(c).split()
        if len(parts) == 2 and "<" not in parts[0] and nfc.normalize_str(c) == c and changed:
            seconds.add(int(parts[1], 16))
        found = [
            len(space.pre_tokenize_str("a" + c + "a")) == 2,
            len(punctuation.pre_tokenize_str("a" + c)) == 2,
            clean.normalize_str("a" + c + "b") == "ab",
            accents.normalize_str("a" + c) == "a",
            marks.normalize_str("a" + c) == "a",
            len(digits.pre_tokenize_str("a" + c)) == 2,
            len(words.pre_tokenize_str("a" + c + "a")) == 1,
            changed,
            ordered,
        ]
        flags = sum(bit << i for i, bit in enumerate(found))
        if flags:
            result[code] = flags
    # A Hangul vowel or final consonant composes with the syllable before it, by arithmetic.
    for code in [*seconds, *range(0x1161, 0x1176), *range(0x11a8, 0x11c3)]:
        result[code] = result.get(code, 0) | 1 << FLAGS.index("SECOND")
    return result


def scripts():
    """{code point: number of its script}; none for those that go with any script."""
    split = pre_tokenizers.UnicodeScripts()

    def together(a, b):
        return len(split.pre_tokenize_str(a + b)) == 1

    result, known = {}, []
    for code in range(0x110000):
        c = chr(code)
        if 0xd800 <= code <= 0xdfff or (together("a", c) and together("\u03b1", c)):
            continue
        before = result.get(code - 1)
        if before is not None and together(chr(code - 1), c):
            result[code] = before
            continue
        found = [number for number, other in enumerate(known) if together(other, c)]
        if not found:
            found = [len(known)]
            known.append(c)
        result[code] = found[0]
    return result


def new_in_patterns():
    """{property: ranges}: what Oniguruma's \\p{...} matches beyond Unicode 14, PCRE2 10.42's."""
    assert unicodedata.unidata_version == "14.0.0", "Python 3.11 is needed"
    every = "".join(chr(code) for code in range(0x110000) if not 0xd800 <= code <= 0xdfff)
    result = {}
    for name in ("L", "M", "N", "P", "S", "Lu", "Ll", "Lo", "Mn", "Mc", "Nd", "No", "So"):
        split = pre_tokenizers.Split(Regex("\\p{%s}+" % name), "removed", invert=True)
        found = (ord(c) for part, _ in split.pre_tokenize_str(every) for c in part)
        new = sorted(code for code in found if not unicodedata.category(chr(code)).startswith(name))
        result[name] = ranges_of({code: 0 for code in new})
    return result


def write_patterns(new):
    with open(os.path.join(FOLDER, "pattern_new.def"), "w", encoding="ascii") as out:
        out.write(f"/* Written by tests/golden/make_unicode.py from tokenizers {tokenizers.__version__}: what "
                  "\\p{...} holds\n * beyond Unicode 14. */\n")
        for name, ranges in new.items():
            out.write(f'{{"{name}",\n')
            for first, last, _ in ranges:
                text = f"\\\\x{{{first:x}}}" + (f"-\\\\x{{{last:x}}}" if last > first else "")
                out.write(f' "{text}"\n')
            out.write(' ""},\n')


def ranges_of(table):
    ranges = []
    for code, value in sorted(table.items()):
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, value])
    return ranges


def write(name, what, table):
    ranges = ranges_of(table)
    with open(os.path.join(FOLDER, name), "w", encoding="ascii") as out:
        out.write(f"/* Written by tests/golden/make_unicode.py from tokenizers {tokenizers.__version__}: "
                  f"first, last,\n * {what}. */\n")
        line = ""
        for first, last, value in ranges:
            entry = f"{{{first:#x},{last:#x},{value}}},"
            if len(line) + len(entry) > 98:
                out.write(line + "\n")
                line = ""
            line += entry
        out.write(line + "\n")
    print(f"{name}: {len(ranges)} ranges")


FLAT = 0x20000  # ATTN_UNICODE_FLAT


def macro(name, entries):
    """#define name entries"""
    lines, line = [f"#define {name}"], "   "
    for entry in entries:
        if len(line) + len(entry) > 94:
            lines.append(line)
            line = "   "
        line += " " + entry + ","
    return " \\\n".join([*lines, line]) + "\n"


def write_properties(table):
    """Below FLAT three numbers per range: how many characters lie before it, and how many it has more
    than one, in groups of 7 bits, the lowest first, all but the last with bit 7; the index of its
    flags."""
    ranges = ranges_of(table)
    flags = sorted({value for _, _, value in ranges})
    low, high, end = [], [], 0
    for first, last, value in ranges:
        if first >= FLAT:
            high.append(f"{{{first:#x},{last:#x},{value}}}")
            continue
        assert last < FLAT
        for number in (first - end, last - first):
            while number >= 128:
                low.append(str(number % 128 + 128))
                number //= 128
            low.append(str(number))
        low.append(str(flags.index(value)))
        end = last + 1
    with open(os.path.join(FOLDER, "unicode_tables.def"), "w", encoding="ascii") as out:
        out.write(f"/* Written by tests/golden/make_unicode.py from tokenizers {tokenizers.__version__}: "
                  "the bits of unicode.h\n * that occur; below ATTN_UNICODE_FLAT, per range, the gap before "
                  "it and its length - 1,\n * 7 bits a byte, and the index of its bits; from there on "
                  "first, last, bits. */\n")
        out.write(macro("UNICODE_FLAGS", map(str, flags)))
        out.write(macro("UNICODE_LOW", low))
        out.write(macro("UNICODE_HIGH", high))
    print(f"unicode_tables.def: {len(ranges)} ranges")


def main():
    write_patterns(new_in_patterns())
    write("script_tables.def", "the number of the script", scripts())
    write_properties(properties())


if __name__ == "__main__":
    main()
