"""Which version of an engine would answer here? Asked of what is installed, without importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tensortrigger_backend.domain.publishing import ONNX, TENSORFLOW

_DISTRIBUTIONS: Final = {
    ONNX: ("onnxruntime", "onnxruntime-gpu"),
    TENSORFLOW: ("tensorflow-cpu", "tensorflow", "tensorflow-macos"),
}
"""One engine comes under several names; the first that is installed counts."""


def installed_engine(engine: str) -> str:
    """The version of ``onnxruntime`` or ``tensorflow``; ``not installed`` where it is not."""
    for name in _DISTRIBUTIONS.get(engine, ()):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"
