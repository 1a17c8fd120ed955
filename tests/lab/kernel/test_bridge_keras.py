"""The bridge with the real Keras, a real fit and a real backend: nothing replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_lab.client import Client

pytestmark = pytest.mark.slow

FINAL = ("ready", "refused", "failed", "cancelled")

MODELS = '''
import warnings; warnings.simplefilter("ignore")
import keras, numpy as np, pandas as pd, pathlib, time
import tensortrigger_lab as tt
keras.utils.set_random_seed(7)
table = pd.DataFrame(np.random.default_rng(7).normal(size=(640, 3)), columns=["a", "b", "c"])
target = table.sum(axis=1).to_numpy()
network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
network.compile(optimizer="adam", loss="mse")
# Traced once before the tests: an interrupt in the middle of that would leave Keras with half an optimizer.
network.fit(table, target, epochs=1, verbose=0)
two = keras.Model(
    [a := keras.Input((2,), name="left"), b := keras.Input((3, 1), name="right")],
    keras.layers.Dense(1)(keras.layers.Concatenate()([a, keras.layers.Flatten()(b)])),
    name="two_sides",
)
unbuilt = keras.Sequential([keras.layers.Dense(1)])
class Own(keras.Model):
    def __init__(self):
        super().__init__(); self.dense = keras.layers.Dense(2)
    def call(self, x):
        return self.dense(x)
own = Own(); own(np.zeros((5, 7), "float32"));
class Held(keras.callbacks.Callback):
    """In the middle of each epoch it waits for the file that was named for it, where one was."""
    def __init__(self, *files):
        super().__init__(); self.files = [pathlib.Path(file) for file in files]
    def on_epoch_begin(self, epoch, logs=None):
        self.awaited = self.files[epoch:epoch + 1]
    def on_train_batch_end(self, batch, logs=None):
        while batch == 10 and not all(file.exists() for file in self.awaited): time.sleep(0.01)
'''


@pytest.fixture(scope="module")
def lab(new_notebook: Callable[..., Any], backend_url: str) -> Any:
    started = new_notebook(TENSORTRIGGER_URL=backend_url)
    started.run(MODELS)
    return started


@pytest.fixture(scope="module")
def subshell(lab: Any) -> str:
    return str(lab.subshell())


def chosen(lab: Any, variable: str) -> dict[str, Any]:
    listed = lab.ask("models").result
    identity = next(entry["identity"] for entry in listed["models"] if entry["variable"] == variable)
    return {"session": listed["session"], "variable": variable, "identity": identity}


def test_models_of_every_kind_are_described(lab: Any) -> None:
    answer = lab.ask_quickly("models")
    found = {entry["variable"]: entry for entry in answer.result["models"]}
    assert answer.result["complete"]
    assert answer.seconds < 1.0
    network, two, unbuilt, own = (found[name] for name in ("network", "two", "unbuilt", "own"))
    assert (network["class_name"], network["compiled"], network["parameters"]) == ("Sequential", True, 21)
    assert [(spec["dtype"], spec["shape"]) for spec in network["inputs"]] == [("float32", [None, 3])]
    assert network["suggested_name"] == "network"
    assert two["suggested_name"] == "two-sides"
    assert [(spec["name"], spec["shape"]) for spec in two["inputs"]] == [
        ("left", [None, 2]),
        ("right", [None, 3, 1]),
    ]
    assert (unbuilt["built"], unbuilt["parameters"]) == (False, 0)
    assert "no weights" in unbuilt["reason"]
    assert (own["inputs"][0]["shape"], own["outputs"], own["reason"]) == ([None, 7], [], None)


def test_a_published_model_answers_as_predict_does(lab: Any) -> None:
    begun = lab.published("network", "idle", example="table")
    assert begun.published == []
    found = lab.progress(begun.result["publish_id"], *FINAL)
    assert (found["state"], found["error"]) == ("ready", None)
    assert (found["check"]["matched"], found["check"]["rows"]) == (True, 32)
    lab.run(found["cell"])


def wished(lab: Any, subshell: str, **params: Any) -> str:
    """Ask for the next epoch end, as soon as the training can promise one; the id."""
    until = time.monotonic() + 180
    while not (members := lab.ask("publish", subshell=subshell, when="epoch_end", **params).members)["ok"]:
        assert members["error"]["code"] in {"training", "busy"}
        assert time.monotonic() < until
        time.sleep(0.05)
    return str(members["result"]["publish_id"])


def test_during_a_fit_the_models_are_listed_at_once_and_none_is_taken(
    lab: Any, subshell: str, tmp_path: Path
) -> None:
    given, enough = chosen(lab, "network"), tmp_path / "enough"
    cell = lab.begin(f"network.fit(table, target, epochs=2, verbose=0, callbacks=[Held({str(enough)!r})])")
    lab.once_training(subshell)
    answer = lab.ask_quickly("models", subshell=subshell)
    assert answer.seconds < 1.0
    found = {entry["variable"]: entry for entry in answer.result["models"]}
    assert (found["network"]["training"], found["two"]["training"]) == (True, False)
    for when in ("now", "epoch_end"):
        assert (
            lab.ask("publish", subshell=subshell, name="no", when=when, **given).error["code"] == "training"
        )
    enough.touch()
    assert lab.end(cell)["status"] == "ok"


def test_at_the_next_epoch_end_it_is_taken_whole_while_the_training_goes_on(
    lab: Any, subshell: str, tmp_path: Path
) -> None:
    given, asked, told = chosen(lab, "network"), tmp_path / "asked", tmp_path / "told"
    held = f"Held({str(asked)!r}, {str(told)!r})"
    cell = lab.begin(
        f"history = network.fit(table, target, epochs=4, verbose=0, callbacks=[{held}, tt.callback('live')])"
    )
    publish_id = wished(lab, subshell, name="live", example="table", **given)
    assert (
        lab.ask("progress", subshell=subshell, publish_id=publish_id).result["state"] == "waiting_for_epoch"
    )
    asked.touch()
    until = time.monotonic() + 180
    while (found := lab.ask("progress", subshell=subshell, publish_id=publish_id).result)[
        "state"
    ] not in FINAL:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (found["state"], found["check"]["matched"]) == ("ready", True)
    assert lab.ask("hello", subshell=subshell).result["training"]
    told.touch()
    assert lab.end(cell)["status"] == "ok"
    lab.run("assert len(history.history['loss']) == 4")


def test_a_wish_for_an_epoch_that_never_ends_is_told_so(lab: Any, subshell: str) -> None:
    given = chosen(lab, "network")
    cell = lab.begin(
        "network.fit(table, target, epochs=9, verbose=0, callbacks=[Held('never'), tt.callback('cut')])"
    )
    publish_id = wished(lab, subshell, name="cut", **given)
    lab.manager.interrupt_kernel()
    assert lab.end(cell)["status"] == "error"
    found = lab.progress(publish_id, *FINAL)
    assert (found["state"], found["error"]["code"]) == ("failed", "training_stopped")
    assert lab.ask("hello").result["training"] is False


def test_a_waiting_wish_can_be_cancelled(lab: Any, subshell: str, tmp_path: Path) -> None:
    given, enough = chosen(lab, "network"), tmp_path / "enough"
    held = f"Held({str(enough)!r})"
    cell = lab.begin(
        f"network.fit(table, target, epochs=1, verbose=0, callbacks=[{held}, tt.callback('no')])"
    )
    publish_id = wished(lab, subshell, name="none", **given)
    assert lab.ask("cancel", subshell=subshell, publish_id=publish_id).result == {"state": "cancelled"}
    enough.touch()
    assert lab.end(cell)["status"] == "ok"
    assert lab.ask("progress", publish_id=publish_id).result["state"] == "cancelled"


def run_named(lab: Any, name: str, state: str) -> None:
    """Wait in the kernel until the backend says so of a run."""
    lab.run(
        f"""
ends = time.monotonic() + 60
with tt.Client() as client:
    while True:
        named = [run for run in client.runs() if run.name == {name!r}]
        found = named[0] if named else None
        if found is not None and found.state == {state!r}:
            break
        assert time.monotonic() < ends, found
        time.sleep(0.1)
"""
    )


def test_a_finished_fit_is_a_succeeded_run_with_every_point(lab: Any) -> None:
    lab.run(
        "network.fit(table, target, epochs=3, verbose=0, callbacks=[tt.callback('done', model='network')])"
    )
    run_named(lab, "done", "succeeded")
    lab.run("assert (found.points, found.epoch, found.step, found.model) == (63, 3, 60, 'network'), found")


def once_told(backend_url: str, name: str) -> None:
    """Wait until the backend has a point of a run."""
    until = time.monotonic() + 180
    with Client(backend_url) as client:
        while not any(run.points for run in client.runs() if run.name == name):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_an_interrupt_of_the_kernel_is_a_cancelled_run(lab: Any, backend_url: str) -> None:
    cell = lab.begin(
        "network.fit(table, target, epochs=99, verbose=0, callbacks=[Held('never'), tt.callback('stopped')])"
    )
    once_told(backend_url, "stopped")
    lab.interrupt(cell)
    run_named(lab, "stopped", "cancelled")


def test_a_cell_that_fails_is_a_failed_run_with_its_error(lab: Any) -> None:
    cell = lab.begin(
        """
class Failing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1: raise ValueError("the disk is full")
network.fit(table, target, epochs=9, verbose=0, callbacks=[tt.callback("broken"), Failing()])
"""
    )
    assert lab.end(cell)["ename"] == "ValueError"
    run_named(lab, "broken", "failed")
    lab.run("assert found.error == 'ValueError: the disk is full', found.error")


def test_a_process_that_ends_in_the_middle_of_a_fit_says_so(
    lab: Any, backend_url: str, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        """
import keras, numpy as np, tensortrigger_lab as tt
class Leaving(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise SystemExit(3)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.zeros((8, 2)), np.zeros(8), epochs=5, verbose=0, callbacks=[tt.callback("script"), Leaving()])
"""
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {
        **os.environ,
        "TENSORTRIGGER_URL": backend_url,
        "PYTHONPATH": paths,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    run_named(lab, "script", "cancelled")
