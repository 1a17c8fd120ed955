"""The one function that a front end calls in the kernel: silent, bounded, and it never raises.

It runs on the kernel's main thread, or, while a cell is running, on a subshell's. Loading it imports neither pandas
nor Keras; what a method needs beyond that is imported by the method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tensortrigger_lab.kernel.params import read, text_of, text_or_none
from tensortrigger_lab.kernel.reply import Refusal, Reply

Params = Mapping[str, Any]


def call(method: str, params: str = "{}") -> Reply:
    """Answer a front end.

    Args:
        method: one of ``METHODS``.
        params: its parameters, a JSON object as text.
    """
    try:
        return Reply(METHODS[method](read(params)) if method in METHODS else _unknown(method))
    except Refusal as refusal:
        return Reply(error=refusal)
    except Exception as error:  # noqa: BLE001 - an error here would be an error of the user's cell there
        return Reply(error=_told(error))


def hello(_: Params) -> dict[str, Any]:
    """Who is there."""
    from tensortrigger_lab.callbacks.fit import frames_in_training
    from tensortrigger_lab.config import version
    from tensortrigger_lab.kernel.backend import known_backend, known_skew
    from tensortrigger_lab.kernel.listing import keras_is_here
    from tensortrigger_lab.kernel.namespace import kernel_session

    url, has_key = known_backend()
    return {
        "version": version(),
        "session": kernel_session(),
        "url": url,
        "has_key": has_key,
        "skew": known_skew(),
        "keras": keras_is_here(),
        "training": bool(frames_in_training()),
    }


def models(_: Params) -> dict[str, Any]:
    """The Keras models and the data in the notebook."""
    from tensortrigger_lab.kernel.listing import listing

    return listing()


def schema(params: Params) -> dict[str, Any]:
    """What publishing one of them would declare."""
    from tensortrigger_lab.kernel.namespace import example_of, found_model
    from tensortrigger_lab.kernel.proposal import proposal

    session, variable, identity = (text_of(params, name) for name in ("session", "variable", "identity"))
    return proposal(found_model(session, variable, identity), example_of(text_or_none(params, "example")))


def publish(params: Params) -> dict[str, Any]:
    """Publish one of them."""
    from tensortrigger_lab.kernel.publications import publications, wanted

    return {"publish_id": publications().begin(wanted(params))}


def progress(params: Params) -> dict[str, Any]:
    """How far that has come."""
    from tensortrigger_lab.kernel.publications import publications

    return publications().found(text_of(params, "publish_id")).progress()


def cancel(params: Params) -> dict[str, Any]:
    """Stop it, where that can still be done."""
    from tensortrigger_lab.kernel.publications import publications

    return {"state": publications().found(text_of(params, "publish_id")).cancel()}


METHODS: dict[str, Callable[[Params], dict[str, Any]]] = {
    "hello": hello,
    "models": models,
    "schema": schema,
    "publish": publish,
    "progress": progress,
    "cancel": cancel,
}


def _unknown(method: str) -> dict[str, Any]:
    raise Refusal(
        "unknown_method",
        f"The tensortrigger_lab package of this kernel does not know {str(method)[:40]!r}.",
        "Install the version that the JupyterLab extension has: pip install --upgrade tensortrigger-lab",
    )


def _told(error: Exception) -> Refusal:
    from tensortrigger_lab.kernel.failures import refusal_of

    return refusal_of(error)
