"""tools/export/to_safetensors.py on files that PyTorch, Keras and TensorFlow.js wrote, and on broken ones.

    python -m unittest discover -s tests/export -v

A test whose library or data is absent is skipped and says why.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "tools" / "export" / "to_safetensors.py"
sys.path.insert(0, str(SCRIPT.parent))

import to_safetensors  # noqa: E402

SHARED = Path(os.environ.get("ATTN_SHARED", REPOSITORY.parent / "shared"))
USE_LITE = SHARED / "data" / "models" / "use_lite_tfjs" / "model.json"


def needs(module: str):
    return unittest.skipUnless(
        importlib.util.find_spec(module), f"the Python module {module} is not installed"
    )


class Case(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.output = self.folder / "out.safetensors"

    def run_script(self, source: Path, *options: str) -> subprocess.CompletedProcess:
        """What the command would do, but in this process: importing torch anew takes seconds."""
        arguments = [str(source), str(self.output), *options]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = to_safetensors.main(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def converted(self, source: Path, *options: str) -> dict[str, np.ndarray]:
        result = self.run_script(source, *options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return load_file(self.output)

    def refused(self, source: Path, *wanted: str, options: tuple[str, ...] = (), status: int = 1) -> None:
        """One line that names the file and everything wanted; no output, whole or partial."""
        result = self.run_script(source, *options)
        self.assertEqual(result.returncode, status, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        for part in wanted:
            self.assertIn(part, lines[0])
        self.assertEqual(list(self.folder.glob("out.safetensors*")), [])

    def assertSame(self, actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
        self.assertEqual(sorted(actual), sorted(expected))
        for name, array in expected.items():
            self.assertEqual(actual[name].dtype, array.dtype, name)
            self.assertEqual(actual[name].shape, array.shape, name)
            self.assertTrue(np.array_equal(actual[name], array), name)


@needs("torch")
class Torch(Case):
    def model(self):
        import torch
        from torch import nn

        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5)
        )
        return model, {name: tensor.numpy() for name, tensor in model.state_dict().items()}

    def save(self, name: str, value: object, **options: bool) -> Path:
        import torch

        path = self.folder / name
        torch.save(value, path, **options)
        return path

    def test_state_dict(self) -> None:
        model, expected = self.model()
        for name in ("m.pt", "m.pth", "m.bin", "m.ckpt"):
            with self.subTest(name):
                self.assertSame(self.converted(self.save(name, model.state_dict())), expected)

    def test_format_before_zip(self) -> None:
        model, expected = self.model()
        path = self.save("m.pt", model.state_dict(), _use_new_zipfile_serialization=False)
        self.assertSame(self.converted(path), expected)

    def test_usual_keys(self) -> None:
        model, expected = self.model()
        for key in ("state_dict", "model", "model_state_dict"):
            with self.subTest(key):
                self.assertSame(
                    self.converted(self.save("m.pt", {"epoch": 3, key: model.state_dict()})), expected
                )

    def test_key_option(self) -> None:
        model, expected = self.model()
        path = self.save("m.pt", {"teacher": model.state_dict(), "note": "x"})
        self.assertSame(self.converted(path, "--key", "teacher"), expected)
        self.output.unlink()
        self.refused(path, "m.pt", "teacher, note")
        self.refused(path, "--key student", "teacher, note", options=("--key", "student"))
        self.refused(path, "--key note", "str", options=("--key", "note"))

    def test_several_state_dicts(self) -> None:
        model, _ = self.model()
        path = self.save("m.pt", {"model": model.state_dict(), "ema": model.state_dict()})
        self.refused(path, "m.pt", "model, ema", "--key")

    def test_shared_strided_and_scalar(self) -> None:
        import torch

        table = torch.arange(12.0).view(3, 4)
        state = {
            "embedding": table,
            "head": table,
            "transposed": table.T,
            "step": torch.tensor(7),
            "none": torch.empty(0, 4),
        }
        path = self.save("m.pt", state)
        result = self.run_script(path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("head: shared with embedding", result.stderr)
        self.assertSame(load_file(self.output), {name: tensor.numpy() for name, tensor in state.items()})

    def test_every_element_type(self) -> None:
        import torch
        from safetensors.torch import load_file as load_torch

        names = "float64 float32 float16 bfloat16 float8_e4m3fn int64 int32 int16 int8 uint8 bool".split()
        state = {name: torch.tensor([[0.0, 1.0, 3.0]]).to(getattr(torch, name)) for name in names}
        path = self.save("m.pt", state)
        self.assertEqual(self.run_script(path).returncode, 0)
        written = load_torch(self.output)
        for name, tensor in state.items():
            self.assertEqual(written[name].dtype, tensor.dtype)
            self.assertTrue(torch.equal(written[name].float(), tensor.float()), name)

    def test_what_is_no_tensor_is_named(self) -> None:
        import torch

        path = self.save("m.pt", {"w": torch.ones(2), "version": 3})
        result = self.run_script(path)
        self.assertEqual(result.returncode, 0)
        self.assertIn("version: left out: int", result.stderr)

    def test_rename(self) -> None:
        model, expected = self.model()
        path = self.save("m.pt", model.state_dict())
        actual = self.converted(path, "--rename", r"^(\d+)\.=layers.\1.", "--rename", "running_=")
        renamed = {f"layers.{name}".replace("running_", ""): array for name, array in expected.items()}
        self.assertSame(actual, renamed)
        self.output.unlink()
        self.refused(path, "--rename", "both become x", options=("--rename", "^.*$=x"))
        for rule in ("abc", "(=x", r"a=\9", "w=\\"):
            self.refused(path, "--rename", options=("--rename", rule), status=2)

    def test_code_is_not_run(self) -> None:
        trap = self.folder / "trap"

        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {trap}",)

        self.refused(self.save("m.pt", {"w": Evil()}), "m.pt", "weights_only")
        (self.folder / "raw.bin").write_bytes(pickle.dumps(Evil()))
        self.refused(self.folder / "raw.bin", "raw.bin", "weights_only")
        self.assertFalse(trap.exists())

    def test_broken_files(self) -> None:
        import torch

        model, _ = self.model()
        whole = self.save("whole.pt", model.state_dict()).read_bytes()
        broken = {
            "empty.pt": b"",
            "half.pt": whole[: len(whole) // 2],
            "text.bin": b"not a checkpoint",
            "flipped.pt": whole[:200] + bytes(b ^ 0xFF for b in whole[200:400]) + whole[400:],
        }
        for name, data in broken.items():
            with self.subTest(name):
                (self.folder / name).write_bytes(data)
                self.refused(self.folder / name, name)
        self.refused(self.save("list.pt", [torch.ones(2)]), "list.pt", "list")
        self.refused(self.save("no.pt", {"epoch": 1}), "no.pt", "epoch")
        self.refused(self.save("numbers.pt", {1: torch.ones(2)}), "numbers.pt", "int")
        self.refused(self.save("complex.pt", {"w": torch.ones(2, dtype=torch.complex64)}), "w", "complex64")
        self.refused(self.save("sparse.pt", {"w": torch.eye(3).to_sparse()}), "w", "sparse")
        self.refused(self.save("meta.pt", {"w": torch.ones(3, device="meta")}), "meta.pt")
        self.refused(self.save("name.pt", {"__metadata__": torch.ones(2)}), "__metadata__")

    def test_one_number_seen_as_a_terabyte(self) -> None:
        import torch

        path = self.save("m.pt", {"w": torch.ones(1).expand(2**38)})
        self.refused(path, "m.pt", "w", str(2**40))


@needs("h5py")
class Hdf5(Case):
    def write(self, fill, name: str = "m.h5") -> Path:
        import h5py

        path = self.folder / name
        with h5py.File(path, "w") as file:
            fill(file)
        return path

    def test_names_types_and_byte_order(self) -> None:
        arrays = {
            "dense/dense/kernel:0": np.arange(6, dtype=np.float32).reshape(2, 3),
            "dense/dense/bias:0": np.arange(3, dtype=np.float16),
            "step": np.array(5, dtype=np.int64),
        }

        def fill(file) -> None:
            for name, array in arrays.items():
                file["model_weights/" + name] = array.astype(array.dtype.newbyteorder(">"))
            file["optimizer_weights/momentum"] = np.ones(3)

        self.assertSame(self.converted(self.write(fill)), arrays)

    def test_bfloat16(self) -> None:
        from safetensors import safe_open

        def fill(file) -> None:
            file["vars/0"] = np.array([0x3F80, 0xC000], dtype="<u2").view("V2")
            file["vars/0"].attrs["dtype"] = "bfloat16"

        self.assertEqual(self.run_script(self.write(fill, "m.weights.h5")).returncode, 0)
        with safe_open(self.output, "np") as file:
            self.assertEqual(file.get_slice("vars/0").get_dtype(), "BF16")
        self.assertEqual(self.output.read_bytes()[-4:], bytes.fromhex("803f00c0"))

    def test_hostile(self) -> None:
        import h5py

        secret = self.folder / "secret"
        secret.write_bytes(b"secret" * 100)
        layout = h5py.VirtualLayout((3,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "w", (3,))

        def circle(file) -> None:
            file["a/w"] = np.ones(3)
            file["a/again"] = file["a"]

        cases = {
            "soft link": lambda f: f.__setitem__("w", h5py.SoftLink("/elsewhere")),
            "external link": lambda f: f.__setitem__("w", h5py.ExternalLink("other.h5", "w")),
            "external values": lambda f: f.create_dataset(
                "w", (100,), "u1", external=[(str(secret), 0, 100)]
            ),
            "virtual": lambda f: f.create_virtual_dataset("w", layout),
            "never written": lambda f: f.create_dataset("w", (2**40,), "f4", chunks=(1024,)),
            "compressed": lambda f: f.create_dataset(
                "w", data=np.zeros(2**22), compression=9, chunks=(2**22,)
            ),
            "text": lambda f: f.__setitem__("w", "text"),
            "complex": lambda f: f.__setitem__("w", np.ones(2, np.complex64)),
            "null": lambda f: f.__setitem__("w", h5py.Empty("f4")),
            "record": lambda f: f.__setitem__("w", np.zeros(2, [("x", "f4"), ("y", "f4")])),
        }
        for name, fill in cases.items():
            with self.subTest(name):
                self.refused(self.write(fill), "m.h5", "w")
        self.refused(self.write(circle), "m.h5", "a/again")
        self.refused(self.write(lambda file: None), "m.h5", "none in it")
        self.refused(self.write(lambda file: file.__setitem__("model_weights", np.ones(2))), "none in it")

    def test_broken(self) -> None:
        whole = self.write(lambda file: file.__setitem__("layer/w", np.arange(1000.0))).read_bytes()
        for name, data in {
            "empty.h5": b"",
            "half.h5": whole[: len(whole) // 2],
            "text.h5": b"text" * 100,
        }.items():
            with self.subTest(name):
                (self.folder / name).write_bytes(data)
                self.refused(self.folder / name, name)

    def test_keras_archives(self) -> None:
        weights = self.write(lambda file: file.__setitem__("w", np.arange(3.0))).read_bytes()

        def archive(name: str, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
            with zipfile.ZipFile(self.folder / name, "w", compression) as file:
                for member, data in members.items():
                    file.writestr(member, data)
            return self.folder / name

        good = archive("good.keras", {"config.json": b"{}", "model.weights.h5": weights})
        self.assertSame(self.converted(good), {"w": np.arange(3.0)})
        self.output.unlink()
        self.refused(archive("none.keras", {"config.json": b"{}"}), "none.keras", "model.weights.h5")
        self.refused(archive("text.keras", {"model.weights.h5": b"text"}), "text.keras")
        bomb = archive("bomb.keras", {"model.weights.h5": bytes(10**8)}, zipfile.ZIP_DEFLATED)
        self.refused(bomb, "bomb.keras", "model.weights.h5", "100000000")
        (self.folder / "text.keras").write_bytes(b"no archive")
        self.refused(self.folder / "text.keras", "text.keras")
        damaged = bytearray(good.read_bytes())
        damaged[damaged.index(weights[:8]) + 100] ^= 0xFF
        (self.folder / "crc.keras").write_bytes(damaged)
        self.refused(self.folder / "crc.keras", "crc.keras", "CRC")


@needs("h5py")
@needs("keras")
@needs("torch")
class Keras(Case):
    """Files that Keras itself wrote. It needs a backend; torch is the one that the other tests have, too."""

    WRITE = """
import sys
import keras
import numpy as np
keras.utils.set_random_seed(1)
inputs = keras.Input((4, 6))
x = keras.layers.Dense(8, name="in")(inputs)
x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
x = keras.layers.LayerNormalization(name="norm")(x)
x = keras.layers.LSTM(3, name="memory")(x)
model = keras.Model(inputs, keras.layers.Dense(2, name="out")(x))
model.compile("adam", "mse")
model.fit(np.ones((2, 4, 6)), np.ones((2, 2)), verbose=0)
model.save("m.keras")
model.save_weights("m.weights.h5")
model.save("m.h5")
np.savez("expected.npz", **{v.path.replace("/", "."): np.asarray(v.value.detach()) for v in model.weights})
"""

    def test_what_keras_wrote(self) -> None:
        environment = os.environ | {"KERAS_BACKEND": "torch"}
        command = [sys.executable, "-c", self.WRITE]
        wrote = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        self.assertEqual(wrote.returncode, 0, wrote.stderr)
        with np.load(self.folder / "expected.npz") as arrays:
            expected = {name: arrays[name] for name in arrays.files}

        # A whole-model .h5 carries the variables' own names below the layer's.
        actual = self.converted(self.folder / "m.h5")
        self.assertSame(
            {name.split("/", 1)[1].replace("/", "."): array for name, array in actual.items()}, expected
        )

        # The newer files number the variables of a layer; the values and their order are the same.
        for name in ("m.weights.h5", "m.keras"):
            with self.subTest(name):
                actual = self.converted(self.folder / name)
                weights = {n: a for n, a in actual.items() if not n.startswith("optimizer/")}
                self.assertEqual(len(weights), len(expected))
                for kind, place in (("kernel", "0"), ("bias", "1")):
                    stored = weights[f"layers/multi_head_attention/query_dense/vars/{place}"]
                    self.assertTrue(np.array_equal(stored, expected[f"attention.query.{kind}"]))
                self.assertTrue(
                    np.array_equal(
                        weights["layers/lstm/cell/vars/1"], expected["memory.lstm_cell.recurrent_kernel"]
                    )
                )


class TensorFlowJs(Case):
    def write(self, weights: list[dict], data: bytes, paths: list | None = None, shards: int = 1) -> Path:
        names = [f"shard{i}" for i in range(shards)]
        size = -(-len(data) // shards)
        for i, name in enumerate(names):
            (self.folder / name).write_bytes(data[i * size : (i + 1) * size])
        manifest = [{"paths": names if paths is None else paths, "weights": weights}]
        path = self.folder / "model.json"
        path.write_text(json.dumps({"weightsManifest": manifest}))
        return path

    @unittest.skipUnless(USE_LITE.exists(), f"the Universal Sentence Encoder is absent: {USE_LITE}")
    def test_universal_sentence_encoder(self) -> None:
        actual = self.converted(USE_LITE)
        weights = json.loads(USE_LITE.read_text())["weightsManifest"][0]["weights"]
        self.assertEqual(
            {name: list(array.shape) for name, array in actual.items()},
            {w["name"]: w["shape"] for w in weights},
        )
        shards = sorted(USE_LITE.parent.glob("group1-shard*"))
        data = b"".join(shard.read_bytes() for shard in shards)
        self.assertEqual(b"".join(actual[w["name"]].tobytes() for w in weights), data)

    def test_types_across_shards(self) -> None:
        text = b"".join(struct.pack("<I", len(word)) + word for word in (b"", b"query", b"key"))
        floats, integers, flags = (
            np.float32([[1.5, -2.0]]),
            np.int32([7, -8, 9]),
            np.bool_([True, False, True]),
        )
        weights = [
            {"name": "f", "shape": [1, 2], "dtype": "float32"},
            {"name": "words", "shape": [3], "dtype": "string"},
            {"name": "i", "shape": [3], "dtype": "int32"},
            {"name": "b", "shape": [3], "dtype": "bool"},
            {"name": "scalar", "shape": [], "dtype": "uint8"},
        ]
        data = floats.tobytes() + text + integers.tobytes() + flags.tobytes() + b"\x05"
        expected = {"f": floats, "i": integers, "b": flags, "scalar": np.array(5, np.uint8)}
        for shards in (1, 2, 5):
            with self.subTest(shards=shards):
                path = self.write(weights, data, shards=shards)
                self.assertIn("words: left out", self.run_script(path).stderr)
                self.assertSame(load_file(self.output), expected)

    def test_quantised(self) -> None:
        eight, sixteen, half = np.uint8([0, 100, 255]), np.uint16([0, 40000]), np.float16([0.5, -3.25])
        weights = [
            {
                "name": "u8",
                "shape": [3],
                "dtype": "float32",
                "quantization": {"dtype": "uint8", "scale": 0.1, "min": -2.5},
            },
            {
                "name": "u16",
                "shape": [2],
                "dtype": "float32",
                "quantization": {"dtype": "uint16", "scale": 1e-4, "min": 0},
            },
            {"name": "f16", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}},
            {
                "name": "i",
                "shape": [3],
                "dtype": "int32",
                "quantization": {"dtype": "uint8", "scale": 0.5, "min": -3},
            },
        ]
        path = self.write(
            weights, eight.tobytes() + sixteen.tobytes() + half.tobytes() + np.uint8([1, 3, 4]).tobytes()
        )
        expected = {
            "u8": np.float32([-2.5, 100 * 0.1 - 2.5, 255 * 0.1 - 2.5]),
            "u16": np.float32([0, 4]),
            "f16": np.float32([0.5, -3.25]),
            "i": np.int32([-2, -1, -1]),  # JavaScript rounds -2.5 and -1.5 up
        }
        self.assertSame(self.converted(path), expected)

    def test_shard_paths(self) -> None:
        weight = [{"name": "w", "shape": [2], "dtype": "uint8"}]
        inner = self.folder / "model"
        inner.mkdir()
        (self.folder / "outside").write_bytes(b"ab")
        (inner / "link").symlink_to(self.folder / "outside")
        (inner / "folder").mkdir()
        shards = [
            "../outside",
            str(self.folder / "outside"),
            "a/../../outside",
            "..\\outside",
            "link",
            "folder",
            "absent",
            "",
        ]
        for shard in [*shards, "a\0b", 3, None, ["x"], "x" * 5000]:
            with self.subTest(shard):
                manifest = [{"paths": [shard], "weights": weight}]
                (inner / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
                self.refused(inner / "model.json", "model.json", "weightsManifest[0].paths[0]")

    def test_wrong_manifests(self) -> None:
        good = {"name": "w", "shape": [2], "dtype": "float32"}
        quantised = {"dtype": "uint8", "scale": 1.0, "min": 0.0}
        cases = {
            "too few bytes": ([good | {"shape": [3]}], "12 bytes wanted, 8 left"),
            "too many bytes": ([good | {"shape": [1]}], "hold 8 bytes, the weights use 4"),
            "enormous": ([good | {"shape": [2**40, 2**40]}], "left in the shards"),
            "negative": ([good | {"shape": [-2]}], "weights[0].shape"),
            "fraction": ([good | {"shape": [2.0]}], "weights[0].shape"),
            "flag": ([good | {"shape": [True, 2]}], "weights[0].shape"),
            "no shape": ([{"name": "w", "dtype": "float32"}], "weights[0].shape"),
            "unknown type": ([good | {"dtype": "complex64"}], "complex64"),
            "type of a wrong type": ([good | {"dtype": []}], "weights[0].dtype"),
            "no name": ([{"shape": [2], "dtype": "float32"}], "weights[0].name"),
            "empty name": ([good | {"name": ""}], "weights[0].name"),
            "reserved name": ([good | {"name": "__metadata__"}], "__metadata__"),
            "same name": ([good | {"shape": [1]}, good | {"shape": [1]}], "weights[1].name"),
            "no object": (["w"], "weights[0]"),
            "quantised otherwise": ([good | {"quantization": {"dtype": "uint4"}}], "uint4"),
            "no scale": (
                [good | {"shape": [8], "quantization": {"dtype": "uint8", "min": 0}}],
                "quantization.scale",
            ),
            "text as min": (
                [good | {"shape": [8], "quantization": quantised | {"min": "0"}}],
                "quantization.min",
            ),
            "infinite": (
                [good | {"shape": [8], "quantization": quantised | {"scale": 1e999}}],
                "quantization.scale",
            ),
            "no quantisation": ([good | {"quantization": 5}], "weights[0].quantization"),
            "beyond int32": (
                [good | {"shape": [8], "dtype": "int32", "quantization": quantised | {"min": 1e10}}],
                "int32",
            ),
            "half an integer": (
                [good | {"dtype": "int32", "shape": [4], "quantization": {"dtype": "float16"}}],
                "float16",
            ),
            "long string": ([good | {"dtype": "string", "shape": [1]}], "bytes wanted"),
        }
        for name, (weights, wanted) in cases.items():
            with self.subTest(name):
                self.refused(
                    self.write(weights, b"\xff" * 8),
                    "model.json",
                    "weightsManifest[0]" if "__" not in wanted else "",
                    wanted,
                )

    def test_no_manifest(self) -> None:
        texts = [
            "",
            "[]",
            "{}",
            '{"weightsManifest": 3}',
            '{"weightsManifest": [3]}',
            '{"weightsManifest": [{}]}',
        ]
        for text in [*texts, "[" * 100000, '{"weightsManifest": [', "\xff", "9" * 5000]:
            with self.subTest(text[:40]):
                (self.folder / "model.json").write_bytes(text.encode("latin-1"))
                self.refused(self.folder / "model.json", "model.json")


class Usage(Case):
    def test_usage(self) -> None:
        self.refused(self.folder / "model.onnx", "model.onnx", ".keras", status=2)
        self.refused(self.folder / "absent.h5", "absent.h5", "no such file")
        self.refused(self.folder / "model.json", "--key", options=("--key", "x"), status=2)

    def test_the_command_itself(self) -> None:
        for arguments, status in (([], 2), (["--help"], 0), (["absent.h5", "out.safetensors"], 1)):
            command = [sys.executable, str(SCRIPT), *arguments]
            self.assertEqual(subprocess.run(command, capture_output=True, cwd=self.folder).returncode, status)

    def test_output_that_cannot_be_written(self) -> None:
        (self.folder / "shard0").write_bytes(b"ab")
        manifest = [{"paths": ["shard0"], "weights": [{"name": "w", "shape": [2], "dtype": "uint8"}]}]
        (self.folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
        self.output = self.folder / "absent" / "out.safetensors"
        self.refused(self.folder / "model.json", "out.safetensors")


if __name__ == "__main__":
    unittest.main()
