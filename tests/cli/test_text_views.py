"""attn explain and attn trace of a text: the page and the terminal."""

import base64
import json
import math
import os
import re
import subprocess
import tempfile
import unittest

ATTN = os.environ.get("ATTN", "build/attn")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SENTIMENT = os.path.join(ROOT, "models", "sentiment")
STORIES = os.path.join(ROOT, "models", "stories260k")


def attn(*arguments):
    done = subprocess.run([ATTN, *arguments], capture_output=True, timeout=120)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Views(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = os.path.join(folder.name, "out")

    def page(self, model, *arguments):
        status, out, err = attn("explain", model, *arguments, "--out", self.out)
        self.assertEqual(status, 0, err)
        path = os.path.join(self.out, "attention.html")
        self.assertEqual(out, path + "\n")
        with open(path, encoding="utf-8") as f:
            html = f.read()
        self.assertNotRegex(html, r'(src|href)\s*=|url\(|@import|https?:', "the page needs nothing else")
        found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
        return json.loads(found.group(1))

    def weights(self, data, layer):
        m = data["maps"][layer]
        n = len(data["tokens"])
        raw = base64.b64decode(m["weights"])
        self.assertEqual(len(raw), m["heads"] * n * n)
        return [[[(raw[(h * n + q) * n + k] / 255) ** 2 for k in range(n)] for q in range(n)]
                for h in range(m["heads"])]

    def test_classifier(self):
        text = "I loved <b>this</b> film."
        data = self.page(SENTIMENT, "--text", text)
        self.assertRegex(data["result"], r"^positive: [\d.]+ %$")
        self.assertEqual("".join(t.get("gap", "") + t.get("text", "") for t in data["tokens"]), text)
        self.assertEqual([t["piece"] for t in data["tokens"] if t["special"]], ["[CLS]", "[SEP]"])
        self.assertEqual(len(data["maps"]), 2)
        for layer in range(2):
            for head in self.weights(data, layer):
                for row in head:
                    self.assertLess(abs(sum(row) - 1), 0.03)

    def test_weights_are_those_of_the_model(self):
        text = "It was good."
        data = self.page(SENTIMENT, "--text", text)
        ids = json.dumps([t["id"] for t in data["tokens"]])
        status, out, err = attn("trace", SENTIMENT, "input_ids=" + ids, "--json")
        self.assertEqual(status, 0, err)
        # The terminal's words for the last query: the mean over the heads, to three digits.
        status, out, err = attn("trace", SENTIMENT, "--text", text)
        self.assertEqual(status, 0, err)
        said = re.findall(r'"\[SEP\]" attends to "([^"]*)" \(([\d.e-]+)\)', out)
        self.assertEqual(len(said), 2)
        pieces = [t["piece"] for t in data["tokens"]]
        for layer, (piece, weight) in enumerate(said):
            heads = self.weights(data, layer)
            mean = [sum(h[-1][k] for h in heads) / len(heads) for k in range(len(pieces))]
            best = max(mean)
            self.assertLess(abs(best - float(weight)), 0.02)
            self.assertLess(best - mean[pieces.index(piece)], 0.02)

    def test_language_model_sees_nothing_ahead(self):
        data = self.page(STORIES, "--text", "Once upon a time")
        self.assertNotIn("positive", data.get("result", ""))
        n = len(data["tokens"])
        for layer in range(len(data["maps"])):
            for head in self.weights(data, layer):
                for q in range(n):
                    self.assertEqual(sum(head[q][q + 1:]), 0)
                    self.assertTrue(math.isclose(sum(head[q]), 1, abs_tol=0.03))

    def test_any_bytes(self):
        done = subprocess.run([ATTN, "explain", SENTIMENT, "--text", b"good \xff\x1b[31m </script> \xe2\x82",
                               "--out", self.out], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.out, "attention.html"), encoding="utf-8") as f:
            html = f.read()
        self.assertEqual(html.count("</script>"), 2)
        self.assertNotIn("\x1b", html)
        status, out, err = attn("trace", SENTIMENT, "--text", "good \x1b[31m film")
        self.assertEqual(status, 0, err)
        self.assertNotIn("\x1b", out)

    def test_refused(self):
        for arguments, status, says in [
                ((SENTIMENT, "--pair", "x", "y"), 2, "--pair goes with --text"),
                ((SENTIMENT, "more", "--text", "x"), 2, "a model alone is needed"),
                ((os.path.join(ROOT, "models", "cifar10_cct"), "--text", "x"), 1, "tokenizer"),
                ((SENTIMENT, "--text", "film " * 700), 1, '"seq" is at most 128'),
                ((SENTIMENT, "--text", "one", "--pair", "two"), 1, "token_type_ids"),
        ]:
            got, out, err = attn("explain", *arguments, "--out", self.out)
            self.assertEqual((got, out), (status, ""), err)
            self.assertIn(says, err)
            self.assertEqual(len(err.splitlines()), 1 if status == 1 else 2, err)


if __name__ == "__main__":
    unittest.main()
