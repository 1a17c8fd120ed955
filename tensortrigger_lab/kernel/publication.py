"""One model on its way from the notebook to the backend: taken on the training's or main thread, sent behind it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from tensortrigger_lab import publishing
from tensortrigger_lab.callbacks.epoch_end import Wish, epoch_end
from tensortrigger_lab.comparison import Check
from tensortrigger_lab.earlier_names import with_earlier_names
from tensortrigger_lab.endpoint import Model, placeholder_example
from tensortrigger_lab.errors import (
    Forbidden,
    ModelRefused,
    NotReachable,
    TensorTriggerError,
    Unauthenticated,
)
from tensortrigger_lab.kernel.backend import Link, known_backend, link
from tensortrigger_lab.kernel.failures import error_members
from tensortrigger_lab.kernel.published import check_members, model_members, publish_line, scoring_cell
from tensortrigger_lab.kernel.reply import Refusal
from tensortrigger_lab.kernel.wanted import Wanted
from tensortrigger_lab.packing import Package, packed
from tensortrigger_lab.provenance import details_of
from tensortrigger_lab.sending import Sending
from tensortrigger_lab.skew import unwarned
from tensortrigger_lab.wire import ModelRecord

FINAL = frozenset({"ready", "refused", "failed", "cancelled"})
ONLY_A_TICKET = "the ticket allows the upload only, and this kernel has no key of its own for that backend."


class Publication:
    """Its progress may be asked from any thread.

    Args:
        link_to: opens the way to the backend; the front end's and the kernel's own by default.
    """

    def __init__(self, wanted: Wanted, link_to: Callable[[str | None, str | None], Any] = link) -> None:
        self.publish_id = uuid.uuid4().hex
        self._wanted: Wanted | None = wanted
        self._link_to = link_to
        self._wish = Wish(self.take_or_fail, self._missed)
        self._lock = Lock()
        self._state = "saving"
        self._cancelled = False
        self._over = Event()
        self._began, self._took = time.monotonic(), 0.0
        self._line = publish_line(wanted)
        self._told: dict[str, Any] = dict.fromkeys(
            ("model", "check", "curl", "cell", "error", "command", "remark", "uploaded")
        )
        self.published: Model | None = None

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self._over.is_set()

    def progress(self) -> dict[str, Any]:
        """How far it has come."""
        with self._lock:
            seconds = self._took or time.monotonic() - self._began
            return {"state": self._state, **self._told, "seconds": round(seconds, 3)}

    def wait(self, seconds: float | None = None) -> bool:
        """Until nothing more will happen; whether that came in time."""
        return self._over.wait(seconds)

    def await_epoch_end(self) -> bool:
        """Be taken at the next epoch's end; False where no training comes to one."""
        self._show("waiting_for_epoch")
        return epoch_end().ask(self._wish)

    def take(self) -> None:
        """Save the model and ask it the example, here and now; then send it in the background.

        Raises:
            BadInput: it cannot be published so.
        """
        wanted = self._wanted
        if wanted is None:
            return
        self._show("saving")
        details = details_of(wanted.model, alias=wanted.alias, tags=wanted.tags, notebook=wanted.notebook)
        package = packed(
            wanted.model,
            wanted.name,
            wanted.example,
            wanted.description,
            wanted.schema,
            title=wanted.title,
            details=details,
        )
        # From here on nothing refers to the notebook's objects.
        self._wanted = None
        Thread(
            target=self._send,
            args=(package, wanted.ticket, wanted.url),
            name="tensortrigger-publish",
            daemon=True,
        ).start()

    def cancel(self) -> str:
        """Stop it where that is still possible; the state that it is in."""
        self._cancelled = True
        if epoch_end().withdraw(self._wish):
            self._end("cancelled")
        with self._lock:
            return self._state

    def take_or_fail(self) -> None:
        """``take``, where nobody is there to hear of an error but through the progress."""
        try:
            self.take()
        except Exception as error:  # noqa: BLE001 - it would end the training
            self._fail(error)

    def _missed(self) -> None:
        self._fail(
            Refusal(
                "training_stopped",
                "The training stopped before its next epoch ended, so the model was not taken.",
                "Publish it now, as the training has left it.",
            )
        )

    def _send(self, package: Package, ticket: str | None, url: str | None) -> None:
        try:
            with unwarned(), package.artifact, self._link_to(ticket, url) as way:
                self._carry(package, way)
        except _Cancelled:
            self._end("cancelled")
        except Exception as error:  # noqa: BLE001 - nobody else would ever learn of it
            self._fail(_no_backend(error, url))

    def _carry(self, package: Package, way: Link) -> None:
        self._show("uploading")
        if self._cancelled:
            raise _Cancelled
        schema, kept = with_earlier_names(
            way.follow,
            package.name,
            package.schema,
            package.rows,
            guessed=package.guessed,
            outputs=package.outputs,
        )
        # A ticket allows one request, and a large file takes several.
        whole = package.artifact.direct or not (way.by_ticket and way.follow.has_key)
        sender = way.upload if whole else way.follow
        sending = Sending(package, schema, sender, self.publish_id)
        # So that every stage can be shown; who holds only a ticket cannot ask again.
        record = sending.sent(wait=way.by_ticket and whole, told=self._arrived)
        remarks = (kept, sending.remark, way.upload.skew)
        self._tell(remark=" ".join(f"{told.rstrip('.')}." for told in remarks if told) or None)

        def seen(now: ModelRecord) -> None:
            self._seen(now)
            if self._cancelled and self._withdrawn(way, now):
                raise _Cancelled

        try:
            record = publishing.ready(way.follow, record, seen)
        except (Unauthenticated, Forbidden):
            self._finish(record, package, way, Check(None, reason=ONLY_A_TICKET), state=record.state)
            return
        self._show("comparing")
        self._finish(record, package, way, publishing.compared(way.follow, record, package), state="ready")

    def _arrived(self, done: int, total: int) -> None:
        """How much of a large file is there; the moment to stop, if somebody has asked for it."""
        self._tell(uploaded={"done": done, "total": total})
        if self._cancelled:
            raise _Cancelled

    def _withdrawn(self, way: Link, record: ModelRecord) -> bool:
        """Take back what was sent already; False where that is not allowed, so that it goes on."""
        try:
            way.follow.delete_model(record.model_id)
        except TensorTriggerError:
            self._cancelled = False
            return False
        self._tell(model=None)
        return True

    def _finish(self, record: ModelRecord, package: Package, way: Link, check: Check, *, state: str) -> None:
        body = publishing.example_body(record, package.rows) or placeholder_example(record)
        model = Model(record, way.follow, example=body, check=check)
        if not way.by_ticket:
            self.published = model
        self._tell(
            model=model_members(record),
            check=check_members(check),
            curl=Model(record, way.upload, example=body).curl,
            cell=scoring_cell(record, body),
        )
        self._end(state)

    def _seen(self, record: ModelRecord) -> None:
        self._tell(model=model_members(record))
        if record.state not in FINAL:
            self._show(record.state)

    def _fail(self, error: Exception) -> None:
        away = isinstance(error, NotReachable) or getattr(error, "code", None) == "no_backend"
        self._tell(error=error_members(error), command=self._line if away else None)
        self._end("refused" if isinstance(error, ModelRefused) else "failed")

    def _tell(self, **members: Any) -> None:
        with self._lock:
            self._told.update(members)

    def _show(self, state: str) -> None:
        with self._lock:
            self._state = state

    def _end(self, state: str) -> None:
        with self._lock:
            self._state, self._wanted = state, None
            self._took = time.monotonic() - self._began
        self._over.set()


class _Cancelled(Exception):
    """Somebody asked for it to stop."""


def _no_backend(error: Exception, url: str | None) -> Exception:
    """Nothing answered, and nobody ever said where a backend should be."""
    if isinstance(error, NotReachable) and url is None and known_backend()[0] is None:
        return Refusal(
            "no_backend", error.detail, "Start one with 'tt serve', or name one with tt.login(url)."
        )
    return error
