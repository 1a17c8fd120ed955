"""What can the graph of a SavedModel do? Read, write, print and connect, at load or at run, wherever an op can hide.

Building one needs TensorFlow, which is imported only then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.saved_model_files import files_of, folder_of, harmless, module_of, tarred, zipped

Deed = Callable[[Any, Any, Traps, str], Any]
"""Given TensorFlow, the input, the traps and the artifact's name, does it and returns the output."""

_OP = ("unlisted_op", "resource_in_function")


HARMLESS = Artifact(
    "saved_model/harmless",
    Effect.STRUCTURE,
    lambda _: zipped(harmless()),
    (),
    loader="saved_model",
    why="nothing is wrong",
)


def artifacts() -> list[Artifact]:
    """Each op by itself, then each place for one op, then what is wrong with the folder."""
    deeds: dict[str, tuple[Effect, Deed]] = {
        "write-file": (Effect.WRITES, _write),
        "read-file": (Effect.READS, _read),
        "print-to-a-file": (Effect.WRITES, _print),
        "save": (Effect.WRITES, _save),
        "matching-files": (Effect.READS, _list),
        "text-lines": (Effect.READS, _text_lines),
        "fixed-length-records": (Effect.READS, _records),
        "debug-identity": (Effect.WRITES, _debug),
        "summary-writer": (Effect.WRITES, _summary),
        "write-records": (Effect.WRITES, _write_records),
        "merge-checkpoints": (Effect.WRITES, _merge),
        "table-from-a-named-file": (Effect.READS, _named_table),
        "write-in-a-branch": (Effect.WRITES, _branch),
        "write-in-a-loop": (Effect.WRITES, _loop),
        "write-in-a-called-function": (Effect.WRITES, _call),
        "write-in-a-dataset-map": (Effect.WRITES, _dataset_map),
        "write-in-a-map-function": (Effect.WRITES, _map_function),
    }
    found = [
        Artifact(
            f"saved_model/{name}", effect, _module(deed, f"saved_model/{name}"), _OP, loader="saved_model"
        )
        for name, (effect, deed) in deeds.items()
    ]
    return [
        *found,
        Artifact("saved_model/write-at-load", Effect.WRITES, _at_load, _OP, loader="saved_model"),
        Artifact(
            "saved_model/table-from-a-file",
            Effect.READS,
            _table,
            ("missing_asset", "unsafe_member"),
            loader="saved_model",
        ),
        Artifact(
            "saved_model/write-in-a-tar",
            Effect.WRITES,
            _packed_as("w:gz", "saved_model/write-in-a-tar"),
            _OP,
            loader="saved_model",
        ),
        Artifact(
            "saved_model/python-function",
            Effect.STRUCTURE,
            _module(_python, ""),
            _OP,
            why="the function lives in another process, and is not in the file",
        ),
        Artifact(
            "saved_model/fill-of-a-trillion",
            Effect.EXPANDS,
            _module(_fill, ""),
            ("too_large", "forge_limit", "cannot_load"),
            bomb=lambda data: (len(data), 4 * 10**12),
            needs_tensorflow=True,
        ),
        Artifact(
            "saved_model/constant-of-a-terabyte",
            Effect.EXPANDS,
            _constant,
            ("too_large",),
            bomb=lambda data: (len(data), 4 << 38),
        ),
        Artifact(
            "saved_model/write-in-a-graph-within-the-graph",
            Effect.WRITES,
            _serialized,
            _OP,
            loader="saved_model",
        ),
    ]


def plant_on_host(traps: Traps) -> None:
    """The SavedModel that a TFSMLayer points to."""
    import tensorflow as tf

    folder_of(module_of(tf, lambda x: _write(tf, x, traps, "keras/tfsm-layer")), tf, traps.saved_model)


def _module(deed: Deed, name: str) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        import tensorflow as tf

        return zipped(files_of(module_of(tf, lambda x: deed(tf, x, traps, name)), tf))

    return build


def _write(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    tf.io.write_file(str(traps.marker(name)), "x")
    return {"y": x * 2.0}


def _read(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    return {"y": tf.fill([tf.shape(x)[0]], tf.io.read_file(str(traps.text)))}


def _print(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    tf.print("x", output_stream=f"file://{traps.marker(name)}")
    return {"y": x * 2.0}


def _save(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    tf.raw_ops.Save(filename=str(traps.marker(name)), tensor_names=["x"], data=[x])
    return {"y": x * 2.0}


def _list(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    found = tf.io.matching_files(str(traps.text.with_name("*")))
    return {"y": tf.strings.reduce_join(found)}


def _text_lines(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    lines = tf.data.TextLineDataset(str(traps.text))
    return {"y": lines.reduce("", lambda joined, line: joined + line)}


def _records(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    records = tf.data.FixedLengthRecordDataset(str(traps.text), len(traps.secret))
    return {"y": records.take(1).reduce("", lambda joined, line: joined + line)}


def _debug(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    marker = traps.marker(name)
    return {
        "y": tf.raw_ops.DebugIdentityV2(
            input=x * 2.0, tfdbg_context_id="c", tensor_debug_mode=2, debug_urls=[f"file://{marker}"]
        )
    }


def _summary(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    writer = tf.raw_ops.SummaryWriter(shared_name="w", container="")
    tf.raw_ops.CreateSummaryFileWriter(
        writer=writer, logdir=str(traps.marker(name)), max_queue=1, flush_millis=1, filename_suffix=""
    )
    tf.raw_ops.FlushSummaryWriter(writer=writer)
    return {"y": x * 2.0}


def _write_records(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    records = tf.data.Dataset.from_tensors("x")
    tf.raw_ops.DatasetToTFRecord(
        input_dataset=records._variant_tensor, filename=str(traps.marker(name)), compression_type=""
    )
    return {"y": x * 2.0}


def _merge(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    part = str(traps.marker(name)) + "-part"
    saved = tf.raw_ops.SaveV2(prefix=part, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
    with tf.control_dependencies([saved]):
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[part], destination_prefix=str(traps.marker(name)))
    return {"y": x * 2.0}


def _named_table(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
    tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=str(traps.text), key_index=-1, value_index=-2
    )
    keys = tf.cast(x, tf.int64)
    return {"y": tf.raw_ops.LookupTableFindV2(table_handle=table, keys=keys, default_value="")}


def _branch(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    return tf.cond(tf.reduce_sum(x) >= 0.0, lambda: _write(tf, x, traps, name), lambda: {"y": x})


def _loop(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    def body(step: Any, value: Any) -> Any:
        return step + 1, _write(tf, value, traps, name)["y"]

    return {"y": tf.while_loop(lambda step, _: step < 2, body, (0, x))[1]}


def _call(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    inner = tf.function(lambda value: _write(tf, value, traps, name)["y"])
    outer = tf.function(lambda value: inner(value) + 1.0)
    return {"y": outer(x)}


def _dataset_map(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    rows = tf.data.Dataset.from_tensor_slices(x).map(lambda row: _write(tf, row, traps, name)["y"])
    return {"y": rows.reduce(tf.zeros([3]), lambda total, row: total + row)}


def _map_function(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    return {"y": tf.map_fn(lambda row: _write(tf, row, traps, name)["y"], x)}


def _python(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    return {"y": tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), [None, 3])}


def _fill(tf: Any, x: Any, traps: Traps, name: str) -> Any:
    size = tf.cast(tf.shape(x)[0], tf.int64) * 10**12
    return {"y": x + tf.reduce_sum(tf.fill(size[tf.newaxis], 1.0))}


def _at_load(traps: Traps) -> bytes:
    import tensorflow as tf

    class Resource(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.float32, shared_name="t")

        def _initialize(self) -> None:
            tf.io.write_file(str(traps.marker("saved_model/write-at-load")), "x")

    module = module_of(tf, lambda x: {"y": x * 2.0})
    module.resource = Resource()
    return zipped(files_of(module, tf))


def _table(traps: Traps) -> bytes:
    """A table that is read from an asset; the asset's name is then led out of the folder."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder, "words.txt")
        words.write_text("a\nb\n")
        initializer = tf.lookup.TextFileInitializer(
            str(words),
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        )
        table = tf.lookup.StaticHashTable(initializer, "none")
        module = module_of(tf, lambda x: {"y": table.lookup(tf.cast(x, tf.int64))})
        module.table = table
        files = files_of(module, tf)
    graph = saved_model_pb2.SavedModel.FromString(files["saved_model.pb"])
    for asset in graph.meta_graphs[0].asset_file_def:
        asset.filename = "../" * 16 + str(traps.text).lstrip("/")
    return zipped(files | {"saved_model.pb": graph.SerializeToString()})


def _constant(traps: Traps) -> bytes:
    """One number, said to stand for a terabyte of them."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    files = files_of(module_of(tf, lambda x: {"y": x + tf.reduce_sum(tf.constant([1.0, 1.0, 1.0]))}), tf)
    graph = saved_model_pb2.SavedModel.FromString(files["saved_model.pb"])
    for function in graph.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            tensor = node.attr["value"].tensor
            if node.op == "Const" and tensor.tensor_shape.dim and tensor.dtype == tf.float32.as_datatype_enum:
                tensor.ClearField("tensor_content")
                tensor.float_val[:] = [1.0]
                tensor.tensor_shape.dim[0].size = 1 << 38
    return zipped(files | {"saved_model.pb": graph.SerializeToString()})


def _serialized(traps: Traps) -> bytes:
    """A data set that is rebuilt from a graph kept as a string; the write is in there only."""
    import tensorflow as tf

    name = "saved_model/write-in-a-graph-within-the-graph"
    rows = tf.data.Dataset.range(1).map(lambda row: _write(tf, tf.cast(row, tf.float32), traps, name)["y"])
    text = rows._as_serialized_graph(external_state_policy=tf.data.experimental.ExternalStatePolicy.IGNORE)

    def serve(x: Any) -> Any:
        # Told only when it runs: a constant graph would be opened by whoever simplifies this one.
        held = tf.gather(tf.constant([text.numpy()]), tf.cast(tf.reduce_sum(x) * 0.0, tf.int32))
        variant = tf.raw_ops.DatasetFromGraph(graph_def=held)
        again = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.float32))
        return {"y": x + again.reduce(0.0, lambda total, row: total + row)}

    return zipped(files_of(module_of(tf, serve), tf))


def _packed_as(mode: str, name: str) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        import tensorflow as tf

        files = files_of(module_of(tf, lambda x: _write(tf, x, traps, name)), tf)
        return tarred({f"model/{path}": content for path, content in files.items()}, mode)

    return build
