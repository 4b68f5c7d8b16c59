"""Writes tests/golden/onnx/bad: small malformed ONNX files, each with one thing wrong, and the line that
refuses each of them: expected.txt. Needs onnx and numpy."""

import shutil

import onnx
from make_onnx import FOLDER, external, floats, graph, model, value
from onnx import AttributeProto, TensorProto, helper

# ---- bytes ---------------------------------------------------------------------------------------


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def part(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed32(field, data=b"\0\0\0\0"):
    return varint(field << 3 | 5) + data


IR = number(1, 8)
OPSET = part(8, number(2, 17))


def in_graph(data, good=True):
    """A file whose graph has these bytes, in front of or instead of good ones."""
    return IR + OPSET + part(7, data + (graph().SerializeToString() if good else b""))


def in_node(data):
    return in_graph(part(1, part(4, b"Op") + data))


def in_attr(data):
    return in_node(part(5, part(1, b"a") + data))


def in_tensor(data, name=b"t"):
    return in_graph(part(5, part(8, name) + data))


def in_input(data, name=b"i"):
    return in_graph(part(11, part(1, name) + data))


def in_type(data):
    return in_input(part(2, data))


def made_of(build, change):
    m = build()
    change(m)
    return m.SerializePartialToString()


def tensor(**parts):
    return model(tensors=[TensorProto(name="w", **parts)]).SerializePartialToString()


def nodes(*list_of, outputs=None, tensors=None, **parts):
    made = [helper.make_node(op, list(i), list(o), **a) for op, i, o, *rest in list_of
            for a in [rest[0] if rest else {}]]
    return model(nodes=made, outputs=outputs, tensors=tensors, **parts).SerializePartialToString()


def located(text, **more):
    return model(tensors=[external(location=text, **more)]).SerializePartialToString()


def branch(*list_of, outputs=("u",), tensors=()):
    made = [helper.make_node(op, list(i), list(o)) for op, i, o in list_of]
    return graph(nodes=made, inputs=[], outputs=[value(o) for o in outputs], tensors=list(tensors))


def one_if(then, otherwise, *after):
    return nodes(
        ("Neg", ["x"], ["z"]),
        ("If", ["x"], ["u"], {"then_branch": then, "else_branch": otherwise}),
        *after,
        ("Neg", ["u"], ["y"]),
    )


def nested(depth):
    data = part(4, b"Op")
    for _ in range(depth):
        data = part(4, b"If") + part(5, part(1, b"a") + number(20, 5) + part(6, part(1, data)))
    return in_graph(part(1, data))


def function(inputs=("a",), outputs=("b",), body=None, attrs=(), name="F", opsets=(("", 17),)):
    body = body or [helper.make_node("Neg", ["a"], ["b"])]
    made = [helper.make_opsetid(d, v) for d, v in opsets]
    return helper.make_function("local", name, list(inputs), list(outputs), body, made, list(attrs))


def with_functions(*list_of):
    return model(functions=list_of).SerializePartialToString()


def referring(name):
    node = helper.make_node("Elu", ["a"], ["b"])
    node.attribute.append(AttributeProto(name="alpha", ref_attr_name=name, type=1))
    return node

# ---- the files -----------------------------------------------------------------------------------

GROUP = "expected 0, 1, 2 or 5"
EMPTY = b""
DATA4 = b"\0" * 8

WIRE = {
    "empty": (b"", "ir_version 0, expected 3 or more"),
    "text": (b"This is a text.\n", f"byte 0: field 10 has the wire type 4, {GROUP}"),
    "json": (b'{"a": 1}', f"byte 0: field 15 has the wire type 3, {GROUP}"),
    "field_0": (IR + b"\x02\x00", "byte 2: a field numbered 0, expected 1 to 536870911"),
    "field_big": (IR + varint(1 << 32) + b"\0",
                  "byte 2: a field numbered 536870912, expected 1 to 536870911"),
    "key_long": (IR + b"\xff" * 10 + b"\x01", "byte 2: a number of more than 64 bits"),
    "key_cut": (IR + b"\xba", "byte 2: the message ends within a number"),
    "varint_65": (b"\x08" + b"\x80" * 9 + b"\x02", "byte 0: field 1: a number of more than 64 bits"),
    "varint_cut": (b"\x08\x88", "byte 0: field 1: the message ends within a number"),
    "fixed32_cut": (IR + b"\xfd\x01\0\0\0", "byte 2: field 31: the message ends within a number"),
    "fixed64_cut": (IR + b"\xf9\x01\0\0\0\0\0\0\0",
                    "byte 2: field 31: the message ends within a number"),
    "length_none": (IR + b"\x12", "byte 2: field 2: the message ends within a number"),
    "length_beyond": (IR + b"\x12\x05attn", "byte 2: field 2 of 5 bytes, but its message has 4 more"),
    "length_huge": (IR + b"\x12" + varint(-1) + b"attn",
                    "byte 2: field 2 of 18446744073709551615 bytes, but its message has 4 more"),
    "length_unknown": (IR + part(99, b"attn")[:-1],
                       "byte 2: field 99 of 4 bytes, but its message has 3 more"),
    "group": (IR + b"\x3b\x3c", f"byte 2: field 7 has the wire type 3, {GROUP}"),
    "wire_6": (IR + b"\x3e", f"byte 2: field 7 has the wire type 6, {GROUP}"),
    "wire_7": (IR + b"\x3f", f"byte 2: field 7 has the wire type 7, {GROUP}"),
    "inner_length": (in_graph(b"\x0a\x7f" + b"\0" * 3, False),
                     "graph: byte 8: field 1 of 127 bytes, but its message has 3 more"),
    "inner_group": (in_node(b"\x0b"), f"graph.node[0]: byte 14: field 1 has the wire type 3, {GROUP}"),
}

MODEL = {
    "ir_bytes": (part(1, b"8"), "byte 0: ir_version has the wire type 2, expected 0"),
    "ir_twice": (IR + IR, "byte 2: ir_version stands there twice"),
    "ir_2": (number(1, 2), "ir_version 2, expected 3 or more"),
    "ir_negative": (number(1, -1), "ir_version -1, expected 3 or more"),
    "graph_number": (IR + OPSET + number(7, 1), "byte 6: graph has the wire type 0, expected 2"),
    "graph_twice": (IR + part(7, b"") * 2, "byte 4: graph stands there twice"),
    "graph_none": (IR + OPSET, "has no graph"),
    "producer": (IR + part(2, b"p\xff") + in_graph(EMPTY)[2:],
                 "byte 1 of the producer_name, 0xff, is no UTF-8 text"),
    "producer_zero": (IR + part(2, b"py\0") + in_graph(EMPTY)[2:],
                      "byte 2 of the producer_name, 0x00, is no UTF-8 text"),
    "property": (in_graph(EMPTY) + part(14, part(1, b"k") + part(2, b"\xc3\x28")),
                 "metadata_props[0]: byte 0 of the value, 0xc3, is no UTF-8 text"),
    "property_empty": (in_graph(EMPTY) + part(14, b""), "byte 98: metadata_props[0] is empty"),
}
for version in (6, 24, 0, -1):
    MODEL[f"opset_{version}"] = (
        model(opset=version).SerializeToString(),
        f"opset_import[0]: version {version} of the standard domain, only 7 to 23 are read")
MODEL |= {
    "opset_two": (IR + OPSET + part(8, part(1, b"ai.onnx") + number(2, 18)) + part(7, b""),
                  'two versions of the domain ""'),
    "opset_none": (IR + part(7, graph().SerializeToString()),
                   "graph.node[0] (Add): is of the standard domain, of which opset_import has no version"),
    "opset_other": (IR + part(8, part(1, b"d") + number(2, 1)) + part(7, graph().SerializeToString()),
                    "graph.node[0] (Add): is of the standard domain, of which opset_import has no version"),
    "opset_domain": (IR + part(8, part(1, b"\x80")) + part(7, b""),
                     "opset_import[0]: byte 0 of the domain, 0x80, is no UTF-8 text"),
    "opset_many": (IR + b"".join(part(8, part(1, b"%d" % i)) for i in range(257)) + part(7, b""),
                   "257 domains, at most 256 are read"),
    "outputs_none": (IR + OPSET + part(7, b""), "graph has no outputs"),
}

NODES = {
    "node_empty": (in_graph(part(1, b"")), "graph: byte 8: node[0] is empty"),
    "node_number": (in_graph(number(1, 1)), "graph: byte 8: node has the wire type 0, expected 2"),
    "op_none": (in_graph(part(1, part(3, b"n"))), "graph.node[0]: has no op_type"),
    "op_empty": (in_graph(part(1, part(4, b""))), "graph.node[0]: has no op_type"),
    "op_text": (in_graph(part(1, part(4, b"Op\xe2\x82"))),
                "graph.node[0]: byte 2 of the op_type, 0xe2, is no UTF-8 text"),
    "name_twice": (in_node(part(3, b"a") * 2), "graph.node[0]: byte 17: name stands there twice"),
    "name_text": (in_node(part(3, b"\xed\xa0\x80")),
                  "graph.node[0] (Op): byte 0 of the name, 0xed, is no UTF-8 text"),
    "input_text": (in_node(part(1, b"x") + part(1, b"\xff")),
                   "graph.node[0] (Op).input[1]: byte 0, 0xff, is no UTF-8 text"),
    "output_text": (in_node(part(2, b"a\0")),
                    "graph.node[0] (Op).output[0]: byte 1, 0x00, is no UTF-8 text"),
    "domain_text": (in_node(part(7, b"\xc0\x80")),
                    "graph.node[0] (Op): byte 0 of the domain, 0xc0, is no UTF-8 text"),
    "line_feed": (in_node(part(1, b"a\nb")),
                  'graph.node[0] (Op).input[0]: reads "a?b", which nothing before it makes'),
    "attr_empty": (in_node(part(5, b"")), "graph.node[0]: byte 14: attribute[0] is empty"),
    "attr_name": (in_node(part(5, number(20, 2))), "graph.node[0] (Op).attribute[0]: has no name"),
    "attr_untyped": (in_attr(number(3, 1)),
                     "graph.node[0] (Op).attribute[0] (a): type 0, expected 1 to 14"),
    "attr_type_15": (in_attr(number(20, 15)),
                     "graph.node[0] (Op).attribute[0] (a): type 15, expected 1 to 14"),
    "attr_type_huge": (in_attr(number(20, -1)), "graph.node[0] (Op).attribute[0] (a): "
                       "type 18446744073709551615, expected 1 to 14"),
    "attr_twice": (in_node(part(5, part(1, b"a") + number(20, 2)) * 2),
                   'graph.node[0] (Op): the attribute "a" stands there twice'),
    "attr_float": (in_attr(number(2, 1)),
                   "graph.node[0] (Op).attribute[0]: byte 19: f has the wire type 0, expected 5"),
    "attr_tensor": (in_attr(number(20, 4)), "graph.node[0] (Op).attribute[0] (a): has no t"),
    "attr_graph": (in_attr(number(20, 5)), "graph.node[0] (Op).attribute[0] (a): has no g"),
    "attr_string": (in_attr(number(20, 3) + part(4, b"abc\x80")),
                    "graph.node[0] (Op).attribute[0] (a): byte 3 of the s, 0x80, is no UTF-8 text"),
    "attr_strings": (in_attr(number(20, 8) + part(9, b"a") + part(9, b"\xf5")),
                     "graph.node[0] (Op).attribute[0] (a).strings[1]: byte 0, 0xf5, is no UTF-8 text"),
    "attr_ints": (in_attr(number(20, 7) + part(8, b"\x01\x80")),
                  "graph.node[0] (Op).attribute[0]: byte 25: ints: the message ends within a number"),
    "attr_ints_long": (in_attr(number(20, 7) + part(8, b"\xff" * 10)),
                       "graph.node[0] (Op).attribute[0]: byte 24: ints: a number of more than 64 bits"),
    "attr_ints_fixed": (in_attr(number(20, 7) + fixed32(8)),
                        "graph.node[0] (Op).attribute[0]: byte 22: ints has the wire type 5, expected 0"),
    "attr_floats": (in_attr(number(20, 6) + part(7, b"\0" * 5)),
                    "graph.node[0] (Op).attribute[0]: byte 24: floats: 5 bytes are no whole numbers of 4"),
    "attr_ref": (in_attr(number(20, 2) + part(21, b"b")),
                 'graph.node[0] (Op).attribute[0] (a): refers to "b", but is in no function'),
    "attr_many": (in_node(b"".join(part(5, part(1, b"%d" % i) + number(20, 2)) for i in range(257))),
                  "graph.node[0] (Op): 257 attributes, at most 256 are read"),
    "attr_inner_tensor": (in_attr(number(20, 4) + part(5, number(2, 1) + number(1, 3))),
                          "graph.node[0] (Op).attribute[0] (a).t: 0 entries in float_data, "
                          "float [3] needs 3"),
    "deep": (nested(21), ".." + ".attribute[0] (a).g.node[0] (If)" * 5 + ".attribute[0] (a).g.node[0]: "
             "nested deeper than 64"),
}

VALUES = {
    "input_empty": (in_graph(part(11, b"")), "graph: byte 8: input[0] is empty"),
    "input_unnamed": (in_graph(part(11, part(3, b"d"))), "graph.input[0]: has no name"),
    "input_name": (in_input(b"", b"\xff"), "graph.input[0]: byte 0 of the name, 0xff, is no UTF-8 text"),
    "type_two": (in_type(part(1, b"") + part(4, b"")),
                 "graph.input[0] (i).type: more than one kind of type"),
    "elem_type": (in_type(part(1, number(1, 24))),
                  "graph.input[0] (i).type.tensor_type: elem_type 24 is unknown"),
    "elem_bytes": (in_type(part(1, part(1, b"\x01"))),
                   "graph.input[0] (i).type.tensor_type: byte 17: elem_type has the wire type 2, expected 0"),
    "rank_9": (in_type(part(1, number(1, 1) + part(2, part(1, number(1, 2)) * 9))),
               "graph.input[0] (i).type.tensor_type.shape: 9 dimensions, at most 8 are read"),
    "dim_both": (in_type(part(1, part(2, part(1, number(1, 2) + part(2, b"n"))))),
                 "graph.input[0] (i).type.tensor_type.shape.dim[0]: both dim_value and dim_param"),
    "dim_param": (in_type(part(1, part(2, part(1, b"") + part(1, part(2, b"\xfe"))))),
                  "graph.input[0] (i).type.tensor_type.shape.dim[1]: byte 0 of the dim_param, 0xfe, "
                  "is no UTF-8 text"),
}

T = "graph.initializer[0] (w): "
BIG = 1 << 40
TENSORS = {
    "tensor_empty": (in_graph(part(5, b"")), "graph: byte 8: initializer[0] is empty"),
    "tensor_unnamed": (in_graph(part(5, number(2, 1) + number(1, 0))),
                       "graph.initializer[0]: has no name"),
    "tensor_name": (in_tensor(b"", b"a\xff"),
                    "graph.initializer[0]: byte 1 of the name, 0xff, is no UTF-8 text"),
    "tensor_untyped": (tensor(dims=[2], raw_data=DATA4), T + "data_type 0 is unknown"),
    "tensor_type_24": (tensor(data_type=24, dims=[2], raw_data=DATA4), T + "data_type 24 is unknown"),
    "tensor_type_99": (tensor(data_type=99, dims=[2], raw_data=DATA4), T + "data_type 99 is unknown"),
    "tensor_type_negative": (tensor(data_type=-1, dims=[2], raw_data=DATA4),
                             T + "data_type 18446744073709551615 is unknown"),
    "tensor_rank_9": (tensor(data_type=1, dims=[1] * 9, float_data=[1]),
                      T + "9 dimensions, at most 8 are read"),
    "tensor_negative": (tensor(data_type=1, dims=[2, -1], raw_data=DATA4),
                        T + "dims[1] is -1, expected a size"),
    "tensor_overflow": (tensor(data_type=1, dims=[BIG, BIG], raw_data=DATA4),
                        T + f"float [{BIG}, {BIG}] is more than can exist"),
    "tensor_bits": (tensor(data_type=1, dims=[1 << 59], raw_data=DATA4),
                    T + f"float [{1 << 59}] is more than can exist"),
    "tensor_huge": (tensor(data_type=1, dims=[1 << 50], raw_data=DATA4),
                    T + f"8 bytes in raw_data, float [{1 << 50}] needs {1 << 52}"),
    "tensor_huge_list": (tensor(data_type=1, dims=[1 << 50], float_data=[1]),
                         T + f"1 entries in float_data, float [{1 << 50}] needs {1 << 50}"),
    "tensor_dims": (in_tensor(part(1, b"\xff")),
                    "graph.initializer[0]: byte 15: dims: the message ends within a number"),
    "raw_short": (tensor(data_type=1, dims=[3], raw_data=DATA4),
                  T + "8 bytes in raw_data, float [3] needs 12"),
    "raw_long": (tensor(data_type=7, dims=[], raw_data=DATA4 * 2),
                 T + "16 bytes in raw_data, int64 [] needs 8"),
    "raw_none": (tensor(data_type=7, dims=[2]), T + "0 entries in int64_data, int64 [2] needs 2"),
    "raw_empty": (tensor(data_type=7, dims=[2], raw_data=b""),
                  T + "0 bytes in raw_data, int64 [2] needs 16"),
    "raw_4_bits": (tensor(data_type=22, dims=[3], raw_data=b"\0"),
                   T + "1 bytes in raw_data, int4 [3] needs 2"),
    "raw_strings": (tensor(data_type=8, dims=[1], raw_data=b"a"), T + "strings in raw_data"),
    "raw_twice": (in_tensor(number(2, 2) + part(9, b"a") * 2),
                  "graph.initializer[0]: byte 18: raw_data stands there twice"),
    "data_both": (tensor(data_type=1, dims=[2], raw_data=DATA4, float_data=[1, 2]),
                  T + "both raw_data and float_data"),
    "data_lists": (tensor(data_type=1, dims=[2], int32_data=[1, 2], float_data=[1, 2]),
                   T + "both float_data and int32_data"),
    "list_type": (tensor(data_type=7, dims=[2], float_data=[1, 2]),
                  T + "float_data with the type int64, expected int64_data"),
    "list_type_half": (tensor(data_type=10, dims=[2], float_data=[1, 2]),
                       T + "float_data with the type float16, expected int32_data"),
    "list_short": (tensor(data_type=1, dims=[2, 2], float_data=[1, 2, 3]),
                   T + "3 entries in float_data, float [2, 2] needs 4"),
    "list_long": (tensor(data_type=6, dims=[], int32_data=[1, 2]),
                  T + "2 entries in int32_data, int32 [] needs 1"),
    "list_complex": (tensor(data_type=14, dims=[2], float_data=[1, 2]),
                     T + "2 entries in float_data, complex64 [2] needs 4"),
    "list_4_bits": (tensor(data_type=21, dims=[3], int32_data=[1, 2, 3]),
                    T + "3 entries in int32_data, uint4 [3] needs 2"),
    "list_bytes": (in_tensor(number(2, 1) + number(1, 1) + part(4, b"\0" * 3)),
                   "graph.initializer[0]: byte 19: float_data: 3 bytes are no whole numbers of 4"),
    "list_wire": (in_tensor(number(2, 1) + number(4, 0)),
                  "graph.initializer[0]: byte 15: float_data has the wire type 0, expected 5"),
    "uint8_300": (tensor(data_type=2, dims=[2], int32_data=[1, 300]),
                  T + "int32_data[1] is 300, expected 0 to 255 of uint8"),
    "uint8_negative": (tensor(data_type=2, dims=[1], int32_data=[-1]),
                       T + "int32_data[0] is -1, expected 0 to 255 of uint8"),
    "int8_128": (tensor(data_type=3, dims=[1], int32_data=[128]),
                 T + "int32_data[0] is 128, expected -128 to 127 of int8"),
    "int16": (tensor(data_type=5, dims=[1], int32_data=[-32769]),
              T + "int32_data[0] is -32769, expected -32768 to 32767 of int16"),
    "bool_2": (tensor(data_type=9, dims=[1], int32_data=[2]),
               T + "int32_data[0] is 2, expected 0 to 1 of bool"),
    "float16_65536": (tensor(data_type=10, dims=[1], int32_data=[65536]),
                      T + "int32_data[0] is 65536, expected 0 to 65535 of float16"),
    "int32_big": (in_tensor(number(2, 6) + number(1, 1) + number(5, 1 << 31)),
                  "graph.initializer[0] (t): int32_data[0] is 2147483648, expected -2147483648 to "
                  "2147483647 of int32"),
    "uint32_big": (tensor(data_type=12, dims=[1], uint64_data=[1 << 32]),
                   T + "uint64_data[0] is 4294967296, expected 0 to 4294967295 of uint32"),
    "strings_short": (tensor(data_type=8, dims=[2], string_data=[b"a"]),
                      T + "1 entries in string_data, string [2] needs 2"),
    "strings_text": (tensor(data_type=8, dims=[2], string_data=[b"a", b"\xff"]),
                     "graph.initializer[0] (w).string_data[1]: byte 0, 0xff, is no UTF-8 text"),
    "segment": (tensor(data_type=1, dims=[2], raw_data=DATA4, segment=TensorProto.Segment(begin=0)),
                T + "tensors in segments are not read"),
    "sparse": (in_graph(part(15, b"")), "graph: sparse initializers are not read"),
    "location_2": (in_tensor(number(2, 2) + number(14, 2)),
                   "graph.initializer[0] (t): data_location 2, expected 0 or 1"),
}

OUTSIDE = "expected a file of the model's folder"
EXTERNAL = {
    "external_none": (model(tensors=[external()]).SerializeToString(),
                      T + "external_data names no location"),
    "external_missing": (located("none.bin"), T + "external data: tests/golden/onnx/bad/none.bin: No such file or directory"),
    "external_offset": (located("eight.bin", offset="-1"),
                        T + 'external_data: offset "-1", expected a number'),
    "external_offset_text": (located("eight.bin", offset="4k"),
                             T + 'external_data: offset "4k", expected a number'),
    "external_offset_empty": (located("eight.bin", offset=""),
                              T + 'external_data: offset "", expected a number'),
    "external_offset_huge": (located("eight.bin", offset="99999999999999999999"),
                             T + 'external_data: offset "99999999999999999999", expected a number'),
    "external_length": (located("eight.bin", length="9"),
                        T + "9 bytes of external data, float [2, 1] needs 8"),
    "external_text": (located("eight.bin", length="0x8"),
                      T + 'external_data: length "0x8", expected a number'),
    "external_entry": (in_tensor(part(13, b"")),
                       "graph.initializer[0]: byte 13: external_data[0] is empty"),
    "external_key": (in_tensor(number(2, 1) + number(14, 1) + part(13, part(1, b"\xff"))),
                     "graph.initializer[0] (t).external_data[0]: byte 0 of the key, 0xff, is no UTF-8 text"),
    "external_folder": (located("./"), T + f'external data in "./", {OUTSIDE}'),
}
for name, text in {"up": "../eight.bin", "root": "/etc/passwd", "inner": "a/weights.bin",
                   "dot": ".", "dots": "..", "dots_2": "./..", "nothing": "", "twice": ".//etc/passwd",
                   "back": "..\\eight.bin"}.items():
    EXTERNAL[f"external_{name}"] = (located(text), T + f'external data in "{text}", {OUTSIDE}')


def raw_too(m):
    m.graph.initializer[0].raw_data = DATA4


def of_strings(m):
    m.graph.initializer[0].data_type = TensorProto.STRING


def outside(where):
    return model(tensors=[external(location="eight.bin", offset=where)])


EXTERNAL |= {
    "external_both": (made_of(lambda: outside("0"), raw_too), T + "both external data and raw_data"),
    "external_strings": (made_of(lambda: outside("0"), of_strings), T + "strings in external data"),
    "external_beyond": (located("eight.bin", offset="1"),
                        T + "8 bytes of external data at byte 1 go beyond the end of "
                        '"eight.bin", at 8'),
}

NEG = ("Neg", ["x"], ["y"])
ELSE = branch(("Neg", ["z"], ["u"]))
B = "graph.node[1] (If).attribute[1] (then_branch).g"
ORDER = {
    "reads_nothing": (nodes(("Neg", ["a"], ["y"])),
                      'graph.node[0] (Neg).input[0]: reads "a", which nothing before it makes'),
    "reads_later": (nodes(("Neg", ["a"], ["y"]), ("Neg", ["x"], ["a"])),
                    'graph.node[0] (Neg).input[0]: reads "a", which nothing before it makes'),
    "reads_itself": (nodes(("Add", ["x", "y"], ["y"])),
                     'graph.node[0] (Add).input[1]: reads "y", which nothing before it makes'),
    "makes_input": (nodes(NEG, ("Neg", ["y"], ["x"])),
                    'graph.node[1] (Neg).output[0]: makes "x", which is made before'),
    "makes_twice": (nodes(NEG, NEG), 'graph.node[1] (Neg).output[0]: makes "y", which is made before'),
    "makes_both": (nodes(NEG, ("Split", ["x"], ["a", "", "a"])),
                   'graph.node[1] (Split).output[2]: makes "a", which is made before'),
    "makes_tensor": (nodes(NEG, ("Neg", ["x"], ["w"])),
                     'graph.node[1] (Neg).output[0]: makes "w", which is made before'),
    "tensor_twice": (nodes(NEG, tensors=[floats("w", 2), floats("v", 2), floats("w", 2)]),
                     'graph.initializer[2]: makes "w", which is made before'),
    "input_twice": (nodes(NEG, inputs=[value("x"), value("x")]),
                    'graph.input[1]: the name "x" stands there twice'),
    "input_tensor_twice": (nodes(NEG, inputs=[value("x"), value("w"), value("w")]),
                           'graph.input[2]: the name "w" stands there twice'),
    "output_nothing": (nodes(NEG, outputs=[value("y"), value("z")]),
                       'graph.output[1]: reads "z", which nothing before it makes'),
    "output_twice": (nodes(NEG, outputs=[value("y"), value("x"), value("y")]),
                     'graph.output[2]: the name "y" stands there twice'),
    "output_unnamed": (in_graph(part(12, part(3, b"a"))), "graph.output[0]: has no name"),
    "branch_reads": (one_if(branch(("Neg", ["a"], ["u"])), ELSE),
                     B + '.node[0] (Neg).input[0]: reads "a", which nothing before it makes'),
    "branch_later": (one_if(branch(("Neg", ["v"], ["u"])), ELSE, ("Neg", ["x"], ["v"])),
                     B + '.node[0] (Neg).input[0]: reads "v", which nothing before it makes'),
    "branch_other": (one_if(branch(("Neg", ["z"], ["u"])),
                            branch(("Neg", ["z"], ["a"]), ("Neg", ["a"], ["u"])), ("Neg", ["a"], ["b"])),
                     'graph.node[2] (Neg).input[0]: reads "a", which nothing before it makes'),
    "branch_twice": (one_if(branch(("Neg", ["z"], ["u"]), ("Neg", ["z"], ["u"])), ELSE),
                     B + '.node[1] (Neg).output[0]: makes "u", which is made before'),
    "branch_tensor": (one_if(branch(("Neg", ["z"], ["k"]), tensors=[floats("k", 2)]), ELSE),
                      B + '.node[0] (Neg).output[0]: makes "k", which is made before'),
    "branch_output": (one_if(branch(("Neg", ["z"], ["a"])), ELSE),
                      B + '.output[0]: reads "u", which nothing before it makes'),
    "function_twice": (with_functions(function(), function(name="G"), function()),
                       'two functions have the name "F" of the domain "local"'),
    "function_reads": (with_functions(function(body=[helper.make_node("Add", ["a", "x"], ["b"])])),
                       'functions[0] (F).node[0] (Add).input[1]: reads "x", which nothing before it makes'),
    "function_input": (with_functions(function(inputs=("a", "a"))),
                       'functions[0] (F).input[1]: makes "a", which is made before'),
    "function_output": (with_functions(function(outputs=("c",))),
                        'functions[0] (F).output[0]: reads "c", which nothing before it makes'),
    "function_refers": (with_functions(function(body=[referring("beta")], attrs=["alpha"])),
                        'functions[0] (F).node[0] (Elu).attribute[0] (alpha): refers to "beta", which its '
                        "function does not have"),
    "function_unnamed": (with_functions(function(name="")), "functions[0]: has no name"),
    "function_opset": (with_functions(function(opsets=(("", 6),))),
                       "functions[0] (F).opset_import[0]: version 6 of the standard domain, only 7 to 23 "
                       "are read"),
    "function_empty": (in_graph(b"") + part(25, b""), "byte 98: functions[0] is empty"),
}


def main():
    folder = FOLDER / "bad"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "eight.bin").write_bytes(b"\0" * 8)
    lines = []
    for group in (WIRE, MODEL, NODES, VALUES, TENSORS, EXTERNAL, ORDER):
        for name, (data, line) in group.items():
            (folder / f"{name}.onnx").write_bytes(data)
            lines.append(f"{name}: {line}\n")
    (folder / "expected.txt").write_text("".join(lines))
    print(len(lines), "files")


if __name__ == "__main__":
    main()
