"""Builds the model files of these tests and what their originals answer: ``python build_models.py FOLDER``."""

import sys
from pathlib import Path

import keras
import numpy as np

folder = Path(sys.argv[1])
layers = keras.layers
keras.utils.set_random_seed(7)
generator = np.random.default_rng(7)


def keep(name: str, model: keras.Model, *inputs: np.ndarray) -> None:
    model.save(folder / name)
    answers = model.predict(inputs[0] if len(inputs) == 1 else list(inputs), verbose=0)
    answers = answers if isinstance(answers, list) else [answers]
    stem = Path(name).stem
    np.savez(
        folder / f"{stem}.npz",
        **{f"x{place}": array for place, array in enumerate(inputs)},
        **{f"y{place}": array for place, array in enumerate(answers)},
    )


churn = keras.Sequential(
    [keras.Input((3,)), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")]
)
churn.compile(loss="mse")
keep("churn.h5", churn, generator.normal(size=(50, 3)).astype("float32"))

softmax = keras.Sequential([keras.Input((2,)), layers.Dense(3, activation="softmax")])
keep("softmax.keras", softmax, generator.normal(size=(20, 2)).astype("float32"))

image = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
keep("image.keras", image, generator.normal(size=(4, 6, 6, 1)).astype("float32"))

left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
joined = layers.Concatenate()([left, right])
outputs = [layers.Dense(1, name="first")(joined), layers.Dense(2, name="second")(joined)]
keep(
    "pair.keras",
    keras.Model([left, right], outputs),
    generator.normal(size=(5, 2)).astype("float32"),
    generator.normal(size=(5, 3)).astype("float32"),
)

# The logarithm of a negative number is NaN, and of zero minus infinity.
logarithm_in = keras.Input((2,))
logarithm = keras.Model(logarithm_in, keras.ops.log(logarithm_in))
keep("logarithm.keras", logarithm, np.ones((2, 2), "float32"))

squared = layers.Lambda(lambda x: x * x, name="squared")
keras.Sequential([keras.Input((3,)), squared]).save(folder / "lambda.h5")


@keras.saving.register_keras_serializable(package="shop")
class Discount(layers.Layer):
    def call(self, x):
        return x * 0.9


keras.Sequential([keras.Input((3,)), Discount(name="discount")]).save(folder / "custom.keras")
whole = (folder / "churn.h5").read_bytes()
(folder / "truncated.h5").write_bytes(whole[: len(whole) // 2])
