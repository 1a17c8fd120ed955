"""A real Keras model as bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tensortrigger_lab.artifacts import artifact_of
from tensortrigger_lab.notebook_objects import data_variables, is_keras_model, keras_models

pytestmark = [
    pytest.mark.slow,
    # Keras' own way of reading a variable, which the newest numpy frowns upon.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


def test_saving_leaves_the_model_and_its_optimizer_as_they_were(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    rows = np.random.default_rng(0).random((64, 4)).astype("float32")
    model.fit(rows[:, :3], rows[:, 3], epochs=2, verbose=0)
    before = [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]

    content = artifact_of(model).content

    after = [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    path = tmp_path / "copy.keras"
    path.write_bytes(content)
    copy = keras.models.load_model(path)
    assert np.array_equal(copy.predict(rows[:, :3], verbose=0), model.predict(rows[:, :3], verbose=0))
    assert int(copy.optimizer.iterations) == int(model.optimizer.iterations) == 4
    assert artifact_of(path).content == artifact_of(str(path)).content == content


def test_keras_models_are_found_among_variables() -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    variables = {"net": model, "_hidden": model, "rows": np.zeros(3), "number": 5}
    assert is_keras_model(model)
    assert keras_models(variables) == ["net"]
    assert data_variables(variables) == ["rows"]
