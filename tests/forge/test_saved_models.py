"""Do SavedModels of every kind answer as TensorFlow's own loader has it, and are the others refused by name?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.artifact_file import read_members
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.domain.publishing import ATOL, RTOL, ForgeOrder

pytestmark = pytest.mark.slow

SERVED = {
    "keras_export": "onnxruntime",
    "convolution": "onnxruntime",
    "several": "onnxruntime",
    "ragged_inside": "onnxruntime",
    "loop_and_branch": "onnxruntime",
    "batch_of_one": "onnxruntime",
    "simple_save_of_1x": "onnxruntime",
    "partitioned_of_1x": "onnxruntime",
    "text_with_an_asset": "tensorflow",
    "table_of_1x": "tensorflow",
}
REFUSED = {
    "writes_a_file": ("unlisted_op", "WriteFile"),
    "reads_a_file": ("unlisted_op", "ReadFile"),
    "prints": ("unlisted_op", "PrintV2"),
    "reads_in_a_branch": ("unlisted_op", "ReadFile"),
    "reads_in_a_loop": ("unlisted_op", "ReadFile"),
    "reads_three_calls_down": ("unlisted_op", "ReadFile"),
    "calls_python": ("unlisted_op", "PyFunc"),
    "counts_its_calls": ("unlisted_op", "AssignAddVariableOp"),
    "starts_by_reading_a_file": ("file_access", "InitializeTableFromTextFileV2"),
    "starts_by_reading_a_file_in_a_branch": ("unlisted_op", "InitializeTableFromTextFileV2"),
    "two_signatures": ("ambiguous_signature", "2 signatures"),
    "no_signature": ("no_signature", "no signature"),
    "unknown_rank": ("unknown_rank", "input 'x'"),
    "a_single_number": ("no_batch_axis", "Input 'x'"),
    "mean_of_the_batch": ("rows_not_independent", "other rows"),
    "one_answer_for_all": ("no_batch_axis", "Output 'y'"),
    "eight_rows_exactly": ("fixed_batch", "exactly 8 rows"),
    "never_the_same": ("not_repeatable", "differs each time"),
}


@pytest.fixture(scope="module")
def engines(launcher: SandboxedLauncher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    engines = Engines(TensorFlowEngine(launcher, tmp_path_factory.mktemp("engines")))
    yield engines
    engines.close()


def arrays(path: Path, side: str) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as members:
        found = {name.removeprefix(side): members[name] for name in members.files if name.startswith(side)}
    return {
        name: values.astype(object) if values.dtype.kind == "U" else values for name, values in found.items()
    }


def texts(values: Any) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in values.ravel()]


def assert_alike(answers: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(answers) == set(expected)
    for name, y0 in expected.items():
        y = answers[name]
        assert y.shape == y0.shape, name
        if y0.dtype.kind == "O":
            assert texts(y) == texts(y0)
        else:
            assert np.all(np.abs(y - y0) <= ATOL + RTOL * np.abs(y0)), name


def verdict_of(formats: Path, name: str) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((formats / f"{name}.json").read_text())
    return verdict


@pytest.mark.parametrize(("name", "engine"), SERVED.items())
def test_a_saved_model_answers_as_tensorflows_own_loader_has_it(
    formats: Path, engines: Engines, name: str, engine: str
) -> None:
    verdict = verdict_of(formats, name)
    assert verdict["accepted"], verdict["faults"]
    assert (verdict["format"], verdict["engine"]) == ("saved_model", engine)
    servable = engines.load(formats / f"{name}.servable")
    assert servable.engine == engine
    assert_alike(
        servable.infer(arrays(formats / f"{name}.npz", "in/")), arrays(formats / f"{name}.npz", "out/")
    )


@pytest.mark.parametrize(("name", "code", "words"), [(name, *fault) for name, fault in REFUSED.items()])
def test_what_may_not_run_or_cannot_be_served_is_refused_by_name(
    formats: Path, name: str, code: str, words: str
) -> None:
    verdict = verdict_of(formats, name)
    assert not verdict["accepted"]
    fault = verdict["faults"][0]
    assert (fault["code"], words in fault["message"]) == (code, True), fault
    assert fault["loc"][0] == "model_content"
    assert fault["remedy"]
    assert not (formats / f"{name}.servable").exists()


def test_a_refused_op_is_found_by_its_function_and_its_node(formats: Path) -> None:
    fault = verdict_of(formats, "reads_in_a_branch")["faults"][0]
    assert fault["loc"][:2] == ["model_content", "saved_model.pb"]
    assert "cond_true" in fault["loc"][2]
    assert fault["loc"][3] == "cond/ReadFile"
    assert "files" in fault["remedy"]


def test_the_choices_are_told_where_no_signature_is_the_one_to_serve(formats: Path) -> None:
    fault = verdict_of(formats, "two_signatures")["faults"][0]
    assert (fault["expected"], fault["got"]) == ("serving_default", "embed, score")


def test_names_dtypes_and_shapes_are_the_signatures_own(formats: Path) -> None:
    signature = verdict_of(formats, "several")["signature"]
    assert signature["inputs"] == [
        {"name": "left", "dtype": "float32", "shape": [-1, 4]},
        {"name": "right", "dtype": "int32", "shape": [-1, -1]},
    ]
    assert {spec["name"]: spec["dtype"] for spec in signature["outputs"]} == {
        "scores": "float32",
        "total": "int32",
    }


def test_a_batch_of_one_that_can_take_more_is_freed_and_says_so(formats: Path) -> None:
    verdict = verdict_of(formats, "batch_of_one")
    assert verdict["signature"]["inputs"][0]["shape"] == [-1, 4]
    assert any("fixed to 1, and was made free" in check for check in verdict["checks"])


def test_the_verdict_tells_what_was_checked_and_why_it_is_not_onnx(formats: Path) -> None:
    verdict = verdict_of(formats, "text_with_an_asset")
    assert verdict["engine_reason"] == "the model keeps a lookup table, which ONNX cannot express"
    assert any("list of ops that only compute" in check for check in verdict["checks"])


def test_nothing_of_the_archive_is_in_the_servable_but_the_graph(formats: Path) -> None:
    assert set(read_members(formats / "text_with_an_asset.servable")) == {"graph.pb"}
    assert set(read_members(formats / "keras_export.servable")) == {"graph.pb", "model.onnx"}


@pytest.mark.parametrize("name", ["keras_export", "text_with_an_asset"])
def test_the_example_beside_the_servable_holds_the_originals_answers(
    formats: Path, engines: Engines, name: str
) -> None:
    example = formats / f"{name}.servable.example"
    inputs, outputs = arrays(example, "in/"), arrays(example, "out/")
    assert {len(values) for values in (*inputs.values(), *outputs.values())} == {7}
    assert_alike(engines.load(formats / f"{name}.servable").infer(inputs), outputs)


def test_the_forges_own_process_takes_a_saved_model_and_leaves_servable_and_example(
    formats: Path, forge: ForgeProcess, engines: Engines, tmp_path: Path
) -> None:
    target = tmp_path / "made.servable"
    stages: list[str] = []
    verdict = forge.forge(formats / "table_of_1x.upload", target, ForgeOrder(), stages.append)
    assert verdict.accepted, verdict.faults
    assert stages == ["checking", "rebuilding", "verifying"]
    example = tmp_path / "made.servable.example"
    assert_alike(engines.load(target).infer(arrays(example, "in/")), arrays(example, "out/"))


def test_a_refused_op_is_told_before_tensorflow_is_even_imported(formats: Path, forge: ForgeProcess) -> None:
    target = formats / "never.servable"
    verdict = forge.forge(formats / "writes_a_file.upload", target, ForgeOrder(), lambda _: None)
    assert verdict.faults[0].code == "unlisted_op"
    assert set(verdict.stages) == {"checking"}
    assert not target.exists()


@pytest.mark.parametrize("name", ["several", "text_with_an_asset"])
def test_an_exported_servable_answers_as_the_upload_did_tables_and_all(formats: Path, name: str) -> None:
    assert_alike(arrays(formats / f"{name}.exported.npz", "out/"), arrays(formats / f"{name}.npz", "out/"))
