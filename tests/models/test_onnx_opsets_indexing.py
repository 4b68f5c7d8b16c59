"""Operators that move elements, in the forms that opsets 7 to 23 gave them: see test_onnx_opsets.

    ATTN=build/attn python3 tests/models/test_onnx_opsets_indexing.py
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import test_onnx_opsets as opsets  # noqa: E402
from test_onnx_opsets import Const, f32, ints  # noqa: E402

X = f32(2, 3, 4, 5)
ONES = f32(1, 3, 1, 2)


def i64(*values):
    return np.array(values, np.int64)


def both(op, opset, x, *rest, **attributes):
    """The inputs after the first as inputs, and as initialisers."""
    for wrap in (np.asarray, Const):
        yield op, opset, [x, *(None if r is None else wrap(r) for r in rest)], attributes


def shapes():
    for opset in (7, 11):
        yield "Squeeze", opset, [ONES], {"axes": [0]}
        yield "Squeeze", opset, [ONES]
        yield "Unsqueeze", opset, [ONES], {"axes": [0, 2]}
    yield "Squeeze", 13, [ONES]
    yield from both("Squeeze", 13, ONES, i64(-2))
    yield from both("Unsqueeze", 13, ONES, i64(-1, 0))
    for opset in (7, 13, 19):
        yield from both("Reshape", opset, X, i64(0, -1, 5))
        yield from both("Reshape", opset, ints(24), i64(2, 3, 4))
    yield from both("Reshape", 14, X, i64(5, 4, 3, 2), allowzero=1)
    yield "Reshape", 14, [f32(1), Const(np.zeros(0, np.int64))]
    for opset, axis in ((7, 1), (9, 0), (9, 4), (11, -1), (13, -3)):
        yield "Flatten", opset, [X], {"axis": axis}
    yield from both("Expand", 8, ONES, i64(2, 1, 4, 1))
    yield from both("Expand", 13, ONES, i64(1))
    yield "Expand", 13, [ints(), Const(i64(2, 3))]
    yield from both("Tile", 7, X, i64(1, 2, 1, 3))
    yield from both("Tile", 13, X, i64(1, 1, 1, 1))
    yield "Transpose", 7, [X]
    yield "Transpose", 13, [X], {"perm": [3, 1, 0, 2]}
    yield "Concat", 7, [X, X], {"axis": 3}
    yield "Concat", 11, [X, Const(X), X], {"axis": -2}


def parts():
    for opset in (7, 9):
        yield "Slice", opset, [X], {"starts": [1, -3], "ends": [2, 1000], "axes": [0, 3]}
        yield "Slice", opset, [X], {"starts": [0, 1], "ends": [1, -1]}
    yield from both("Slice", 10, X, i64(0, 0), i64(1, 2))
    for opset in (11, 13):
        yield from both("Slice", opset, X, i64(-1), i64(-2**63 + 1), i64(-1), i64(-1))
        yield from both("Slice", opset, X, i64(0, 1), i64(2**62, 3), None, i64(1, 2))
        yield from both("Slice", opset, X, i64(3), i64(-2**31), i64(2), i64(-2))
    for opset in (7, 11):
        yield "Split", opset, [X], {"outputs": 2}
        yield "Split", opset, [X], {"outputs": 3, "axis": 3, "split": [1, 2, 2]}
    yield from both("Split", 13, X, i64(2, 3), axis=3, outputs=2)
    yield "Split", 13, [X], {"axis": -2, "outputs": 2}
    for n in (2, 3):
        yield "Split", 18, [X], {"axis": 3, "outputs": n, "num_outputs": n}
    for mode in ("constant", "reflect", "edge"):
        for opset in (7, 10):
            yield "Pad", opset, [X], {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": mode, "value": 1.25}
        for opset in (11, 13, 18, 23):
            yield from both("Pad", opset, X, i64(0, 1, 1, 2, 0, 0, 2, 1), mode=mode)
    for value in (-np.inf, 3.3, 0.0, np.finfo(np.float32).min):
        yield from both("Pad", 13, X, i64(0, 0, -1, 2, 0, 0, 0, -1), np.array(value, np.float32))
    yield from both("Pad", 18, X, i64(1, 2), None, i64(-1))
    yield from both("Pad", 19, X, i64(3, 2), None, i64(1), mode="wrap")
    yield from both("Pad", 13, ints(2, 3), i64(1, 1, 1, 1), np.array(2**24 + 1))
    for target, axes in (((5, 2), [-1, 1]), ((3, 3, 3, 8), None)):
        yield from both("CenterCropPad", 18, X, i64(*target), **({} if axes is None else {"axes": axes}))


def indices():
    for opset in (7, 11, 13):
        yield from both("Gather", opset, X, ints(2, 2, low=0, high=3), axis=1)
    yield from both("Gather", 11, X, np.array(-1, np.int64), axis=2)
    for opset in (11, 13):
        yield "GatherElements", opset, [X, ints(2, 3, 2, 5, low=-4, high=4)], {"axis": 2}
        yield "GatherND", opset, [X, ints(4, 2, low=0, high=2)]
    yield "GatherND", 12, [X, ints(2, 3, 1, low=0, high=3)], {"batch_dims": 1}
    where, new = ints(2, 2, 4, 5, low=0, high=3), f32(2, 2, 4, 5)
    yield "Scatter", 9, [X, where, new], {"axis": 1}
    yield "ScatterElements", 11, [X, where - 3, new], {"axis": 1}
    yield "ScatterElements", 16, [X, where, new], {"axis": -3, "reduction": "add"}
    yield "ScatterElements", 18, [X, where, new], {"axis": 1, "reduction": "max"}
    yield "ScatterND", 11, [X, i64(1, -2)[:, None], f32(2, 3, 4, 5)]
    for reduction in ("add", "mul", "min"):
        yield "ScatterND", 18, [X, ints(3, 2, low=0, high=2), f32(3, 4, 5)], {"reduction": reduction}
    yield from both("OneHot", 9, i64(1, -1, 7, 3), i64(5), f32(2))
    yield from both("OneHot", 11, ints(2, 3, low=0, high=4), np.array(4), i64(0, 7), axis=1)
    for opset in (7, 9):
        yield "TopK", opset, [X], {"k": 2, "axis": 1, "outputs": 2}
        yield "TopK", opset, [X], {"k": 3, "outputs": 2}
    yield from both("TopK", 10, X, i64(2), axis=0, outputs=2)
    yield from both("TopK", 11, X, i64(4), axis=-1, largest=0, outputs=2)
    yield from both("TopK", 11, ints(4, 9), i64(4), outputs=2)


def found():
    for x in (np.rint(f32(3, 4)), f32(5) > 0, np.array(5), ints(2, 3, 2)):
        yield "NonZero", 13, [x]
    yield "NonZero", 9, [np.rint(f32(2, 7))]
    for opset in (9, 11):
        yield "Compress", opset, [X, np.array([True, False, True])], {"axis": 1}
        yield "Compress", opset, [X, np.array([False, True, True, False, True])]
    yield "Unique", 11, [np.rint(f32(9))], {"outputs": 4}
    yield "Unique", 11, [ints(6, 2, low=0, high=2)], {"axis": 0, "outputs": 4}
    yield "Unique", 11, [ints(9, low=0, high=4)], {"sorted": 0, "outputs": 4}
    yield "EyeLike", 9, [f32(3, 4)], {"k": 1}
    yield "EyeLike", 9, [f32(3, 4)], {"dtype": 7, "k": -1}
    yield "Trilu", 14, [X]
    yield from both("Trilu", 14, X, np.array(-1, np.int64), upper=0)
    yield "DepthToSpace", 7, [f32(1, 8, 2, 3)], {"blocksize": 2}
    for mode in ("DCR", "CRD"):
        yield "DepthToSpace", 11, [f32(2, 12, 2, 3)], {"blocksize": 2, "mode": mode}
    yield "SpaceToDepth", 7, [f32(1, 2, 4, 6)], {"blocksize": 2}
    yield "ReverseSequence", 10, [f32(4, 3, 2), i64(4, 2, 1)], {"time_axis": 0, "batch_axis": 1}
    yield "ReverseSequence", 10, [f32(3, 4, 2), i64(4, 2, 1)], {"time_axis": 1, "batch_axis": 0}


@unittest.skipIf(opsets.onnx is None, "onnx or onnxruntime is not installed")
class Indexing(unittest.TestCase):
    check = opsets.Opsets.check

    def test_shapes(self):
        self.check(shapes())

    def test_parts(self):
        self.check(parts())

    def test_indices(self):
        self.check(indices())

    def test_found(self):
        self.check(found())


if __name__ == "__main__":
    unittest.main()
