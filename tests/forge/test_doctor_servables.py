"""Does a file of Keras 1 or 2 answer through the forge as it did in the Keras that wrote it?"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.domain.publishing import ATOL, RTOL

pytestmark = pytest.mark.slow

with zipfile.ZipFile(Path(__file__).with_name("keras_2_files.zip")) as archive:
    WRITTEN = sorted(name.removesuffix(".h5") for name in archive.namelist() if name.endswith(".h5"))
ARCHIVED = ["archived_bidir", "archived_lstm_hard", "archived_mha", "archived_nested", "archived_ops"]
BY_HAND = ["cudnn", "keras_1_recurrent", "keras_1_merge", "keras_1_theano"]
ON_TENSORFLOW = {"policy": "differs from the original's", "textvec": "LookupTable"}
"""What ONNX Runtime cannot serve, and words of the reason."""
TOLD = {
    "ops": "tf.math.truediv is the Keras op TrueDivide",
    "mha": "tf.__operators__.add is the Keras op Add",
    "lstm_hard": "multiplied by 1.2",
    "archived_lstm_hard": "multiplied by 1.2",
    "timedist": "a Rescaling by 1.2 stands before it",
    "conv_bn": "the argument alpha is called negative_slope",
    "states": "initial states are given by their own name",
    "fixed_batch": "a fixed number of rows is left open",
    "preprocess": "RandomHeight is Identity",
    "policy": "dtype policy",
    "cudnn": "CuDNNLSTM is LSTM",
    "keras_1_recurrent": "inner_activation is called recurrent_activation",
    "keras_1_merge": "Merge by 'concat' is the layer Concatenate",
    "keras_1_theano": "nb_row and nb_col are the kernel_size",
}
"""Words of a repair that the verdict must tell of."""


@pytest.fixture(scope="module")
def engines(launcher: PlainChildLauncher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    engines = Engines(TensorFlowEngine(launcher, tmp_path_factory.mktemp("engines")))
    yield engines
    engines.close()


def verdict_of(zoo: Path, name: str) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((zoo / f"keras_2_{name}.json").read_text())
    assert verdict["accepted"], verdict["faults"]
    return verdict


@pytest.mark.parametrize("name", [*WRITTEN, *ARCHIVED, *BY_HAND])
def test_an_old_file_answers_as_it_did_when_it_was_new(zoo: Path, engines: Engines, name: str) -> None:
    verdict = verdict_of(zoo, name)
    if name in ON_TENSORFLOW:
        assert verdict["engine"] == "tensorflow"
        assert ON_TENSORFLOW[name] in verdict["engine_reason"]
    else:
        assert (verdict["engine"], verdict["engine_reason"]) == ("onnxruntime", None)
    servable = engines.load(zoo / f"keras_2_{name}.servable")
    inputs, outputs = servable.signature.inputs, servable.signature.outputs
    if name == "dictio":
        # tf_keras flattens an object in the order of its keys.
        inputs = tuple(sorted(inputs, key=lambda spec: spec.name))
        outputs = tuple(sorted(outputs, key=lambda spec: spec.name))
    with np.load(zoo / f"keras_2_{name}.npz") as arrays:
        answers = servable.infer(
            {
                spec.name: arrays[f"in{number}"].astype(object if spec.dtype == "string" else spec.dtype)
                for number, spec in enumerate(inputs)
            }
        )
        for number, spec in enumerate(outputs):
            y, y0 = answers[spec.name], arrays[f"out{number}"]
            assert y.shape == y0.shape
            assert np.all(np.abs(y - y0) <= ATOL + RTOL * np.abs(y0)), np.abs(y - y0).max()


@pytest.mark.parametrize(("name", "words"), TOLD.items())
def test_the_verdict_says_what_was_changed_and_where(zoo: Path, name: str, words: str) -> None:
    repairs = verdict_of(zoo, name)["repairs"]
    told = [repair for repair in repairs if words in repair["message"]]
    assert told, repairs
    assert all(repair["path"].startswith(("model_config/", "config.json/")) for repair in told)
