"""How does an uploaded ONNX model become canonical? Plain names, a free batch axis, and nothing but the graph."""

from __future__ import annotations

from typing import Any, Final

import onnx

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.forge.onnx.check import inner_graphs
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse
from tensortrigger_backend.forge.signature_names import NUMPY_DTYPES, clean, one_batch_axis

_DTYPES: Final = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.STRING: "string",
    **{
        getattr(onnx.TensorProto, name.upper()): name
        for name in NUMPY_DTYPES
        if name.startswith(("int", "uint"))
    },
}


def onnx_signature(proto: Any) -> tuple[Signature, dict[str, str], int]:
    """What goes in and comes out, the graph's own name of each tensor, and how many rows it takes at a time.

    The number of rows is -1 where the batch axis is free; the signature's is free in either case.

    Raises:
        Refused: a tensor that is no batch of rows.
    """
    fixed = {tensor.name for tensor in proto.graph.initializer}
    own: dict[str, str] = {}
    taken: set[str] = set()
    faults: list[Fault] = []
    rows: set[int] = set()
    sides: dict[str, tuple[TensorSpec, ...]] = {}
    for side, values in (("input", proto.graph.input), ("output", proto.graph.output)):
        specs = []
        for value in values:
            # Old exporters list the weights among the inputs.
            if side == "input" and value.name in fixed:
                continue
            name = clean(value.name, taken)
            own[name] = value.name
            specs.append(_spec(value, name, side, rows, faults))
        sides[side] = tuple(specs)
    if faults:
        raise Refused(*faults)
    if not sides["input"] or not sides["output"]:
        raise refuse(
            "empty_signature", "the ONNX model has no inputs or no outputs", remedy="export the model again"
        )
    return Signature(sides["input"], sides["output"]), own, one_batch_axis(rows)


def _spec(value: Any, name: str, side: str, rows: set[int], faults: list[Fault]) -> TensorSpec:
    kind = value.type.tensor_type
    shape: tuple[int, ...] = ()

    def fault(code: str, message: str, remedy: str) -> None:
        faults.append(Fault((MODEL, "graph", side, name), code, message, remedy=remedy))

    if not value.type.HasField("tensor_type"):
        fault(
            "sparse_tensor",
            f"{side} '{name}' is no dense tensor but a {value.type.WhichOneof('value') or 'nothing'}".replace(
                "_type", ""
            ),
            f"make the {side} a tensor; for scikit-learn convert with options={{'zipmap': False}}",
        )
    elif kind.elem_type not in _DTYPES:
        fault(
            "unknown_dtype",
            f"{side} '{name}' is of a dtype that is not served here",
            f"cast the {side} to float32",
        )
    else:
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else -1 for dim in kind.shape.dim
        )
        if not shape and (side == "input" or kind.HasField("shape")):
            fault(
                "no_batch_axis",
                f"{side} '{name}' is a single number, not a batch of rows",
                f"give the {side} a batch axis",
            )
        elif side == "input":
            rows.add(shape[0])
    return TensorSpec(name, _DTYPES.get(kind.elem_type, "float32"), (-1, *shape[1:]))


def canonical_onnx(proto: Any, signature: Signature, own: dict[str, str]) -> bytes:
    """The graph with the signature's names and shapes, and without marks of its producer."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    renamed = {original: name for name, original in own.items()}
    # A tensor of the graph that already has a name which the signature gives to another.
    for name in list(own):
        if name not in renamed:
            renamed.setdefault(name, f"{name}_inside")
    _rename(model.graph, renamed)
    fixed = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for values, specs in ((model.graph.input, signature.inputs), (model.graph.output, signature.outputs)):
        for value, spec in zip(values, specs, strict=True):
            value.doc_string = ""
            del value.metadata_props[:]
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for axis, length in enumerate(spec.shape):
                if length >= 0:
                    shape.dim.add().dim_value = length
                else:
                    shape.dim.add().dim_param = f"{spec.name}_{axis}" if axis else "rows"
    for field in ("producer_name", "producer_version", "domain", "doc_string", "model_version"):
        model.ClearField(field)
    del model.metadata_props[:]
    del model.training_info[:]
    model.graph.name = "servable"
    packed: bytes = model.SerializeToString(deterministic=True)
    return packed


def _rename(graph: Any, renamed: dict[str, str]) -> None:
    graph.doc_string = ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    del graph.quantization_annotation[:]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = renamed.get(value.name, value.name)
    for tensor in graph.initializer:
        tensor.doc_string = ""
    for sparse in graph.sparse_initializer:
        sparse.values.name = renamed.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
        for inner in inner_graphs(node):
            _rename(inner, renamed)
