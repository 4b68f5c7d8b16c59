"""The importer of ONNX files: small models made by the onnx package and by torch.onnx.export. Results are ONNX
Runtime's, to 1e-4; and what a file may say is said again in the description."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import unittest
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from reference import ATTN, AttnError, Case, attn

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    onnx = None

SHOW = Path(os.environ.get("SHOW_ONNX", ATTN.with_name("show_onnx")))
FLOAT = 1


def array(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Onnx(Case):
    def setUp(self) -> None:
        super().setUp()
        if onnx is None:
            self.skip("onnx or onnxruntime is not installed (tests/requirements.txt)")

    def save(self, nodes: list, inputs: dict, outputs: list[str], tensors: dict | None = None, name: str = "model",
             opset: int = 17, **options: object) -> Path:
        """inputs: name -> (type, shape)."""
        path = self.folder / f"{name}.onnx"
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in outputs],
            [numpy_helper.from_array(np.asarray(v), n) for n, v in (tensors or {}).items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        for output in model.graph.output:
            output.ClearField("type")
        model = onnx.shape_inference.infer_shapes(model)
        onnx.save(model, path, **options)
        return path

    def reference(self, path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options)
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs)))

    def check(self, path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        wanted = self.reference(path, inputs)
        given = [text for n, v in inputs.items() for text in ("--in", f"{n}={self.npy(n, v)}")]
        files = {n: self.folder / f"out-{i}.npy" for i, n in enumerate(wanted)}
        attn("run", path, *given, *[text for n, f in files.items() for text in ("--out", f"{n}={f}")])
        ours = {n: np.load(f) for n, f in files.items()}
        for name, value in wanted.items():
            if value.dtype.kind == "f":
                self.compare(ours[name], value.astype(np.float32))
            else:
                np.testing.assert_array_equal(ours[name], value.astype(np.int32))
        return ours

    def npy(self, name: str, value: np.ndarray) -> Path:
        path = self.folder / f"in-{''.join(c if c.isalnum() else '_' for c in name)}.npy"
        if value.dtype.kind in "iu" and value.dtype != np.uint8:
            value = value.astype(np.int32)
        np.save(path, value)
        return path

    def refuse(self, message: str, *arguments: object, status: int = 1) -> None:
        with self.assertRaises(AttnError) as caught:
            attn(*arguments)
        self.assertEqual(caught.exception.status, status, caught.exception.error)
        self.assertIn(message, caught.exception.error)
        self.assertEqual(caught.exception.error.count("\n"), 1 if status == 1 else 2)

    def describe(self, path: Path) -> dict:
        return json.loads(attn("describe", path))

    def node(self, op: str, inputs: str, outputs: str, **attributes: object) -> object:
        return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


class Files(Onnx):
    def test_types(self) -> None:
        """Inputs and initialisers of every type."""
        kinds = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64,
                 TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8, TensorProto.INT16: np.int16,
                 TensorProto.UINT16: np.uint16, TensorProto.INT32: np.int32, TensorProto.UINT32: np.uint32,
                 TensorProto.INT64: np.int64, TensorProto.UINT64: np.uint64, TensorProto.BOOL: np.bool_}
        for kind, dtype in kinds.items():
            for count in (3, 300):  # written out, and a tensor
                with self.subTest(dtype=dtype.__name__, count=count):
                    values = (np.arange(count) % 2 if dtype == np.bool_ else np.arange(count) % 100).astype(dtype)
                    path = self.save([self.node("Cast", "x", "a", to=FLOAT), self.node("Cast", "w", "b", to=FLOAT),
                                      self.node("Add", "a b", "y")], {"x": (kind, [2, count])}, ["y"], {"w": values})
                    x = (np.random.default_rng(1).integers(0, 2 if dtype == np.bool_ else 90, (2, count))).astype(dtype)
                    wanted = self.reference(path, {"x": x})["y"]
                    given = x.astype(np.float32) if dtype in (np.float64, np.float16) else x
                    attn("run", path, "--in", f"x={self.npy('x', given)}", "--out", f"y={self.folder}/y.npy")
                    self.compare(np.load(self.folder / "y.npy"), wanted)
                    dtypes = "f32" if dtype in (np.float32, np.float16, np.float64) else "i32"
                    self.assertEqual(self.describe(path)["inputs"]["x"].get("dtype", "f32"), dtypes)

    def test_symbols(self) -> None:
        """Open dimensions: of one name, of odd names, of none; and a size that stays."""
        path = self.save(
            [self.node("Add", "a b", "c"), self.node("ReduceSum", "d", "e"), self.node("Add", "c e", "y")],
            {"a": (FLOAT, ["batch size", "in", None, 4]), "b": (FLOAT, ["batch size", 1, 1, 4]), "d": (FLOAT, ["2x", "batch_size"])},
            ["y"])
        shown = self.describe(path)
        self.assertEqual(list(shown["symbols"]), ["batch_size", "in_", "a_2", "d2x", "batch_size_2"])
        self.assertEqual(shown["inputs"]["a"]["shape"], ["batch_size", "in_", "a_2", 4])
        self.assertEqual(shown["inputs"]["b"]["shape"], ["batch_size", 1, 1, 4])
        self.assertEqual(shown["inputs"]["d"]["shape"], ["d2x", "batch_size_2"])
        self.check(path, {"a": array((2, 3, 5, 4)), "b": array((2, 1, 1, 4), 1), "d": array((6, 7), 2)})
        self.check(path, {"a": array((1, 1, 1, 4)), "b": array((1, 1, 1, 4), 1), "d": array((1, 1), 2)})

    def test_names(self) -> None:
        """Names that a description would read as something else; outputs that are inputs, constants, or the same value."""
        path = self.save(
            [self.node("Relu", "x{0}:0", "a/b.c"), self.node("Identity", "a/b.c", "same"), self.node("Identity", "x{0}:0", "in"),
             self.node("Identity", "w{", "constant"), self.node("Exp", "a/b.c", "y}"), self.node("Identity", "y}", "again")],
            {"x{0}:0": (FLOAT, [3])}, ["a/b.c", "same", "in", "constant", "again"], {"w{": array((40,), 3)})
        wanted = self.reference(path, {"x{0}:0": array((3,))})
        out = [t for n in wanted for t in ("--out", f"{n}={self.folder}/{n.replace('/', '_')}.npy")]
        attn("run", path, "--in", f"x_0_:0={self.npy('x', array((3,)))}", *out)
        for name, value in wanted.items():
            self.compare(np.load(self.folder / f"{name.replace('/', '_')}.npy"), value)

    def test_external_data(self) -> None:
        nodes = [self.node("Add", "x w", "h"), self.node("Mul", "h v", "y")]
        tensors = {"w": array((300,), 1), "v": array((300,), 2)}
        whole = self.save(nodes, {"x": (FLOAT, ["n", 300])}, ["y"], tensors)
        wanted = self.check(whole, {"x": array((2, 300))})
        path = self.save(nodes, {"x": (FLOAT, ["n", 300])}, ["y"], tensors, "apart", save_as_external_data=True,
                         location="weights.bin", size_threshold=0)
        self.assertEqual(self.check(path, {"x": array((2, 300))})["y"].tobytes(), wanted["y"].tobytes())
        attn("import", path, "-o", self.folder / "folder")
        (self.folder / "weights.bin").unlink()
        self.refuse("weights.bin", "check", path)
        ours = self.run_attn(self.folder / "folder", {"x": array((2, 300))}, ("y",))
        self.assertEqual(ours["y"].tobytes(), wanted["y"].tobytes())

    def test_known_inputs(self) -> None:
        """A shape that is an input, through other nodes."""
        path = self.save(
            [self.node("Concat", "minus s", "shape", axis=0), self.node("Reshape", "x shape", "h"),
             self.node("Slice", "h zero end one", "y")],
            {"x": (FLOAT, [2, 12]), "s": (TensorProto.INT64, [1]), "end": (TensorProto.INT64, [1]), "z": (FLOAT, [1])}, ["y"],
            {"minus": np.array([-1]), "zero": np.array([0]), "one": np.array([1])})
        shown = self.describe(path)["inputs"]
        self.assertEqual([n for n, v in shown.items() if v.get("known")], ["s", "end"])
        for s, end in ((4, 3), (6, 2)):
            wanted = self.reference(path, {"x": array((2, 12)), "s": np.array([s]), "end": np.array([end]), "z": array((1,))})
            attn("run", path, "--in", f"x={self.npy('x', array((2, 12)))}", "--in", f"s=[{s}]", "--in", f"end=[{end}]",
                 "--in", "z=[0.5]", "--out", f"y={self.folder}/y.npy")
            self.compare(np.load(self.folder / "y.npy"), wanted["y"])

    def test_missing_operators(self) -> None:
        names = ["NotThere", "Nor", "Neither", "NotThere", "A", "B", "C", "D", "E"]
        nodes = [self.node(op, f"v{i}", f"v{i + 1}", name=f"/layer/{i}", domain="my.own") for i, op in enumerate(names)]
        path = self.folder / "model.onnx"
        value = helper.make_tensor_value_info
        graph = helper.make_graph(nodes, "g", [value("v0", FLOAT, [2])], [value("v9", FLOAT, [2])])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)],
                                    ir_version=8), path)
        message = 'node 0 "/layer/0" (NotThere): attn has no such operator; nor has it my.own.Nor, my.own.Neither, my.own.A, my.own.B, my.own.C, ... (9 nodes in all)'
        for command in (("check", path), ("run", path, "--in", "v0=[1,2]"), ("import", path, "-o", self.folder / "f")):
            self.refuse(message, *command)
        self.assertFalse((self.folder / "f").exists())

    def test_refused(self) -> None:
        relu = [self.node("Relu", "x", "y")]
        for kind, shape, message in ((TensorProto.STRING, [2], 'input "x" is a tensor of string, which attn does not take'),
                                     (TensorProto.COMPLEX64, [2], 'input "x" is a tensor of complex64'),
                                     (FLOAT, None, 'input "x" has no shape')):
            self.refuse(message, "check", self.save(relu, {"x": (kind, shape)}, ["y"]))
        path = self.save(relu, {"x": (FLOAT, [f"d{i}" for i in range(3)])}, ["y"])
        self.assertIn("ok, 1 layers", attn("check", path))
        many = {f"x{i}": (FLOAT, [f"a{i}", f"b{i}", f"c{i}"]) for i in range(6)}
        nodes = [self.node("Sum", " ".join(many), "y")]
        self.refuse("the inputs have more than 16 open dimensions", "check", self.save(nodes, many, ["y"]))


class Commands(Onnx):
    def setUp(self) -> None:
        super().setUp()
        self.x = array((2, 3, 32), 5)
        self.path = self.save(
            [self.node("MatMul", "x w", "m", name="/layer/MatMul"), self.node("Add", "m b", "h", name="/layer/Add"),
             self.node("Tanh", "h", "t", name="/act/Tanh"), self.node("ReduceMean", "t", "y", name="/mean", axes=[1], keepdims=0)],
            {"x": (FLOAT, ["batch", "seq", 32])}, ["y"], {"w": array((32, 64), 1), "b": array((64,), 2)})

    def test_commands(self) -> None:
        self.check(self.path, {"x": self.x})
        self.assertIn("ok, ", attn("check", self.path))
        self.assertIn("x f32 [seq, 32]", attn("inspect", self.path))
        given = f"x={self.npy('x', self.x)}"
        self.assertIn("linear", attn("trace", self.path, given))
        self.assertIn("p95", attn("bench", self.path, "--input", "x=1x3x32", "--runs", "1"))
        attn("pack", self.path, "--dtype", "int8", "-o", self.folder / "packed")
        ours = self.run_attn(self.folder / "packed", {"x": self.x}, ("y",))["y"]
        again = self.run_attn(self.path, {"x": self.x}, ("y",), "--dtype", "int8")["y"]
        self.assertEqual(ours.tobytes(), again.tobytes())
        plain = self.run_attn(self.path, {"x": self.x}, ("y",))["y"]
        attn("pack", self.path, "--panels")
        self.assertEqual(self.run_attn(self.path, {"x": self.x}, ("y",))["y"].tobytes(), plain.tobytes())

    def test_import(self) -> None:
        (self.folder / "notes.json").write_text("{}")
        (self.folder / "tokenizer.json").write_text("{}")
        said = attn("import", self.path, "-o", self.folder / "f")
        self.assertIn("2 tensors", said)
        self.assertEqual(sorted(p.name for p in (self.folder / "f").iterdir()),
                         ["attn.json", "model.safetensors", "tokenizer.json"])
        self.assertEqual((self.folder / "f" / "attn.json").read_text(), attn("describe", self.path))
        self.refuse("is there already, and not empty", "import", self.path, "-o", self.folder / "f")
        self.refuse("ends in .onnx", "import", self.folder / "f", "-o", self.folder / "g", status=2)
        one, other = (self.run_attn(p, {"x": self.x}, ("y",))["y"] for p in (self.path, self.folder / "f"))
        self.assertEqual(one.tobytes(), other.tobytes())
        result = json.loads(attn("import", self.path, "-o", self.folder / "h", "--json"))
        self.assertEqual(result["tensors"], 2)

    def expect(self, **values: np.ndarray) -> Path:
        np.savez_compressed(self.folder / "out.npz", **values)
        return self.folder / "out.npz"

    def test_check(self) -> None:
        np.savez(self.folder / "in.npz", x=self.x)
        y = self.reference(self.path, {"x": self.x})["y"]
        t = np.tanh(self.x @ array((32, 64), 1) + array((64,), 2))
        command = ("import", self.path, "--check", self.folder / "in.npz", "--expect")
        self.assertIn("same     y", attn(*command, self.expect(y=y)))
        said = attn(*command, self.expect(y=y.astype(np.float64), t=t.astype(np.float16)), "--tolerance", "1e-2")
        self.assertIn("1 values on the way compared, 0 differ", said)
        with self.assertRaises(AttnError) as caught:
            attn(*command, self.expect(y=y + 0.5, t=t + 1))
        self.assertEqual(caught.exception.status, 1)
        self.assertIn("DIFFERS  y", caught.exception.output)
        self.assertIn('the first value that differs is "t" of ', caught.exception.output)
        result = json.loads(attn(*command, self.expect(y=y), "--json"))
        self.assertEqual((result["outputs"]["y"]["shape"], result["outputs"]["y"]["differs"]), ([2, 64], False))
        self.refuse('no array has the name of an output; the first is "y"', *command, self.expect(z=y))
        self.refuse('"y" has shape [64], here it is [2, 64]', *command, self.expect(y=y[0]))
        self.refuse('has no array "x"', "import", self.path, "--check", self.expect(z=y), "--expect", self.expect(z=y))
        self.refuse("go together", "import", self.path, "--check", self.expect(y=y), status=2)
        said = attn("trace", self.path, f"x={self.npy('x', self.x)}", "--compare", self.expect(t=t))
        self.assertIn("1 layers compared, 0 differ", said)

    def test_npz(self) -> None:
        """Archives that are damaged in one place each."""
        np.savez(self.folder / "in.npz", x=self.x)
        good = self.expect(y=self.reference(self.path, {"x": self.x})["y"]).read_bytes()
        bad = self.folder / "bad.npz"
        command = ("import", self.path, "--check", self.folder / "in.npz", "--expect", bad)
        for cut in (0, 10, 100, len(good) // 2, len(good) - 1):
            bad.write_bytes(good[:cut])
            self.refuse("bad.npz: ", *command)
        for at in range(0, len(good), 7):
            bad.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
            result = subprocess.run([str(ATTN), *map(str, command)], capture_output=True, text=True, timeout=60)
            self.assertIn(result.returncode, (0, 1))
            self.assertLessEqual(result.stderr.count("\n"), 1)
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr("y.txt", "text")
        self.refuse("holds something that is no .npy file", *command)
        with zipfile.ZipFile(bad, "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("y.npy", b"text")
        self.refuse('"y" is packed in another way than by deflate', *command)
        bad.write_bytes(b"PK\5\6" + b"\0" * 18)
        self.refuse("no array has the name of an output", *command)


class Probes(Onnx):
    def test_shapes(self) -> None:
        """What the importer finds of shapes and elements, at every size."""
        if not SHOW.is_file():
            self.skip(f"{SHOW} is not built")
        path = self.save(
            [self.node("Shape", "x", "s"), self.node("Gather", "s one", "n"), self.node("Mul", "n three", "n3"),
             self.node("Unsqueeze", "n3 zero", "u"), self.node("Concat", "minus u", "to", axis=0),
             self.node("Reshape", "x to", "r"), self.node("Flatten", "x", "f", axis=2), self.node("Add", "one three", "four"),
             self.node("Concat", "x x", "c", axis=1), self.node("ReduceSum", "c", "a"), self.node("ReduceSum", "f", "b"),
             self.node("ReduceSum", "r", "d"), self.node("Sum", "a b d", "e"), self.node("Cast", "four", "four2", to=FLOAT),
             self.node("Add", "e four2", "y")],
            {"x": (FLOAT, ["batch", "length", 6])}, ["y"],
            {"one": np.array(1), "three": np.array(3), "zero": np.array([0]), "minus": np.array([-1])})
        result = subprocess.run([str(SHOW), str(path)], capture_output=True, text=True, check=True, timeout=60)
        shown = {line.split(": ")[1].strip(): line.split(": ", 2)[2] for line in result.stdout.splitlines()}
        self.assertEqual(shown["s"], "int64 [3] = {batch, length, 6}")
        self.assertEqual(shown["n3"], "int64 [] = {3*length}")
        self.assertEqual(shown["to"], "int64 [2] = {-1, 3*length}")
        self.assertEqual(shown["r"], "float [2*batch, 3*length]")
        self.assertEqual(shown["f"], "float [batch*length, 6]")
        self.assertEqual(shown["c"], "float [batch, 2*length, 6]")
        self.assertEqual(shown["four"], "int64 [] = {4}")
        self.check(path, {"x": array((2, 5, 6))})


    def test_sums(self) -> None:
        """A dimension that the file calls the sum of others, as exporters of decoders with a cache do."""
        if not SHOW.is_file():
            self.skip(f"{SHOW} is not built")
        path = self.save(
            [self.node("Concat", "past new", "k", axis=1), self.node("Add", "k m", "y")],
            {"past": (FLOAT, ["b", "past", 8]), "new": (FLOAT, ["b", "seq", 8]), "m": (FLOAT, ["b", "past + seq", 1])}, ["y"])
        result = subprocess.run([str(SHOW), str(path)], capture_output=True, text=True, check=True, timeout=60)
        self.assertIn("Concat: k: float [b, past_seq, 8]", result.stdout)
        self.check(path, {"past": array((2, 4, 8)), "new": array((2, 1, 8), 1), "m": array((2, 5, 1), 2)})

    def test_equal_symbols(self) -> None:
        """Batches of which the file does not say that they are one, where only equal ones fit."""
        path = self.save(
            [self.node("Concat", "a b", "c", axis=2), self.node("ReduceMax", "c", "y", axes=[2])],
            {"a": (FLOAT, ["batch_a", "n", 4]), "b": (FLOAT, ["batch_b", "m", 4])}, ["y"])
        shown = self.describe(path)
        self.assertEqual((shown["symbols"], shown["inputs"]["b"]["shape"]), ({"n": {}}, ["n", 4]))
        self.check(path, {"a": array((2, 3, 4)), "b": array((2, 3, 4), 1)})
        self.refuse("has a batch of 5, another input one of 2", "run", path, "--in", f"a={self.npy('a', array((2, 3, 4)))}",
                    "--in", f"b={self.npy('b', array((5, 3, 4)))}")


class Torch(Onnx):
    """torch.onnx.export, both ways."""

    def export(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor], open_dims: dict, new: bool) -> Path:
        path = self.folder / ("new.onnx" if new else "old.onnx")
        names = list(inputs)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            if new:
                shapes = tuple({d: torch.export.Dim.DYNAMIC for d in open_dims.get(n, {})} for n in names)
                torch.onnx.export(module.eval(), tuple(inputs.values()), path, input_names=names, output_names=["y"],
                                  dynamic_shapes=shapes, dynamo=True, external_data=False, verbose=False)
            else:
                torch.onnx.export(module.eval(), tuple(inputs.values()), path, input_names=names, output_names=["y"],
                                  dynamic_axes=open_dims, dynamo=False)
            logging.disable(logging.NOTSET)
        return path

    def both(self, module: torch.nn.Module, open_dims: dict, **inputs: torch.Tensor) -> None:
        for new in (False, True):
            with self.subTest(new=new):
                path = self.export(module, inputs, open_dims, new)
                self.check(path, {n: v.numpy() for n, v in inputs.items()})

    def test_convolutions(self) -> None:
        torch.manual_seed(1)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm2d(8), torch.nn.Hardswish(),
            torch.nn.Conv2d(8, 8, 3, padding=1, groups=8), torch.nn.ReLU6(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 12, 1),
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(12, 5))
        self.both(module, {"x": {0: "n"}}, x=torch.randn(2, 3, 24, 20))

    def test_attention(self) -> None:
        torch.manual_seed(2)
        layer = torch.nn.TransformerEncoderLayer(24, 4, 48, batch_first=True, activation="gelu", norm_first=True)
        self.both(torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), {"x": {0: "n", 1: "seq"}},
                  x=torch.randn(2, 7, 24))

    def test_recurrence(self) -> None:
        torch.manual_seed(3)

        class Tagger(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed = torch.nn.Embedding(20, 8)
                self.lstm = torch.nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True)
                self.gru = torch.nn.GRU(12, 5, batch_first=True)
                self.out = torch.nn.Linear(5, 4)

            def forward(self, ids: torch.Tensor) -> torch.Tensor:
                return torch.log_softmax(self.out(self.gru(self.lstm(self.embed(ids))[0])[0]), -1)

        self.both(Tagger(), {"ids": {0: "n", 1: "seq"}}, ids=torch.randint(0, 20, (2, 7)))


if __name__ == "__main__":
    unittest.main()
