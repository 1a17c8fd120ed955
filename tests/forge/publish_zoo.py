"""Builds every model of the zoo, saves it, asks it on fresh inputs, and publishes it, all in one process.

``python publish_zoo.py FOLDER PART PARTS`` takes every PARTS-th model from PART on and leaves NAME.h5 or NAME.keras,
NAME.npz with inputs and answers, NAME.servable and NAME.json with the verdict; part 0 leaves what must be refused, too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import benign_zoo
import keras
import keras_2_zoo
import model_zoo
import numpy as np
from keras import layers

from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.keras import canonical, publication
from tensortrigger_backend.forge.keras.canonical import weights_of
from tensortrigger_backend.forge.keras.publication import publish
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.onnx.conversion import convert_model
from tensortrigger_backend.forge.refusal import Refused

ROWS = 11

TRIED: set[str] = set()
"""Classes of the layers of every benign model that this process publishes."""

ONLY_LOADED_MODELS_TELL = {
    "functional_five_to_two": ForgeOrder(tuple("abcde"), ("p",)),
    "two_inputs": ForgeOrder(("a",)),
    "coupled": ForgeOrder(),
    "stateful": ForgeOrder(),
}


def fresh_inputs(name: str, model: keras.Model) -> list[Any]:
    generator = np.random.default_rng(99)
    ids = any(type(layer).__name__ == "Embedding" for layer in model.layers)
    arrays = []
    for tensor in model.inputs:
        shape = (ROWS, *(13 if length is None else length for length in tensor.shape[1:]))
        if tensor.dtype == "string":
            arrays.append(
                np.array(["a good film", "blue", "", "nothing known"])[generator.integers(0, 4, shape)]
            )
        elif ids and name != "discretization":
            arrays.append(generator.integers(0, 30, shape).astype(tensor.dtype))
        else:
            arrays.append((3 * generator.standard_normal(shape)).astype(tensor.dtype))
    return arrays


def publish_one(name: str, folder: Path) -> None:
    model, ending = model_zoo.build(name)
    publish_built(name, model, ending, fresh_inputs(name, model), folder)


def publish_benign(name: str, folder: Path) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(len(name))
    model = benign_zoo.ZOO[name]()
    TRIED.update(type(layer).__name__ for layer in model._flatten_layers())
    publish_built(
        f"benign_{name}", model, benign_zoo.ending(name), benign_zoo.inputs_for(model, ROWS), folder
    )


def publish_built(name: str, model: keras.Model, ending: str, arrays: list[Any], folder: Path) -> None:
    upload = folder / f"{name}.{ending}"
    model.save(upload)
    given = [keras.ops.convert_to_tensor(a.tolist()) if a.dtype.kind == "U" else a for a in arrays]
    structure = (
        given[0] if isinstance(model, keras.Sequential) else keras.tree.pack_sequence_as(model.input, given)
    )
    answers = keras.tree.flatten(model.predict(structure, verbose=0))
    np.savez(
        folder / f"{name}.npz",
        **{f"in{number}": array for number, array in enumerate(arrays)},
        **{f"out{number}": np.asarray(answer) for number, answer in enumerate(answers)},
    )
    write_verdict(folder, name, upload, ForgeOrder())


def write_verdict(folder: Path, name: str, upload: Path, order: ForgeOrder) -> None:
    """What the forge's own process does after its order came, in this one."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            inspected = inspect_upload(upload, Path(scratch), Limits())
        verdict = publish(upload, folder / f"{name}.servable", inspected, order, lambda _: None).to_dict()
    except Refused as refused:
        verdict = {"accepted": False, "faults": [fault.to_dict() for fault in refused.faults]}
    (folder / f"{name}.json").write_text(json.dumps(verdict))


def publish_sabotaged(folder: Path) -> None:
    """What becomes of a model when the conversion, or the weights themselves, come out slightly wrong."""

    def convert_wrongly(model: Any, signature: Any) -> bytes:
        right = [np.array(value) for value in model.get_weights()]
        model.set_weights([value * 1.001 for value in right])
        try:
            return convert_model(model, signature)
        finally:
            model.set_weights(right)

    def keep_wrong_weights(model: Any) -> dict[str, Any]:
        return {name: value * np.float32(1.001) for name, value in weights_of(model).items()}

    source = folder / "five_to_two.keras"
    with mock.patch.object(publication, "convert_model", convert_wrongly):
        write_verdict(folder, "wrong_graph", source, ForgeOrder())
    with mock.patch.object(canonical, "weights_of", keep_wrong_weights):
        write_verdict(folder, "wrong_weights", source, ForgeOrder())


@keras.saving.register_keras_serializable(package="shop")
class Discount(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 0.9


def double(x: Any) -> Any:
    return x * 2


def save_refused(folder: Path) -> None:
    with_lambda = [keras.Input((4,)), layers.Dense(3, name="first"), layers.Lambda(double, name="doubled")]
    keras.Sequential(with_lambda).save(folder / "lambda.keras")
    keras.Sequential(with_lambda).save(folder / "lambda.h5")
    inner = keras.Sequential([keras.Input((4,)), layers.Lambda(double, name="hidden_deep")], name="inner")
    keras.Sequential([keras.Input((4,)), inner, layers.Dense(1)]).save(folder / "nested_lambda.h5")
    wrapped = layers.TimeDistributed(layers.Lambda(double, name="each_step"), name="steps")
    keras.Sequential([keras.Input((3, 4)), wrapped]).save(folder / "wrapped_lambda.keras")
    custom = keras.Sequential([keras.Input((4,)), Discount(name="discount"), layers.Dense(1)])
    custom.save(folder / "custom.keras")
    custom.save(folder / "custom.h5")
    keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=double)]).save(
        folder / "custom_function.keras"
    )
    vector = keras.Sequential([keras.Input((5,), name="v"), layers.Dense(2, name="answer")])
    vector.save(folder / "five_to_two.keras")
    vector.save_weights(folder / "only.weights.h5")
    x = keras.Input((5,), name="x")
    keras.Model(x, layers.Dense(2)(x)).save(folder / "functional_five_to_two.keras")
    left, right = keras.Input((1,), name="left"), keras.Input((1,), name="right")
    keras.Model([left, right], layers.Add()([left, right])).save(folder / "two_inputs.keras")
    coupled = keras.Input((3,), name="x")
    over_rows = keras.ops.mean(coupled, axis=0, keepdims=True)
    keras.Model(coupled, coupled - over_rows).save(folder / "coupled.keras")
    batched = keras.Sequential([keras.Input((4, 2), batch_size=8), layers.LSTM(3, stateful=True)])
    batched.save(folder / "stateful.keras")


def save_others(folder: Path) -> None:
    compiled = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    compiled.compile("adam", loss="mse", metrics=["mae"])
    compiled.save(folder / "compiled_with_mse.h5")
    own_loss = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    own_loss.compile("adam", loss=lambda_free_loss)
    own_loss.save(folder / "own_loss.keras")
    with zipfile.ZipFile(folder / "saved_model.zip", "w") as archive:
        archive.writestr("m/saved_model.pb", b"\x08\x01")


def lambda_free_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))


def main() -> None:
    folder, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if part == 0:
        save_refused(folder)
        save_others(folder)
        publish_sabotaged(folder)
        for name, order in ONLY_LOADED_MODELS_TELL.items():
            write_verdict(folder, name, folder / f"{name}.keras", order)
    for name in model_zoo.NAMES[part::parts]:
        publish_one(name, folder)
    for name in list(benign_zoo.ZOO)[part::parts]:
        publish_benign(name, folder)
    (folder / f"tried_{part}.json").write_text(json.dumps(sorted(TRIED)))
    if part == 0:
        exported = {name: kind.__name__ for name, kind in vars(layers).items() if isinstance(kind, type)}
        (folder / "exported.json").write_text(json.dumps(exported))
    for name in keras_2_zoo.names()[part::parts]:
        keras.backend.clear_session()
        write_verdict(folder, f"keras_2_{name}", keras_2_zoo.unpack(name, folder), ForgeOrder())


if __name__ == "__main__":
    main()
