#!/usr/bin/env python3
"""Encoding by attn and by the `tokenizers` library, one thread, interleaved: ratios of their times.

    ATTN=build/attn python tools/bench/tokenizer_speed.py FILE... [--rounds N]

FILE: a tokenizer.json. Three kinds of text: plain ASCII lines, lines of many scripts (those of
tests/text/lines.py), one long text. The time of a call from Python is in both.
"""
import argparse
import os
import statistics
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/text"))

import tokenizers  # noqa: E402

import lines as hard  # noqa: E402
from attn_text import Tokenizer  # noqa: E402


def texts():
    """{name: list of lines as bytes}"""
    with open(os.path.join(ROOT, "README.md"), "rb") as file:
        plain = [line.strip() for line in file if len(line) > 40 and line.isascii()]
    return {"ASCII lines": plain * 5, "many scripts": [
        hard.text(line).encode() for line in hard.lines(1000, 3)], "one text": [b" ".join(plain) * 3]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{'file':28} {'text':14} {'attn MB/s':>10} {'tokenizers':>11} {'ratio':>7}")
    for path in options.files:
        ours, theirs = Tokenizer(path), tokenizers.Tokenizer.from_file(path)
        for tokenizer in (theirs,):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        for name, lines in texts().items():
            strings = [line.decode() for line in lines]
            size = sum(map(len, lines))
            times = [], []
            for _ in range(options.rounds):
                begin = time.perf_counter()
                for line in lines:
                    ours.time(line)
                middle = time.perf_counter()
                for line in strings:
                    theirs.encode(line)
                times[0].append(middle - begin)
                times[1].append(time.perf_counter() - middle)
            ratio = statistics.median(a / b for a, b in zip(*times))
            print(f"{os.path.basename(path):28} {name:14} {size / 1e6 / statistics.median(times[0]):10.2f} "
                  f"{size / 1e6 / statistics.median(times[1]):11.2f} {ratio:7.3f}")


if __name__ == "__main__":
    main()
