"""Writes tests/golden/windows.json and windows.safetensors: cases of convolution, pooling, products of
any rank, resizing, recurrence and quantisation as ONNX has them; windows_errors.json: what must be
refused. The reference is PyTorch in float64 where it has the operator, otherwise onnx.reference or NumPy.

    python tests/golden/make_windows.py
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20261126)
torch.manual_seed(20261126)
cases, tensors, errors = [], {}, []


def rand(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def ints(low, high, *shape):
    return rng.integers(low, high, shape).astype(np.int32)


def t(x):
    x = torch.from_numpy(np.asarray(x))
    return x.double() if x.is_floating_point() else x.long()


def stored(x):
    x = x.numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    return np.array(x, dtype=np.int32 if x.dtype.kind in "iub" else np.float32, order="C")


def case(layer, inputs, outputs, weights=None, tolerance=1e-5, batched=(), known=(), **attributes):
    """inputs, outputs: {name: array}; the first inputs are "in", unless an attribute names them."""
    name = f"{layer}_{sum(c['name'].rsplit('_', 1)[0] == layer for c in cases)}"
    named = [v for v in attributes.values() if isinstance(v, str)]
    ports = {}
    for key, x in inputs.items():
        tensors[f"{name}/in/{key}"] = np.ascontiguousarray(stored(x))
        ports[key] = {"shape": list(x.shape[1:] if key in batched else x.shape)}
        if np.asarray(x).dtype.kind in "iu":
            ports[key]["dtype"] = "i32"
        if key in known:
            ports[key]["known"] = True
    for key, x in (weights or {}).items():
        tensors[f"{name}/w/{key}"] = np.ascontiguousarray(x)
    for key, x in outputs.items():
        tensors[f"{name}/out/{key}"] = stored(x)
    operands = [key for key in inputs if key not in named]
    node = {"layer": layer, "in": operands if len(operands) > 1 else operands[0],
            "out": list(outputs) if len(outputs) > 1 else list(outputs)[0], **attributes}
    description = {"format": "attn/1", "name": name, "weights": {"prefix": [f"{name}/w/"]}, "inputs": ports,
                   "graph": [node], "outputs": {key: {} for key in outputs}}
    cases.append({"name": name, "description": description, "inputs": list(inputs), "outputs": list(outputs),
                  "tolerance": tolerance})


def refuse(node, shapes, *fragments, dtype="f32", weights=None):
    errors.append({
        "name": f"windows_error_{len(errors)}", "inputs": shapes, "error": list(fragments),
        "description": {
            "format": "attn/1", "name": "refused", "weights": {"prefix": ["errors/w/"]},
            "inputs": {k: {"shape": s, "dtype": dtype} for k, s in shapes.items()},
            "graph": [{"in": "x", "out": "y", **node}], "outputs": {"y": {}}}})


# ---- convolution -------------------------------------------------------------------------------

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def spread(value, axes):
    return list(value) if isinstance(value, (list, tuple)) else [value] * axes


def around(x, padding, axes, value=0.0):
    """padding as the attribute has it: one number, one per axis, or before and after."""
    padding = spread(padding, axes)
    padding = padding * 2 if len(padding) == axes else padding
    flat = []
    for i in reversed(range(axes)):
        flat += [padding[i], padding[axes + i]]
    return F.pad(x, flat, value=value)


for leading, spatial, o, kernel, a in [
        ((2,), (9, 8), 4, (3, 3), {"padding": 1}),
        ((2, 1), (7, 9), 4, (2, 3), {"stride": [2, 1], "groups": 2}),
        ((2,), (17,), 6, (3,), {"dilation": 2, "padding": [2, 1]}),
        ((1,), (5, 6, 7), 4, (3, 2, 3), {"padding": 1, "stride": [1, 2, 1]}),
        ((2,), (4, 5, 6), 4, (2, 2, 2), {"groups": 2, "dilation": [1, 2, 3], "padding": [1, 0, 2, 0, 1, 1]}),
        ((1,), (4, 5, 6), 4, (1, 3, 3), {"groups": 4, "padding": [0, 1, 1]}),
        ((1,), (3, 5, 4), 4, (3, 3, 3), {"groups": 4, "padding": 1}),
        ((1,), (21, 19), 4, (3, 3), {"groups": 4, "padding": 1, "activation": "relu"}),
        ((2,), (13, 35), 8, (5, 5), {"groups": 4, "padding": 2}),
        ((1,), (12, 70), 4, (3, 3), {"groups": 4, "padding": [0, 2, 1, 0], "stride": 2}),
        ((1,), (14, 18), 4, (4, 3), {"groups": 4, "stride": 3, "dilation": [2, 1]}),
        ((1,), (9, 40), 4, (3, 3), {"groups": 4, "stride": 2, "dilation": 2, "padding": 2}),
        ((1,), (1, 200), 4, (1, 7), {"groups": 4, "padding": [0, 3]}),
        ((1,), (300,), 4, (9,), {"groups": 4, "padding": [8, 0]}),
        ((1,), (2, 2), 4, (7, 7), {"groups": 4, "padding": 3}),
        ((1,), (11, 30), 5, (4, 4), {"stride": 4}),
        ((1,), (8, 33), 5, (3, 3), {"stride": 2, "padding": [1, 0, 0, 1]}),
        ((1,), (6, 6), 5, (1, 1), {"stride": 2}),
        ((1,), (3, 3), 2, (3, 3), {"padding": 9, "stride": 4}),
]:
    axes, groups = len(spatial), a.get("groups", 1)
    x, w, b = rand(*leading, 4, *spatial), rand(o, 4 // groups, *kernel, scale=0.3), rand(o)
    y = CONV[axes](around(t(x).flatten(0, len(leading) - 1), a.get("padding", 0), axes), t(w), t(b),
                   tuple(spread(a.get("stride", 1), axes)), 0, tuple(spread(a.get("dilation", 1), axes)), groups)
    y = (F.relu(y) if "activation" in a else y).unflatten(0, leading)
    case("conv", {"x": x}, {"y": y}, {"c.weight": w, "c.bias": b}, weight="c", **a)
    case("conv", {"x": x, "w": w, "b": b}, {"y": y}, weight_from="w", bias_from="b", **a)
    if axes < 3:
        case(f"conv{axes}d", {"x": x}, {"y": y}, {"c.weight": w, "c.bias": b}, weight="c", **a)

for size, kernel, stride in ((7, 4, 1), (8, 3, 2), (9, 2, 3)):
    x, w = rand(1, 2, size, size), rand(3, 2, kernel, kernel)
    need = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    for lower in (False, True):
        low = need - need // 2 if lower else need // 2
        y = F.conv2d(F.pad(t(x), (low, need - low, low, need - low)), t(w), stride=stride)
        case("conv2d", {"x": x}, {"y": y}, {"c.weight": w}, weight="c", bias=False, stride=stride, same_padding=True,
             **({"same_lower": True} if lower else {}))
x, w, b = rand(3, 4, 8, 8), rand(3, 2, 4, 3, 3), rand(3, 2)
y = torch.stack([F.conv2d(t(x[i]), t(w[i]), t(b[i])) for i in range(3)])
case("conv2d", {"x": x, "w": w, "b": b}, {"y": y}, batched=("x", "w", "b"), weight_from="w", bias_from="b")

refuse({"layer": "conv2d", "weight_from": "w"}, {"x": [3, 8, 8], "w": [4, 2, 3, 3]}, "[3, 8, 8] has 3 channels", "takes 2 for each of 1 groups")
refuse({"layer": "conv", "weight_from": "w"}, {"x": [3, 8, 8], "w": [4, 3]}, "rank 3 to 5")
refuse({"layer": "conv", "weight_from": "w", "padding": [1, 2, 3]}, {"x": [3, 8, 8], "w": [4, 3, 1, 1]}, '"padding" has 3 numbers for 2 axes')
refuse({"layer": "conv", "weight_from": "w", "groups": 3}, {"x": [3, 8, 8], "w": [4, 1, 1, 1]}, "4 output channels do not divide into 3 groups")
refuse({"layer": "conv", "weight_from": "w", "bias_from": "b"}, {"x": [3, 8, 8], "w": [4, 3, 1, 1], "b": [3]}, "a bias of 3 for 4 output channels")
refuse({"layer": "conv", "weight_from": "w"}, {"x": [3, 2, 8], "w": [4, 3, 3, 1]}, "window of 3", "2 + 0 + 0")
refuse({"layer": "conv", "weight_from": "z"}, {"x": [3, 2, 8]}, '"weight_from"')

# ---- pooling -----------------------------------------------------------------------------------

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
for spatial, kernel, a in [
        ((20,), (3,), {}), ((21,), (4,), {"stride": 3, "padding": 2}), ((20,), (3,), {"stride": 2, "ceil_mode": True}),
        ((9, 8), (3, 2), {"stride": 2}), ((9, 11), (3, 3), {"stride": 2, "padding": 1, "ceil_mode": True}),
        ((10, 9), (2, 3), {"stride": [1, 2], "dilation": [3, 2], "padding": [1, 1]}),
        ((5, 6, 7), (2, 3, 2), {"stride": [1, 2, 2]}), ((5, 6, 7), (3, 3, 3), {"padding": 1, "stride": 2, "ceil_mode": True}),
        ((4, 4), (3, 3), {"stride": 3, "padding": 1, "ceil_mode": True})]:
    axes = len(spatial)
    x = rand(2, 3, *spatial)
    stride, padding, dilation = a.get("stride", kernel), a.get("padding", 0), a.get("dilation", 1)
    y, i = MAX[axes](t(x), kernel, stride, padding, dilation, a.get("ceil_mode", False), True)
    offset = torch.arange(6).view(2, 3, *[1] * axes) * int(np.prod(spatial))
    case("pool", {"x": x}, {"y": y}, kind="max", kernel=list(kernel), **a)
    case("pool", {"x": x}, {"y": y, "i": i + offset}, kind="max", kernel=list(kernel), **a)
    if dilation == 1:
        for count in (True, False):
            y = MEAN[axes](t(x), kernel, stride, padding, a.get("ceil_mode", False), count)
            case("pool", {"x": x}, {"y": y}, kind="mean", kernel=list(kernel), count_include_pad=count, **a)
        for p in (1, 2, 3):
            y = MEAN[axes](t(x).abs() ** p, kernel, stride, padding, a.get("ceil_mode", False), False)
            n = MEAN[axes](torch.ones_like(t(x)), kernel, stride, padding, a.get("ceil_mode", False), True)
            if not padding and not a.get("ceil_mode"):
                case("pool", {"x": x}, {"y": (y * np.prod(kernel)) ** (1 / p)}, kind="lp", kernel=list(kernel), p=p, **a)
x = rand(2, 3, 5, 7)
x[0, 0, 0, 0] = np.nan
case("pool", {"x": x}, {"y": t(x).mean((2, 3), keepdim=True)}, kind="mean", **{"global": True})
case("pool", {"x": x}, {"y": t(x).amax((2, 3), keepdim=True)}, kind="max", **{"global": True})
case("pool", {"x": x}, {"y": (t(x) ** 2).sum((2, 3), keepdim=True).sqrt()}, kind="lp", **{"global": True})
y, i = F.max_pool2d(t(x), 2, 2, return_indices=True)
h, w = i // 7, i % 7
case("pool", {"x": x}, {"y": y, "i": torch.arange(6).view(2, 3, 1, 1) * 35 + w * 5 + h}, kind="max", kernel=[2, 2], by_column=True)
refuse({"layer": "pool", "kind": "max", "kernel": [2, 2]}, {"x": [5]}, "rank 2")
refuse({"layer": "pool", "kind": "max"}, {"x": [5, 5]}, '"kernel" is missing')
refuse({"layer": "pool", "kind": "max", "kernel": [7, 2]}, {"x": [5, 5]}, "window of 7", "5 + 0 + 0")
refuse({"layer": "pool", "kind": "mean", "kernel": [2, 2], "out": ["y", "i"]}, {"x": [5, 5]}, '"max" only')
refuse({"layer": "pool", "kind": "max", "kernel": [2, 2], "padding": [1, 2, 3]}, {"x": [5, 5]}, '"padding" has 3 numbers')

# ---- products ----------------------------------------------------------------------------------

for a, b in [((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 7, 5), (5, 9)), ((2, 3, 7, 5), (1, 1, 5, 9)),
             ((3, 1, 2, 6), (2, 6, 40)), ((2, 1, 6), (6, 70)), ((1, 6), (3, 6, 17)), ((9, 6), (4, 6, 5))]:
    x, y = rand(*a), rand(*b)
    case("matmul", {"a": x, "b": y}, {"y": np.matmul(t(x).numpy(), t(y).numpy())})
    if len(b) > 1:
        case("matmul", {"a": x, "b": np.ascontiguousarray(y.swapaxes(-1, -2))}, {"y": 0.5 * np.matmul(t(x).numpy(), t(y).numpy())}, transpose_b=True, scale=0.5)
    x, y = ints(-9, 9, *a), ints(-9, 9, *b)
    case("matmul", {"a": x, "b": y}, {"y": np.matmul(x, y)})
x, y = ints(-2**31, 2**31 - 1, 3, 8), ints(-2**31, 2**31 - 1, 5, 8)
case("matmul", {"a": x, "b": y}, {"y": np.matmul(x, y.T)}, transpose_b=True)
refuse({"layer": "matmul", "in": ["x", "b"]}, {"x": [4], "b": [5, 4]}, "[4] and [5, 4] do not multiply")
refuse({"layer": "matmul", "in": ["x", "b"]}, {"x": [3, 4, 5], "b": [2, 5, 4]}, "do not broadcast: 3, 2")
refuse({"layer": "matmul", "in": ["x", "b"], "scale": 2}, {"x": [4], "b": [4]}, '"scale" is of f32 alone', dtype="i32")

# ---- normalisation -----------------------------------------------------------------------------

x = rand(2, 3, 4, 5)
for axis in (-3, -2, -1, 0, 1, 2):
    dims = x.shape[axis:] if axis < 0 else x.shape[axis:]
    w, b = rand(*dims), rand(int(np.prod(dims)))
    y = F.layer_norm(t(x), dims, t(w), t(b).reshape(dims), 1e-5)
    rows = tuple(range(4 - len(dims), 4))
    mean, var = t(x).mean(rows, keepdim=True), t(x).var(rows, unbiased=False, keepdim=True)
    name = "n.weight" if axis != -1 else "n.weight"
    case("layer_norm", {"x": x}, {"y": y, "m": mean, "d": 1 / (var + 1e-5).sqrt()}, {name: w, "n.bias": b}, weight="n", eps=1e-5, axis=axis)
    case("rms_norm", {"x": x}, {"y": t(x) / ((t(x) ** 2).mean(rows, keepdim=True) + 1e-5).sqrt() * t(w)}, {"n.weight": w}, weight="n", eps=1e-5, axis=axis)
x, w, b, m, v = rand(2, 6, 4, 5), rand(6), rand(6), rand(6), np.abs(rand(6))
y = F.batch_norm(t(x), t(m), t(v), t(w), t(b), eps=1e-5)
case("batch_norm", {"x": x, "w": w, "b": b, "m": m, "v": v}, {"y": y}, eps=1e-5, axis=1, weight_from="w", bias_from="b", mean_from="m", var_from="v")
case("batch_norm", {"x": x, "m": m, "v": v}, {"y": F.batch_norm(t(x), t(m), t(v), eps=1e-5)}, eps=1e-5, axis=1, mean_from="m", var_from="v")
case("batch_norm", {"x": x, "m": np.stack([m, m]), "v": np.stack([v, v + 1])},
     {"y": torch.cat([F.batch_norm(t(x[:1]), t(m), t(v), eps=1e-5), F.batch_norm(t(x[1:]), t(m), t(v + 1), eps=1e-5)])}, batched=("x", "m", "v"),
     eps=1e-5, axis=0, mean_from="m", var_from="v")
for groups in (1, 2, 3, 6, 0):
    y = F.group_norm(t(x), groups or 6, t(w), t(b), 1e-5)
    case("group_norm", {"x": x}, {"y": y}, {"n.weight": w, "n.bias": b}, weight="n", eps=1e-5, groups=groups, channel_axis=1)
    case("group_norm", {"x": x, "w": w, "b": b}, {"y": y}, weight_from="w", bias_from="b", eps=1e-5, groups=groups, channel_axis=-3)
few_w, few_b = rand(3), rand(3)
y = F.group_norm(t(x), 3, t(few_w.repeat(2)), t(few_b.repeat(2)), 1e-5)
case("group_norm", {"x": x, "w": few_w, "b": few_b}, {"y": y}, weight_from="w", bias_from="b", eps=1e-5, groups=3, channel_axis=1)
refuse({"layer": "batch_norm", "eps": 1e-5, "weight_from": "w"}, {"x": [4, 3, 3], "w": [4]}, '"mean_from" and "var_from" are needed')
refuse({"layer": "batch_norm", "eps": 1e-5, "mean_from": "w", "var_from": "w"}, {"x": [4, 3, 3], "w": [3]}, "3 elements for 4 channels")
refuse({"layer": "group_norm", "eps": 1e-5, "groups": 2, "weight_from": "w"}, {"x": [4, 3, 3], "w": [3]}, "3 elements for 4 channels")
refuse({"layer": "group_norm", "eps": 1e-5, "groups": 3, "affine": False}, {"x": [4, 3, 3]}, "4 channels do not divide into 3 groups")
refuse({"layer": "layer_norm", "eps": 1e-5, "axis": 2, "affine": False}, {"x": [4, 3]}, "axis 2 is none of input 0")

# ---- transposed convolution --------------------------------------------------------------------

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
for leading, spatial, o, kernel, a in [
        ((2,), (5, 6), 3, (2, 2), {"stride": 2}), ((2, 1), (5, 6), 4, (3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((1,), (9,), 3, (5,), {"stride": 3, "padding": 2}), ((1,), (4, 7), 3, (3, 2), {"dilation": [2, 3], "stride": [3, 2]}),
        ((2,), (3, 4, 5), 2, (2, 3, 2), {"stride": [1, 2, 3], "padding": [0, 1, 1]}), ((1,), (20, 18), 6, (4, 4), {"stride": 2, "padding": 1, "groups": 2}),
        ((1,), (6, 6), 4, (3, 3), {"groups": 4, "stride": 4}), ((1,), (7, 5), 3, (3, 3), {}), ((1,), (3,), 2, (2,), {"dilation": 2, "stride": 2, "output_padding": 1})]:
    axes, groups = len(spatial), a.get("groups", 1)
    x, w, b = rand(*leading, 4, *spatial), rand(4, o // groups, *kernel, scale=0.3), rand(o)
    y = TRANSPOSED[axes](t(x).flatten(0, len(leading) - 1), t(w), t(b), tuple(spread(a.get("stride", 1), axes)), tuple(spread(a.get("padding", 0), axes)),
                         tuple(spread(a.get("output_padding", 0), axes)), groups, tuple(spread(a.get("dilation", 1), axes))).unflatten(0, leading)
    case("conv_transpose", {"x": x}, {"y": y}, {"c.weight": w, "c.bias": b}, weight="c", **a)
    case("conv_transpose", {"x": x, "w": w}, {"y": y - t(b).view(-1, *[1] * axes)}, weight_from="w", **a)
x, w = rand(3, 2, 4, 5), rand(3, 2, 3, 3, 3)
y = torch.stack([F.conv_transpose2d(t(x[i]), t(w[i]), stride=2) for i in range(3)])
case("conv_transpose", {"x": x, "w": w}, {"y": y}, batched=("x", "w"), weight_from="w", stride=2)
for lower, size in ((False, None), (True, None), (False, [7, 10]), (True, [9, 9])):
    full = F.conv_transpose2d(t(x), t(w[0, :, :2]), stride=2)
    h, v = size or (8, 10)
    cut_h, cut_v = max(9 - h, 0), max(11 - v, 0)
    top, left = (cut_h - cut_h // 2, cut_v - cut_v // 2) if lower else (cut_h // 2, cut_v // 2)
    y = full[:, :, top:top + h, left:left + v]
    case("conv_transpose", {"x": x, "w": w[0]}, {"y": F.conv_transpose2d(t(x), t(w[0]), stride=2)[:, :, top:top + h, left:left + v]}, weight_from="w", stride=2,
         same_padding=True, **({"same_lower": True} if lower else {}), **({"output_shape": size} if size else {}))
refuse({"layer": "conv_transpose", "weight_from": "w"}, {"x": [3, 4, 4], "w": [2, 3, 2, 2]}, "[3, 4, 4] has 3 channels in 1 groups, the weight takes 2")
refuse({"layer": "conv_transpose", "weight_from": "w", "padding": 3}, {"x": [2, 1, 1], "w": [2, 3, 2, 2]}, "leave nothing")
refuse({"layer": "conv_transpose", "weight_from": "w", "stride": [1, 2, 3]}, {"x": [2, 4, 4], "w": [2, 3, 2, 2]}, "3 numbers for 2 axes")
refuse({"layer": "conv_transpose", "weight_from": "w", "stride": 1000, "output_padding": 900000}, {"x": [2, 4, 4], "w": [2, 3, 2, 2]}, "too large")

# ---- resizing ----------------------------------------------------------------------------------

for size, out in [((5, 6), (10, 12)), ((5, 6), (7, 3)), ((9, 8), (4, 3)), ((3, 40), (3, 100)), ((4, 4), (1, 1)), ((1, 1), (3, 2))]:
    x = rand(2, 3, *size)
    for mode, name in (("bilinear", "linear"), ("bicubic", "cubic")):
        for corners in (False, True):
            y = F.interpolate(t(x), out, mode=mode, align_corners=corners)
            case("resize", {"x": x}, {"y": y}, mode=name, coordinate="align_corners" if corners else "half_pixel", sizes=list(out), axes=[2, 3], tolerance=1e-4)
    case("resize", {"x": x}, {"y": F.interpolate(t(x), out, mode="nearest")}, mode="nearest", coordinate="asymmetric", nearest="floor", sizes=[2, 3, *out])
    case("resize", {"x": x}, {"y": F.interpolate(t(x), out, mode="nearest-exact")}, coordinate="half_pixel", nearest="round_prefer_ceil", sizes=list(out), axes=[-2, -1])
    whole = ints(-9, 9, 2, 3, *size)
    y = F.interpolate(t(whole).double(), out, mode="nearest").long()
    case("resize", {"x": whole}, {"y": y}, coordinate="asymmetric", nearest="floor", sizes=list(out), axes=[2, 3])
x = rand(2, 3, 4, 5)
case("resize", {"x": x, "s": np.float32([2, 1.6])}, {"y": F.interpolate(t(x), scale_factor=(2, 1.6), mode="bilinear", recompute_scale_factor=False)}, known=("s",),
     mode="linear", scales_from="s", axes=[2, 3], tolerance=1e-4)
x = rand(2, 7, 6)
y = F.interpolate(t(x).unsqueeze(1), (7, 12), mode="bilinear").squeeze(1)
case("resize", {"x": x}, {"y": y}, mode="linear", sizes=[7, 12], batched=("x",), tolerance=1e-4)
refuse({"layer": "resize"}, {"x": [4, 4]}, 'one of "sizes" and "scales_from"')
refuse({"layer": "resize", "sizes": [4]}, {"x": [4, 4]}, '"sizes" has 1 numbers for 2 axes')
refuse({"layer": "resize", "sizes": [4, 4], "axes": [0, 0]}, {"x": [4, 4]}, "axis 0 is there twice")
refuse({"layer": "resize", "sizes": [4, 4], "axes": [0, 2]}, {"x": [4, 4]}, "axis 2 is none of input 0")
refuse({"layer": "resize", "sizes": [4, 4], "mode": "linear"}, {"x": [4, 4]}, 'only "nearest"', dtype="i32")
refuse({"layer": "resize", "scales_from": "s"}, {"x": [4, 4], "s": [2]}, "must be known before a run")
refuse({"layer": "resize", "sizes": [4, 4], "coordinate": "tf_crop_and_resize"}, {"x": [4, 4]}, '"roi_from" is missing')
refuse({"layer": "resize", "sizes": [1, 4], "mode": "linear", "antialias": True}, {"x": [90000, 4]}, "too small or too large")

# ---- recurrence --------------------------------------------------------------------------------


def onnx_order(w, hidden, order):
    """torch's gates in ONNX's order."""
    return np.concatenate([w[i * hidden:(i + 1) * hidden] for i in order])


for kind, order in (("LSTM", (0, 3, 1, 2)), ("GRU", (1, 0, 2)), ("RNN", (0,))):
    for seq, batch, width, hidden, both in ((5, 1, 3, 4, False), (7, 3, 6, 17, True), (1, 2, 20, 33, False), (9, 5, 4, 8, True)):
        net = getattr(torch.nn, kind)(width, hidden, bidirectional=both).double()
        dirs = 2 if both else 1
        x, h, c = rand(seq, batch, width), rand(dirs, batch, hidden), rand(dirs, batch, hidden)
        for parameter in net.parameters():
            parameter.data = torch.from_numpy(parameter.data.numpy().astype(np.float32)).double()
        with torch.no_grad():
            y, last = net(t(x), (t(h), t(c)) if kind == "LSTM" else t(h))
        stack = lambda part: np.stack([onnx_order(getattr(net, f"{part}_l0{s}").data.numpy().astype(np.float32), hidden, order) for s in ("", "_reverse")[:dirs]])
        w, r, b = stack("weight_ih"), stack("weight_hh"), np.concatenate([stack("bias_ih"), stack("bias_hh")], 1)
        y = y.reshape(seq, batch, dirs, hidden).transpose(1, 2)
        inputs = {"x": x, "w": w, "r": r, "b": b, "h": h} | ({"c": c} if kind == "LSTM" else {})
        keys = {"weight_from": "w", "recurrent_from": "r", "bias_from": "b", "state_from": "h"} | ({"cell_from": "c"} if kind == "LSTM" else {})
        outputs = {"y": y, "yh": last[0], "yc": last[1]} if kind == "LSTM" else {"y": y, "yh": last}
        keys |= {"direction": "bidirectional" if both else "forward"} | ({"linear_before_reset": True} if kind == "GRU" else {})
        case(kind.lower(), inputs, outputs, **keys)
        bound = {k: v for k, v in keys.items() if k not in ("weight_from", "recurrent_from")} | {"weight": "w", "recurrent": "r"}
        case(kind.lower(), {k: v for k, v in inputs.items() if k not in "wr"}, outputs, weights={"w": w, "r": r}, **bound)
        inputs = {k: v.swapaxes(0, 1) if k in "xhc" else v for k, v in inputs.items()}
        outputs = {"y": y.permute(2, 0, 1, 3)} | {k: v.transpose(0, 1) for k, v in outputs.items() if k != "y"}
        case(kind.lower(), inputs, outputs, batch_first=True, **keys)
        if not both:  # ragged rows, each as alone
            lengths = ints(0, seq + 1, batch)
            y = torch.zeros(seq, batch, 1, hidden, dtype=torch.double)
            end = t(h).clone()
            for i, n in enumerate(lengths):
                if n:
                    with torch.no_grad():
                        found, last = net(t(x[:n, i:i + 1]).flip(0), (t(h[:, i:i + 1]), t(c[:, i:i + 1])) if kind == "LSTM" else t(h[:, i:i + 1]))
                    y[:n, i, 0], end[:, i] = found.flip(0)[:, 0], (last[0] if kind == "LSTM" else last)[:, 0]
            case(kind.lower(), {"x": x, "w": w, "r": r, "b": b, "h": h, "n": lengths} | ({"c": c} if kind == "LSTM" else {}),
                 {"y": y.transpose(1, 2), "yh": end}, lengths_from="n", **(keys | {"direction": "reverse"}))
own = np.random.default_rng(77)
for seq, batch, width, hidden in ((4, 3, 5, 7), (6, 1, 9, 40)):  # Cho et al.'s own reset, which torch has not
    x, w, r, b = (own.standard_normal(s).astype(np.float32) for s in ((seq, batch, width), (1, 3 * hidden, width), (1, 3 * hidden, hidden), (1, 6 * hidden)))
    h, y = np.zeros((batch, hidden)), []
    for step in x.astype(np.float64):
        a, c = step @ w[0].T + b[0, :3 * hidden], b[0, 3 * hidden:]
        z, reset = (1 / (1 + np.exp(-(a[:, i:i + hidden] + h @ r[0, i:i + hidden].T + c[i:i + hidden]))) for i in (0, hidden))
        new = np.tanh(a[:, 2 * hidden:] + (reset * h) @ r[0, 2 * hidden:].T + c[2 * hidden:])
        h = (1 - z) * new + z * h
        y.append(h)
    outputs = {"y": np.stack(y)[:, None], "yh": h[None]}
    case("gru", {"x": x, "w": w, "r": r, "b": b}, outputs, weight_from="w", recurrent_from="r", bias_from="b")
    case("gru", {"x": x, "b": b}, outputs, weights={"w": w, "r": r}, weight="w", recurrent="r", bias_from="b")
RNN = {"layer": "rnn", "weight_from": "w", "recurrent_from": "r"}
refuse({"layer": "rnn", "weight_from": "w"}, {"x": [3, 2, 4], "w": [1, 5, 4]}, 'the key "recurrent" is missing, or "recurrent_from"')
refuse({"layer": "rnn", "weight": "w", "recurrent": "none"}, {"x": [3, 2, 4]}, 'key "weight": ')
refuse(RNN, {"x": [3, 2, 4], "w": [1, 5, 3], "r": [1, 5, 5]}, "the weight is [1, 5, 3], expected [1, 5, 4]")
refuse({**RNN, "layer": "lstm"}, {"x": [3, 2, 4], "w": [1, 5, 4], "r": [1, 5, 5]}, "has 5 rows of 5, expected 20")
refuse({**RNN, "direction": "bidirectional"}, {"x": [3, 2, 4], "w": [1, 5, 4], "r": [1, 5, 5]}, "the weight is [1, 5, 4], expected [2, 5, 4]")
refuse({**RNN, "bias_from": "b"}, {"x": [3, 2, 4], "w": [1, 5, 4], "r": [1, 5, 5], "b": [1, 5]}, "the bias is [1, 5], expected [1, 10]")
refuse({**RNN, "f": "square"}, {"x": [3, 2, 4], "w": [1, 5, 4], "r": [1, 5, 5]}, '"square"')

# ---- einsum ------------------------------------------------------------------------------------

for equation, *shapes in [
        ("ij,jk->ik", (4, 5), (5, 6)), ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 7, 5)), ("bhqk,bhkd->bqhd", (2, 3, 4, 7), (2, 3, 7, 5)), ("ii->i", (4, 4)),
        ("ii", (4, 4)), ("ij->ji", (3, 4)), ("ij->", (3, 4)), ("...ij,...jk->...ik", (2, 3, 4, 5), (3, 5, 2)), ("...ij->...", (2, 3, 4)), ("i,i", (5,), (5,)),
        ("i,j->ij", (5,), (4,)), ("bij,bjk", (2, 3, 4), (2, 4, 5)), ("ab,bc,cd->ad", (3, 4), (4, 5), (5, 6)), ("ab,ab,ab->b", (3, 4), (3, 4), (3, 4)),
        ("abc,cd,def->abef", (2, 3, 4), (4, 5), (5, 2, 3)), ("bchw,bkhw->bck", (2, 3, 4, 5), (2, 6, 4, 5)), ("bhwc,hkc->bhwk", (2, 3, 4, 5), (3, 6, 5)),
        ("ab,b->a", (3, 4), (4,)), ("aab,b->a", (3, 3, 4), (4,)), (" ij , jk -> ik ", (70, 33), (33, 40)), ("ij,kl->", (2, 3), (4, 5)), ("ibnd,jbnd->bnij", (5, 2, 3, 4), (6, 2, 3, 4))]:
    xs = [rand(*s) for s in shapes]
    y = torch.einsum(equation, *[t(x) for x in xs])
    case("einsum", {f"x{i}": x for i, x in enumerate(xs)}, {"y": y}, equation=equation)
case("einsum", {"a": rand(3, 1), "b": rand(4, 5)}, {"y": np.zeros((3, 5))}, equation="ij,jk->ik")
tensors[f"{cases[-1]['name']}/out/y"] = np.einsum("ij,jk->ik", np.broadcast_to(tensors[f"{cases[-1]['name']}/in/a"], (3, 4)), tensors[f"{cases[-1]['name']}/in/b"]).astype(np.float32)
for equation, fragment in (("i-j", "'-'"), ("ij,jk->ik", "another number of operands than 1"), ("ijk->i", "fit an operand's rank"), ("ij->k", "the output has a wrong label"),
                           ("ij->ii", "the output has a wrong label"), ("ii->i", "a label has different sizes"), ("abcdefghi->a", "more than 8 labels")):
    refuse({"layer": "einsum", "equation": equation}, {"x": [3, 4]}, fragment)
refuse({"layer": "einsum"}, {"x": [3, 4]}, '"equation" is missing')
for equation in ("...,abcdefg->abcdefg...", "...,abcdefg->...abcdefg", "...,abcdefg"):
    refuse({"layer": "einsum", "in": ["x", "y"], "equation": equation}, {"x": [1, 1, 1, 1, 1, 1, 2], "y": [1, 1, 1, 1, 1, 1, 3]}, "the output has too many labels")

# ---- quantisation ------------------------------------------------------------------------------

LIMITS = {"u8": (0, 255), "i8": (-128, 127), "u16": (0, 65535), "i16": (-32768, 32767), "u4": (0, 15), "i4": (-8, 7)}
for kind, (low, high) in LIMITS.items():
    x, scale, zero = rand(3, 4, 5, scale=20), np.abs(rand(4)) + 0.25, ints(max(low, -9), 9, 4)
    x.flat[:4] = np.inf, -np.inf, 2.5 * scale[0], 3.5 * scale[0]
    codes = np.clip(np.rint(x / scale[:, None]) + zero[:, None], low, high).astype(np.int64)
    case("quantize_linear", {"x": x, "s": scale, "z": zero}, {"y": codes}, tolerance=0, type=kind)
    case("dequantize_linear", {"x": codes, "s": scale, "z": zero}, {"y": (codes - zero[:, None]).astype(np.float32) * scale[:, None]}, tolerance=0)
    one = np.float32(scale[0])
    case("quantize_linear", {"x": x, "s": np.array([one])}, {"y": np.clip(np.rint(x / one), low, high).astype(np.int64)}, tolerance=0, type=kind)
x, scale, zero = rand(4, 6, 3, scale=20), np.abs(rand(4, 3, 3)) + 0.25, ints(0, 9, 4, 3, 3)
wide, far = scale.repeat(2, 1), zero.repeat(2, 1)
case("quantize_linear", {"x": x, "s": scale, "z": zero}, {"y": np.clip(np.rint(x / wide) + far, 0, 255).astype(np.int64)}, tolerance=0, axis=1, block_size=2)
case("dequantize_linear", {"x": ints(0, 255, 4, 6, 3), "s": scale, "z": zero}, {"y": np.zeros(1)}, tolerance=0, axis=-2, block_size=2)
tensors[f"{cases[-1]['name']}/out/y"] = (tensors[f"{cases[-1]['name']}/in/x"] - far).astype(np.float32) * wide
for x in (rand(3, 40), np.abs(rand(5, 7)), -np.abs(rand(9)), np.zeros(4, np.float32)):
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((high - low) / np.float32(255)) if high > low else np.float32(1)
    zero = np.rint(-np.float32(low) / scale)
    case("dynamic_quantize_linear", {"x": x}, {"y": np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64), "s": np.array(scale), "z": np.array(int(zero))}, tolerance=0)
refuse({"layer": "quantize_linear", "in": ["x", "s"]}, {"x": [3, 4], "s": [3]}, "input 1 is [3], which does not fit axis 1 of [3, 4]")
refuse({"layer": "quantize_linear", "in": ["x", "s"], "type": "u7"}, {"x": [3, 4], "s": [3]}, '"u7"')
refuse({"layer": "dequantize_linear", "in": ["x", "s"], "block_size": 2}, {"x": [3, 4], "s": [3, 4]}, "does not fit")

def roi_align(x, boxes, images, size, sampling, scale, half):
    """As ONNX says, in float64."""
    out = np.zeros((len(boxes), x.shape[1], *size))
    for r, (box, image) in enumerate(zip(boxes.astype(np.float64) * scale, images)):
        start = np.array([box[1], box[0]]) - (0.5 if half else 0)
        length = np.array([box[3], box[2]]) - (0.5 if half else 0) - start
        length = length if half else np.maximum(length, 1)
        cell = length / size
        n = [sampling or max(int(np.ceil(v)), 1) for v in cell]
        for row in range(size[0]):
            for column in range(size[1]):
                for sy in range(n[0]):
                    for sx in range(n[1]):
                        y, z = start + (np.array([row, column]) + (np.array([sy, sx]) + 0.5) / n) * cell
                        if -1 <= y <= x.shape[2] and -1 <= z <= x.shape[3]:
                            y, z = min(max(y, 0), x.shape[2] - 1), min(max(z, 0), x.shape[3] - 1)
                            a, b = int(y), int(z)
                            c, d = min(a + 1, x.shape[2] - 1), min(b + 1, x.shape[3] - 1)
                            p, q = y - a, z - b
                            v = x[image].astype(np.float64)
                            out[r, :, row, column] += ((1 - p) * (1 - q) * v[:, a, b] + (1 - p) * q * v[:, a, d] + p * (1 - q) * v[:, c, b] + p * q * v[:, c, d]) / n[0] / n[1]
    return out


# ---- others ------------------------------------------------------------------------------------

for size in (1, 2, 3, 5):
    x = rand(2, 6, 3, 4)
    y = F.local_response_norm(t(x).flip(1), size, 0.3, 0.6, 1.5).flip(1)  # torch's even window leans the other way
    case("lrn", {"x": x}, {"y": y}, size=size, alpha=0.3, beta=0.6, bias=1.5)
for axes, kernel, a in ((1, (2,), {}), (2, (2, 2), {}), (2, (3, 2), {"stride": [2, 2], "padding": [1, 0, 1, 0]}), (3, (2, 2, 2), {})):
    x = rand(2, 3, *(8, 6, 4)[:axes])
    stride, padding = a.get("stride", kernel), a.get("padding", [0] * axes)[:axes]
    y, i = MAX[axes](t(x), kernel, stride, padding, return_indices=True)
    size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(y.shape[2:], stride, padding, kernel)]
    own = torch.zeros(2, 3, *size, dtype=torch.double).flatten(2)
    flat = i.flatten(2) % own.shape[2]
    for n in range(2):
        for c in range(3):
            for k in range(flat.shape[2]):
                own[n, c, flat[n, c, k]] = y.flatten(2)[n, c, k]
    index = flat.reshape(y.shape) + torch.arange(6).view(2, 3, *[1] * axes) * own.shape[2]
    own = own.reshape(2, 3, *size)
    inputs = {"x": y.numpy().astype(np.float32), "i": index.numpy().astype(np.int32)}
    case("max_unpool", inputs, {"y": own}, kernel=list(kernel), **a)
    case("max_unpool", inputs, {"y": F.pad(own, [0, 2] * axes)}, kernel=list(kernel), output_shape=[2, 3, *[n + 2 for n in size]], **a)
for axes, size, out in ((2, (5, 6), (4, 7)), (3, (4, 5, 3), (3, 4, 5))):
    x, grid = rand(2, 3, *size), (rng.uniform(-1.6, 1.6, (2, *out, axes))).astype(np.float32)
    for mode in ("nearest", "linear", "cubic")[:3 if axes == 2 else 2]:
        for padding in ("zeros", "border", "reflection"):
            for corners in (False, True):
                y = F.grid_sample(t(x), t(grid), {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode), padding, corners)
                case("grid_sample", {"x": x, "g": grid}, {"y": y}, mode=mode, padding=padding, align_corners=corners, tolerance=2e-5)
refuse({"layer": "grid_sample", "in": ["x", "g"]}, {"x": [1, 2, 3, 4], "g": [1, 5, 6, 3]}, "a grid [1, 5, 6, 3] does not fit the input [1, 2, 3, 4]")
refuse({"layer": "max_unpool", "in": ["x", "x"], "kernel": [2, 2]}, {"x": [1, 2, 3, 4]}, "i32")
refuse({"layer": "lrn"}, {"x": [1, 2, 3, 4]}, '"size" is missing')

boxes = np.float32([[0, 0, 7, 6], [1.3, 0.4, 5.2, 3.9], [-3, -2, 20, 30], [4, 4, 4, 4]])
x, images = rand(2, 3, 9, 11), np.int32([0, 1, 1, 0])
for half, sampling, scale in ((True, 2, 1.0), (False, 3, 0.5), (True, 0, 0.8), (False, 0, 1.0)):
    y = roi_align(x, boxes, images, (3, 4), sampling, scale, half)
    case("roi_align", {"x": x, "b": boxes, "i": images}, {"y": y}, height=3, width=4, sampling=sampling, scale=scale, half_pixel=half, tolerance=2e-5)
refuse({"layer": "roi_align", "in": ["x", "b", "i"]}, {"x": [1, 2, 3, 4], "b": [2, 4], "i": [2]}, "i32")

# Rows of y that are several vectors of pixels long, or end within one, in several blocks.
for channels, spatial, o, kernel, a in [(3, (21, 37), 9, (3, 3), {"padding": 1}), (2, (18, 32), 6, (3, 3), {"padding": 1}),
                                        (3, (40, 33), 5, (5, 3), {"stride": 2, "padding": [2, 1]}),
                                        (70, (9, 20), 3, (3, 3), {"padding": [0, 2], "dilation": [1, 2]}),
                                        (1, (5, 260), 2, (2, 5), {}), (4, (8, 8), 30, (3, 3), {"padding": 1})]:
    x, w, b = rand(1, channels, *spatial), rand(o, channels, *kernel, scale=0.2), rand(o)
    y = F.conv2d(around(t(x), a.get("padding", 0), 2), t(w), t(b), a.get("stride", 1), 0, tuple(spread(a.get("dilation", 1), 2)))
    case("conv2d", {"x": x}, {"y": y}, {"c.weight": w, "c.bias": b}, batched=("x",), weight="c", **a)
for a in ({"stride": 5}, {"stride": 2, "padding": 1}, {"stride": 3, "dilation": 2}):
    x = rand(1, 2, 23, 29)
    y = F.max_pool2d(t(x), 3, a["stride"], a.get("padding", 0), a.get("dilation", 1))
    case("pool", {"x": x}, {"y": y}, kind="max", kernel=[3, 3], **a)
    if "dilation" not in a:
        for count in (True, False):
            y = F.avg_pool2d(t(x), 3, a["stride"], a.get("padding", 0), count_include_pad=count)
            case("pool", {"x": x}, {"y": y}, kind="mean", kernel=[3, 3], count_include_pad=count, **a)

# ---- written -----------------------------------------------------------------------------------

for name, items in (("windows", cases), ("windows_errors", errors)):
    text = "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"
    (HERE / f"{name}.json").write_text(text)
save_file(tensors, HERE / "windows.safetensors")
print(len(cases), "cases,", len(errors), "errors")
