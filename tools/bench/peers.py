"""attn beside its peers on the same weights: ONNX Runtime, OpenVINO, ncnn, PyTorch.

    python tools/bench/peers.py [--build FOLDER] [--cases vit_tiny,minilm_16,...] [--threads 1,2]
        [--only attn,ort] [--rounds N] [--work FOLDER] [--json FILE] [--plot FILE.png] [--cold]

Each contestant is a process of its own; all of them run in turns, round after round, so that a change
of the machine's clock meets all alike. What is printed are medians; the ratio to a peer is the median
of the ratios of each round, with its 10th and 90th percentile. The peak of the machine is measured
in each round too. A contestant whose output differs from PyTorch's is named and counts as no peer.
--cold measures instead the start: from the process's start to its exit after one result.

Needs torch, transformers, onnx, onnxruntime; openvino, pnnx and ncnn where they can be had. The build
needs -DATTN_BENCH=ON for the peak. The models are made once, in --work (build/peers).
"""

import argparse
import collections
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time

import numpy as np

import peers_cold
import peers_models
import peers_report
import turns

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["onnxruntime", "openvino", "ncnn", "pnnx", "torch", "transformers"]
PRECISIONS = {"f32": 1, "bf16": 2, "int8": 4}  # attn_precision
MOST_FOREIGN = 0.06  # of a core, used by others in a round: more, and the round is made again
# f32: the largest difference over the largest value; others: 1 - the cosine.
TOLERANCE = {"f32": 1e-4, "bf16": 0.01, "int8": 0.05}

Contestant = collections.namedtuple("Contestant", "name precision job")


def contestants(case, options):
    """Who runs a case: (name, precision, job of peers_worker)."""
    entry, folder = peers_models.CASES[case], os.path.join(options.work, case)
    file = lambda name: {"file": os.path.join(folder, name)}
    ov, torch = {"kind": "openvino"}, {"kind": "torch"}
    out = []
    for precision in attn_precisions(options):
        out.append(("attn", precision, {
            "kind": "attn", "input": entry.input, "number": PRECISIONS[precision],
            "library": os.path.join(options.build, "libattn.so"),
            "folder": os.path.join(options.work, "models", entry.model)}))
    out += [
        ("ort", "f32", {"kind": "ort", **file("f32.onnx")}),
        ("openvino", "f32", {**ov, "precision": "f32", **file("f32.onnx")}),
        ("ncnn", "f32", {"kind": "ncnn", "precision": "f32", **file("ncnn")}),
        ("torch", "f32", {**torch, "precision": "f32"}),
        ("ncnn", "bf16", {"kind": "ncnn", "precision": "bf16", **file("ncnn")}),
        ("openvino", "bf16", {**ov, "precision": "bf16", **file("f32.onnx")}),
        ("torch", "bf16", {**torch, "precision": "bf16"}),
        ("ort", "int8", {"kind": "ort", **file("int8_dynamic.onnx")}),
        ("ort-qdq", "int8", {"kind": "ort", **file("int8_qdq.onnx")}),
        ("openvino", "int8", {**ov, "precision": "f32", **file("int8_qdq.onnx")}),
    ]
    chosen = []
    for name, precision, job in out:
        if options.only and name not in options.only and name.split("-")[0] not in options.only:
            continue
        if precision not in options.precisions:
            continue
        job.update(case=case, work=options.work, x=os.path.join(folder, "input.npy"),
                   out=os.path.join(folder, "%s_%s.npy" % (name, precision)))
        chosen.append(Contestant(name, precision, job))
    return chosen


def attn_precisions(options):
    """Those that this build knows: it says so itself."""
    command = os.path.join(options.build, "attn")
    known = []
    for name in PRECISIONS:
        done = subprocess.run([command, "check", "models/worked_example", "--dtype", name],
                              cwd=os.path.join(HERE, "..", ".."), capture_output=True, check=False)
        if done.returncode == 0:
            known.append(name)
    return known


# ---- processes ------------------------------------------------------------------------------------


class Worker:
    """A contestant's process. It is idle, asleep, between its turns."""

    def __init__(self, command, log):
        self.log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, cwd=HERE)

    def ask(self, line=None):
        if line is not None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            return {"error": "ended: see %s" % self.log.name}
        return json.loads(answer)

    def cpu_nanoseconds(self):
        return turns.cpu_nanoseconds(self.process.pid)

    def wait_until_idle(self):
        turns.wait_until_idle(self.process.pid)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def busy_seconds():
    """Of all cores since the start of the system."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(v) for v in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # not idle, not waiting


class Watch:
    """What other processes take of the machine."""

    def __init__(self, workers):
        self.workers, self.last = workers, None
        self.foreign()

    def foreign(self):
        """Cores that others have used since the last call, on average."""
        own = time.process_time() + sum(w.cpu_nanoseconds() for w in self.workers) * 1e-9
        now = (time.monotonic(), busy_seconds(), own)
        last, self.last = self.last or now, now
        wall, busy, mine = (a - b for a, b in zip(now, last))
        return max(busy - mine, 0) / wall if wall > 0 else 0


def agrees(contestant, reference):
    """(None or how its output differs from PyTorch's, the error)."""
    y = np.load(contestant.job["out"]).astype(np.float64).ravel()
    reference = reference.astype(np.float64).ravel()
    if y.size != reference.size or not np.isfinite(y).all():
        return "%d numbers for %d, or not finite" % (y.size, reference.size), float("nan")
    if contestant.precision == "f32":
        error = float(np.abs(y - reference).max() / np.abs(reference).max())
    else:
        error = float(1 - y @ reference / np.sqrt((y @ y) * (reference @ reference)))
    what = "of the largest" if contestant.precision == "f32" else "= 1 - cosine"
    good = error <= TOLERANCE[contestant.precision]
    return None if good else "by %.2g %s" % (error, what), error


def start(case, threads, options):
    """The contestants that start and agree, and what is to be said of the others."""
    reference = np.load(os.path.join(options.work, case, "reference.npy"))
    ready, notes = [], []
    for contestant in contestants(case, options):
        job = dict(contestant.job, threads=threads)
        if job.get("file") and not any(os.path.exists(job["file"] + e) for e in ("", ".param")):
            notes.append("%s %s: %s was not made (made.json)" % (*contestant[:2], job["file"]))
            continue
        log = os.path.join(options.work, case, "%s_%s.log" % contestant[:2])
        worker = Worker([sys.executable, os.path.join(HERE, "peers_worker.py"), json.dumps(job)], log)
        answer = worker.ask()
        if "error" in answer:
            notes.append("%s %s: %s" % (*contestant[:2], answer["error"]))
            worker.close()
            continue
        problem, error = agrees(contestant, reference)
        if problem:
            notes.append("%s %s does not agree with PyTorch: %s" % (*contestant[:2], problem))
        row = {"name": contestant.name, "precision": contestant.precision, "agrees": not problem,
               "error": error, "load_ms": answer["load_ms"], "first_ms": answer["first_ms"],
               "rounds": []}
        worker.wait_until_idle()
        ready.append((worker, row))
    return ready, notes


# ---- measuring ------------------------------------------------------------------------------------


def operations(case, options):
    """Of all products of the model, in 1e9, as attn counts them."""
    entry = peers_models.CASES[case]
    folder = os.path.join(options.work, "models", entry.model)
    shape = "x".join(str(d) for d in entry.shape[1:])
    done = subprocess.run([os.path.join(options.build, "attn"), "bench", folder, "--json", "--runs", "1",
                           "--input", "%s=%s" % (entry.input, shape)], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit("attn bench %s: %s" % (folder, done.stderr.decode()))
    return json.loads(done.stdout)["gflop"]


def take_turns(ready, machine, options):
    """Rounds of turns; each round begins with another contestant. Returns the peaks by round,
    and how many rounds were made again because others used the machine."""
    runs, peaks = {}, []
    for worker, row in ready:
        ms = worker.ask('{"runs": 3}')["ms"]
        runs[row["name"], row["precision"]] = int(min(max(options.turn / np.median(ms), 2), 200))
        worker.wait_until_idle()
    watch, done, disturbed = Watch([w for w, _ in ready] + ([machine] if machine else [])), 0, 0
    while done < options.rounds:
        if machine:
            peaks.append(machine.ask(""))
            machine.wait_until_idle()
        for j in range(len(ready)):
            worker, row = ready[(done + j) % len(ready)]
            answer = worker.ask('{"runs": %d}' % runs[row["name"], row["precision"]])
            row["rounds"].append(answer["ms"])
            row["resident"], row["resident_before"] = answer["peak"], answer["before"]
            worker.wait_until_idle()
        if watch.foreign() > MOST_FOREIGN and disturbed < 2 * options.rounds:
            disturbed += 1
            for rounds in [peaks][:len(peaks)] + [row["rounds"] for _, row in ready]:
                rounds.pop()
            continue
        done += 1
        peers_report.progress(options, done, options.rounds)
    return peaks, disturbed


def measure(case, threads, options):
    gflop = operations(case, options)
    ready, notes = start(case, threads, options)
    machine, command = None, os.path.join(options.build, "bench_machine")
    if os.path.exists(command):
        machine = Worker([command, "--serve", "--threads", str(threads)], os.devnull)
    else:
        notes.append("no peak: %s is not built (-DATTN_BENCH=ON)" % command)
    peaks, disturbed = take_turns(ready, machine, options)
    if disturbed:
        notes.append("%d rounds more were left out: others used the machine" % disturbed)
    for worker, _ in ready:
        worker.close()
    if machine:
        machine.close()
    return {"case": case, "threads": threads, "gflop": gflop, "notes": notes, "peaks": peaks,
            "rows": [row for _, row in ready]}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--work", help="where the models are made (BUILD/peers)")
    parser.add_argument("--cases", default=",".join(peers_models.CASES))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precisions", default="f32,bf16,int8")
    parser.add_argument("--only", default="", help="contestants, e.g. attn,ort")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turn", type=float, default=60, help="milliseconds of a turn, about")
    parser.add_argument("--json", help="write all results there")
    parser.add_argument("--plot", help="write a picture of the ratios there")
    parser.add_argument("--cold", action="store_true", help="measure cold start and memory")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.work = os.path.abspath(options.work or os.path.join(options.build, "peers"))
    for key in ("cases", "threads", "precisions", "only"):
        setattr(options, key, [part for part in getattr(options, key).split(",") if part])
    for case in options.cases:
        if case not in peers_models.CASES:
            parser.error("there is no case %s: they are %s" % (case, ", ".join(peers_models.CASES)))
    return options


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main():
    options = parse_arguments()
    for case in options.cases:
        if not os.path.exists(os.path.join(options.work, case, "made.json")):
            subprocess.run([sys.executable, os.path.join(HERE, "peers_models.py"), case, options.work],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    result = {"machine": peers_report.processor(), "system": platform.platform(),
              "packages": {name: version(name) for name in PACKAGES}, "results": []}
    peers_report.print_head(result)
    for case in options.cases:
        for threads in options.threads:
            if options.cold:
                one = peers_cold.measure(case, int(threads), options)
                peers_cold.print_table(one)
            else:
                one = peers_report.summarise(measure(case, int(threads), options))
                peers_report.print_table(one)
            result["results"].append(one)
    if not options.cold:
        peers_report.print_aims(result["results"])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    if options.plot and not options.cold:
        peers_report.plot(result, options.plot)


if __name__ == "__main__":
    main()
