"""An ONNX export and the unmodified Hugging Face folder of the same model give the same outputs: two ways into
attn that share no description. The models are those of tools/export/onnx_models.py, tiny."""

from __future__ import annotations

import unittest

import numpy as np
from reference import Case

try:
    import onnxscript  # noqa: F401  (the newer exporter needs it)
    import onnx_models
except ImportError:
    onnx_models = None

# The folder's inputs and outputs by those of the export. A folder's items have no batch in front.
INPUTS = {"pixel_values": "pixels"}
NAMES = ("vit", "deit", "bert", "distilbert")


class Folders(Case):
    def check_model(self, name: str) -> None:
        if onnx_models is None:
            self.skip("onnx, onnxruntime or onnxscript is not installed (tests/requirements.txt)")
        self.assertEqual(onnx_models.write(name, self.folder / name, exporters=("legacy",)), [])
        for end in ("", "_2"):
            inputs = dict(np.load(self.folder / name / f"inputs{end}.npz"))
            wanted = dict(np.load(self.folder / name / f"outputs{end}.npz"))
            file = self.run_attn(self.folder / name / "legacy.onnx", inputs, tuple(wanted))
            renamed = {INPUTS.get(key, key): value for key, value in inputs.items()}
            folder = self.run_attn(self.folder / name / "hf", renamed, tuple(wanted))
            for key, value in wanted.items():
                self.compare(file[key], value)
                self.compare(folder[key], value)


def add_test(name: str) -> None:
    setattr(Folders, f"test_{name}", lambda self: self.check_model(name))


for model in NAMES:
    add_test(model)

if __name__ == "__main__":
    unittest.main()
