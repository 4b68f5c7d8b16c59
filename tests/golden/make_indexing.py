"""Writes tests/golden/indexing.json and indexing.safetensors: cases of the layers that move elements (layers/array:
reshape, slice, pad, gather, scatter, ...); indexing_errors.json: what must be refused.

The references are those of NumPy and PyTorch, and of ONNX's reference operators.

    python tests/golden/make_indexing.py
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20261126)
cases, tensors, errors = [], {}, []


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def i32(low, high, *shape):
    return rng.integers(low, high, shape).astype(np.int32)


def i(*values):
    return np.array(values, np.int32)


class Same:
    """An input that is the same for every item; known: its elements are known when the run is planned."""

    def __init__(self, array, known=False):
        self.array, self.known = array, known


def known(*values):
    return Same(np.array(values, np.int32), True)


def port(x):
    shape = x.array.shape if isinstance(x, Same) else x.shape[1:]
    dtype = (x.array if isinstance(x, Same) else x).dtype
    entry = {"shape": list(shape), "dtype": "i32" if dtype == np.int32 else "f32"}
    return entry | ({"known": True} if isinstance(x, Same) and x.known else {})


def case(name, inputs, outputs, attributes=None, weights=None, layer=None, **more):
    """x: a batch of items; outputs: what the batch gives, or one that is Same."""
    name = f"{name}_{sum(c['name'].rsplit('_', 1)[0] == name for c in cases)}"
    layer = layer or name.rsplit("_", 1)[0]
    for key, x in inputs.items():
        tensors[f"{name}/in/{key}"] = np.array(x.array if isinstance(x, Same) else x, order="C")
    for key, x in (weights or {}).items():
        tensors[f"{name}/w/{key}"] = x
    names = [f"y{k}" for k in range(len(outputs))]
    for key, y in zip(names, outputs):
        tensors[f"{name}/out/{key}"] = np.array(y, order="C")
    operands = [key for key in inputs if not any(key == v for k, v in (attributes or {}).items() if k.endswith("_from"))]
    node = {"layer": layer, "in": operands, "out": names, **(attributes or {})}
    description = {"format": "attn/1", "name": name, "weights": {"prefix": [f"{name}/w/"]}, **more}
    description |= {"inputs": {k: port(x) for k, x in inputs.items()}, "graph": [node], "outputs": {k: {} for k in names}}
    cases.append({"name": name, "description": description, "inputs": list(inputs), "outputs": names, "tolerance": 0})


def each(function, *batches):
    """What function gives for each item of the batch."""
    return np.stack([function(*items) for items in zip(*batches)])


# ---- shapes ---------------------------------------------------------------------------------------------------------
x = f32(2, 4, 6)
case("reshape", {"x": x, "s": known(2, -1, 3)}, [x.reshape(2, 2, 4, 3)], {"shape_from": "s"})
case("reshape", {"x": x, "s": known(0, 1, -1)}, [x.reshape(2, 4, 1, 6)], {"shape_from": "s"})
case("reshape", {"x": x}, [x.reshape(2, 24)], {"shape": [-1], "allow_zero": True})
for axis, shape in ((0, (1, 24)), (1, (4, 6)), (2, (24, 1)), (-1, (4, 6)), (-2, (1, 24))):
    case("flatten", {"x": x}, [x.reshape(2, *shape)], {"axis": axis})
y = i32(-5, 5, 3, 1, 4, 1, 2)
case("squeeze", {"x": y}, [y.reshape(3, 4, 2)])
case("squeeze", {"x": y}, [y.reshape(3, 4, 1, 2)], {"axes": [0]})
case("squeeze", {"x": y}, [y.reshape(3, 4, 2)], {"axes": [-2, 0]})
case("squeeze", {"x": y, "a": known(2)}, [y.reshape(3, 1, 4, 2)], {"axes_from": "a"})
case("unsqueeze", {"x": x}, [x.reshape(2, 1, 4, 1, 6)], {"axes": [2, 0]})
case("unsqueeze", {"x": x}, [x.reshape(2, 4, 6, 1)], {"axes": [-1]})
case("unsqueeze", {"x": x, "a": known(1)}, [x.reshape(2, 4, 1, 6)], {"axes_from": "a"})
z = f32(2, 3, 4, 5)
case("transpose", {"x": z}, [z.transpose(0, 3, 2, 1)], {"reverse": True})
z = f32(2, 3, 2, 19, 9)
case("transpose", {"x": z}, [z.transpose(0, 3, 1, 4, 2)], {"axes": [2, 0, 3, 1]})

e = f32(2, 3, 1, 5)
case("expand", {"x": e}, [np.broadcast_to(e, (2, 3, 4, 5))], {"shape": [3, 4, 5]})
case("expand", {"x": e}, [np.broadcast_to(e[:, None], (2, 2, 3, 4, 5))], {"shape": [2, 1, 4, 1]})
case("expand", {"x": e}, [e], {"shape": [1]})
case("expand", {"x": e, "s": known(6, 1)}, [np.broadcast_to(e, (2, 3, 6, 5))], {"shape_from": "s"})
s = f32(2)
case("expand", {"x": s}, [np.repeat(s, 12).reshape(2, 3, 4)], {"shape": [3, 4]})
case("tile", {"x": e}, [np.tile(e, (1, 2, 3, 2))], {"repeats": [2, 3, 2]})
case("tile", {"x": y}, [np.tile(y, (1, 1, 2, 1, 3))], {"repeats": [1, 2, 1, 3]})
case("tile", {"x": e, "r": known(1, 4, 1)}, [np.tile(e, (1, 1, 4, 1))], {"repeats_from": "r"})

# ---- slices ---------------------------------------------------------------------------------------------------------
z = f32(2, 9, 8, 7)
LAST = 2**31 - 1
for starts, ends, axes, steps, want in (
    ([1], [4], [1], None, z[:, :, 1:4]),
    ([-3, 0], [LAST, -1], [0, 2], None, z[:, -3:, :, :-1]),
    ([2, -100], [100, 5], [1, -1], [3, 2], z[:, :, 2::3, :5:2]),
    ([-1], [-LAST - 1], [0], [-1], z[:, ::-1]),
    ([100, 5], [0, -100], [0, 1], [-2, -3], z[:, :0:-2, 5::-3]),
    ([0, 1, 2], [9, 8, 7], None, None, z[:, :, 1:, 2:]),
    ([6], [0], [2], [-LAST], z[:, :, :, 6:5:-1]),
    ([3], [5], [-3], [LAST], z[:, 3:4]),
):
    attributes = {"starts": starts, "ends": ends} | ({"axes": axes} if axes else {}) | ({"steps": steps} if steps else {})
    case("slice", {"x": z}, [want], attributes)
    lists = {key: known(*values) for key, values in attributes.items()}
    case("slice", {"x": z, **lists}, [want], {f"{key}_from": key for key in attributes})
case("slice", {"x": y}, [y[:, :, 1:3]], {"axis": 1, "start": 1, "end": -1})

z = f32(2, 3, 10)
for attributes, sizes in (({"parts": 3}, (4, 4, 2)), ({"parts": 5}, (2,) * 5), ({}, (5, 5)), ({"sizes": [1, 7, 2]}, (1, 7, 2))):
    case("split", {"x": z}, np.split(z, np.cumsum(sizes)[:-1], -1), attributes)
case("split", {"x": z, "n": known(3, 3, 4)}, np.split(z, [3, 6], -1), {"sizes_from": "n"})
case("split", {"x": z}, np.split(z, 3, 1), {"parts": 3, "axis": -2})
z = f32(2, 40, 3)
case("split", {"x": z}, np.split(z, 40, 1), {"axis": 0})
parts = {f"x{k}": f32(2, 3, k + 1) for k in range(3)}
case("concat", parts, [np.concatenate(list(parts.values()) * 21, -1)], {"in": list(parts) * 21, "axis": -1})
halves = {"a": f32(2, 3, 4), "b": Same(f32(2, 4))}
case("concat", halves, [each(lambda a: np.concatenate([a, halves["b"].array]), halves["a"])], {"axis": -2})

# ---- pad ------------------------------------------------------------------------------------------------------------
z = f32(2, 3, 4, 5)


def pad(x, pads, mode, value=0):
    """NumPy's, after what negative numbers take away."""
    n = len(pads) // 2
    crop = tuple(slice(max(0, -pads[d]), x.shape[d] + min(0, pads[n + d])) for d in range(n))
    more = [(max(0, pads[d]), max(0, pads[n + d])) for d in range(n)]
    x = x[crop]
    return np.pad(x, more, mode, constant_values=value) if mode == "constant" else np.pad(x, more, mode)


for pads in ([0, 1, 2, 0, 2, 1], [2, 0, 0, 1, 0, 0], [0, 0, 11, 0, 0, 9], [-1, 5, -2, 4, -1, 3], [0] * 6, [0, 13, 0, -2, 0, 0]):
    for mode in ("constant", "edge", "reflect", "wrap"):
        attributes = {"pads": pads, "mode": mode} | ({"value": 1.5} if mode == "constant" else {})
        case("pad", {"x": z}, [each(lambda x: pad(x, pads, mode, 1.5), z)], attributes)
one = i32(0, 9, 2, 1, 3)
for mode in ("edge", "reflect", "wrap"):
    case("pad", {"x": one}, [each(lambda x: pad(x, [3, 0, 4, 0], mode), one)], {"pads": [3, 4], "axes": [0], "mode": mode})
case("pad", {"x": one}, [each(lambda x: pad(x, [0, 1, 0, 2], "constant", -7), one)], {"pads": [1, 2], "axes": [-1], "value": -7})
value = i32(5, 9, 2)
case("pad", {"x": one, "v": value}, [each(lambda x, v: pad(x, [1, 0, 0, 1], "constant", v), one, value)], {"pads": [1, 0, 0, 1]})
case("pad", {"x": z, "v": Same(np.array([9.0], np.float32)), "p": known(1, 2), "a": known(1)},
     [each(lambda x: pad(x, [0, 1, 0, 0, 2, 0], "constant", 9), z)], {"pads_from": "p", "axes_from": "a"})

# ---- gather, scatter ------------------------------------------------------------------------------------------------
z = f32(2, 5, 6, 4)
for axis, index in ((0, i32(-5, 5, 2, 3)), (1, i32(-6, 6, 2, 3, 2)), (2, i32(0, 4, 2)), (-1, i32(-4, 4, 2, 7))):
    case("gather", {"x": z, "i": index}, [each(lambda x, n: np.take(x, n, axis), z, index)], {"axis": axis})
    case("gather", {"x": z, "i": Same(index[0])}, [each(lambda x: np.take(x, index[0], axis), z)], {"axis": axis})
case("gather", {"x": z, "i": Same(i(-9, 99, -6, 5))}, [z[:, :, [0, 5, 0, 5]]], {"axis": 1})
table = i32(0, 99, 5, 3)
index = i32(0, 5, 2, 4)
case("gather", {"x": Same(table), "i": index}, [table[index]])
for axis in (0, 1, 2, -1):
    shape = [4, 3, 2]
    shape[axis] = 7
    index = i32(-z.shape[1:][axis], z.shape[1:][axis], 2, *shape)
    part = each(lambda x: x[tuple(slice(0, n) if d != axis % 3 else slice(None) for d, n in enumerate(shape))], z)
    positive = np.where(index < 0, index + z.shape[1:][axis], index)
    case("gather_elements", {"x": z, "i": index}, [np.take_along_axis(part, positive, axis % 3 + 1)], {"axis": axis})


def gather_nd(x, index, batch):
    if batch:
        return np.stack([gather_nd(a, b, batch - 1) for a, b in zip(x, index)])
    return x[tuple(np.moveaxis(index, -1, 0))]


for batch, shape in ((0, (3, 2)), (0, (2, 2, 3)), (0, (1,)), (1, (5, 2)), (1, (5, 3, 1)), (2, (5, 6, 1))):
    index = np.stack([i32(-4, 4, 2, *shape[:-1]) for _ in range(shape[-1])], -1)
    case("gather_nd", {"x": z, "i": index}, [each(lambda x, n: gather_nd(x, n, batch), z, index)], {"batch_dims": batch})

HOW = {"none": lambda y, at, u: y.__setitem__(at, u), "add": lambda y, at, u: y.__setitem__(at, y[at] + u),
       "mul": lambda y, at, u: y.__setitem__(at, y[at] * u), "max": lambda y, at, u: y.__setitem__(at, np.maximum(y[at], u)),
       "min": lambda y, at, u: y.__setitem__(at, np.minimum(y[at], u))}


def scatter_elements(x, index, u, axis, how):
    y = x.copy()
    for at in np.ndindex(index.shape):
        HOW[how](y, tuple(index[at] if d == axis % x.ndim else at[d] for d in range(x.ndim)), u[at])
    return y


def scatter_nd(x, index, u, how):
    y = x.copy()
    for at in np.ndindex(index.shape[:-1]):
        HOW[how](y, tuple(index[at]), u[at])
    return y


for how in HOW:
    attributes = {"reduction": how} if how != "none" else {}
    for make in (f32, lambda *shape: i32(-9, 9, *shape)):
        z = make(2, 3, 5, 4)
        for axis in (1, -1):
            index = i32(-4, 4, 2, 2, 3, 4)
            u = make(2, 2, 3, 4)
            case("scatter_elements", {"x": z, "i": index, "u": u},
                 [each(lambda x, n, v: scatter_elements(x, n, v, axis, how), z, index, u)], {"axis": axis} | attributes)
        for index, u in ((i32(-3, 3, 2, 4, 1), make(2, 4, 5, 4)), (i32(-3, 3, 2, 6, 3), make(2, 6)), (i32(0, 3, 2, 2), make(2, 4))):
            case("scatter_nd", {"x": z, "i": index, "u": u},
                 [each(lambda x, n, v: scatter_nd(x, n, v, how), z, index, u)], attributes)
base = f32(4, 3)

# ---- triangles, blocks, sequences -----------------------------------------------------------------------------------
z = f32(2, 2, 4, 5)
for k in (0, 1, -2, 9, -9):
    case("trilu", {"x": z}, [np.triu(z, k)], {"k": k})
    case("trilu", {"x": z, "k": known(k)}, [np.tril(z, k)], {"k_from": "k", "upper": False})
for k in (0, 2, -1, 7, -7):
    flat = f32(2, 3, 5)
    case("eye_like", {"x": flat}, [np.eye(3, 5, k, dtype=np.float32)], {"k": k})
    case("eye_like", {"x": flat}, [np.eye(3, 5, k, dtype=np.int32)], {"k": k, "dtype": "i32"})
z = f32(2, 3, 12, 3, 2)
dcr = z.reshape(2, 3, 2, 2, 3, 3, 2).transpose(0, 1, 4, 5, 2, 6, 3).reshape(2, 3, 3, 6, 4)
crd = torch.pixel_shuffle(torch.from_numpy(z), 2).numpy()
for attributes, y in (({"mode": "dcr"}, dcr), ({}, dcr), ({"mode": "crd"}, crd)):
    case("depth_to_space", {"x": z}, [y], {"block": 2} | attributes)
    case("space_to_depth", {"x": y}, [z], {"block": 2} | attributes)
case("space_to_depth", {"x": z[:, 0]}, [z[:, 0]], {"block": 1})


def reverse(x, lengths, axis, batch):
    y = x.copy()
    for b, n in enumerate(lengths):
        at = [slice(None)] * x.ndim
        at[batch], at[axis] = b, slice(0, n)
        y[tuple(at)] = np.flip(x[tuple(at)], axis - (batch < axis))
    return y


z = f32(2, 4, 3, 5, 2)
for axis, batch in ((0, 1), (1, 0), (2, 0), (3, 2), (0, 3)):
    lengths = i32(0, z.shape[1 + axis] + 1, 2, z.shape[1 + batch])
    case("reverse_sequence", {"x": z, "n": lengths}, [each(lambda x, n: reverse(x, n, axis, batch), z, lengths)],
         {"axis": axis, "batch_axis": batch - 4 if batch == 2 else batch})

# ---- one_hot, top_k -------------------------------------------------------------------------------------------------
index = i32(-6, 7, 2, 3, 4)
hot = (index % 5)[..., None] == np.arange(5)
hot &= ((index >= -5) & (index < 5))[..., None]
for axis in (-1, 0, 1, -2):
    for values in (f32(2), i32(-9, 9, 2)):
        y = np.moveaxis(np.where(hot, values[1], values[0]), -1, axis % 3 + 1)
        case("one_hot", {"i": index, "d": known(5), "v": Same(values)}, [y], {"axis": axis})

z = np.round(f32(2, 6, 9, 4) * 2) / 2
z[0, 0, 0, 0] = -0.0
for x in (z, (z * 2).astype(np.int32)):
    for axis in (0, 1, 2, -1):
        for k in (1, 3, x.shape[1:][axis]):
            for largest in (True, False):
                order = np.argsort(-x if largest else x, axis % 3 + 1, kind="stable")
                order = np.take(order, range(k), axis % 3 + 1).astype(np.int32)
                y = np.take_along_axis(x, order, axis % 3 + 1)
                if k == 3:
                    case("top_k", {"x": x, "k": known(3)}, [y, order], {"axis": axis, "k_from": "k", "largest": largest})
                else:
                    case("top_k", {"x": x}, [y, order], {"axis": axis, "k": k, "largest": largest, "sorted": False})
gap = np.array([[1, np.nan, -np.inf, np.nan, np.inf, 2]], np.float32)
case("top_k", {"x": gap}, [gap[:, [4, 5, 0, 2, 1]], i([4, 5, 0, 2, 1])], {"k": 5})
case("top_k", {"x": gap}, [gap[:, [2, 0, 5, 4, 1, 3]], i([2, 0, 5, 4, 1, 3])], {"k": 6, "largest": False})

# ---- what depends on data -------------------------------------------------------------------------------------------
for x in (i32(0, 2, 3, 4, 2), i32(0, 3, 7), i(5), np.array(3, np.int32), (f32(4, 3) > 0) * f32(4, 3)):
    case("non_zero", {"x": Same(x, True)}, [np.stack(np.nonzero(np.atleast_1d(x))).astype(np.int32)])
z = f32(2, 3, 4, 2)
for axis, condition in ((0, (0, 1, 1)), (1, (1, 0, 7)), (-1, (0, -1)), (1, (1, 0, 0, 1, 1, 1))):
    y = z.take([k for k, c in enumerate(condition[:z.shape[1:][axis]]) if c], axis % 3 + 1)
    case("compress", {"x": z, "c": known(*condition)}, [y], {"axis": axis})
case("compress", {"x": z, "c": known(0, 1, 0, 0, 1)}, [z.reshape(2, -1)[:, [1, 4]]])


def unique(x, axis, ordered):
    y, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not ordered:
        order = np.argsort(first)
        y, first, counts = np.take(y, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [y, *(v.astype(np.int32) for v in (first, inverse, counts))]


for x in (i32(0, 4, 3, 5), i32(0, 2, 4, 2, 3), np.round(f32(30)), np.array([np.nan, 1, np.nan, -1, 1, 0], np.float32), i(4)):
    for axis in (None, *range(x.ndim)):
        for ordered in (True, False):
            attributes = ({} if axis is None else {"axis": axis}) | ({} if ordered else {"sorted": False})
            case("unique", {"x": Same(x, True)}, unique(x, axis, ordered), attributes)
case("unique", {"x": known(3, 1, 3)}, [i(1, 3)])

# ---- parameter ------------------------------------------------------------------------------------------------------
big = np.array([2**31 - 1, -2**31, 16777217, 2**40, -2**40], np.int64)
clamped = np.clip(big, -2**31, 2**31 - 1).astype(np.int32)
case("parameter", {"x": f32(1, 1)}, [clamped], {"in": [], "weight": "w", "dtype": "i32"}, {"w": big})
case("parameter", {"x": f32(1, 1)}, [clamped], {"in": [], "weight": "w", "dtype": "i32"}, {"w": clamped})
case("parameter", {"x": f32(1, 1)}, [np.array([[0, 1], [1, 255]], np.int32)], {"in": [], "weight": "w", "dtype": "i32"}, {"w": np.array([[0, 1], [1, 255]], np.uint8)})
case("parameter", {"x": f32(1, 1)}, [np.array([0, 1], np.int32)], {"in": [], "weight": "w", "dtype": "i32"}, {"w": np.array([False, True])})


def refuse(node, *fragments, dtype="f32", shape=(2, 3, 4), more=None, out="y"):
    inputs = {"x": (list(shape), dtype)} | {key: (list(s), d) for key, (s, d) in (more or {}).items()}
    errors.append({
        "name": f"indexing_error_{len(errors)}", "inputs": {key: s for key, (s, _) in inputs.items()}, "error": list(fragments),
        "description": {
            "format": "attn/1", "name": "refused", "inputs": {key: {"shape": s, "dtype": d} for key, (s, d) in inputs.items()},
            "graph": [{"in": list(inputs), **node, "out": out}], "outputs": {"y": {}}}})


INDEX = {"i": ((5,), "i32")}
refuse({"layer": "reshape", "in": "x", "shape_from": "i"}, "input 1 (shape)", "must be known", more=INDEX)
refuse({"layer": "reshape", "shape": [24], "shape_from": "x"}, 'both "shape" and "shape_from"')
refuse({"layer": "reshape", "shape": [2, 3, 4, 0], "allow_zero": True}, '"shape" has 0 at 3')
refuse({"layer": "reshape", "shape": [1] * 9}, '"shape"', "9 ", "at most 7")
refuse({"layer": "flatten", "axis": 4}, "axis 4", "[2, 3, 4]")
refuse({"layer": "flatten", "axis": -4}, "axis -4", "[2, 3, 4]")
refuse({"layer": "squeeze", "axes": [1]}, "dimension 1 of input [2, 3, 4] is not 1")
refuse({"layer": "squeeze", "axes": [3]}, '"axes" has 3, but the rank is 3')
refuse({"layer": "unsqueeze"}, '"axes" is missing')
refuse({"layer": "unsqueeze", "axes": [0, -4]}, '"axes" has axis 0 twice', shape=(2, 3))
refuse({"layer": "unsqueeze", "axes": [0, 1, 2, 3, 4]}, "rank 8, at most 7")
refuse({"layer": "expand"}, '"shape" is missing')
refuse({"layer": "expand", "shape": [2, 2, 4]}, "[2, 3, 4]", "do not broadcast: 3 and 2")
refuse({"layer": "expand", "shape": [0]}, '"shape"')
refuse({"layer": "expand", "shape": [1 << 40, 1 << 40, 1, 1, 1]}, "more elements than can be counted")
refuse({"layer": "tile", "repeats": [2]}, '"repeats" has 1 numbers for input [2, 3, 4]')
refuse({"layer": "tile", "repeats": [1 << 40, 1 << 40, 1]}, "more elements than can be counted")
refuse({"layer": "transpose", "reverse": True, "axes": [0, 1, 2]}, '"axes" and "reverse"')
refuse({"layer": "slice", "starts": [0]}, '"starts" and "ends"')
refuse({"layer": "slice", "starts": [0], "ends": [1, 2]}, "not equally long")
refuse({"layer": "slice", "starts": [0], "ends": [1], "steps": [0]}, '"steps" has 0')
refuse({"layer": "slice", "starts": [2], "ends": [2]}, "[2, 2)", "dimension 0 of input [2, 3, 4]")
refuse({"layer": "slice", "starts": [0, 0], "ends": [1, 1], "axes": [1, -2]}, '"axes" has axis 1 twice')
refuse({"layer": "slice", "starts": [0] * 4, "ends": [1] * 4}, '"starts" has 4 numbers, expected at most 3')
refuse({"layer": "slice", "starts": [0], "ends": [1], "axis": 0}, 'no key "axis"')
refuse({"layer": "split", "axis": 1, "parts": 2}, '"parts" is 2, but there are 1 outputs')
refuse({"layer": "split", "axis": 1, "parts": 1, "sizes": [3]}, "one is enough")
refuse({"layer": "split", "axis": 0, "parts": 3}, "output 2 of 3 would have no elements", out=["y", "a", "b"])
refuse({"layer": "split", "in": "x", "sizes_from": "i"}, "(sizes_from)", "must be known", more=INDEX)
refuse({"layer": "pad"}, '"pads" is missing')
refuse({"layer": "pad", "pads": [1, 1]}, '"pads" has 2 numbers, expected 6 for input [2, 3, 4]')
refuse({"layer": "pad", "pads": [0, 0, -2, 0, 0, -2]}, "-2 and -2 leave nothing of dimension 2")
refuse({"layer": "pad", "pads": [1 << 40, 1 << 40, 0, 0, 0, 0]}, "more elements than can be counted")
refuse({"layer": "pad", "pads": [1, 1], "axes": [0], "mode": "mirror"}, "expected one of: constant, reflect, edge, wrap")
refuse({"layer": "pad", "pads": [1, 1], "axes": [0], "value": 1}, "given twice", more={"v": ((1,), "f32")})
refuse({"layer": "pad", "pads": [1, 1], "axes": [0]}, "the constant has 2 elements", more={"v": ((2,), "f32")})
refuse({"layer": "gather", "axis": 3}, "axis 3", more=INDEX)
refuse({"layer": "gather"}, "i32", more={"i": ((2,), "f32")})
refuse({"layer": "gather"}, "rank 8, at most 7", more={"i": ((1,) * 6, "i32")})
refuse({"layer": "gather_elements"}, "rank 3", more=INDEX)
refuse({"layer": "gather_elements", "axis": 1}, "indices [2, 9, 5] do not fit input [2, 3, 4] along axis 1", more={"i": ((2, 9, 5), "i32")})
refuse({"layer": "gather_nd"}, "indices [5] do not fit input [2, 3, 4]", more=INDEX)
refuse({"layer": "gather_nd", "batch_dims": 1}, "indices [3, 2] do not fit input [2, 3, 4]", more={"i": ((3, 2), "i32")})
refuse({"layer": "gather_nd", "batch_dims": 3}, "indices [2, 3, 4, 1] do not fit", more={"i": ((2, 3, 4, 1), "i32")})
refuse({"layer": "scatter_nd", "reduction": "sum"}, "expected one of: none, add, mul, max, min", more={"i": ((2, 1), "i32"), "u": ((2, 3, 4), "f32")})
refuse({"layer": "scatter_nd"}, "the updates are [2, 3], expected [2, 3, 4]", more={"i": ((2, 1), "i32"), "u": ((2, 3), "f32")})
refuse({"layer": "scatter_nd"}, "f32", more={"i": ((2, 1), "i32"), "u": ((2, 3, 4), "i32")})
refuse({"layer": "scatter_elements"}, "the updates are [1, 1, 2], expected [1, 1, 1]", more={"i": ((1, 1, 1), "i32"), "u": ((1, 1, 2), "f32")})

refuse({"layer": "trilu"}, "[5]", "rank 2", shape=(5,))
refuse({"layer": "trilu", "k": [1, 2]}, '"k" has 2 numbers, expected at most 1')
refuse({"layer": "eye_like"}, "rank 2")
refuse({"layer": "depth_to_space", "block": 2}, "input [2, 3, 4] does not divide into blocks of 2")
refuse({"layer": "space_to_depth", "block": 2}, "input [2, 3, 4] does not divide into blocks of 2")
refuse({"layer": "space_to_depth", "block": 0}, '"block"')
refuse({"layer": "depth_to_space"}, '"block" is missing')
refuse({"layer": "reverse_sequence"}, "5 lengths for axes 0 and 1", more=INDEX)
refuse({"layer": "reverse_sequence", "batch_axis": 0}, "5 lengths for axes 0 and 0", more=INDEX)
refuse({"layer": "one_hot"}, "(the depth)", "must be known", dtype="i32", more={"d": ((1,), "i32"), "v": ((2,), "f32")})
refuse({"layer": "one_hot"}, "i32", more={"d": ((1,), "i32"), "v": ((2,), "f32")})
refuse({"layer": "top_k", "axis": 3, "k": 1}, "axis 3")
refuse({"layer": "top_k", "axis": 1, "k": 4}, '"k" is 4, but input [2, 3, 4] has rows of 3')
refuse({"layer": "top_k", "in": "x", "k_from": "i"}, "(k)", "must be known", more={"i": ((1,), "i32")})
refuse({"layer": "non_zero"}, "(what is not zero) is computed from data, but must be known")
refuse({"layer": "compress"}, "(what is not zero)", more=INDEX)
refuse({"layer": "unique"}, "(what is unique)")

for name, items in (("indexing", cases), ("indexing_errors", errors)):
    text = "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"
    (HERE / f"{name}.json").write_text(text)
save_file(tensors, HERE / "indexing.safetensors")
print(len(cases), "cases,", len(errors), "errors")
