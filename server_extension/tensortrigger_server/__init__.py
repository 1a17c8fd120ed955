"""What Jupyter asks for when it looks for server extensions; nothing else is loaded here."""

from __future__ import annotations

from importlib import metadata
from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Name the extension's application, imported only when a Jupyter server asks for it."""
    from tensortrigger_server.app import TensorTriggerApp

    return [{"module": "tensortrigger_server", "app": TensorTriggerApp}]


def __getattr__(name: str) -> str:
    # Jupyter shows this in `jupyter server extension list`; reading metadata costs a file, so not at import.
    if name == "__version__":
        try:
            return metadata.version("tensortrigger-lab")
        except metadata.PackageNotFoundError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
