"""What would a hostile model do with the libraries that open it? Runs as a guest, as ``attacks`` does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from attacks import attack, run


@attack
def reads_a_file_in_a_graph(facts: dict[str, Any]) -> None:
    read = tf.function(lambda: tf.io.read_file(f"{facts['data']}/pepper"))
    assert read().numpy() == b"pepper"


@attack
def writes_a_file_in_a_graph(facts: dict[str, Any]) -> None:
    @tf.function
    def write() -> tf.Tensor:
        tf.io.write_file(f"{facts['data']}/by_tensorflow", "x")
        return tf.constant(1)

    write()


@attack
def saves_tensors_elsewhere(facts: dict[str, Any]) -> None:
    tf.raw_ops.SaveV2(
        prefix=f"{facts['data']}/tensors",
        tensor_names=["x"],
        shape_and_slices=[""],
        tensors=[tf.constant([1.0])],
    )


@attack
def prints_to_a_file(facts: dict[str, Any]) -> None:
    tf.print("x", output_stream=f"file://{facts['data']}/printed")
    assert Path(facts["data"], "printed").exists()


@attack
def lists_files_in_a_graph(facts: dict[str, Any]) -> None:
    assert tf.io.matching_files(f"{facts['data']}/*").numpy().size


@attack
def reads_records_in_a_pipeline(facts: dict[str, Any]) -> None:
    assert list(tf.data.TextLineDataset(f"{facts['data']}/pepper"))


@attack
def maps_external_storage_of_hdf5(facts: dict[str, Any]) -> None:
    with h5py.File("outside.h5", "w") as file:
        file.create_dataset("x", shape=(6,), dtype="u1", external=[(f"{facts['data']}/pepper", 0, 6)])
    with h5py.File("outside.h5", "r") as file:
        assert bytes(file["x"][:]) == b"pepper"


@attack
def makes_an_hdf5_file_elsewhere(facts: dict[str, Any]) -> None:
    h5py.File(f"{facts['data']}/made.h5", "w").close()


@attack
def saves_a_model_elsewhere(facts: dict[str, Any]) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(f"{facts['data']}/made.keras")


@attack
def loads_an_array_from_elsewhere(facts: dict[str, Any]) -> None:
    np.fromfile(f"{facts['data']}/pepper", np.uint8)


@attack
def runs_a_shell_in_a_lambda(facts: dict[str, Any]) -> None:
    layer = keras.layers.Lambda(lambda x: x + __import__("subprocess").call(["/bin/true"]))
    layer(np.zeros((1, 1), np.float32))


@attack
def fetches_weights(facts: dict[str, Any]) -> None:
    keras.utils.get_file("weights", f"http://127.0.0.1:{facts['http']}/")


def main() -> None:
    run(json.loads(sys.stdin.readline()))
