"""Every failure of a publication as code, message and what to do about it."""

from __future__ import annotations

from typing import Any

from tensortrigger_lab import errors
from tensortrigger_lab.kernel.reply import Refusal

KEY = "Use tt.login(url, key) or %tt login in this notebook, or ask whoever runs the backend for a key."
TABLE: tuple[tuple[type[Exception], str, str | None], ...] = (
    (
        errors.ModelRefused,
        "refused",
        "Change the layer that is named as the remedy says, then publish again.",
    ),
    (errors.BadInput, "bad_input", "Correct it, then publish again."),
    (
        errors.NotReachable,
        "not_reachable",
        "Start a backend with 'tt serve', or name one that this kernel can reach with tt.login(url).",
    ),
    (errors.NoAnswer, "no_answer", "Try again; if it stays so, look at the backend's log."),
    (errors.Unauthenticated, "unauthenticated", KEY),
    (errors.Forbidden, "forbidden", KEY),
    (
        errors.PayloadTooLarge,
        "too_large",
        "Raise the backend's limit on uploads, or publish a smaller model.",
    ),
    (errors.NotReady, "not_ready", "Wait until the version is ready."),
    (errors.Conflict, "conflict", "Publish again."),
    (errors.Unavailable, "unavailable", "Try again in a while."),
    (errors.ServerFault, "server_fault", "Try again; if it stays so, look at the backend's log."),
    (errors.NotFound, "not_found", "Look whether somebody has deleted it, then publish again."),
    (errors.InvalidRequest, "invalid_request", "Correct it, then publish again."),
    (errors.UnexpectedAnswer, "unexpected_answer", "Check the backend's URL and version."),
)


def refusal_of(error: Exception) -> Refusal:
    """The failure as a front end shows it."""
    if isinstance(error, Refusal):
        return error
    for kind, code, action in TABLE:
        if isinstance(error, kind):
            return Refusal(code, str(error), action)
    told = str(error).strip().splitlines()
    return Refusal(
        "internal",
        f"{type(error).__name__}: {told[0][:300] if told else 'no reason given'}",
        "Try tt.publish in a cell.",
    )


def error_members(error: Exception) -> dict[str, Any]:
    """The ``error`` of a publication's progress: also each fault, and the HTTP status where there was one."""
    members = refusal_of(error).members
    if isinstance(error, errors.TensorTriggerError):
        members["message"] = error.detail
        members["status"] = error.status
        members["faults"] = [
            {
                "loc": list(fault.loc),
                "code": fault.code,
                "message": fault.message,
                "expected": fault.expected,
                "got": fault.got,
                "remedy": fault.remedy,
            }
            for fault in error.faults
        ]
    return members
