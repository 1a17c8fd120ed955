"""What is written in a SavedModel's graph file? Its messages, read by protobuf alone, without TensorFlow.

Only the fields that the forge judges are declared. What else a message holds stays in it as unknown fields and is
written back as it was. The messages live in a pool of their own, so that TensorFlow can be imported beside them.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "tensortrigger.saved_model"

# message: fields as "number type name"; "*" repeats, "<" is a map from text, "|" is one of several.
_SCHEMA: Final = {
    "SavedModel": "1 int64 schema_version, 2* MetaGraphDef meta_graphs",
    "MetaGraphDef": "1 MetaInfoDef meta_info_def, 2 GraphDef graph_def, 3 SaverDef saver_def, "
    "4< CollectionDef collection_def, 5< SignatureDef signature_def, 6* AssetFileDef asset_file_def",
    "MetaInfoDef": "2 bytes stripped_op_list, 4* string tags, 5 string tensorflow_version",
    "GraphDef": "1* NodeDef node, 2 FunctionDefLibrary library",
    "NodeDef": "1 string name, 2 string op, 3* string input, 4 string device, 5< AttrValue attr",
    "AttrValue": "1| ListValue list, 2| bytes s, 3| int64 i, 4| float f, 5| bool b, 6| int32 type, "
    "7| TensorShape shape, 8| Tensor tensor, 9| string placeholder, 10| NameAttrList func",
    "ListValue": "2* bytes s, 8* Tensor tensor, 9* NameAttrList func",
    "NameAttrList": "1 string name, 2< AttrValue attr",
    "FunctionDefLibrary": "1* FunctionDef function, 2* bytes gradient",
    "FunctionDef": "1 OpDef signature, 3* NodeDef node_def, 4< string ret, 5< AttrValue attr",
    "OpDef": "1 string name, 2* ArgDef input_arg, 3* ArgDef output_arg",
    "ArgDef": "1 string name",
    "TensorShape": "2* Dim dim, 3 bool unknown_rank",
    "Dim": "1 int64 size",
    "Tensor": "1 int32 dtype, 2 TensorShape tensor_shape, 4 bytes tensor_content, 8* bytes string_val",
    "SignatureDef": "1< TensorInfo inputs, 2< TensorInfo outputs, 3 string method_name",
    "TensorInfo": "1 string name, 2 int32 dtype, 3 TensorShape tensor_shape, 4 bytes coo_sparse, "
    "5 bytes composite_tensor",
    "CollectionDef": "1 NodeList node_list, 5 AnyList any_list",
    "NodeList": "1* string value",
    "AnyList": "1* Any value",
    "Any": "1 string type_url, 2 bytes value",
    "AssetFileDef": "1 TensorInfo tensor_info, 2 string filename",
    "SaverDef": "1 string filename_tensor_name, 2 string save_tensor_name, 3 string restore_op_name",
}
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "int64": _Field.TYPE_INT64,
    "int32": _Field.TYPE_INT32,
    "bool": _Field.TYPE_BOOL,
    "float": _Field.TYPE_FLOAT,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}


def _add_field(message: Any, number: str, kind: str, name: str) -> None:
    repeated = number[-1] in "*<"
    field = message.field.add(
        name=name,
        number=int(number.rstrip("*<|")),
        label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
    )
    if number.endswith("|"):
        # Only then is a zero written back: it is a choice, not an absence.
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0
    if number.endswith("<"):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "1", "string", "key")
        _add_field(entry, "2", kind, "value")
        kind = f"{message.name}.{entry.name}"
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


def _make_messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="tensortrigger/saved_model.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _SCHEMA
    }


_MESSAGES: Final = _make_messages()
SavedModel: Final = _MESSAGES["SavedModel"]
GraphDef: Final = _MESSAGES["GraphDef"]
NodeDef: Final = _MESSAGES["NodeDef"]
AssetFileDef: Final = _MESSAGES["AssetFileDef"]

DTYPES: Final = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}
"""TensorFlow's numbers of the dtypes, and their names."""

ITEM_BYTES: Final = {
    1: 4,
    2: 8,
    3: 4,
    4: 1,
    5: 2,
    6: 1,
    8: 8,
    9: 8,
    10: 1,
    14: 2,
    17: 2,
    18: 16,
    19: 2,
    22: 4,
    23: 8,
}
"""Bytes of one element, where an element has a size of its own."""
