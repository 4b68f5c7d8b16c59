"""attn read: texts, JSON, the picture of what each character was read from. ATTN names the binary."""

import json
import os
import struct
import sys
import unittest

from test_cli import ATTN, EXAMPLE, Case, attn

# The pixels' means over 2 x 2 are eight tokens of three channels; four of them, by attention over all,
# are the rows: the channel that is brightest is the character.
MODEL = {
    "format": "attn/1",
    "name": "colours",
    "inputs": {"pixels": {"kind": "image", "shape": [3, 4, 8],
                          "image": {"resize": "nearest", "scale": "1 / 16"}}},
    "graph": [
        {"layer": "pool2d", "in": "pixels", "out": "grid", "kind": "mean", "kernel": 2},
        {"layer": "reshape", "in": "grid", "out": "flat", "shape": [3, 8]},
        {"layer": "transpose", "in": "flat", "out": "tokens"},
        {"layer": "slice", "in": "tokens", "out": "queries", "axis": 0, "end": 4},
        {"layer": "attention", "in": ["queries", "tokens", "tokens"], "out": "rows"},
    ],
    "outputs": {"text": {"kind": "ctc", "value": "rows", "keys": ["é", "<x>"], "blank": 2}},
}
RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def photo(*columns):
    """Eight columns and four rows in pairs of one colour; the lower half is grey."""
    upper = b"".join(bytes(c) * 2 for c in columns)
    return b"P6\n8 4\n255\n" + upper * 2 + bytes(GREY) * 16


class Read(Case):
    def setUp(self):
        super().setUp()
        self.path("m/attn.json", json.dumps(MODEL))
        self.model = self.path("m")
        self.photo = self.path("photo.ppm", photo(RED, GREEN, BLUE, RED))

    def test_text(self):
        self.assertEqual(self.good("read", self.model, self.photo),
                         self.photo + "\n  100.00 %  é<x>é\n")
        same = self.path("same.ppm", photo(RED, RED, BLUE, BLUE))
        blank = self.path("blank.ppm", photo(BLUE, BLUE, BLUE, BLUE))
        self.assertEqual(self.good("read", self.model, same, blank),
                         f"{same}\n  100.00 %  é\n{blank}\n    0.00 %  \n")

    def test_json(self):
        out = json.loads(self.good("read", self.model, self.photo, "--json"))
        self.assertEqual(out["model"], "colours")
        [result] = out["results"]
        self.assertEqual((result["input"], result["text"]), (self.photo, "é<x>é"))
        self.assertEqual([(c["text"], c["row"]) for c in result["characters"]],
                         [("é", 0), ("<x>", 1), ("é", 3)])
        mean = sum(c["probability"] for c in result["characters"]) / 3
        self.assertAlmostEqual(result["confidence"], mean, places=6)

    def test_bad_one(self):
        broken = self.path("broken.png", "no image")
        status, out, err = attn("read", self.model, self.photo, broken, self.photo)
        self.assertEqual((status, out.count("é<x>é"), len(err.splitlines())), (1, 2, 1))
        self.assertIn("broken.png", err)
        status, out, err = attn("read", self.model, broken, self.photo, "--json")
        results = json.loads(out)["results"]
        self.assertEqual((status, ["text" in r for r in results]), (1, [False, True]))

    def test_heatmap(self):
        out = self.path("heat.png")
        status, text, err = attn("read", self.model, self.photo, "--heatmap", out)
        self.assertEqual((status, err), (0, f"attn: wrote {out}\n"))
        with open(out, "rb") as file:
            data = file.read()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        self.assertTrue(400 < width < 1100 and 300 < height < 1000, (width, height))
        blank = self.path("blank.ppm", photo(BLUE, BLUE, BLUE, BLUE))
        self.good("read", self.model, blank, "--heatmap", out, "--quiet")

    def test_heatmap_refused(self):
        """Where no attention has a query for each row, nothing is drawn."""
        model = json.loads(json.dumps(MODEL))
        model["graph"].insert(4, {"layer": "slice", "in": "tokens", "out": "three", "axis": 0, "end": 3})
        model["graph"][5] = {"layer": "attention", "in": ["three", "tokens", "tokens"], "out": "seen"}
        model["graph"].append({"layer": "concat", "in": ["seen", "three"], "out": "rows", "axis": 0})
        self.path("m/attn.json", json.dumps(model))
        out = self.path("heat.png")
        self.bad("read", self.model, self.photo, "--heatmap", out, says="no attention of 6 queries")
        self.assertFalse(os.path.exists(out))

    def test_refused(self):
        self.usage("read", self.model, says="a model and at least one image are needed")
        self.usage("read", self.model, self.photo, self.photo, "--heatmap", "x.png",
                   says="--heatmap takes one image")
        self.bad("read", EXAMPLE, self.photo, says="has no output of kind slots or ctc")


if __name__ == "__main__":
    if not os.path.exists(ATTN):
        sys.exit("no binary at %s: set ATTN" % ATTN)
    unittest.main()
