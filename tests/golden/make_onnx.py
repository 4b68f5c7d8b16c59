"""Writes tests/golden/onnx/good: small ONNX files with everything that they can hold, and beside each, as
NAME.txt, all that the onnx package reads in it. Needs onnx and numpy."""

import pathlib
import shutil

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent / "onnx"

# ---- the parts of good files ---------------------------------------------------------------------


def value(name, dims=(2, "n"), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def floats(name, *dims):
    data = np.arange(int(np.prod(dims)), dtype=np.float32).reshape(dims) / 4 - 1
    return numpy_helper.from_array(data, name)


def graph(nodes=None, inputs=None, outputs=None, tensors=None, name="g", infos=()):
    if nodes is None:
        nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="/add")]
    return helper.make_graph(
        nodes,
        name,
        [value("x")] if inputs is None else inputs,
        [value("y")] if outputs is None else outputs,
        [floats("w", 2, 1)] if tensors is None else tensors,
        value_info=list(infos),
    )


def model(of=None, opset=17, ir=8, functions=(), **parts):
    return helper.make_model(
        of if of is not None else graph(**parts),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir,
        functions=list(functions),
    )


# ---- a file as text ------------------------------------------------------------------------------

TYPES = {number: name.lower() for name, number in TensorProto.DataType.items()}


def quote(text):
    if isinstance(text, bytes):
        text = text.decode()
    return '"' + text + '"'


def domain(text):
    return quote("" if text == "ai.onnx" else text)


def data_of(t):
    if t.data_location == TensorProto.EXTERNAL:
        where = {e.key: e.value for e in t.external_data}
        data = (FOLDER / "good" / where["location"]).read_bytes()[int(where.get("offset", 0)) :]
        return data[: int(where.get("length", 4 * np.prod(t.dims)))]
    if t.HasField("raw_data"):
        return t.raw_data
    kinds = {"float": "<f4", "complex64": "<f4", "double": "<f8", "complex128": "<f8",
             "int64": "<i8", "uint64": "<u8", "uint32": "<u4", "int32": "<i4"}
    name = TYPES[t.data_type]
    if "16" in name:
        kinds[name] = "<u2"
    numbers = [*t.float_data, *t.double_data, *t.int64_data, *t.uint64_data, *t.int32_data]
    if name in kinds and name not in ("int16",):
        return np.array(numbers, kinds[name]).tobytes()
    bits = 16 if name == "int16" else 8
    return b"".join((n & (1 << bits) - 1).to_bytes(bits // 8, "little") for n in numbers)


def dims_text(dims):
    return "[" + ", ".join(str(d) for d in dims) + "]"


def tensor_text(t):
    text = f"tensor {quote(t.name)} {TYPES[t.data_type]} {dims_text(t.dims)}"
    if t.data_type == TensorProto.STRING:
        return text + "".join(" " + quote(s) for s in t.string_data)
    return text + " " + data_of(t).hex()


def value_text(what, v):
    text = f"{what} {quote(v.name)}"
    if v.type.WhichOneof("value") != "tensor_type":
        return text + " other"
    tensor = v.type.tensor_type
    text += " " + TYPES[tensor.elem_type]
    if not tensor.HasField("shape"):
        return text
    known = lambda d: d.WhichOneof("value") == "dim_value" and d.dim_value >= 0
    dims = [d.dim_value if known(d) else quote(d.dim_param) for d in tensor.shape.dim]
    return text + " " + dims_text(dims)


def attr_lines(what, a):
    text = f"{what} {quote(a.name)} "
    if a.ref_attr_name:
        return [text + "ref " + quote(a.ref_attr_name)]
    kind = AttributeProto.AttributeType.Name(a.type)
    number = lambda f: f"{f:.9g}"
    if kind == "FLOAT":
        return [text + "float " + number(a.f)]
    if kind == "INT":
        return [text + f"int {a.i}"]
    if kind == "STRING":
        return [text + "string " + quote(a.s)]
    if kind == "TENSOR":
        return [text + tensor_text(a.t)]
    if kind == "GRAPH":
        return [text + "graph"] + graph_lines(a.g)
    if kind == "FLOATS":
        return [text + "floats" + "".join(" " + number(f) for f in a.floats)]
    if kind == "INTS":
        return [text + "ints" + "".join(f" {i}" for i in a.ints)]
    if kind == "STRINGS":
        return [text + "strings" + "".join(" " + quote(s) for s in a.strings)]
    return [text + "other"]


def node_lines(n):
    lines = [f"node {n.op_type} {domain(n.domain)} {quote(n.name)} {quote(n.overload)}"]
    lines += ["in " + quote(name) for name in n.input]
    lines += ["out " + quote(name) for name in n.output]
    return lines + [line for a in n.attribute for line in attr_lines("attr", a)]


def graph_lines(g):
    initial = {t.name for t in g.initializer}
    lines = [f"graph {quote(g.name)}"]
    lines += [tensor_text(t) for t in g.initializer]
    lines += [value_text("input", v) for v in g.input if v.name not in initial]
    lines += [value_text("output", v) for v in g.output]
    lines += [value_text("info", v) for v in g.value_info]
    return lines + [line for n in g.node for line in node_lines(n)] + ["end"]


def model_lines(m):
    lines = [f"model {m.ir_version} {quote(m.producer_name)}"]
    lines += [f"opset {domain(o.domain)} {o.version}" for o in m.opset_import]
    lines += [f"property {quote(p.key)} {quote(p.value)}" for p in m.metadata_props]
    for f in m.functions:
        lines.append(f"function {quote(f.name)} {domain(f.domain)} {quote(f.overload)}")
        lines += ["in " + quote(name) for name in f.input]
        lines += ["out " + quote(name) for name in f.output]
        lines += ["name " + quote(name) for name in f.attribute]
        lines += [line for a in f.attribute_proto for line in attr_lines("default", a)]
        lines += [f"opset {domain(o.domain)} {o.version}" for o in f.opset_import]
        lines += [line for n in f.node for line in node_lines(n)] + ["end"]
    return lines + graph_lines(m.graph)


# ---- good files ----------------------------------------------------------------------------------


def every_tensor():
    """Each type in each form that the format has for it."""
    made = []
    integers = "uint8 int8 uint16 int16 int32 int64 uint32 uint64 bool".split()
    for kind in integers:
        number = getattr(TensorProto, kind.upper())
        values = [0, 1, 1, 0] if kind == "bool" else [0, 1, 127, 100]
        if kind.startswith("int"):
            values[3] = -128
        if kind in ("int64", "uint64"):
            values[2] = 1 << 62
        made.append(helper.make_tensor(f"{kind} list", number, [2, 2], values))
        dtype = np.dtype(kind if kind != "bool" else np.bool_)
        made.append(numpy_helper.from_array(np.array(values, dtype), f"{kind} raw"))
    for kind in ("float", "double", "float16", "bfloat16"):
        number = getattr(TensorProto, kind.upper())
        made.append(helper.make_tensor(f"{kind} list", number, [3], [1, -0.5, 1e4]))
    for kind in ("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"):
        number = getattr(TensorProto, kind.upper())
        made.append(TensorProto(name=kind, data_type=number, dims=[3], int32_data=[0, 128, 255]))
    for kind in ("uint4", "int4", "float4e2m1"):
        number = getattr(TensorProto, kind.upper())
        made.append(TensorProto(name=kind, data_type=number, dims=[3], int32_data=[0x21, 0x0F]))
        made.append(TensorProto(name=kind + " raw", data_type=number, dims=[3], raw_data=b"\x21\x0f"))
    complexes = [1, 2, 3, 4]
    made.append(TensorProto(name="c64", data_type=14, dims=[2], float_data=complexes))
    made.append(TensorProto(name="c128", data_type=15, dims=[2], double_data=complexes))
    made.append(helper.make_tensor("strings", TensorProto.STRING, [2], ["", "Grüße"]))
    made.append(floats("scalar"))
    made.append(floats("none", 0, 3))
    made.append(TensorProto(name="none at all", data_type=1, dims=[0]))
    made.append(floats("rank 8", 1, 2, 1, 1, 1, 1, 2, 1))
    return model(tensors=[*made, floats("w", 2, 1)])


def every_attribute():
    body = graph(
        nodes=[helper.make_node("Neg", ["x"], ["inner"])],
        inputs=[], outputs=[value("inner")], tensors=[], name="body",
    )
    node = helper.make_node(
        "Many", ["x", "", "w"], ["y", ""], name="/many", domain="com.example",
        f=0.1, i=-3, s="text", t=floats("", 2), g=body, floats=[1.5, -2.0, 1e30],
        ints=[1, -1, (1 << 63) - 1, -(1 << 63)], strings=["a", "", "Grüße"],
        graphs=[body],
    )
    node.attribute.append(helper.make_attribute("no ints", [], attr_type=AttributeProto.INTS))
    node.attribute.append(AttributeProto(name="zero", type=AttributeProto.INT))
    node.attribute.append(AttributeProto(name="empty", type=AttributeProto.STRING))
    m = model(nodes=[node])
    m.opset_import.append(helper.make_opsetid("com.example", 1))
    return m


def every_value():
    infos = [
        value("x2", [1, 2, 3], TensorProto.INT64),
        helper.make_tensor_value_info("scalar", TensorProto.BOOL, []),
        helper.make_tensor_value_info("unshaped", TensorProto.FLOAT16, None),
        helper.make_tensor_sequence_value_info("sequence", TensorProto.FLOAT, None),
        onnx.ValueInfoProto(name="untyped"),
        value("negative", [-1, "a", None]),
    ]
    m = model(infos=infos)
    m.metadata_props.append(onnx.StringStringEntryProto(key="names", value="{0: 'Grüße'}"))
    m.metadata_props.append(onnx.StringStringEntryProto(key="", value=""))
    m.producer_name = "attn"
    return m


def old_inputs():
    """Until version 4 of the format, initializers are inputs too."""
    return model(inputs=[value("x"), value("w", [2, 1]), value("z")], ir=3)


def branches():
    """Graphs in attributes: what they see, hide and make."""
    then = graph(
        nodes=[helper.make_node("Add", ["z", "w"], ["t"]), helper.make_node("Neg", ["t"], ["u"])],
        inputs=[], outputs=[value("u")], tensors=[floats("w", 1)], name="then",
    )
    inner = graph(
        nodes=[helper.make_node("Add", ["s", "x"], ["deep"])],
        inputs=[], outputs=[value("deep")], tensors=[], name="inner",
    )
    otherwise = graph(
        nodes=[
            helper.make_node("Neg", ["z"], ["s"]),
            helper.make_node("If", ["c"], ["u"], then_branch=inner, else_branch=inner),
        ],
        inputs=[], outputs=[value("u")], tensors=[], name="else",
    )
    nodes = [
        helper.make_node("Add", ["x", "w"], ["z"]),
        helper.make_node("If", ["c"], ["u"], then_branch=then, else_branch=otherwise),
        helper.make_node("Add", ["u", "w"], ["y"]),
    ]
    return model(nodes=nodes, inputs=[value("x"), value("c", [], TensorProto.BOOL)])


def functions():
    call = helper.make_node("Scale", ["a"], ["b"], domain="local")
    call.attribute.append(AttributeProto(name="by", ref_attr_name="by", type=AttributeProto.FLOAT))
    twice = helper.make_function(
        "local", "Twice", ["a"], ["b"], [call], [helper.make_opsetid("local", 1)], ["by"],
    )
    constant = helper.make_node("Constant", [], ["k"])
    constant.attribute.append(
        AttributeProto(name="value_float", ref_attr_name="by", type=AttributeProto.FLOAT)
    )
    scale = helper.make_function(
        "local", "Scale", ["a"], ["b"], [constant, helper.make_node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 17)], [], [helper.make_attribute("by", 2.0)],
    )
    overload = onnx.FunctionProto()
    overload.CopyFrom(scale)
    overload.overload = "other"
    node = helper.make_node("Twice", ["x"], ["y"], domain="local", by=3.0)
    m = model(nodes=[node], functions=[twice, scale, overload], ir=10)
    m.opset_import.append(helper.make_opsetid("local", 1))
    return m


def external(**where):
    t = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 1])
    t.data_location = TensorProto.EXTERNAL
    for key, text in where.items():
        t.external_data.append(onnx.StringStringEntryProto(key=key, value=text))
    return t


def with_external():
    second = external(location="./weights.bin", offset="8", length="8", checksum="none")
    second.name = "v"
    return model(tensors=[external(location="weights.bin"), second])


def standard_names():
    m = model(opset=23)
    m.opset_import[0].domain = "ai.onnx"
    m.graph.node[0].domain = "ai.onnx"
    return m


GOOD = {
    "tensors": every_tensor,
    "attributes": every_attribute,
    "values": every_value,
    "inputs": old_inputs,
    "branches": branches,
    "functions": functions,
    "external": with_external,
    "domain": standard_names,
}


def main():
    folder = FOLDER / "good"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(np.arange(4, dtype="<f4").tobytes())
    for name, build in GOOD.items():
        data = build().SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
        text = "\n".join(model_lines(onnx.ModelProto.FromString(data)))
        (folder / f"{name}.txt").write_text(text + "\n")


if __name__ == "__main__":
    main()
