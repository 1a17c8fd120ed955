"""How a panel words what a server or an error said: as HTML, with every foreign character escaped."""

from __future__ import annotations

from html import escape

from tensortrigger_lab.errors import TensorTriggerError


def note(text: str) -> str:
    """A plain remark."""
    return f'<p style="margin:4px 0;overflow-wrap:anywhere">{escape(text)}</p>'


def fault(text: str) -> str:
    """Something that went wrong; said by a word too, not by a colour alone."""
    body = escape(text).replace("\n", "<br>")
    return f'<p role="alert" style="margin:4px 0;overflow-wrap:anywhere"><b>Error:</b> {body}</p>'


def code(text: str) -> str:
    """Something to copy."""
    return (
        '<pre style="white-space:pre-wrap;overflow-wrap:anywhere;padding:6px;border:1px solid currentColor">'
        f"{escape(text)}</pre>"
    )


def error_told(error: Exception) -> str:
    """An error of ours by its own words, any other by its name too."""
    if isinstance(error, TensorTriggerError):
        return fault(str(error))
    return fault(f"{type(error).__name__}: {error}")
