"""peers.py --cold: from the start of a process to its exit after one result, and its memory.

The files are in the system's cache. attn is its command; a peer is the shortest Python program that
loads the model, runs it once and writes the result, since the peers come as Python packages: so the
time to create the session and run it once, without the interpreter and the imports, stands beside it.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np

import peers_models
import peers_report

PROGRAM = """
import sys, time, numpy
x = numpy.load(sys.argv[2])
threads = int(sys.argv[3])
%s
start = time.perf_counter()
%s
numpy.save(sys.argv[4], y)
seconds = time.perf_counter() - start
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"): print(1e3 * seconds, int(line.split()[1]) * 1024)
"""
PEERS = {
    "ort": ("f32.onnx", PROGRAM % ("import onnxruntime", """
o = onnxruntime.SessionOptions()
o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = threads, 1, 3
s = onnxruntime.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"],
                                 disabled_optimizers=["SkipLayerNormFusion"])
y = s.run(None, {"x": x})[0]""")),
    "openvino": ("f32.onnx", PROGRAM % ("import openvino", """
c = openvino.Core()
m = c.compile_model(c.read_model(sys.argv[1]), "CPU", {"PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})
y = m(x)[0]""")),
    "ncnn": ("ncnn", PROGRAM % ("import ncnn", """
n = ncnn.Net()
n.opt.num_threads, n.opt.use_fp16_packed, n.opt.use_fp16_storage = threads, False, False
n.load_param(sys.argv[1] + ".param"), n.load_model(sys.argv[1] + ".bin")
e = n.create_extractor()
e.input("in0", ncnn.Mat(x[0].astype(numpy.int32) if x.dtype == numpy.int64 else x[0]))
y = numpy.array(e.extract("out0")[1])""")),
    "python": ("input.npy", PROGRAM % ("", "y = x")),  # what the others pay for the interpreter
}


def commands(case, threads, options):
    entry, folder = peers_models.CASES[case], os.path.join(options.work, case)
    x, y = os.path.join(folder, "input.npy"), os.path.join(folder, "cold.npy")
    attn = os.path.join(options.build, "attn")
    model = os.path.join(options.work, "models", entry.model)
    out = {"attn": [attn, "run", model, "--threads", threads, "--in", "%s=%s" % (entry.input, x),
                    "--out", "%s=%s" % (entry.output, y)]}
    packed = os.path.join(folder, "packed")
    if not os.path.exists(packed):  # the same files, and the panels that attn keeps beside them
        os.makedirs(packed)
        for name in ("config.json", "model.safetensors"):
            os.link(os.path.join(model, name), os.path.join(packed, name))
    done = subprocess.run([attn, "pack", packed, "--panels"], capture_output=True, check=False)
    if done.returncode == 0:
        out["attn, packed"] = [attn, "run", packed, *out["attn"][3:]]
    for name, (file, program) in PEERS.items():
        out[name] = [sys.executable, "-c", program, os.path.join(folder, file), x, threads, y]
    return {k: v for k, v in out.items()
            if not options.only or k.split(",")[0] in options.only}, y


def attn_memory(case, threads, command, options):
    """attn bench says what it had resident at most; and the bytes that the plan foretold."""
    entry = peers_models.CASES[case]
    shape = "x".join(str(d) for d in entry.shape[1:])
    done = subprocess.run([command[0], "bench", command[2], "--json", "--runs", "1", "--threads",
                           threads, "--input", "%s=%s" % (entry.input, shape)],
                          capture_output=True, check=False)
    root = json.loads(done.stdout) if done.returncode == 0 else {}
    return root.get("resident_bytes"), root.get("model_bytes", 0) + root.get("session_bytes", 0)


def measure(case, threads, options):
    reference = np.load(os.path.join(options.work, case, "reference.npy")).ravel()
    contestants, result_file = commands(case, str(threads), options)
    rows = {name: {"name": name, "ms": [], "inside_ms": []} for name in contestants}
    notes = []
    for i in range(options.rounds + 1):  # the first fills the system's cache
        for name, command in list(contestants.items()):
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            ms = 1e3 * (time.perf_counter() - start)
            if done.returncode:
                notes.append("%s: %s" % (name, done.stderr.strip()[-300:]))
                del contestants[name], rows[name]
                continue
            if i == 0 and name != "python":
                error = np.abs(np.load(result_file).ravel() - reference).max()
                if not error <= 1e-4 * np.abs(reference).max():
                    notes.append("%s does not agree with PyTorch: differs by %.2g" % (name, error))
            if i == 0:
                continue
            rows[name]["ms"].append(ms)
            if not name.startswith("attn"):
                inside, resident = done.stdout.split()[-2:]
                rows[name]["inside_ms"].append(float(inside))
                rows[name]["resident"] = int(resident)
        peers_report.progress(options, i, options.rounds)
    for name, row in rows.items():
        if name.startswith("attn"):
            row["resident"], row["planned"] = attn_memory(case, str(threads), contestants[name], options)
    return {"case": case, "threads": threads, "cold": list(rows.values()), "notes": notes}


def print_table(one):
    print("\n%s, %d thread(s), cold\n  %-14s %9s %9s %9s %12s %12s %12s %10s" % (
        one["case"], one["threads"], "", "median ms", "min", "max", "load and run", "attn / it",
        "resident MB", "planned MB"))
    attn = next((row for row in one["cold"] if row["name"] == "attn"), None)
    for row in one["cold"]:
        inside = "%.1f" % np.median(row["inside_ms"]) if row["inside_ms"] else ""
        ratio = "%.3f" % np.median(np.array(attn["ms"]) / row["ms"]) if attn else ""
        planned = "%.1f" % (row["planned"] / 1e6) if row.get("planned") else ""
        print("  %-14s %9.1f %9.1f %9.1f %12s %12s %12.1f %10s" % (
            row["name"], np.median(row["ms"]), min(row["ms"]), max(row["ms"]), inside, ratio,
            (row["resident"] or 0) / 1e6, planned))
    for note in one["notes"]:
        print("  note: %s" % note)
