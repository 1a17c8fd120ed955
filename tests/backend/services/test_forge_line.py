"""Forges in processes of their own: who takes an upload, who waits for it, and what happens when one dies."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.errors import NotFound, Overrun, Unavailable
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeOrder, ForgeVerdict
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.drafts import Draft
from tensortrigger_backend.services.forge_line import ForgeLine
from tensortrigger_backend.services.publish_watch import PublishWatch
from tensortrigger_backend.services.publishing import CAPACITY
from tensortrigger_backend.services.registry import NOBODY, Registry

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING)


class Anvil:
    """A forge that accepts everything in no time; ``meanwhile`` is called while it judges."""

    def __init__(self, line: JobLine, write_linear: Callable[..., object]) -> None:
        self._made = line.root / "made.servable"
        self._signature = write_linear(self._made, np.array([[1.0]]))
        self.judged: list[bytes] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def forge(
        self, source: Path, target: Path, order: ForgeOrder, on_stage: Callable[[str], None]
    ) -> ForgeVerdict:
        on_stage("checking")
        self.judged.append(source.read_bytes())
        self.meanwhile()
        shutil.copyfile(self._made, target)
        return ForgeVerdict(True, format="keras", signature=self._signature, engine=ONNX, max_deviation=0.0)

    def warm(self) -> None: ...

    def close(self) -> None: ...


class Place:
    """Registries of several processes on one database; ``dead`` names those that do not live any more."""

    def __init__(self, line: JobLine, write_linear: Callable[..., object]) -> None:
        self.line = line
        self.anvil = Anvil(line, write_linear)
        self.dead: set[str] = set()

    def registry(self, holder: str, forge: Anvil | None) -> Registry:
        return Registry(
            self.line.models,
            self.line.blobs,
            Contents(SqlContentStore(self.line.database), self.line.blobs, self.line.clock),
            forge,
            self.line.root / "scratch",
            self.line.clock,
            lambda _: None,
            lambda owner, name: None,
            holder,
            lambda names: [name for name in names if name in self.dead],
        )

    def receive(self, name: str = "m") -> ModelVersion:
        """What an API without a forge writes down."""
        content = [b"upload ", name.encode()]
        return self.registry(NOBODY, None).receive(ANN, Draft(name), content)[0]

    def state(self, version: ModelVersion) -> VersionState:
        return self.line.models.get(version.model_id, None).state


@pytest.fixture
def place(line: JobLine, write_linear: Callable[..., object]) -> Place:
    return Place(line, write_linear)


@pytest.fixture
def watch(place: Place) -> Iterator[PublishWatch]:
    watch = PublishWatch(place.registry(NOBODY, None), patience=5)
    watch.start()
    yield watch
    watch.close()


def wait(holds: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_nobody_holds_a_forge_takes_and_its_caller_is_told(place: Place, watch: PublishWatch) -> None:
    line = ForgeLine(place.registry("forge-1", place.anvil))
    line.start()
    version = place.receive()
    assert watch.submit(version.model_id).result(10).state is VersionState.READY
    assert place.line.models.get(version.model_id, None).holder == "forge-1"
    line.stop()
    assert line.join(5)


def test_of_many_forges_one_judges_each_upload(place: Place, watch: PublishWatch) -> None:
    lines = [ForgeLine(place.registry(f"forge-{number}", place.anvil)) for number in range(4)]
    uploads = [place.receive(f"m{number}") for number in range(8)]
    waited = [watch.submit(version.model_id) for version in uploads]
    for line in lines:
        line.start()
    assert {future.result(20).state for future in waited} == {VersionState.READY}
    for line in lines:
        line.stop()
        line.join(5)
    assert len(place.anvil.judged) == len(uploads)


def test_what_a_dead_forge_held_another_takes_and_what_a_living_one_holds_it_leaves(place: Place) -> None:
    registry = place.registry("forge-2", place.anvil)
    theirs = place.receive()
    assert place.line.models.take(theirs.model_id, NOBODY, "forge-1")
    assert registry.left_behind() == []
    assert not registry.take_over(theirs.model_id)
    place.dead.add("forge-1")
    assert registry.left_behind() == [theirs.model_id]
    assert registry.take_over(theirs.model_id)
    assert not registry.take_over(theirs.model_id)


def test_a_forge_that_was_stopped_too_long_refuses_nothing_that_another_has_taken_over(place: Place) -> None:
    slow, version = place.registry("forge-1", place.anvil), place.receive()
    assert slow.take_over(version.model_id)

    def taken_over_and_out_of_time() -> None:
        place.dead.add("forge-1")
        assert place.registry("forge-2", place.anvil).take_over(version.model_id)
        raise Overrun("It took longer than it may.")

    place.anvil.meanwhile = taken_over_and_out_of_time
    assert not slow.judge(version.model_id).state.settled
    slow.refuse_unjudged(version.model_id, "It is over.")
    assert not place.state(version).settled
    place.anvil.meanwhile = lambda: None
    assert place.registry("forge-2", place.anvil).judge(version.model_id).state is VersionState.READY


def test_a_storage_that_is_away_for_a_moment_refuses_no_model(
    place: Place, watch: PublishWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.services.forge_line.AWAY", 0.01)
    failures = iter((True, True))

    def away() -> None:
        if next(failures, False):
            raise Unavailable("The storage is away.")

    place.anvil.meanwhile = away
    line = ForgeLine(place.registry("forge-1", place.anvil))
    line.start()
    assert watch.submit(place.receive().model_id).result(10).state is VersionState.READY
    line.stop()
    line.join(5)


def test_what_cannot_be_judged_at_all_is_refused_at_last(
    place: Place, watch: PublishWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.services.forge_line.AWAY", 0.01)

    def away() -> None:
        raise Unavailable("The process that checks models ended unexpectedly.")

    place.anvil.meanwhile = away
    line = ForgeLine(place.registry("forge-1", place.anvil))
    line.start()
    refused = watch.submit(place.receive().model_id).result(10)
    assert refused.state is VersionState.REFUSED
    assert refused.report["faults"][0]["code"] == "forge_failed"
    line.stop()
    line.join(5)


def test_a_forge_that_leaves_hands_its_upload_back(place: Place) -> None:
    judging, go_on = threading.Event(), threading.Event()

    def given_up() -> None:
        judging.set()
        go_on.wait(10)
        raise Unavailable("The server is shutting down.")

    place.anvil.meanwhile = given_up
    line, version = ForgeLine(place.registry("forge-1", place.anvil)), place.receive()
    line.start()
    assert judging.wait(10)
    line.stop()
    assert not line.join(0.1)
    go_on.set()
    assert line.join(5)
    line.hand_back()
    assert place.line.models.get(version.model_id, None).holder == NOBODY
    assert not place.state(version).settled


def test_who_waits_is_told_when_the_upload_is_gone_or_nobody_judges_it(place: Place) -> None:
    watch = PublishWatch(place.registry(NOBODY, None), patience=0.3)
    watch.start()
    unjudged, gone = place.receive("unjudged"), place.receive("gone")
    waited = watch.submit(gone.model_id)
    place.registry(NOBODY, None).forget(gone.model_id)
    with pytest.raises(NotFound):
        waited.result(5)
    with pytest.raises(Unavailable, match="No forge"):
        watch.submit(unjudged.model_id).result(5)
    last = watch.submit(unjudged.model_id)
    watch.close()
    with pytest.raises(Unavailable, match="shutting down"):
        last.result(5)


def test_more_uploads_than_may_wait_are_turned_away(place: Place, watch: PublishWatch) -> None:
    uploads = [place.receive(f"m{number}") for number in range(CAPACITY + 1)]
    with pytest.raises(Unavailable, match="wait to be checked already"):
        watch.submit(uploads[-1].model_id)
