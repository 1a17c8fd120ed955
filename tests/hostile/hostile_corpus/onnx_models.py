"""What can an ONNX model do? Read beside itself, ask for kernels of others, hide ops in functions, loop and grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hostile_corpus.artifact import Artifact, Effect, Traps

_OUTSIDE = ("external_data",)
_SIZE = ("too_large", "forge_limit", "cannot_load")


def artifacts() -> list[Artifact]:
    """Small graphs around one bad node or tensor each."""
    return [
        _reads("external-data", lambda t: _external("../" * 16 + str(t.text).lstrip("/"))(t)),
        _reads("external-data-by-absolute-path", lambda t: _external(str(t.text))(t)),
        _reads("external-data-in-a-constant", _external_constant),
        _reads("external-data-in-a-subgraph", _external_branch),
        _odd(
            "custom-domain",
            lambda: _one("Evil", "com.attacker"),
            "custom_domain",
            "no kernel of that name is registered here",
        ),
        _odd(
            "context-of-another-accelerator",
            lambda: _one(
                "EPContext",
                "com.microsoft",
                main_context=1,
                embed_mode=0,
                ep_cache_context="../host/secret.txt",
            ),
            "custom_domain",
            "no accelerator is here that would read the file",
        ),
        _odd(
            "custom-op-in-a-function",
            _in_function,
            "custom_domain",
            "no kernel of that name is registered here",
        ),
        _odd(
            "custom-op-in-a-branch", _in_branch, "custom_domain", "no kernel of that name is registered here"
        ),
        _odd("training-information", _training, "training_info", "only a trainer runs it"),
        _odd("numbers-that-are-missing", _missing, "weights_mismatch", "the tensor holds less than it says"),
        _odd("function-that-calls-itself", _recursive, "too_deep", "whoever inlines it never ends"),
        _grows("initializer-of-a-terabyte", lambda: _sized([1 << 38]), 4 << 38),
        _odd("negative-dimension", lambda: _sized([-1]), "corrupt_onnx", "no tensor has such a shape"),
        _grows("constant-of-a-terabyte", _constant_of_shape, 4 << 38),
        _grows("endless-loop", _loop, (1 << 63) - 1),
        _odd("subgraphs-twenty-deep", _deep, "too_deep", "whoever walks them needs a stack as deep"),
    ]


def _reads(name: str, build: Callable[[Traps], bytes]) -> Artifact:
    return Artifact(f"onnx/{name}", Effect.READS, build, _OUTSIDE, loader="onnx_file")


def _odd(name: str, build: Callable[[], bytes], code: str, why: str) -> Artifact:
    return Artifact(f"onnx/{name}", Effect.STRUCTURE, lambda _: build(), (code,), why=why)


def _grows(name: str, build: Callable[[], bytes], into: int) -> Artifact:
    return Artifact(
        f"onnx/{name}", Effect.EXPANDS, lambda _: build(), _SIZE, bomb=lambda data: (len(data), into)
    )


def _model(nodes: list[Any], initializers: list[Any] = (), functions: list[Any] = (), **more: Any) -> Any:  # type: ignore[assignment]
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "g", [x], [y], list(initializers))
    domains = {"": 17, "com.attacker": 1, "com.microsoft": 1, "inner": 1}
    opsets = [helper.make_opsetid(domain, number) for domain, number in domains.items()]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=8, functions=list(functions), producer_name="h"
    )


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **attributes)


def _one(kind: str, domain: str, **attributes: Any) -> bytes:
    return bytes(_model([_node(kind, ["x"], ["y"], domain=domain, **attributes)]).SerializeToString())


def _outside(location: str, size: int) -> Any:
    from onnx import StringStringEntryProto, TensorProto

    tensor = TensorProto(name="w", dims=[size], data_type=TensorProto.UINT8)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(StringStringEntryProto(key="location", value=location))
    return tensor


def _uses(weight: list[Any]) -> list[Any]:
    return [
        *weight,
        _node("Cast", ["w"], ["f"], to=1),
        _node("ReduceSum", ["f"], ["s"]),
        _node("Add", ["x", "s"], ["y"]),
    ]


def _external(location: str) -> Callable[[Traps], bytes]:
    return lambda t: bytes(_model(_uses([]), [_outside(location, len(t.secret))]).SerializeToString())


def _external_constant(traps: Traps) -> bytes:
    held = _node("Constant", [], ["w"], value=_outside(str(traps.text), len(traps.secret)))
    return bytes(_model(_uses([held])).SerializeToString())


def _branches(inner: list[Any], initializers: list[Any]) -> list[Any]:
    from onnx import TensorProto, helper

    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graph = helper.make_graph(inner, "branch", [], [out], initializers)
    yes = _node("Constant", [], ["yes"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True]))
    return [yes, _node("If", ["yes"], ["y"], then_branch=graph, else_branch=graph)]


def _external_branch(traps: Traps) -> bytes:
    inner = [
        _node("Cast", ["w"], ["f"], to=1),
        _node("ReduceSum", ["f"], ["s"]),
        _node("Add", ["x", "s"], ["z"]),
    ]
    nodes = _branches(inner, [_outside(str(traps.text), len(traps.secret))])
    return bytes(_model(nodes).SerializeToString())


def _in_branch() -> bytes:
    nodes = _branches([_node("Evil", ["x"], ["z"], domain="com.attacker")], [])
    return bytes(_model(nodes).SerializeToString())


def _function(body: Any) -> Any:
    from onnx import helper

    opsets = [
        helper.make_opsetid("", 17),
        helper.make_opsetid("com.attacker", 1),
        helper.make_opsetid("inner", 1),
    ]
    return helper.make_function("inner", "Twice", ["a"], ["b"], [body], opsets)


def _in_function() -> bytes:
    hidden = _function(_node("Evil", ["a"], ["b"], domain="com.attacker"))
    call = _node("Twice", ["x"], ["y"], domain="inner")
    return bytes(_model([call], functions=[hidden]).SerializeToString())


def _recursive() -> bytes:
    itself = _function(_node("Twice", ["a"], ["b"], domain="inner"))
    call = _node("Twice", ["x"], ["y"], domain="inner")
    return bytes(_model([call], functions=[itself]).SerializeToString())


def _training() -> bytes:
    model = _model([_node("Identity", ["x"], ["y"])])
    model.training_info.add().algorithm.node.append(_node("Evil", ["x"], ["y"], domain="com.attacker"))
    return bytes(model.SerializeToString())


def _sized(dims: list[int]) -> bytes:
    from onnx import TensorProto

    tensor = TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT)
    nodes = [_node("ReduceSum", ["w"], ["s"]), _node("Add", ["x", "s"], ["y"])]
    return bytes(_model(nodes, [tensor]).SerializeToString())


def _missing() -> bytes:
    from onnx import TensorProto

    tensor = TensorProto(name="w", dims=[1000], data_type=TensorProto.FLOAT, raw_data=bytes(8))
    nodes = [_node("ReduceSum", ["w"], ["s"]), _node("Add", ["x", "s"], ["y"])]
    return bytes(_model(nodes, [tensor]).SerializeToString())


def _constant_of_shape() -> bytes:
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [1 << 38])
    nodes = [
        _node("ConstantOfShape", ["shape"], ["w"]),
        _node("ReduceSum", ["w"], ["s"]),
        _node("Add", ["x", "s"], ["y"]),
    ]
    return bytes(_model(nodes, [shape]).SerializeToString())


def _loop() -> bytes:
    from onnx import TensorProto, helper

    step = helper.make_tensor_value_info("step", TensorProto.INT64, [])
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    before = helper.make_tensor_value_info("before", TensorProto.FLOAT, ["n", 3])
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, ["n", 3])
    nodes = [_node("Identity", ["go"], ["on"]), _node("Neg", ["before"], ["after"])]
    body = helper.make_graph(nodes, "body", [step, go, before], [on, after])
    times = helper.make_tensor("times", TensorProto.INT64, [], [(1 << 63) - 1])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return bytes(
        _model([_node("Loop", ["times", "yes", "x"], ["y"], body=body)], [times, yes]).SerializeToString()
    )


def _deep() -> bytes:
    """Branches in branches, one each: with both the file would double at every step."""
    inner = [_node("Identity", ["x"], ["z"])]
    for _ in range(20):
        yes, branch = _branches(inner, [])
        del branch.attribute[1:]
        branch.output[0] = "z"
        inner = [yes, branch]
    yes, branch = _branches(inner, [])
    del branch.attribute[1:]
    return bytes(_model([yes, branch]).SerializeToString())
