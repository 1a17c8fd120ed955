"""Do ONNX models of every kind answer as they did before they were rewritten, and are the others refused by name?"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_zoo
import pytest
from onnx.reference import ReferenceEvaluator

from tensortrigger_backend.adapters.artifact_file import GRAPH, read_member
from tensortrigger_backend.adapters.engine_onnx import open_onnx
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.publishing import ATOL, RTOL, ForgeOrder, ForgeVerdict
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.onnx.publication import publish_onnx
from tensortrigger_backend.forge.refusal import Refused

pytestmark = pytest.mark.slow


def published(folder: Path, proto: Any, order: ForgeOrder | None = None) -> ForgeVerdict:
    upload = folder / "upload"
    upload.write_bytes(proto.SerializeToString())
    inspected = inspect_upload(upload, folder, Limits())
    assert inspected.onnx is not None
    return publish_onnx(folder / "servable", inspected.onnx, order or ForgeOrder(), lambda _: None)


def fresh(proto: Any) -> dict[str, Any]:
    """Inputs that the forge never saw, by the graph's own names."""
    generator = np.random.default_rng(99)
    fixed = {tensor.name for tensor in proto.graph.initializer}
    inputs: dict[str, Any] = {}
    for entry in proto.graph.input:
        if entry.name in fixed:
            continue
        shape = (11, *(dim.dim_value or 5 for dim in entry.type.tensor_type.shape.dim[1:]))
        if entry.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            inputs[entry.name] = np.array(["red", "blue", "green"], dtype=object)[
                generator.integers(0, 3, shape)
            ]
        else:
            inputs[entry.name] = generator.standard_normal(shape).astype("float32")
    return inputs


@pytest.mark.parametrize("name", onnx_zoo.SERVED)
def test_an_onnx_model_answers_as_the_reference_evaluator_does(name: str, tmp_path: Path) -> None:
    proto = onnx_zoo.SERVED[name]()
    verdict = published(tmp_path, proto)
    assert (verdict.format, verdict.engine) == ("onnx", "onnxruntime")
    inputs = fresh(proto)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ReferenceEvaluator(proto).run(None, inputs)
    assert verdict.signature is not None
    names = [spec.name for spec in verdict.signature.inputs]
    answers = open_onnx(tmp_path / "servable").infer(dict(zip(names, inputs.values(), strict=True)))
    for y, y0 in zip(answers.values(), expected, strict=True):
        assert y.shape == y0.shape
        assert (
            (y == y0).all() if y0.dtype.kind in "OUi" else (np.abs(y - y0) <= ATOL + RTOL * np.abs(y0)).all()
        )


@pytest.mark.parametrize("name", onnx_zoo.REFUSED)
def test_what_cannot_be_served_is_refused_by_name_and_place(name: str, tmp_path: Path) -> None:
    build, code, words, path = onnx_zoo.REFUSED[name]
    with pytest.raises(Refused) as caught:
        published(tmp_path, build())
    fault = caught.value.faults[0]
    assert (fault.code, words in fault.message) == (code, True), fault
    assert fault.loc == ("model_content", *path)
    assert fault.remedy
    assert not (tmp_path / "servable").exists()


def test_nothing_of_the_producer_is_left_and_no_function(tmp_path: Path) -> None:
    proto = onnx_zoo.function_inside()
    proto.doc_string = "call me"
    proto.metadata_props.append(onnx.StringStringEntryProto(key="k", value="v"))
    published(tmp_path, proto)
    kept = onnx.ModelProto.FromString(read_member(tmp_path / "servable", GRAPH))
    assert (kept.producer_name, kept.doc_string, list(kept.metadata_props), list(kept.functions)) == (
        "",
        "",
        [],
        [],
    )
    assert {node.op_type for node in kept.graph.node} == {"Add"}


def test_the_same_model_makes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        published(tmp_path / folder, onnx_zoo.several())
    assert (tmp_path / "one" / "servable").read_bytes() == (tmp_path / "two" / "servable").read_bytes()


def test_names_that_are_not_plain_are_cleaned(tmp_path: Path) -> None:
    signature = published(tmp_path, onnx_zoo.several()).signature
    assert signature is not None
    assert [spec.name for spec in signature.outputs] == ["out_0", "total"]


def test_a_schema_of_another_width_is_refused_here_too(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        published(tmp_path, onnx_zoo.dense(), ForgeOrder(("a", "b"), ()))
    assert caught.value.faults[0].code == "schema_width"
    assert "names 2 inputs, the model's input layer takes 3" in caught.value.faults[0].message


def test_the_forges_own_process_takes_onnx_without_importing_tensorflow(
    forge: ForgeProcess, tmp_path: Path
) -> None:
    (tmp_path / "upload").write_bytes(onnx_zoo.dense().SerializeToString())
    verdict = forge.forge(tmp_path / "upload", tmp_path / "made", ForgeOrder(), lambda _: None)
    assert verdict.accepted, verdict.faults
    assert "tensorflow" not in verdict.versions
    assert (tmp_path / "made.example").is_file()


def test_a_version_made_of_onnx_cannot_be_trained_and_says_so(tmp_path: Path) -> None:
    published(tmp_path, onnx_zoo.dense())
    trainer = TrainerProcess(SandboxedLauncher(), tmp_path, GuestTurn())
    with pytest.raises(InvalidInput) as caught:
        trainer.facts(tmp_path / "servable")
    assert caught.value.faults[0].code == "no_keras_config"
    assert "holds no Keras config" in caught.value.faults[0].message
