"""If, Loop and Scan of ONNX files, and functions: what attn computes against NumPy.

    ATTN=build/attn python3 tests/models/test_onnx_loops.py"""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    onnx = None

ROOT = Path(__file__).resolve().parents[2]
ATTN = Path(os.environ.get("ATTN", ROOT / "build" / "attn")).resolve()
F, I, B = 1, 7, 9  # float, int64, bool


def value(name: str, dims: list | tuple | None = (2, 3), kind: int = F) -> object:
    return helper.make_tensor_value_info(name, kind, dims)


def number(name: str, data: object, dtype: str = "int64") -> object:
    return numpy_helper.from_array(np.array(data, dtype), name)


def node(op: str, ins: str, outs: str, **attributes: object) -> object:
    names = lambda text: [n if n != "-" else "" for n in text.split()]
    return helper.make_node(op, names(ins), names(outs), **attributes)


def graph(nodes: list, inputs: list, outputs: list, tensors: list = (), name: str = "g") -> object:
    return helper.make_graph(nodes, name, inputs, outputs, list(tensors))


def body(nodes: list, carried: list, outs: str, tensors: list = (), kinds: dict | None = None) -> object:
    """Of a Loop: round and condition come first."""
    kinds = {"keep": B} | (kinds or {})
    inputs = [value("round", [], I), value("go", [], B), *carried]
    return graph(nodes, inputs, [value(o, None, kinds.get(o, F)) for o in outs.split()], tensors, "body")


def model(of: object, opset: int = 17, functions: list = ()) -> object:
    made = helper.make_model(of, opset_imports=[helper.make_opsetid("", opset)], functions=list(functions))
    made.ir_version = 8
    return made


def twice_outer() -> np.ndarray:
    y = X
    for by in (0.25, 0.5):
        y = y + 3 * np.where(y < 0, by * y, y)
    return y


X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
SUM = np.cumsum(np.vstack([[0, 1, 0], X]), 0)[1:]
BACK = np.cumsum(np.vstack([[0, 1, 0], X[::-1]]), 0)[1:]
KEEP = node("Identity", "go", "keep")


def loop_constant() -> tuple:
    """x + 1 + 2 + 3 (a round's number is used), and every step of it."""
    inner = body([KEEP, node("Cast", "round", "r", to=F), node("Add", "a r", "b"), node("Mul", "b b", "s")],
                 [value("a")], "keep b s")
    nodes = [node("Loop", "m - x", "y steps", body=inner)]
    made = model(graph(nodes, [value("x")], [value("y"), value("steps", [4, 2, 3])], [number("m", 4)]))
    return made, (X + 6, np.stack([(X + s) ** 2 for s in (0, 1, 3, 6)]))


def loop_many() -> tuple:
    """More rounds than one Concat takes."""
    inner = body([KEEP, node("Mul", "a k", "b"), node("Neg", "b", "s")], [value("a")], "keep b s",
                 [number("k", 0.875, "float32")])
    nodes = [node("Loop", "m t x", "y steps", body=inner)]
    made = model(graph(nodes, [value("x")], [value("y"), value("steps", [70, 2, 3])],
                       [number("m", 70), number("t", True, "bool")]))
    return made, (X * 0.875**70, np.stack([-X * 0.875 ** (i + 1) for i in range(70)]),)


def loop_while() -> tuple:
    """Ends by its condition: while (i < 5) { i += 2; x *= 2 }."""
    inner = body([node("Add", "i two", "j"), node("Less", "j five", "keep"), node("Add", "a a", "b")],
                 [value("i", [], I), value("a")], "keep j b", [number("two", 2), number("five", 5)], {"j": I})
    nodes = [node("Loop", "- t zero x", "j y", body=inner), node("Cast", "j", "n", to=F), node("Add", "y n", "z")]
    made = model(graph(nodes, [value("x")], [value("z")], [number("t", True, "bool"), number("zero", 0)]))
    return made, (X * 8 + 6,)


def loop_none() -> tuple:
    inner = body([KEEP, node("Neg", "a", "b"), node("Neg", "b", "s")], [value("a")], "keep b s")
    nodes = [node("Loop", "m - x", "a2 s", body=inner), node("Abs", "a2", "y")]
    made = model(graph(nodes, [value("x")], [value("y")], [number("m", 0)]))
    return made, (np.abs(X),)


def loop_false() -> tuple:
    inner = body([KEEP, node("Neg", "a", "b")], [value("a")], "keep b")
    nodes = [node("Loop", "m f x", "a2", body=inner), node("Abs", "a2", "y")]
    made = model(graph(nodes, [value("x")], [value("y")], [number("m", 3), number("f", False, "bool")]))
    return made, (np.abs(X),)


def loop_shape() -> tuple:
    """As often as x has rows, by what a probe finds; row after row is added up."""
    inner = body([KEEP, node("Gather", "x2 round", "row", axis=0), node("Add", "sum row", "next")],
                 [value("sum", [3])], "keep next")
    nodes = [node("Neg", "x", "x2"), node("Shape", "x2", "dims"), node("Gather", "dims k", "rows"),
             node("Loop", "rows - zeros", "y", body=inner)]
    made = model(graph(nodes, [value("x")], [value("y", [3])],
                       [number("k", 0), number("zeros", [0, 0, 0], "float32")]))
    return made, (-X.sum(0),)


def loop_nested() -> tuple:
    """The inner loop runs as often as the outer one has run."""
    inner = body([node("Identity", "go2", "keep2"), node("Add", "c k", "d")], [value("c")], "keep2 d",
                 kinds={"keep2": B})
    inner.input[0].name, inner.input[1].name = "round2", "go2"
    outer = body([KEEP, node("Loop", "round - a", "b", body=inner), node("Mul", "b k", "b2")], [value("a")], "keep b2")
    nodes = [node("Loop", "m - x", "y", body=outer)]
    made = model(graph(nodes, [value("x")], [value("y")], [number("m", 4), number("k", 0.5, "float32")]))
    return made, ((((X * 0.5 + 0.5) * 0.5 + 1) * 0.5 + 1.5) * 0.5 * 1,)


def loop_if() -> tuple:
    """A condition that each round decides: even rounds add, odd ones subtract."""
    branch = lambda op: graph([node(op, "a k", "u")], [], [value("u")], name=op)
    inner = body([KEEP, node("Div", "round two", "h"), node("Mul", "h two", "e"), node("Equal", "e round", "even"),
                  node("If", "even", "b", then_branch=branch("Add"), else_branch=branch("Sub"))],
                 [value("a")], "keep b")
    nodes = [node("Loop", "m - x", "y", body=inner)]
    made = model(graph(nodes, [value("x")], [value("y")],
                       [number("m", 3), number("k", 0.5, "float32"), number("two", 2)]))
    return made, (X + 0.5,)


def if_constant() -> tuple:
    branch = lambda op: graph([node(op, "x", "u"), node("Add", "u w", "v")], [], [value("v")],
                              [number("w", [1, 2, 3], "float32")], op)
    nodes = [node("If", "t", "a", then_branch=branch("Neg"), else_branch=branch("Abs")),
             node("If", "f", "b", then_branch=branch("Neg"), else_branch=branch("Abs")), node("Mul", "a b", "y")]
    made = model(graph(nodes, [value("x")], [value("y")], [number("t", True, "bool"), number("f", [False], "bool")]))
    return made, ((-X + [1, 2, 3]) * (np.abs(X) + [1, 2, 3]),)


def if_shape() -> tuple:
    """As PyTorch exports a squeeze: a size decides."""
    one = graph([node("Neg", "x2", "u")], [], [value("u", None)], name="one")
    two = graph([node("Identity", "x2", "u")], [], [value("u", None)], name="two")
    nodes = [node("Abs", "x", "x2"), node("Shape", "x2", "dims"), node("Gather", "dims at", "size"),
             node("Equal", "size two", "c"), node("If", "c", "a", then_branch=one, else_branch=two),
             node("Add", "a x", "y")]
    made = model(graph(nodes, [value("x")], [value("y")], [number("at", [0]), number("two", 2)]))
    return made, (X - np.abs(X),)


def if_input() -> object:
    """As a merged decoder has it: an input decides."""
    one = graph([node("Neg", "x", "u")], [], [value("u")], name="one")
    two = graph([node("Concat", "x x", "u", axis=1)], [], [value("u", None)], name="two")
    nodes = [node("If", "c", "a", then_branch=one, else_branch=two), node("Add", "a k", "y")]
    return model(graph(nodes, [value("x"), value("c", [1], B)], [value("y", None)], [number("k", 2, "float32")]))


def if_empty() -> object:
    """A branch that has nothing to give gives a constant without elements."""
    one = graph([node("Neg", "x", "u"), node("Abs", "x", "k")], [], [value("u"), value("k", None)], name="one")
    two = graph([node("Identity", "x", "u")], [], [value("u"), value("none", None)],
                [numpy_helper.from_array(np.zeros((0, 3), np.float32), "none")], "two")
    nodes = [node("If", "c", "y k", then_branch=one, else_branch=two)]
    return model(graph(nodes, [value("x"), value("c", [1], B)], [value("y"), value("k", None)]))


def scan_body(nodes: list) -> object:
    return graph(nodes, [value("s", [3]), value("e", [3])], [value("t", [3]), value("o", [3])], [], "body")


SUMS = [node("Add", "s e", "t"), node("Mul", "t t", "o")]


def scan_plain() -> tuple:
    nodes = [node("Scan", "zeros x", "y all", body=scan_body(SUMS), num_scan_inputs=1)]
    made = model(graph(nodes, [value("x")], [value("y", [3]), value("all", [2, 3])],
                       [number("zeros", [0, 1, 0], "float32")]))
    return made, (SUM[1], SUM ** 2)


def scan_axes() -> tuple:
    """Along the last dimension, backwards; the outputs along theirs, backwards too."""
    nodes = [node("Transpose", "x", "xt"),
             node("Scan", "zeros xt", "y all", body=scan_body(SUMS), num_scan_inputs=1, scan_input_axes=[-1],
                  scan_input_directions=[1], scan_output_axes=[1], scan_output_directions=[1])]
    made = model(graph(nodes, [value("x")], [value("y", [3]), value("all", [3, 2])],
                       [number("zeros", [0, 1, 0], "float32")]))
    return made, (BACK[1], (BACK[::-1] ** 2).T)


def function_model() -> tuple:
    """A function of a function, a reference to an attribute, a graph in the body."""
    slope = helper.make_node("LeakyRelu", ["p"], ["q"])
    slope.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    opset = [helper.make_opsetid("", 17)]
    leaky = helper.make_function("local", "Leaky", ["p"], ["q"], [slope], opset, ["slope"])
    call = helper.make_node("Leaky", ["a"], ["l"], domain="local")
    call.attribute.append(onnx.AttributeProto(name="slope", ref_attr_name="by", type=onnx.AttributeProto.FLOAT))
    inner = body([KEEP, node("Add", "acc l", "b")], [value("acc")], "keep b")
    three = helper.make_node("Constant", [], ["m"], value=number("", 3))
    outer = helper.make_function("local", "Outer", ["a"], ["b2"],
                                 [call, three, node("Loop", "m - a", "b2", body=inner)],
                                 opset + [helper.make_opsetid("local", 1)], ["by"])
    nodes = [helper.make_node("Outer", ["x"], ["u"], domain="local", by=0.25),
             helper.make_node("Outer", ["u"], ["y"], domain="local", by=0.5)]
    made = model(graph(nodes, [value("x")], [value("y")]), functions=[leaky, outer])
    made.opset_import.append(helper.make_opsetid("local", 1))
    return made, (twice_outer(),)


def sequence_loop() -> tuple:
    """A list that a loop fills, as scripted PyTorch has it."""
    inner = graph([node("Identity", "go", "keep"), node("Gather", "x2 round", "row", axis=0), node("Neg", "row", "neg"),
                   node("SequenceInsert", "list neg", "longer")],
                  [value("round", [], I), value("go", [], B), helper.make_tensor_sequence_value_info("list", F, None)],
                  [value("keep", [], B), helper.make_tensor_sequence_value_info("longer", F, None)], name="body")
    nodes = [node("Abs", "x", "x2"), node("SequenceEmpty", "", "empty"), node("Loop", "two - empty", "all", body=inner),
             node("ConcatFromSequence", "all", "y", axis=0, new_axis=1), node("SequenceLength", "all", "n"),
             node("SequenceAt", "all last", "z")]
    made = model(graph(nodes, [value("x")], [value("y"), value("z", [3]), value("n", [], I)],
                       [number("two", 2), number("last", -1)]))
    return made, (-np.abs(X), -np.abs(X)[1], np.array(2))


def sequence_split() -> tuple:
    """Parts of 2 and 1, of one by one; inserted, erased, joined."""
    nodes = [node("SplitToSequence", "x two", "parts", axis=1), node("SequenceAt", "parts zero", "a"),
             node("SequenceAt", "parts one", "b"), node("SplitToSequence", "x", "rows", axis=0, keepdims=0),
             node("SequenceInsert", "rows k zero", "three"), node("SequenceErase", "three one", "rest"),
             node("ConcatFromSequence", "rest", "c", axis=-1), node("SequenceConstruct", "b a", "ba"),
             node("ConcatFromSequence", "ba", "y", axis=1)]
    made = model(graph(nodes, [value("x")], [value("y"), value("c", [6])],
                       [number("two", 2), number("zero", 0), number("one", 1), number("k", [7, 8, 9], "float32")]))
    return made, (X[:, [2, 0, 1]], np.array([7, 8, 9, *X[1]]))


def sequence_beyond() -> object:
    nodes = [node("SequenceConstruct", "x x", "list"), node("SequenceAt", "list two", "y")]
    return model(graph(nodes, [value("x")], [value("y")], [number("two", 2)]))


def sequence_of_data() -> object:
    nodes = [node("ReduceMax", "x", "most", keepdims=0), node("Cast", "most", "m", to=I),
             node("SequenceConstruct", "x x", "list"), node("SequenceAt", "list m", "y")]
    return model(graph(nodes, [value("x")], [value("y")]))


def too_many() -> object:
    inner = body([KEEP, node("Neg", "a", "b")], [value("a")], "keep b")
    return model(graph([node("Loop", "m - x", "y", body=inner)], [value("x")], [value("y")], [number("m", 1 << 40)]))


def forever() -> object:
    inner = body([KEEP, node("Neg", "a", "b")], [value("a")], "keep b")
    return model(graph([node("Loop", "- - x", "y", body=inner)], [value("x")], [value("y")]))


def of_data() -> object:
    inner = body([KEEP, node("Neg", "a", "b")], [value("a")], "keep b")
    nodes = [node("ReduceMax", "x", "most", keepdims=0), node("Cast", "most", "m", to=I),
             node("Loop", "m - x", "y", body=inner)]
    return model(graph(nodes, [value("x")], [value("y")]))


def nested_many() -> object:
    """100 * 100 * 100 rounds."""
    level = body([KEEP, node("Neg", "a", "b")], [value("a")], "keep b")
    for depth in range(2):
        inner = level
        inner.input[0].name, inner.input[1].name = f"round{depth}", f"go{depth}"
        inner.node[0].input[0] = f"go{depth}"
        level = body([KEEP, node("Loop", "m - a", "b", body=inner)], [value("a")], "keep b")
    return model(graph([node("Loop", "m - x", "y", body=level)], [value("x")], [value("y")], [number("m", 100)]))


GOOD = [loop_constant, loop_many, loop_while, loop_none, loop_false, loop_shape, loop_nested, loop_if, if_constant,
        if_shape, scan_plain, scan_axes, function_model, sequence_loop, sequence_split]
UNKNOWN = "(Loop): how often it runs is not known when the file is read"
MANY = "(Loop): unrolled, it is more than 4096 rounds or 65536 nodes"
BAD = [(too_many, MANY), (forever, MANY), (nested_many, MANY), (of_data, UNKNOWN),
       (sequence_beyond, "(SequenceAt): position 2 in a sequence of 2"),
       (sequence_of_data, '(SequenceAt): what it does to the sequence "list" is not known when the file is read')]


@unittest.skipIf(onnx is None, "the onnx package is not installed (tests/requirements.txt)")
class OnnxLoops(unittest.TestCase):
    def run_attn(self, made: object, inputs: dict) -> list[np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder)
            onnx.save(made, at / "m.onnx")
            command = [str(ATTN), "run", str(at / "m.onnx")]
            for name, data in inputs.items():
                np.save(at / f"in-{name}.npy", data)
                command += ["--in", f"{name}={at / f'in-{name}.npy'}"]
            for output in made.graph.output:
                command += ["--out", f"{output.name}={at / f'out-{output.name}.npy'}"]
            result = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)
            return [np.load(at / f"out-{output.name}.npy") for output in made.graph.output]

    def test_known(self) -> None:
        for build in GOOD:
            with self.subTest(build.__name__):
                made, expected = build()
                onnx.checker.check_model(made)
                for ours, theirs in zip(self.run_attn(made, {"x": X}), expected, strict=True):
                    self.assertEqual(ours.shape, theirs.shape)
                    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_no_choice_is_left(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            for build in (if_shape, if_constant, loop_if):
                onnx.save(build()[0], path)
                result = subprocess.run([str(ATTN), "describe", str(path)], capture_output=True, text=True, timeout=60)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotIn("choose", result.stdout)

    def test_if_by_an_input(self) -> None:
        for yes in (True, False):
            expected = 2 - X if yes else 2 + np.hstack([X, X])
            ours = self.run_attn(if_input(), {"x": X, "c": np.array([yes], np.int32)})[0]
            np.testing.assert_allclose(ours, expected, rtol=1e-6)

    def test_nothing_in_a_branch(self) -> None:
        for yes in (True, False):
            y, k = self.run_attn(if_empty(), {"x": X, "c": np.array([yes], np.int32)})
            np.testing.assert_array_equal(y, -X if yes else X)
            np.testing.assert_array_equal(k, np.abs(X) if yes else np.zeros((1, 3), np.float32))

    def test_refused(self) -> None:
        for build, message in BAD:
            with self.subTest(build.__name__), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "m.onnx"
                onnx.save(build(), path)
                result = subprocess.run([str(ATTN), "inspect", str(path)], capture_output=True, text=True, timeout=20)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(message, result.stderr)


if __name__ == "__main__":
    unittest.main()
