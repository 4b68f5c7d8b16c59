"""The models that peers.py compares on, in every format that a peer reads.

    python tools/bench/peers_models.py CASE FOLDER

writes FOLDER/models/<model>/ (a Hugging Face folder with random weights, seeded, as attn reads it) and
FOLDER/<case>/ (input.npy, reference.npy from PyTorch, f32.onnx, int8_dynamic.onnx, int8_qdq.onnx,
ncnn.param, ncnn.bin). A peer whose format cannot be made is left out: FOLDER/<case>/made.json says
why. What is there already is not made again.
"""

import collections
import json
import os
import sys
import tempfile

import numpy as np

# input, output: their names in attn. share: the aim for attn's share of the f32 peak, one thread; ratio: for its
# time beside the fastest f32 peer, one thread and two; speedup: two threads over one.
Case = collections.namedtuple("Case", "model shape input output share ratio1 ratio2 speedup")
IMAGE, STATE = [1, 3, 224, 224], "last_hidden_state"
CASES = {
    "vit_tiny": Case("vit_tiny", IMAGE, "pixels", "logits", 0.85, 0.9, 0.75, 1.75),
    "vit_small": Case("vit_small", IMAGE, "pixels", "logits", 0.90, 0.9, 0.75, 1.85),
    "vit_base": Case("vit_base", IMAGE, "pixels", "logits", 0.90, 0.9, 0.75, 1.85),
    "minilm_16": Case("minilm", [1, 16], "input_ids", STATE, 0.70, 0.65, 0.75, 1.5),
    "minilm_128": Case("minilm", [1, 128], "input_ids", STATE, 0.85, 0.9, 0.75, 1.75),
    "minilm_512": Case("minilm", [1, 512], "input_ids", STATE, 0.88, 0.9, 0.75, None),
    "whisper_tiny": Case("whisper_tiny", [1, 80, 3000], "input_features", STATE, 0.88, 0.9, 0.75, None),
}
BF16_RATIO, INT8_RATIO = 0.6, 0.65  # beside the fastest peer of that precision
VITS = {"vit_tiny": (192, 3), "vit_small": (384, 6), "vit_base": (768, 12)}
VOCABULARY = 30522


def make_module(model):
    """The transformers model with random weights, the same ones each time."""
    import torch
    import transformers

    torch.manual_seed(0)
    if model in VITS:
        hidden, heads = VITS[model]
        return transformers.ViTForImageClassification(transformers.ViTConfig(
            hidden_size=hidden, num_attention_heads=heads, intermediate_size=4 * hidden,
            num_hidden_layers=12, image_size=224, patch_size=16, num_labels=1000)).eval()
    if model == "minilm":
        return transformers.BertModel(transformers.BertConfig(
            hidden_size=384, num_attention_heads=12, intermediate_size=1536, num_hidden_layers=6,
            vocab_size=VOCABULARY), add_pooling_layer=False).eval()
    return transformers.WhisperForConditionalGeneration(transformers.WhisperConfig()).eval()


def wrap(model, module):
    """A module of one input tensor and one output tensor."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module.model.encoder if model == "whisper_tiny" else module

        def forward(self, x):
            if model in VITS:
                return self.module(pixel_values=x).logits
            return self.module(x).last_hidden_state

    return Wrapped().eval()


def load(case, work):
    """The model of a case as PyTorch runs it."""
    import transformers

    model = CASES[case].model
    kind = {"minilm": transformers.BertModel,
            "whisper_tiny": transformers.WhisperForConditionalGeneration}
    options = {"add_pooling_layer": False} if model == "minilm" else {}
    kind = kind.get(model, transformers.ViTForImageClassification)
    return wrap(model, kind.from_pretrained(os.path.join(work, "models", model), **options).eval())


def make_input(case, seed):
    shape = CASES[case].shape
    random = np.random.default_rng(seed)
    if CASES[case].model == "minilm":
        return random.integers(0, VOCABULARY, shape).astype(np.int64)
    return random.standard_normal(shape).astype(np.float32)


def make_onnx(case, folder, module, x):
    import torch

    torch.onnx.export(module, (x,), os.path.join(folder, "f32.onnx"), input_names=["x"],
                      output_names=["y"], opset_version=17, dynamo=False)


def make_int8(case, folder):
    """ONNX Runtime's two ways: scales found in each run, or from a few inputs before."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": make_input(case, seed)} for seed in range(1, 5)]

        def get_next(self):
            return self.left.pop() if self.left else None

    source = os.path.join(folder, "f32.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        prepared = os.path.join(scratch, "prepared.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_dynamic(
            prepared, os.path.join(folder, "int8_dynamic.onnx"), per_channel=True,
            weight_type=quantization.QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"],
            extra_options={"MatMulConstBOnly": True})
        quantization.quantize_static(
            prepared, os.path.join(folder, "int8_qdq.onnx"), Reader(), per_channel=True,
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm", "Conv"])


def make_ncnn(case, folder, module, x):
    import pnnx

    with tempfile.TemporaryDirectory() as scratch:
        pnnx.export(module, os.path.join(scratch, "m.pt"), inputs=(x,), fp16=False)
        for end in ("param", "bin"):
            os.replace(os.path.join(scratch, "m.ncnn." + end), os.path.join(folder, "ncnn." + end))


def make(case, work):
    import torch

    entry = CASES[case]
    folder, home = os.path.join(work, case), os.path.join(work, "models", entry.model)
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(home, "model.safetensors")):
        make_module(entry.model).save_pretrained(home)
    made = {}
    module = load(case, work)
    value = make_input(case, 0)
    x = torch.from_numpy(value)
    with torch.inference_mode():
        reference = module(x).numpy()
    np.save(os.path.join(folder, "input.npy"), value)
    np.save(os.path.join(folder, "reference.npy"), reference)
    for name, step in (("onnx", lambda: make_onnx(case, folder, module, x)),
                       ("int8", lambda: make_int8(case, folder)),
                       ("ncnn", lambda: make_ncnn(case, folder, module, x))):
        try:
            step()
            made[name] = True
        except Exception as error:  # a peer that cannot be had is named, and the others go on
            made[name] = "%s: %s" % (type(error).__name__, str(error)[:300])
    with open(os.path.join(folder, "made.json"), "w", encoding="utf-8") as file:
        json.dump(made, file, indent=1)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
