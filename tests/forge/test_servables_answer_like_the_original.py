"""Does every kind of Keras model get the same answers from its servable as from model.predict?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.artifact_file import Manifest, read_manifest, read_members, write_artifact
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.ports.engines import Servable

pytestmark = pytest.mark.slow

ON_ONNX_RUNTIME = [
    "attention",
    "batch_normalization",
    "bidirectional",
    "conv1d",
    "conv2d",
    "conv_lstm",
    "dense",
    "discretization",
    "dropout",
    "embedding_and_pooling",
    "every_activation",
    "exact_gelu",
    "gru",
    "layer_normalization",
    "lstm",
    "multi_head_attention",
    "normalization",
    "operators",
    "residual",
    "separable_and_depthwise",
    "several_inputs",
    "several_outputs",
    "time_distributed",
]

ON_TENSORFLOW = {
    "text": "LookupTable",
}
"""What ONNX Runtime cannot serve, and the op in the reason that says why."""


@pytest.fixture(scope="module")
def engines(launcher: PlainChildLauncher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    engines = Engines(TensorFlowEngine(launcher, tmp_path_factory.mktemp("engines")))
    yield engines
    engines.close()


def fresh(zoo: Path, name: str, servable: Servable) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs that the forge never saw, and what model.predict answered to them."""
    with np.load(zoo / f"{name}.npz") as arrays:
        inputs = {
            spec.name: arrays[f"in{number}"].astype(object if spec.dtype == "string" else spec.dtype)
            for number, spec in enumerate(servable.signature.inputs)
        }
        answers = {
            spec.name: arrays[f"out{number}"] for number, spec in enumerate(servable.signature.outputs)
        }
    return inputs, answers


def assert_alike(answers: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(answers) == set(expected)
    for name, y0 in expected.items():
        y = answers[name]
        assert y.shape == y0.shape
        assert y.dtype == y0.dtype
        assert np.all(np.abs(y - y0) <= ATOL + RTOL * np.abs(y0)), (name, np.abs(y - y0).max())


def verdict_of(zoo: Path, name: str) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((zoo / f"{name}.json").read_text())
    assert verdict["accepted"], verdict["faults"]
    return verdict


def test_at_least_eighteen_kinds_of_model_run_on_onnx_runtime_and_twenty_in_all() -> None:
    assert len(ON_ONNX_RUNTIME) >= 18
    assert len(ON_ONNX_RUNTIME) + len(ON_TENSORFLOW) >= 20


@pytest.mark.parametrize("name", ON_ONNX_RUNTIME)
def test_a_model_on_onnx_runtime_answers_like_predict(zoo: Path, engines: Engines, name: str) -> None:
    verdict = verdict_of(zoo, name)
    assert (verdict["engine"], verdict["engine_reason"]) == ("onnxruntime", None)
    servable = engines.load(zoo / f"{name}.servable")
    assert servable.engine == "onnxruntime"
    inputs, expected = fresh(zoo, name, servable)
    assert_alike(servable.infer(inputs), expected)


@pytest.mark.parametrize(("name", "reason"), ON_TENSORFLOW.items())
def test_a_model_that_onnx_cannot_express_runs_on_tensorflow_and_says_why(
    zoo: Path, engines: Engines, name: str, reason: str
) -> None:
    verdict = verdict_of(zoo, name)
    assert verdict["engine"] == "tensorflow"
    assert reason in verdict["engine_reason"]
    servable = engines.load(zoo / f"{name}.servable")
    assert servable.engine == "tensorflow"
    inputs, expected = fresh(zoo, name, servable)
    assert_alike(servable.infer(inputs), expected)


@pytest.mark.parametrize(
    "name", ["batch_normalization", "normalization", "multi_head_attention", "several_outputs"]
)
def test_the_config_and_weights_beside_an_onnx_graph_are_the_model_too(
    zoo: Path, engines: Engines, name: str, tmp_path: Path
) -> None:
    artifact = zoo / f"{name}.servable"
    manifest = read_manifest(artifact)
    members = read_members(artifact)
    members.pop("model.onnx")
    copy = tmp_path / "copy.servable"
    write_artifact(copy, Manifest("tensorflow", manifest.signature), members)
    servable = engines.load(copy)
    copy.unlink()
    inputs, expected = fresh(zoo, name, servable)
    assert_alike(servable.infer(inputs), expected)


def test_the_verdict_tells_signature_versions_and_deviation(zoo: Path) -> None:
    verdict = verdict_of(zoo, "several_outputs")
    assert [(spec["name"], spec["shape"]) for spec in verdict["signature"]["inputs"]] == [("x", [-1, 6])]
    outputs = {spec["name"]: (spec["dtype"], spec["shape"]) for spec in verdict["signature"]["outputs"]}
    assert outputs == {
        "price": ("float32", [-1, 1]),
        "kind": ("float32", [-1, 4]),
        "hidden": ("float32", [-1, 8]),
    }
    assert 0 <= verdict["max_deviation"] < 1e-3
    assert verdict["parameters"] == 6 * 8 + 8 + (8 + 1) + (8 * 4 + 4)
    assert {"keras", "tensorflow", "tf2onnx", "onnxruntime"} <= set(verdict["versions"])


def test_a_graph_that_deviates_is_not_served_but_the_second_engine_is(zoo: Path) -> None:
    verdict = verdict_of(zoo, "wrong_graph")
    assert verdict["engine"] == "tensorflow"
    assert "'answer' differs from the original's by" in verdict["engine_reason"]
    assert read_manifest(zoo / "wrong_graph.servable").engine == "tensorflow"
    assert "model.onnx" not in read_members(zoo / "wrong_graph.servable")


def test_a_model_that_does_not_come_back_as_it_was_is_refused(zoo: Path) -> None:
    verdict = json.loads((zoo / "wrong_weights.json").read_text())
    assert not verdict["accepted"]
    assert verdict["faults"][0]["code"] == "does_not_verify"
    assert not (zoo / "wrong_weights.servable").exists()


@pytest.mark.parametrize("name", ["dense", "discretization"])
def test_a_wrong_shape_is_named_by_tensor(zoo: Path, engines: Engines, name: str) -> None:
    servable = engines.load(zoo / f"{name}.servable")
    spec = servable.signature.inputs[0]
    with pytest.raises(InvalidInput) as caught:
        servable.infer({spec.name: np.zeros((2, 9), dtype=np.float32)})
    fault = caught.value.faults[0]
    assert fault.loc == ("inputs", spec.name)
    assert fault.expected == f"float32 (rows, {spec.shape[1]})"
    assert fault.got == "float32 (2, 9)"


def test_an_id_outside_of_an_embedding_is_the_callers_fault(zoo: Path, engines: Engines) -> None:
    servable = engines.load(zoo / "embedding_and_pooling.servable")
    name = servable.signature.inputs[0].name
    with pytest.raises(InvalidInput, match=name):
        servable.infer({name: np.full((1, 12), 5000, dtype=np.float32)})


def test_equal_architectures_and_weights_make_equal_artifacts_without_timestamps(
    zoo: Path, tmp_path: Path
) -> None:
    artifact = zoo / "dense.servable"
    again = tmp_path / "again.servable"
    write_artifact(again, read_manifest(artifact), read_members(artifact))
    assert again.read_bytes() == artifact.read_bytes()
