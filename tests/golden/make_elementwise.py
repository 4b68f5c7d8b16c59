"""Writes tests/golden/elementwise.json and elementwise.safetensors: cases of the layers that work element by element,
reduce, scan or make constants; elementwise_errors.json: what must be refused.

The references are NumPy's and PyTorch's in float64, and the formulas of the ONNX operators.

    python tests/golden/make_elementwise.py
"""

import json
import pathlib

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20261127)
cases, tensors, errors = [], {}, []
INF, NAN = np.inf, np.nan


def f32(*shape):
    return (rng.standard_normal(shape) * 2).astype(np.float32)


def i32(low, high, *shape):
    return rng.integers(low, high, shape).astype(np.int32)


class Same:
    """An input that is the same for every item; known: its elements are known when the run is planned."""

    def __init__(self, array, known=False):
        self.array, self.known = np.asarray(array), known


def port(x):
    array = x.array if isinstance(x, Same) else x
    shape = x.array.shape if isinstance(x, Same) else x.shape[1:]
    entry = {"shape": list(shape), "dtype": "i32" if array.dtype == np.int32 else "f32"}
    return entry | ({"known": True} if isinstance(x, Same) and x.known else {})


def case(layer, inputs, output, tolerance=0.0, weights=None, **attributes):
    """inputs: batches of items, or Same; output: what the batch gives."""
    name = f"{layer}_{sum(c['name'].rsplit('_', 1)[0] == layer for c in cases)}"
    for key, x in inputs.items():
        tensors[f"{name}/in/{key}"] = np.array(x.array if isinstance(x, Same) else x, order="C")
    for key, x in (weights or {}).items():
        tensors[f"{name}/w/{key}"] = x
    output = np.asarray(output)
    output = output.astype(np.int32 if output.dtype.kind in "iub" else np.float32)
    tensors[f"{name}/out/y"] = np.array(output, order="C")
    operands = [key for key in inputs if not any(key == v for k, v in attributes.items() if k.endswith("_from"))]
    node = {"layer": layer, "in": operands, "out": "y", **attributes}
    description = {"format": "attn/1", "name": name, "weights": {"prefix": [f"{name}/w/"]},
                   "inputs": {k: port(x) for k, x in inputs.items()}, "graph": [node], "outputs": {"y": {}}}
    cases.append({"name": name, "description": description, "inputs": list(inputs), "outputs": ["y"], "tolerance": tolerance})


def wide(x):
    return x.astype(np.float64) if x.dtype == np.float32 else x.astype(np.int64)


# ---- functions of one element ---------------------------------------------------------------------------------------

EDGES = np.array([0, -0.0, 1, -1, 0.5, 1.5, 2.5, -0.5, -1.5, 3, -3, 6, 1e-30, 1e30, -1e30, 88, -100, INF, -INF, NAN], np.float32)


def softplus(x):
    return np.logaddexp(x, 0)


def clipped(alpha, beta):
    return lambda x: np.where(np.isnan(x), NAN, np.clip(alpha * x + beta, 0, 1))


def elu(alpha, gamma=1, inner=1):
    return lambda x: np.where(x < 0, gamma * alpha * np.expm1(np.minimum(x, 0) / inner), gamma * x)


FUNCTIONS = {  # f, tolerance, attributes
    "abs": (np.abs, 0), "neg": (np.negative, 0), "ceil": (np.ceil, 0), "floor": (np.floor, 0), "round": (np.rint, 0), "sign": (np.sign, 0),
    "reciprocal": (lambda x: 1 / x, 1e-7), "sqrt": (np.sqrt, 1e-7), "exp": (np.exp, 3e-7),
    "log": (np.log, 1e-7), "erf": (lambda x: torch.erf(torch.from_numpy(x)).numpy(), 2e-7), "softplus": (softplus, 1e-7),
    "softsign": (lambda x: np.where(np.isinf(x), NAN, x / (1 + np.abs(x))), 1e-7), "mish": (lambda x: x * np.tanh(softplus(x)), 1e-7),
    "hard_swish": (lambda x: x * clipped(1 / 6, 0.5)(x), 1e-6),
    **{name: (getattr(np, name.replace("a", "arc", 1) if name[0] == "a" else name), 1e-7)
       for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")},
}
np.seterr(all="ignore")
for name, (f, tolerance) in FUNCTIONS.items():
    for x in (f32(3, 5, 7), f32(2, 1100) if name in ("abs", "sin") else f32(2, 90), f32(2) / 4, np.stack([EDGES, np.float32(0.9) * EDGES])):
        y = f(wide(x))
        if name in ("exp", "sinh", "cosh"):
            y = y.astype(np.float32)
        case(name, {"x": x}, y, tolerance)
WITH = [
    ("leaky_relu", {}, lambda x: np.where(x < 0, 0.01 * x, x)), ("leaky_relu", {"alpha": 1.5}, lambda x: np.where(x < 0, 1.5 * x, x)),
    ("leaky_relu", {"alpha": -0.25}, lambda x: np.where(x < 0, -0.25 * x, x)),
    ("elu", {}, elu(1)), ("elu", {"alpha": 0.5}, elu(0.5)), ("celu", {}, elu(1)), ("celu", {"alpha": 2}, elu(2, 1, 2)),
    ("selu", {}, elu(1.67326319217681884765625, 1.05070102214813232421875)), ("selu", {"alpha": 2, "gamma": 3}, elu(2, 3)),
    ("hard_sigmoid", {}, clipped(0.2, 0.5)), ("hard_sigmoid", {"alpha": 0.6, "beta": 0.25}, clipped(0.6, 0.25)),
    ("thresholded_relu", {}, lambda x: np.where((x > 1) | np.isnan(x), x, 0)), ("thresholded_relu", {"alpha": -1}, lambda x: np.where((x > -1) | np.isnan(x), x, 0)),
    ("shrink", {}, lambda x: np.where(x < -0.5, x, np.where(x > 0.5, x, np.where(np.isnan(x), x, 0)))),
    ("shrink", {"lambda": 1.5, "bias": 0.5}, lambda x: np.where(x < -1.5, x + 0.5, np.where(x > 1.5, x - 0.5, np.where(np.isnan(x), x, 0)))),
]
for name, attributes, f in WITH:
    for x in (f32(2, 130), np.stack([EDGES, EDGES])):
        case(name, {"x": x}, f(wide(x)), 3e-7, **attributes)
small = i32(-9, 9, 2, 4, 5)
ENDS = np.array([[0, 1, -1, 2**31 - 1, -(2**31)]], np.int32)
for x in (small, ENDS):
    case("abs", {"x": x}, np.abs(x))
    case("neg", {"x": x}, np.negative(x))
    case("sign", {"x": x}, np.sign(x))
    case("not", {"x": x}, x == 0)
    case("bit_not", {"x": x}, ~x)
case("is_nan", {"x": EDGES[None]}, np.isnan(EDGES[None]))
for signs in ({}, {"positive": False}, {"negative": False}):
    case("is_inf", {"x": EDGES[None]}, np.isposinf(EDGES[None]) & signs.get("positive", True) | np.isneginf(EDGES[None]) & signs.get("negative", True), **signs)

# ---- two operands ---------------------------------------------------------------------------------------------------

PAIRS = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (2, 4)), ((2, 3, 1), (2, 1, 5)), ((2,), (2, 3, 2)), ((2, 7), (2, 1)), ((2, 2, 1, 3, 1), (2, 4, 1, 6))]


def pair(make, a, b):
    """The shapes are those of batches; items broadcast."""
    x, y = make(*a), make(*b)
    rank = max(x.ndim, y.ndim)
    return x, y, *(v.reshape((len(v),) + (1,) * (rank - v.ndim) + v.shape[1:]) for v in (x, y))


def wrap(x):
    return np.asarray(x).astype(np.int64).astype(np.uint64).astype(np.uint32).view(np.int32) if np.ndim(x) else x


def divided(a, b):
    return np.where(b == 0, 0, np.trunc(a / np.where(b == 0, 1, b)))


COMPARISONS = {"equal": np.equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal}
REAL = {"mod": np.mod, "prelu": lambda a, b: np.where(a < 0, a * b, a), **COMPARISONS}
WHOLE = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": divided, "max": np.maximum, "min": np.minimum, "mod": lambda a, b: np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b))),
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, **COMPARISONS}
for name, f in REAL.items():
    for a, b in PAIRS:
        x, y, u, v = pair(f32, a, b)
        if name in COMPARISONS:
            x, y, u, v = (np.rint(w).astype(np.float32) for w in (x, y, u, v))
        case(name, {"x": x, "y": y}, f(u, v) if name == "mod" else f(wide(u), wide(v)), 2e-7)
for name, f in WHOLE.items():
    for a, b in PAIRS:
        x, y, u, v = pair(lambda *s: i32(-4, 5, *s), a, b)
        case(name, {"x": x, "y": y}, f(wide(u), wide(v)))
u, v = np.repeat(ENDS, 5, 1), np.tile(ENDS, (1, 5))
for name in ("add", "sub", "mul"):
    case(name, {"x": u, "y": v}, wrap(WHOLE[name](wide(u), wide(v))))
for name in ("less", "greater_equal", "max", "mod"):
    case(name, {"x": u, "y": v}, WHOLE[name](wide(u), wide(v)))
case("div", {"x": u, "y": v}, [[0, 0, 0, 0, 0, 0, 1, -1, 0, 0, 0, -1, 1, 0, 0, 0, 2**31 - 1, 1 - 2**31, 1, 0, 0, -(2**31), -(2**31), -1, 1]])
for name in COMPARISONS:
    a, b = np.repeat(EDGES, len(EDGES))[None], np.tile(EDGES, len(EDGES))[None]
    case(name, {"x": a, "y": b}, COMPARISONS[name](a, b))
    case(name, {"x": a}, COMPARISONS[name](a, np.float32(1.5)), value=1.5)
a, b = f32(2, 60), f32(2, 60)
case("mod", {"x": a, "y": b}, np.fmod(a, b), fmod=True)
a, b = i32(-20, 20, 2, 60), i32(1, 9, 2, 60) * 3 - 13
case("mod", {"x": a, "y": b}, np.fmod(a, b), fmod=True)
case("mod", {"x": a}, np.mod(a, 7), value=7)
case("add", {"x": a}, a + 100000, value=100000)
for e in (2, 0.5, 3, -1, 0, 1.7, -2.5):
    x = np.abs(f32(2, 40))
    case("pow", {"x": x}, wide(x) ** np.float64(np.float32(e)), 3e-7, value=e)
x, y, u, v = pair(lambda *s: np.abs(f32(*s)), (2, 3, 1), (2, 1, 5))
case("pow", {"x": x, "y": y}, wide(u) ** wide(v), 3e-7)
x = f32(2, 50)
case("pow", {"x": x, "y": Same(np.float32(2))}, wide(x) ** 2, 3e-7)
a = np.array([[-2, -1, 0, 1, 2, 3, 10, 7]], np.int32)
for e in (0, 1, 2, 3, 8):
    case("pow", {"x": a, "y": Same(np.int32(e))}, wide(a) ** e)
case("pow", {"x": a[:, [0, 1, 3, 4]], "y": Same(np.int32(-3))}, [[0, -1, 1, 0]])
bits = np.array([[0, 1, 5, 255, 2**30, -1, -(2**31)]], np.int32)
for s in (0, 1, 4, 31, 32):
    unsigned = bits.view(np.uint32).astype(np.uint64)
    case("shift_left", {"x": bits, "y": Same(np.int32(s))}, (unsigned << s).astype(np.uint32).view(np.int32))
    case("shift_right", {"x": bits, "y": Same(np.int32(s))}, (unsigned >> s).astype(np.uint32).view(np.int32))

# ---- where, clip, cast ----------------------------------------------------------------------------------------------

for a, b, c in (((2, 3, 4), (2, 3, 4), (2, 3, 4)), ((2, 1, 4), (2,), (2, 3, 1)), ((2,), (2, 5), (2, 3, 5)), ((2, 3000), (2, 3000), (2,))):
    for make in (f32, lambda *s: i32(-99, 99, *s)):
        p, x, y = i32(0, 2, *a) * 3, make(*b), make(*c)
        rank = max(len(a), len(b), len(c))
        full = [v.reshape((2,) + (1,) * (rank - v.ndim) + v.shape[1:]) for v in (p, x, y)]
        case("where", {"p": p, "x": x, "y": y}, np.where(*full))
p, x = i32(0, 2, 6, 6), f32(2, 3, 6, 6)
case("where", {"p": Same(p), "x": x, "y": Same(np.float32(-INF))}, np.where(p, x, -INF))
for limits in ({"min": -1, "max": 1.5}, {"min": 0}, {"max": 0.25}, {}, {"min": 2, "max": -2}):
    for x in (f32(2, 2500), EDGES[None]):
        y = np.minimum(np.maximum(x, np.float32(limits.get("min", -INF))), np.float32(limits.get("max", INF)))
        case("clip", {"x": x}, y, **limits)
    x = i32(-5, 6, 2, 30)
    case("clip", {"x": x}, np.minimum(np.maximum(x, limits.get("min", -99)), int(limits.get("max", 99) // 1)), **limits)
x, low, high = f32(2, 30), f32(2), f32(2) + 3
case("clip", {"x": x, "a": low, "b": high}, np.clip(x, low[:, None], high[:, None]), min_from="a", max_from="b")
x = i32(-50, 50, 2, 30)
case("clip", {"x": x, "b": Same(np.array([7], np.int32))}, np.minimum(x, 7), max_from="b")
NUMBERS = np.concatenate([EDGES, f32(300) * 100, np.ldexp(f32(300), rng.integers(-30, 20, 300)).astype(np.float32), np.array([65504, 65519.99, 65520, 2**-24, 2**-25, 3 * 2.0**-25, 2**-14], np.float32)])[None]
for to, dtype in (("f16", np.float16), ("bf16", ml_dtypes.bfloat16), ("f32", np.float32)):
    case("cast", {"x": NUMBERS}, NUMBERS.astype(dtype).astype(np.float32), to=to)
whole = np.where(np.isnan(NUMBERS), 0, np.clip(np.trunc(wide(NUMBERS)), -(2**31), 2**31 - 1)).astype(np.int64)
INTEGERS = np.concatenate([ENDS[0], i32(-70000, 70000, 300)])[None]
for to, dtype in (("i32", np.int32), ("u32", np.int32), ("i16", np.int16), ("u16", np.uint16), ("i8", np.int8), ("u8", np.uint8)):
    case("cast", {"x": NUMBERS}, whole.astype(dtype).astype(np.int32), to=to)
    case("cast", {"x": INTEGERS}, INTEGERS.astype(dtype).astype(np.int32), to=to)
case("cast", {"x": NUMBERS}, NUMBERS != 0, to="bool")
case("cast", {"x": INTEGERS}, INTEGERS != 0, to="bool")
case("cast", {"x": INTEGERS}, INTEGERS.astype(np.float32), to="f32")

# ---- reductions and scans -------------------------------------------------------------------------------------------


def lse(x, axis, keepdims):
    top = np.max(x, axis, keepdims=True)
    top = np.where(np.isinf(top), 0, top)
    y = np.log(np.sum(np.exp(x - top), axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis)


REDUCTIONS = {
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod,
    "l1": lambda x, a, keepdims: np.sum(np.abs(x), a, keepdims=keepdims), "l2": lambda x, a, keepdims: np.sqrt(np.sum(x * x, a, keepdims=keepdims)),
    "log_sum": lambda x, a, keepdims: np.log(np.sum(x, a, keepdims=keepdims)), "log_sum_exp": lse,
    "sum_square": lambda x, a, keepdims: np.sum(x * x, a, keepdims=keepdims)}
SHAPES = [((2, 5), [0]), ((2, 3, 4), [-1]), ((2, 3, 4), [0]), ((2, 4, 5, 7), [1, 2]), ((2, 3, 5, 270), [-3, 1]), ((2, 2, 3, 4, 5), [0, 2]), ((2, 2, 3, 4, 5), [3, 1]),
          ((2, 3, 1, 4), [1]), ((2, 800), [0]), ((2, 4, 1), [1])]
for name, f in REDUCTIONS.items():
    def run(x, axes, keep, **attributes):
        axis = tuple(a + 1 if a >= 0 else a for a in axes) if axes is not None else tuple(range(1, x.ndim))
        y = f(wide(x), axis, keepdims=keep)
        if x.dtype == np.int32:
            y = np.trunc(y).astype(np.int64)
        case(f"reduce_{name}", {"x": x}, y, 1e-5 if f in (np.sum, np.mean, np.prod) else 2e-6, keep=keep, **({} if axes is None else {"axes": axes}), **attributes)
    for i, (shape, axes) in enumerate(SHAPES):
        x = np.abs(f32(*shape)) if name == "log_sum" else f32(*shape)
        if name == "prod":
            x = np.sign(x) * np.exp(x / 20)
        run(x, axes, i % 2 == 0)
        run(x, None, i % 2 == 1)
    if name in ("l2", "log_sum", "log_sum_exp"):
        continue
    for shape, axes in SHAPES[:7]:
        run(i32(-3, 4, *shape), axes, False)
x = f32(2, 3, 4)
case("reduce_sum", {"x": x}, x, noop=True)
case("reduce_sum", {"x": x, "a": Same(np.array([-1], np.int32), True)}, wide(x).sum(2), 1e-6, keep=False, axes_from="a")
x = np.array([[[-INF, -INF], [INF, 1], [NAN, 1], [1, -INF]]], np.float32)
for name in ("sum", "max", "min", "mean", "log_sum_exp"):
    for axes in ([1], [0]):
        case(f"reduce_{name}", {"x": x}, REDUCTIONS[name](wide(x), axes[0] + 1, keepdims=True), 1e-6, axes=axes)
for shape, axis in (((2, 9), 0), ((2, 3, 4), -1), ((2, 3, 4), 0), ((2, 4, 3, 5), 1), ((2, 4, 3, 5), -3)):
    for x in (f32(*shape), i32(0, 3, *shape), np.rint(f32(*shape))):
        at = axis + 1 if axis >= 0 else axis
        n = x.shape[at]
        for keep, last in ((False, False), (True, True)):
            for name, g in (("argmax", np.argmax), ("argmin", np.argmin)):
                y = n - 1 - g(np.flip(x, at), at) if last else g(x, at)
                case(name, {"x": x}, np.expand_dims(y, at) if keep else y, axis=axis, keep=keep, last=last)
        for exclusive in (False, True):
            for reverse in (False, True):
                y = np.flip(wide(x), at) if reverse else wide(x)
                y = np.cumsum(y, at) - (y if exclusive else 0)
                case("cumsum", {"x": x}, np.flip(y, at) if reverse else y, 2e-6, axis=axis, exclusive=exclusive, reverse=reverse)
x = f32(2, 3, 4)
case("cumsum", {"x": x, "a": Same(np.int32(1), True)}, np.cumsum(wide(x), 2), 1e-6, axis_from="a")
for shape, axis, rest in (((2, 5), 0, False), ((2, 3, 7), -1, False), ((2, 3, 7), 0, False), ((2, 3, 4, 5), 1, False), ((2, 3, 4, 5), 1, True), ((2, 3, 4, 5), 0, True), ((2, 300), 0, True)):
    x = f32(*shape)
    at = axis + 1 if axis >= 0 else axis
    flat = x.reshape(*x.shape[:at], -1) if rest else x
    at = -1 if rest else at
    t = torch.from_numpy(wide(flat))
    one = np.zeros_like(flat)
    np.put_along_axis(one, np.expand_dims(np.argmax(flat, at), at), 1, at)
    for name, y in (("softmax", torch.softmax(t, at).numpy()), ("log_softmax", torch.log_softmax(t, at).numpy()), ("hardmax", one)):
        case(name, {"x": x}, y.reshape(x.shape), 1e-6, axis=axis, rest=rest)
x = np.array([[[1, 3, 3, 2], [2, 2, 2, 2], [1e4, -1e4, 0, 1e4]]], np.float32)
case("hardmax", {"x": x}, [[[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]])
case("log_softmax", {"x": x}, torch.log_softmax(torch.from_numpy(wide(x)), -1).numpy(), 1e-6)

# ---- values without data --------------------------------------------------------------------------------------------

def made(layer, output, more=None, **attributes):
    """A layer without inputs but those that are known."""
    case(layer, {}, output, 0, **attributes)
    inputs = more or {"unused": Same(np.zeros(1, np.float32))}
    for key, x in inputs.items():
        tensors[f"{cases[-1]['name']}/in/{key}"] = x.array
    d = cases[-1]["description"]
    d["inputs"] = {k: port(x) for k, x in inputs.items()}
    cases[-1]["inputs"] = list(inputs)
    if layer == "range":
        d["graph"][0]["in"] = list(inputs)


made("constant", np.float32(2.5), value=2.5)
made("constant", np.array([5], np.int32), value=[5], dtype="i32")
made("constant", np.array([[1, -2, 3]], np.float32), value=[1, -2, 3], shape=[1, 3])
made("constant", np.array([INF, -INF, NAN, 1e-40], np.float32), value=["inf", "-inf", "nan", 1e-40])
made("constant", np.array([2**31 - 1, -(2**31)], np.int32), value=[2**31 - 1, -(2**31)], dtype="i32")
made("constant", np.float32(INF), value="inf", shape=[])
made("constant", np.arange(1024, dtype=np.float32).reshape(4, 256), value=list(range(1024)), shape=[4, 256])
made("fill", np.full((2, 3), -1.5, np.float32), value=-1.5, shape=[2, 3])
made("fill", np.zeros((), np.float32), shape=[])
made("fill", np.full((4,), 7, np.int32), value=7, dtype="i32", shape=[4])
made("fill", np.full((3, 2), 1, np.int32), {"s": Same(np.array([3, 2], np.int32), True)}, value=1, dtype="i32", shape_from="s")
for start, limit, delta in ((0, 5, 1), (10, 4, -2), (-3, 4, 3), (1, 2, 5)):
    for dtype in (np.int32, np.float32):
        ends = {k: Same(dtype(v), True) for k, v in zip("abc", (start, limit, delta))}
        made("range", np.arange(start, limit, delta).astype(dtype), ends)
made("range", (np.arange(4) * np.float64(np.float32(0.3))).astype(np.float32), {k: Same(np.float32(v), True) for k, v in zip("abc", (0, 1, 0.3))})
for x in (f32(2, 3, 4), i32(0, 9, 2, 3, 4), f32(2)):
    case("identity", {"x": x}, x)
    case("size", {"x": Same(x)}, np.int32(x.size))
for start, end in ((None, None), (1, None), (-2, None), (0, 2), (1, -1), (-9, 9)):
    ends = {k: v for k, v in (("start", start), ("end", end)) if v is not None}
    case("shape", {"x": Same(f32(2, 3, 4))}, np.array((2, 3, 4)[start:end], np.int32), **ends)

for x in (3 * f32(2, 90), EDGES[None]):
    case("relu6", {"x": x}, np.clip(x, 0, 6))

# ---- transforms and determinants ------------------------------------------------------------------------------------


def parts(z):
    return np.stack([z.real, z.imag], -1)


for shape, axis in (((2, 12, 1), 0), ((2, 9, 2), -2), ((2, 3, 10, 2), 0), ((2, 4, 5, 3, 1), 1)):
    x = f32(*shape)
    z = wide(x)[..., 0] + (1j * wide(x)[..., 1] if shape[-1] == 2 else 0)
    at = axis + 1 if axis >= 0 else z.ndim + axis + 1
    for length in (None, 7, 16):
        case("dft", {"x": x}, parts(np.fft.fft(z, length, at)), 1e-6, axis=axis, **({"length": length} if length else {}))
        case("dft", {"x": x}, parts(np.fft.ifft(z, length, at)), 1e-6, axis=axis, inverse=True, **({"length": length} if length else {}))
        half = np.moveaxis(np.moveaxis(np.fft.fft(z, length, at), at, 0)[: (length or z.shape[at]) // 2 + 1], 0, at)
        case("dft", {"x": x}, parts(half), 1e-6, axis=axis, onesided=True, **({"length": length} if length else {}))
case("dft", {"x": x, "n": Same(np.int32(4), True)}, parts(np.fft.fft(z, 4, 2)), 1e-6, axis=1, length_from="n")
for shape in ((3, 1, 1), (3, 2, 2), (2, 3, 4, 4), (2, 7, 7)):
    x = f32(*shape)
    case("det", {"x": x}, np.linalg.det(wide(x)), 1e-6)
case("det", {"x": np.array([[[0, 1], [1, 0]], [[1, 2], [2, 4]], [[0, 0], [0, 1]]], np.float32)}, [-1, 0, 0])

# ---- layers that follow each other, which run in one pass ------------------------------------------------------------


def chain(layers, inputs, output, tolerance=3e-7):
    """layers: (name, attributes); the first takes all inputs, each other one what the one before gives."""
    case("chain", inputs, output, tolerance)
    node = [{"layer": layer, "in": f"v{i - 1}" if i else list(inputs), "out": f"v{i}", **more} for i, (layer, more) in enumerate(layers)]
    node[-1]["out"] = "y"
    cases[-1]["description"]["graph"] = node


def value(layer, number):
    return layer, {"value": number}


hs = FUNCTIONS["hard_swish"][0]
MANY = [value("mul", 1.5), value("add", -0.25), ("hard_swish", {}), value("mul", 0.75), value("sub", 0.5), value("max", -0.125), value("min", 2), value("div", 3), ("relu", {})]
for shape in ((2, 30), (2, 5, 1700), (3, 1)):
    x = f32(*shape)
    z = np.minimum(np.maximum(hs(wide(x) * 1.5 - 0.25) * 0.75 - 0.5, -0.125), 2)
    chain(MANY[:2], {"x": x}, wide(x) * 1.5 - 0.25)
    chain(MANY[:7], {"x": x}, z, 1e-6)
    chain(MANY, {"x": x}, np.maximum(z / 3, 0), 1e-6)
    chain(MANY[2:5], {"x": x}, hs(wide(x)) * 0.75 - 0.5, 1e-6)
    chain([("relu", {}), ("sqrt", {}), value("add", 1)], {"x": x}, np.sqrt(np.maximum(wide(x), 0)) + 1)
for a, b in (((2, 3, 4), (2, 4)), ((2, 3, 1), (2, 1, 5)), ((2,), (2, 3, 2))):
    x, y, u, v = pair(f32, a, b)
    chain([("sub", {}), value("mul", 2), ("tanh", {})], {"x": x, "y": y}, np.tanh((wide(u) - wide(v)) * 2), 1e-6)
x = i32(-9, 9, 2, 7)
chain([value("add", 3), value("mul", -2), value("max", 0)], {"x": x}, np.maximum((x + 3) * -2, 0))

# ---- what must be refused -------------------------------------------------------------------------------------------


def refuse(node, *fragments, shapes=None, dtypes=None, known=()):
    shapes = shapes or {"x": [2, 3, 4]}
    inputs = {k: {"shape": s, "dtype": (dtypes or {}).get(k, "f32")} | ({"known": True} if k in known else {}) for k, s in shapes.items()}
    errors.append({"name": f"elementwise_error_{len(errors)}", "inputs": shapes, "error": list(fragments),
                   "description": {"format": "attn/1", "name": "refused", "inputs": inputs, "graph": [{**node, "out": "y"}], "outputs": {"y": {}}}})


def x(layer, **attributes):
    return {"layer": layer, "in": "x", **attributes}


def xy(layer, **attributes):
    return {"layer": layer, "in": ["x", "y"], **attributes}


INT = {"x": "i32", "y": "i32"}
BOTH = {"x": [2, 3], "y": [2, 3]}
refuse(x("exp"), "(exp)", "input 0 is i32", dtypes=INT)
refuse(x("not"), "(not)", "input 0 is f32")
refuse(x("sin", alpha=1), 'no key "alpha"')
refuse(x("celu", alpha=0), '"alpha" is 0')
refuse(x("elu", alpha="much"), '"alpha"')
refuse(x("leaky_relu", alpha=1e300), '"alpha"')
refuse(x("is_inf", positive=1), '"positive" is 1, expected true or false')
refuse(xy("exp"), '"in" names 2 values, expected 1', shapes=BOTH)
refuse(xy("add"), "input 0 is f32 [2, 3], but input 1 is i32 [2, 3]", shapes=BOTH, dtypes={"y": "i32"})
refuse(x("add", value=0.5), '"value" is 0.5, but input 0 is i32', dtypes=INT)
refuse(x("and", value=0.5), '"value" is 0.5, expected an integer', dtypes=INT)
refuse(xy("bit_and"), "input 0 is f32", shapes=BOTH)
refuse(xy("prelu"), "input 0 is i32", shapes=BOTH, dtypes=INT)
refuse(xy("less"), "do not broadcast: 3 and 4", shapes={"x": [2, 3], "y": [4]})
refuse(xy("mod", fmod="yes"), '"fmod"', shapes=BOTH)
refuse(x("equal"), "expected one second operand")
refuse(xy("where"), '"in" names 2 values, expected 3', shapes=BOTH)
THREE = {"x": [2, 3], "y": [2, 3], "z": [2, 3]}
XYZ = {"layer": "where", "in": ["x", "y", "z"]}
refuse(XYZ, "input 0 is f32", shapes=THREE)
refuse(XYZ, "input 2 is i32", shapes=THREE, dtypes={"x": "i32", "z": "i32"})
refuse(XYZ, "do not broadcast: 3 and 5", shapes={**THREE, "z": [2, 5]}, dtypes={"x": "i32"})
refuse(x("clip", min="low"), '"min"')
refuse(x("clip", min_from="nothing"), 'no value is named "nothing"')
refuse(x("clip", min=1, min_from="y"), 'both "min" and "min_from"', shapes=BOTH)
refuse(x("clip", max_from="y"), "a bound is [2, 3], expected one number", shapes=BOTH)
refuse(x("clip", max_from="y"), "input 1 is i32", shapes={"x": [2, 3], "y": []}, dtypes={"y": "i32"})
refuse(x("cast"), '"to" is missing')
refuse(x("cast", to="i64"), '"i64"', "expected one of: f32, f16, bf16, i32")
refuse(x("reduce_sum", axes=[3]), "axis 3 is none of input 0, [2, 3, 4]")
refuse(x("reduce_sum", axes=[0, -4]), "axis -4 is none of input 0")
refuse(x("reduce_max", axes=[9]), '"axes" has 9')
refuse(x("reduce_l2"), "input 0 is i32", dtypes=INT)
refuse(x("reduce_mean", axes_from="y"), "axes", shapes={"x": [2, 3], "y": [1]}, dtypes={"y": "i32"})
refuse(x("argmin", axis=3), "axis 3 is none of input 0")
refuse(x("argmax"), "rank", shapes={"x": []})
refuse(x("cumsum"), '"axis" is missing')
refuse(x("cumsum", axis=-4), "axis -4 is none of input 0")
refuse(x("cumsum", axis=[]), "no number")
refuse(x("cumsum", axis=[0, 1]), '"axis"')
refuse(x("log_softmax", axis=3), "axis 3 is none of input 0")
refuse(x("log_softmax", temperature=2), 'no key "temperature"')
NONE = {"layer": "constant"}
refuse({**NONE}, '"value" is missing')
refuse({**NONE, "value": []}, '"value" has 0 entries, expected 1 to 1024')
refuse({**NONE, "value": [0] * 1025}, '"value"', "1025 entries")
refuse({**NONE, "value": [1, True]}, '"value" has true, expected numbers')
refuse({**NONE, "value": "big"}, '"value"')
refuse({**NONE, "value": [1, 2, 3], "shape": [2, 2]}, '"value" has 3 numbers, which do not fill "shape" [2, 2]')
refuse({**NONE, "value": 0.5, "dtype": "i32"}, '"value" has 0.5, which i32 cannot hold')
refuse({**NONE, "value": 2**31, "dtype": "i32"}, '"value" has 2147483648, which i32 cannot hold')
refuse({**NONE, "value": 1e300}, "which f32 cannot hold")
refuse({**NONE, "value": 1, "dtype": "u8"}, "expected one of: f32, i32")
refuse({**NONE, "in": "x", "value": 1}, '"in" names 1 values, expected 0')
refuse({"layer": "fill", "value": 1}, '"shape" is missing')
refuse({"layer": "fill", "shape": [2, 0]}, '"shape" has 0')
refuse({"layer": "fill", "shape": [2**31 - 1] * 4}, "more elements than can be counted")
refuse({"layer": "fill", "shape": [2], "value": [1, 2]}, '"value" has 2 entries')
ENDPOINTS = {"layer": "range", "in": ["x", "y", "z"]}
refuse(ENDPOINTS, "the range", shapes={"x": [], "y": [], "z": []})
refuse(ENDPOINTS, "0 to 0 in steps of 0 is no range", shapes={"x": [], "y": [], "z": []}, known="xyz")
refuse(ENDPOINTS, "input 1 is [2], expected one number", shapes={"x": [], "y": [2], "z": []}, known="xyz")

for more in ({"layer": "mul", "value": 0.5}, {"layer": "exp"}):
    refuse({"layer": "add", "in": "x", "value": 1}, "i32", dtypes=INT)
    errors[-1]["description"]["graph"][0]["out"] = "v"
    errors[-1]["description"]["graph"].append({**more, "in": "v", "out": "y"})
refuse(x("dft", axis=2), "input [2, 3, 4] has no numbers of 1 or 2 parts along axis 2")
refuse(x("dft"), "input [2, 3, 4] has no numbers of 1 or 2 parts")
refuse(x("dft", axis=3), "axis 3 is none of input 0", shapes={"x": [2, 3, 2]})
refuse(x("dft", length=0), '"length"', shapes={"x": [2, 3, 2]})
refuse(x("det"), "input [2, 3, 4] is none of square matrices")
refuse(x("det"), "rank", shapes={"x": [3]})
refuse(x("shape", start=2, end=1), "input [2, 3, 4] has no dimensions from 2 up to 1")
refuse(x("shape"), "has no dimensions", shapes={"x": []})

for name, items in (("elementwise", cases), ("elementwise_errors", errors)):
    text = "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"
    (HERE / f"{name}.json").write_text(text)
save_file(tensors, HERE / "elementwise.safetensors")
print(len(cases), "cases,", len(errors), "errors")
