"""What is this layer of Keras 1 or 2 called in Keras 3, and what became of its arguments?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tensortrigger_backend.forge.doctor.names import RENAMED
from tensortrigger_backend.forge.doctor.notes import Notes, Path, layer_words
from tensortrigger_backend.forge.keras import allow_list

LAYERS = "keras.layers"

_KERNEL = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_CONV = _KERNEL | {
    "nb_filter": "filters",
    "subsample": "strides",
    "subsample_length": "strides",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate",
}
_RECURRENT = _KERNEL | {
    "output_dim": "units",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
_POOL = {
    "pool_length": "pool_size",
    "stride": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
}
_CONVOLUTIONS = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D"),
)
_RECURRENTS = ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
_OLD_NAMES: dict[str, Mapping[str, str]] = {
    "Dense": _KERNEL | {"output_dim": "units"},
    **dict.fromkeys(_CONVOLUTIONS, _CONV),
    **dict.fromkeys(_RECURRENTS, _RECURRENT),
    **dict.fromkeys(("ConvLSTM2D",), _CONV | _RECURRENT | {"nb_filter": "filters"}),
    **{f"{kind}Pooling{rank}D": _POOL for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Global{kind}Pooling{rank}D": _POOL for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{
        f"{kind}{rank}D": {"dim_ordering": "data_format", "length": "size"}
        for kind in ("UpSampling",)
        for rank in (1, 2, 3)
    },
    **{
        f"{kind}{rank}D": {"dim_ordering": "data_format"}
        for kind in ("Cropping", "ZeroPadding")
        for rank in (1, 2, 3)
    },
    "BatchNormalization": {"gamma_init": "gamma_initializer", "beta_init": "beta_initializer"},
    "CategoryEncoding": {"max_tokens": "num_tokens"},
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "PReLU": {"init": "alpha_initializer"},
    "ReLU": {"theta": "threshold"},
}
_OLD_VALUES = {
    ("data_format", "tf"): "channels_last",
    ("data_format", "th"): "channels_first",
    ("data_format", "default"): None,
    ("output_mode", "binary"): "multi_hot",
    ("output_mode", "tf-idf"): "tf_idf",
    ("padding", "full"): "full",
}
_ANY: Any = object()
# Arguments that Keras 3 has no more: with these values they change nothing.
_DROPPED: dict[str, tuple[Any, ...]] = {
    "adjustment": (None,),
    "batch_input_shape": (_ANY,),
    "consume_less": (_ANY,),
    "dynamic": (False, None),
    "forget_bias_init": (_ANY,),
    "fused": (_ANY,),
    "implementation": (_ANY,),
    "input_dtype": (_ANY,),
    "input_length": (_ANY,),
    "renorm": (False, None),
    "renorm_clipping": (None, _ANY),
    "renorm_momentum": (_ANY,),
    "rng_type": (_ANY,),
    "softmax_robust_masking": (False, None),
    "time_major": (False, None),
    "type_spec": (None,),
    "virtual_batch_size": (None,),
}
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_DEPTHWISE = ("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
_SPATIAL = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
_OF_KIND: dict[str, dict[str, tuple[Any, ...]]] = {
    **{key: {"groups": (1,)} for key in (*_TRANSPOSED, *_DEPTHWISE)},
    **{
        key: {"noise_shape": (_ANY,), "trainable": (_ANY,)}
        for key in ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
    },
    **{key: {"vocabulary_size": (_ANY,)} for key in ("StringLookup", "IntegerLookup", "TextVectorization")},
    "BatchNormalization": {"mode": (0,)},
    "Dense": {"input_dim": (_ANY,)},
    "Discretization": {"trainable": (_ANY,)},
    "Embedding": {"dropout": (_ANY,)},
    "Identity": {"factor": (_ANY,), "interpolation": (_ANY,), "seed": (_ANY,)},
    "MultiHeadAttention": {"query_shape": (_ANY,), "key_shape": (_ANY,), "value_shape": (_ANY,)},
    **{key: {"input_dim": (_ANY,)} for key in _RECURRENTS},
}
_KERNEL_OF_ANOTHER = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_SCALED = ("Dense", "SimpleRNN", "SimpleRNNCell", "GRU", "GRUCell", "EinsumDense", *_CONVOLUTIONS)
_INTEGER = re.compile(r"u?int\d+$|bool$|string$")
_TAKE_INTEGERS = (
    *("InputLayer", "StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"),
    *("Discretization", "CategoryEncoding", "Rescaling", "Resizing", "CenterCrop", "Activation", "Lambda"),
)
HARD_SIGMOID = "hard_sigmoid"


def mend_arguments(kind: str, config: dict[str, Any], notes: Notes, path: Path) -> str:
    """Bring one layer's own arguments up to date, in place; wrapped layers are not looked at.

    Returns:
        the layer's class in Keras 3.
    """
    where = layer_words(config.get("name"), kind)
    new = RENAMED.get(kind, kind)
    _before_renaming(kind, config)
    if new != kind:
        notes.changed(path, where, f"{kind} is {new} in Keras 3{_why(kind)}")
    _join_sizes(new, config, notes, (path, where))
    for old, name in _OLD_NAMES.get(new, {}).items():
        if old in config:
            value = config.pop(old)
            if name not in config:
                config[name] = value
            notes.changed((*path, "config", old), where, f"the argument {old} is called {name}")
    _old_values(new, config, notes, path, where)
    _drop(new, config, notes, path, where)
    if isinstance(config.get("dtype"), str) and _INTEGER.match(config["dtype"]) and new not in _TAKE_INTEGERS:
        del config["dtype"]
        notes.changed(
            (*path, "config", "dtype"), where, "its dtype, which was that of its input, is left out"
        )
    if new in ("GRU", "GRUCell") and "reset_after" not in config:
        config["reset_after"] = kind == "CuDNNGRU"
        notes.changed(path, where, "reset_after is False, as it was before the argument came")
    axis = config.get("axis")
    if new == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
        notes.changed((*path, "config", "axis"), where, "an axis in a list is written as a number")
    _note_hard_sigmoid(new, config, notes, path, where)
    return new


def mend_values(config: dict[str, Any], notes: Notes, path: Path, where: str) -> None:
    """Say of each initializer, regularizer, constraint, policy and activation where in Keras it is, in place."""
    for key, value in list(config.items()):
        if key.endswith("_initializer"):
            config[key] = _plain_part(
                key, value, "keras.initializers", _INITIALIZERS, notes, (*path, key), where
            )
        elif key.endswith("_regularizer"):
            config[key] = _plain_part(
                key, value, "keras.regularizers", _REGULARIZERS, notes, (*path, key), where
            )
        elif key.endswith("_constraint"):
            config[key] = _plain_part(
                key, value, "keras.constraints", _CONSTRAINTS, notes, (*path, key), where
            )
        elif key == "dtype" and isinstance(value, Mapping):
            config[key] = _policy(value)
            notes.changed((*path, key), where, "the dtype policy is written as Keras 3 writes it")
        elif key.endswith("activation") and isinstance(value, dict) and "module" not in value:
            # A layer in the place of a function.
            name = value.get("class_name")
            if isinstance(name, str) and name in allow_list.LAYERS and isinstance(value.get("config"), dict):
                mend_arguments(name, value["config"], notes, (*path, key))
                value["module"] = LAYERS


def _before_renaming(kind: str, config: dict[str, Any]) -> None:
    if kind in ("CuDNNLSTM", "CuDNNGRU"):
        config["recurrent_activation"] = "sigmoid"
        config["activation"] = "tanh"
    if kind == "ThresholdedReLU":
        config.setdefault("theta", 1.0)


def _why(kind: str) -> str:
    if kind in ("RandomHeight", "RandomWidth"):
        return ", which has nothing of this kind: it only ever acted in training"
    if kind.startswith("CuDNN"):
        return "; its weights are put into the order of the plain layer"
    return ""


def _join_sizes(kind: str, config: dict[str, Any], notes: Notes, at: tuple[Path, str]) -> None:
    """Keras 1 named the sides of a kernel one by one."""
    for sides in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if all(side in config for side in sides):
            config["kernel_size"] = [config.pop(side) for side in sides]
            notes.changed(at[0], at[1], f"{' and '.join(sides)} are the kernel_size")
    if kind.endswith("Conv1D") or kind == "Conv1D":
        for name in ("filter_length",):
            if isinstance(config.get(name), int):
                config["kernel_size"] = [config.pop(name)]
                notes.changed(at[0], at[1], f"the argument {name} is called kernel_size")


def _old_values(kind: str, config: dict[str, Any], notes: Notes, path: Path, where: str) -> None:
    for key in ("data_format", "output_mode"):
        value = config.get(key)
        if isinstance(value, str) and (key, value) in _OLD_VALUES:
            config[key] = _OLD_VALUES[key, value]
            notes.changed((*path, "config", key), where, f"{key} '{value}' is written '{config[key]}'")
    if kind.endswith("Lookup") and isinstance(config.get("vocabulary"), Mapping):
        items = config["vocabulary"].get("items")
        config["vocabulary"] = items if isinstance(items, list) else config["vocabulary"]


def _drop(kind: str, config: dict[str, Any], notes: Notes, path: Path, where: str) -> None:
    rules = {**_DROPPED, **_OF_KIND.get(kind, {})}
    if kind in _DEPTHWISE:
        rules |= dict.fromkeys(_KERNEL_OF_ANOTHER, (_ANY,))
    if kind.startswith("Depthwise"):
        rules |= {"filters": (_ANY,)}
    for key in [key for key in config if key in rules]:
        here = (*path, "config", key)
        value = config.pop(key)
        if _ANY in rules[key] or value in rules[key]:
            notes.changed(here, where, f"the argument {key}, which Keras 3 does not have, is left out")
        else:
            notes.refused(
                here,
                "keras_2_argument",
                f"{where} has {key}={str(value)[:40]}, which Keras 3 cannot do",
                f"rebuild the layer without {key} in a current Keras, copy its weights and save it as .keras",
            )


def _note_hard_sigmoid(kind: str, config: Mapping[str, Any], notes: Notes, path: Path, where: str) -> None:
    gates, own = config.get("recurrent_activation") == HARD_SIGMOID, config.get("activation") == HARD_SIGMOID
    if gates or (own and kind in _SCALED):
        notes.changed(
            path,
            where,
            "hard_sigmoid was clip(0.2 x + 0.5) before Keras 3 and is clip(x / 6 + 0.5) since: "
            "the weights before it are multiplied by 1.2, which gives the old answers",
        )
    elif own and kind != "Activation":
        notes.refused(
            (*path, "config", "activation"),
            "hard_sigmoid",
            f"{where} uses hard_sigmoid, which is another function in Keras 3 than in the Keras that saved this",
            "rebuild the layer with sigmoid in a current Keras and train it again",
        )


_SEED = ("seed",)
_INITIALIZERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Zeros", "Ones", "zeros", "ones"), ()),
    "Constant": ("value",),
    "Identity": ("gain",),
    "Orthogonal": ("gain", "seed"),
    "RandomNormal": ("mean", "stddev", "seed"),
    "RandomUniform": ("minval", "maxval", "seed"),
    "TruncatedNormal": ("mean", "stddev", "seed"),
    "VarianceScaling": ("scale", "mode", "distribution", "seed"),
    **dict.fromkeys(
        ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"), _SEED
    ),
}
_REGULARIZERS: dict[str, tuple[str, ...]] = {"L1": ("l1",), "L2": ("l2",), "L1L2": ("l1", "l2")}
_CONSTRAINTS: dict[str, tuple[str, ...]] = {
    "MaxNorm": ("max_value", "axis"),
    "MinMaxNorm": ("min_value", "max_value", "rate", "axis"),
    "NonNeg": (),
    "UnitNorm": ("axis",),
}
_TEXTS = allow_list.INITIALIZERS | allow_list.REGULARIZERS | allow_list.CONSTRAINTS


_SHORT = {"normal": "random_normal", "uniform": "random_uniform", "zero": "zeros", "one": "ones"}


def _plain_part(
    key: str,
    value: Any,
    module: str,
    arguments: Mapping[str, tuple[str, ...]],
    notes: Notes,
    path: Path,
    where: str,
) -> Any:
    """The part by its listed name and arguments; one of the user's own only ever matters in training."""
    if isinstance(value, str):
        value = _SHORT.get(value, value)
    if value is None or (isinstance(value, str) and value in _TEXTS):
        return value
    if isinstance(value, Mapping):
        name, config = value.get("class_name"), value.get("config")
        if name in allow_list.PROGRAMS:
            return dict(value)
        if isinstance(name, str) and name in arguments and isinstance(config, Mapping):
            kept = {argument: config[argument] for argument in arguments[name] if argument in config}
            if kept.get("distribution") == "normal":
                kept["distribution"] = "truncated_normal"
            return {"module": module, "class_name": name, "config": kept, "registered_name": None}
    role = key.rsplit("_", 1)[-1]
    notes.changed(
        path, where, f"the {role}, which is not one of Keras 3's, is left out: it only ever acted in training"
    )
    return "zeros" if role == "initializer" else None


def _policy(value: Mapping[str, Any]) -> Any:
    config = value.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return name if isinstance(name, str) else dict(value)
