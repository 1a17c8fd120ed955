"""Is every family of Keras models taken, answered as by model.predict, on the engine that is written here?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.forge.keras import allow_list

pytestmark = pytest.mark.slow

ON_ONNX_RUNTIME = [
    "linear_regression",
    "deep_and_wide",
    "autoencoder",
    "self_normalizing",
    "regularisation",
    "activation_layers",
    "normalisations",
    "instance_normalisation",
    "spectral_normalisation",
    "adapted_normalization",
    "merges",
    "reshaping",
    "convolutions_1d",
    "convolution_1d_of_any_length",
    "convolutions_2d",
    "convolution_2d_of_any_size",
    "unet",
    "convolutions_3d",
    "pooling_to_one",
    "adaptive_pooling",
    "stacked_recurrent",
    "recurrent_states",
    "bidirectional_of_any_length",
    "recurrent_cells",
    "recurrent_convolutions",
    "masked_sequence",
    "steps_of_time",
    "word_embedding",
    "tied_embedding",
    "transformer_block",
    "grouped_attention",
    "attentions",
    "einsum_dense",
    "image_preprocessing",
    "equalization",
    "adaptive_equalization",
    "pipeline",
    "discretized",
    "categories",
    "spectrogram",
    "functional_ops",
    "shared_layer",
    "nested_twice",
    "named_outputs",
    "double_precision",
    "boxes",
    "mobilenet_v2",
    "mobilenet_v3",
    "conv_next",
]

ON_TENSORFLOW = {
    "hashed_numbers": "StringToHashBucketFast",
    "crossed": "SparseCross",
    "looked_up_numbers": "LookupTableFind",
    "looked_up_words": "LookupTableFind",
    "vectorized_text": "LookupTableFind",
    "mel_spectrogram": "RFFT",
    "half_precision": "differs from the original's",
    "image_augmentation": "changes a state of its own",
    "brain_float": "on ONNX Runtime",
}
"""What ONNX Runtime cannot serve, and words of the reason that the version's metadata give."""

NO_LAYERS = {
    "InputSpec": "describes an input and is no layer",
    "Layer": "computes nothing by itself; a subclass of it is code",
    "Wrapper": "computes nothing by itself; a subclass of it is code",
}


@pytest.fixture(scope="module")
def engines(launcher: PlainChildLauncher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    engines = Engines(TensorFlowEngine(launcher, tmp_path_factory.mktemp("engines")))
    yield engines
    engines.close()


def test_there_are_at_least_forty_of_them() -> None:
    assert len(ON_ONNX_RUNTIME) + len(ON_TENSORFLOW) >= 50


@pytest.mark.parametrize("name", [*ON_ONNX_RUNTIME, *ON_TENSORFLOW])
def test_a_benign_model_is_taken_and_answers_like_predict(zoo: Path, engines: Engines, name: str) -> None:
    verdict: dict[str, Any] = json.loads((zoo / f"benign_{name}.json").read_text())
    assert verdict["accepted"], verdict["faults"]
    if name in ON_TENSORFLOW:
        assert verdict["engine"] == "tensorflow"
        assert ON_TENSORFLOW[name] in verdict["engine_reason"]
    else:
        assert (verdict["engine"], verdict["engine_reason"]) == ("onnxruntime", None)
    servable = engines.load(zoo / f"benign_{name}.servable")
    with np.load(zoo / f"benign_{name}.npz") as arrays:
        answers = servable.infer(
            {
                spec.name: arrays[f"in{number}"].astype(object if spec.dtype == "string" else spec.dtype)
                for number, spec in enumerate(servable.signature.inputs)
            }
        )
        for number, spec in enumerate(servable.signature.outputs):
            y, y0 = answers[spec.name].astype(np.float64), arrays[f"out{number}"].astype(np.float64)
            assert y.shape == y0.shape
            assert np.all(np.abs(y - y0) <= ATOL + RTOL * np.abs(y0)), np.abs(y - y0).max()


def test_the_table_of_engines_names_every_model_that_was_built(zoo: Path) -> None:
    built = {path.stem.removeprefix("benign_") for path in zoo.glob("benign_*.json")}
    assert built == {*ON_ONNX_RUNTIME, *ON_TENSORFLOW}


def test_every_layer_that_keras_exports_is_tried_or_refused_with_a_reason(zoo: Path) -> None:
    exported: dict[str, str] = json.loads((zoo / "exported.json").read_text())
    tried = {name for path in zoo.glob("tried_*.json") for name in json.loads(path.read_text())}
    reasons = {**allow_list.PROGRAMS, **NO_LAYERS}
    unaccounted = {name for name, kind in exported.items() if kind not in tried and name not in reasons}
    assert not unaccounted
    assert not {name for name in exported if name in reasons and name in allow_list.LAYERS}
    # An alias such as Convolution2D is written into no file, but may be read from one.
    assert {name for name in exported if name not in reasons} <= allow_list.LAYERS
