"""The batch of an exported model is attn's own: descriptions say the shapes of one item. Results are ONNX Runtime's, to
1e-4, of any batch; and where items of a batch depend on each other, the batch stays a dimension.

    ATTN=build/attn python3 tests/models/test_onnx_batch.py"""

from __future__ import annotations

import contextlib
import io
import logging
import unittest
from pathlib import Path

import numpy as np
from reference import AttnError, attn
from test_onnx import FLOAT, Onnx, array

try:
    import onnx_models
    from onnx import TensorProto, helper
except ImportError:
    onnx_models = None


class Batch(Onnx):
    def one(self, nodes: list, shapes: dict, outputs: str = "y", tensors: dict | None = None, opset: int = 17) -> Path:
        return self.save(nodes, {n: (FLOAT, s) for n, s in shapes.items()}, outputs.split(), tensors, opset=opset)

    def goes(self, path: Path, shape: list, *inputs: str) -> list:
        """The input has this shape, and the batches 1 and 3 are right. Returns the layers."""
        shown = self.describe(path)
        self.assertNotIn("b", shown.get("symbols", {}))
        for name in inputs or ("x",):
            self.assertEqual(shown["inputs"][name]["shape"], shape)
        for batch in (1, 3):
            sizes = [5 if isinstance(s, str) else s for s in shape]
            self.check(path, {n: array((batch, *sizes), i) for i, n in enumerate(inputs or ("x",))})
        return shown["graph"]

    def stays(self, path: Path, shape: list) -> None:
        self.assertEqual(self.describe(path)["inputs"]["x"]["shape"], ["b", *shape])
        self.check(path, {"x": array((3, *[5 if isinstance(s, str) else s for s in shape]))})

    def test_axes(self) -> None:
        """Axes move with the dimension that goes."""
        for op, attributes in (("Softmax", {"axis": 1}), ("Softmax", {"axis": -1}), ("LogSoftmax", {"axis": 2}),
                               ("ReduceMax", {"axes": [1, -1]}), ("ReduceMean", {"axes": [2], "keepdims": 0}),
                               ("Transpose", {"perm": [0, 2, 1]}), ("Flatten", {"axis": 1}), ("Flatten", {"axis": 2})):
            with self.subTest(op=op, **attributes):
                path = self.one([self.node(op, "x", "y", **attributes)], {"x": ["b", 4, 6]})
                if op == "Flatten" and attributes["axis"] == 2:
                    self.stays(path, [4, 6])
                else:
                    self.goes(path, [4, 6])

    def test_between_items(self) -> None:
        """What goes across the batch keeps it."""
        for op, attributes in (("Softmax", {"axis": 0}), ("ReduceSum", {}), ("ReduceMax", {"axes": [0]}),
                               ("Transpose", {"perm": [1, 0, 2]}), ("Concat", {"axis": 0})):
            with self.subTest(op=op):
                inputs = "x x" if op == "Concat" else "x"
                self.stays(self.one([self.node(op, inputs, "y", **attributes)], {"x": ["b", 4, 6]}), [4, 6])
        for name, tensor in (("3 rows", (3, 4, 6)), ("one more dimension", (2, 1, 4, 6))):
            with self.subTest(name=name):
                self.stays(self.one([self.node("Add", "x w", "y")], {"x": ["b", 4, 6]}, "y", {"w": array(tensor)}), [4, 6])
        path = self.one([self.node("Shape", "x", "s"), self.node("Cast", "s", "f", to=FLOAT), self.node("ReduceSum", "f", "n"),
                         self.node("Mul", "x n", "y")], {"x": ["b", 4]})
        self.stays(path, [4])
        path = self.one([self.node("Shape", "x", "s", end=1), self.node("Concat", "s one", "t", axis=0),
                         self.node("Expand", "w t", "z"), self.node("Relu", "x", "y")], {"x": ["b", 4]}, "y z",
                        {"w": array((1, 3)), "one": np.array([3])})
        self.stays(path, [4])

    def test_max_pool_indices(self) -> None:
        """They count from the first item on."""
        path = self.save([helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])],
                         {"x": (FLOAT, ["b", 2, 4, 4])}, ["y", "i"])
        self.stays(path, [2, 4, 4])

    def test_constants(self) -> None:
        """Their dimension of 1 goes as well, also where two read them; numbers stay."""
        nodes = [self.node("Add", "x w", "a"), self.node("Mul", "a w", "c"), self.node("Sub", "c n", "y")]
        for shape in ((1, 4, 6), (4, 6), (6,), (1, 1, 6), (1, 4, 1)):
            with self.subTest(shape=shape):
                self.goes(self.one(nodes, {"x": ["b", 4, 6]}, "y", {"w": array(shape, 5), "n": array((1, 1, 1), 6)}), [4, 6])
        self.goes(self.one([self.node("Where", "m x w", "y")], {"x": ["b", 4, 6]}, "y",
                           {"m": array((1, 4, 6)) > 0, "w": array((1, 1, 6), 1)}), [4, 6])

    def test_images(self) -> None:
        tensors = {"w": array((5, 3, 3, 3)), "s": array((5,), 1), "d": array((5,), 2), "sizes": np.array([1, 1, 2.0, 1.5], np.float32),
                   "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2])}
        for nodes in ([self.node("GlobalAveragePool", "c", "y")], [self.node("GlobalMaxPool", "c", "y")],
                      [self.node("MaxPool", "c", "y", kernel_shape=[2, 2])],
                      [self.node("InstanceNormalization", "c s d", "y")],
                      [helper.make_node("Resize", ["c", "", "sizes"], ["y"], mode="linear")],
                      [self.node("Pad", "c pads", "y")], [self.node("DepthToSpace", "z", "y", blocksize=1)]):
            with self.subTest(op=nodes[-1].op_type):
                conv = self.node("Conv", "x w", "c", pads=[1, 1, 1, 1])
                relu = self.node("Relu", "c", "z")
                self.goes(self.one([conv, relu, *nodes], {"x": ["b", 3, 8, 6]}, "y", tensors), [3, 8, 6])

    def test_long_rows(self) -> None:
        """Rows too long for a task: each takes its own part, with the padding at both ends."""
        for stride, dilation, pads in ((1, 1, [0, 0]), (1, 2, [3, 5]), (2, 1, [1, 1]), (3, 1, [4, 0]), (2, 3, [0, 7])):
            with self.subTest(stride=stride, dilation=dilation, pads=pads):
                conv = self.node("Conv", "x w", "y", strides=[stride], dilations=[dilation], pads=pads)
                self.goes(self.one([conv], {"x": ["b", 64, 3100]}, "y", {"w": array((20, 64, 3))}), [64, 3100])

    def test_products(self) -> None:
        for shapes, tensors in (({"x": ["b", 4, 6], "w": ["b", 6, 4]}, {}), ({"x": ["b", 6, 6]}, {"w": array((6, 3))}),
                                ({"x": ["b", 6, 6]}, {"w": array((1, 6, 3))}), ({"x": ["b", 2, 6, 6]}, {"w": array((2, 6, 3))})):
            with self.subTest(shapes=shapes):
                path = self.one([self.node("MatMul", "x w", "m"), self.node("Relu", "m", "y")], shapes, "y", tensors)
                self.assertEqual(self.describe(path)["inputs"]["x"]["shape"], shapes["x"][1:])
                self.check(path, {n: array((3, *s[1:]), i) for i, (n, s) in enumerate(shapes.items())})

    def test_windows(self) -> None:
        """Pieces of an item as items of a larger batch, and back."""
        nodes = [self.node("Reshape", "x apart", "a"), self.node("Softmax", "a", "s", axis=1), self.node("Add", "s w", "t"),
                 self.node("Reshape", "t together", "y")]
        path = self.one(nodes, {"x": ["b", 8, 6]}, "y", {"apart": np.array([-1, 4, 6]), "together": np.array([-1, 8, 6]),
                                                        "w": array((1, 4, 6))})
        self.goes(path, [8, 6])

    def test_tiled_constants(self) -> None:
        """Rows that are the same for every item, as Keras repeats them; and what makes more rows of them stays."""
        nodes = [self.node("Shape", "x", "s", end=1), self.node("Concat", "s one one", "t", axis=0),
                 self.node("Tile", "w t", "z"), self.node("Add", "x z", "y")]
        self.goes(self.one(nodes, {"x": ["b", 4, 6]}, "y", {"w": array((1, 4, 6)), "one": np.array([1])}), [4, 6])
        nodes[1] = self.node("Concat", "s two one", "t", axis=0)
        path = self.one(nodes, {"x": ["b", 4, 6]}, "y", {"w": array((1, 2, 6)), "one": np.array([1]), "two": np.array([2])})
        self.stays(path, [4, 6])

    def test_cut_patches(self) -> None:
        """A convolution that only moves pixels into rows, as Keras' extract_patches, goes into the product behind it."""
        cut = np.zeros((12, 3, 2, 2), np.float32)  # rows of a patch: y, x, channel
        for row in range(12):
            cut[row, row % 3, row // 6, row // 3 % 2] = 1
        product = [self.node("MatMul", "r w", "m"), self.node("Add", "m d", "y")]
        nodes = [self.node("Conv", "x cut", "c", strides=[2, 2]), self.node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
                 self.node("Reshape", "t rows", "r"), *product]
        tensors = {"cut": cut, "rows": np.array([-1, 12, 12]), "w": array((12, 5), 1), "d": array((5,), 2)}
        shape = {"x": ["b", 3, 8, 6]}
        layers = self.goes(self.one(nodes, shape, "y", tensors), [3, 8, 6])
        self.assertEqual([layer["layer"] for layer in layers], ["patch_embed"])
        for name, at, value in (("half", (3, 0, 0, 1), 0.5), ("two", (3, 1, 1, 1), 1), ("none", (3, 0, 0, 1), 0)):
            with self.subTest(name=name):
                other = cut.copy()
                other[at] = value
                layers = self.goes(self.one(nodes, shape, "y", tensors | {"cut": other}), [3, 8, 6])
                self.assertEqual([layer["layer"] for layer in layers], ["patch_embed", "linear"])
        np.save(self.folder / "x.npy", array((1, 3, 8, 6)))
        with self.assertRaisesRegex(AttnError, r"\[11, 5\] do not multiply"):  # a product that does not fit them
            attn("run", self.one(nodes, shape, "y", tensors | {"w": array((11, 5))}), "--in", f"x={self.folder / 'x.npy'}")
        twice = self.one([*nodes, self.node("ReduceMax", "r", "z", axes=[1])], shape, "y z", tensors)
        layers = self.goes(twice, [3, 8, 6])  # the rows are read elsewhere, too
        self.assertEqual([layer["layer"] for layer in layers], ["patch_embed", "linear", "reduce_max"])

    def test_inputs(self) -> None:
        """All have it, and nowhere else."""
        add = [self.node("Add", "x z", "y")]
        self.goes(self.one(add, {"x": ["b", 4], "z": ["b", 4]}), [4], "x", "z")
        for x, z in ((["b", 4], [1, 4]), (["b", 4], ["b", 1, 4])):
            path = self.one(add, {"x": x, "z": z})
            self.assertEqual(self.describe(path)["inputs"]["x"]["shape"], x)
        path = self.one([self.node("Relu", "x", "y")], {"x": ["b", "b"]})
        self.assertEqual(self.describe(path)["inputs"]["x"]["shape"], ["b", "b"])

    def test_on_the_way(self) -> None:
        """import --check compares values of a batch, too."""
        path = self.one([self.node("Relu", "x", "middle"), self.node("Softmax", "middle", "y")], {"x": ["b", 4, 6]})
        x = array((3, 4, 6))
        np.savez(self.folder / "in.npz", x=x)
        wanted = self.reference(path, {"x": x})["y"]
        last = np.eye(1, 72, 71, dtype=np.float32).reshape(x.shape)
        for middle, said in ((np.maximum(x, 0), "same"), (np.maximum(x, 0) + last, 'first value that differs is "middle"')):
            np.savez(self.folder / "out.npz", y=wanted, middle=middle)
            try:
                shown = attn("import", path, "--check", self.folder / "in.npz", "--expect", self.folder / "out.npz")
            except AttnError as problem:  # the exit status of a difference
                shown = problem.output
            self.assertIn(said, shown)

    def export(self, name: str) -> None:
        logging.disable(logging.WARNING)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            onnx_models.write(name, self.folder / name)
        logging.disable(logging.NOTSET)

    def test_exported_vit(self) -> None:
        """It reads like models/vit.json."""
        self.export("vit")
        for exporter in onnx_models.EXPORTERS:
            with self.subTest(exporter=exporter):
                text = attn("describe", self.folder / "vit" / f"{exporter}.onnx")
                for word in ("batch", "s48", "expand", "reshape", "gather", '"conv"'):
                    self.assertNotIn(word, text)
                shown = self.describe(self.folder / "vit" / f"{exporter}.onnx")
                self.assertNotIn("symbols", shown)
                layers = [layer.get("layer", "repeat") for layer in shown["graph"]]
                self.assertEqual(layers, ["patch_embed", "prepend", "add", "repeat", "layer_norm", "token", "linear"])

    def test_exported_bert(self) -> None:
        self.export("bert")
        shown = self.describe(self.folder / "bert" / "legacy.onnx")
        self.assertEqual(list(shown["symbols"]), ["seq"])
        layers = [layer.get("layer", "repeat") for layer in shown["graph"]]
        self.assertEqual(layers, ["embedding", "embedding", "add", "add", "layer_norm", "repeat", "token", "linear", "tanh"])
        self.assertTrue(shown["graph"][3]["slice_rows"])


if __name__ == "__main__":
    unittest.main()
