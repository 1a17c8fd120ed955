"""The publications of a kernel, without one: what they hold on to."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tensortrigger_lab.callbacks.epoch_end import epoch_end
from tensortrigger_lab.kernel.publication import Wanted
from tensortrigger_lab.kernel.publications import Publications
from tensortrigger_lab.kernel.reply import Refusal


class Network:
    """Stands for a Keras model."""

    built, input_shape = True, (None, 2)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A training with our callback."""
    monkeypatch.setitem(__import__("sys").modules, "keras", SimpleNamespace(Model=Network))
    token = object()
    epoch_end().open(token)
    yield
    epoch_end().close(token)


def test_a_model_that_was_refused_as_its_training_ended_is_let_go(
    training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training can end between the question whether one runs and the wish."""
    monkeypatch.setattr(type(epoch_end()), "ask", lambda *_: False)
    publications, told = Publications(), list[str]()
    model = Network()
    gone = weakref.ref(model)

    def begin(wanted: Wanted) -> None:
        with pytest.raises(Refusal) as refused:
            publications.begin(wanted)
        told.append(refused.value.code)

    # As on a subshell, beside a running cell.
    beside = threading.Thread(target=begin, args=(Wanted(model, "churn", at_epoch_end=True),))
    beside.start()
    beside.join()
    del model, beside
    gc.collect()
    assert (told, gone()) == (["busy"], None)


def test_a_model_that_waits_for_an_epoch_end_is_let_go_when_it_is_cancelled(training: None) -> None:
    publications: Any = Publications()
    model = Network()
    gone = weakref.ref(model)
    publish_id = publications.begin(Wanted(model, "churn", at_epoch_end=True))
    del model
    assert gone() is not None
    assert publications.found(publish_id).cancel() == "cancelled"
    gc.collect()
    assert gone() is None
