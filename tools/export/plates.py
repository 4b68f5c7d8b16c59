"""Makes the bundled models/plates of fast-plate-ocr's CCT-XS (cct_xs_v1_global.onnx).

    python tools/export/plates.py cct_xs_v1_global.onnx models/plates

The numbers are the file's; what changes is where they lie: matrices as [out, in], query, key and value of a
block in one, and the patches' rearrangement and the linear layer after it as one matrix. The description,
attn.json, is written by hand. Needs onnx."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

STEM = ["conv2d_1", "conv2d_1_2", "conv2d_2_1", "conv2d_3_1", "conv2d_4_1"]


def convert(path: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(path).graph
    have = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    out: dict[str, np.ndarray] = {}

    def node(end: str) -> onnx.NodeProto:
        [found] = [n for n in graph.node if n.output[0].endswith(end)]
        return found

    def number(end: str) -> np.ndarray:
        """The initializer that the node with this output reads."""
        [found] = [have[name] for name in node(end).input if name in have]
        return found

    def keras(end: str, shape: tuple[int, ...]) -> np.ndarray:
        """A matrix [in, out] that the exporter wrote under this end of a name."""
        [found] = [value for name, value in have.items() if name.endswith(end)]
        return found.reshape(shape).T

    for i, name in enumerate(STEM):
        conv = node(f"conv_stem_1/{name}/BiasAdd:0")
        out[f"stem.{i}.weight"], out[f"stem.{i}.bias"] = have[conv.input[1]], have[conv.input[2]].reshape(-1)
    for i, name in enumerate(("max_blur_pooling2d_1", "max_blur_pooling2d_1_2")):
        out[f"blur.{i}.weight"] = have[node(f"conv_stem_1/{name}/depthwise:0").input[1]]

    # The extractor only moves pixels: column (y, x, c) of the matrix is pixel (y, x) of channel c.
    moved = have[made_by[node("patch_extractor_1/convolution__51:0").input[0]].input[1]]
    channels = moved.shape[1]
    if not np.array_equal(moved.reshape(2, 2, channels, channels, 2, 2).nonzero(),
                          np.einsum("yY,xX,cC->yxcCYX", np.eye(2), np.eye(2), np.eye(channels)).nonzero()):
        raise SystemExit("the patch extractor is no rearrangement")
    dense = number("CCT_OCR_1/mlp_1/dense_1/MatMul:0")
    out["patches.weight"] = dense.T.reshape(-1, 2, 2, channels).transpose(0, 3, 1, 2)
    out["patches.bias"] = number("CCT_OCR_1/mlp_1/dense_1/BiasAdd:0")
    out["positions"] = next(value for name, value in have.items() if name.endswith("pos_emb_1/Slice:0"))

    norms = iter(["dy_t_1", "dy_t_1_2"] + [f"dy_t_{i}_1" for i in range(2, 8)])
    dense_layers = iter(f"mlp{'' if i < 1 else f'_{i}'}_1/dense_{2 * i + j}_1" for i in range(4) for j in (1, 2))
    for i in range(4):
        block, attention = f"transformer_block_{i + 1}_1", f"multi_head_attention_{f'{i}_' if i else ''}1"
        for j in (1, 2):
            name = f"{block}/{next(norms)}"
            out[f"blocks.{i}.norm{j}.alpha"] = number(f"{name}/Mul:0").reshape(1)
            out[f"blocks.{i}.norm{j}.weight"] = number(f"{name}/mul_1:0")
            out[f"blocks.{i}.norm{j}.bias"] = number(f"{name}/add:0")
        parts = ("query", "key", "value")
        out[f"blocks.{i}.attention.qkv.weight"] = np.concatenate(
            [number(f"{block}/{attention}/{part}_1/MatMul:0").T for part in parts])
        out[f"blocks.{i}.attention.qkv.bias"] = np.concatenate(
            [number(f"{block}/{attention}/{part}_1/add:0").reshape(-1) for part in parts])
        out[f"blocks.{i}.attention.output.weight"] = number(f"{block}/{attention}/attention_output_1/MatMul:0").T
        out[f"blocks.{i}.attention.output.bias"] = number(f"{block}/{attention}/attention_output_1/add:0")
        for j in (1, 2):
            name = f"{block}/{next(dense_layers)}"
            out[f"blocks.{i}.mlp.{j}.weight"] = number(f"{name}/MatMul:0").T
            out[f"blocks.{i}.mlp.{j}.bias"] = number(f"{name}/BiasAdd:0")

    reader = "token_reducer_1/multi_head_attention_4_1"
    out["reader.queries"] = next(v for name, v in have.items() if name.endswith("token_reducer_1/Reshape_1:0"))[0]
    out["reader.query.weight"] = number("Gemm__312:0")
    out["reader.query.bias"] = number(f"{reader}/query_1/add:0").reshape(-1)
    out["reader.kv.weight"] = np.concatenate([number(f"{reader}/{part}_1/MatMul:0").T for part in ("key", "value")])
    out["reader.kv.bias"] = np.concatenate([number(f"{reader}/{part}_1/add:0").reshape(-1) for part in ("key", "value")])
    out["reader.output.weight"] = number("Gemm__188:0")
    out["reader.output.bias"] = number(f"{reader}/attention_output_1/add:0")
    out["head.weight"] = number("vocab_projection_1/dense_9_1/MatMul:0").T
    out["head.bias"] = number("vocab_projection_1/dense_9_1/BiasAdd:0")
    return {name: np.ascontiguousarray(value, np.float32) for name, value in out.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    tensors = convert(options.onnx)
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, options.folder / "model.safetensors")
    print(f"{len(tensors)} tensors, {sum(t.size for t in tensors.values())} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
