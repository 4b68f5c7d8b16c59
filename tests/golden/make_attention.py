"""Golden values of the attention layers for tests/layers/test_golden.c.

    python tests/golden/make_attention.py

attention.json         the cases: descriptions with the names of their inputs and outputs
attention.safetensors  CASE/w/<weight>, CASE/in/<input>, CASE/out/<output>
attention_errors.json  descriptions and input shapes that must be refused, with parts of the message

The reference is NumPy in float64, written from the formulas of models/FORMAT.md: one query, one
head and one key at a time where that is the formula. PyTorch checks its softmax attention.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent
INF = np.inf

cases: list[dict] = []
tensors: dict[str, np.ndarray] = {}


# ---- the reference: one item, float64 -----------------------------------------------------------

def pair_score(kind, q, k, h, a, w):
    """The score of query head vectors q [q_len, dq] and key head vectors k [k_len, dk]."""
    if kind == "scaled_dot":
        return q @ k.T * a.get("scale", 1 / np.sqrt(q.shape[1]))
    scale = a.get("scale", 1.0)
    if kind == "dot":
        return scale * (q @ k.T)
    if kind == "cosine":
        eps = a.get("eps", 1e-8)
        norm = [np.maximum(np.linalg.norm(x, axis=1), eps) for x in (q, k)]
        return scale * (q @ k.T) / np.outer(*norm)
    if kind == "bilinear":
        matrix = w["W"] if w["W"].ndim == 2 else w["W"][h]
        return scale * (q @ matrix @ k.T)
    if kind == "additive":
        v = w["v"] if w["v"].ndim == 1 else w["v"][h]
        b = w.get("b", np.zeros(q.shape[1]))
        b = b if b.ndim == 1 else b[h]
        return scale * (np.tanh(q[:, None] + k[None] + b) @ v)
    assert kind == "gaussian"
    distance = ((q[:, None] - k[None]) ** 2).sum(-1)
    return -scale * distance / (2 * a.get("sigma", 1.0) ** 2)


def alibi_slopes(heads):
    """Press et al. 2021: a geometric sequence; for other numbers of heads than powers of two, their code."""
    power = 2 ** int(np.log2(heads))
    if power == heads:
        return [2.0 ** (-8 * (h + 1) / heads) for h in range(heads)]
    return alibi_slopes(power) + alibi_slopes(2 * power)[::2][:heads - power]


def scores(a, x, w):
    heads = a.get("heads", 1)
    kv_heads = a.get("kv_heads", heads)
    q_len, k_len = len(x["q"]), len(x["k"])
    q = x["q"].reshape(q_len, heads, -1)
    k = x["k"].reshape(k_len, kv_heads, -1)
    s = np.stack([pair_score(a.get("score", "scaled_dot"), q[:, h],
                             k[:, h // (heads // kv_heads)], h, a, w) for h in range(heads)])
    if "softcap" in a:
        s = a["softcap"] * np.tanh(s / a["softcap"])
    if a.get("alibi"):
        p = np.arange(q_len)[:, None] + k_len - q_len
        s = s - np.array(alibi_slopes(heads))[:, None, None] * np.abs(p - np.arange(k_len))
    if "bias" in x:
        s = s + x["bias"]
    if "mask" in x:
        s = np.where(x["mask"] != 0, s, -INF) if x["mask"].dtype == np.int32 else s + x["mask"]
    if "padding" in x:
        s = np.where(x["padding"] != 0, s, -INF)
    for i in range(q_len):
        p = i + k_len - q_len
        for j in range(k_len):
            window = a.get("window")
            late = a.get("causal", False) and j > p
            far = window is not None and abs(p - j) >= window
            if late or far:
                s[:, i, j] = -INF
    return s


def sparsemax(z):
    if np.all(z == -INF):
        return np.zeros_like(z)
    down = np.sort(z[np.isfinite(z)])[::-1]
    total = np.cumsum(down)
    size = np.arange(1, len(down) + 1)
    support = size[1 + size * down > total][-1]
    return np.maximum(z - (total[support - 1] - 1) / support, 0)


def normalize(a, s):
    kind, z = a.get("normalize", "softmax"), s / a.get("temperature", 1.0)
    if kind == "softmax":
        top = z.max(-1, keepdims=True)
        e = np.exp(z - np.where(np.isfinite(top), top, 0))
        total = e.sum(-1, keepdims=True)
        return np.divide(e, total, out=np.zeros_like(e), where=total > 0)
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-z))
    if kind == "sparsemax":
        return np.apply_along_axis(sparsemax, -1, z)
    return np.where(z == -INF, 0, z)


def sparsify_row(a, w):
    kind = a.get("select", "weighted")
    if kind == "weighted":
        return w
    if kind == "hard":
        return np.eye(len(w))[np.argmax(w)] if np.any(w != 0) else np.zeros(len(w))
    if kind == "top_k":
        keep = np.zeros(len(w), bool)
        keep[np.argsort(-w, kind="stable")[:a["k"]]] = True
    else:
        keep = w >= a["threshold"]
    w = np.where(keep, w, 0)
    return w / w.sum() if a.get("renormalize", True) and w.sum() != 0 else w


def attention(a, x, w):
    """y [q_len, heads * value_dim] and the weights before and after the selection."""
    heads = a.get("heads", 1)
    kv_heads = a.get("kv_heads", heads)
    full = normalize(a, scores(a, x, w))
    used = np.apply_along_axis(lambda row: sparsify_row(a, row), -1, full)
    v = x["v"].reshape(len(x["v"]), kv_heads, -1)
    y = np.stack([used[h] @ v[:, h // (heads // kv_heads)] for h in range(heads)], axis=1)
    return y.reshape(y.shape[0], -1), full, used


def check_against_torch(rng):
    q, k, v = (rng.standard_normal((3, n, 5)) for n in (4, 6, 6))
    bias = rng.standard_normal((3, 4, 6))
    want = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.tensor, (q, k, v)), attn_mask=torch.tensor(bias)).numpy()
    flat = {n: t.transpose(1, 0, 2).reshape(t.shape[1], -1) for n, t in zip("qkv", (q, k, v))}
    have = attention({"heads": 3}, flat | {"bias": bias}, {})[0]
    assert np.allclose(have.reshape(4, 3, 5).transpose(1, 0, 2), want, atol=1e-12)
    cosine = torch.nn.functional.cosine_similarity(
        torch.tensor(q[0])[:, None], torch.tensor(k[0])[None], dim=-1).numpy()
    assert np.allclose(pair_score("cosine", q[0], k[0], 0, {}, {}), cosine, atol=1e-12)


# ---- cases --------------------------------------------------------------------------------------

SCORE_KEYS = ("heads", "kv_heads", "scale", "sigma", "eps", "softcap", "alibi", "causal", "window")
SELECT_KEYS = ("k", "threshold", "renormalize")


def nodes(a, extra, w, fused, want_weights):
    names = {"weight": n for n in ("W", "v") if n in w} | {"score_bias": "b" for n in ("b",) if n in w}
    operands = {n: n for n in extra}
    score = {k: a[k] for k in SCORE_KEYS if k in a} | names | operands
    norm = {"temperature": a["temperature"]} if "temperature" in a else {}
    select = {k: a[k] for k in SELECT_KEYS if k in a}
    kinds = {k: a[k] for k in ("score", "normalize", "select") if k in a}
    if fused:
        return [{"layer": "attention", "in": ["q", "k", "v"],
                 "out": ["y", "weights"] if want_weights else "y"} | kinds | score | norm | select]

    def kind(step):
        return {"kind": kinds[step]} if step in kinds else {}
    return [
        {"layer": "score", "in": ["q", "k"], "out": "s"} | kind("score") | score,
        {"layer": "normalize", "in": "s", "out": "w"} | kind("normalize") | norm,
        {"layer": "select", "in": ["w", "v"], "out": "y"} | kind("select") | select
        | ({"kv_heads": a["kv_heads"]} if "kv_heads" in a else {}),
    ]


def add_case(name, a, x, w=None, batched=(), batch=None, form="fused", show=()):
    """x: f32/i32 arrays, with a leading batch where the name is in `batched`; form: fused, or
    stepwise (which the planner fuses unless `show` has "s" or "w": then nothing may be fused)."""
    w = w or {}
    items = range(batch or 1)
    wide = {n: (t if t.dtype == np.int32 else t.astype(np.float64)) for n, t in x.items()}
    wide_w = {n: t.astype(np.float64) for n, t in w.items()}
    results = {"y": [], "weights": [], "s": [], "w": []}
    for i in items:
        item = {n: (t[i] if n in batched else t) for n, t in wide.items()}
        y, full, used = attention(a, item, wide_w)
        for key, value in zip(results, (y, used, scores(a, item, wide_w), full)):
            results[key].append(value)
    outputs = {"y": {}} | {n: {} for n in show}
    extra = [n for n in x if n not in ("q", "k", "v")]
    description = {
        "format": "attn/1",
        "name": name,
        "inputs": {n: {"kind": "array", "shape": list((t[0] if n in batched else t).shape)}
                   | ({"dtype": "i32"} if t.dtype == np.int32 else {}) for n, t in x.items()},
        "graph": nodes(a, extra, w, form == "fused", "weights" in show),
        "outputs": outputs,
    }
    if w:
        description["weights"] = {"prefix": [f"{name}/w/"]}
    cases.append({"name": name, "description": description, "inputs": list(x),
                  "outputs": list(outputs), "tolerance": 1e-5})
    for n, t in w.items():
        tensors[f"{name}/w/{n}"] = t
    for n, t in x.items():
        tensors[f"{name}/in/{n}"] = np.ascontiguousarray(t)
    for n in outputs:
        value = np.stack(results[n]) if batch else results[n][0]
        tensors[f"{name}/out/{n}"] = value.astype(np.float32)


def qkv(rng, q_len, k_len, heads, kv_heads, dim, v_dim=None, k_dim=None, batch=None):
    lead = (batch,) if batch else ()
    shapes = {"q": (q_len, heads * dim), "k": (k_len, kv_heads * (k_dim or dim)),
              "v": (k_len, kv_heads * (v_dim or dim))}
    return {n: rng.standard_normal(lead + s).astype(np.float32) for n, s in shapes.items()}


def score_weights(rng, kind, heads, dim, k_dim, per_head):
    lead = (heads,) if per_head else ()

    def draw(*shape):
        return (0.5 * rng.standard_normal(lead + shape)).astype(np.float32)
    if kind == "bilinear":
        return {"W": draw(dim, k_dim)}
    return {"v": draw(dim), "b": draw(dim)} if kind == "additive" else {}


KINDS = ("scaled_dot", "dot", "cosine", "bilinear", "additive", "gaussian")
NORMS = ("softmax", "sigmoid", "sparsemax", "none")
SELECTS = {"weighted": {}, "top_k": {"k": 3}, "hard": {}, "threshold": {"threshold": 0.15}}


def every_combination(rng):
    """Each score with each normalization and each selection; small and odd shapes."""
    for c, kind in enumerate(KINDS):
        for n, norm in enumerate(NORMS):
            for t, (select, more) in enumerate(SELECTS.items()):
                heads, kv_heads = [(2, 2), (3, 1), (4, 2), (1, 1)][(c + n + t) % 4]
                q_len, k_len = [(5, 7), (1, 9), (6, 6), (11, 3)][(c + 2 * n + t) % 4]
                dim = [3, 4, 5][(n + t) % 3]
                k_dim = dim + 2 if kind == "bilinear" else dim
                a = {"score": kind, "normalize": norm, "select": select,
                     "heads": heads, "kv_heads": kv_heads} | more
                fused = (n + t) % 2 == 0
                show = ((), ("weights",)) if fused else ((), ("s", "w"))
                add_case(f"{kind}-{norm}-{select}", a,
                         qkv(rng, q_len, k_len, heads, kv_heads, dim, dim + 1, k_dim),
                         score_weights(rng, kind, heads, dim, k_dim, t % 2 == 1),
                         form="fused" if fused else "stepwise", show=show[c % 2 or t == 3])


def masks(rng, a, q_len, k_len, which, batch=None):
    heads, x = a.get("heads", 1), {}
    lead = (batch,) if batch else ()
    if "padding" in which:
        x["padding"] = (np.arange(k_len) < max(1, k_len - 2)).astype(np.int32)
    if "padding_batch" in which:
        keep = rng.integers(0, 3, (batch, k_len)) > 0
        x["padding"] = keep.astype(np.float32)
    if "bias" in which:
        x["bias"] = rng.standard_normal((heads, q_len, k_len)).astype(np.float32)
    if "bias_plane" in which:
        x["bias"] = rng.standard_normal(lead + (q_len, k_len)).astype(np.float32)
    if "mask" in which:
        mask = 3 * rng.standard_normal((q_len, k_len)).astype(np.float32)
        mask[rng.random((q_len, k_len)) < 0.2] = -INF
        x["mask"] = mask
    if "keep" in which:
        x["mask"] = (rng.random((heads, q_len, k_len)) < 0.7).astype(np.int32)
        x["mask"][0, 0] = 0  # a query that may look at nothing
    return x


def masked(rng):
    shapes = [("same", 13, 13), ("cross", 4, 17), ("more_queries", 9, 5), ("one", 1, 1),
              ("step", 1, 21)]
    settings = {
        "causal": ({"causal": True}, ()),
        "window": ({"window": 3}, ()),
        "causal_window": ({"causal": True, "window": 4}, ()),
        "padding": ({}, ("padding",)),
        "bias": ({}, ("bias",)),
        "mask_bias": ({}, ("mask", "bias_plane")),
        "keep_padding": ({"causal": True}, ("keep", "padding")),
    }
    for s, (shape, q_len, k_len) in enumerate(shapes):
        for i, (name, (more, which)) in enumerate(settings.items()):
            heads, kv_heads = [(2, 2), (4, 2), (3, 1)][(s + i) % 3]
            a = {"heads": heads, "kv_heads": kv_heads,
                 "normalize": ("softmax", "sparsemax", "sigmoid", "none")[(s + 2 * i) % 4]} | more
            x = qkv(rng, q_len, k_len, heads, kv_heads, 4)
            add_case(f"{name}-{shape}", a, x | masks(rng, a, q_len, k_len, which),
                     form=("fused", "stepwise")[(s + i) % 2],
                     show=("weights",) if (s + i) % 4 == 0 else ())


def batches(rng):
    for kind in KINDS:
        heads, kv_heads, dim = 4, 2, 6
        a = {"score": kind, "heads": heads, "kv_heads": kv_heads, "causal": True}
        x = qkv(rng, 10, 12, heads, kv_heads, dim, batch=3)
        x |= masks(rng, a, 10, 12, ("padding_batch", "bias_plane"), batch=3)
        w = score_weights(rng, kind, heads, dim, dim, True)
        for form, show in (("fused", ("weights",)), ("stepwise", ("w",))):
            add_case(f"batch-{kind}-{form}", a, x, w, batched=tuple(x), batch=3, form=form,
                     show=show)
    # A batch of queries over the same keys and values, and the other way round.
    a = {"heads": 2, "score": "cosine", "eps": 0.5}
    for name, batched in (("queries", ("q",)), ("keys", ("k",)), ("values", ("v",))):
        x = qkv(rng, 5, 8, 2, 2, 3, batch=3)
        x = {n: t if n in batched else t[0] for n, t in x.items()}
        for form in ("fused", "stepwise"):
            add_case(f"batch_of_{name}-{form}", a, x, batched=batched, batch=3, form=form)


def attributes(rng):
    """Each attribute away from its default."""
    x = qkv(rng, 6, 8, 2, 2, 4)
    add_case("scale", {"heads": 2, "scale": 0.3}, x)
    add_case("scale-gaussian", {"heads": 2, "score": "gaussian", "sigma": 1.7, "scale": 2.0}, x)
    add_case("scale-cosine", {"heads": 2, "score": "cosine", "scale": 10.0}, x)
    add_case("scale-additive", {"heads": 2, "score": "additive", "scale": -1.5}, x,
             {"v": rng.standard_normal(4).astype(np.float32)})
    for norm in NORMS:
        add_case(f"temperature-{norm}",
                 {"heads": 2, "normalize": norm, "temperature": 0.4}, x, form="stepwise",
                 show=("w",))
    for select, more in (("top_k", {"k": 2}), ("top_k", {"k": 50}), ("threshold", {"threshold": 0.1}),
                         ("threshold", {"threshold": 5.0})):
        for renormalize in (True, False):
            add_case(f"{select}-{list(more.values())[0]}-{renormalize}".lower(),
                     {"heads": 2, "select": select, "renormalize": renormalize} | more, x,
                     show=("weights",))
    # Equal weights: the first ones are taken.
    same = {"q": np.zeros((2, 4), np.float32), "k": x["k"][:, :4], "v": x["v"][:, :4]}
    add_case("ties-top_k", {"select": "top_k", "k": 3}, same, show=("weights",))
    add_case("ties-hard", {"select": "hard"}, same, show=("weights",))
    # Scores so large that exp would overflow without the shift by the maximum.
    large = {n: 30 * t for n, t in x.items() if n != "v"} | {"v": x["v"]}
    add_case("large-softmax", {"heads": 2, "score": "gaussian"}, large)
    add_case("large-sparsemax", {"heads": 2, "normalize": "sparsemax", "scale": 0.01}, large)
    # Keys of length zero.
    zero = dict(x, k=x["k"].copy())
    zero["k"][3] = 0
    add_case("cosine-zero_key", {"heads": 2, "score": "cosine"}, zero)


def sizes(rng):
    for q_len, k_len, heads, kv_heads, dim, v_dim in (
            (1, 1, 1, 1, 1, 1), (2, 33, 1, 1, 17, 1), (70, 70, 3, 3, 8, 8), (65, 31, 2, 1, 33, 5),
            (17, 64, 8, 2, 4, 16), (3, 70, 6, 3, 1, 7), (16, 16, 1, 1, 64, 64)):
        name = f"size-{q_len}-{k_len}-{heads}-{kv_heads}-{dim}-{v_dim}"
        a = {"heads": heads, "kv_heads": kv_heads}
        x = qkv(rng, q_len, k_len, heads, kv_heads, dim, v_dim)
        add_case(name, a, x, show=("weights",) if q_len < 20 else ())
        add_case(name + "-causal", a | {"causal": True}, x, form="stepwise")


def capped_and_slanted(rng):
    """softcap and alibi, with other masks, for numbers of heads that are powers of two and others."""
    x = qkv(rng, 6, 8, 2, 2, 4)
    for score in ("scaled_dot", "cosine", "gaussian"):
        add_case(f"softcap-{score}", {"heads": 2, "score": score, "softcap": 0.7}, x, show=("weights",))
    add_case("softcap-causal", {"heads": 2, "softcap": 50.0, "causal": True}, x, form="stepwise", show=("s",))
    for heads in (1, 2, 3, 4, 6, 7, 8, 12, 16, 20):
        x = qkv(rng, 5, 9, heads, heads, 3)
        add_case(f"alibi-{heads}", {"heads": heads, "alibi": True, "causal": True}, x)
    add_case("alibi-both_sides", {"heads": 3, "kv_heads": 1, "alibi": True}, qkv(rng, 9, 5, 3, 1, 4),
             form="stepwise", show=("s",))
    x = qkv(rng, 40, 70, 5, 5, 8)
    add_case("alibi-window", {"heads": 5, "alibi": True, "causal": True, "window": 9, "softcap": 2.0,
                              "scale": 3.0}, x)


def worked_example():
    v = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    x = {"q": np.array([[1, 2]], np.float32), "k": v, "v": v}
    add_case("worked_example", {"score": "dot"}, x, form="stepwise", show=("s", "w"))
    assert np.allclose(tensors["worked_example/out/s"], [[[5, 11, 17]]])


# ---- what must be refused -----------------------------------------------------------------------

def errors():
    found = []

    def bad(name, parts, node, shapes=None, **inputs):
        shapes = {"q": [5, 8], "k": [7, 8], "v": [7, 8]} | (shapes or {}) | inputs
        used = node["in"] + [node[n] for n in ("padding", "mask", "bias") if n in node]
        ports = {n: {"kind": "array", "shape": s} for n, s in shapes.items() if n in used}
        found.append({"name": name, "error": [f"({node['layer']})"] + parts, "inputs":
                      {n: p["shape"] for n, p in ports.items()},
                      "description": {"format": "attn/1", "name": name, "inputs": ports,
                                      "graph": [node], "outputs": {"y": {}}}})

    base = {"layer": "attention", "in": ["q", "k", "v"], "out": "y"}
    score = {"layer": "score", "in": ["q", "k"], "out": "y"}
    norm = {"layer": "normalize", "in": ["q"], "out": "y"}
    select = {"layer": "select", "in": ["w", "v"], "out": "y"}
    bad("score kind", ["score", "product"], base | {"score": "product"})
    bad("normalize kind", ["normalize", "max"], base | {"normalize": "max"})
    bad("select kind", ["select", "all"], base | {"select": "all"})
    bad("no heads", ["heads", "0"], base | {"heads": 0})
    bad("heads and kv_heads", ["kv_heads", "3", "4"], base | {"heads": 4, "kv_heads": 3})
    bad("more kv_heads", ["kv_heads", "4", "2"], base | {"heads": 2, "kv_heads": 4})
    bad("heads do not divide q", ["[5, 8]", "3"], base | {"heads": 3})
    bad("kv_heads do not divide k", ["k has shape [7, 9]", "4"], base | {"heads": 4}, k=[7, 9])
    bad("kv_heads do not divide v", ["v has shape [7, 9]", "4"], base | {"heads": 4}, v=[7, 9])
    bad("head dims differ", ["8", "6"], base, k=[7, 6])
    bad("k and v lengths", ["[6, 8]", "7"], base, v=[6, 8])
    bad("rank of q", ["[8]", "2"], base, q=[8])
    bad("k of top_k absent", ["\"k\""], base | {"select": "top_k"})
    bad("k of top_k zero", ["\"k\"", "0"], base | {"select": "top_k", "k": 0})
    bad("k without top_k", ["\"k\""], base | {"k": 3})
    bad("threshold absent", ["threshold"], base | {"select": "threshold"})
    bad("renormalize without use", ["renormalize"], base | {"renormalize": True})
    bad("sigma negative", ["sigma", "-1"], base | {"score": "gaussian", "sigma": -1})
    bad("sigma without gaussian", ["sigma"], base | {"sigma": 1})
    bad("eps zero", ["eps", "0"], base | {"score": "cosine", "eps": 0})
    bad("temperature zero", ["temperature", "0"], base | {"temperature": 0})
    bad("window zero", ["window", "0"], base | {"window": 0})
    bad("softcap zero", ["softcap", "0"], base | {"softcap": 0})
    bad("alibi a number", ["alibi", "8"], base | {"alibi": 8})
    bad("causal a number", ["causal"], base | {"causal": 2})
    bad("bilinear without weight", ["weight"], base | {"score": "bilinear"})
    bad("additive without weight", ["weight"], base | {"score": "additive"})
    bad("unknown operand", ["absent"], base | {"mask": "absent"})
    bad("padding length", ["padding", "[5]", "7"], base | {"padding": "p"}, p=[5])
    bad("mask shape", ["mask", "[5, 8]", "[5, 7]"], base | {"mask": "m"}, m=[5, 8])
    bad("mask heads", ["mask", "[3, 5, 7]", "2"], base | {"mask": "m", "heads": 2}, m=[3, 5, 7])
    bad("bias rank", ["bias", "[7]"], base | {"bias": "b"}, b=[7])
    bad("two inputs", ["in"], base | {"in": ["q", "k"]})
    bad("unknown key", ["head"], base | {"head": 2})
    bad("score of three", ["in"], score | {"in": ["q", "k", "v"]})
    bad("score heads", ["[5, 8]", "5"], score | {"heads": 5})
    bad("normalize unknown", ["kind"], norm | {"kind": "softmin"})
    bad("temperature negative", ["temperature", "-2"], norm | {"temperature": -2})
    bad("select kv_heads", ["kv_heads", "3", "2"], select | {"kv_heads": 3}, w=[2, 5, 7])
    bad("select lengths", ["[7, 8]", "6"], select, w=[2, 5, 6])
    bad("select columns", ["[7, 9]", "2"], select, w=[2, 5, 7], v=[7, 9])
    bad("select rank of w", ["2"], select, w=[5, 7])
    return found


def main():
    rng = np.random.default_rng(2017)
    check_against_torch(rng)
    worked_example()
    every_combination(rng)
    masked(rng)
    batches(rng)
    attributes(rng)
    sizes(rng)
    capped_and_slanted(rng)
    assert len({c["name"] for c in cases}) == len(cases)
    lines = [json.dumps(c, separators=(", ", ": ")) for c in cases]
    (OUT / "attention.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    save_file(tensors, OUT / "attention.safetensors")
    lines = [json.dumps(c, separators=(", ", ": ")) for c in errors()]
    (OUT / "attention_errors.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(len(cases), "cases,", len(tensors), "tensors")


main()
