"""The publications of this kernel: begun by the front end, the panel or a callback, and found again by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from tensortrigger_lab.callbacks.epoch_end import epoch_end
from tensortrigger_lab.callbacks.fit import main_thread_trains, models_in_training
from tensortrigger_lab.config import Settings
from tensortrigger_lab.kernel.backend import link, through
from tensortrigger_lab.kernel.namespace import example_of, found_model, on_main_thread
from tensortrigger_lab.kernel.params import text_of, text_or_none, texts_of
from tensortrigger_lab.kernel.publication import Publication
from tensortrigger_lab.kernel.reply import Refusal
from tensortrigger_lab.kernel.wanted import Wanted
from tensortrigger_lab.packing import check_name, declared_schema
from tensortrigger_lab.provenance import checked_tags
from tensortrigger_lab.reference import check_alias

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client

KEPT = 50
"""How many are remembered; what is over is forgotten first, oldest first."""


class Publications:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._found: dict[str, Publication] = {}
        self._lock = Lock()

    def begin(self, wanted: Wanted, link_to: Callable[..., Any] = link) -> str:
        """Take the model, now or at the next epoch's end; the id to ask about it.

        Args:
            link_to: opens the way to the backend.

        Raises:
            Refusal: it cannot be taken now.
            BadInput: it cannot be published so.
        """
        check_name(wanted.name)
        if wanted.alias is not None:
            check_alias(wanted.alias)
        if wanted.url is not None:
            Settings(wanted.url)
        publication = Publication(wanted, link_to)
        if wanted.at_epoch_end and epoch_end().awaited:
            # What is wrong with the wish is told now, not an epoch later.
            declared_schema(wanted.model, wanted.example, wanted.schema)
            if publication.await_epoch_end():
                self._note(publication)
                return publication.publish_id
        _check_at_rest(wanted)
        publication.take()
        self._note(publication)
        return publication.publish_id

    def found(self, publish_id: str) -> Publication:
        """The publication of that id.

        Raises:
            Refusal: this kernel has none.
        """
        with self._lock:
            if publish_id in self._found:
                return self._found[publish_id]
        raise Refusal(
            "kernel_restarted",
            "This kernel knows nothing of that publication: it was restarted meanwhile.",
            "See in the list of models whether it was published; if not, publish again.",
        )

    def _note(self, publication: Publication) -> None:
        with self._lock:
            self._found[publication.publish_id] = publication
            over = [key for key, known in self._found.items() if known.final]
            for key in over[: max(0, len(self._found) - KEPT)]:
                del self._found[key]


@cache
def publications() -> Publications:
    """Those of this process."""
    return Publications()


def publish_model(model: Any, name: str, client: Client | None = None) -> Publication:
    """Publish a model that is at hand, on the thread that trained it; a failure is told by its progress."""
    publication = Publication(Wanted(model, name), link if client is None else partial(through, client))
    publication.take_or_fail()
    return publication


def wanted(params: Mapping[str, Any]) -> Wanted:
    """What a front end's parameters ask for.

    Raises:
        Refusal: the model or the example is gone, the kernel is another, or a parameter is missing.
    """
    variable, name = text_of(params, "variable"), text_of(params, "name")
    model = found_model(text_of(params, "session"), variable, text_of(params, "identity"))
    if params.get("when", "now") not in ("now", "epoch_end"):
        raise Refusal("bad_input", "'when' must be 'now' or 'epoch_end'.")
    if not model.built:
        raise Refusal(
            "not_built",
            "The model has no weights yet.",
            "Begin it with keras.Input, or call it once on data, then publish.",
        )
    return Wanted(
        model,
        name,
        variable,
        text_or_none(params, "title") or "",
        text_or_none(params, "description") or "",
        params.get("schema") or None,
        example_of(text_or_none(params, "example")),
        text_or_none(params, "example"),
        text_or_none(params, "ticket"),
        text_or_none(params, "url"),
        at_epoch_end=params.get("when") == "epoch_end",
        alias=text_or_none(params, "alias"),
        tags=checked_tags(texts_of(params, "tags")),
        notebook=text_or_none(params, "notebook"),
    )


def _check_at_rest(wanted: Wanted) -> None:
    """Refuse to read weights that something may be changing.

    Raises:
        Refusal: always with what to do instead.
    """
    if main_thread_trains() or any(model is wanted.model for model in models_in_training()):
        raise Refusal(
            "training",
            "The model is being trained, and its weights change while they would be saved.",
            "Publish it at the next epoch's end."
            if epoch_end().awaited
            else "Publish it when the training is over; with tt.callback(...) in fit it can be at an epoch's end.",
        )
    if not on_main_thread():
        raise Refusal(
            "busy",
            "A cell is running, and may change the model while it would be saved.",
            "Publish it when the kernel is idle.",
        )
