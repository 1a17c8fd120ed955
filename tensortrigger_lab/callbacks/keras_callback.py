"""``tt.callback``: a Keras callback that shows a training live, and lets others in at its epochs' ends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from tensortrigger_lab.callbacks.epoch_end import epoch_end
from tensortrigger_lab.callbacks.fit import Place
from tensortrigger_lab.callbacks.stream import Run, Stream
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.session import session

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client


def callback(
    name: str,
    *,
    model: str | None = None,
    publish: bool = False,
    every: int = 1,
    client: Client | None = None,
) -> Any:
    """Watch ``model.fit`` live: in JupyterLab's panel, with ``tt.watch``, or over REST.

    Args:
        name: a title for the run.
        model: the published model's name that the run belongs to, so that it is found beside it.
        publish: whether to publish the model, as ``model`` or else as ``name``, when the training has ended;
            ``callback.publication`` tells how that goes.
        every: send each so-many-th batch; every epoch is sent.
        client: another backend than the notebook's own.

    Returns:
        a ``keras.callbacks.Callback``. ``run_id`` is its run's id once the backend has given it. If the backend
        is away, the training goes on as without it, and a line in the log says so.

    Raises:
        BadInput: no title, ``every`` is no whole number from 1, a model's name that cannot stand in a URL, or
            an address of the backend in the environment that is none.

    Example:
        >>> network.fit(X, y, epochs=30, callbacks=[tt.callback("wider layers")])  # doctest: +SKIP
    """
    if not isinstance(name, str) or not name.strip():
        raise BadInput("A run needs a title.", field="name", expected="some text", got=repr(name)[:80])
    if not isinstance(every, int) or every < 1:
        raise BadInput("Which batches shall be sent?", field="every", expected="1 or more", got=repr(every))
    if publish or model is not None:
        from tensortrigger_lab.packing import check_name

        check_name(name if model is None else model)
    if client is None:
        # What is wrong with the settings is told here: nothing may be raised into the training.
        session().client  # noqa: B018
    return _class()(name.strip(), model, publish, every, client)


@cache
def _class() -> type[Any]:
    """The class, made where Keras is first needed: it takes seconds to import."""
    import keras

    class LiveMetrics(keras.callbacks.Callback):  # type: ignore[misc]
        """Streams what ``fit`` reports; its hooks only store."""

        # Where Keras may run the hooks of batches on threads of its own it shall: the order does not matter.
        async_safe = True

        def __init__(
            self, name: str, model: str | None, publish: bool, every: int, client: Client | None
        ) -> None:
            super().__init__()
            self.publication: Any = None
            self._name, self._published_as = name, model
            self._publish, self._every, self._given = publish, every, client
            self._stream: Stream | None = None
            self._epoch = 1
            self._steps_before = self._steps = 0

        @property
        def run_id(self) -> str | None:
            """The id of the run, None until the backend has given one."""
            return self._stream.run_id if self._stream is not None else None

        def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
            if self._stream is not None:
                # The fit before may have been interrupted, which nobody tells a callback.
                self._stream.leave()
            self._steps_before = self._steps = 0
            self._epoch = 1
            client = self._given or session().client
            token = object()
            run = Run(
                self._name,
                self._published_as,
                (self.params or {}).get("epochs"),
                (self.params or {}).get("steps"),
                _facts(self.model),
            )
            epoch_end().open(token)
            self._stream = Stream(run, lambda: client, Place(), lambda: epoch_end().close(token))
            self._stream.start()

        def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
            self._epoch = epoch + 1
            self._steps_before = self._steps

        def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
            step, before = self._steps_before + batch + 1, self._steps
            self._steps = max(before, step)
            # Keras may take several steps at once (steps_per_execution), and tell the last one only.
            if step // self._every > before // self._every and logs and self._stream is not None:
                self._stream.add(step, self._epoch, "batch", dict(logs))

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            if self._stream is not None:
                self._stream.add(max(1, self._steps), epoch + 1, "epoch", dict(logs or {}))
            epoch_end().grant()

        def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
            epoch_end().grant()
            if self._publish:
                from tensortrigger_lab.kernel.publications import publish_model

                self.publication = publish_model(self.model, self._published_as or self._name, self._given)
            if self._stream is not None:
                self._stream.finish("succeeded")

    return LiveMetrics


def _facts(model: Any) -> dict[str, Any]:
    """What a table of runs compares: the optimizer, its rate, the loss, the size; what is known of it."""
    facts: dict[str, Any] = {}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        facts["optimizer"] = type(optimizer).__name__
        # Optimizers and models may be anybody's, and nothing may be raised into the training.
        with suppress(Exception):
            facts["learning_rate"] = float(optimizer.learning_rate)
    loss = getattr(model, "loss", None)
    if loss is not None:
        own = getattr(loss, "name", None) or getattr(loss, "__name__", None) or type(loss).__name__
        facts["loss"] = loss if isinstance(loss, str) else str(own)
    if getattr(model, "built", False):
        with suppress(Exception):
            facts["parameters"] = int(model.count_params())
    return facts
