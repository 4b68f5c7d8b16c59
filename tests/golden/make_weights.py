"""Golden weight files for tests/runtime/test_weights.c, written by the safetensors library.

    python tests/golden/make_weights.py

weights/all.safetensors       a tensor of every dtype, in odd places and with odd values
weights/expected.safetensors  the same tensors as f32, converted by PyTorch (float64: NumPy)
weights/*-of-00002.safetensors, weights/model.safetensors.index.json   a sharded model
weights/halves.txt            FNV-1a of all 65536 values of f16 and bf16 as f32, by NumPy, PyTorch
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "weights"


def fnv1a(values: np.ndarray) -> int:
    """Of the little-endian bytes of f32 values; every NaN counts as 0x7fc00000 with its sign."""
    bits = values.astype("<f4").view("<u4").copy()
    nan = np.isnan(values)
    bits[nan] = (bits[nan] & 0x80000000) | 0x7FC00000
    h = 0xCBF29CE484222325
    for byte in bits.tobytes():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def halves() -> str:
    bits = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    f16_numpy = bits.view(np.float16).astype(np.float32)
    f16_torch = torch.from_numpy(bits.view(np.int16)).view(torch.float16).float().numpy()
    bf16_torch = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert fnv1a(f16_numpy) == fnv1a(f16_torch)
    return f"f16 {fnv1a(f16_numpy):016x}\nbf16 {fnv1a(bf16_torch):016x}\n"


def every_dtype() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    odd = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, -5.96e-8, 6.1e-5, 3e-39, -1e-40,
                        float("inf"), float("-inf"), float("nan"), 1 / 3])
    return {
        "u8_first": torch.tensor([0, 1, 127, 128, 255], dtype=torch.uint8),
        "f32": torch.cat([odd, torch.randn(10, generator=g)]).reshape(2, 3, 4),
        "f16": odd.half(),
        "bf16": odd.bfloat16().reshape(7, 2),
        "i64": torch.tensor([0, -1, 2**24 + 1, 2**24 + 3, 2**53 + 1, -(2**63), 2**63 - 1]),
        "i32": torch.tensor([[0, -1], [2**24 + 1, -(2**31)], [2**31 - 1, 7]], dtype=torch.int32),
        "bool": torch.tensor([True, False, True]),
        "f64": torch.tensor([0.1, 1e300], dtype=torch.float64),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "i16": torch.tensor([-32768, 32767], dtype=torch.int16),
        "f8": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(3, 0, 5),
        "layer.0.Größe": torch.ones(1, 1, 1, 1, 1, 1, 1, 1),
    }


def main() -> None:
    OUT.mkdir(exist_ok=True)
    (OUT / "halves.txt").write_text(halves())
    tensors = every_dtype()
    save_file(tensors, OUT / "all.safetensors", metadata={"format": "pt", "note": "every dtype"})
    save_file({k: v.float() for k, v in tensors.items()}, OUT / "expected.safetensors")

    shards = {
        "model-00001-of-00002.safetensors": {"b": torch.arange(6.0).reshape(2, 3),
                                             "d": torch.tensor([4.0])},
        "model-00002-of-00002.safetensors": {"a": torch.tensor([1.0, 2.0]).half(),
                                             "c": torch.tensor(3)},
    }
    for name, part in shards.items():
        save_file(part, OUT / name)
    index = {
        "metadata": {"total_size": sum(t.nbytes for p in shards.values() for t in p.values())},
        "weight_map": {k: name for name, part in shards.items() for k in part},
    }
    (OUT / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
