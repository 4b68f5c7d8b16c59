"""attn on ONNX files as they are, beside ONNX Runtime on the same files.

    python tools/bench/imports.py FOLDER [--build FOLDER] [--only vit,bert,...] [--exporters legacy,dynamo]
        [--threads 1,2] [--lengths 16,128] [--rounds N] [--json FILE]

FOLDER is what tools/export/onnx_models.py FOLDER --real has written; any folder of folders with .onnx files and
inputs.npz will do. Batch 1. Each contestant is a process of its own; both run in turns, round after round, so
that a change of the machine's clock meets both alike. Printed are medians of all runs with the least and the
most, and the median of the rounds' ratios, attn's time by ONNX Runtime's: below 1, attn is faster. First
both must agree on every output, within 1e-4 of the largest value; a model on which they do not is named, and
the exit status is 1. ONNX Runtime runs without its SkipLayerNormFusion, which costs it more than it saves.

Needs onnxruntime and numpy."""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import turns

TOLERANCE = 1e-4
DTYPES = {"float32": 0, "int64": 3, "int32": 4, "uint8": 5, "bool": 6}  # attn_dtype


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("rank", ctypes.c_int), ("dim", ctypes.c_size_t * 8), ("data", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 512)]


class Options(ctypes.Structure):  # attn_session_options
    _fields_ = [("threads", ctypes.c_uint), ("max_memory", ctypes.c_size_t), ("reserved", ctypes.c_size_t * 16)]


class Attn:
    def __init__(self, job: dict, inputs: dict[str, np.ndarray]) -> None:
        self.lib, self.error, self.inputs = ctypes.CDLL(job["library"]), Error(), inputs
        self.session, model = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("attn_model_open", ctypes.byref(model), job["file"].encode(), None)
        self.call("attn_session_open", ctypes.byref(self.session), model, ctypes.byref(Options(threads=job["threads"])))
        for name, value in inputs.items():
            tensor = Tensor(DTYPES[value.dtype.name], value.ndim)
            tensor.dim[: value.ndim] = value.shape
            tensor.data = value.ctypes.data
            self.call("attn_set_input", self.session, name.encode(), ctypes.byref(tensor))
        self.call("attn_prepare", self.session)

    def call(self, function: str, *arguments: object) -> None:
        if getattr(self.lib, function)(*arguments, ctypes.byref(self.error)):
            raise RuntimeError(self.error.text.decode())

    def run(self) -> None:
        self.call("attn_run", self.session)

    def output(self, name: str) -> np.ndarray:
        out = Tensor()
        self.call("attn_output", self.session, name.encode(), ctypes.byref(out))
        kind = ctypes.c_int32 if out.dtype == DTYPES["int32"] else ctypes.c_float
        return np.ctypeslib.as_array(ctypes.cast(out.data, ctypes.POINTER(kind)), list(out.dim[: out.rank])).copy()


class Ort:
    def __init__(self, job: dict, inputs: dict[str, np.ndarray]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            job["file"], options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"])
        self.binding = self.session.io_binding()
        for given in self.session.get_inputs():
            self.binding.bind_cpu_input(given.name, inputs[given.name])
        self.names = [o.name for o in self.session.get_outputs()]
        for name in self.names:
            self.binding.bind_output(name)

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def output(self, name: str) -> np.ndarray:
        return self.binding.copy_outputs_to_cpu()[self.names.index(name)]


def serve(job: dict) -> None:
    """One contestant: writes its outputs, then answers each number on standard input with so many timed runs."""
    inputs = dict(np.load(job["inputs"]))
    contestant = {"attn": Attn, "ort": Ort}[job["who"]](job, inputs)
    contestant.run()
    np.savez(job["out"], **{name: contestant.output(name) for name in job["names"]})
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            contestant.run()
            times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


class Worker:
    def __init__(self, **job: object) -> None:
        self.who = job["who"]
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", json.dumps(job)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            self.process.stdin.close()
            raise RuntimeError(f"{self.who}: {self.process.stderr.read().strip().splitlines()[-1][:300]}")

    def times(self, runs: int) -> list[float]:
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        times = json.loads(self.process.stdout.readline())
        turns.wait_until_idle(self.process.pid)
        return times

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def one_item(path: Path, length: int | None) -> dict[str, np.ndarray]:
    """The first item of inputs.npz; of a text, repeated or cut to that length, with a mask of ones."""
    inputs = {name: value[:1] for name, value in np.load(path).items()}
    for name, value in inputs.items():
        if length and value.ndim == 2:
            inputs[name] = np.resize(value, (1, length)) if "mask" not in name else np.ones((1, length), value.dtype)
    return {name: np.ascontiguousarray(value) for name, value in inputs.items()}


def disagreement(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> str | None:
    for name, wanted in b.items():
        if a[name].shape != wanted.shape:
            return f"{name} has the shape {a[name].shape}, ONNX Runtime's {wanted.shape}"
        difference = np.abs(a[name] - wanted).max() / max(1e-30, np.abs(wanted).max())
        if not difference <= TOLERANCE:
            return f"{name} differs by {difference:.2g} of its largest value"
    return None


def measure(options: argparse.Namespace, file: Path, inputs: dict[str, np.ndarray], threads: int) -> dict:
    import onnxruntime

    names = [o.name for o in onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_outputs()]
    given, workers, times, ratios = file.parent / "bench_inputs.npz", {}, {"attn": [], "ort": []}, []
    np.savez(given, **inputs)
    try:
        for who in times:
            workers[who] = Worker(who=who, file=str(file), inputs=str(given), names=names, threads=threads,
                                  out=str(file.parent / f"bench_{who}.npz"),
                                  library=str(options.build.resolve() / "libattn.so"))
        outputs = [dict(np.load(file.parent / f"bench_{who}.npz")) for who in times]
        wrong = disagreement(*outputs)
        if wrong:
            raise RuntimeError(wrong)
        once = max(min(worker.times(3)) for worker in workers.values())
        runs = max(2, min(50, int(150 / once)))
        for turn in range(options.rounds):
            for who in ("attn", "ort") if turn % 2 else ("ort", "attn"):
                times[who].append(workers[who].times(runs))
            ratios.append(statistics.median(times["attn"][-1]) / statistics.median(times["ort"][-1]))
    finally:
        for worker in workers.values():
            worker.close()
        for path in file.parent.glob("bench_*.npz"):
            path.unlink()
    result = {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    for who, rounds in times.items():
        every = [t for turn in rounds for t in turn]
        result[who] = {"median": statistics.median(every), "min": min(every), "max": max(every)}
    return result


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        serve(json.loads(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--only", default="")
    parser.add_argument("--exporters", default="")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--lengths", default="16,128")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results, status = [], 0
    print("| file | threads | attn, ms (min to max) | ONNX Runtime, ms (min to max) | attn by ONNX Runtime |")
    print("| --- | --- | --- | --- | --- |")
    for file in sorted(options.folder.glob("*/*.onnx")):
        if options.only and file.parent.name not in options.only.split(","):
            continue
        if options.exporters and file.stem not in options.exporters.split(","):
            continue
        is_text = any(value.ndim == 2 for value in np.load(file.parent / "inputs.npz").values())
        for length in [int(n) for n in options.lengths.split(",")] if is_text else [None]:
            for threads in map(int, options.threads.split(",")):
                name = f"{file.parent.name} {file.stem}" + (f", {length} tokens" if length else "")
                try:
                    r = measure(options, file, one_item(file.parent / "inputs.npz", length), threads)
                except RuntimeError as error:
                    print(f"{name}, {threads} threads: {error}", file=sys.stderr, flush=True)
                    status = 1
                    continue
                results.append({"name": name, "threads": threads, **r})
                ms = [f"{r[who]['median']:.3g} ({r[who]['min']:.3g} to {r[who]['max']:.3g})" for who in ("attn", "ort")]
                print(f"| {name} | {threads} | {ms[0]} | {ms[1]} | {r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f}) |",
                      flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main())
