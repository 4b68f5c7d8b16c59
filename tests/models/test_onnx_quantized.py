"""Quantised ONNX files: weights that are integers with scales stay integers, in memory and in the folder of
attn import, and compute what they stand for; what ONNX Runtime's quantisation tools write gives ONNX Runtime's
results. ONNX Runtime runs the graphs as they stand: its optimiser computes such products with rounded inputs."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import unittest
from pathlib import Path

import numpy as np
from reference import Case, attn

try:
    import onnx
    import onnxruntime
    import onnx_models
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import quantization
except ImportError:
    onnx = None


def header(folder: Path) -> dict:
    data = (folder / "model.safetensors").read_bytes()
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


def integers(low: int, high: int, shape: tuple[int, ...], dtype: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def scales(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) * 0.01).astype(np.float32)


class Quantized(Case):
    def setUp(self) -> None:
        super().setUp()
        if onnx is None:
            self.skip("onnx or onnxruntime is not installed (tests/requirements.txt)")

    def runtime(self, path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(path), options)
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs)))

    def check(self, path: Path, inputs: dict[str, np.ndarray], tolerance: float = 1e-4) -> dict:
        """The results, and those of the folder, which has the same bits; the folder's tensors."""
        wanted = self.runtime(path, inputs)
        ours = self.run_attn(path, inputs, tuple(wanted))
        for name, value in wanted.items():
            self.assertLess(np.abs(ours[name] - value).max(), tolerance)
        folder = self.folder / f"{path.stem}{len(list(self.folder.iterdir()))}"
        attn("import", path, "-o", folder)
        again = self.run_attn(folder, inputs, tuple(wanted))
        for name, value in ours.items():
            self.assertEqual(value.tobytes(), again[name].tobytes())
        return header(folder)

    def write(self, nodes: list, constants: dict[str, np.ndarray], columns: int) -> Path:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5, columns])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(v, k) for k, v in constants.items()])
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        path = self.folder / "model.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
        return path

    def product(self, constants: dict[str, np.ndarray], turned: bool = False, **attributes: int) -> dict:
        """x W of a W [64, 96], or [96, 64] and turned."""
        names = [n for n in ("w", "w_scale", "zero") if n in constants]
        nodes = [helper.make_node("DequantizeLinear", names, ["f"], **attributes)]
        if turned:
            nodes.append(helper.make_node("Transpose", ["f"], ["t"], perm=[1, 0]))
        nodes.append(helper.make_node("MatMul", ["x", "t" if turned else "f"], ["y"]))
        path = self.write(nodes, constants, 64)
        x = {"x": np.random.default_rng(2).standard_normal((2, 5, 64)).astype(np.float32)}
        tensors = self.check(path, x)
        if tensors.get("w.weight", {}).get("dtype") == "I8":
            whole, rough = (self.run_attn(path, x, ("y",), *o)["y"] for o in ((), ("--dtype", "int8")))
            self.assertTrue(0 < np.abs(whole - rough).max() < 0.02 * np.abs(whole).max())
            folder = self.folder / f"packed{len(list(self.folder.iterdir()))}"
            attn("pack", path, "--dtype", "int8", "-o", folder)
            packed = self.run_attn(folder, x, ("y",))["y"]
            self.assertEqual(packed.tobytes(), rough.tobytes())
        return {name: (t["dtype"], t["shape"]) for name, t in tensors.items() if name != "__metadata__"}

    def test_channels(self) -> None:
        w, s = integers(-127, 128, (64, 96), np.int8), scales((96,))
        wanted = {"w.weight": ("I8", [64, 96]), "w.weight_scale": ("F32", [1, 96])}
        self.assertEqual(self.product({"w": w, "w_scale": s}, axis=1), wanted)
        self.assertEqual(self.product({"w": w, "w_scale": s, "zero": np.zeros(96, np.int8)}, axis=-1), wanted)

    def test_turned(self) -> None:
        found = self.product({"w": integers(-128, 128, (96, 64), np.int8), "w_scale": scales((96,))}, True, axis=0)
        self.assertEqual(found, {"w.weight": ("I8", [96, 64]), "w.weight_scale": ("F32", [96, 1])})

    def test_inputs_have_scales(self) -> None:
        found = self.product({"w": integers(-127, 128, (64, 96), np.int8), "w_scale": scales((64,))}, axis=0)
        self.assertEqual(found["w.weight"], ("I8", [64, 96]))

    def test_one_scale(self) -> None:
        scale = np.float32(0.01)
        found = self.product({"w": integers(0, 256, (64, 96), np.uint8), "w_scale": scale, "zero": np.uint8(128)})
        self.assertEqual(found, {"w.weight": ("I8", [64, 96]), "w.weight_scale": ("F32", [1, 96])})
        found = self.product({"w": integers(0, 256, (64, 96), np.uint8), "w_scale": scale, "zero": np.uint8(100)})
        self.assertEqual(found, {"w.weight": ("F32", [64, 96])})
        found = self.product({"w": integers(0, 9, (64, 96), np.int8), "w_scale": -scale})
        self.assertEqual(found, {"w.weight": ("F32", [64, 96])})

    def test_blocks(self) -> None:
        w = integers(-128, 128, (96, 64), np.int8)
        found = self.product({"w": w, "w_scale": scales((96, 2))}, True, axis=1, block_size=32)
        self.assertEqual(found, {"w.weight": ("I8", [96, 64]), "w.weight_scale": ("F32", [96, 2])})
        found = self.product({"w": w.T.copy(), "w_scale": scales((1, 96))}, axis=0, block_size=64)
        self.assertEqual(found, {"w.weight": ("I8", [64, 96]), "w.weight_scale": ("F32", [2, 96])})
        found = self.product({"w": w, "w_scale": scales((96, 4))}, True, axis=1, block_size=16)
        self.assertEqual([t[0] for t in found.values()], ["F32"])

    def test_other_layers(self) -> None:
        """An embedding and a bias; a matrix that is read as such."""
        w, b = integers(-127, 128, (96, 64), np.int8), integers(-999, 999, (96,), np.int32)
        nodes = [
            helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=0),
            helper.make_node("DequantizeLinear", ["b", "s"], ["bias"], axis=0),
            helper.make_node("Reshape", ["x", "rows"], ["flat"]),
            helper.make_node("Gemm", ["flat", "f", "bias"], ["g"], transB=1),
            helper.make_node("Cast", ["g"], ["ids"], to=TensorProto.INT64),
            helper.make_node("Abs", ["ids"], ["positive"]),
            helper.make_node("Mod", ["positive", "n"], ["index"]),
            helper.make_node("Gather", ["f", "index"], ["rows_of"]),
            helper.make_node("ReduceSum", ["f"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["rows_of", "sum"], ["y"]),
        ]
        constants = {"w": w, "s": scales((96,)), "b": b, "rows": np.array([-1, 64]), "n": np.array(96)}
        x = np.random.default_rng(2).standard_normal((2, 5, 64)).astype(np.float32)
        tensors = self.check(self.write(nodes, constants, 64), {"x": x}, 1e-3)
        self.assertEqual(tensors["w"]["dtype"], "I8")

    def bits(self, bits: int, block: int, zeros: bool, bias: bool = False) -> dict:
        columns, rows = 160, 96
        blocks = -(-columns // block)
        constants = {
            "w": integers(0, 256, (rows, blocks, block * bits // 8), np.uint8),
            "s": scales((rows * blocks,)),
        }
        names = ["x", "w", "s"]
        if zeros:
            constants["z"] = integers(0, 256, (rows * -(-blocks * bits // 8),), np.uint8, 3)
        if bias:
            constants["b"] = scales((rows,), 4)
        names += ["z" if zeros else "", "", "b"] if bias else ["z"] if zeros else []
        node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=columns, N=rows, bits=bits,
                                block_size=block)
        x = np.random.default_rng(2).standard_normal((2, 5, columns)).astype(np.float32)
        tensors = self.check(self.write([node], constants, columns), {"x": x})
        return {name: (t["dtype"], t["shape"]) for name, t in tensors.items() if name != "__metadata__"}

    def test_few_bits(self) -> None:
        grouped = {"w.weight": ("I8", [96, 160]), "w.weight_scale": ("F32", [96, 5])}
        for bits, block, zeros in ((4, 32, False), (4, 32, True), (4, 128, True), (8, 32, False), (2, 32, True)):
            with self.subTest(bits=bits, block=block, zeros=zeros):
                found = self.bits(bits, block, zeros)
                self.assertEqual(found, grouped)
        self.assertEqual([t[0] for t in self.bits(4, 16, False).values()], ["F32"])
        self.assertEqual([t[0] for t in self.bits(8, 32, True).values()], ["F32"])
        self.bits(4, 32, False, True)

    def bert(self) -> tuple[Path, dict[str, np.ndarray]]:
        folder = self.folder / "bert"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(onnx_models.write("bert", folder), [])
        return folder / "legacy.onnx", dict(np.load(folder / "inputs.npz"))

    def test_dynamic(self) -> None:
        """The very sums of ONNX Runtime, whose AVX2 code saturates with int8 weights of all 8 bits."""
        path, inputs = self.bert()
        for kind in (quantization.QuantType.QInt8, quantization.QuantType.QUInt8):
            target = self.folder / f"dynamic{kind.value}.onnx"
            quantization.quantize_dynamic(path, target, weight_type=kind, per_channel=True, reduce_range=kind.value == 0)
            self.check(target, inputs)

    def test_static(self) -> None:
        path, inputs = self.bert()

        class Reader(quantization.CalibrationDataReader):
            rows = [inputs]

            def get_next(self) -> dict | None:
                return self.rows.pop() if self.rows else None

        target = self.folder / "static.onnx"
        quantization.quantize_static(path, target, Reader(), quant_format=quantization.QuantFormat.QDQ,
                                     per_channel=True, activation_type=quantization.QuantType.QUInt8,
                                     weight_type=quantization.QuantType.QInt8)
        tensors = self.check(target, inputs, 0.05)  # a value near a half may round to the other side
        self.assertGreater(sum(t["dtype"] == "I8" for n, t in tensors.items() if n != "__metadata__"), 4)


if __name__ == "__main__":
    unittest.main()
