"""SavedModels that must be refused: each an honest model but for one thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

Serve = Callable[[Any], Any]


def _serving(
    serve: Serve, shape: tuple[int | None, ...] | None = (None, 3), dtype: Any = tf.float32
) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        class Model(tf.Module):
            def __init__(self) -> None:
                self.count = tf.Variable(0.0)

        model = Model()
        spec = tf.TensorSpec(shape, dtype, name="x")
        model.serve = tf.function(lambda x: {"y": serve(x)}, input_signature=[spec], autograph=False)
        tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})

    return save


def _writes(x: Any) -> Any:
    tf.io.write_file("/tmp/never", "never")
    return x + 1.0


def _reads(x: Any) -> Any:
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def _prints(x: Any) -> Any:
    tf.print(x)
    return x + 1.0


def _in_a_branch(x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: _reads(x), lambda: x)


def _in_a_loop(x: Any) -> Any:
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, _reads(y)), [0, x])[1]


def _deep_down(x: Any) -> Any:
    inner = tf.function(_reads)
    middle = tf.function(lambda value: inner(value) * 2.0)
    return middle(x)


def _python(x: Any) -> Any:
    return tf.numpy_function(lambda value: value, [x], tf.float32)


def _counts(folder: Path) -> None:
    class Counter(tf.Module):
        def __init__(self) -> None:
            self.count = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": x + self.count.assign_add(1.0)}

    model = Counter()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})


def _two_signatures(folder: Path) -> None:
    model = tf.Module()
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    model.one = tf.function(lambda x: {"y": x + 1.0}, input_signature=[spec])
    model.two = tf.function(lambda x: {"y": x + 2.0}, input_signature=[spec])
    tf.saved_model.save(model, str(folder), signatures={"embed": model.one, "score": model.two})


def _none(folder: Path) -> None:
    tf.saved_model.save(tf.Module(), str(folder))


def _starts_by_reading(folder: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        initializer = tf.lookup.TextFileInitializer(
            "/etc/hostname",
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        table = v1.lookup.StaticHashTable(initializer, -1)
        y = x + tf.cast(table.lookup(tf.constant("a")), tf.float32)
        v1.saved_model.simple_save(
            session, str(folder), {"x": x}, {"y": y}, legacy_init_op=v1.tables_initializer()
        )
    # As it is saved, the file lies in the archive; take it out of the list, and the graph reads the machine's own.
    graph = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    saved.meta_graphs[0].ClearField("asset_file_def")
    del saved.meta_graphs[0].collection_def["saved_model_assets"]
    graph.write_bytes(saved.SerializeToString())


def _starts_by_reading_in_a_branch(folder: Path) -> None:
    """An initializer that is called with the asset, and from a branch with another file."""
    vocabulary = folder.with_name("words.txt")
    vocabulary.write_text("a\nb\n")

    class Model(tf.Module):
        def __init__(self) -> None:
            lines, numbers = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            asset = tf.saved_model.Asset(str(vocabulary))
            initializer = tf.lookup.TextFileInitializer(asset, tf.string, lines, tf.int64, numbers)
            self.table = tf.lookup.StaticHashTable(initializer, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": self.table.lookup(x)}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    graph = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    graph_def = saved.meta_graphs[0].graph_def
    (call,) = (
        node
        for node in graph_def.node
        if "initializer" in node.attr["f"].func.name
        and "hash_table" in str(node.input)
        and len(node.input) == 2
    )
    branch = graph_def.node.add()
    branch.CopyFrom(call)
    branch.name, branch.op = "branch", "If"
    del branch.input[:]
    for name, value in (("hidden/condition", True), ("hidden/name", b"/etc/hostname")):
        constant = graph_def.node.add(name=name, op="Const")
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        constant.attr["dtype"].type = constant.attr["value"].tensor.dtype
    branch.input.extend(["hidden/condition", "hidden/name", call.input[1]])
    for key in ("then_branch", "else_branch"):
        branch.attr[key].func.name = call.attr["f"].func.name
    del branch.attr["f"]
    start = saved.meta_graphs[0].signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name
    next(node for node in graph_def.node if node.name == start.partition(":")[0]).input.append("^branch")
    graph.write_bytes(saved.SerializeToString())


REFUSED: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "writes_a_file": (_serving(_writes), "unlisted_op", "WriteFile"),
    "reads_a_file": (_serving(_reads), "unlisted_op", "ReadFile"),
    "prints": (_serving(_prints), "unlisted_op", "PrintV2"),
    "reads_in_a_branch": (_serving(_in_a_branch), "unlisted_op", "ReadFile"),
    "reads_in_a_loop": (_serving(_in_a_loop), "unlisted_op", "ReadFile"),
    "reads_three_calls_down": (_serving(_deep_down), "unlisted_op", "ReadFile"),
    "calls_python": (_serving(_python), "unlisted_op", "PyFunc"),
    "counts_its_calls": (_counts, "unlisted_op", "AssignAddVariableOp"),
    "starts_by_reading_a_file": (_starts_by_reading, "file_access", "InitializeTableFromTextFileV2"),
    "starts_by_reading_a_file_in_a_branch": (
        _starts_by_reading_in_a_branch,
        "unlisted_op",
        "InitializeTableFromTextFileV2",
    ),
    "two_signatures": (_two_signatures, "ambiguous_signature", "embed, score"),
    "no_signature": (_none, "no_signature", "no signature"),
    "unknown_rank": (_serving(lambda x: x + 1.0, None), "unknown_rank", "input 'x'"),
    "a_single_number": (_serving(lambda x: x + 1.0, ()), "no_batch_axis", "input 'x'"),
    "mean_of_the_batch": (_serving(lambda x: x - tf.reduce_mean(x)), "rows_not_independent", "other rows"),
    "one_answer_for_all": (_serving(tf.reduce_sum), "no_batch_axis", "output 'y'"),
    "eight_rows_exactly": (
        _serving(lambda x: tf.reshape(tf.reshape(x, [24]) + 1.0, [8, 3]), (8, 3)),
        "fixed_batch",
        "exactly 8 rows",
    ),
    "never_the_same": (
        _serving(lambda x: x + tf.random.normal(tf.shape(x)) * 100.0),
        "not_repeatable",
        "differs each time",
    ),
}
"""How each is saved, the code of its refusal, and what the message names."""
