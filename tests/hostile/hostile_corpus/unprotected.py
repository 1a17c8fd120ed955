"""What does an artifact do to a program that just opens it? A child process that opens one after the other.

It reads one JSON line from stdin, ``{"secret", "artifacts": [{"name", "loader", "path"}]}``, and answers each artifact
by ``{"name", "leaked", "error"}``: whether what was loaded showed the host's secret, and what went wrong if anything.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Open what the plan on stdin names."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    plan = json.loads(sys.stdin.readline())
    for wanted in plan["artifacts"]:
        error = None
        shown: Any = ""
        try:
            shown = LOADERS[wanted["loader"]](Path(wanted["path"]))
        except BaseException as problem:  # noqa: BLE001 - a hostile file may raise anything
            error = f"{type(problem).__name__}: {str(problem)[-400:]}"
        leaked = plan["secret"] in str(shown)
        answers.write(json.dumps({"name": wanted["name"], "leaked": leaked, "error": error}) + "\n")
        answers.flush()
    os._exit(0)


def keras_model(path: Path) -> Any:
    """Load with every guard of Keras switched off, run one batch, and train one step where it is compiled."""
    import keras

    keras.config.enable_unsafe_deserialization()
    return _tried(keras.models.load_model(path, safe_mode=False))


def _tried(model: Any) -> Any:
    inputs = [_zeros(tensor.shape, tensor.dtype) for tensor in model.inputs]
    outputs = model(inputs[0] if len(inputs) == 1 else inputs)
    if model.compiled:
        model.train_on_batch(inputs[0], np.zeros(outputs.shape))
    vocabularies = [
        layer.get_vocabulary() for layer in model._flatten_layers() if hasattr(layer, "get_vocabulary")
    ]
    return vocabularies, outputs


def old_keras_model(path: Path) -> Any:
    """The same, names looked up as Keras did until 3.8: any module is imported."""
    with _old_lookup():
        return keras_model(path)


def old_safe_keras_model(path: Path) -> Any:
    """The same with ``safe_mode`` on."""
    import keras
    from keras.src.backend.common import global_state

    global_state.set_global_attribute("safe_mode_saving", None)
    with _old_lookup():
        return _tried(keras.models.load_model(path, safe_mode=True))


@contextmanager
def _old_lookup() -> Iterator[None]:
    from keras.src.models import functional as models
    from keras.src.saving import serialization_lib as library

    def look_up(name: str, registered_name: Any, module: str, *rest: Any, **more: Any) -> Any:
        try:
            return found(name, registered_name, module, *rest, **more)
        except (TypeError, ValueError):
            return vars(importlib.import_module(module))[name]

    found, denied, operation = library._retrieve_class_or_fn, library.NON_MODELING_APIS, models.Operation
    library._retrieve_class_or_fn, library.NON_MODELING_APIS, models.Operation = look_up, frozenset(), object
    try:
        yield
    finally:
        library._retrieve_class_or_fn, library.NON_MODELING_APIS, models.Operation = found, denied, operation


def numbers(path: Path) -> Any:
    """Read every dataset of an HDF5 file, or of the one inside an archive, as any loader of weights would."""
    import h5py

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            path = Path(archive.extract("model.weights.h5", tempfile.mkdtemp(dir=path.parent)))
    found: list[bytes] = []

    def visit(group: Any) -> None:
        for name in group:
            member = group[name]
            if isinstance(member, h5py.Group):
                visit(member)
            else:
                found.append(np.asarray(member[...]).tobytes())

    with h5py.File(path) as file:
        visit(file)
    return found


def pickled(path: Path) -> Any:
    """Do what ``torch.load`` does with the module that a TorchModuleWrapper keeps in its config."""
    import base64
    import pickle

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return pickle.loads(base64.b64decode(config["config"]["layers"][1]["config"]["module"]))


def unpacked(path: Path) -> Any:
    """Unpack an archive as a careless program does, and show what came out."""
    target = Path(tempfile.mkdtemp(dir=path.parent))
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(target, filter="fully_trusted")
    else:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = os.path.join(target, member.filename)  # noqa: PTH118 - this is the mistake
                os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
                if member.external_attr >> 28 == 0xA:
                    Path(place).symlink_to(archive.read(member).decode())
                elif not place.endswith("/"):
                    Path(place).write_bytes(archive.read(member))
    return [file.read_bytes() for file in sorted(target.rglob("*")) if file.is_file()]


def saved_model(path: Path) -> Any:
    """Unpack, load and run every signature of a SavedModel."""
    import tensorflow as tf

    folder = Path(tempfile.mkdtemp(dir=path.parent))
    shutil.unpack_archive(path, folder, "gztar" if path.read_bytes()[:2] == b"\x1f\x8b" else _kind(path))
    loaded = tf.saved_model.load(next(folder.rglob("saved_model.pb")).parent)
    answers = []
    for signature in loaded.signatures.values():
        _, arguments = signature.structured_input_signature
        zeros = {
            name: tf.zeros([1 if d is None else d for d in spec.shape], spec.dtype)
            for name, spec in arguments.items()
        }
        answers.append({name: value.numpy() for name, value in signature(**zeros).items()})
    return answers


def _kind(path: Path) -> str:
    return "zip" if zipfile.is_zipfile(path) else "tar"


def onnx_file(path: Path) -> Any:
    """Read an ONNX model with its external data, following every location as ``onnx`` did until 1.15."""
    import onnx
    from onnx.external_data_helper import _get_all_tensors

    model = onnx.load(path, load_external_data=False)
    found = []
    for tensor in _get_all_tensors(model):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if "location" in entries:
            found.append((path.parent / entries["location"]).read_bytes())
    return found


def _zeros(shape: Any, dtype: str) -> Any:
    sizes = [1 if size is None else size for size in shape]
    if dtype == "string":
        import tensorflow as tf

        return tf.fill(sizes, "")
    return np.zeros(sizes, dtype)


LOADERS: dict[str, Callable[[Path], Any]] = {
    "keras": keras_model,
    "old_keras": old_keras_model,
    "old_safe_keras": old_safe_keras_model,
    "numbers": numbers,
    "pickled": pickled,
    "unpacked": unpacked,
    "saved_model": saved_model,
    "onnx_file": onnx_file,
}

if __name__ == "__main__":
    main()
