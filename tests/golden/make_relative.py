"""Writes tests/golden/relative.json and relative.safetensors: cases of the layers that know where tokens
stand: relative_bias, relative_scores, token_positions; relative_errors.json: what must be refused.

The buckets are those of transformers (T5, MPNet; DeBERTa-v2), the rest is NumPy.

    python tests/golden/make_relative.py
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.models.t5.modeling_t5 import T5Attention

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20261125)
cases, tensors, errors = [], {}, []


def distances(q_len, k_len):
    """The ends are aligned: from key to query."""
    return torch.arange(q_len)[:, None] + (k_len - q_len) - torch.arange(k_len)[None]


def buckets(kind, q_len, k_len, count, most, bidirectional):
    d = distances(q_len, k_len)
    if kind == "t5":
        found = T5Attention._relative_position_bucket(-d, bidirectional, count, most)
        if bidirectional:
            assert torch.equal(found, MPNetEncoder.relative_position_bucket(-d, count, most))
        return found.numpy()
    if kind == "log":
        d = make_log_bucket_position(d, count, most)
    return torch.clamp(d.long() + count, 0, 2 * count - 1).numpy()


def case(name, node, inputs, output, weights, shapes, symbols=None):
    for key, x in inputs.items():
        tensors[f"{name}/in/{key}"] = x
    for key, x in weights.items():
        tensors[f"{name}/w/{key}"] = x
    tensors[f"{name}/out/y"] = np.ascontiguousarray(output)
    description = {"format": "attn/1", "name": name, "weights": {"prefix": [f"{name}/w/"]}}
    if symbols:
        description["symbols"] = {s: {} for s in symbols}
    description["inputs"] = {
        key: {"shape": shapes[key], "dtype": "i32" if x.dtype == np.int32 else "f32"} for key, x in inputs.items()
    }
    description |= {"graph": [{**node, "out": "y"}], "outputs": {"y": {}}}
    cases.append({"name": name, "description": description, "inputs": list(inputs), "outputs": ["y"], "tolerance": 0})


KINDS = [  # kind, q_len, k_len, buckets, max_distance, bidirectional
    ("t5", 9, 9, 32, 128, True), ("t5", 1, 300, 32, 128, True), ("t5", 300, 1, 32, 128, True), ("t5", 2, 160, 32, 128, False),
    ("t5", 12, 12, 4, 3, True), ("t5", 1, 40, 8, 20, False), ("t5", 40, 1, 10, 33, True), ("t5", 20, 25, 7, 30, False),
    ("log", 11, 11, 8, 42, True), ("log", 1, 500, 64, 512, True), ("log", 500, 1, 64, 512, True), ("log", 3, 90, 6, 20, True), ("log", 1, 600, 256, 512, True),
    ("clip", 9, 9, 4, None, True), ("clip", 5, 20, 12, None, True), ("clip", 1, 1, 1, None, True),
]
for i, (kind, q_len, k_len, count, most, both) in enumerate(KINDS):
    rows = count if kind == "t5" else 2 * count
    heads = 3 if rows < 64 else 1
    found = buckets(kind, q_len, k_len, count, most, both)
    attributes = {"kind": kind, "buckets": count} | ({} if most is None else {"max_distance": most})
    if not both:
        attributes["bidirectional"] = False
    table = rng.standard_normal((rows, heads)).astype(np.float32)
    marks = {"q": np.zeros(q_len, np.float32), "k": np.zeros(k_len, np.float32)}
    case(f"relative_bias_{i}", {"layer": "relative_bias", "weight": "table", "lengths": ["a", "b"], **attributes},
         marks, table[found].transpose(2, 0, 1), {"table.weight": table}, {"q": ["a"], "k": ["b"]}, ("a", "b"))
    if rows > 32 or max(q_len, k_len) > 60:
        continue
    for of, length, other in (("queries", q_len, k_len), ("keys", k_len, q_len)):
        x = rng.standard_normal((2, heads, length, rows)).astype(np.float32)
        if of == "queries":
            y = np.take_along_axis(x, np.broadcast_to(found, (2, heads, q_len, k_len)), 3)
        else:
            y = np.stack([x[:, :, j, :][:, :, found[:, j]] for j in range(k_len)], 3)
        case(f"relative_scores_{i}_{of}", {"layer": "relative_scores", "in": "x", "of": of, "length": other, **attributes},
             {"x": x}, y, {}, {"x": list(x.shape[1:])})

for i, (pad, first) in enumerate(((1, 2), (0, 1), (-1, 0))):
    ids = rng.integers(-1, 4, (4, 13)).astype(np.int32)
    real = ids != pad
    want = (np.cumsum(real, 1) * real + first - 1).astype(np.int32)
    case(f"token_positions_{i}", {"layer": "token_positions", "in": "x", "padding_id": pad, "first": first},
         {"x": ids}, want, {}, {"x": [13]})


def refuse(node, *fragments, dtype="f32", shape=(2, 3, 4)):
    errors.append({
        "name": f"relative_error_{len(errors)}", "inputs": {"x": list(shape)}, "error": list(fragments),
        "description": {
            "format": "attn/1", "name": "refused", "inputs": {"x": {"shape": list(shape), "dtype": dtype}},
            "graph": [{**node, "out": "y"}], "outputs": {"y": {}}}})


SCORES = {"layer": "relative_scores", "in": "x", "kind": "clip", "buckets": 2}
refuse({**SCORES, "kind": "square"}, '"square"', "expected one of: t5, log, clip")
refuse({**SCORES, "buckets": 3}, "(relative_scores)", "[2, 3, 4] has 4 columns, the buckets are 6")
refuse({**SCORES, "of": "values"}, "expected one of: queries, keys")
refuse({**SCORES, "bidirectional": True}, 'no key "bidirectional"')
refuse({**SCORES, "kind": "t5", "buckets": 4}, '"max_distance" is missing')
refuse({**SCORES, "kind": "t5", "buckets": 3, "max_distance": 9}, "3 are too few, 4 are needed")
refuse({**SCORES, "kind": "t5", "buckets": 16, "max_distance": 4}, "16 buckets need more than 4")
refuse({**SCORES, "kind": "log", "buckets": 16, "max_distance": 9}, "16 buckets need more than 9")
refuse({**SCORES, "length": 0}, '"length"')
refuse({**SCORES}, "rank 3", shape=(3, 4))
refuse({"layer": "relative_bias", "kind": "clip", "buckets": 2, "weight": "t", "lengths": [3]}, '"lengths" must be [q_len, k_len]')
refuse({"layer": "relative_bias", "kind": "clip", "buckets": 2, "weight": "t", "lengths": [3, 3]}, "no tensor")
refuse({"layer": "relative_bias", "in": "x", "kind": "clip", "buckets": 2}, '"in" names 1 values, expected 0')
refuse({"layer": "token_positions", "in": "x"}, '"padding_id" is missing', dtype="i32", shape=(5,))
refuse({"layer": "token_positions", "in": "x", "padding_id": 1}, "i32", shape=(5,))
refuse({"layer": "token_positions", "in": "x", "padding_id": 1, "first": -1}, '"first"', dtype="i32", shape=(5,))

for name, items in (("relative", cases), ("relative_errors", errors)):
    text = "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"
    (HERE / f"{name}.json").write_text(text)
save_file(tensors, HERE / "relative.safetensors")
print(len(cases), "cases,", len(errors), "errors")
