"""Exports are refused with a reason where there is nothing to export, and kept only for a day."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.export_process import ExportProcess
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.errors import InvalidInput, NotFound, Unavailable
from tensortrigger_backend.services.exports import IN_LINE, KEPT_FOR, Exports

ANN, BOB = Principal("ann", EVERYTHING), Principal("bob", EVERYTHING)


class SlowWriter:
    """Writes once it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.written = 0

    def write(self, artifact: Path, target: Path) -> None:
        assert artifact.is_file()
        assert self.go_on.wait(10)
        self.written += 1
        target.write_bytes(b"made")

    def close(self) -> None:
        self.go_on.set()


@pytest.fixture
def exports(line: Any, tmp_path: Path, clock: Any) -> Iterator[Exports]:
    launcher = PlainChildLauncher()
    writer = ExportProcess(launcher, tmp_path, GuestTurn())
    yield Exports(line.registry, line.blobs, writer, tmp_path, clock)
    writer.close()
    launcher.close()


def test_what_holds_only_an_onnx_graph_gives_no_saved_model_and_says_why(exports: Exports, line: Any) -> None:
    version = line.publish(np.ones((3, 1)))
    with pytest.raises(InvalidInput, match="ONNX graph only") as told:
        exports.saved_model(ANN, version.model_id)
    assert told.value.faults[0].code == "no_saved_model"
    for asked in (exports.saved_model, exports.example):
        with pytest.raises(NotFound):
            asked(BOB, version.model_id)
    with pytest.raises(NotFound, match="no example"):
        exports.example(ANN, version.model_id)


def test_an_export_is_kept_for_a_day(exports: Exports, line: Any, clock: Any, tmp_path: Path) -> None:
    version = line.publish(np.ones((3, 1)))
    key = f"exports/{version.servable_sha256}/saved_model"
    line.blobs.put(key, b"a zip")
    os.utime(tmp_path / "blobs" / key, (clock.now, clock.now))
    with exports.saved_model(ANN, version.model_id) as stream:
        assert stream.read() == b"a zip"
    clock.wait(KEPT_FOR - 1)
    assert exports.sweep() == 0
    clock.wait(2)
    assert exports.sweep() == 1
    assert line.blobs.keys("exports") == []


def test_so_many_wait_for_an_export_and_no_more(line: Any, tmp_path: Path, clock: Any) -> None:
    version = line.publish(np.ones((3, 1)))
    slow = SlowWriter()
    exports = Exports(line.registry, line.blobs, slow, tmp_path, clock)
    with ThreadPoolExecutor(IN_LINE + 1) as pool:
        asked = [pool.submit(exports.saved_model, ANN, version.model_id) for _ in range(IN_LINE + 1)]
        (first,) = wait(asked, timeout=10, return_when=FIRST_COMPLETED).done
        with pytest.raises(Unavailable, match="being written"):
            first.result()
        slow.go_on.set()
        for future in set(asked) - {first}:
            with future.result(timeout=10) as stream:
                assert stream.read() == b"made"
    assert slow.written == 1
