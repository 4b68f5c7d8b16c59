"""Writes tests/golden/layers.json and layers.safetensors: cases for every layer but attention,
and layer_errors.json: nodes that must be refused, with fragments of the message.

The expected values are PyTorch's, in float64 from the float32 inputs and weights. A case is a
description with one or a few layers; the safetensors file holds CASE/w/NAME, CASE/in/NAME and
CASE/out/NAME. An input with one dimension more than its shape in the description is batched.

    python tests/golden/make_layers.py
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20261122)
cases, tensors = [], {}


def rand(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def ids(low, high, *shape):
    return rng.integers(low, high, shape).astype(np.int32)


def t(x):
    """float64 of an array as stored, or an integer tensor."""
    x = torch.from_numpy(np.asarray(x))
    return x.double() if x.is_floating_point() else x.long()


def case(name, graph, inputs, outputs, weights=None, symbols=None, batched=(), shapes=None):
    """inputs, outputs, weights: {name: array}. batched: inputs whose first dimension is the batch."""
    assert name not in {c["name"] for c in cases}, name
    graph = graph if isinstance(graph, list) else [graph]
    ports = {}
    for key, x in inputs.items():
        shape = list(x.shape[1:] if key in batched else x.shape)
        ports[key] = {"kind": "array", "shape": (shapes or {}).get(key, shape)}
        if x.dtype == np.int32:
            ports[key]["dtype"] = "i32"
        tensors[f"{name}/in/{key}"] = np.ascontiguousarray(x)
    for key, x in (weights or {}).items():
        tensors[f"{name}/w/{key}"] = np.ascontiguousarray(x)
    for key, x in outputs.items():
        x = x.numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
        kind = np.int32 if x.dtype.kind in "iu" else np.float32
        tensors[f"{name}/out/{key}"] = np.array(x, dtype=kind, order="C")
    description = {"format": "attn/1", "name": name, "weights": {"prefix": [f"{name}/w/"]}}
    if symbols:
        description["symbols"] = symbols
    description |= {"inputs": ports, "graph": graph,
                    "outputs": {key: {"kind": "array"} for key in outputs}}
    cases.append({"name": name, "description": description, "inputs": list(inputs),
                  "outputs": list(outputs), "tolerance": 1e-5})


def one(name, layer, x, y, weights=None, batched=False, **attributes):
    """One layer from x to y."""
    case(name, {"layer": layer, "in": "x", "out": "y", **attributes}, {"x": x}, {"y": y}, weights,
         batched=("x",) if batched else ())


ACTIVATIONS = {
    "identity": lambda x: x, "relu": F.relu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
}

# ---- encode ------------------------------------------------------------------------------------

for i, (batch, c, h, w, ph, pw, dim, bias, given) in enumerate([
        (1, 3, 8, 8, 4, 4, 6, True, 4), (3, 3, 9, 11, 2, 3, 5, False, [2, 3]),
        (2, 1, 11, 10, 2, 2, 33, True, [2, 2]), (1, 2, 5, 7, 5, 7, 1, True, None),
        (8, 3, 6, 6, 3, 3, 17, True, 3)]):
    x, k, b = rand(batch, c, h, w), rand(dim, c, ph, pw, scale=0.3), rand(dim)
    y = F.conv2d(t(x), t(k), t(b) if bias else None, stride=(ph, pw)).flatten(2).transpose(1, 2)
    weights = {"p.weight": k} | ({"p.bias": b} if bias else {})
    attributes = ({} if given is None else {"patch": given}) | ({} if bias else {"bias": False})
    one(f"patch_embed_{i}", "patch_embed", x, y, weights, True, weight="p", **attributes)


def pad4(padding):
    """top, left, bottom, right of the forms that "padding" has."""
    padding = padding if isinstance(padding, list) else [padding]
    return {1: padding * 4, 2: padding * 2, 4: padding}[len(padding)]


def same(size, kernel, stride, dilation):
    need = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return need // 2, need - need // 2


CONV2D = [  # batch, C, H, W, O, kh, kw, attributes
    (1, 3, 8, 8, 4, 3, 3, {"padding": 1}),
    (3, 3, 7, 9, 5, 3, 3, {"padding": 1, "bias": False}),
    (2, 4, 8, 8, 6, 1, 1, {}),
    (1, 4, 9, 7, 6, 1, 1, {"stride": 2}),
    (2, 2, 9, 10, 3, 3, 2, {"stride": [2, 1], "padding": [1, 0], "activation": "relu"}),
    (1, 2, 9, 10, 3, 3, 3, {"stride": 3, "padding": [2, 1, 0, 3]}),
    (3, 2, 10, 11, 3, 3, 3, {"dilation": 2, "padding": 2, "activation": "gelu"}),
    (1, 2, 12, 11, 3, 3, 2, {"dilation": [2, 3], "stride": [1, 2], "padding": [0, 4]}),
    (2, 6, 8, 7, 4, 3, 3, {"groups": 2, "padding": 1}),
    (2, 6, 8, 7, 9, 3, 3, {"groups": 3, "padding": 1, "stride": 2, "activation": "silu"}),
    (2, 5, 8, 7, 5, 3, 3, {"groups": 5, "padding": 1}),
    (1, 5, 9, 8, 5, 3, 5, {"groups": 5, "padding": [1, 2], "stride": 2, "bias": False}),
    (3, 3, 8, 9, 6, 3, 3, {"groups": 3, "padding": 2, "dilation": 2, "activation": "gelu_tanh"}),
    (1, 4, 11, 10, 4, 3, 3, {"groups": 4, "stride": [3, 2], "dilation": [1, 3], "padding": [0, 4]}),
    (1, 3, 8, 7, 4, 3, 3, {"same_padding": True}),
    (2, 3, 9, 8, 4, 3, 2, {"same_padding": True, "stride": 2}),
    (1, 3, 7, 9, 3, 4, 3, {"same_padding": True, "groups": 3, "dilation": [1, 2]}),
    (1, 2, 3, 3, 2, 5, 5, {"padding": 1}),
    (1, 1, 1, 1, 1, 1, 1, {}),
    (1, 1, 5, 40, 2, 1, 7, {"padding": [0, 6]}),
    (2, 2, 4, 4, 3, 4, 4, {"activation": "sigmoid"}),
    (1, 12, 7, 7, 35, 3, 3, {"padding": 1}),
    (1, 3, 6, 5, 2, 3, 3, {"padding": 20}),
    (1, 3, 6, 5, 3, 3, 3, {"padding": 20, "groups": 3, "stride": 2}),
]
for i, (batch, c, h, w, o, kh, kw, a) in enumerate(CONV2D):
    groups = a.get("groups", 1)
    x, k, b = rand(batch, c, h, w), rand(o, c // groups, kh, kw, scale=0.3), rand(o)
    stride, dilation = a.get("stride", 1), a.get("dilation", 1)
    s, d = (v if isinstance(v, list) else [v, v] for v in (stride, dilation))
    top, left, bottom, right = pad4(a.get("padding", 0))
    if a.get("same_padding"):
        (top, bottom), (left, right) = same(h, kh, s[0], d[0]), same(w, kw, s[1], d[1])
    y = F.conv2d(F.pad(t(x), (left, right, top, bottom)), t(k),
                 t(b) if a.get("bias", True) else None, tuple(s), 0, tuple(d), groups)
    y = ACTIVATIONS[a.get("activation", "identity")](y)
    weights = {"c.weight": k} | ({"c.bias": b} if a.get("bias", True) else {})
    one(f"conv2d_{i}", "conv2d", x, y, weights, True, weight="c", **a)

CONV1D = [  # batch, C, T, O, k, attributes
    (1, 4, 20, 5, 3, {"padding": 1, "activation": "gelu"}),
    (3, 4, 21, 5, 3, {"padding": 1, "stride": 2}),
    (2, 4, 21, 6, 4, {"padding": [3, 0], "dilation": 1, "bias": False}),
    (1, 4, 30, 6, 5, {"groups": 2, "stride": [3], "dilation": 2}),
    (2, 4, 17, 4, 3, {"groups": 4, "padding": 1}),
    (1, 4, 18, 8, 3, {"groups": 4, "same_padding": True, "stride": 2}),
    (1, 1, 50, 7, 16, {"stride": 8, "bias": False, "activation": "tanh"}),
]
for i, (batch, c, n, o, kernel, a) in enumerate(CONV1D):
    groups = a.get("groups", 1)
    x, k, b = rand(batch, c, n), rand(o, c // groups, kernel, scale=0.3), rand(o)
    s, d = (v[0] if isinstance(v, list) else v for v in (a.get("stride", 1), a.get("dilation", 1)))
    pad = a.get("padding", 0)
    before, after = pad if isinstance(pad, list) else (pad, pad)
    if a.get("same_padding"):
        before, after = same(n, kernel, s, d)
    y = F.conv1d(F.pad(t(x), (before, after)), t(k), t(b) if a.get("bias", True) else None, s, 0, d,
                 groups)
    y = ACTIVATIONS[a.get("activation", "identity")](y)
    weights = {"c.weight": k} | ({"c.bias": b} if a.get("bias", True) else {})
    one(f"conv1d_{i}", "conv1d", x, y, weights, True, weight="c", **a)

POOL = [  # shape (with batch), attributes
    ((1, 3, 8, 8), {"kernel": 2}), ((3, 2, 7, 9), {"kernel": 2, "stride": 2}),
    ((2, 2, 7, 9), {"kernel": 3, "stride": 2, "padding": 1}),
    ((1, 2, 9, 8), {"kernel": [2, 3], "stride": [1, 2], "padding": [0, 1]}),
    ((1, 5, 6), {"kernel": [5, 6]}), ((2, 2, 3, 5, 4), {"kernel": 2, "stride": 1}),
    ((1, 1, 4, 3), {"kernel": 3, "padding": [2, 1, 0, 2], "stride": 1}),
    ((1, 2, 7, 8), {"kernel": 3, "stride": 2, "same_padding": True}),
    ((1, 1, 1, 1), {"kernel": 1}),
]
for i, (shape, a) in enumerate(POOL):
    x = rand(*shape)
    kernel = a["kernel"] if isinstance(a["kernel"], list) else [a["kernel"]] * 2
    stride = a.get("stride", kernel)
    stride = stride if isinstance(stride, list) else [stride] * 2
    top, left, bottom, right = pad4(a.get("padding", 0))
    if a.get("same_padding"):
        (top, bottom), (left, right) = (same(shape[j - 2], kernel[j], stride[j], 1) for j in (0, 1))

    def windows(value):
        p = F.pad(t(x), (left, right, top, bottom), value=value)
        return p.unfold(-2, kernel[0], stride[0]).unfold(-2, kernel[1], stride[1])

    inside = ~torch.isinf(windows(-math.inf))
    one(f"pool2d_max_{i}", "pool2d", x, windows(-math.inf).amax((-1, -2)), None, True, kind="max", **a)
    one(f"pool2d_mean_{i}", "pool2d", x, windows(0.0).mean((-1, -2)), None, True, kind="mean", **a)
    y = windows(0.0).sum((-1, -2)) / inside.sum((-1, -2))
    one(f"pool2d_mean_inside_{i}", "pool2d", x, y, None, True, kind="mean", count_include_pad=False,
        **a)
# The reference above against torch's own pooling.
x = torch.randn(1, 2, 9, 9, dtype=torch.float64)
p = F.pad(x, (1, 1, 1, 1)).unfold(-2, 3, 2).unfold(-2, 3, 2).mean((-1, -2))
assert torch.allclose(p, F.avg_pool2d(x, 3, 2, 1))

table = rand(11, 6)
for name, index, a in [("flat", ids(0, 11, 7), {}), ("scale", ids(0, 11, 5), {"scale": 2.5}),
                       ("matrix", ids(0, 11, 2, 3), {}),
                       ("clamped", np.array([-5, 3, 11, 2**31 - 1, -2**31], np.int32), {})]:
    y = t(table)[t(index).clamp(0, 10)] * a.get("scale", 1)
    one(f"embedding_{name}", "embedding", index, y, {"e.weight": table}, weight="e", **a)
index = ids(0, 11, 3, 9)
one("embedding_batch", "embedding", index, t(table)[t(index)], {"e.weight": table}, True, weight="e")


def positions(seq, dim, layout="interleaved", endpoint=False, base=10000.0, offset=0):
    half = dim // 2
    i = torch.arange(half, dtype=torch.float64)
    frequency = torch.tensor(base, dtype=torch.float64) ** (-i / (half - endpoint))
    angle = (torch.arange(seq, dtype=torch.float64) + offset)[:, None] * frequency
    pair = (angle.sin(), angle.cos())
    return torch.stack(pair, -1).flatten(1) if layout == "interleaved" else torch.cat(pair, 1)


for i, (shape, a) in enumerate([((1, 9, 8), {}), ((3, 17, 6), {"layout": "halves"}),
                                ((1, 12, 10), {"layout": "halves", "endpoint": True}),
                                ((2, 5, 16), {"base": 500, "offset": 7}),
                                ((1, 6, 12), {"offset": 1000000, "layout": "interleaved"}),
                                ((2, 2, 4, 2), {}), ((1, 3, 4), {"base": 1})]):
    x = rand(*shape)
    a = {"layout": "interleaved"} | a if i else a
    one(f"sinusoidal_positions_{i}", "sinusoidal_positions", x,
        t(x) + positions(shape[-2], shape[-1], **a), None, True, **a)

for i, (wshape, batch) in enumerate([((4,), 1), ((1, 1, 4), 3), ((2, 4), 3), ((1, 3, 4), 1)]):
    x, w = rand(batch, 5, 4), rand(*wshape)
    rows = t(w).reshape(1, -1, 4).expand(batch, -1, -1)
    one(f"prepend_{i}", "prepend", x, torch.cat((rows, t(x)), 1), {"cls": w}, True, weight="cls")
    one(f"append_{i}", "append", x, torch.cat((t(x), rows), 1), {"cls": w}, True, weight="cls")

# ---- shared: linear ----------------------------------------------------------------------------

LINEAR = [  # shape of x (with batch), out, attributes
    ((1, 5, 8), 6, {}), ((3, 5, 8), 6, {"bias": False}), ((3, 4, 7), 5, {"bias": "other.bias"}),
    ((2, 3, 9), 33, {"transposed": True}), ((1, 7), 3, {}), ((8, 7), 10, {}),
    ((2, 2, 3, 5), 4, {}), ((1, 70, 20), 70, {}), ((1, 3, 1), 1, {}),
    ((2, 4, 6), 9, {"rows": [2, 5]}), ((2, 4, 6), 40, {"rows": [20, 18], "transposed": True}),
    ((2, 4, 6), 9, {"rows": [0, 9], "bias": False}), ((1, 130, 12), 20, {"activation": "relu"}),
]
LINEAR += [((2, 3, 6), 7, {"activation": name}) for name in ACTIVATIONS]
for i, (shape, out, a) in enumerate(LINEAR):
    x, w, b = rand(*shape), rand(out, shape[-1], scale=0.4), rand(out)
    first, count = a.get("rows", (0, out))
    y = t(x) @ t(w)[first:first + count].T
    if a.get("bias", True):
        y = y + t(b)[first:first + count]
    y = ACTIVATIONS[a.get("activation", "identity")](y)
    weights = {"l.weight": w.T if a.get("transposed") else w}
    if a.get("bias", True):
        weights[a["bias"] if "bias" in a else "l.bias"] = b
    one(f"linear_{i}", "linear", x, y, weights, True, weight="l", **a)
for i, (shape, out, names, a) in enumerate([
        ((3, 5, 8), 24, 3, {}), ((1, 5, 8), 96, 3, {}), ((2, 3, 8), 50, 2, {}),
        ((2, 3, 8), 60, 3, {"split": [40, 10, 10]}), ((1, 40, 6), 45, 4, {"split": [1, 16, 17, 11]}),
        ((1, 2, 6), 9, 9, {}), ((1, 3, 6), 200, 3, {"split": [64, 100, 36], "activation": "gelu"}),
        ((2, 3, 6), 40, 2, {"rows": [4, 30], "transposed": True})]):
    x, w, b = rand(*shape), rand(out, shape[-1], scale=0.4), rand(out)
    first, count = a.get("rows", (0, out))
    y = ACTIVATIONS[a.get("activation", "identity")](t(x) @ t(w)[first:first + count].T
                                                     + t(b)[first:first + count])
    pieces = y.split(a.get("split", count // names), -1)
    outs = [f"y{j}" for j in range(names)]
    case(f"linear_split_{i}", {"layer": "linear", "in": "x", "out": outs, "weight": "l", **a},
         {"x": x}, dict(zip(outs, pieces)),
         {"l.weight": w.T if a.get("transposed") else w, "l.bias": b}, batched=("x",))

w = rand(3, 4)
case("parameter", {"layer": "parameter", "out": "y", "weight": "w"}, {"x": rand(2)}, {"y": w}, {"w": w})
x = rand(3, 2, 4)
case("parameter_batch", [{"layer": "parameter", "out": "p", "weight": "w"},
                         {"layer": "matmul", "in": ["x", "p"], "out": "y", "transpose_b": True}],
     {"x": x}, {"y": t(x) @ t(w).T}, {"w": w}, batched=("x",))

# ---- shared: norms -----------------------------------------------------------------------------

for i, (shape, a) in enumerate([((3, 5, 8), {"eps": 1e-5}), ((1, 4, 33), {"eps": 1e-12}),
                                ((2, 16), {"eps": 1e-6}), ((1, 2, 3, 17), {"eps": 1e-3}),
                                ((2, 3, 1), {"eps": 1e-5}), ((2, 3, 100), {"eps": 1e-5, "bias": False}),
                                ((2, 3, 9), {"eps": 1e-5, "affine": False}),
                                ((2, 3, 9), {"eps": 1e-5, "bias": "beta"})]):
    n = shape[-1]
    x, w, b = rand(*shape) + 0.5, rand(n), rand(n)
    affine, bias = a.get("affine", True), a.get("bias", True) and a.get("affine", True)
    y = F.layer_norm(t(x), (n,), t(w) if affine else None, t(b) if bias else None, a["eps"])
    weights = ({"n.weight": w} if affine else {}) | ({a.get("bias", "n.bias"): b} if bias else {})
    one(f"layer_norm_{i}", "layer_norm", x, y, weights, True,
        **({"weight": "n"} if affine else {}), **a)
for i, (shape, a) in enumerate([((3, 5, 8), {"eps": 1e-5}), ((1, 4, 33), {"eps": 1e-6, "offset": 1}),
                                ((2, 100), {"eps": 1e-6, "offset": 0}),
                                ((2, 3, 9), {"eps": 1e-5, "affine": False})]):
    x, w = rand(*shape), rand(shape[-1])
    y = t(x) / (t(x).square().mean(-1, keepdim=True) + a["eps"]).sqrt()
    if a.get("affine", True):
        y = y * (t(w) + a.get("offset", 0))
        one(f"rms_norm_{i}", "rms_norm", x, y, {"n.weight": w}, True, weight="n", **a)
    else:
        one(f"rms_norm_{i}", "rms_norm", x, y, None, True, **a)
for i, (shape, axis, a) in enumerate([((3, 5, 4, 6), None, {}), ((1, 7, 1, 1), None, {}),
                                      ((2, 3, 9), -1, {}), ((2, 9, 4), 0, {}), ((2, 3, 5, 4), -2, {}),
                                      ((2, 5), 0, {}), ((1, 5, 4, 3), 0, {"bias": False}),
                                      ((1, 5, 4, 3), 0, {"affine": False})]):
    position = 1 if axis is None else 1 + axis if axis >= 0 else axis
    n = shape[position]
    x, w, b, mean, var = rand(*shape), rand(n), rand(n), rand(n), rand(n) ** 2 + np.float32(0.1)
    affine, bias = a.get("affine", True), a.get("bias", True) and a.get("affine", True)
    y = F.batch_norm(t(x).movedim(position, 1), t(mean), t(var), t(w) if affine else None,
                     t(b) if bias else None, False, 0.0, 1e-5).movedim(1, position)
    weights = {"n.running_mean": mean, "n.running_var": var}
    weights |= ({"n.weight": w} if affine else {}) | ({"n.bias": b} if bias else {})
    one(f"batch_norm_{i}", "batch_norm", x, y, weights, True, weight="n", eps=1e-5,
        **({} if axis is None else {"axis": axis}), **a)
for i, (shape, groups, a) in enumerate([((3, 6, 4, 5), 2, {}), ((1, 6, 4, 5), 6, {}), ((2, 6, 7), 1, {}),
                                        ((2, 8), 4, {}), ((1, 6, 3, 3), 3, {"bias": False}),
                                        ((1, 6, 3, 3), 3, {"affine": False})]):
    x, w, b = rand(*shape), rand(shape[1]), rand(shape[1])
    affine, bias = a.get("affine", True), a.get("bias", True) and a.get("affine", True)
    y = F.group_norm(t(x), groups, t(w) if affine else None, t(b) if bias else None, 1e-5)
    weights = ({"n.weight": w} if affine else {}) | ({"n.bias": b} if bias else {})
    one(f"group_norm_{i}", "group_norm", x, y, weights, True, groups=groups, eps=1e-5,
        **({"weight": "n"} if affine else {}), **a)

# ---- shared: elementwise -----------------------------------------------------------------------

grid = np.concatenate((np.linspace(-12, 12, 97), [0.0, -0.0, 1e-8, -1e-8, 1e4, -1e4])).astype(np.float32)
for name, f in ACTIVATIONS.items():
    x = np.clip(grid, -12, 12)
    if name != "identity":
        one(f"activation_{name}", name, x, f(t(x)))
for kind, name in [("identity", "identity"), ("linear", "identity"), ("gelu", "gelu"),
                   ("gelu_python", "gelu"), ("gelu_new", "gelu_tanh"), ("gelu_fast", "gelu_tanh"),
                   ("gelu_pytorch_tanh", "gelu_tanh"), ("gelu_accurate", "gelu_tanh"),
                   ("quick_gelu", "quick_gelu"), ("swish", "silu"), ("silu", "silu"),
                   ("relu", "relu"), ("tanh", "tanh"), ("sigmoid", "sigmoid")]:
    x = rand(3, 5, 7, scale=2)
    one(f"activation_kind_{kind}", "activation", x, ACTIVATIONS[name](t(x)), None, True, kind=kind)
x = rand(2, 4)
case("activation_config", {"layer": "activation", "in": "x", "out": "y", "kind": "hidden_act"},
     {"x": x}, {"y": ACTIVATIONS["gelu_tanh"](t(x))})
cases[-1]["description"]["config"] = {"hidden_act": "gelu_new"}

BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
          "max": torch.maximum, "min": torch.minimum}


def divisor(*shape):
    """Away from zero."""
    x = rand(*shape)
    return x + np.sign(x) * np.float32(0.5)


SHAPES = [((4, 5), (4, 5)), ((4, 5), (5,)), ((5,), (4, 5)), ((4, 1), (1, 5)), ((4, 5), (1, 1)),
          ((3, 4, 5), (4, 1)), ((1, 4, 5), (3, 1, 5)), ((3, 1, 1), (3, 4, 5)), ((5,), ())]
for name, f in BINARY.items():
    for i, (sa, sb) in enumerate(SHAPES):
        a, b = rand(*sa), divisor(*sb)
        node = {"layer": name, "in": ["a", "b"], "out": "y"}
        if sb == ():
            b = divisor(1)
        case(f"{name}_{i}", node, {"a": a, "b": b}, {"y": f(t(a), t(b))})
    a, b = rand(3, 4, 5), divisor(3, 4, 5)
    case(f"{name}_batch_both", node, {"a": a, "b": b}, {"y": f(t(a), t(b))}, batched=("a", "b"))
    case(f"{name}_batch_first", node, {"a": a, "b": b[0]}, {"y": f(t(a), t(b[0]))}, batched=("a",))
    case(f"{name}_batch_second", node, {"a": a[0], "b": b}, {"y": f(t(a[0]), t(b))}, batched=("b",))
    case(f"{name}_batch_columns", node, {"a": a, "b": b[:, :, :1]}, {"y": f(t(a), t(b[:, :, :1]))},
         batched=("a", "b"))
    case(f"{name}_batch_rank", node, {"a": a[:, 0], "b": b[0]},
         {"y": f(t(a[:, :1]), t(b[0]))}, batched=("a",))
    one(f"{name}_value", name, a, f(t(a), torch.tensor(-1.75, dtype=torch.float64)), None, True,
        value=-1.75)
    one(f"{name}_weight", name, a, f(t(a), t(b[0])), {"w": b[0]}, True, weight="w")
    one(f"{name}_weight_row", name, a, f(t(a), t(b[0, 0])), {"w": b[0, 0]}, True, weight="w")
    one(f"{name}_weight_ones", name, a, f(t(a), t(b[:1])), {"w": b[:1]}, True, weight="w")
x = rand(70, 300, scale=0.1)
one("mul_value_rows", "mul", x[:2], t(x[:2]) * 3, value=3)
case("add_itself", {"layer": "add", "in": ["x", "x"], "out": "y"}, {"x": x[:3]}, {"y": 2 * t(x[:3])})
table = rand(12, 6)
for i, (w, seq, a) in enumerate([(table, 5, {}), (table, 12, {}), (table, 4, {"offset": 2}),
                                 (table[None], 5, {"offset": 7}), (table[:1], 1, {})]):
    x, first = rand(3, seq, 6), a.get("offset", 0)
    one(f"add_rows_{i}", "add", x, t(x) + t(table)[first:first + seq], {"w": w}, True, weight="w",
        slice_rows=True, **a)
x = rand(2, 3, 4, 6)
one("add_rows_leading", "add", x, t(x) + t(table)[:4], {"w": table}, True, weight="w", slice_rows=True)
x = rand(2, 7, 6)
case("add_rows_symbol", {"layer": "add", "in": "x", "out": "y", "weight": "w", "slice_rows": True},
     {"x": x}, {"y": t(x) + t(table)[:7]}, {"w": table}, {"seq": {"max": 12}}, ("x",), {"x": ["seq", 6]})

# ---- shared: shapes ----------------------------------------------------------------------------

for i, (shapes, axis) in enumerate([(((2, 3), (2, 5)), 1), (((2, 3), (4, 3)), 0),
                                    (((2, 3, 4), (2, 1, 4), (2, 2, 4)), -2), (((3,),), 0),
                                    (((2, 3), (2, 1)), -1)]):
    xs = {f"x{j}": rand(3, *s) for j, s in enumerate(shapes)}
    y = torch.cat([t(x) for x in xs.values()], axis + 1 if axis >= 0 else axis)
    node = {"layer": "concat", "in": list(xs), "out": "y", "axis": axis}
    case(f"concat_{i}", node, xs, {"y": y}, batched=tuple(xs))
    first = {k: x[0] for k, x in xs.items()}
    case(f"concat_single_{i}", node, first, {"y": y[0]})
    if len(xs) > 1:
        mixed = {k: x if k == "x1" else x[0] for k, x in xs.items()}
        y = torch.cat([t(x) if x is xs["x1"] else t(x).expand(3, *x.shape) for x in mixed.values()],
                      axis + 1 if axis >= 0 else axis)
        case(f"concat_mixed_{i}", node, mixed, {"y": y}, batched=("x1",))
a, b = ids(-9, 9, 2, 3), ids(-9, 9, 2, 2)
case("concat_i32", {"layer": "concat", "in": ["a", "b"], "out": "y", "axis": -1}, {"a": a, "b": b},
     {"y": np.concatenate((a, b), 1)})
for i, (shape, axis, a) in enumerate([((5, 6), 0, {"start": 1, "end": 3}), ((5, 6), -1, {"start": 2}),
                                      ((5, 6), 1, {"end": -1}), ((5, 6), 0, {"start": -2}),
                                      ((3, 5, 4), 1, {"start": -4, "end": -2}), ((5,), 0, {"start": 4}),
                                      ((2, 3), 0, {})]):
    x = rand(3, *shape)
    index = [slice(None)] * (len(shape) + 1)
    index[axis + 1 if axis >= 0 else axis] = slice(a.get("start", 0), a.get("end"))
    one(f"slice_{i}", "slice", x, x[tuple(index)], None, True, axis=axis, **a)
for i, (shape, axis, names, a) in enumerate([((5, 6), None, 3, {}), ((4, 6), 0, 2, {}),
                                             ((4, 6), -1, 2, {"sizes": [1, 5]}),
                                             ((7, 3, 2), 0, 3, {"sizes": [2, 4, 1]}), ((3,), 0, 1, {})]):
    x = rand(3, *shape)
    real = -1 if axis is None else axis + 1 if axis >= 0 else axis
    pieces = t(x).split(a.get("sizes", x.shape[real] // names), real)
    outs = [f"y{j}" for j in range(names)]
    case(f"split_{i}", {"layer": "split", "in": "x", "out": outs, **a,
                        **({} if axis is None else {"axis": axis})},
         {"x": x}, dict(zip(outs, pieces)), batched=("x",))
for i, (shape, to, real) in enumerate([((4, 6), [24], (24,)), ((4, 6), [2, -1, 3], (2, 4, 3)),
                                       ((4, 6), [0, 2, 3], (4, 2, 3)), ((4, 6), [0, -1, 1], (4, 6, 1)),
                                       ((1,), [], ()), ((2, 3, 4), [-1, 4], (6, 4)), ((6,), 6, (6,))]):
    x = rand(3, *shape)
    one(f"reshape_{i}", "reshape", x, x.reshape(3, *real), None, True, shape=to)
    one(f"reshape_i32_{i}", "reshape", np.int32(x * 99), np.int32(x * 99).reshape(3, *real), None, True,
        shape=to)
x = rand(2, 5, 6)
case("reshape_symbol", {"layer": "reshape", "in": "x", "out": "y", "shape": ["seq", 2, -1]},
     {"x": x}, {"y": x.reshape(2, 5, 2, 3)}, None, {"seq": {"max": 9}}, ("x",), {"x": ["seq", 6]})
case("reshape_kept", [{"layer": "reshape", "in": "x", "out": "r", "shape": [6, -1]},
                      {"layer": "matmul", "in": ["r", "x"], "out": "y"}],
     {"x": x}, {"y": t(x).reshape(2, 6, 5) @ t(x)}, batched=("x",))
for i, (shape, axes) in enumerate([((4, 6), None), ((2, 4, 6), None), ((4, 6), [1, 0]), ((2, 3, 4), [2, 0, 1]),
                                   ((2, 3, 4), [1, 0, 2]), ((2, 3, 4), [0, 1, 2]), ((1, 5), [1, 0]),
                                   ((2, 3, 4, 5), [0, 2, 1, 3]), ((2, 3, 2, 2, 3), [4, 1, 3, 0, 2]),
                                   ((5,), [0]), ((33, 35), None)]):
    x = rand(1 if len(shape) == 2 and shape[0] > 30 else 3, *shape)
    y = t(x).permute(0, *(j + 1 for j in axes)) if axes else t(x).transpose(-1, -2)
    one(f"transpose_{i}", "transpose", x, y, None, True, **({"axes": axes} if axes else {}))
x = ids(-99, 99, 4, 3)
one("transpose_i32", "transpose", x, x.T)

for i, (sa, sb, a) in enumerate([((3, 4), (4, 5), {}), ((3, 4), (5, 4), {"transpose_b": True}),
                                 ((2, 3, 4), (2, 4, 5), {"scale": 0.25}), ((2, 3, 4), (4, 5), {}),
                                 ((3, 4), (2, 4, 5), {}), ((2, 1, 3, 4), (3, 4, 2), {}),
                                 ((1, 7, 9), (9, 70), {}), ((5, 17), (65, 17), {"transpose_b": True}),
                                 ((2, 3, 1), (2, 1, 1), {}), ((1, 1), (1, 1), {"scale": -2})]):
    x, z = rand(3, *sa), rand(3, *sb)
    def product(x, z):
        return (t(x) @ (t(z).transpose(-1, -2) if a.get("transpose_b") else t(z))) * a.get("scale", 1)
    node = {"layer": "matmul", "in": ["a", "b"], "out": "y", **a}
    case(f"matmul_{i}", node, {"a": x[0], "b": z[0]}, {"y": product(x[0], z[0])})
    both = torch.stack([product(x[j], z[j]) for j in range(3)])
    case(f"matmul_batch_{i}", node, {"a": x, "b": z}, {"y": both}, batched=("a", "b"))
    left = torch.stack([product(x[j], z[0]) for j in range(3)])
    case(f"matmul_batch_left_{i}", node, {"a": x, "b": z[0]}, {"y": left}, batched=("a",))

for i, (shape, a) in enumerate([((3, 4, 7), {}), ((1, 5, 33), {"temperature": 0.5}),
                                ((2, 5, 3), {"axis": 0}), ((2, 3, 4, 5), {"axis": -2, "temperature": 3}),
                                ((1, 1), {}), ((2, 100), {"axis": 0}), ((2, 4, 1), {"axis": 1})]):
    x, axis = rand(*shape, scale=4), a.get("axis", -1)
    y = torch.softmax(t(x) / a.get("temperature", 1), axis + 1 if axis >= 0 else axis)
    one(f"softmax_{i}", "softmax", x, y, None, True, **a)
x = np.array([[-np.inf] * 3, [-np.inf, 0, 0], [1e30, 1e30, -1e30]], np.float32)
one("softmax_infinite", "softmax", x, np.array([[0, 0, 0], [0, .5, .5], [.5, .5, 0]]))

# ---- head --------------------------------------------------------------------------------------

for i, (shape, a) in enumerate([((3, 5, 4), {}), ((3, 5, 4), {"index": -1}), ((1, 5, 4), {"index": 2}),
                                ((2, 3, 5, 4), {"index": -5}), ((2, 1, 1), {})]):
    x = rand(*shape)
    one(f"token_{i}", "token", x, x[..., a.get("index", 0), :], None, True, **a)
x = rand(3, 6, 5)
one("mean_pool", "mean_pool", x, t(x).mean(1), None, True)
one("max_pool", "max_pool", x, t(x).amax(1), None, True)
one("mean_pool_single", "mean_pool", x[0], t(x[0]).mean(0))
long = rand(40, 70)
one("mean_pool_wide", "mean_pool", long, t(long).mean(0))
one("max_pool_wide", "max_pool", long, t(long).amax(0))
mask = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]], np.int32)
keep = t(mask).double()[:, :, None]
mean = (t(x) * keep).sum(1) / keep.sum(1).clamp(min=1)
highest = torch.where(keep > 0, t(x), -math.inf).amax(1)
highest = torch.where(highest.isinf(), torch.zeros_like(highest), highest)
for name, y in [("mean_pool", mean), ("max_pool", highest)]:
    node = {"layer": name, "in": "x", "out": "y", "padding": "mask"}
    case(f"{name}_mask", node, {"x": x, "mask": mask}, {"y": y}, batched=("x", "mask"))
    case(f"{name}_mask_f32", node, {"x": x, "mask": mask.astype(np.float32)}, {"y": y},
         batched=("x", "mask"))
    case(f"{name}_mask_one", node, {"x": x[1], "mask": mask[1]}, {"y": y[1]})
shared = (t(x) * keep[:1]).sum(1) / 3
case("mean_pool_mask_shared", {"layer": "mean_pool", "in": "x", "out": "y", "padding": "mask"},
     {"x": x, "mask": mask[0]}, {"y": shared}, batched=("x",))
for i, (shape, bias) in enumerate([((3, 7, 5), True), ((1, 64, 33), True), ((2, 1, 4), False)]):
    x, w, b = rand(*shape), rand(1, shape[-1]), rand(1)
    scores = t(x) @ t(w)[0] + (t(b) if bias else 0)
    p = torch.softmax(scores, -1)
    y = (p[..., None] * t(x)).sum(1)
    node = {"layer": "attention_pool", "in": "x", "out": "y", "weight": "s"} | ({} if bias else {"bias": False})
    weights = {"s.weight": w} | ({"s.bias": b} if bias else {})
    case(f"attention_pool_{i}", node, {"x": x}, {"y": y}, weights, batched=("x",))
    case(f"attention_pool_weights_{i}", node | {"out": ["y", "p"]}, {"x": x}, {"y": y, "p": p}, weights,
         batched=("x",))
for i, (shape, k) in enumerate([((3, 10), 4), ((2, 3, 7), 7), ((1, 1), 1), ((1, 100), 5)]):
    x = rand(*shape)
    values, indices = t(x).topk(k, -1)
    node = {"layer": "top_k", "in": "x", "out": ["v", "i"], "k": k}
    case(f"top_k_{i}", node, {"x": x}, {"v": values, "i": indices}, batched=("x",))
    case(f"top_k_values_{i}", node | {"out": "v"}, {"x": x}, {"v": values}, batched=("x",))
    one(f"argmax_{i}", "argmax", x, t(x).argmax(-1), None, True)
x = np.array([1, 3, np.nan, 3, 2, 3, -np.inf, np.nan], np.float32)
case("top_k_ties", {"layer": "top_k", "in": "x", "out": ["v", "i"], "k": 5}, {"x": x},
     {"v": np.array([3, 3, 3, 2, 1.0]), "i": np.array([1, 3, 5, 4, 0])})
one("argmax_ties", "argmax", x, np.array(1))
one("argmax_nan_first", "argmax", np.array([np.nan, -np.inf, -np.inf], np.float32), np.array(1))
for i, (shape, a) in enumerate([((3, 5, 8), {}), ((2, 33), {"eps": 1e-6}), ((1, 1), {})]):
    x = rand(*shape)
    x[0, 0] = 0
    one(f"l2_normalize_{i}", "l2_normalize", x, F.normalize(t(x), dim=-1, eps=a.get("eps", 1e-12)), None,
        True, **a)

# ---- several in a row: values in place, shared and kept ---------------------------------------

x, k, b = rand(3, 3, 8, 8), rand(6, 3, 3, 3, scale=0.3), rand(6)
mean, var, position, w, c = rand(6), rand(6) ** 2 + np.float32(0.1), rand(16, 6), rand(12, 6), rand(12)
y = F.relu(F.batch_norm(F.conv2d(t(x), t(k), padding=1), t(mean), t(var), t(b), t(mean), False, 0, 1e-5))
y = F.max_pool2d(y, 2).flatten(2).transpose(1, 2) + t(position)
n = F.layer_norm(y, (6,), t(b), t(mean), 1e-5)
q, p = (n @ t(w).T + t(c)).chunk(2, -1)
z = (y + torch.tanh(q) * p).mean(1)
case("chain_stem", [
    {"layer": "conv2d", "in": "x", "out": "h", "weight": "conv", "bias": False, "padding": 1},
    {"layer": "batch_norm", "in": "h", "out": "h", "weight": "bn", "eps": 1e-5},
    {"layer": "relu", "in": "h", "out": "h"},
    {"layer": "pool2d", "in": "h", "out": "h", "kind": "max", "kernel": 2},
    {"layer": "reshape", "in": "h", "out": "h", "shape": [0, -1]},
    {"layer": "transpose", "in": "h", "out": "h"},
    {"layer": "add", "in": "h", "out": "h", "weight": "position"},
    {"layer": "layer_norm", "in": "h", "out": "n", "weight": "ln", "eps": 1e-5},
    {"layer": "linear", "in": "n", "out": ["q", "p"], "weight": "fc"},
    {"layer": "tanh", "in": "q", "out": "q"},
    {"layer": "mul", "in": ["q", "p"], "out": "q"},
    {"layer": "add", "in": ["h", "q"], "out": "h"},
    {"layer": "mean_pool", "in": "h", "out": "y"}],
     {"x": x}, {"y": z, "n": n},
     {"conv.weight": k, "bn.weight": b, "bn.bias": mean, "bn.running_mean": mean, "bn.running_var": var,
      "position": position, "ln.weight": b, "ln.bias": mean, "fc.weight": w, "fc.bias": c}, batched=("x",))

# ---- rotary positions --------------------------------------------------------------------------

def rope_frequencies(head_dim, fraction, theta, scaling, positions, longest, seq):
    """The frequencies and the factor of sine and cosine as transformers computes them, but the default
    ones in float64."""
    parameters = {"rope_theta": theta, "partial_rotary_factor": fraction, "rope_type": "default"} | (scaling or {})
    parameters["rope_type"] = parameters.pop("type", parameters["rope_type"]).replace("su", "longrope")
    if parameters["rope_type"] == "default":
        dims = int(head_dim * parameters["partial_rotary_factor"])
        return parameters["rope_theta"] ** (-torch.arange(0, dims, 2).double() / dims), 1.0
    config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, num_key_value_heads=1, head_dim=head_dim,
                         max_position_embeddings=longest or positions, rope_parameters=parameters)
    frequencies, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu", seq_len=seq)
    return frequencies.double(), factor


def rotate(x, angles, factor, layout):
    """x: [..., seq, heads, head_dim]; angles: [seq, dims / 2]."""
    half = angles.shape[1]
    part, rest = x[..., :2 * half], x[..., 2 * half:]
    pairs = part.unflatten(-1, (2, half) if layout == "halves" else (half, 2))
    u, v = pairs.unbind(-2 if layout == "halves" else -1)
    cos, sin = factor * torch.cos(angles)[:, None], factor * torch.sin(angles)[:, None]
    turned = torch.stack([u * cos - v * sin, v * cos + u * sin], -2 if layout == "halves" else -1)
    return torch.cat([turned.flatten(-2), rest], -1)


ROPE = [  # batch (0: no such dimension), seq, heads, head_dim, attributes, scaling
    (0, 7, 1, 8, {}, None),
    (3, 9, 3, 6, {"theta": 500.0}, None),
    (0, 1, 2, 2, {}, None),
    (2, 9, 3, 20, {"fraction": 0.5, "layout": "interleaved"}, None),
    (0, 12, 2, 10, {"fraction": 0.4, "offset": 123456, "theta": 1e6}, None),
    (0, 5, 4, 16, {"layout": "interleaved", "offset": 3}, {"rope_type": "default", "rope_theta": 100.0}),
    (0, 21, 1, 32, {}, {"type": "linear", "factor": 4.0}),
    (0, 21, 1, 32, {}, {"rope_type": "dynamic", "factor": 2.5}),
    (0, 21, 2, 32, {"theta": 500000.0},
     {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 64}),
    (0, 21, 1, 32, {}, {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    (0, 21, 1, 32, {"positions": 4096},
     {"rope_type": "yarn", "factor": 16.0, "beta_fast": 20.0, "beta_slow": 0.5, "attention_factor": None,
      "mscale": 0.707, "mscale_all_dim": 0.5, "truncate": False}),
    (0, 21, 1, 24, {"theta": 1e6}, {"rope_type": "yarn", "factor": 2.0, "attention_factor": 0.75,
                                    "original_max_position_embeddings": 8, "partial_rotary_factor": 0.5}),
    (0, 21, 2, 12, {"positions": 16, "max_positions": 96},
     {"rope_type": "longrope", "short_factor": [1, 1.1, 1.25, 1.5, 2, 2.5], "long_factor": [1, 1.5, 3, 7, 15, 31.5],
      "original_max_position_embeddings": 16}),
    (2, 16, 1, 16, {"positions": 16, "theta": 500.0},
     {"type": "su", "short_factor": [1.5, 1, 2.25, 4], "long_factor": [9, 9, 9, 9], "factor": 6.0,
      "original_max_position_embeddings": 16, "partial_rotary_factor": 0.5}),
]
for i, (batch, seq, heads, head_dim, a, scaling) in enumerate(ROPE):
    x = rand(*([batch] if batch else []), seq, heads * head_dim)
    frequencies, factor = rope_frequencies(head_dim, a.get("fraction", 1.0), a.get("theta", 1e4), scaling,
                                           a.get("positions", 2048), a.get("max_positions"), seq)
    angles = (torch.arange(seq) + a.get("offset", 0)).double()[:, None] * frequencies
    y = rotate(t(x).unflatten(-1, (heads, head_dim)), angles, factor, a.get("layout", "halves")).flatten(-2)
    table = factor * torch.cat([torch.cos(angles), torch.sin(angles)], -1)
    own = {key: a[key] for key in ("theta", "offset", "fraction", "positions", "max_positions") if key in a}
    case(f"rope_{i}", [
        {"layer": "rope_angles", "out": "a", "rows": "seq", "head_dim": head_dim, "scaling": scaling, **own},
        {"layer": "rope", "in": ["x", "a"], "out": "y", "heads": heads, "layout": a.get("layout", "halves")}],
         {"x": x}, {"a": table, "y": y}, symbols={"seq": {}}, batched=("x",) if batch else (),
         shapes={"x": ["seq", heads * head_dim]})

# ---- what must be refused ----------------------------------------------------------------------

errors = []
ERROR_WEIGHTS = {"l.weight": (6, 8), "l.bias": (6,), "short.weight": (6, 8), "short.bias": (5,),
                 "conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "one.weight": (4, 3, 3),
                 "one.bias": (4,), "n.weight": (8,), "n.bias": (8,), "n.running_mean": (8,),
                 "n.running_var": (7,), "bn.weight": (8,), "bn.bias": (8,), "bn.running_mean": (8,),
                 "bn.running_var": (8,), "table": (5, 8), "rows4": (2, 2, 2, 8), "two": (2, 2, 8),
                 "empty": (0, 8), "empty.weight": (0, 8), "pool.weight": (2, 8), "score.weight": (1, 8),
                 "score.bias": (1,), "e.weight": (5, 8)}
for key, shape in ERROR_WEIGHTS.items():
    tensors[f"errors/w/{key}"] = np.zeros(shape, np.float32)


def refuse(name, node, shape, *fragments, dtype="f32", other=None, symbols=None):
    """A node over x (and z) of these shapes fails, and the message holds every fragment."""
    assert name not in {e["name"] for e in errors}, name
    shapes = {"x": shape} | ({"z": other} if other else {})
    node = {"in": "x", "out": "y"} | node
    if node["in"] is None:
        del node["in"]
    outs = node["out"] if isinstance(node["out"], list) else [node["out"]]
    ports = {k: {"kind": "array", "shape": v} for k, v in shapes.items()}
    ports["x"]["dtype"] = dtype
    errors.append({"name": name, "inputs": shapes, "error": list(fragments), "description": {
        "format": "attn/1", "name": name, "weights": {"prefix": ["errors/w/"]},
        **({"symbols": symbols} if symbols else {}), "inputs": ports,
        "graph": [node], "outputs": {o: {"kind": "array"} for o in outs}}})


def layer(name, **attributes):
    return {"layer": name} | attributes


refuse("unknown_key", layer("relu", slope=0.1), [3], "(relu)", "slope")
refuse("two_inputs", layer("gelu") | {"in": ["x", "x"]}, [3], "\"in\" names 2 values, expected 1")
refuse("no_input", layer("gelu") | {"in": []}, [3], "\"in\" names 0 values, expected 1")
refuse("two_outputs", layer("tanh") | {"out": ["y", "w"]}, [3], "\"out\" names 2 values, expected 1")
refuse("wrong_dtype", layer("silu"), [3], "i32 [3]", "expected f32", dtype="i32")
refuse("activation_kind_missing", layer("activation"), [3], "\"kind\" is missing")
refuse("activation_kind_unknown", layer("activation", kind="mish"), [3], "\"mish\"", "relu", "swish")
refuse("activation_kind_number", layer("activation", kind=3), [3], "kind", "is 3")

refuse("linear_columns", layer("linear", weight="l"), [4, 7], "[4, 7]", "7 columns", "takes 8")
refuse("linear_no_weight", layer("linear"), [4, 8], "\"weight\" is missing")
refuse("linear_absent", layer("linear", weight="q"), [4, 8], "errors/w/q.weight")
refuse("linear_no_bias", layer("linear", weight="e"), [4, 8], "errors/w/e.bias")
refuse("linear_bias_length", layer("linear", weight="short"), [4, 8], "short.bias", "[5]", "expected [6]")
refuse("linear_rank", layer("linear", weight="conv"), [4, 8], "[4, 3, 3, 3]", "expected rank 2")
refuse("linear_scalar", layer("linear", weight="l"), [], "rank")
refuse("linear_activation", layer("linear", weight="l", activation="cube"), [4, 8], "\"cube\"", "gelu")
refuse("linear_rows", layer("linear", weight="l", rows=[3, 4]), [4, 8], "[3, 4]", "6 outputs")
refuse("linear_split_uneven", layer("linear", weight="l") | {"out": ["y", "a", "b", "c"]}, [4, 8],
       "6 columns", "4 outputs")
refuse("linear_split_sum", layer("linear", weight="l", split=[2, 3]) | {"out": ["y", "a"]}, [4, 8],
       "adds up to 5", "6 columns")
refuse("linear_split_count", layer("linear", weight="l", split=[2, 4]), [4, 8], "2 entries for 1 outputs")
refuse("linear_empty", layer("linear", weight="empty", bias=False), [4, 8], "empty.weight", "no elements")
refuse("parameter_input", layer("parameter", weight="table"), [4], "\"in\" names 1 values, expected 0")
refuse("parameter_empty", layer("parameter", weight="empty") | {"in": None}, [4], "no elements")

refuse("layer_norm_eps", layer("layer_norm", weight="n"), [4, 8], "\"eps\" is missing")
refuse("layer_norm_eps_negative", layer("layer_norm", weight="n", eps=-1), [4, 8], "eps", "-1")
refuse("layer_norm_columns", layer("layer_norm", weight="n", eps=0.1), [4, 9], "[4, 9]", "[8]")
refuse("layer_norm_affine", layer("layer_norm", weight="n", affine=False, eps=0.1), [4, 8], "weight")
refuse("layer_norm_flag", layer("layer_norm", affine=1, eps=0.1), [4, 8], "affine", "true or false")
refuse("rms_norm_offset", layer("rms_norm", weight="n", eps=0.1, offset=2), [4, 8], "offset", "2")
refuse("batch_norm_rank", layer("batch_norm", weight="bn", eps=0.1), [8, 4], "axis -3", "[8, 4]")
refuse("batch_norm_channels", layer("batch_norm", weight="bn", eps=0.1), [7, 4, 4], "7 channels", "[8]")
refuse("batch_norm_var", layer("batch_norm", weight="n", eps=0.1), [8, 4, 4], "n.running_var", "[7]", "[8]")
refuse("group_norm_groups", layer("group_norm", weight="n", eps=0.1, groups=3), [8, 4], "8 channels", "3 groups")
refuse("group_norm_none", layer("group_norm", weight="n", eps=0.1), [8, 4], "\"groups\" is missing")
refuse("group_norm_channels", layer("group_norm", weight="n", eps=0.1, groups=2), [6, 4], "6 channels", "[8]")

refuse("add_operands_none", layer("add"), [4], "expected one second operand", "found 0")
refuse("add_operands_two", layer("add", weight="table", value=1), [5, 8], "expected one second operand", "found 2")
refuse("add_shapes", layer("add") | {"in": ["x", "z"]}, [4, 5], "[4, 5]", "[3, 5]", "4 and 3", other=[3, 5])
refuse("mul_weight_shape", layer("mul", weight="table"), [4, 8], "[4, 8]",
       "\"errors/w/table\" [5, 8]", "4 and 5")
refuse("add_value_text", layer("add", value="size"), [4], "value", "size")
refuse("add_rows_short", layer("add", weight="table", slice_rows=True), [6, 8], "[6, 8]", "6 rows", "[5, 8]")
refuse("add_rows_offset", layer("add", weight="table", slice_rows=True, offset=2), [4, 8], "row 2", "[5, 8]")
refuse("add_rows_rank", layer("add", weight="two", slice_rows=True), [4, 8], "[4, 8]", "[2, 2, 8]")
refuse("sub_slice_without_weight", layer("sub", value=1, slice_rows=True), [4], "slice_rows")
refuse("add_dtype", layer("add") | {"in": ["x", "z"]}, [1, 4], "[1, 4]", "i32", other=[4, 1], dtype="i32")

refuse("patch_embed_channels", layer("patch_embed", weight="conv"), [1, 9, 9], "[1, 9, 9]", "[3, 3, 3]")
refuse("patch_embed_small", layer("patch_embed", weight="conv"), [3, 2, 9], "[3, 2, 9]", "[3, 3, 3]")
refuse("patch_embed_patch", layer("patch_embed", weight="conv", patch=4), [3, 8, 8], "[4, 4]", "[4, 3, 3, 3]")
refuse("patch_embed_rank", layer("patch_embed", weight="conv"), [2, 3, 9, 9], "rank 3")
refuse("conv2d_channels", layer("conv2d", weight="conv"), [4, 9, 9], "4 channels", "3 for each of 1")
refuse("conv2d_groups", layer("conv2d", weight="conv", groups=3), [9, 9, 9], "4 output channels", "3 groups")
refuse("conv2d_small", layer("conv2d", weight="conv", padding=[0, 0, 0, 1]), [3, 2, 9], "window of 3", "2 + 0 + 0")
refuse("conv2d_dilation", layer("conv2d", weight="conv", dilation=5), [3, 9, 9], "window of 3 (dilation 5)", "9 + 0 + 0")
refuse("conv2d_stride", layer("conv2d", weight="conv", stride=0), [3, 9, 9], "stride", "0")
refuse("conv2d_stride_three", layer("conv2d", weight="conv", stride=[1, 1, 1]), [3, 9, 9], "stride", "3 entries")
refuse("conv2d_padding_three", layer("conv2d", weight="conv", padding=[1, 1, 1]), [3, 9, 9], "padding", "3 numbers")
refuse("conv2d_padding_negative", layer("conv2d", weight="conv", padding=-1), [3, 9, 9], "padding", "-1")
refuse("conv2d_padding_both", layer("conv2d", weight="conv", padding=1, same_padding=True), [3, 9, 9], "same_padding")
refuse("conv2d_weight_rank", layer("conv2d", weight="one"), [3, 9, 9], "[4, 3, 3]", "expected rank 4")
refuse("conv2d_rank", layer("conv2d", weight="conv"), [9, 9], "[9, 9]", "rank 3")
refuse("conv1d_rank", layer("conv1d", weight="one"), [9], "[9]", "rank 2")
refuse("conv1d_small", layer("conv1d", weight="one"), [3, 2], "window of 3", "2 + 0 + 0")
refuse("pool2d_kind", layer("pool2d", kind="median", kernel=2), [3, 4, 4], "median", "max, mean")
refuse("pool2d_kernel", layer("pool2d", kind="max"), [3, 4, 4], "\"kernel\" is missing")
refuse("pool2d_padding", layer("pool2d", kind="max", kernel=2, padding=2), [3, 4, 4], "padding 2", "kernel 2")
refuse("pool2d_large", layer("pool2d", kind="max", kernel=5), [3, 4, 6], "window of 5", "4 + 0 + 0")
refuse("pool2d_count", layer("pool2d", kind="max", kernel=2, count_include_pad=True), [3, 4, 4], "count_include_pad")
refuse("embedding_dtype", layer("embedding", weight="e"), [4], "f32 [4]", "expected i32")
refuse("positions_odd", layer("sinusoidal_positions"), [4, 7], "[4, 7]", "7 columns", "even")
refuse("positions_layout", layer("sinusoidal_positions", layout="spiral"), [4, 8], "spiral", "interleaved, halves")
angles = layer("rope_angles", rows=4, head_dim=8) | {"in": None}
refuse("angles_input", angles | {"in": "x"}, [4, 8], "\"in\" names 1 values, expected 0")
refuse("angles_rows", layer("rope_angles", head_dim=8) | {"in": None}, [4, 8], "\"rows\" is missing")
refuse("angles_head_dim", layer("rope_angles", rows=4) | {"in": None}, [4, 8], "\"head_dim\" is missing")
refuse("angles_odd", angles | {"fraction": 0.4}, [4, 8], "3 of \"head_dim\" 8 columns are rotated", "even")
refuse("angles_theta", angles | {"theta": 0.5}, [4, 8], "theta", "0.5", "[1, 1e+12]")
refuse("angles_scaling_kind", angles | {"scaling": 8}, [4, 8], "\"scaling\" is 8, expected an object")
for name, scaling, fragments in [
        ("type", {"rope_type": "ntk"}, ("\"scaling\": key \"rope_type\" is \"ntk\"", "default, linear, dynamic")),
        ("old_type", {"type": "mrope", "rope_type": "linear", "factor": 2}, ("key \"type\" is \"mrope\"",)),
        ("key", {"type": "linear", "factor": 2, "mrope_section": [2, 2]},
         ("\"scaling\": the key \"mrope_section\" is not known here",)),
        ("default", {"rope_type": "default", "factor": 2}, ("the key \"factor\" is not known here",)),
        ("factor", {"rope_type": "linear"}, ("\"factor\" is missing",)),
        ("factor_low", {"rope_type": "linear", "factor": 0.5}, ("\"factor\" is 0.5, expected a number in [1,",)),
        ("factor_null", {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 8},
         ("\"factor\" is null, expected a number",)),
        ("length", {"rope_type": "yarn", "factor": 2}, ("\"original_max_position_embeddings\" is missing",)),
        ("low", {"rope_type": "llama3", "factor": 2, "original_max_position_embeddings": 8, "low_freq_factor": 4,
                 "high_freq_factor": 4}, ("\"low_freq_factor\" 4 is not below",)),
        ("high", {"rope_type": "llama3", "factor": 2, "original_max_position_embeddings": 8, "low_freq_factor": 4},
         ("\"high_freq_factor\" is missing",))]:
    refuse(f"angles_scaling_{name}", angles | {"scaling": scaling}, [4, 8], *fragments)
refuse("angles_yarn_theta", angles | {"theta": 1, "scaling": {
    "type": "yarn", "factor": 2, "original_max_position_embeddings": 8}}, [4, 8], "above 1")
refuse("rope_inputs", layer("rope"), [4, 8], "\"in\" names 1 values, expected 2")
refuse("rope_heads", layer("rope", heads=3) | {"in": ["x", "z"]}, [4, 8], "[4, 8] does not split into 3 heads", other=[4, 2])
refuse("rope_rows", layer("rope") | {"in": ["x", "z"]}, [4, 8], "angles [3, 8] do not fit input [4, 8]", other=[3, 8])
refuse("rope_columns", layer("rope", heads=2) | {"in": ["x", "z"]}, [4, 8], "4 rows of at most 4 columns", other=[4, 6])
refuse("rope_odd", layer("rope") | {"in": ["x", "z"]}, [4, 8], "angles [4, 3]", other=[4, 3])
refuse("rope_layout", layer("rope", layout="thirds") | {"in": ["x", "z"]}, [4, 8], "halves, interleaved", other=[4, 8])
refuse("prepend_columns", layer("prepend", weight="table"), [4, 7], "7 columns", "has 8")
refuse("prepend_rank", layer("prepend", weight="rows4"), [4, 8], "[2, 2, 2, 8]", "[1, n, dim]")
refuse("append_leading", layer("append", weight="two"), [4, 8], "[2, 2, 8]", "[1, n, dim]")

refuse("reshape_none", layer("reshape"), [4, 6], "\"shape\" is missing")
refuse("reshape_twice", layer("reshape", shape=[-1, -1]), [4, 6], "-1 more than once")
refuse("reshape_count", layer("reshape", shape=[5, 5]), [4, 6], "24 elements", "[5, 5]", "25")
refuse("reshape_multiple", layer("reshape", shape=[5, -1]), [4, 6], "24 elements", "multiple of 5")
refuse("reshape_keep", layer("reshape", shape=[4, 6, 0]), [4, 6], "dimension 2", "[4, 6]")
refuse("reshape_symbol", layer("reshape", shape=["tokens", -1]), [4, 6], "tokens")
refuse("reshape_unbound", layer("reshape", shape=["seq", -1]), [4, 6], "no input has this dimension", symbols={"seq": {}})
refuse("reshape_overflow", layer("reshape", shape=[1099511627776, 1099511627776]), [4, 6], "more elements")
refuse("transpose_axes", layer("transpose", axes=[0, 2, 2]), [2, 3, 4], "axes", "has 2")
refuse("transpose_rank", layer("transpose", axes=[1, 0]), [2, 3, 4], "2 entries", "rank 3")
refuse("transpose_vector", layer("transpose"), [4], "[4]", "rank 2")
refuse("concat_axis", layer("concat") | {"in": ["x", "z"]}, [4, 5], "\"axis\" is missing", other=[4, 5])
refuse("concat_axis_outside", layer("concat", axis=2) | {"in": ["x", "z"]}, [4, 5], "axis 2", "[4, 5]", other=[4, 5])
refuse("concat_shapes", layer("concat", axis=0) | {"in": ["x", "z"]}, [4, 5], "[4, 5]", "[4, 6]", "dimension 1", other=[4, 6])
refuse("concat_dtype", layer("concat", axis=0) | {"in": ["x", "z"]}, [4, 5], "expected i32", other=[4, 5], dtype="i32")
refuse("slice_empty", layer("slice", axis=0, start=3, end=3), [4, 5], "[3, 3)", "[4, 5]")
refuse("slice_outside", layer("slice", axis=1, end=6), [4, 5], "[0, 6)", "dimension 1", "[4, 5]")
refuse("slice_before", layer("slice", axis=1, start=-6), [4, 5], "[-1, 5)", "[4, 5]")
refuse("split_uneven", layer("split", axis=1) | {"out": ["y", "a"]}, [4, 5], "dimension 1", "[4, 5]", "into 2")
refuse("split_sum", layer("split", sizes=[2, 2]) | {"out": ["y", "a"]}, [4, 5], "add up to 4", "is 5")
refuse("split_count", layer("split", sizes=[2, 2, 1]) | {"out": ["y", "a"]}, [4, 5], "3 entries for 2 outputs")
refuse("matmul_inner", layer("matmul") | {"in": ["x", "z"]}, [4, 5], "[4, 5]", "[4, 6]", other=[4, 6])
refuse("matmul_transposed", layer("matmul", transpose_b=True) | {"in": ["x", "z"]}, [4, 5], "(transposed)", other=[5, 4])
refuse("matmul_leading", layer("matmul") | {"in": ["x", "z"]}, [2, 4, 5], "broadcast: 2, 3", other=[3, 5, 4])
refuse("matmul_one", layer("matmul"), [4, 5], "\"in\" names 1 values, expected 2")
refuse("softmax_axis", layer("softmax", axis=2), [4, 5], "axis 2", "[4, 5]")
refuse("softmax_temperature", layer("softmax", temperature=0), [4, 5], "temperature", "is 0")

refuse("token_index", layer("token", index=4), [4, 5], "[4, 5]", "no token 4")
refuse("token_vector", layer("token"), [4], "[4]", "rank 2")
refuse("mean_pool_mask", layer("mean_pool", padding="z"), [4, 5], "[5]", "expected [4]", other=[5])
refuse("mean_pool_mask_unknown", layer("mean_pool", padding="mask"), [4, 5], "mask")
refuse("max_pool_rank", layer("max_pool"), [2, 4, 5], "[2, 4, 5]", "rank 2")
refuse("attention_pool_weight", layer("attention_pool", weight="pool"), [4, 8], "pool", "errors/w/pool.bias")
refuse("attention_pool_rows", layer("attention_pool", weight="pool", bias=False), [4, 8], "[2, 8]", "[1, dim]")
refuse("attention_pool_columns", layer("attention_pool", weight="score"), [4, 7], "7 columns", "takes 8")
refuse("top_k_none", layer("top_k"), [4, 5], "\"k\" is missing")
refuse("top_k_large", layer("top_k", k=6), [4, 5], "\"k\" is 6", "[4, 5]")
refuse("top_k_zero", layer("top_k", k=0), [4, 5], "k", "is 0")
refuse("argmax_scalar", layer("argmax"), [], "rank")
refuse("l2_normalize_eps", layer("l2_normalize", eps=0), [4], "eps", "is 0")


def write(name, items):
    (HERE / name).write_text("[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n")


write("layers.json", cases)
write("layer_errors.json", errors)
save_file({key: tensors[key] for key in sorted(tensors)}, HERE / "layers.safetensors")
(HERE / "layers.safetensors").chmod(0o644)
print(len(cases), "cases,", len(errors), "errors,",
      sum(x.nbytes for x in tensors.values()), "bytes of tensors")
