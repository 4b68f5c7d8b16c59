"""Writes tests/golden/gguf/blocks.gguf with the gguf package: one tensor of every type that attn reads, random
bits in its blocks, and beside it, as "NAME.f32", what the package's dequantize makes of it; and metadata of
every type. Needs numpy and gguf."""

import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFValueType as V

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf")
# Where a block has its f16 numbers: random bits there could be infinite.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def random_blocks(rng, name):
    elements, size = gguf.GGML_QUANT_SIZES[T[name]]
    rows, columns = 2, 2 if elements < 256 else 1
    data = rng.integers(0, 256, (rows, columns, size), dtype=np.uint8)
    for at in HALVES[name]:
        half = rng.standard_normal((rows, columns)).astype(np.float16)
        half[0, 0] = np.float16(3e-6)  # a subnormal
        data[:, :, at:at + 2] = half[:, :, None].view(np.uint8)
    return data.reshape(rows, columns * size)


def main():
    rng = np.random.default_rng(7)
    os.makedirs(HERE, exist_ok=True)
    w = gguf.GGUFWriter(os.path.join(HERE, "blocks.gguf"), "tiny")
    for name, value, kind in (("u8", 200, V.UINT8), ("i8", -100, V.INT8), ("u16", 60000, V.UINT16),
                              ("i16", -30000, V.INT16), ("u32", 4000000000, V.UINT32), ("i32", -2000000000, V.INT32),
                              ("f32", 0.1, V.FLOAT32), ("u64", 2**52, V.UINT64), ("i64", -2**52, V.INT64),
                              ("f64", 0.1, V.FLOAT64), ("flag", True, V.BOOL), ("text", "Grüße", V.STRING)):
        w.add_key_value("test." + name, value, kind)
    w.add_array("test.texts", ["", "a", "Grüße"])
    w.add_array("test.numbers", [1, 2, 3])
    w.add_array("test.nested", [[1, 2], [3]])
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    w.add_tensor("F32", x)
    w.add_tensor("F16", x.astype(np.float16))
    w.add_tensor("F16.f32", x.astype(np.float16).astype(np.float32))
    w.add_tensor("I32", np.arange(-3, 3, dtype=np.int32))
    w.add_tensor("I64", np.arange(-3, 3, dtype=np.int64))
    half = gguf.quants.quantize(x, T.BF16)
    w.add_tensor("BF16", half, raw_dtype=T.BF16)
    w.add_tensor("BF16.f32", gguf.quants.dequantize(half, T.BF16))
    for name in HALVES:
        data = random_blocks(rng, name)
        w.add_tensor(name, data, raw_dtype=T[name])
        w.add_tensor(name + ".f32", gguf.quants.dequantize(data, T[name]).astype(np.float32))
    w.add_tensor("IQ4_NL", rng.integers(0, 256, (1, 18), dtype=np.uint8), raw_dtype=T.IQ4_NL)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
