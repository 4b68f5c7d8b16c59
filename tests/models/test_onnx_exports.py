"""Models of transformers, and a step of Bahdanau et al., as torch.onnx.export writes them (tools/export/onnx_models.py):
run from the .onnx file, the outputs are ONNX Runtime's to 1e-4, for two batches and lengths; a folder of attn import
gives the same bits, and says so of itself (attn import --check)."""

from __future__ import annotations

import contextlib
import io
import logging
import unittest
from pathlib import Path

import numpy as np
from reference import Case, attn

try:
    import onnxscript  # noqa: F401  (the newer exporter needs it)
    import onnx_models
except ImportError:
    onnx_models = None


class Exports(Case):
    def check_model(self, name: str) -> None:
        logging.disable(logging.WARNING)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            problems = onnx_models.write(name, self.folder / name)
        logging.disable(logging.NOTSET)
        self.assertEqual(problems, [])
        for exporter in onnx_models.EXPORTERS:
            with self.subTest(exporter=exporter):
                self.check_file(self.folder / name, self.folder / name / f"{exporter}.onnx")

    def check_file(self, folder: Path, path: Path) -> None:
        imported = folder / path.stem
        attn("import", path, "-o", imported)
        for end in ("", "_2"):
            inputs, wanted = (dict(np.load(folder / f"{what}{end}.npz")) for what in ("inputs", "outputs"))
            ours, again = (self.run_attn(m, inputs, tuple(wanted)) for m in (path, imported))
            for output, value in wanted.items():
                self.compare(ours[output], value)
                self.assertEqual(ours[output].tobytes(), again[output].tobytes())
            said = attn("import", path, "--check", folder / f"inputs{end}.npz", "--expect", folder / f"outputs{end}.npz")
            self.assertEqual(said.count("same "), len(wanted))


def add_test(name: str) -> None:
    def test(self: Exports) -> None:
        if onnx_models is None:
            self.skip("onnx, onnxruntime or onnxscript is not installed (tests/requirements.txt)")
        self.check_model(name)

    setattr(Exports, f"test_{name}", test)


for model in onnx_models.MODELS if onnx_models else ("all",):
    add_test(model)

if __name__ == "__main__":
    unittest.main()
