"""Do the forge's processes start, die, wait and leave as they should?"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import tensortrigger_backend
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.publishing import ForgeOrder

pytestmark = pytest.mark.slow
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: object, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_a_child_killed_in_the_middle_is_unavailable_and_the_next_publish_works(
    zoo: Path, forge: ForgeProcess, tmp_path: Path
) -> None:
    target = tmp_path / "servable"

    def kill(_: str) -> None:
        pid = forge.busy_pid
        assert pid is not None
        os.kill(pid, 9)

    with pytest.raises(Unavailable):
        forge.forge(zoo / "compiled_with_mse.h5", target, ForgeOrder(), kill)
    assert not target.exists()

    stages: list[str] = []
    order = ForgeOrder(("a", "b", "c", "d"), ("y",))
    cold = forge.forge(zoo / "compiled_with_mse.h5", target, order, stages.append)
    assert cold.accepted, cold.faults
    assert stages == ["checking", "rebuilding", "verifying"]
    assert (cold.format, cold.engine) == ("hdf5", "onnxruntime")
    first = hashlib.sha256(target.read_bytes()).hexdigest()

    # The one that was started behind it takes the next, and the same upload gives the same bytes.
    assert forge.warm_pid is not None
    warm = forge.forge(zoo / "compiled_with_mse.h5", target, order, stages.append)
    assert "starting" in cold.stages
    assert warm.stages.keys() >= {"checking", "rebuilding", "verifying"}
    assert hashlib.sha256(target.read_bytes()).hexdigest() == first
    assert warm.max_deviation == cold.max_deviation


def test_a_forge_over_its_time_is_ended(zoo: Path, launcher: PlainChildLauncher, tmp_path: Path) -> None:
    forge = ForgeProcess(launcher, tmp_path, time_limit=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="longer than"):
        forge.forge(zoo / "dense.h5", tmp_path / "servable", ForgeOrder(), lambda _: None)
    assert time.monotonic() - started < 5
    forge.close()


@on_linux
def test_a_forge_over_its_memory_is_ended(zoo: Path, tmp_path: Path) -> None:
    launcher = PlainChildLauncher(memory_limit=150 << 20)
    forge = ForgeProcess(launcher, tmp_path)
    with pytest.raises(Unavailable):
        forge.forge(zoo / "dense.h5", tmp_path / "servable", ForgeOrder(), lambda _: None)
    forge.close()
    launcher.close()


def test_a_warm_child_leaves_after_idling(launcher: PlainChildLauncher, tmp_path: Path) -> None:
    forge = ForgeProcess(launcher, tmp_path, idle_seconds=0.5)
    forge.warm()
    pid = forge.warm_pid
    assert pid is not None
    assert wait_for(lambda: forge.warm_pid is None)
    assert wait_for(lambda: gone(pid))
    assert wait_for(lambda: list(tmp_path.iterdir()) == [])
    forge.close()


def test_closing_ends_an_upload_in_work(zoo: Path, launcher: PlainChildLauncher, tmp_path: Path) -> None:
    forge = ForgeProcess(launcher, tmp_path)
    with pytest.raises(Unavailable):
        forge.forge(
            zoo / "dense.h5",
            tmp_path / "servable",
            ForgeOrder(),
            lambda _: threading.Thread(target=forge.close).start(),
        )
    assert forge.busy_pid is None
    with pytest.raises(Unavailable):
        forge.forge(zoo / "dense.h5", tmp_path / "servable", ForgeOrder(), lambda _: None)


@on_linux
def test_a_guest_has_an_empty_environment_low_priority_and_no_core_dumps(
    launcher: PlainChildLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORTRIGGER_API_KEY", "secret")
    forge = ForgeProcess(launcher, tmp_path)
    forge.warm()
    pid = forge.warm_pid
    assert pid is not None
    process = Path(f"/proc/{pid}")
    # Empty for the instant before the exec.
    assert wait_for(lambda: b"CUDA_VISIBLE_DEVICES=\0" in (process / "environ").read_bytes())
    assert b"secret" not in (process / "environ").read_bytes()
    assert wait_for(lambda: (process / "stat").read_text().rsplit(")", 1)[1].split()[16] == "10")
    assert wait_for(
        lambda: "Max core file size        0                    0" in (process / "limits").read_text()
    )
    assert os.getsid(pid) == pid
    forge.close()
    assert gone(pid)


@on_linux
def test_guests_die_with_their_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from tensortrigger_backend.adapters.child_process import PlainChildLauncher\n"
        "from tensortrigger_backend.adapters.forge_process import ForgeProcess\n"
        "forge = ForgeProcess(PlainChildLauncher(), pathlib.Path(sys.argv[1]))\n"
        "forge.warm(); print(forge.warm_pid, flush=True); time.sleep(60)\n"
    )
    root = str(Path(tensortrigger_backend.__file__).parent.parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env={"PYTHONPATH": root}
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: gone(pid) or b"zombie" in Path(f"/proc/{pid}/status").read_bytes())


@on_linux
def test_a_process_that_publishes_and_serves_never_maps_tensorflow(zoo: Path, tmp_path: Path) -> None:
    code = f"""
import sys, pathlib, numpy as np
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.publishing import ForgeOrder
scratch = pathlib.Path({str(tmp_path)!r})
launcher = PlainChildLauncher()
forge = ForgeProcess(launcher, scratch)
target = scratch / "servable"
verdict = forge.forge(pathlib.Path({str(zoo / "dense.h5")!r}), target, ForgeOrder(), lambda stage: None)
assert verdict.accepted
engines = Engines(TensorFlowEngine(launcher, scratch))
servable = engines.load(target)
target.unlink()
name = servable.signature.inputs[0].name
answer = servable.infer({{name: np.zeros((2, 4), np.float32)}})
assert [array.shape for array in answer.values()] == [(2, 3)]
maps = pathlib.Path("/proc/self/maps").read_text()
assert "onnxruntime" in maps
heavy = ("tensorflow", "keras", "h5py", "tf2onnx", "onnx", "safetensors")
print([name for name in heavy if name in sys.modules], [n for n in heavy if f"/{{n}}/" in maps])
engines.close(); forge.close(); launcher.close()
"""
    root = str(Path(tensortrigger_backend.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": root}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "[] []"


def test_the_tensorflow_engine_survives_its_process_and_lets_it_go(
    zoo: Path, launcher: PlainChildLauncher, tmp_path: Path
) -> None:
    import numpy as np

    engine = TensorFlowEngine(launcher, tmp_path, idle_seconds=1.0)
    engines = Engines(engine)
    servable = engines.load(zoo / "benign_hashed_numbers.servable")
    name = servable.signature.inputs[0].name
    x = np.ones((1, *servable.signature.inputs[0].shape[1:]), servable.signature.inputs[0].dtype)
    before = servable.infer({name: x})
    pid = engine.host_pid
    assert pid is not None
    os.kill(pid, 9)
    after = servable.infer({name: x})
    assert engine.host_pid not in (None, pid)
    assert all(np.array_equal(before[output], after[output]) for output in before)
    assert wait_for(lambda: engine.host_pid is None)
    servable.close()
    engines.close()
    assert list(tmp_path.iterdir()) == []
