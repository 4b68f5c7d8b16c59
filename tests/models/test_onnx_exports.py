"""Models that torch.onnx.export wrote, run from the .onnx file: the outputs are ONNX Runtime's, to 1e-4, with
other batches and lengths, too; and a folder of attn import gives the same bits."""

from __future__ import annotations

import unittest

import numpy as np
from reference import Case, attn

try:
    import onnxruntime
    import onnxscript  # noqa: F401  (the newer exporter needs it)
    import onnx_exports
except ImportError:
    onnxruntime = None


class Exports(Case):
    def setUp(self) -> None:
        super().setUp()
        if onnxruntime is None:
            self.skip("onnx, onnxruntime or onnxscript is not installed (tests/requirements.txt)")

    def runtime(self, path: object, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options)
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs)))

    def check(self, path: object, inputs: dict[str, np.ndarray]) -> None:
        wanted = self.runtime(path, inputs)
        ours = self.run_attn(path, inputs, tuple(wanted))
        for name, value in wanted.items():
            self.compare(ours[name], value)

    def check_model(self, name: str) -> None:
        for exporter in onnx_exports.EXPORTERS:
            with self.subTest(exporter=exporter):
                path = self.folder / f"{exporter}.onnx"
                inputs, wanted = onnx_exports.write(name, exporter, path)
                self.check(path, inputs)
                single = {n: v[:, :1] if n == "hidden" else v[:1] for n, v in inputs.items()}
                self.check(path, {n: v[:, :5] if n in ("input_ids", "attention_mask", "source") else v
                                  for n, v in single.items()})
                folder = self.folder / exporter
                attn("import", path, "-o", folder)
                names = tuple(f"output_{i}" for i in range(len(wanted)))
                one, other = self.run_attn(path, inputs, names), self.run_attn(folder, inputs, names)
                for n in names:
                    self.assertEqual(one[n].tobytes(), other[n].tobytes())


def add_test(name: str) -> None:
    setattr(Exports, f"test_{name}", lambda self: self.check_model(name))


for model in onnx_exports.MODELS if onnxruntime else ():
    add_test(model)

if __name__ == "__main__":
    unittest.main()
