"""Trains small models in this process and tells what came of it as JSON: ``python train_here.py FOLDER``."""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from tensortrigger_backend.adapters.artifact_file import CONFIG, GRAPH, WEIGHTS, Manifest, write_artifact
from tensortrigger_backend.domain.compiled import LOSSES, METRICS, OPTIMIZERS, Named
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.domain.training import TrainingPlan
from tensortrigger_backend.forge.keras.canonical import canonical, rebuild
from tensortrigger_backend.forge.keras.signatures import signature_of
from tensortrigger_backend.trainer.compilation import compile_model
from tensortrigger_backend.trainer.loop import Diverged, Listener, Training

folder = Path(sys.argv[1])
layers = keras.layers
generator = np.random.default_rng(1)
told = {}


def plan(
    points, *, losses=("mean_squared_error",), metrics=(), optimizer="adam", epochs=5, split=0.0, rate=0.01
):
    chosen = Named(optimizer, {"learning_rate": rate})
    named = tuple(Named(loss) for loss in losses)
    return TrainingPlan(named, chosen, tuple(metrics), {}, epochs, 4, split, True, points, seed=5)


def fresh(model):
    config, weights, _ = canonical(model)
    keras.utils.set_random_seed(5)
    return rebuild(config, weights)


class Ear:
    """Keeps what it is told; stops the training after an epoch by an error, as a kill would."""

    def __init__(self, stop_after=None):
        self.points, self.stop_after, self.kept = [], stop_after, None

    def listener(self):
        return Listener(self.point, self.saved)

    def point(self, kind, step, epoch, metrics):
        self.points.append((kind, step, epoch, metrics))

    def saved(self, epoch, step, path):
        self.kept = path.rename(path.with_name(f"kept-{epoch}"))
        if epoch == self.stop_after:
            raise InterruptedError


# Dropout draws, normalisation keeps averages, and Adam has slots: all of it must come back.
noisy = keras.Sequential(
    [keras.Input((3,)), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
)
x, y = generator.normal(size=(21, 3)).astype("float32"), generator.normal(size=(21, 1)).astype("float32")


def run_noisy(ear, checkpoint=None):
    home = folder / f"noisy-{len(list(folder.iterdir()))}"
    home.mkdir()
    model = fresh(noisy)
    training = Training(model, plan(21), (x,), (y,), home, checkpoint)
    training._save_pause = 0.0
    try:
        training.run(ear.listener())
    except InterruptedError:
        return None
    return model


import tensortrigger_backend.trainer.loop as loop  # noqa: E402

# A checkpoint after each epoch and a point for each batch, however quick they are.
loop.SAVE_SECONDS = loop.SAVE_SHARE = loop.SAMPLE_SECONDS = 0.0
loop.MOST_BATCH_POINTS = 10**9
whole, first, second = Ear(), Ear(stop_after=2), Ear()
straight = run_noisy(whole)
assert run_noisy(first) is None
resumed = run_noisy(second, first.kept)
pairs = zip(straight.get_weights(), resumed.get_weights(), strict=True)
told["same_weights"] = all(bool((one == other).all()) for one, other in pairs)
together = [point for point in first.points if point[2] <= 2] + second.points
told["same_points"] = together == whole.points
told["epochs"] = [point[1:3] for point in whole.points if point[0] == "epoch"]
told["learned"] = any(
    (a != b).any() for a, b in zip(noisy.get_weights(), straight.get_weights(), strict=True)
)

# Several inputs of several kinds, several outputs, class numbers beside vectors, points held back.
text, size = keras.Input((1,), dtype="string", name="text"), keras.Input((2,), name="size")
vectorize = layers.TextVectorization(vocabulary=["good", "bad"], output_mode="multi_hot")
joined = layers.Concatenate()([layers.Flatten()(vectorize(text)), size])
several = keras.Model(
    {"text": text, "size": size},
    {
        "tag": layers.Dense(3, activation="softmax", name="tagger")(joined),
        "price": layers.Dense(1, name="pricer")(joined),
    },
)
# Keras flattens objects by key: price before tag, size before text.
inputs = (
    generator.normal(size=(12, 2)).astype("float32"),
    np.array([["good"], ["bad"], ["ugly"]] * 4, dtype=object),
)
targets = (generator.normal(size=(12, 1)).astype("float32"), np.array([[0], [1], [2]] * 4, np.int32))
ear = Ear()
mixed = plan(
    12, losses=("mean_squared_error", "sparse_categorical_crossentropy"), metrics=("accuracy",), split=0.25
)
model = fresh(several)
Training(model, mixed, inputs, targets, folder, None).run(ear.listener())
epochs = [point[3] for point in ear.points if point[0] == "epoch"]
told["several"] = sorted(epochs[-1])
told["several_learned"] = epochs[-1]["loss"] < epochs[0]["loss"]
model.save(folder / "several.keras")

# As Keras itself would report it.
plain = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
ours, theirs = fresh(plain), fresh(plain)
still = TrainingPlan(
    (Named("mean_squared_error"),), Named("sgd", {"learning_rate": 0.01}), (), {}, 3, 4, 0.25, False, 21, 5
)
ear = Ear()
Training(ours, still, (x,), (y,), folder, None).run(ear.listener())
compile_model(theirs, still)
history = theirs.fit(x, y, epochs=3, batch_size=4, validation_split=0.25, shuffle=False, verbose=0).history
epochs = [point[3] for point in ear.points if point[0] == "epoch"]
told["like_keras"] = max(
    abs(epochs[place][name] - history[name][place]) for place in range(3) for name in ("loss", "val_loss")
)
told["weights_like_keras"] = max(
    float(np.abs(one - other).max())
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True)
)

# Every listed name stands for something of Keras that can be made.
for names, module in ((LOSSES, keras.losses), (METRICS, keras.metrics), (OPTIMIZERS, keras.optimizers)):
    for kind in names.values():
        if kind:
            getattr(module, kind)()

# A weight that is not finite is found even where no loss tells.
ear = Ear()
broken = fresh(plain)
unseen = Training(broken, still, (x,), (y,), folder, None)
unseen._must_be_finite = lambda *_: None
broken.set_weights([np.full((3, 1), np.inf, "float32"), np.zeros(1, "float32")])
try:
    unseen.run(ear.listener())
except Diverged as error:
    told["diverged"] = str(error)

try:
    Training(fresh(plain), still, (x,), (y,), folder, first.kept)
except ValueError as error:
    told["mistaken"] = str(error)

# An artifact as the forge writes it, for the process that reads this.
config, weights, rebuilt = canonical(noisy)
write_artifact(
    folder / "noisy.servable",
    Manifest(ONNX, signature_of(rebuilt), trainable=40),
    {CONFIG: config, WEIGHTS: weights, GRAPH: b"never opened"},
)
print(json.dumps(told))
