"""Converts a checkpoint of PyTorch, Keras or TensorFlow.js to safetensors. Names and values are kept.

    python tools/export/to_safetensors.py INPUT OUTPUT.safetensors [--key KEY] [--rename REGEX=REPL]...

    INPUT                      read with
    *.pt *.pth *.bin *.ckpt    torch.load(weights_only=True); a state dict, or a dict that holds one
    *.h5 *.hdf5 *.weights.h5   h5py
    *.keras                    zipfile and h5py
    *.json                     numpy: a TensorFlow.js `model.json`, its shards beside it

A tensor of an HDF5 file is named by its path in the file; of a whole-model `.h5` only what lies under
`model_weights` is taken. Quantised TensorFlow.js weights are written as the values that they stand for.

Checkpoints come from strangers: whatever is wrong with one ends in one line, `file: place: values`,
and exit status 1. A wrong command line ends with 2. The output appears only when it is complete.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "ema")

# Weights hardly compress. A file that claims to hold this many times its own size wants to fill the memory.
MAX_EXPANSION = 100


# By the name that numpy or torch gives a type: what safetensors calls it.
SAFETENSORS_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


class Tensor(NamedTuple):
    """dtype: a key of SAFETENSORS_TYPES; data: row-major, little-endian."""

    dtype: str
    shape: list[int]
    data: bytes

    @property
    def width(self) -> int:
        """Bytes per element."""
        return len(self.data) // max(1, math.prod(self.shape))


class BadFile(Exception):
    """The file is to blame; the text names the place and the values."""

    def __init__(self, path: Path | str, place: str, values: object) -> None:
        super().__init__(": ".join(one_line(part) for part in (path, place, values)))


class BadUsage(Exception):
    """The command line is to blame."""


def one_line(text: object) -> str:
    """Foreign text (names, library messages) as a piece of one printable line of sensible length."""
    line = " ".join(str(text).split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= 300 else line[:297] + "..."


def notice(path: Path, place: str, values: str) -> None:
    print(": ".join(one_line(part) for part in (path, place, values)), file=sys.stderr)


def from_numpy(path: Path, name: str, array: np.ndarray) -> Tensor:
    if array.dtype.name not in SAFETENSORS_TYPES:
        raise BadFile(path, name, f"elements of type {array.dtype} cannot be written as safetensors")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return Tensor(array.dtype.name, list(array.shape), little.tobytes())


class Budget:
    """Bounds the bytes that a file's tensors may take once they are unpacked."""

    def __init__(self, path: Path, file_size: int) -> None:
        self.path = path
        self.limit = MAX_EXPANSION * file_size
        self.used = 0

    def take(self, place: str, size: int) -> None:
        self.used += size
        if self.used > self.limit:
            raise BadFile(
                self.path,
                place,
                f"{self.used} bytes of tensors so far, over {MAX_EXPANSION} times the file's size",
            )


# PyTorch


def read_torch(path: Path, key: str | None) -> dict[str, Tensor]:
    try:
        import torch
    except ImportError as missing:
        raise BadUsage(f"{path}: reading a PyTorch checkpoint needs torch ({missing})") from None
    try:
        with warnings.catch_warnings(action="ignore"):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # what torch raises for a broken or hostile file is not bounded by its documentation
        # torch begins with the advice to load without weights_only; what it met comes some lines later.
        lines = [line for line in str(error).splitlines() if line and "weights_only" not in line] or [""]
        reason = f"{type(error).__name__}: {lines[0]}"
        raise BadFile(path, "not a checkpoint that torch loads with weights_only", reason) from None

    budget = Budget(path, path.stat().st_size)
    tensors: dict[str, Tensor] = {}
    owners: dict[tuple, str] = {}
    for name, value in state_dict_of(path, loaded, key, torch.Tensor).items():
        if not isinstance(name, str):
            raise BadFile(
                path, "state dict", f"a key is of type {type(name).__name__}, not a string: {name!r}"
            )
        if not isinstance(value, torch.Tensor):
            notice(path, name, f"left out: {type(value).__name__}, not a tensor")
            continue
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise BadFile(path, name, f"not a plain tensor: {value.layout}, {value.dtype}, {value.device}")
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in SAFETENSORS_TYPES:
            raise BadFile(path, name, f"elements of type {dtype} cannot be written as safetensors")
        budget.take(name, value.numel() * value.element_size())
        place = (
            value.untyped_storage().data_ptr(),
            value.storage_offset(),
            value.shape,
            value.stride(),
            value.dtype,
        )
        if value.numel() and owners.setdefault(place, name) != name:
            notice(path, name, f"shared with {owners[place]}: written under both names")
        # As bytes, because numpy knows no bfloat16 and no float8.
        flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
        tensors[name] = Tensor(dtype, list(value.shape), flat.numpy().tobytes())
    return tensors


def state_dict_of(path: Path, loaded: Any, key: str | None, tensor_type: type) -> dict:
    """The state dict itself: what was loaded, or what lies under one of its keys."""

    def is_state_dict(value: Any) -> bool:
        return isinstance(value, dict) and any(isinstance(v, tensor_type) for v in value.values())

    if not isinstance(loaded, dict):
        raise BadFile(path, "top level", f"a dict is wanted, the file holds a {type(loaded).__name__}")
    keys = ", ".join(str(k) for k in loaded) or "none"
    if key is not None:
        if key not in loaded:
            raise BadFile(path, f"--key {key}", f"no such key; the file's keys: {keys}")
        if not is_state_dict(loaded[key]):
            raise BadFile(path, f"--key {key}", f"no tensors in it: {type(loaded[key]).__name__}")
        return loaded[key]
    usual = [k for k in STATE_DICT_KEYS if is_state_dict(loaded.get(k))]
    if len(usual) > 1:
        raise BadFile(path, "top level", f"several state dicts, choose one by --key: {', '.join(usual)}")
    if usual:
        return loaded[usual[0]]
    if is_state_dict(loaded):
        return loaded
    raise BadFile(path, "top level", f"no state dict under a usual key, choose one by --key: {keys}")


# Keras


def read_h5(path: Path) -> dict[str, Tensor]:
    return read_hdf5(path, path, path.stat().st_size)


def read_keras(path: Path) -> dict[str, Tensor]:
    member = "model.weights.h5"
    file_size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(member).file_size
            if size > MAX_EXPANSION * file_size:
                raise BadFile(
                    path, member, f"{size} bytes unpacked, over {MAX_EXPANSION} times the file's {file_size}"
                )
            weights = archive.read(member)
    except KeyError:
        raise BadFile(path, member, "no such member in the archive") from None
    # zlib.error is what a damaged member raises, RuntimeError an encrypted one.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError) as error:
        raise BadFile(path, member, error) from None
    return read_hdf5(path, io.BytesIO(weights), file_size)


def read_hdf5(path: Path, source: Path | io.BytesIO, file_size: int) -> dict[str, Tensor]:
    try:
        import h5py
    except ImportError as missing:
        raise BadUsage(f"{path}: reading Keras weights needs h5py ({missing})") from None

    budget = Budget(path, file_size)
    tensors: dict[str, Tensor] = {}
    place = "HDF5"
    try:
        with h5py.File(source, "r") as file:
            whole_model = "model_weights" in file
            for name, dataset in hdf5_datasets(path, file):
                if whole_model:
                    if not name.startswith("model_weights/"):
                        continue
                    name = name.removeprefix("model_weights/")
                place = name
                # Virtual and external data sets read from other files, whose names this one gives.
                if dataset.is_virtual or dataset.external:
                    raise BadFile(path, name, "the values lie in another file")
                if dataset.shape is None:
                    raise BadFile(path, name, "a data set without a shape")
                budget.take(name, math.prod(dataset.shape) * dataset.dtype.itemsize)
                values = dataset[()]
                if dataset.attrs.get("dtype") == "bfloat16" and dataset.dtype.itemsize == 2:
                    # Keras stores the bit pattern as an opaque type and names the type beside it.
                    tensors[name] = Tensor("bfloat16", list(dataset.shape), np.asarray(values).tobytes())
                else:
                    tensors[name] = from_numpy(path, name, np.asarray(values))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise BadFile(path, place, error) from None
    return tensors


def hdf5_datasets(path: Path, file: Any) -> Iterator[tuple[str, Any]]:
    """Every data set with its path. Links are refused: they may lead anywhere, also in circles."""
    import h5py

    seen = set()
    waiting = [("", file)]
    while waiting:
        prefix, group = waiting.pop()
        for key in group:
            name = f"{prefix}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise BadFile(path, name, "a link; weights are expected in place")
            item = group[key]
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise BadFile(path, name, "a group that appears twice")
                seen.add(address)
                waiting.append((name + "/", item))


# TensorFlow.js

TFJS_TYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "bool": "u1"}
QUANTISED_TYPES = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


def read_tfjs(path: Path) -> dict[str, Tensor]:
    try:
        model = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadFile(path, "JSON", error) from None
    manifest = model.get("weightsManifest") if isinstance(model, dict) else None
    if not isinstance(manifest, list):
        raise BadFile(path, "weightsManifest", "a TensorFlow.js model.json has this list, this file has none")
    tensors: dict[str, Tensor] = {}
    for index, group in enumerate(manifest):
        place = f"weightsManifest[{index}]"
        paths = group.get("paths") if isinstance(group, dict) else None
        weights = group.get("weights") if isinstance(group, dict) else None
        if not isinstance(paths, list) or not isinstance(weights, list):
            raise BadFile(path, place, "`paths` and `weights` must be lists")
        shards = [read_shard(path, f"{place}.paths[{i}]", shard) for i, shard in enumerate(paths)]
        reader = TfjsReader(path, b"".join(shards))
        for i, weight in enumerate(weights):
            name, tensor = reader.read(f"{place}.weights[{i}]", weight)
            if name in tensors:
                raise BadFile(path, f"{place}.weights[{i}].name", f"a second tensor of the name {name}")
            if tensor is None:
                notice(path, name, "left out: strings are no weights")
            else:
                tensors[name] = tensor
        reader.finish(place)
    return tensors


def read_shard(path: Path, place: str, shard: Any) -> bytes:
    folder = path.resolve().parent
    plain = isinstance(shard, str) and shard and "\\" not in shard and "\0" not in shard
    if not plain or PurePosixPath(shard).is_absolute() or ".." in PurePosixPath(shard).parts:
        raise BadFile(path, place, f"{shard!r}: a shard is a file in the folder of {path.name}")
    try:
        file = (folder / shard).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise BadFile(path, place, f"{shard!r}: no such file in the folder of {path.name}")
        return file.read_bytes()
    except OSError as error:
        raise BadFile(path, place, error) from None


class TfjsReader:
    """Takes the weights of one manifest group, in their order, from the joined shards."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = memoryview(data)
        self.offset = 0

    def take(self, place: str, size: int) -> memoryview:
        left = len(self.data) - self.offset
        if size > left:
            raise BadFile(self.path, place, f"{size} bytes wanted, {left} left in the shards")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def finish(self, place: str) -> None:
        left = len(self.data) - self.offset
        if left:
            raise BadFile(
                self.path, place, f"the shards hold {len(self.data)} bytes, the weights use {self.offset}"
            )

    def read(self, place: str, weight: Any) -> tuple[str, Tensor | None]:
        """One manifest entry: its name, and its tensor, or None where it holds strings."""
        if not isinstance(weight, dict):
            raise BadFile(self.path, place, f"an object is wanted, not {weight!r}")
        name, shape, dtype = weight.get("name"), weight.get("shape"), weight.get("dtype")
        if not isinstance(name, str) or not name:
            raise BadFile(self.path, f"{place}.name", f"a string is wanted, not {name!r}")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise BadFile(self.path, f"{place}.shape", f"{name}: a list of sizes is wanted, not {shape!r}")
        count = math.prod(shape)
        if dtype == "string":
            for _ in range(count):
                self.take(place, int.from_bytes(self.take(place, 4), "little"))
            return name, None
        if not isinstance(dtype, str) or dtype not in TFJS_TYPES:
            raise BadFile(
                self.path, f"{place}.dtype", f"{name}: {dtype!r} is none of {', '.join(TFJS_TYPES)}"
            )

        quantisation = weight.get("quantization")
        if quantisation is not None:
            array = self.dequantised(f"{place}.quantization", name, count, dtype, quantisation)
        else:
            array = self.array(f"{place}", name, count, TFJS_TYPES[dtype])
        if dtype == "bool":
            array = array != 0
        return name, from_numpy(self.path, name, array.reshape(shape))

    def array(self, place: str, name: str, count: int, stored: str) -> np.ndarray:
        return np.frombuffer(self.take(f"{place}: {name}", count * np.dtype(stored).itemsize), stored)

    def dequantised(self, place: str, name: str, count: int, dtype: str, quantisation: Any) -> np.ndarray:
        stored = quantisation.get("dtype") if isinstance(quantisation, dict) else None
        if not isinstance(stored, str) or stored not in QUANTISED_TYPES or dtype not in ("float32", "int32"):
            raise BadFile(self.path, place, f"{name}: {dtype} stored as {stored!r}")
        array = self.array(place, name, count, QUANTISED_TYPES[stored])
        if stored == "float16":
            if dtype != "float32":
                raise BadFile(self.path, place, f"{name}: {dtype} stored as {stored!r}")
            return array.astype("<f4")
        scale, low = quantisation.get("scale"), quantisation.get("min")
        for key, number in (("scale", scale), ("min", low)):
            if type(number) not in (int, float) or not abs(number) < 1e300:
                raise BadFile(
                    self.path, f"{place}.{key}", f"{name}: a finite number is wanted, not {number!r}"
                )
        values = array * float(scale) + float(low)
        if dtype == "float32":
            return values.astype("<f4")
        values = np.floor(values + 0.5)  # as JavaScript rounds, not half to even
        if values.size and max(abs(values.min()), abs(values.max())) > 2**31 - 1:
            raise BadFile(self.path, place, f"{name}: values beyond int32 with scale {scale} and min {low}")
        return values.astype("<i4")


# The command

READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".keras": read_keras,
    ".json": read_tfjs,
}
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")


def renamed(path: Path, tensors: dict[str, Tensor], rules: list[str]) -> dict[str, Tensor]:
    compiled = []
    for rule in rules:
        pattern, equals, replacement = rule.partition("=")
        if not equals:
            raise BadUsage(f"--rename {rule}: REGEX=REPL is wanted")
        try:
            compiled.append((re.compile(pattern), replacement))
        except re.error as error:
            raise BadUsage(f"--rename {rule}: {error}") from None
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for old, tensor in tensors.items():
        name = old
        for rule, (pattern, replacement) in zip(rules, compiled):
            try:
                name = pattern.sub(replacement, name)
            except (re.error, IndexError) as error:
                raise BadUsage(f"--rename {rule}: {error}") from None
        if name in result:
            raise BadFile(path, "--rename", f"{origin[name]} and {old} both become {name}")
        result[name], origin[name] = tensor, old
    return result


def write(tensors: dict[str, Tensor], output: Path) -> None:
    """The safetensors format: the header's length, the header as JSON, the tensors' bytes.

    Wide elements come first and the header is padded to 8 bytes, so that every tensor is aligned.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].width, item[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in ordered:
        end = offset + len(tensor.data)
        code = SAFETENSORS_TYPES[tensor.dtype]
        header[name] = {"dtype": code, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = output.with_name(output.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, tensor in ordered:
                file.write(tensor.data)
        os.replace(part, output)
    except OSError as error:
        raise BadFile(output, "writing", error.strerror) from None
    finally:
        part.unlink(missing_ok=True)


def convert(
    path: Path, output: Path, key: str | None = None, rename: list[str] | None = None
) -> dict[str, Tensor]:
    """Converts one file and returns what was written. Raises BadFile or BadUsage."""
    suffix = path.suffix.lower()
    if suffix not in READERS and suffix not in TORCH_SUFFIXES:
        raise BadUsage(f"{path}: the ending is none of {' '.join((*TORCH_SUFFIXES, *READERS))}")
    if key is not None and suffix not in TORCH_SUFFIXES:
        raise BadUsage(f"--key {key}: only PyTorch checkpoints have keys")
    if not path.is_file():
        raise BadFile(path, "reading", "no such file")
    tensors = READERS[suffix](path) if suffix in READERS else read_torch(path, key)
    if not tensors:
        raise BadFile(path, "tensors", "none in it")
    if "__metadata__" in tensors:
        raise BadFile(path, "__metadata__", "safetensors keeps this name for itself")
    tensors = renamed(path, tensors, rename or [])
    write(tensors, output)
    return tensors


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="converts PyTorch, Keras and TensorFlow.js weights to safetensors"
    )
    parser.add_argument("input", type=Path, help=f"{' '.join((*TORCH_SUFFIXES, *READERS))}")
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    parser.add_argument("--key", help="where in a PyTorch checkpoint the state dict is")
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="REGEX=REPL",
        help="rename tensors (Python's re.sub); repeatable",
    )
    options = parser.parse_args(arguments)
    try:
        tensors = convert(options.input, options.output, options.key, options.rename)
    except BadUsage as error:
        print(one_line(error), file=sys.stderr)
        return 2
    except (BadFile, OSError) as error:
        print(one_line(error), file=sys.stderr)
        return 1
    size = sum(len(tensor.data) for tensor in tensors.values())
    print(f"{options.output}: {len(tensors)} tensors, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
