"""Operators that work element by element or reduce, in the forms that opsets 7 to 23 gave them: attn run on
models of one node, and what it gives compared with ONNX Runtime.

    ATTN=build/attn python3 tests/models/test_onnx_opsets.py
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto as T
    from onnx import helper, numpy_helper
except ImportError:
    onnx = None

ROOT = Path(__file__).resolve().parents[2]
ATTN = Path(os.environ.get("ATTN", ROOT / "build" / "attn")).resolve()
rng = np.random.default_rng(5)


def f32(*shape, low=-3.0, high=3.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def ints(*shape, low=-9, high=10, dtype=np.int64):
    return rng.integers(low, high, shape).astype(dtype)


class Const:
    """An input that is an initialiser of the model."""

    def __init__(self, array):
        self.array = np.asarray(array)


def make_model(op, opset, inputs, domain, attributes, outputs=("y",)):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    kind = lambda a: helper.np_dtype_to_tensor_dtype(a.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, domain=domain, **attributes)], "g",
        [helper.make_tensor_value_info(n, kind(x), x.shape) for n, x in zip(names, inputs) if isinstance(x, np.ndarray)],
        [onnx.ValueInfoProto(name=y) for y in outputs],
        [numpy_helper.from_array(x.array, n) for n, x in zip(names, inputs) if isinstance(x, Const)])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 10 if opset > 20 else 8
    if not domain:  # the output's type must stand there
        model = onnx.shape_inference.infer_shapes(model)
    for y in model.graph.output:
        if not y.type.WhichOneof("value"):
            y.CopyFrom(helper.make_tensor_value_info(y.name, T.FLOAT, None))
    return model, {n: x for n, x in zip(names, inputs) if isinstance(x, np.ndarray)}


def attn_run(path, feeds, folder, outputs):
    """The outputs, or the error."""
    command = [str(ATTN), "run", str(path)]
    for y in outputs:
        command += ["--out", f"{y}={folder}/{y}.npy"]
    for name, x in feeds.items():
        small = x.astype(np.uint8) if x.dtype == np.bool_ else np.clip(x, -2**31, 2**31 - 1).astype(np.int32) if x.dtype.kind in "iu" else x.astype(np.float32)
        np.save(f"{folder}/{name}.npy", small)
        command += ["--in", f"{name}={folder}/{name}.npy"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return [np.load(f"{folder}/{y}.npy") for y in outputs] if result.returncode == 0 else result.stderr.strip()


def unlike(got, want, tolerance):
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    want = want.astype(np.float64)
    good = np.isclose(got.astype(np.float64), want, tolerance, tolerance, equal_nan=True)
    return None if good.all() else f"{np.argwhere(~good)[0]}: {got[~good][0]}, expected {want[~good][0]}"


def difference(op, opset, inputs, domain="", tolerance=2e-6, outputs=1, **attributes):
    """None, or what is wrong."""
    names = ["y", *(f"y{i}" for i in range(1, outputs))]
    model, feeds = make_model(op, opset, inputs, domain, attributes, names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            want = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(names, feeds)
        except Exception as error:  # a type that it has no kernel for
            return None if "NOT_IMPLEMENTED" in str(error) else f"ONNX Runtime: {error}"
        got = attn_run(path, feeds, folder, names)
    if isinstance(got, str):
        return got
    return next(filter(None, (unlike(g, w, tolerance) for g, w in zip(got, want))), None)


X = f32(2, 3, 4)
SPECIAL = np.array([0, -0.0, 1, -1, 0.5, 1.5, -2.5, 7, np.inf, -np.inf, np.nan], np.float32)


def functions():
    for op in ("Abs", "Ceil", "Cos", "Exp", "Floor", "Neg", "Sigmoid", "Sin", "Softplus", "Softsign", "Tan", "Tanh", "Relu", "Elu", "LeakyRelu", "Selu", "HardSigmoid", "Atan"):
        for opset in (7, 13, 22):
            yield op, opset, [X]
    for op, opset in (("Erf", 9), ("Erf", 13), ("Sinh", 9), ("Cosh", 9), ("Asinh", 9), ("Round", 11), ("Celu", 12), ("HardSwish", 14), ("HardSwish", 22), ("Mish", 18), ("Sign", 13)):
        yield op, opset, [X]
    for op in ("Log", "Sqrt", "Reciprocal"):
        yield op, 13, [np.abs(X)]
    for op in ("Asin", "Acos", "Atanh"):
        yield op, 9 if op == "Atanh" else 7, [f32(5, low=-1, high=1)]
    yield "Acosh", 9, [f32(5, low=1, high=9)]
    for attributes in ({"alpha": 0.3}, {"alpha": 2.0}):
        for op, opset in (("Elu", 7), ("LeakyRelu", 16), ("Celu", 12), ("ThresholdedRelu", 10), ("Selu", 7), ("HardSigmoid", 7)):
            yield op, opset, [X], attributes
    yield "Shrink", 9, [X], {"lambd": 1.5, "bias": 0.5}
    for slope in (f32(4), f32(3, 1), f32(1)):
        yield "PRelu", 7, [X, Const(slope)]
        yield "PRelu", 16, [X, slope]
    for dtype in (np.int8, np.int32, np.int64):
        for op in ("Abs", "Neg", "Sign"):
            yield op, 13, [ints(5, dtype=dtype)]
    yield "IsNaN", 9, [SPECIAL]
    for opset in (10, 20):
        for attributes in ({}, {"detect_positive": 0}, {"detect_negative": 0}):
            yield "IsInf", opset, [SPECIAL], attributes
    for approximate in ("none", "tanh"):
        yield "Gelu", 20, [X], {"approximate": approximate}
    for op, rest in (("Gelu", []), ("FastGelu", []), ("FastGelu", [f32(4)]), ("BiasGelu", [f32(4)]), ("QuickGelu", [])):
        yield op, 17, [X, *rest], {"domain": "com.microsoft"}
    for alpha in (1.0, 0.7):
        yield "QuickGelu", 17, [X], {"domain": "com.microsoft", "alpha": alpha}
    yield "Not", 7, [X > 0]
    yield "BitwiseNot", 18, [ints(9, low=0, high=255, dtype=np.uint8)]
    yield "BitwiseNot", 18, [ints(9, dtype=np.int32)]


def pairs():
    shapes = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((3, 1), (2, 1, 5)), ((), (2, 3)), ((2, 3), ())]
    for a, b in shapes:
        for op in ("Add", "Sub", "Mul", "Div"):
            yield op, 7, [f32(*a), f32(*b, low=1)]
            yield op, 14, [ints(*a), Const(ints(*b, low=1))]
            yield op, 13, [Const(f32(*a)), f32(*b, low=1)]
            yield op, 14, [ints(*a, low=0, high=255, dtype=np.uint8), ints(*b, low=1, high=255, dtype=np.uint8)]
        for op, opset in (("Less", 9), ("Greater", 9), ("Equal", 11), ("LessOrEqual", 12), ("GreaterOrEqual", 16)):
            yield op, opset, [np.asarray(np.rint(f32(*v))) for v in (a, b)]
            yield op, opset, [ints(*a, low=0, high=3), ints(*b, low=0, high=3)]
        for op in ("And", "Or", "Xor"):
            yield op, 7, [np.asarray(f32(*a) > 0), np.asarray(f32(*b) > 0)]
        yield "Mod", 13, [ints(*a), ints(*b, low=1)]
        yield "Mod", 13, [ints(*a), ints(*b, low=-9, high=0)]
        yield "Mod", 13, [f32(*a), f32(*b)], {"fmod": 1}
        for kinds in ((f32, f32), (f32, ints), (ints, f32), (ints, ints)):
            x, y = kinds[0](*a, low=1, high=5), kinds[1](*b, low=0, high=4)
            yield "Pow", 13, [x, y], {"tolerance": 1e-5}
            yield "Pow", 15, [x, Const(y)], {"tolerance": 1e-5}
        yield "Where", 16, [np.asarray(f32(*a) > 0), f32(*b), f32(2, 1, 1)]
        yield "Where", 9, [np.asarray(f32(*a) > 0), ints(*b), ints(1)]
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            yield op, 18, [ints(*a, dtype=np.int32), ints(*b, dtype=np.int32)]
        for op, opset in (("Max", 8), ("Min", 13), ("Sum", 8), ("Mean", 8), ("Max", 12), ("Min", 12)):
            yield op, opset, [f32(*a), Const(f32(*b)), f32(4) if b == (4,) else f32(1)]
        yield "Max", 12, [ints(*a), ints(*b)]
    for op in ("Max", "Min", "Sum", "Mean"):
        yield op, 13, [X]
    yield "Div", 14, [ints(30, dtype=np.int32), ints(30, low=1, high=4, dtype=np.int32) * ints(1, low=-1, high=0, dtype=np.int32)]
    for direction in ("LEFT", "RIGHT"):
        for dtype in (np.uint8, np.uint32):
            yield "BitShift", 11, [ints(9, low=0, high=255, dtype=dtype), ints(9, low=0, high=5, dtype=dtype)], {"direction": direction}
    for exponent in (2, 0.5, 3, -1):
        yield "Pow", 13, [np.abs(X), Const(np.float32(exponent))], {"tolerance": 1e-5}
    yield "Pow", 13, [X, Const(np.array([2], np.int64))]


def limits():
    for attributes in ({}, {"min": -1.0}, {"max": 1.0}, {"min": -1.0, "max": 0.5}):
        yield "Clip", 7, [X], attributes
    yield "Clip", 7, [3 * X], {"min": 0.0, "max": 6.0}
    yield "Clip", 13, [3 * X, Const(np.float32(0)), Const(np.float32(6))]
    for opset in (11, 13):
        for ends in ([], [-1], [None, 1], [-1, 0.5], [1, -1]):
            for wrap in (np.asarray, Const):
                yield "Clip", opset, [X] + [None if e is None else wrap(np.float32(e)) for e in ends]
    for dtype in (np.int8, np.int32, np.int64, np.uint8):
        yield "Clip", 12, [ints(9, low=0, dtype=dtype), Const(dtype(2)), Const(dtype(5))]
    yield "Clip", 12, [ints(9), None, Const(np.int64(2**62))]
    yield "Clip", 12, [ints(9) * 10**7, Const(np.int64(-16777217)), None]
    numbers = np.concatenate([SPECIAL[:8], f32(30, low=-200, high=200)])
    for to in (T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16, T.INT32, T.INT64, T.INT8, T.INT16, T.BOOL):
        for opset in (9, 13, 19, 21):
            if to == T.BFLOAT16:  # NumPy has no such type
                continue
            yield "Cast", opset, [numbers if to != T.INT8 else numbers / 2], {"to": to, "tolerance": 1e-3 if to == T.FLOAT16 else 1e-6}
            yield "Cast", opset, [ints(30, low=-300, high=300)], {"to": to}
            yield "Cast", opset, [numbers > 0], {"to": to}
    for to in (T.UINT8, T.UINT16, T.UINT32):
        yield "Cast", 13, [np.abs(numbers)], {"to": to}
        yield "Cast", 13, [ints(30, low=0, high=70000, dtype=np.int32)], {"to": to}
    yield "CastLike", 15, [numbers, ints(1)]
    yield "CastLike", 19, [ints(4), X]


def rows():
    x = f32(2, 3, 4, 5, low=0.2)
    for op in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"):
        for axes in (None, [0], [-1], [1, 2], [3, 1], [0, 1, 2, 3]):
            for keep in (0, 1):
                more = {"keepdims": keep, "tolerance": 1e-5}
                attribute = {} if axes is None else {"axes": axes}
                if op != "Sum":
                    yield "Reduce" + op, 7, [x], attribute | more
                    yield "Reduce" + op, 11, [x], attribute | more
                value = [] if axes is None else [Const(np.array(axes, np.int64))]
                yield "Reduce" + op, 13 if op == "Sum" else 18, [x, *value], more
        yield "Reduce" + op, 13 if op == "Sum" else 18, [x, np.array([1], np.int64)], {"tolerance": 1e-5}
        if op in ("Max", "Min", "Sum", "Mean", "Prod", "L1", "SumSquare"):
            yield "Reduce" + op, 13 if op == "Sum" else 18, [ints(2, 3, 4, low=1, high=4, dtype=np.int32), Const(np.array([1], np.int64))]
    yield "ReduceSum", 13, [x], {"noop_with_empty_axes": 1}
    yield "ReduceMax", 18, [x, Const(np.zeros(0, np.int64))], {"noop_with_empty_axes": 1}
    yield "ReduceMax", 18, [x, Const(np.zeros(0, np.int64))]
    for op in ("ArgMax", "ArgMin"):
        for opset in (7, 11, 12, 13):
            for axis in (0, 1, 3) + ((-1,) if opset > 7 else ()):
                for keep in (0, 1):
                    yield op, opset, [np.rint(x)], {"axis": axis, "keepdims": keep} | ({"select_last_index": 1} if opset > 11 and keep else {})
        yield op, 13, [ints(3, 9, dtype=np.int32)], {"axis": 1}
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for opset in (7, 11, 13):
            yield op, opset, [x]
            for axis in (0, 1, 2, 3) + ((-1, -2) if opset > 7 else ()):
                yield op, opset, [x], {"axis": axis}
    for attributes in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
        for axis in (0, -1, 2):
            yield "CumSum", 11, [x, Const(np.int64(axis))], attributes
            yield "CumSum", 14, [ints(2, 3, 4, dtype=np.int32), np.array(axis, np.int32)], attributes
    for p in (1, 2):
        for axis in (0, 2, -1):
            yield "LpNormalization", 7, [x], {"p": p, "axis": axis}
    yield "MeanVarianceNormalization", 9, [x], {"tolerance": 1e-5}
    yield "MeanVarianceNormalization", 13, [x], {"axes": [1, 2], "tolerance": 1e-5}


def values():
    for dtype in (np.int64, np.int32, np.float32):
        yield "Range", 11, [np.array(v, dtype) for v in (2, 11, 3)]
        yield "Range", 11, [Const(np.array(9, dtype)), np.array(-2, dtype), Const(np.array(-4, dtype))]
    for attributes in ({}, {"start": 1}, {"end": -1}, {"start": -2, "end": 9}):
        yield "Shape", 15, [X], attributes
    yield "Shape", 7, [X]
    yield "Size", 7, [X]
    yield "Size", 13, [ints(3, 5)]
    for value in (None, np.array([2.5], np.float32), np.array([7], np.int64), np.array([True]), np.array([2**40], np.int64) // 2**20):
        yield "ConstantOfShape", 9, [np.array([2, 3], np.int64)], {} if value is None else {"value": numpy_helper.from_array(value)}
    for shape, axis in (((2, 9, 1), 1), ((2, 3, 8, 2), 2), ((2, 6, 4, 2), 1)):
        for more in ({}, {"inverse": 1}) + (({"onesided": 1},) if shape[-1] == 1 else ()):
            yield "DFT", 17, [f32(*shape)], {"axis": axis, "tolerance": 1e-5} | more
            yield "DFT", 17, [f32(*shape), Const(np.int64(6))], {"axis": axis, "tolerance": 1e-5} | more
            yield "DFT", 20, [f32(*shape), None, Const(np.int64(axis))], {"tolerance": 1e-5} | more
    for onesided in (0, 1):
        for signal in ((2, 50, 1), (2, 50)):
            yield "STFT", 17, [f32(*signal), Const(np.int64(8)), Const(np.hanning(16).astype(np.float32))], {"onesided": onesided, "tolerance": 1e-5}
            yield "STFT", 17, [f32(*signal), Const(np.int64(5)), None, Const(np.int64(16))], {"onesided": onesided, "tolerance": 1e-5}
    yield "Det", 11, [f32(3, 2, 5, 5)], {"tolerance": 1e-5}
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        for periodic in (0, 1):
            yield op, 17, [np.array(9, np.int32)], {"periodic": periodic, "tolerance": 1e-5}


@unittest.skipIf(onnx is None, "onnx or onnxruntime is not installed")
class Opsets(unittest.TestCase):
    def check(self, cases):
        wrong, count = [], 0
        for op, opset, inputs, *attributes in cases:
            attributes = attributes[0] if attributes else {}
            problem = difference(op, opset, inputs, **attributes)
            count += 1
            if problem:
                kinds = [f"{x.array.dtype}{list(x.array.shape)}!" if isinstance(x, Const) else x if x is None else f"{x.dtype}{list(x.shape)}" for x in inputs]
                wrong.append(f"{op} of opset {opset}, {attributes}, {kinds}: {problem}")
        print(f"{count} models, {len(wrong)} wrong")
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_functions(self):
        self.check(functions())

    def test_pairs(self):
        self.check(pairs())

    def test_limits(self):
        self.check(limits())

    def test_rows(self):
        self.check(rows())

    def test_values(self):
        self.check(values())


if __name__ == "__main__":
    unittest.main()
