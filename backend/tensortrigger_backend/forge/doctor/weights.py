"""How do the weights of an old file get into the model that its healed config describes?

By the layers' names, and inside of a nested model by the names that Keras 2 gave its variables; each layer's values
are put into the order and layout of Keras 3 with NumPy alone.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt

from tensortrigger_backend.forge.doctor.layers import HARD_SIGMOID
from tensortrigger_backend.forge.keras.archive_check import WEIGHTS
from tensortrigger_backend.forge.refusal import Refused, refuse

Array = npt.NDArray[Any]

_GATES = {"LSTMCell": 4, "GRUCell": 3}
_HARD = np.float32(1.2)
"""clip(0.2 x + 0.5), the old hard_sigmoid, is clip(1.2 x / 6 + 0.5), the new one of 1.2 x."""


def load_healed(source: Path, config: dict[str, Any], *, old: bool) -> Any:
    """The model of a healed config with the weights of the HDF5 file at ``source``.

    Args:
        old: Keras 1 or 2 wrote the file, whose layouts and hard_sigmoid are not those of Keras 3.

    Raises:
        Refused: the weights do not fit the layers; which, and how they differ.
    """
    model = _built(config)
    with h5py.File(source, "r") as file:
        group = file["model_weights"]
        keras_1 = (
            old and _text(file.attrs.get("keras_version", group.attrs.get("keras_version", "1")))[:1] == "1"
        )
        theano = keras_1 and _text(group.attrs.get("backend", "")) == "theano"
        _Loader(old=old, keras_1=keras_1, theano=theano).fill(model, group)
    return model


def load_healed_archive(source: Path, config: dict[str, Any]) -> Any:
    """The model of a healed config with the weights of the ``.keras`` file of Keras 2 at ``source``.

    These lie where Keras 3 looks for them; a layer whose hard_sigmoid was another one is fitted as in HDF5.

    Raises:
        Refused: the weights do not fit the layers.
    """
    model = _built(config)
    weights = source.with_name("healed.weights.h5")
    with zipfile.ZipFile(source) as archive, archive.open(WEIGHTS) as packed, weights.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    try:
        model.load_weights(weights)
    except (ValueError, KeyError) as error:
        raise _misfit(str(error).strip().split("\n", 1)[0][:300]) from error
    finally:
        weights.unlink()
    for leaf in _leaves(model):
        variables = _own(leaf)
        arrays = [np.asarray(variable) for variable in variables]
        for variable, array in zip(variables, _scaled(leaf, arrays), strict=True):
            variable.assign(array)
    return model


def _built(config: dict[str, Any]) -> Any:
    model = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)), safe_mode=True)
    if not model.built:
        raise refuse(
            "not_built",
            "the model was never given the shape of its input",
            remedy="start it with an Input of the right shape, copy the weights and save it as .keras",
        )
    return model


class _Loader:
    def __init__(self, *, old: bool, keras_1: bool, theano: bool) -> None:
        self._old = old
        self._keras_1 = keras_1
        self._theano = theano

    def fill(self, model: Any, group: Any) -> None:
        layers = [layer for layer in model.layers if _variables(layer)]
        names = [name for name in _names(group, "layer_names") if name in group]
        saved = {name.replace("/", "_"): _saved(group[name]) for name in names}
        saved = {name: arrays for name, arrays in saved.items() if arrays}
        if set(saved) != {layer.name for layer in layers}:
            if len(saved) != len(layers):
                raise _misfit(
                    f"the file has the weights of {len(saved)} layers, the model {len(layers)} layers with weights"
                )
            saved = dict(zip([layer.name for layer in layers], saved.values(), strict=True))
        for layer in layers:
            self._layer(layer, saved[layer.name])
        top = group.get("top_level_model_weights")
        if isinstance(top, h5py.Group) and _names(top, "weight_names"):
            raise _misfit("the model has weights of its own beside those of its layers")

    def _layer(self, layer: Any, saved: list[tuple[str, Array]]) -> None:
        variables = _variables(layer)
        leaves = _leaves(layer)
        if self._keras_1:
            saved = _merge_gates(saved, layer)
        if len(saved) != len(variables):
            raise _misfit(f"{_words(layer)} has {len(variables)} weights, the file {len(saved)}")
        owners = {id(variable): leaf for leaf in leaves for variable in _own(leaf)}
        by_leaf: dict[int, list[Any]] = {}
        for variable in variables:
            by_leaf.setdefault(id(owners[id(variable)]), []).append(variable)
        given = self._by_name(leaves, by_leaf, saved) if len(by_leaf) > 1 else None
        if given is None:
            given = {key: [] for key in by_leaf}
            for variable, (_, array) in zip(variables, saved, strict=True):
                given[id(owners[id(variable)])].append(array)
        for leaf in leaves:
            if id(leaf) in by_leaf:
                self._assign(layer, leaf, by_leaf[id(leaf)], given[id(leaf)])

    def _by_name(
        self, leaves: list[Any], by_leaf: dict[int, list[Any]], saved: list[tuple[str, Array]]
    ) -> dict[int, list[Array]] | None:
        """The saved values by the layer that their names tell, None where they do not tell it clearly."""
        names = [leaf.name for leaf in leaves if id(leaf) in by_leaf]
        if len(set(names)) != len(names):
            return None
        keys = {leaf.name: id(leaf) for leaf in leaves if id(leaf) in by_leaf}
        given: dict[int, list[Array]] = {key: [] for key in keys.values()}
        for name, array in saved:
            found = [part for part in name.split("/")[:-1] if part in keys]
            if not found:
                return None
            given[keys[found[-1]]].append(array)
        whole = all(len(given[key]) == len(by_leaf[key]) for key in given)
        return given if whole else None

    def _assign(self, layer: Any, leaf: Any, variables: list[Any], arrays: list[Array]) -> None:
        if self._old:
            arrays = _old_layout(leaf, variables, arrays, keras_1=self._keras_1, theano=self._theano)
        for variable, array in zip(variables, arrays, strict=True):
            if tuple(variable.shape) != array.shape:
                raise _misfit(
                    f"the weight '{variable.name}' of {_words(layer)} has the shape {tuple(variable.shape)}, "
                    f"the file's {array.shape}"
                )
            variable.assign(array)
        if hasattr(leaf, "finalize_state"):
            leaf.finalize_state()


def _old_layout(
    leaf: Any, variables: list[Any], arrays: list[Array], *, keras_1: bool, theano: bool
) -> list[Array]:
    kind = type(leaf).__name__
    if kind in _GATES and len(arrays) >= 2:
        arrays = _from_cudnn(arrays, _GATES[kind], int(leaf.units))
    if keras_1 and kind.startswith("Conv") and arrays:
        arrays = [_kernel_of_keras_1(arrays[0], tuple(variables[0].shape), flipped=theano), *arrays[1:]]
    return _scaled(leaf, arrays)


def _from_cudnn(arrays: list[Array], gates: int, units: int) -> list[Array]:
    """The layout of CuDNNLSTM and CuDNNGRU, told by the two biases that they keep in one row."""
    if len(arrays) != 3 or arrays[2].shape != (2 * gates * units,):
        return arrays
    kernel, recurrent, bias = arrays
    kernel = np.hstack([part.T.reshape(part.shape, order="F") for part in np.hsplit(kernel, gates)])
    recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
    bias = bias[: gates * units] + bias[gates * units :] if gates == 4 else bias.reshape(2, -1)
    return [kernel, recurrent, bias]


def _kernel_of_keras_1(kernel: Array, shape: tuple[int, ...], *, flipped: bool) -> Array:
    """Keras 1 kept kernels of channels_first models as (filters, channels, rows, columns), Theano's turned round."""
    if kernel.ndim == 4 and len(shape) == 3:
        kernel = kernel if kernel.shape[1] == 1 else np.transpose(kernel, (2, 3, 1, 0))
        kernel = kernel[:, 0]
    elif kernel.shape != shape and kernel.ndim > 2:
        kernel = np.transpose(kernel, (*range(2, kernel.ndim), 1, 0))
    if flipped:
        kernel = kernel[(slice(None, None, -1),) * (kernel.ndim - 2)]
    return np.ascontiguousarray(kernel)


def _merge_gates(saved: list[tuple[str, Array]], layer: Any) -> list[tuple[str, Array]]:
    """Keras 1 kept a kernel, a recurrent kernel and a bias for each gate."""
    inner = type(getattr(layer, "layer", layer)).__name__
    halves = 2 if type(layer).__name__ == "Bidirectional" else 1
    each = len(saved) // halves
    # Keras 1 had the gates in the order i, c, f, o.
    order = {("LSTM", 12): (0, 2, 1, 3), ("GRU", 9): (0, 1, 2), ("ConvLSTM2D", 12): (0, 2, 1, 3)}.get(
        (type(getattr(layer, "forward_layer", layer)).__name__ if halves == 2 else inner, each)
    )
    if order is None:
        return saved
    merged: list[tuple[str, Array]] = []
    for half in range(halves):
        arrays = [array for _, array in saved[half * each : (half + 1) * each]]
        merged += [
            (saved[half * each][0], np.concatenate([arrays[3 * gate + part] for gate in order], axis=-1))
            for part in range(3)
        ]
    return merged


def _scaled(leaf: Any, arrays: list[Array]) -> list[Array]:
    """The weights before a hard_sigmoid, so that Keras 3's gives what the old one gave."""
    kind = type(leaf).__name__
    gates = _hard(getattr(leaf, "recurrent_activation", None))
    own = _hard(getattr(leaf, "activation", None)) and kind != "Activation"
    if not arrays or not (gates or own):
        return arrays
    if kind in ("LSTMCell", "GRUCell") or kind.startswith("ConvLSTM"):
        pieces = 3 if kind == "GRUCell" else 4
        # i f c o and z r h: the candidate has the layer's own activation.
        candidate = 2
        scales = [
            _HARD if (own if piece == candidate else gates) else np.float32(1) for piece in range(pieces)
        ]
        return [
            np.concatenate(
                [part * scale for part, scale in zip(np.split(array, pieces, axis=-1), scales, strict=True)],
                axis=-1,
            )
            for array in arrays
        ]
    # A separable convolution's depthwise kernel comes before the linear step that is scaled.
    first = 1 if kind.startswith("Separable") else 0
    return [*arrays[:first], *(array * _HARD for array in arrays[first:])]


def _hard(activation: Any) -> bool:
    return getattr(activation, "__name__", None) == HARD_SIGMOID


def _variables(layer: Any) -> list[Any]:
    """In the order in which Keras 2 stored them."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _leaves(layer: Any) -> list[Any]:
    return [leaf for leaf in layer._flatten_layers() if _own(leaf)]


def _own(leaf: Any) -> list[Any]:
    return [*leaf._trainable_variables, *leaf._non_trainable_variables]


def _saved(group: Any) -> list[tuple[str, Array]]:
    return [(name, np.asarray(group[name])) for name in _names(group, "weight_names")]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which HDF5 keeps in pieces where it is long."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names: list[str] = []
    piece = 0
    while f"{attribute}{piece}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{piece}"]]
        piece += 1
    return names


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _words(layer: Any) -> str:
    return f"layer '{layer.name}' ({type(layer).__name__})"


def _misfit(what: str) -> Refused:
    return refuse(
        "weights_misfit",
        f"the weights do not fit the model: {what}",
        "model_weights",
        remedy="load it with the Keras that saved it, and save it again",
    )
