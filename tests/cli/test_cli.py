"""The command line as scripts see it: exit statuses, messages, JSON. ATTN names the binary."""

import ast
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

ATTN = os.environ.get("ATTN", "build/attn")
EXAMPLE = "models/worked_example"
INPUTS = ["V=[[1,2],[3,4],[5,6]]", "q=[[1,2]]"]
COMMANDS = ["classify", "run", "trace", "explain", "describe", "inspect", "check", "bench", "pack", "answer", "embed", "fill", "read"]


def attn(*arguments, stdout=subprocess.PIPE):
    done = subprocess.run([ATTN, *arguments], stdout=stdout, stderr=subprocess.PIPE, timeout=120)
    out = (done.stdout or b"").decode()
    return done.returncode, out, done.stderr.decode()


def tensors(values):
    """safetensors bytes of {name: (shape, [float, ...])}."""
    header, data = {}, b""
    for name, (shape, numbers) in values.items():
        start = len(data)
        data += struct.pack("<%df" % len(numbers), *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def npy(shape, numbers):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
            + struct.pack("<%df" % len(numbers), *numbers))


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    count = (len(data) - 10 - size) // 4
    return header, struct.unpack("<%df" % count, data[10 + size:])


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name, data=None):
        path = os.path.join(self.folder.name, name)
        if data is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def good(self, *arguments):
        status, out, err = attn(*arguments)
        self.assertEqual((status, err), (0, ""), arguments)
        return out

    def bad(self, *arguments, says, status=1, lines=1):
        got, out, err = attn(*arguments)
        self.assertEqual(got, status, (arguments, out, err))
        self.assertEqual(len(err.splitlines()), lines, err)
        self.assertTrue(err.startswith("attn"), err)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, err)
        return out

    def usage(self, *arguments, says):
        out = self.bad(*arguments, says=[says, "\nusage: attn %s MODEL" % arguments[0]], status=2,
                       lines=2)
        self.assertEqual(out, "")


class Usage(Case):
    def test_help(self):
        for text in ["--help", "-h", "help"]:
            out = self.good(text)
            for command in COMMANDS:
                self.assertIn("\n  " + command + " ", out)
        for command in COMMANDS:
            for text in ["--help", "-h"]:
                self.assertTrue(self.good(command, text).startswith("usage: attn %s MODEL" % command))
        self.assertRegex(self.good("--version"), r"^attn \d+\.\d+\.\d+\n$")

    def test_none(self):
        status, out, err = attn()
        self.assertEqual((status, out), (2, ""))
        self.assertIn("usage: attn COMMAND", err)

    def test_wrong(self):
        self.bad("clasify", says='there is no command "clasify"', status=2)
        for command in COMMANDS:
            self.usage(command, says="needed")
            self.usage(command, EXAMPLE, "--colour", says="there is no option --colour")
            for threads in ["0", "257", "-1", "two", "1.5", ""]:
                self.usage(command, EXAMPLE, "--threads", threads, says="--threads takes a number")
            for size in ["0", "x", "5T", "-5M", "99999999999999999999", "1KM"]:
                self.usage(command, EXAMPLE, "--max-mem", size, says="--max-mem takes a size")
            self.usage(command, EXAMPLE, "--threads", says="--threads takes a number")
            self.usage(command, EXAMPLE, "--dtype", "int7", says="--dtype takes f32, bf16, f16, int8 "
                       "or int4, not int7")
            self.usage(command, EXAMPLE, "--dtype", says="not nothing")
        for command in ["describe", "inspect", "check", "bench", "run", "pack"]:
            self.usage(command, EXAMPLE, "another", says="one model is needed, found 2")
        self.usage("pack", EXAMPLE, says="-o FOLDER or --panels is needed")
        self.usage("pack", EXAMPLE, "-o", "x", says="with -o, --dtype is needed")
        self.usage("classify", EXAMPLE, "a.png", "--top", "0", says="--top takes a number from 1")
        self.usage("classify", EXAMPLE, "a.png", "--top", says="--top needs a value")
        self.usage("classify", EXAMPLE, "a", "b", "--heatmap", "x.png", says="takes one image")
        self.usage("explain", EXAMPLE, *INPUTS, says="--out FOLDER is needed")
        self.usage("trace", EXAMPLE, *INPUTS, "--tolerance", "x", says="--tolerance takes a number")
        self.usage("bench", EXAMPLE, "--runs", "0", says="--runs takes a number from 1")
        self.usage("run", EXAMPLE, "--in", says="--in needs a value")


class Models(Case):
    def test_missing(self):
        for command in ["describe", "inspect", "check", "bench", "run"]:
            self.bad(command, "no/such/folder", says="no/such/folder: No such file")
            self.bad(command, self.folder.name, says="neither attn.json nor config.json is here")
        self.bad("trace", "no/such", "x=1", says="no/such")
        self.bad("classify", "no/such", "x.png", says="no/such")
        self.bad("explain", "no/such", "x=1", "--out", self.path("o"), says="no/such")

    def test_malformed(self):
        self.path("attn.json", '{"format": "attn/1", "name": "x", "grpah": []}')
        for command in ["inspect", "check", "bench"]:
            self.bad(command, self.folder.name, says='attn.json: unknown key "grpah"')
        self.assertIn("grpah", self.good("describe", self.folder.name))
        self.path("attn.json", "{")
        self.bad("describe", self.folder.name, says="attn.json: line 1: not valid JSON")

    def test_photos_of_another_size(self):
        """check compares what every photo becomes with the model's input."""
        self.path("attn.json", json.dumps({
            "format": "attn/1", "name": "x",
            "inputs": {"pixels": {"kind": "image", "shape": [3, 8, 8]}},
            "graph": [{"layer": "relu", "in": "pixels", "out": "y"}], "outputs": {"y": {}}}))
        for size, crop in ((8, False), (10, False), ({"shortest_edge": 9}, True)):
            self.path("preprocessor_config.json", json.dumps({
                "image_processor_type": "CLIPImageProcessor" if crop else "ViTImageProcessor",
                "size": size if crop else {"height": size, "width": size},
                "do_center_crop": crop, "crop_size": {"height": 9, "width": 9}}))
            if size == 8:
                self.assertIn("ok", self.good("check", self.folder.name))
            else:
                self.bad("check", self.folder.name,
                         says=["preprocessor_config.json makes [3, ", 'of input "pixels" is 8'])

    def test_no_classes(self):
        self.bad("classify", EXAMPLE, "x.png", says="has no output of kind classes")


class Example(Case):
    def test_describe(self):
        text = self.good("describe", EXAMPLE)
        with open(EXAMPLE + "/attn.json", encoding="utf-8") as file:
            self.assertEqual(text, file.read())
        self.path("copy.json", text)
        self.assertIn("ok, 4 layers", self.good("check", self.path("copy.json")))

    def test_inspect(self):
        text = self.good("inspect", EXAMPLE)
        for part in ["model        worked example", "input        V f32 [3, 2]",
                     "input        q f32 [1, 2]", "output       weights", "score", "arena "]:
            self.assertIn(part, text)
        root = json.loads(self.good("inspect", EXAMPLE, "--json"))
        self.assertEqual(root["model"], "worked example")
        self.assertEqual([s["layer"] for s in root["steps"]], [s["layer"] for s in root["steps"]])
        self.assertEqual(root["unused"], [])
        self.assertLessEqual({"description", "tensors", "parameters", "model_bytes", "arena_bytes",
                              "multiply_adds", "steps", "unused"}, set(root))
        for step in root["steps"]:
            self.assertEqual(set(step), {"node", "layer", "shape", "multiply_adds"})

    def test_check(self):
        self.assertEqual(self.good("check", EXAMPLE), EXAMPLE + ": ok, 4 layers\n")
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "inputs": {"x": {"shape": [2]}},
            "graph": [{"layer": "linear", "in": "x", "out": "y", "weight": "a"}],
            "outputs": {"y": {}}}))
        self.path("m/model.safetensors", tensors({
            "a.weight": ([1, 2], [1, 2]), "a.bias": ([1], [3]), "pooler": ([2], [0, 0])}))
        out = self.good("check", self.path("m"))
        self.assertIn("unused       pooler f32 [2]", out)
        self.assertEqual(json.loads(self.good("check", self.path("m"), "--json"))["unused"], ["pooler"])
        self.assertEqual(json.loads(self.good("run", self.path("m"), "--in", "[5,7]", "--json"))
                         ["outputs"]["y"], {"dtype": "f32", "shape": [1], "data": [22]})

    def test_trace(self):
        text = self.good("trace", EXAMPLE, *INPUTS)
        lines = [line.split() for line in text.splitlines() if " us " in line]
        steps = [line[:2] for line in lines if line[0] != "-"]
        self.assertEqual(steps, [["2", "score"], ["3", "normalize"], ["4", "select"]])
        self.assertIn("= 5 11 17", text)
        self.assertIn("query 0 attends to key 2 (0.998)", text)
        self.assertIn("4.99503 5.99503", text)
        root = json.loads(self.good("trace", EXAMPLE, *INPUTS, "--json"))
        self.assertEqual(root["model"], "worked example")
        self.assertEqual([s["layer"] for s in root["steps"]], ["score", "normalize", "select", "reshape"])
        for step in root["steps"]:
            self.assertLessEqual({"node", "layer", "step", "shape", "microseconds"}, set(step))
        self.assertEqual(json.loads(self.good("trace", EXAMPLE, *INPUTS, "--at", "score")),
                         [[[5, 11, 17]]])
        self.bad("trace", EXAMPLE, *INPUTS, "--at", "scores9", says='has no layer named "scores9"')

    def test_compare(self):
        same = self.path("same.safetensors", tensors({"score": ([1, 1, 3], [5, 11, 17])}))
        self.assertIn("1 layers compared, 0 differ",
                      self.good("trace", EXAMPLE, *INPUTS, "--compare", same))
        other = self.path("other.safetensors", tensors({
            "score": ([1, 1, 3], [5, 11, 17]), "select": ([1, 2], [4.99503, 6])}))
        status, out, err = attn("trace", EXAMPLE, *INPUTS, "--compare", other)
        self.assertEqual((status, err), (1, ""))
        self.assertIn("2 layers compared, 1 differ", out)
        self.assertIn("the first layer that differs is select (select): element 1 is 5.995", out)
        self.assertIn("compared, 0 differ",
                      self.good("trace", EXAMPLE, *INPUTS, "--compare", other, "--tolerance", "0.01"))
        nan = self.path("nan.safetensors", tensors({"score": ([1, 1, 3], [5, float("nan"), 17])}))
        self.assertEqual(attn("trace", EXAMPLE, *INPUTS, "--compare", nan)[0], 1)
        infinite = self.path("infinite.safetensors", tensors({"score": ([1, 1, 3], [5, float("inf"), 18])}))
        status, out, err = attn("trace", EXAMPLE, *INPUTS, "--compare", infinite)
        self.assertEqual((status, err), (1, ""))
        self.assertIn("element 1 is 11, the reference inf", out)
        wrong = self.path("wrong.safetensors", tensors({"score": ([4], [5, 11, 17, 0])}))
        self.bad("trace", EXAMPLE, *INPUTS, "--compare", wrong, says='"score" has shape [4]')
        empty = self.path("empty.safetensors", tensors({"other": ([1], [0])}))
        self.bad("trace", EXAMPLE, *INPUTS, "--compare", empty, says="no tensor has the name of a layer")
        self.bad("trace", EXAMPLE, *INPUTS, "--compare", "no.safetensors", says="no.safetensors: No such")

    def test_compare_masked(self):
        """Masked scores are -infinity on both sides; they hide no difference of the others."""
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "inputs": {"x": {"shape": [2, 1]}},
            "graph": [{"layer": "score", "in": ["x", "x"], "out": "s", "kind": "dot", "causal": True}],
            "outputs": {"s": {}}}))
        for last, differing in ((4, 0), (5, 1)):
            dump = self.path("s.safetensors", tensors({"score": ([1, 2, 2], [1, -float("inf"), 2, last])}))
            status, out, err = attn("trace", self.path("m"), "[[1],[2]]", "--compare", dump)
            self.assertEqual((status, err), (differing, ""))
            self.assertIn("1 layers compared, %d differ" % differing, out)

    def test_integers(self):
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "inputs": {"x": {"shape": [2], "dtype": "i32"}},
            "graph": [{"layer": "reshape", "in": "x", "out": "y", "shape": [2, 1]}], "outputs": {"y": {}}}))
        text = self.good("run", self.path("m"), "--in", "[-2147483648,2147483647]", "--json")
        self.assertEqual(json.loads(text)["outputs"]["y"]["data"], [[-2147483648], [2147483647]])
        for number in ["0.5", "2147483648", "-2147483649", "1e300"]:
            self.bad("run", self.path("m"), "--in", "[1,%s]" % number, says="element 1 is no 32-bit integer")

    def test_run(self):
        inputs = [text for pair in INPUTS for text in ("--in", pair)]
        text = self.good("run", EXAMPLE, *inputs)
        self.assertIn("4.99", text)
        root = json.loads(self.good("run", EXAMPLE, *inputs, "--json"))
        self.assertEqual(set(root), {"model", "outputs"})
        self.assertAlmostEqual(root["outputs"]["output"]["data"][0][1], 5.99503, places=4)
        self.assertAlmostEqual(sum(root["outputs"]["weights"]["data"][0]), 1, places=6)
        out = self.path("out.npy")
        attn("run", EXAMPLE, *inputs, "--out", "output=" + out)
        header, values = read_npy(out)
        self.assertEqual((header["descr"], header["shape"]), ("<f4", (1, 2)))
        self.assertAlmostEqual(values[0], 4.99503, places=4)

    def test_files(self):
        """.npy inputs, also with "=" in their names; what is missing or does not fit."""
        value = self.path("v=3.npy", npy([3, 2], [1, 2, 3, 4, 5, 6]))
        query = self.path("a=b=q.npy", npy([1, 2], [1, 2]))
        root = json.loads(self.good("run", EXAMPLE, "--in", "V=" + value, "--in", "q=" + query, "--json"))
        self.assertAlmostEqual(root["outputs"]["output"]["data"][0][1], 5.99503, places=4)
        q = ["--in", "q=[[1,2]]"]
        self.bad("run", EXAMPLE, *q, says='input "V" is not set')
        self.bad("run", EXAMPLE, *q, "--in", "V=none.npy", says="none.npy: No such file")
        self.bad("run", EXAMPLE, *q, "--in", "W=" + value, says='v=3.npy" names no input of model')
        self.bad("run", EXAMPLE, *q, "--in", "V=" + self.path("t.npy", "text"), says="t.npy")
        self.bad("run", EXAMPLE, *q, "--in", "V=" + self.path("s.npy", npy([2, 2], [1, 2, 3, 4])),
                 says=['input "V": shape [2, 2], expected 3 at dimension 0'])
        self.bad("run", EXAMPLE, *q, "--in", "V=[[1,2],[3]]", says="not all of one length")
        self.bad("run", EXAMPLE, *q, "--in", "V=[[1,2],[3,4],[5,'a']]", says="not valid JSON")
        self.bad("run", EXAMPLE, *q, "--in", 'V=[[1,2],[3,4],[5,"a"]]', says="element 5 is no number")
        self.bad("run", EXAMPLE, *q, "--in", "V=[]", says="an empty list")
        good = ["run", EXAMPLE, *q, "--in", "V=" + value]
        self.bad(*good, "--out", "output=" + self.path("no/such/out.npy"), says="out.npy: No such file")
        self.bad(*good, "--out", "none=" + self.path("x.npy"), says='has no output "none"')
        if os.path.exists("/dev/full"):
            self.bad(*good, "--out", "output=/dev/full", says="/dev/full: No space left")
            with open("/dev/full", "wb") as full:
                status, _, err = attn(*good, "--json", stdout=full)
            self.assertEqual(status, 1)
            self.assertIn("standard output", err)

    def test_memory(self):
        self.bad("run", EXAMPLE, "--in", INPUTS[0], "--max-mem", "10K",
                 says=["bytes", "more than the memory limit of 10240"])
        self.bad("check", EXAMPLE, "--max-mem", "1K", says="the memory limit of 1024")
        self.good("check", EXAMPLE, "--max-mem", "64M")

    def test_bench(self):
        root = json.loads(self.good("bench", EXAMPLE, "--runs", "3", "--threads", "1", "--json"))
        self.assertEqual((root["model"], root["runs"], root["threads"]), ("worked example", 3, 1))
        for key in ["kernels", "median_ms", "p95_ms", "min_ms", "max_ms", "gflop", "gflops",
                    "share_of_peak", "arena_bytes", "session_bytes", "model_bytes", "resident_bytes"]:
            self.assertIn(key, root)
        self.assertLessEqual(root["min_ms"], root["median_ms"])
        self.assertGreater(root["peak_gflops"]["f32"], 0)
        self.assertAlmostEqual(root["gflop"], 24e-9)  # 3 keys of 2 columns: scores, then the sum
        root = json.loads(self.good("bench", EXAMPLE, "--runs", "2", "--profile", "--json"))
        self.assertEqual([s["layer"] for s in root["steps"]], ["score", "normalize", "select", "reshape"])
        self.assertEqual({s["layer"] for s in root["layers"]}, {"score", "normalize", "select", "reshape"})
        self.assertEqual(sum(s["steps"] for s in root["layers"]), 4)
        text = self.good("bench", EXAMPLE, "--runs", "2", "--profile")
        self.assertIn("median", text)
        self.assertIn("GFLOP/s", text)
        self.bad("bench", EXAMPLE, "--input", "V=2xx", says='"x" is no shape')
        self.bad("bench", EXAMPLE, "--input", "V=2x2", says='input "V": shape [2, 2]')

    def test_open_dimensions(self):
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "symbols": {"s": {"max": 8}},
            "inputs": {"x": {"shape": ["s"]}},
            "graph": [{"layer": "relu", "in": "x", "out": "y"}], "outputs": {"y": {}}}))
        model = self.path("m")
        self.bad("bench", model, says='open dimension "s"')
        self.good("bench", model, "--input", "x=4", "--runs", "1")
        self.bad("bench", model, "--input", "x=9", says='"s" is at most 8')
        self.assertIn("[s]", self.good("inspect", model))
        self.assertEqual(json.loads(self.good("run", model, "--in", "[-1,2]", "--json"))["outputs"]["y"]["data"],
                         [0, 2])

    def test_defaults(self):
        """What is not given is the default; the one that has none needs no name."""
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "symbols": {"s": {}},
            "inputs": {"scale": {"shape": ["s"], "default": 2}, "x": {"shape": ["s"]}},
            "graph": [{"layer": "mul", "in": ["x", "scale"], "out": "y"}], "outputs": {"y": {}}}))
        model = self.path("m")

        def run(*inputs):
            given = [word for value in inputs for word in ("--in", value)]
            return json.loads(self.good("run", model, *given, "--json"))["outputs"]["y"]["data"]

        self.assertEqual(run("[3,4]"), [6, 8])
        self.assertEqual(run("x=[[3,4],[5,6]]"), [[6, 8], [10, 12]])
        self.assertEqual(run("[3,4]", "scale=[[1,10],[0,-1]]"), [[3, 40], [0, -4]])
        self.bad("run", model, "--in", "scale=[1]", says='input "x" is not set')
        self.assertIn("[s], default 2", self.good("inspect", model))
        self.assertIn("= 2 2   scale", self.good("trace", model, "[3,4]"))
        self.good("bench", model, "--input", "x=4", "--runs", "1")
        self.good("bench", model, "--input", "x=4", "--input", "scale=5x4", "--runs", "1")
        self.bad("bench", model, "--input", "scale=4", says='input "x" has the open dimension "s"')

    def test_explain(self):
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "m", "inputs": {"x": {"shape": [4, 6]}},
            "graph": [{"layer": "attention", "in": ["x", "x", "x"], "out": "y", "heads": 2}],
            "outputs": {"y": {}}}))
        model, out = self.path("m"), self.path("maps")
        value = "x=" + self.path("x.npy", npy([4, 6], [i % 5 - 2 for i in range(24)]))
        files = self.good("explain", model, value, "--out", out).split("\n")[:-1]
        self.assertTrue(files)
        for name in files:
            with open(name, "rb") as file:
                self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")
        root = json.loads(self.good("explain", model, value, "--out", out, "--json"))
        self.assertEqual((root["model"], root["files"]), ("m", files))
        self.bad("explain", model, value, "--out", self.path("no/such/maps"), says="No such file")


class Pack(Case):
    """The bundled model in every precision: in memory, packed, and with kept panels."""

    MODEL = "models/cifar10_cct"
    PHOTO = "models/samples/cat.png"
    TYPES = ["f32", "bf16", "f16", "int8", "int4"]

    def classify(self, *arguments):
        return json.loads(self.good("classify", *arguments, self.PHOTO, "--json", "--top", "10"))

    def copy_model(self):
        for name in os.listdir(self.MODEL):
            if name.endswith((".json", ".safetensors")):
                with open(os.path.join(self.MODEL, name), "rb") as file:
                    self.path("m/" + name, file.read())
        return self.path("m")

    def test_folders(self):
        exact = self.classify(self.MODEL)
        self.assertEqual(self.classify(self.MODEL, "--dtype", "f32"), exact)
        for dtype in self.TYPES:
            folder = self.path(dtype)
            root = json.loads(self.good("pack", self.MODEL, "--dtype", dtype, "-o", folder, "--json"))
            self.assertEqual((root["file"], root["dtype"]), (folder + "/model.safetensors", dtype))
            self.assertEqual(root["bytes"], os.path.getsize(root["file"]))
            self.assertGreater(root["packed"], 5)
            packed = self.classify(folder)
            self.assertEqual(packed, self.classify(self.MODEL, "--dtype", dtype))
            self.assertEqual(packed == exact, dtype == "f32")
            self.assertEqual(packed["results"][0]["top"][0]["label"], "cat")
            self.assertIn("ok", self.good("check", folder))
            weights = {w["name"]: w for w in
                       json.loads(self.good("inspect", folder, "--json"))["weights"]}
            head, bias = weights["head.weight"], weights["head.bias"]
            self.assertEqual((head["file"], head["memory"], head["panels"]), (dtype, dtype, True))
            self.assertEqual((bias["file"], bias["memory"], bias["panels"]), ("f32", "f32", False))
            self.assertEqual(json.loads(self.good("inspect", folder, "--json"))["unused"], [])
            self.assertRegex(self.good("inspect", folder), r"\[10, 128\] +%s +%s panels" % (dtype, dtype))
            self.bad("pack", self.MODEL, "--dtype", dtype, "-o", folder, says="is there already")
        self.assertEqual(sorted(os.listdir(self.folder.name)), sorted(self.TYPES))

    def test_sizes(self):
        """What --max-mem refuses in f32 is small enough in int8."""
        sizes = {}
        for dtype in self.TYPES:
            root = json.loads(self.good("inspect", self.MODEL, "--dtype", dtype, "--json"))
            sizes[dtype] = root["model_bytes"]
        self.assertGreater(sizes["f32"], sizes["bf16"])
        self.assertEqual(sizes["f16"], sizes["bf16"])
        self.assertGreater(sizes["f16"], sizes["int8"])
        self.assertGreater(sizes["int8"], sizes["int4"])
        limit = ["check", self.MODEL, "--max-mem", str(sizes["int8"] + 1000000)]
        self.bad(*limit, says=["the arena of activations needs", " of the model", "the memory limit of"])
        self.good(*limit, "--dtype", "int8")

    def test_panels(self):
        model = self.copy_model()
        for dtype in [[], ["--dtype", "int8"]]:
            expected = self.classify(model, *dtype)
            first, again = (json.loads(self.good("pack", model, "--panels", *dtype, "--json"))
                            for _ in range(2))
            self.assertEqual((first["written"], again["written"]), (True, False))
            self.assertEqual(first["panels"], again["panels"])
            self.assertIn("nothing written", self.good("pack", model, "--panels", *dtype))
            self.assertIn(first["panels"], self.good("inspect", model, *dtype))
            self.assertEqual(self.classify(model, *dtype), expected)
            with open(first["panels"], "r+b") as file:
                file.seek(-1, os.SEEK_END)
                last = file.read(1)[0]
                file.seek(-1, os.SEEK_END)
                file.write(bytes([last ^ 1]))
            status, out, err = attn("classify", model, *dtype, self.PHOTO, "--json", "--top", "10")
            self.assertEqual((status, json.loads(out)), (0, expected))
            self.assertEqual(err, "attn: %s: not used, its panels are damaged; attn pack --panels "
                                  "writes it again\n" % first["panels"])
            self.good("classify", model, *dtype, self.PHOTO, "--quiet")
            self.assertTrue(json.loads(self.good("pack", model, "--panels", *dtype, "--json"))["written"])
            self.assertEqual(self.classify(model, *dtype), expected)
        os.utime(os.path.join(model, "model.safetensors"), (1, 1))
        self.assertIn("the weight file has changed since", attn("check", model)[2])

    def test_folder_with_panels(self):
        folder = self.path("new")
        self.good("pack", self.MODEL, "--dtype", "int8", "-o", folder, "--panels")
        self.assertIn("-int8.panels", self.good("inspect", folder))
        self.assertEqual(self.classify(folder), self.classify(self.MODEL, "--dtype", "int8"))

    def test_full_disk(self):
        model = self.copy_model()
        limit = (200000, 200000)
        for arguments in [["--dtype", "int8", "-o", self.path("full")], ["--panels"]]:
            before = sorted(os.listdir(model))
            done = subprocess.run(
                [ATTN, "pack", model, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                restore_signals=False,  # Python ignores SIGXFSZ: the write fails
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit), timeout=120)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn("File too large", done.stderr.decode())
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(sorted(os.listdir(model)), before)
            self.assertEqual(os.listdir(self.folder.name), ["m"])

    def test_errors(self):
        self.bad("pack", "no/such", "--panels", says="no/such: No such file")
        self.bad("pack", EXAMPLE, "--panels", says="has no weights to pack")
        self.bad("pack", EXAMPLE, "--dtype", "int8", "-o", self.path("x"), says="has no weights to pack")
        self.bad("pack", self.MODEL, "--dtype", "int8", "-o", self.path("no/such/x"),
                 says="No such file or directory")
        self.bad("pack", self.MODEL, "--dtype", "int8", "-o", self.path("file", "text"),
                 says="file: Not a directory")


class Sentiment(Case):
    """The bundled model of texts."""

    MODEL = "models/sentiment"
    TEXTS = ["I loved this film.", "The battery died after a day.", "Great food, friendly staff!", "Terrible."]

    def test_labels(self):
        options = [word for text in self.TEXTS for word in ("--text", text)]
        results = json.loads(self.good("classify", self.MODEL, "--json", *options))["results"]
        self.assertEqual([result["input"] for result in results], self.TEXTS)
        self.assertEqual([result["top"][0]["label"] for result in results],
                         ["positive", "negative", "positive", "negative"])
        for result in results:
            self.assertAlmostEqual(sum(entry["probability"] for entry in result["top"]), 1, places=5)
        lines = self.path("lines.txt", "\r\n".join(self.TEXTS))
        self.assertEqual(json.loads(self.good("classify", self.MODEL, "--json", "--file", lines))["results"], results)
        alone = json.loads(self.good("classify", self.MODEL, "--json", "--text", self.TEXTS[1]))["results"]
        self.assertEqual(alone, results[1:2])

    def test_print(self):
        out = self.good("classify", self.MODEL, "--text", "I loved\tit.", "--top", "1")
        self.assertEqual(out.splitlines()[0], "I loved\\tit.")
        self.assertRegex(out.splitlines()[1], r"^  +\d+\.\d\d %  positive$")

    def test_embed(self):
        root = json.loads(self.good("embed", self.MODEL, "--json", *self.TEXTS))
        self.assertEqual((root["size"], len(root["vectors"])), (128, 4))
        for vector in root["vectors"]:
            self.assertAlmostEqual(sum(x * x for x in vector), 1, places=5)
        self.assertEqual(len(self.good("embed", self.MODEL, "one").split()), 128)

    def test_refused(self):
        self.bad("fill", self.MODEL, "a [MASK] film", says="no output of kind vocabulary")
        self.bad("answer", self.MODEL, "--question", "who", "--context", "he", says="answers no questions")
        self.usage("answer", self.MODEL, "--question", "who", says="a model, a question and a context")
        self.usage("embed", self.MODEL, says="at least one text or image")
        self.usage("fill", self.MODEL, says="a model and one text")
        self.usage("classify", self.MODEL, "--pair", "x", says="--pair goes with --text")
        self.bad("classify", self.MODEL, "--file", self.path("none"), says="No such file")
        self.bad("embed", self.MODEL, "x", "--prompt", "query", says='no prompt "query"')


class Classify(Case):
    """A model of one linear layer over a photo of 2 x 2."""

    PHOTO = "tests/golden/images/files/rgb.png"

    def setUp(self):
        super().setUp()
        if not os.path.exists(self.PHOTO):
            self.skipTest("SKIP: %s is not here" % self.PHOTO)
        self.path("m/attn.json", json.dumps({
            "format": "attn/1", "name": "tiny", "inputs": {"pixels": {"kind": "image", "shape": [3, 2, 2]}},
            "graph": [{"layer": "reshape", "in": "pixels", "out": "x", "shape": [12]},
                      {"layer": "linear", "in": "x", "out": "logits", "weight": "head"}],
            "outputs": {"logits": {"kind": "classes", "labels": ["cat", "dog", "\"eel\""]}}}))
        self.path("m/model.safetensors", tensors({
            "head.weight": ([3, 12], [0] * 36), "head.bias": ([3], [1, 3, 2])}))
        self.path("m/preprocessor_config.json", json.dumps({
            "image_processor_type": "ViTImageProcessor", "size": {"height": 2, "width": 2},
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
        self.model = self.path("m")

    def test_json(self):
        root = json.loads(self.good("classify", self.model, self.PHOTO, "--json", "--top", "2"))
        self.assertEqual(list(root), ["model", "results"])
        self.assertEqual(root["model"], "tiny")
        (result,) = root["results"]
        self.assertEqual(list(result), ["input", "top"])
        self.assertEqual(result["input"], self.PHOTO)
        self.assertEqual([list(entry) for entry in result["top"]],
                         [["index", "label", "probability"]] * 2)
        self.assertEqual([(e["index"], e["label"]) for e in result["top"]], [(1, "dog"), (2, '"eel"')])
        self.assertAlmostEqual(result["top"][0]["probability"], 0.66524, places=4)

    def test_text(self):
        out = self.good("classify", self.model, self.PHOTO)
        self.assertEqual([line.split() for line in out.splitlines()][1:],
                         [["66.52", "%", "dog"], ["24.47", "%", '"eel"'], ["9.00", "%", "cat"]])

    def test_bad_one(self):
        """One bad photo among good ones is reported, and the rest goes on."""
        broken = self.path("broken.png", "no image")
        files = [self.PHOTO, broken, self.path("none.png"), self.PHOTO]
        status, out, err = attn("classify", self.model, *files)
        self.assertEqual(status, 1)
        self.assertEqual(out.count("dog"), 2)
        self.assertEqual(len(err.splitlines()), 2)
        self.assertIn("broken.png", err)
        self.assertIn("none.png: No such file", err)
        status, out, err = attn("classify", self.model, *files, "--json")
        results = json.loads(out)["results"]
        self.assertEqual(status, 1)
        self.assertEqual([r["input"] for r in results], files)
        self.assertEqual(["top" in r for r in results], [True, False, False, True])
        self.assertIn("none.png", results[2]["error"])

    def test_without_preprocessing(self):
        os.remove(os.path.join(self.model, "preprocessor_config.json"))
        self.bad("classify", self.model, self.PHOTO, says="no preprocessor_config.json")

    def test_heatmap_refused(self):
        """A model without attention has none to show; the file is not left half written."""
        out = self.path("heat.png")
        status, _, err = attn("classify", self.model, self.PHOTO, "--heatmap", out)
        self.assertEqual(status, 1)
        self.assertFalse(os.path.exists(out), err)


if __name__ == "__main__":
    if not os.path.exists(ATTN):
        sys.exit("no binary at %s: set ATTN" % ATTN)
    unittest.main()
