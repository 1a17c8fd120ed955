"""SavedModels of every kind: built here, asked by TensorFlow's own loader, and packed as their owners would."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Batch = dict[str, Any]
_WORDS = ["a good film", "blue", "", "nothing known", "Zürich", "red red film"]


def pack_zip(folder: Path, target: Path, top: str = "model") -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}/{path.relative_to(folder)}" if top else path.relative_to(folder))


def pack_tar(folder: Path, target: Path, mode: str) -> None:
    with tarfile.open(target, mode) as archive:
        archive.add(folder, "." if mode == "w" else folder.name)


def keras_export(folder: Path) -> Batch:
    model = keras.Sequential(
        [
            keras.Input((6,), name="x"),
            layers.Dense(5, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    _stir(model)
    model.export(folder, verbose=False)
    return {"x": _numbers(6)}


def convolution(folder: Path) -> Batch:
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    model = keras.Model(
        image, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x)))
    )
    _stir(model)
    model.export(folder, verbose=False)
    return {"image": _numbers(13, 11, 3)}


def several(folder: Path) -> Batch:
    class Two(tf.Module):
        def __init__(self) -> None:
            self.weight = tf.Variable(np.random.default_rng(3).normal(size=(4, 3)).astype("float32"))
            self.calls = tf.Variable(0, dtype=tf.int64)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 4], tf.float32, name="left"),
                tf.TensorSpec([None, None], tf.int32, name="right"),
            ]
        )
        def serve(self, left: Any, right: Any) -> Any:
            total = tf.reduce_sum(right, axis=1, keepdims=True)
            return {"scores": left @ self.weight + tf.cast(total, tf.float32), "total": total}

    _save(Two(), folder)
    return {"left": _numbers(4), "right": np.random.default_rng(1).integers(0, 9, (11, 5)).astype("int32")}


def text_with_an_asset(folder: Path) -> Batch:
    vocabulary = folder.with_name("vocabulary.txt")
    vocabulary.write_text("good\nbad\nfilm\nblue\nred\n")

    class Text(tf.Module):
        def __init__(self) -> None:
            self.asset = tf.saved_model.Asset(str(vocabulary))
            initializer = tf.lookup.TextFileInitializer(
                self.asset,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(initializer, -1)
            names = tf.constant(["none", "word", "words"])
            self.names = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1, 2], tf.int64), names), "many"
            )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: Any) -> Any:
            words = tf.strings.split(tf.strings.lower(text))
            ids = self.table.lookup(words.flat_values)
            known = tf.ragged.map_flat_values(lambda values: tf.cast(ids >= 0, tf.int64), words)
            count = tf.reduce_sum(known, axis=1)
            return {"kind": self.names.lookup(count), "known": tf.cast(count, tf.float32)}

    _save(Text(), folder)
    return {"text": np.array(_WORDS, dtype=object)}


def ragged_inside(folder: Path) -> Batch:
    class Ragged(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            rows = tf.RaggedTensor.from_tensor(x, lengths=tf.reduce_sum(tf.cast(x > 0, tf.int32), axis=1))
            return {"sums": tf.reduce_sum(rows, axis=1), "padded": rows.to_tensor(shape=[None, 8])}

    _save(Ragged(), folder)
    return {"x": _numbers(7)}


def loop_and_branch(folder: Path) -> Batch:
    class Loop(tf.Module):
        def __init__(self) -> None:
            self.step = tf.Variable([[0.5, -0.25, 0.1]] * 3)

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            for _ in tf.range(4):
                x = tf.tanh(x @ self.step)
            return {"y": tf.cond(tf.shape(x)[1] > 2, lambda: x + self.step[0], lambda: x)}

    _save(Loop(), folder)
    return {"x": _numbers(3)}


def batch_of_one(folder: Path) -> Batch:
    class One(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": tf.nn.softmax(x * 2.0)}

    _save(One(), folder)
    return {"x": _numbers(4)}


def simple_save_of_1x(folder: Path) -> Batch:
    _in_graph(folder, lambda v1: _network_of_1x(v1, resources=False))
    return {"x": _numbers(4)}


def partitioned_of_1x(folder: Path) -> Batch:
    _in_graph(folder, lambda v1: _network_of_1x(v1, resources=True))
    return {"x": _numbers(4)}


def table_of_1x(folder: Path) -> Batch:
    vocabulary = folder.with_name("colours.txt")
    vocabulary.write_text("red\nblue\ngreen\n")

    def build(v1: Any) -> tuple[Any, Any, Any, list[Any]]:
        colour = v1.placeholder(tf.string, [None, 2], name="colour")
        asset = tf.constant(str(vocabulary))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        table = v1.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                asset,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )
        weight = v1.get_variable("weight", [4, 2], initializer=v1.random_normal_initializer(seed=2))
        ids = table.lookup(colour)
        answer = tf.reduce_sum(tf.gather(weight, ids + 1), axis=1)
        return {"colour": colour}, {"answer": answer, "ids": ids}, v1.tables_initializer(), [asset]

    _in_graph(folder, build)
    colours = np.array([["red", "blue"], ["green", "pink"], ["", "red"]], dtype=object)
    return {"colour": colours}


KINDS: dict[str, tuple[Callable[[Path], Batch], str, str]] = {
    "keras_export": (keras_export, "zip", "onnxruntime"),
    "convolution": (convolution, "tar", "onnxruntime"),
    "several": (several, "tar.gz", "onnxruntime"),
    "text_with_an_asset": (text_with_an_asset, "zip", "tensorflow"),
    "ragged_inside": (ragged_inside, "flat.zip", "any"),
    "loop_and_branch": (loop_and_branch, "zip", "onnxruntime"),
    "batch_of_one": (batch_of_one, "zip", "onnxruntime"),
    "simple_save_of_1x": (simple_save_of_1x, "zip", "onnxruntime"),
    "partitioned_of_1x": (partitioned_of_1x, "tar.gz", "onnxruntime"),
    "table_of_1x": (table_of_1x, "zip", "tensorflow"),
}
"""How each is built, how it is packed, and which engine is to serve it."""


def pack(folder: Path, target: Path, how: str) -> None:
    if how.endswith("zip"):
        pack_zip(folder, target, "" if how == "flat.zip" else "model")
    else:
        pack_tar(folder, target, "w:gz" if how == "tar.gz" else "w")


def asked(folder: Path, batch: Batch) -> Batch:
    """What TensorFlow's own loader answers."""
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    fixed = next(iter(served.structured_input_signature[1].values())).shape[0]
    rows = len(next(iter(batch.values())))
    parts = []
    for start in range(0, rows, fixed or rows):
        part = {name: values[start : start + (fixed or rows)] for name, values in batch.items()}
        given = {name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in part.items()}
        parts.append({name: value.numpy() for name, value in served(**given).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _save(module: Any, folder: Path) -> None:
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def _network_of_1x(v1: Any, *, resources: bool) -> tuple[Any, Any, Any, list[Any]]:
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    parts = v1.fixed_size_partitioner(2) if resources else None
    normal = v1.random_normal_initializer(seed=5)
    with v1.variable_scope("net", use_resource=resources, partitioner=parts, initializer=normal):
        weight, bias = v1.get_variable("weight", [4, 6]), v1.get_variable("bias", [6])
    keep = v1.placeholder_with_default(1.0, [])
    hidden = v1.nn.dropout(tf.nn.relu(tf.matmul(x, weight) + bias), rate=1 - keep)
    return {"x": x}, {"y": tf.nn.softmax(hidden)}, None, []


def _in_graph(folder: Path, build: Callable[[Any], tuple[Any, Any, Any, list[Any]]]) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs, start, _ = build(v1)
        session.run(v1.global_variables_initializer())
        if start is not None:
            session.run(start)
        v1.saved_model.simple_save(session, str(folder), inputs, outputs, legacy_init_op=start)


def _stir(model: Any) -> None:
    generator = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.1, variable.shape).astype(variable.dtype))


def _numbers(*shape: int) -> Any:
    return (3 * np.random.default_rng(99).standard_normal((11, *shape))).astype("float32")
