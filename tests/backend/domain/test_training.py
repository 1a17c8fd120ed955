"""Which loss, optimizer and labels does a training take, and who said so?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.domain.compiled import (
    LOSSES,
    METRICS,
    OPTIMIZERS,
    Compiled,
    Named,
    compiled_of,
    listed,
    output_activations,
)
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.domain.training import (
    TrainingFacts,
    TrainingPlan,
    choose,
)
from tensortrigger_backend.domain.training_options import TrainingOptions
from tensortrigger_backend.domain.training_points import TrainingPoints, points_of

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "loss", "optimizer", "metrics", "fn", "name", "layers"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def signature(outputs: int = 3, inputs: int = 2, dtype: str = "float32") -> Signature:
    return Signature((TensorSpec("x", dtype, (-1, inputs)),), (TensorSpec("y", "float32", (-1, outputs)),))


def facts(activation: str | None = None, compiled: Compiled | None = None, trainable: int | None = 9) -> Any:
    return TrainingFacts((activation,), trainable, compiled)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mse", "mean_squared_error"),
        ("MeanSquaredError", "mean_squared_error"),
        ("mean_squared_error", "mean_squared_error"),
        ("BinaryCrossentropy", "binary_crossentropy"),
        ("kullback_leibler_divergence", "kl_divergence"),
        ("KLDivergence", "kl_divergence"),
        ("my_loss", None),
        ("__import__", None),
        ("", None),
    ],
)
def test_a_loss_is_known_by_any_of_its_names(written: str, meant: str | None) -> None:
    assert listed(written, LOSSES) == meant


def test_what_a_keras_file_was_compiled_with_is_read_by_name() -> None:
    config = {
        "optimizer": {
            "module": "keras.optimizers",
            "class_name": "SGD",
            "config": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "name": "SGD", "loss": "x"},
        },
        "loss": {
            "module": "keras.losses",
            "class_name": "SparseCategoricalCrossentropy",
            "config": {"from_logits": True, "reduction": "sum_over_batch_size"},
        },
        "metrics": ["accuracy", {"class_name": "function", "config": "mae"}, "mine"],
    }
    assert compiled_of(config) == Compiled(
        {"*": Named("sparse_categorical_crossentropy", {"from_logits": True})},
        Named("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
        ("accuracy", "mean_absolute_error"),
    )


def test_what_an_hdf5_file_was_compiled_with_is_read_by_name() -> None:
    schedule = {"class_name": "ExponentialDecay", "config": {}}
    config = {
        "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": schedule, "epsilon": 1e-7}},
        "loss": {"first": "mse", "second": "bce"},
        "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "acc", "fn": "accuracy"}}]],
    }
    compiled = compiled_of(config)
    assert compiled is not None
    assert compiled.optimizer == Named("adam", {"epsilon": 1e-7})
    assert compiled.metrics == ("accuracy",)
    assert compiled.loss_of(1, "second") == Named("binary_crossentropy")
    assert compiled.loss_of(0, "third") is None
    assert Compiled.from_dict(json.loads(json.dumps(compiled.to_dict()))) == compiled


def test_a_loss_of_the_users_own_is_passed_over() -> None:
    own = {"module": "shop", "class_name": "Asymmetric", "config": {}, "registered_name": "shop>Asymmetric"}
    assert compiled_of({"loss": own}) is None
    # One that is known says nothing of an output whose loss is not.
    assert compiled_of({"loss": ["mse", own]}) is None


@given(JSON)
def test_no_config_whatsoever_breaks_the_reader_or_brings_an_unlisted_name(config: Any) -> None:
    compiled = compiled_of(config)
    if compiled is not None:
        assert {loss.name for loss in compiled.losses.values()} <= set(LOSSES)
        assert compiled.optimizer is None or compiled.optimizer.name in OPTIMIZERS
        assert set(compiled.metrics) <= set(METRICS)
    if isinstance(config, dict):
        assert output_activations(config)


def dense(name: str, activation: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": name, "activation": activation}}


def test_activations_are_read_from_the_config() -> None:
    inner = {"class_name": "Sequential", "config": {"layers": [dense("c", "softmax")], "name": "inner"}}
    sequential = {
        "class_name": "Sequential",
        "config": {"layers": [dense("a", "relu"), dense("b", "sigmoid")]},
    }
    assert output_activations(sequential) == ("sigmoid",)
    functional = {
        "class_name": "Functional",
        "config": {
            "layers": [
                dense("a", {"class_name": "function", "config": "softmax"}),
                dense("b", "linear"),
                inner,
            ],
            "output_layers": {"z": ["b", 0, 0], "k": ["a", 0, 0], "m": ["inner", 0, 0]},
        },
    }
    assert output_activations(functional) == ("softmax", "softmax", "linear")
    functional["config"]["output_layers"] = ["b", 0, 0]
    assert output_activations(functional) == ("linear",)
    functional["config"]["output_layers"] = [["a", 0, 0], ["gone", 0, 0]]
    assert output_activations(functional) == ("softmax", None)


@pytest.mark.parametrize(
    ("activation", "loss", "metrics"),
    [
        ("sigmoid", "binary_crossentropy", ("accuracy",)),
        ("softmax", "categorical_crossentropy", ("accuracy",)),
        ("linear", "mean_squared_error", ("mean_absolute_error",)),
        (None, "mean_squared_error", ("mean_absolute_error",)),
    ],
)
def test_where_the_file_says_nothing_the_outputs_decide(
    activation: str | None, loss: str, metrics: tuple[str, ...]
) -> None:
    choice = choose(TrainingOptions(), facts(activation), signature())
    assert (choice.losses[0].name, choice.metrics) == (loss, metrics)
    assert choice.optimizer == Named("adam", {"learning_rate": 0.001})
    assert set(choice.sources.values()) == {"inferred"}


def test_the_request_comes_before_the_file_and_the_file_before_a_guess() -> None:
    compiled = Compiled({"*": Named("huber", {"delta": 2.0})}, Named("sgd", {"momentum": 0.9}), ("auc",))
    choice = choose(TrainingOptions(learning_rate=0.5), facts("sigmoid", compiled), signature(1))
    assert choice.losses == (Named("huber", {"delta": 2.0}),)
    assert choice.optimizer == Named("sgd", {"momentum": 0.9, "learning_rate": 0.5})
    assert choice.metrics == ("auc",)
    assert choice.sources == {
        "loss": "file",
        "optimizer": "file",
        "metrics": "file",
        "learning_rate": "request",
    }
    choice = choose(TrainingOptions(loss="hinge", optimizer="adam"), facts("sigmoid", compiled), signature(1))
    assert (choice.losses, choice.optimizer.name) == ((Named("hinge"),), "adam")
    assert (choice.sources["loss"], choice.sources["metrics"]) == ("request", "inferred")


def test_a_model_without_anything_to_train_is_refused() -> None:
    with pytest.raises(InvalidInput, match="none of its weights"):
        choose(TrainingOptions(), facts(trainable=0), signature())
    # An artifact of before does not tell; its child will.
    assert choose(TrainingOptions(), facts(trainable=None), signature())
    whole = Signature(signature().inputs, (TensorSpec("y", "int64", (-1, 1)),))
    with pytest.raises(InvalidInput, match="int64"):
        choose(TrainingOptions(), facts(), whole)


def pointed(
    body: dict[str, Any],
    activation: str | None = None,
    of: Signature | None = None,
    schema: VectorSchema | None = None,
    compiled: Compiled | None = None,
) -> tuple[TrainingPoints, TrainingPlan]:
    options = TrainingOptions.parse(body)
    of = of or signature()
    choice = choose(options, facts(activation, compiled), of)
    points = points_of(body, of, schema, schema or VectorSchema.inferred(of), choice)
    return points, choice.planned(options, of, points.count, points.indexed, seed=1)


def faults_of(body: dict[str, Any], *rest: Any) -> list[tuple[str, int | None]]:
    with pytest.raises(InvalidInput) as caught:
        pointed(body, *rest)
    return [(fault.code, fault.row) for fault in caught.value.faults]


@pytest.mark.parametrize("labels", [[0, 2, 1], [[0], [2], [1]], [0.0, 2.0, 1.0]])
def test_class_numbers_are_learned_with_the_sparse_twin(labels: Any) -> None:
    logits = Compiled({"*": Named("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.1})})
    body = {"input_vectors": [[1, 2]] * 3, "output_vectors": labels}
    points, plan = pointed(body, "linear", None, None, logits)
    assert points.indexed == (True,)
    np.testing.assert_array_equal(points.targets[0], np.array([[0], [2], [1]], np.int32))
    assert plan.losses == (Named("sparse_categorical_crossentropy", {"from_logits": True}),)


def test_a_number_a_class_is_learned_with_the_dense_twin() -> None:
    sparse = Compiled(
        {"*": Named("sparse_categorical_crossentropy")}, metrics=("sparse_categorical_accuracy",)
    )
    body = {"input_vectors": [[1, 2]], "output_vectors": [[0, 1, 0]]}
    points, plan = pointed(body, "softmax", None, None, sparse)
    assert (plan.losses[0].name, plan.metrics) == ("categorical_crossentropy", ("categorical_accuracy",))
    assert points.targets[0].dtype == np.float32
    assert TrainingPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_faults_of_labels_name_their_rows() -> None:
    rows = {"input_vectors": [[1, 2]] * 3}
    assert faults_of({**rows, "output_vectors": [0, 3, 1.5]}, "softmax") == [
        ("unknown_class", 1),
        ("unknown_class", 2),
    ]
    assert faults_of({**rows, "output_vectors": [1, 2, 3]}, "linear") == [("length", row) for row in range(3)]
    assert faults_of({**rows, "output_vectors": [[1, 2, 3], "a", [1, 2, True]]}) == [
        ("vector_type", 1),
        ("not_a_number", 2),
    ]
    assert faults_of({**rows, "output_vectors": [[1, 2, 3], [0, 0, 2]]}, "softmax") == [
        ("count_mismatch", None)
    ]
    assert faults_of({**rows, "output_vectors": [[0, 0, 1], [0, 0, 2], [1, 0, 0]]}, "softmax") == [
        ("out_of_range", 1)
    ]


def test_named_outputs_are_put_in_the_order_of_the_schema() -> None:
    schema = VectorSchema.parse(
        {
            "input_schema": {"a": {"var_type": "INT", "index": 0}, "b": {"var_type": "FLOAT", "index": 1}},
            "output_schema": {
                name: {"var_type": "FLOAT", "index": place} for place, name in enumerate("pqr")
            },
        }
    )
    body = {"input_vectors": [{"b": 2.5, "a": 1}], "output_vectors": [{"r": 3, "p": 1, "q": 2}]}
    points, _ = pointed(body, None, None, schema)
    np.testing.assert_array_equal(points.inputs[0], np.array([[1, 2.5]], np.float32))
    np.testing.assert_array_equal(points.targets[0], np.array([[1, 2, 3]], np.float32))
    wrong = {"input_vectors": [{"b": 2.5, "a": 1.5}], "output_vectors": [[1, 2, 3]]}
    assert faults_of(wrong, None, None, schema) == [("not_an_integer", 0)]


def test_a_model_of_whole_numbers_learns_from_no_fraction() -> None:
    schema = VectorSchema.parse(
        {"a": {"var_type": "FLOAT", "index": 0}, "b": {"var_type": "FLOAT", "index": 1}}
    )
    body = {"input_vectors": [[1, 2.5]], "output_vectors": [[1, 2, 3]]}
    assert faults_of(body, None, signature(dtype="int32"), schema) == [("not_an_integer", 0)]
    body["input_vectors"] = [[1, 2]]
    points, _ = pointed(body, None, signature(dtype="int32"), schema)
    assert points.inputs[0].dtype == np.int32


def test_tensors_are_labelled_by_tensors_or_by_class_numbers() -> None:
    several = Signature(
        (TensorSpec("left", "float32", (-1, 2, 2)), TensorSpec("right", "string", (-1, 1))),
        (TensorSpec("tags", "float32", (-1, 2, 4)), TensorSpec("price", "float32", (-1, 1))),
    )
    body: dict[str, Any] = {
        "inputs": {"left": [[[1, 2], [3, 4]]], "right": [["text"]]},
        "outputs": {"tags": [[3, 0]], "price": [[2.5]]},
        "loss": None,
    }
    choice = choose(TrainingOptions(), TrainingFacts(("softmax", "linear")), several)
    points = points_of(body, several, None, None, choice)
    assert points.indexed == (True, False)
    assert points.targets[0].tolist() == [[[3], [0]]]
    body["outputs"]["tags"] = [[4, 0]]
    with pytest.raises(InvalidInput, match="Row 0: output 'tags' has no class 4"):
        points_of(body, several, None, None, choice)
    body["outputs"]["tags"] = [[[1, 0, 0, 0]]]
    with pytest.raises(InvalidInput, match="Output 'tags' has shape"):
        points_of(body, several, None, None, choice)


def test_the_last_points_are_held_back_as_keras_does() -> None:
    body: dict[str, Any] = {"input_vectors": [[1, 2]] * 10, "output_vectors": [[1, 2, 3]] * 10, "epochs": 3}
    _, plan = pointed({**body, "validation_split": 0.25, "batch_size": 4})
    assert (plan.training_points, plan.steps_per_epoch, plan.points) == (7, 2, 10)
    _, plan = pointed(body)
    assert (plan.training_points, plan.batch_size, plan.epochs) == (10, 10, 3)
    assert faults_of({**body, "validation_split": 0.95}) == [("validation_split", None)]
