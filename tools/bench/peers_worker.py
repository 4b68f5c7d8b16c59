"""One contestant of peers.py, in a process of its own: nothing of another's is in its way.

    python tools/bench/peers_worker.py '{"kind": "ort", "case": "vit_tiny", ...}'

Answers one line of JSON: load_ms (until the model is ready), first_ms (its first run), and has then
written its output to `out`. After that, each line {"runs": N} on standard input makes one run that
is not timed and N that are: {"ms": [...]}; the answer also has the peak of its resident memory.
"""

import ctypes
import json
import os
import sys
import time

import numpy as np


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("rank", ctypes.c_int), ("dim", ctypes.c_size_t * 8),
                ("data", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 512)]


class ModelOptions(ctypes.Structure):
    _fields_ = [("allocator", ctypes.c_void_p), ("max_memory", ctypes.c_size_t),
                ("precision", ctypes.c_int), ("reserved", ctypes.c_size_t * 8)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_uint), ("max_memory", ctypes.c_size_t),
                ("keep_attention", ctypes.c_bool), ("no_fusion", ctypes.c_bool),
                ("reserved", ctypes.c_size_t * 8)]


F32, I64 = 0, 3  # attn_dtype


class Attn:
    def __init__(self, job, x):
        self.lib, self.error = ctypes.CDLL(job["library"]), Error()
        self.x = np.ascontiguousarray(x[0])
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = ModelOptions(precision=job["number"])
        self.check(self.lib.attn_model_open(ctypes.byref(self.model), job["folder"].encode(),
                                            ctypes.byref(options), ctypes.byref(self.error)))
        threads = SessionOptions(threads=job["threads"])
        self.check(self.lib.attn_session_open(ctypes.byref(self.session), self.model,
                                              ctypes.byref(threads), ctypes.byref(self.error)))
        self.tensor = Tensor(I64 if x.dtype == np.int64 else F32, self.x.ndim)
        self.tensor.dim[:self.x.ndim] = self.x.shape
        self.tensor.data = self.x.ctypes.data
        self.check(self.lib.attn_set_input(self.session, job["input"].encode(),
                                           ctypes.byref(self.tensor), ctypes.byref(self.error)))
        self.check(self.lib.attn_prepare(self.session, ctypes.byref(self.error)))

    def check(self, status):
        if status:
            raise RuntimeError(self.error.text.decode())

    def run(self):
        self.check(self.lib.attn_run(self.session, ctypes.byref(self.error)))

    def output(self):
        out = Tensor()
        self.check(self.lib.attn_output(self.session, None, ctypes.byref(out),
                                        ctypes.byref(self.error)))
        shape = list(out.dim[:out.rank])
        data = ctypes.cast(out.data, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(data, shape).copy()


class Ort:
    """skip_layer_norm: keep the fusion that costs more than it saves on a CPU."""

    def __init__(self, job, x):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        disabled = [] if job.get("skip_layer_norm") else ["SkipLayerNormFusion"]
        self.session = onnxruntime.InferenceSession(
            job["file"], options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled)
        self.binding = self.session.io_binding()
        self.binding.bind_cpu_input("x", x)
        self.binding.bind_output("y")

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def output(self):
        return self.binding.copy_outputs_to_cpu()[0]


class OpenVino:
    def __init__(self, job, x):
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(job["file"]), "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": job["precision"]})
        self.request, self.x = compiled.create_infer_request(), x
        self.request.set_input_tensor(openvino.Tensor(x, shared_memory=True))

    def run(self):
        self.request.infer()

    def output(self):
        return self.request.get_output_tensor().data.copy()


class Ncnn:
    def __init__(self, job, x):
        import ncnn

        self.net = ncnn.Net()
        option = self.net.opt
        option.num_threads = job["threads"]
        option.use_vulkan_compute = False
        option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False
        option.use_bf16_storage = job["precision"] == "bf16"
        if self.net.load_param(job["file"] + ".param") or self.net.load_model(job["file"] + ".bin"):
            raise RuntimeError("%s cannot be loaded" % job["file"])
        x = x[0].astype(np.int32) if x.dtype == np.int64 else x[0]
        self.x = ncnn.Mat(x).clone()

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input("in0", self.x)
        failed, self.y = extractor.extract("out0")
        if failed:
            raise RuntimeError("the extractor failed with %d" % failed)

    def output(self):
        return np.array(self.y)


class Torch:
    def __init__(self, job, x):
        import torch

        import peers_models

        torch.set_num_threads(job["threads"])
        self.torch, self.x = torch, torch.from_numpy(x)
        self.module = peers_models.load(job["case"], job["work"])
        if job["precision"] == "bf16":
            self.module = self.module.to(torch.bfloat16)
            if self.x.is_floating_point():
                self.x = self.x.to(torch.bfloat16)

    def run(self):
        with self.torch.inference_mode():
            self.y = self.module(self.x)

    def output(self):
        return self.y.float().numpy()


KINDS = {"attn": Attn, "ort": Ort, "openvino": OpenVino, "ncnn": Ncnn, "torch": Torch}


def memory(key):
    """VmHWM, VmRSS in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return 0


def answer(out, value):
    out.write(json.dumps(value) + "\n")
    out.flush()


def main():
    job = json.loads(sys.argv[1])
    # What a peer prints must not come between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    x = np.load(job["x"])
    before = memory("VmRSS")
    start = time.perf_counter()
    try:
        contestant = KINDS[job["kind"]](job, x)
        loaded = time.perf_counter()
        contestant.run()
        first = time.perf_counter()
        np.save(job["out"], contestant.output())
    except Exception as error:  # reported, so that the others go on
        answer(out, {"error": "%s: %s" % (type(error).__name__, str(error)[:500])})
        return
    answer(out, {"load_ms": 1e3 * (loaded - start), "first_ms": 1e3 * (first - loaded)})
    run, clock = contestant.run, time.perf_counter
    for line in sys.stdin:
        run()
        ms = []
        for _ in range(json.loads(line)["runs"]):
            start = clock()
            run()
            ms.append(1e3 * (clock() - start))
        answer(out, {"ms": ms, "peak": memory("VmHWM"), "before": before})


if __name__ == "__main__":
    main()
