"""ONNX's own test vectors of operators (Debian's libonnx-testdata): attn run on each, and what it gives
compared with what the vector says, to ONNX's tolerances.

As a script, for some of them:
    ATTN=build/attn python3 tests/models/test_onnx_vectors.py [-v] [--list] [OPERATOR or part of a name ...]
-v: the message of each failure; --list: what does not apply, and why."""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

try:
    import onnx
    import onnx.version_converter
    from onnx import numpy_helper
except ImportError:
    onnx = None

ROOT = Path(__file__).resolve().parents[2]
ATTN = Path(os.environ.get("ATTN", ROOT / "build" / "attn")).resolve()
DATA = Path(os.environ.get("ONNX_TESTDATA", "/usr/include/onnx/backend/test/data"))
GROUPS = ("node", "simple", "pytorch-converted", "pytorch-operator")
KNOWN = Path(__file__).with_name("onnx_vectors_known.txt")
VERSION = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
CACHE = Path(tempfile.gettempdir()) / f"attn-onnx-vectors-{os.getuid()}-{VERSION}"
RELATIVE, ABSOLUTE = 1e-3, 1e-7  # ONNX's
CONVERTED = 8  # opset below 7: to this one, by onnx's own converter

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
LOSSES = {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"}
OTHER_DOMAINS = {"ai.onnx.preview.training": "training", "ai.onnx.ml": "ai.onnx.ml: no neural network"}
TEXT = {"StringNormalizer"}


class Inapplicable(Exception):
    pass


# ---- which apply -------------------------------------------------------------------------------

def all_nodes(graph: object) -> list:
    nodes = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes += all_nodes(attribute.g)
    return nodes


def ones(node: object, name: str) -> bool:
    return any(a.name == name and a.i for a in node.attribute)


def why_not(model: object, name: str) -> str | None:
    """Why the vector says nothing of what attn is for; None if it does."""
    nodes = all_nodes(model.graph)
    initial = {t.name for t in model.graph.initializer}
    for value in list(model.graph.input) + list(model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return {"sequence_type": "sequences", "optional_type": "optional values", "map_type": "maps"}.get(kind, "no type")
        if value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            return "strings"
        if value.type.tensor_type.elem_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128):
            return "complex numbers"
    for node in nodes:
        if node.domain in OTHER_DOMAINS:
            return OTHER_DOMAINS[node.domain]
        if node.op_type in RANDOM:
            return "random numbers"
        if node.op_type in LOSSES:
            return "training: losses"
        if node.op_type in TEXT:
            return "strings"
        if "Sequence" in node.op_type and node.op_type != "ReverseSequence":
            return "sequences"
        if node.op_type.startswith("Optional"):
            return "optional values"
        if node.op_type == "BatchNormalization" and (ones(node, "training_mode") or len(node.output) > 1):
            return "training: batch statistics"
        if node.op_type == "Cast" and any(a.name == "to" and a.i == onnx.TensorProto.STRING for a in node.attribute):
            return "strings"
    if name.startswith(("test_training_dropout", "test_dropout_random")):
        return "training: dropout"
    if not [i for i in model.graph.input if i.name not in initial] and not nodes:
        return "an empty graph"
    return None


# ---- what the vectors hold, as .npy files -------------------------------------------------------

def plain(array: np.ndarray) -> np.ndarray:
    """As attn takes it: f32, i32, u8."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return np.clip(array.astype(np.int64) if array.dtype != np.uint64 else np.minimum(array, 2**63 - 1).astype(np.int64),
                       -2**31, 2**31 - 1).astype(np.int32)
    with np.errstate(all="ignore"):
        return array.astype(np.float32)


def load(path: Path, value: object) -> np.ndarray:
    """value: what the model says of it; some files have the bits of bf16 as integers."""
    array = np.asarray(numpy_helper.to_array(onnx.load_tensor(path)))
    if value.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16:
        if array.dtype == np.uint16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32)
    return array


def is_empty_list(value: object) -> bool:
    """attn has no such input: there is nothing to set."""
    dims = value.type.tensor_type.shape.dim
    return len(dims) == 1 and dims[0].HasField("dim_value") and dims[0].dim_value == 0


def beyond_f32(array: np.ndarray) -> bool:
    finite = np.isfinite(array) if array.dtype.kind == "f" else np.zeros(0, bool)
    return bool(np.any(np.isinf(plain(array)[finite]))) if finite.any() else False


def contradicts(value: object, array: np.ndarray) -> bool:
    dims = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape"):
        return False
    fixed = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    return len(fixed) != array.ndim or any(want not in (None, have) for want, have in zip(fixed, array.shape))


def prepare_sets(folder: Path, model: object, target: Path) -> list[dict]:
    initial = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initial]
    sets = []
    for number, data in enumerate(sorted(folder.glob("test_data_set_*"))):
        entry = {"in": [], "out": []}
        for i, value in enumerate(inputs):
            path = target / f"{number}-in-{i}.npy"
            array = load(data / f"input_{i}.pb", value)
            if is_empty_list(value) and array.dtype.kind == "i":
                continue
            if contradicts(value, array):
                raise Inapplicable("data of another shape than the model says")
            if beyond_f32(array):
                raise Inapplicable("numbers that f32 cannot hold")
            np.save(path, plain(array))
            entry["in"].append([value.name, str(path)])
        for i, value in enumerate(model.graph.output):
            array = load(data / f"output_{i}.pb", value)
            path = target / f"{number}-out-{i}.npy"
            np.save(path, array)
            entry["out"].append([value.name, str(path), str(array.dtype)])
        sets.append(entry)
    return sets


def prepare(folder: Path, group: str) -> dict:
    model = onnx.load(folder / "model.onnx")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    case = {"name": folder.name, "group": group, "model": str(folder / "model.onnx"), "sets": [], "why": None,
            "ops": sorted({n.op_type for n in all_nodes(model.graph)})}
    case["why"] = why_not(model, folder.name)
    if case["why"]:
        return case
    target = CACHE / group / folder.name
    target.mkdir(parents=True, exist_ok=True)
    if 0 < opset < 7:
        try:
            model = onnx.version_converter.convert_version(model, CONVERTED)
        except Exception as error:  # the converter knows few operators of opset 1
            case["why"] = f"opset {opset}, which onnx does not convert: {str(error).splitlines()[0][:60]}"
            return case
        case["model"] = str(target / "model.onnx")
        onnx.save(model, case["model"])
    try:
        case["sets"] = prepare_sets(folder, model, target)
    except Inapplicable as reason:
        case["why"] = str(reason)
    return case


def all_cases() -> list[dict]:
    """Read once: .npy files and a list in a folder of the system's temporary one."""
    index = CACHE / "cases.json"
    if index.exists():
        return json.loads(index.read_text())
    cases = [prepare(folder, group) for group in GROUPS for folder in sorted((DATA / group).glob("test_*"))]
    index.write_text(json.dumps(cases))
    return cases


# ---- one vector --------------------------------------------------------------------------------

def compare(ours: np.ndarray, path: str, kind: str) -> str | None:
    want = np.load(path)
    if ours.shape != want.shape:
        return f"shape {list(ours.shape)}, expected {list(want.shape)}"
    if (ours.dtype.kind == "f") != (want.dtype.kind == "f"):
        return f"dtype {ours.dtype}, expected {kind}"
    if want.dtype.kind != "f":
        wrong = ours.astype(np.int64) != np.clip(want.astype(np.float64), -2**31, 2**31 - 1).astype(np.int64)
        return f"{wrong.sum()} of {wrong.size} integers differ" if wrong.any() else None
    if kind == "float16":
        ours = ours.astype(np.float16)
    with np.errstate(all="ignore"):
        if np.allclose(ours.astype(np.float64), want.astype(np.float64), RELATIVE, ABSOLUTE, equal_nan=True):
            return None
        return f"differs by {np.nanmax(np.abs(ours.astype(np.float64) - want.astype(np.float64))):.3g}"


def run_set(case: dict, entry: dict, folder: Path) -> str | None:
    command = [str(ATTN), "run", case["model"]]
    for name, path in entry["in"]:
        command += ["--in", f"{name}={path}"]
    for i, (name, _, _) in enumerate(entry["out"]):
        command += ["--out", f"{name}={folder / f'{i}.npy'}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "took longer than 60 s"
    if result.returncode:
        return result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"exit status {result.returncode}"
    for i, (name, path, kind) in enumerate(entry["out"]):
        difference = compare(np.load(folder / f"{i}.npy"), path, kind)
        if difference:
            return f'output "{name}": {difference}'
    return None


def run_case(case: dict) -> str | None:
    if not case["sets"]:
        return "the vector has no data"
    with tempfile.TemporaryDirectory() as folder:
        for entry in case["sets"]:
            problem = run_set(case, entry, Path(folder))
            if problem:
                return problem
    return None


# ---- all of them -------------------------------------------------------------------------------

def known_failures() -> dict[str, str]:
    lines = [line.split(": ", 1) for line in KNOWN.read_text().splitlines() if line and not line.startswith("#")]
    return {name: reason for name, reason in lines}


def chosen(case: dict, filters: list[str]) -> bool:
    return not filters or any(f in case["ops"] or f in case["name"] for f in filters)


def operator_of(case: dict) -> str:
    if case["group"] != "node":
        return case["group"]
    return case["ops"][0] if len(case["ops"]) == 1 else "(several)"


def run_all(filters: list[str], verbose: bool, listed: bool) -> tuple[dict[str, str], str]:
    """What failed, by name, with the message; and a summary."""
    cases = [c for c in all_cases() if chosen(c, filters)]
    known = known_failures()
    apply = [c for c in cases if not c["why"]]
    with ThreadPoolExecutor(2) as pool:
        problems = {c["group"] + "/" + c["name"]: p for c, p in zip(apply, pool.map(run_case, apply)) if p}
    tally = collections.defaultdict(lambda: [0, 0])
    for case in apply:
        tally[operator_of(case)][(case["group"] + "/" + case["name"]) in problems] += 1
    lines = [f"{op:32} {good:4} passed {bad:4} failed" for op, (good, bad) in sorted(tally.items())]
    reasons = collections.Counter(c["why"].split(", which")[0] for c in cases if c["why"])
    lines += [f"does not apply: {count:4}  {reason}" for reason, count in reasons.most_common()]
    if listed:
        lines += [f"does not apply: {c['name']}: {c['why']}" for c in cases if c["why"]]
    if verbose or not filters:
        lines += [f"FAILED {'(known) ' if n in known else ''}{n}: {p}" for n, p in problems.items()]
    lines += [f"passes now, and is listed as failing: {n}" for n in known
              if n not in problems and any(n == c["group"] + "/" + c["name"] for c in apply)]
    lines.append(f"{len(cases)} vectors, {len(cases) - len(apply)} do not apply, {len(apply) - len(problems)} of "
                 f"{len(apply)} pass ({100 * (1 - len(problems) / max(1, len(apply))):.1f} %)")
    return problems, "\n".join(lines)


class OnnxVectors(unittest.TestCase):
    def test_vectors(self) -> None:
        if onnx is None:
            self.skipTest("the onnx package is not installed (tests/requirements.txt)")
        if not DATA.is_dir():
            self.skipTest("the vectors are not installed (Debian's libonnx-testdata)")
        problems, summary = run_all([], False, False)
        print(summary)
        known = known_failures()
        unknown = {name: text for name, text in problems.items() if name not in known}
        self.assertEqual(unknown, {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("filters", nargs="*")
    arguments = parser.parse_args()
    if onnx is None or not DATA.is_dir():
        sys.exit("the onnx package or the vectors (libonnx-testdata) are not installed")
    failed, text = run_all(arguments.filters, arguments.v, arguments.list)
    print(text)
    sys.exit(any(name not in known_failures() for name in failed))
