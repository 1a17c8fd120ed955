"""What does the doctor make of the config of an old file, without Keras?"""

from __future__ import annotations

from typing import Any

import pytest

from tensortrigger_backend.forge.doctor.configs import Healed, heal, heal_hdf5, heal_training, is_old
from tensortrigger_backend.forge.keras.config_walk import check_config
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused

PATH = ("model_config",)


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "m", "layers": list(layers)}}


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def first(kind: str, **config: Any) -> dict[str, Any]:
    return layer(kind, batch_input_shape=[None, 4, 3], **config)


def functional(*layers: dict[str, Any], last: str) -> dict[str, Any]:
    entry = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4]}}
    return {
        "class_name": "Model",
        "config": {
            "name": "m",
            "layers": [{**entry, "name": "x", "inbound_nodes": []}, *layers],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[last, 0, 0]],
        },
    }


def op(function: str, *node: Any) -> dict[str, Any]:
    name = f"tf.{function}"
    return {
        "class_name": "TFOpLambda",
        "name": name,
        "config": {"name": name, "function": function},
        "inbound_nodes": [list(node)],
    }


def healed(config: dict[str, Any]) -> Healed:
    result = heal(config, PATH)
    check_config(result.config, Limits(), qualified=True, path=PATH)
    return result


def layers_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = healed(config).config["config"]["layers"]
    return found


def fault_of(config: dict[str, Any]) -> Any:
    with pytest.raises(Refused) as caught:
        heal(config, PATH)
    return caught.value.faults[0]


@pytest.mark.parametrize(
    ("version", "old"),
    [
        (None, True),
        ("1.2.2", True),
        ("2.2.4-tf", True),
        ("2.15.0", True),
        ("3.0.0", False),
        ("3.15.1", False),
    ],
)
def test_a_file_is_old_by_the_version_that_wrote_it(version: str | None, old: bool) -> None:
    assert is_old(version) is old


def test_a_config_of_keras_3_is_left_as_it_is() -> None:
    assert heal_hdf5(sequential(layer("Dense", units=2)), "3.15.1", PATH) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (first("Dense", output_dim=2, init="normal"), {"units": 2, "kernel_initializer": "random_normal"}),
        (first("LSTM", output_dim=2, inner_activation="tanh"), {"units": 2, "recurrent_activation": "tanh"}),
        (first("Convolution1D", nb_filter=2, filter_length=3), {"filters": 2, "kernel_size": [3]}),
        (first("MaxPooling1D", pool_length=2, stride=2), {"pool_size": 2, "strides": 2}),
        (first("Dropout", p=0.5), {"rate": 0.5}),
        (first("BatchNormalization", axis=[2]), {"axis": 2}),
        (first("LeakyReLU", alpha=0.1), {"negative_slope": 0.1}),
        (first("GRU", units=2, time_major=False, implementation=1), {"units": 2, "reset_after": False}),
        (
            first("Dense", units=2, dtype={"class_name": "Policy", "config": {"name": "float16"}}),
            {"dtype": "float16"},
        ),
        (first("UpSampling1D", length=2), {"size": 2}),
        (first("GaussianNoise", sigma=0.1), {"stddev": 0.1}),
    ],
)
def test_an_old_argument_gets_its_present_name(old: dict[str, Any], new: dict[str, Any]) -> None:
    config = layers_of(sequential(old))[1]["config"]
    config.pop("name")
    assert new.items() <= config.items()
    assert not {"output_dim", "time_major", "implementation", "batch_input_shape"} & set(config)


def test_the_repairs_name_the_place_and_count_the_layers() -> None:
    result = healed(
        sequential(first("LSTM", units=2, time_major=False), layer("GRU", units=2, time_major=False))
    )
    told = {repair.message: repair.path for repair in result.repairs}
    message = (
        "layer 'lstm' (LSTM) and 1 more: the argument time_major, which Keras 3 does not have, is left out."
    )
    assert told[message] == "model_config/config/layers/0/config/time_major"


def test_a_bare_list_of_layers_is_a_sequential_model_with_an_input() -> None:
    entries = layers_of({"class_name": "Sequential", "config": [first("Dense", units=2)]})
    assert [entry["class_name"] for entry in entries] == ["InputLayer", "Dense"]
    assert entries[0]["config"]["batch_shape"] == [None, 4, 3]


def test_a_fixed_batch_is_freed_unless_a_layer_keeps_its_state() -> None:
    for stateful, rows in ((False, None), (True, 8)):
        entry = layer("LSTM", batch_input_shape=[8, 4, 3], units=2, stateful=stateful)
        assert layers_of(sequential(entry))[0]["config"]["batch_shape"][0] == rows


def test_tensorflow_functions_become_keras_ops_with_their_arguments() -> None:
    config = functional(
        op("math.multiply", "x", 0, 0, {"y": 2.0, "name": None}),
        op("reshape", "tf.math.multiply", 0, 0, {"shape": [-1, 2, 2]}),
        op("math.subtract", "_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.reshape", 0, 0]}),
        last="tf.math.subtract",
    )
    _, times, reshape, minus = layers_of(config)
    assert (times["class_name"], times["inbound_nodes"][0]["args"][1]) == ("Multiply", 2.0)
    assert reshape["config"]["newshape"] == [-1, 2, 2]
    assert minus["inbound_nodes"][0]["args"][0] == 1.0
    assert minus["inbound_nodes"][0]["args"][1]["config"]["keras_history"] == ["tf.reshape", 0, 0]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("py_function", {}),
        ("io.read_file", {}),
        ("io.write_file", {"contents": "x"}),
        ("raw_ops.add", {"y": 1.0}),
        ("reshape", {"shape": [["x", 0, 0], 2]}),
        ("math.reduce_sum", {"axis": 1, "other": 2}),
    ],
)
def test_a_function_that_is_not_in_the_table_is_refused_by_name(function: str, arguments: Any) -> None:
    fault = fault_of(functional(op(function, "x", 0, 0, arguments), last=f"tf.{function}"))
    assert fault.code == "tensorflow_function"
    assert f"tf.{function}" in fault.message
    assert fault.loc == ("model_content", "model_config", "config", "layers", 1)
    assert "keras.ops" in fault.remedy


def test_a_layer_without_a_counterpart_is_refused_with_what_to_do() -> None:
    fault = fault_of(sequential(first("LocallyConnected1D", filters=2)))
    assert fault.code == "keras_2_layer"
    assert "EinsumDense" in fault.remedy


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        heal(sequential(first("GRU", units=2, time_major=True), layer("MaxoutDense"), layer("Highway")), PATH)
    assert [fault.code for fault in caught.value.faults] == [
        "keras_2_argument",
        "keras_2_layer",
        "keras_2_layer",
    ]


def test_what_only_training_needs_is_left_out_when_it_is_of_the_users_own() -> None:
    own = {"class_name": "Ours", "config": {"strength": 3}}
    result = healed(sequential(first("Dense", units=2, kernel_regularizer=own, kernel_initializer=own)))
    config = result.config["config"]["layers"][1]["config"]
    assert (config["kernel_regularizer"], config["kernel_initializer"]) == (None, "zeros")
    assert any("only ever acted in training" in repair.message for repair in result.repairs)


def test_nothing_of_another_module_gets_through_the_doctor() -> None:
    gadget = {"module": "os", "class_name": "Dense", "config": {"name": "d", "command": "id"}}
    for place in (gadget, first("TimeDistributed", layer=gadget), first("Dense", units=1, extra=[gadget])):
        with pytest.raises(Refused):
            healed(sequential(place, layer("Dense", units=1)))


def test_a_name_with_a_slash_is_written_without_it_wherever_it_is_referred_to() -> None:
    dense = {**layer("Dense", units=1), "name": "a/b", "inbound_nodes": [[["x", 0, 0, {}]]]}
    dense["config"]["name"] = "a/b"
    config = healed(functional(dense, last="a/b")).config["config"]
    assert config["layers"][1]["config"]["name"] == "a_b"
    assert config["output_layers"] == [["a_b", 0, 0]]


def test_the_old_name_of_the_learning_rate_is_understood() -> None:
    training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.01}}}
    assert heal_training(training)["optimizer_config"]["config"]["learning_rate"] == 0.01


def test_the_doctor_leaves_what_it_was_given_unchanged() -> None:
    config = sequential(first("Dense", output_dim=2))
    heal(config, PATH)
    assert config == sequential(first("Dense", output_dim=2))


def test_a_config_that_nests_without_end_is_refused() -> None:
    config = sequential(first("Dense", units=1))
    for _ in range(3000):
        config = sequential(config)
    assert fault_of(config).code == "too_deep"
