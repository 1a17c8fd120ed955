"""Where in a Keras model can marshalled code lie? A Lambda or a lambda in every nesting that Keras reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.keras_files import (
    Config,
    Shapes,
    archive,
    bare,
    dense,
    entrance,
    functional,
    hdf5,
    mapping,
    of,
    rescaling,
    sequential,
)
from hostile_corpus.payloads import calling, lambda_layer, lambda_value, shelling, writing

Place = Callable[[Config, Config], Config]
"""Puts a hidden layer or a hidden function somewhere into a model."""

_PROGRAM = ("forbidden_layer", "unlisted_class")
_KERNEL = {"layers/dense/vars/0": (3, 2)}
_CELL = {"kernel": (3, 2), "recurrent": (2, 2), "bias": (2,)}
_STEPS = (4, 3)
_OWN_ONLY = "this Keras looks such a name up among its own only, and takes no lambda"


def artifacts() -> list[Artifact]:
    """Each place by itself, with payloads that differ."""
    found = [
        _keras("lambda", lambda layer, _: sequential(entrance(), layer)),
        _keras("lambda-in-functional", lambda layer, _: functional(layer)),
        _keras(
            "lambda-in-functional-in-sequential",
            lambda layer, _: sequential(entrance(), functional(layer, "inner")),
            payload=shelling,
        ),
        _keras(
            "lambda-five-models-deep",
            lambda layer, _: _nested(layer, 5),
            payload=calling,
            effect=Effect.CONNECTS,
        ),
        _keras(
            "lambda-in-time-distributed",
            lambda layer, _: sequential(entrance(_STEPS), of("TimeDistributed", layer=layer)),
        ),
        _keras(
            "lambda-as-output-shape",
            lambda layer, _: sequential(entrance(), _output_shape(layer)),
        ),
        _keras("lambda-as-activation", lambda _, f: sequential(entrance(), of("Activation", activation=f))),
        _keras("lambda-as-activation-of-dense", _dense_with("activation"), _KERNEL),
        *(
            _keras(f"lambda-as-{role}", _dense_with(role), _KERNEL, effect=Effect.STRUCTURE, why=_OWN_ONLY)
            for role in ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
        ),
        _keras(
            "lambda-in-wrapped-dense",
            lambda _, f: sequential(
                entrance(), of("SpectralNormalization", layer=dense(activation=f, name="dense"))
            ),
            {
                "layers/spectral_normalization/vars/0": (3, 2),
                "layers/spectral_normalization/vars/1": (1, 2),
                "layers/spectral_normalization/layer/vars/0": (3, 2),
            },
        ),
        _keras("lambda-in-rnn-cell", _rnn("cell"), _cells("layers/rnn/cell")),
        _keras("lambda-in-stacked-cells", _rnn("stacked"), _cells("layers/rnn/cell/cells/simple_rnn_cell")),
        _keras(
            "lambda-in-bidirectional",
            _bidirectional,
            _cells("layers/bidirectional/forward_layer/cell")
            | _cells("layers/bidirectional/backward_layer/cell"),
            effect=Effect.STRUCTURE,
            why="Bidirectional copies its layers through their configs, which a lambda does not survive",
        ),
        _keras("lambda-as-loss", _compiled("loss"), _KERNEL, payload=calling, effect=Effect.CONNECTS),
        _keras("lambda-as-metric", _compiled("metric"), _KERNEL),
        _keras("lambda-as-learning-rate", _compiled("optimizer"), _KERNEL),
        _keras("lambda-in-inbound-nodes", _inbound),
        _keras(
            "lambda-as-text-standardizer",
            lambda _, f: sequential(
                entrance((1,), "string"),
                of("TextVectorization", standardize=f, split="whitespace", ngrams=None, vocabulary=["a"]),
            ),
        ),
        _keras(
            "lambda-in-build-config",
            lambda layer, _: sequential(
                entrance(), rescaling() | {"build_config": {"input_shape": [None, 3], "extra": layer}}
            ),
            effect=Effect.STRUCTURE,
            why="this Keras reads only the shapes of a build_config; another version may read more",
        ),
        _hdf5("lambda", lambda layer, _: sequential(entrance(), layer)),
        _hdf5(
            "lambda-of-keras-2",
            lambda layer, _: sequential(entrance(), _as_keras_2(layer)),
            payload=shelling,
        ),
        _hdf5(
            "lambda-in-functional-in-sequential",
            lambda layer, _: sequential(entrance(), sequential(entrance(), layer, name="inner")),
            payload=calling,
            effect=Effect.CONNECTS,
        ),
        _hdf5(
            "lambda-in-time-distributed",
            lambda layer, _: sequential(entrance(_STEPS), of("TimeDistributed", layer=layer)),
            strip=False,
        ),
        _hdf5("lambda-as-activation", lambda _, f: sequential(entrance(), of("Activation", activation=f))),
    ]
    for role in ("loss", "metric", "optimizer"):
        found.append(_hdf5_training(role))
    return found


def _keras(
    name: str,
    place: Place,
    shapes: Shapes | None = None,
    payload: Callable[[Traps, str], str] = writing,
    effect: Effect = Effect.RUNS_CODE,
    why: str = "",
) -> Artifact:
    full = f"keras/{name}"

    def build(traps: Traps) -> bytes:
        source = payload(traps, full)
        return archive(place(lambda_layer(source), lambda_value(source)), shapes)

    return Artifact(full, effect, build, _PROGRAM, why=why)


def _hdf5(
    name: str,
    place: Place,
    payload: Callable[[Traps, str], str] = writing,
    effect: Effect = Effect.RUNS_CODE,
    strip: bool = True,
) -> Artifact:
    full = f"hdf5/{name}"

    def build(traps: Traps) -> bytes:
        source = payload(traps, full)
        config = place(lambda_layer(source), lambda_value(source))
        return hdf5(bare(config) if strip else config)

    return Artifact(full, effect, build, _PROGRAM)


def _hdf5_training(role: str) -> Artifact:
    full = f"hdf5/lambda-as-{role}"

    def build(traps: Traps) -> bytes:
        function = lambda_value(writing(traps, full))
        rate = {"learning_rate": function if role == "optimizer" else 0.1}
        wrapped = {"class_name": "MeanMetricWrapper", "config": {"name": "m", "fn": function}}
        loss = {"class_name": "LossFunctionWrapper", "config": {"name": "l", "fn": function}}
        training = {
            "loss": loss if role == "loss" else "mean_squared_error",
            "metrics": [wrapped] if role == "metric" else [],
            "weighted_metrics": None,
            "loss_weights": None,
            "optimizer_config": {"class_name": "SGD", "config": rate},
        }
        return hdf5(bare(sequential(entrance(), dense())), training, {"dense": (3, 2)})

    return Artifact(full, Effect.RUNS_CODE, build, _PROGRAM)


def _nested(layer: Config, depth: int) -> Config:
    model = functional(layer, "innermost")
    for level in range(depth - 1):
        model = sequential(entrance(), model, name=f"around_{level}")
    return model


def _output_shape(layer: Config) -> Config:
    hidden = layer["config"].pop("function")
    relu = {"module": "keras.activations", "class_name": "function", "config": "relu"}
    layer["config"] |= {"function": relu | {"registered_name": "relu"}, "output_shape": hidden}
    return layer


def _dense_with(role: str) -> Place:
    return lambda _, f: sequential(entrance(), dense(**{role: f}))


def _cells(prefix: str) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}/vars/{place}": shape for place, shape in enumerate(_CELL.values())}


def _rnn(kind: str) -> Place:
    def place(_: Config, function: Config) -> Config:
        cell = of("SimpleRNNCell", units=2, activation=function)
        if kind == "stacked":
            cell = of("StackedRNNCells", cells=[cell])
        return sequential(entrance(_STEPS), of("RNN", cell=cell))

    return place


def _bidirectional(_: Config, function: Config) -> Config:
    def one(name: str, backwards: bool) -> Config:
        return of("SimpleRNN", name=name, units=2, activation=function, go_backwards=backwards)

    return sequential(
        entrance(_STEPS),
        of("Bidirectional", layer=one("there", False), backward_layer=one("back", True), merge_mode="concat"),
    )


def _compiled(role: str) -> Place:
    def place(_: Config, function: Config) -> Config:
        rate: Any = function if role == "optimizer" else 0.1
        metric = of("MeanMetricWrapper", "keras.metrics", name="m", fn=function)
        return sequential(entrance(), dense()) | {
            "compile_config": {
                "optimizer": of("SGD", "keras.optimizers", learning_rate=rate),
                "loss": function if role == "loss" else "mse",
                "metrics": [metric] if role == "metric" else None,
                "loss_weights": None,
                "run_eagerly": True,
            }
        }

    return place


def _inbound(_: Config, function: Config) -> Config:
    return mapping(function)


def _as_keras_2(layer: Config) -> Config:
    code = layer["config"]["function"]["config"]["code"]
    layer["config"] |= {"function": [code, None, None], "function_type": "lambda"}
    return layer
