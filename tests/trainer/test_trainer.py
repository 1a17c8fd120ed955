"""Does the trainer's child learn what Keras would, go on where it was, and open nothing that it should not?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensortrigger_backend
from tensortrigger_backend.adapters.artifact_file import CONFIG, MANIFEST
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.points_file import NpzPoints
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.domain.compiled import Named
from tensortrigger_backend.domain.errors import InvalidInput, Overrun, Unavailable
from tensortrigger_backend.domain.training import TrainingPlan
from tensortrigger_backend.domain.training_points import TrainingPoints
from tensortrigger_backend.ports.training import Saved, Told, Trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with an artifact, and what came of trainings in a process of their own."""
    folder = tmp_path_factory.mktemp("trained")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(tensortrigger_backend.__file__).parent.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    script = Path(__file__).with_name("train_here.py")
    done = subprocess.run([sys.executable, script, folder], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return folder, told


def test_a_training_that_went_on_from_a_checkpoint_ends_bit_for_bit_as_without(made: Any) -> None:
    assert made[1]["same_weights"]
    assert made[1]["same_points"]
    assert made[1]["learned"]
    assert made[1]["epochs"] == [[6 * epoch, epoch] for epoch in range(1, 6)]


def test_what_it_learns_and_tells_is_what_keras_would(made: Any) -> None:
    assert made[1]["like_keras"] < 1e-5
    assert made[1]["weights_like_keras"] < 1e-6


def test_models_of_several_inputs_and_outputs_and_of_text_are_trained(made: Any) -> None:
    assert made[1]["several_learned"]
    assert {"loss", "price_loss", "tag_loss", "val_loss", "tag_accuracy"} <= set(made[1]["several"])


def test_a_weight_that_is_not_finite_is_never_handed_over(made: Any) -> None:
    assert made[1]["diverged"] == "A weight of the model became infinite or NaN in epoch 1"


def test_a_checkpoint_of_another_model_is_refused(made: Any) -> None:
    assert made[1]["mistaken"] == "the checkpoint is of another model"


@pytest.fixture
def launcher() -> Iterator[SandboxedLauncher]:
    launcher = SandboxedLauncher()
    yield launcher
    launcher.close()


@pytest.fixture
def points(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    inputs, targets = generator.normal(size=(40, 3)), generator.normal(size=(40, 1))
    path = tmp_path / "points"
    arrays = (inputs.astype(np.float32),), (targets.astype(np.float32),)
    path.write_bytes(NpzPoints().encode(TrainingPoints(*arrays, (False,))))
    return path


def plan(epochs: int = 3, loss: str = "mean_squared_error") -> TrainingPlan:
    adam = Named("adam", {"learning_rate": 0.01})
    return TrainingPlan((Named(loss),), adam, (), {"loss": "request"}, epochs, 8, 0.0, True, 40, 1, ("y",))


def test_the_child_gets_config_and_weights_and_leaves_a_keras_file(
    made: Any, launcher: SandboxedLauncher, points: Path, tmp_path: Path
) -> None:
    room: list[str] = []
    trainer = TrainerProcess(launcher, tmp_path, GuestTurn(), lambda: room.append("made"))
    artifact = made[0] / "noisy.servable"
    with trainer.session(artifact, points, plan(), None, 120.0, lambda: False) as session:
        assert room == ["made"]
        (home,) = tmp_path.glob("trainer-*")
        assert {path.name for path in home.iterdir()} >= {"config.json", "weights.safetensors"}
        assert not any(path.suffix in (".onnx", ".servable") for path in home.iterdir())
        events = list(session.events())
        assert isinstance(events[-1], Trained)
        with zipfile.ZipFile(events[-1].path) as archive:
            assert "model.weights.h5" in archive.namelist()
    told = [point for event in events if isinstance(event, Told) for point in event.points]
    assert [point.epoch for point in told if point.kind == "epoch"] == [1, 2, 3]
    assert all(isinstance(event, Told | Saved | Trained) for event in events)
    assert not home.exists()


def test_a_child_that_takes_too_long_is_ended_and_not_tried_again(
    made: Any, launcher: SandboxedLauncher, points: Path, tmp_path: Path
) -> None:
    trainer = TrainerProcess(launcher, tmp_path, GuestTurn())
    artifact = made[0] / "noisy.servable"
    with (
        trainer.session(artifact, points, plan(100_000), None, 0.3, lambda: False) as session,
        pytest.raises(Overrun, match=r"longer than 0\.3 s"),
    ):
        list(session.events())


def test_an_artifact_of_before_training_still_opens_and_can_be_trained(
    made: Any, launcher: SandboxedLauncher, tmp_path: Path
) -> None:
    trainer = TrainerProcess(launcher, tmp_path, GuestTurn())
    assert trainer.facts(made[0] / "noisy.servable").trainable == 40
    old = tmp_path / "old.servable"
    with zipfile.ZipFile(made[0] / "noisy.servable") as new, zipfile.ZipFile(old, "w") as target:
        for name in new.namelist():
            data = new.read(name)
            if name == MANIFEST:
                members = json.loads(data)
                del members["trainable"], members["compiled"]
                data = json.dumps(members).encode()
            target.writestr(name, data)
    facts = trainer.facts(old)
    assert (facts.trainable, facts.compiled, facts.activations) == (None, None, ("linear",))
    without = tmp_path / "without.servable"
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(without, "w") as target:
        for name in source.namelist():
            if name != CONFIG:
                target.writestr(name, source.read(name))
    with pytest.raises(InvalidInput, match="no Keras config"):
        trainer.facts(without)


def test_a_turn_is_given_in_the_order_of_asking_and_to_one_at_a_time() -> None:
    turn, order = GuestTurn(), []
    inside = threading.Semaphore(1)

    def take(number: int) -> None:
        with turn.taking():
            assert inside.acquire(blocking=False)
            order.append(number)
            inside.release()

    with turn.taking():
        assert turn.taken()
        assert not turn.wanted()
        threads = []
        for number in range(4):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turn._line) < number + 2:
                time.sleep(0.001)
        assert turn.wanted()
        started = time.monotonic()
        with pytest.raises(Unavailable), turn.taking(lambda: True):
            pass
        assert time.monotonic() - started < 1.0
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]
    assert not turn.taken()
