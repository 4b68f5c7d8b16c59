"""What the tests of this folder share: folders as transformers writes them, with random weights, and
attn's results beside PyTorch's."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

transformers_logging.disable_progress_bar()

ROOT = Path(__file__).resolve().parents[2]
ATTN = Path(os.environ.get("ATTN", ROOT / "build" / "attn")).resolve()
TOLERANCE = 1e-4
RELATIVE = 1e-5  # of the largest value: it counts where values are above 10

sys.path.insert(0, str(ROOT / "tools" / "export"))


class AttnError(Exception):
    """attn ended with another status than 0; the text is what it printed to standard error."""

    def __init__(self, status: int, output: str, error: str) -> None:
        super().__init__(f"exit status {status}: {error.strip() or output.strip()}")
        self.status, self.output, self.error = status, output, error


def attn(*arguments: object, env: dict[str, str] | None = None) -> str:
    """Runs attn; returns its standard output."""
    result = subprocess.run(
        [str(ATTN), *map(str, arguments)],
        capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})},
    )
    if result.returncode:
        raise AttnError(result.returncode, result.stdout, result.stderr)
    return result.stdout


def perturb(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Gives every parameter a random value at which it matters: norms are not 1 and 0, biases not 0, and
    attention has preferences. Weights keep the scale of what flows through them."""
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: torch.Size, scale: float) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * scale

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                value = normal(parameter.shape, 0.2)
            elif parameter.dim() == 1:
                value = 1 + normal(parameter.shape, 0.2)
            elif name.endswith(("token", "embeddings")):
                value = normal(parameter.shape, 0.5)
            else:
                value = normal(parameter.shape, 1.2 / math.sqrt(parameter[0].numel()))
            parameter.copy_(value)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(normal(buffer.shape, 0.3))
            elif name.endswith("running_var"):
                buffer.copy_(1 + 0.5 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def random_pixels(config: object, batch: int | None = None, seed: int = 1) -> np.ndarray:
    """[channels, size, size], or with a batch in front."""
    shape = (config.num_channels, config.image_size, config.image_size)
    shape = shape if batch is None else (batch, *shape)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


Inputs = dict[str, np.ndarray]
# Dimensions of one item of an input, by its name in attn; one more is a batch.
RANKS = {"pixels": 3, "input_features": 2, "input_ids": 1, "attention_mask": 1, "token_type_ids": 1}


def as_inputs(inputs: np.ndarray | Inputs) -> Inputs:
    """An array alone is the pixels."""
    return inputs if isinstance(inputs, dict) else {"pixels": inputs}


def random_text(config: object, length: int, batch: int | None = None, seed: int = 1, masked: bool = True) -> Inputs:
    """Token ids; if `masked`, also segments, and a mask that hides some of the end of each item."""
    random, shape = np.random.default_rng(seed), (batch or 1, length)
    text = {"input_ids": random.integers(0, config.vocab_size, shape)}
    if masked:
        kept = random.integers(1, length + 1, (batch or 1, 1))
        text["attention_mask"] = (np.arange(length) < kept).astype(np.int64)
        text["token_type_ids"] = random.integers(0, config.type_vocab_size, shape)
    return {name: value if batch else value[0] for name, value in text.items()}


def random_mel(config: object, batch: int | None = None, seed: int = 1) -> Inputs:
    shape = (config.num_mel_bins, 2 * config.max_source_positions)
    shape = shape if batch is None else (batch, *shape)
    return {"input_features": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def run_pytorch(model: torch.nn.Module, inputs: np.ndarray | Inputs) -> Inputs:
    """Every result of the model that is a tensor, by its name in transformers, in float32. Of Whisper:
    of its encoder. All inputs have a batch, or none has."""
    inputs = as_inputs(inputs)
    single = all(value.ndim == RANKS[name] for name, value in inputs.items())
    given = {
        "pixel_values" if name == "pixels" else name: torch.from_numpy(value[None] if single else value)
        for name, value in inputs.items()
    }
    run = model.get_encoder() if "input_features" in inputs else model
    with torch.inference_mode():
        output = run(**given)
    found = {name: value.numpy() for name, value in output.items() if isinstance(value, torch.Tensor)}
    return {name: value[0] if single else value for name, value in found.items()}


class Case(unittest.TestCase):
    """A test with a folder of its own, and with the largest difference that it has met."""

    worst = 0.0
    compared = 0

    @classmethod
    def setUpClass(cls) -> None:
        if not ATTN.is_file():
            raise FileNotFoundError(f"{ATTN} is not built; the environment variable ATTN names the command")
        torch.set_num_threads(2)
        cls.worst, cls.compared = 0.0, 0

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.compared:
            print(f"\n{cls.__name__}: largest difference {cls.worst:.3g} in {cls.compared} comparisons")

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def skip(self, reason: str) -> None:
        print(f"\nSKIP {self.id().split('.', 1)[-1]}: {reason}")
        self.skipTest(reason)

    def write(self, model: torch.nn.Module, name: str = "model", **options: object) -> Path:
        path = self.folder / name
        model.save_pretrained(path, **options)
        return path

    def run_attn(
        self, folder: Path, inputs: np.ndarray | Path | Inputs, outputs: tuple[str, ...], *options: object,
        env: dict[str, str] | None = None,
    ) -> Inputs:
        """inputs: pixels, a photo that goes through the folder's preprocessing, or arrays by name."""
        if isinstance(inputs, Path):
            given = ["--in", f"pixels={inputs}"]
        else:
            given = []
            for name, value in as_inputs(inputs).items():
                np.save(self.folder / f"in-{name}.npy", value)
                given += ["--in", f"{name}={self.folder}/in-{name}.npy"]
        files = {name: self.folder / f"out-{name}.npy" for name in outputs}
        out = [text for name, path in files.items() for text in ("--out", f"{name}={path}")]
        attn("run", folder, *given, *out, *options, env=env)
        return {name: np.load(path) for name, path in files.items()}

    def compare(self, ours: np.ndarray, reference: np.ndarray, tolerance: float = TOLERANCE) -> None:
        self.assertEqual(ours.shape, reference.shape)
        self.assertEqual(ours.dtype, np.float32)
        difference = float(np.max(np.abs(ours.astype(np.float64) - reference)))
        self.assertLessEqual(difference, max(tolerance, RELATIVE * float(np.max(np.abs(reference)))))
        cls = type(self)
        cls.worst, cls.compared = max(cls.worst, difference), cls.compared + 1

    def compare_folder(
        self, folder: Path, model: torch.nn.Module, inputs: np.ndarray | Inputs, outputs: tuple[str, ...]
    ) -> None:
        ours, reference = self.run_attn(folder, inputs, outputs), run_pytorch(model, inputs)
        for name in outputs:
            with self.subTest(output=name):
                self.compare(ours[name], reference[name])


def levels() -> list[str]:
    """The kernel levels that this machine has."""
    found = []
    for level in ("scalar", "neon", "avx2", "avx512", "avx512vnni", "avx512bf16"):
        try:
            attn("check", ROOT / "models" / "worked_example", env={"ATTN_CPU": level})
            found.append(level)
        except AttnError as error:
            if "ATTN_CPU" not in error.error:
                raise
    return found


def top(text: str) -> list[dict]:
    """The classes of `attn classify --json` with one photo."""
    return json.loads(text)["results"][0]["top"]
