"""Why import everything and do nothing? So that guests, which may not write beside packages, find them compiled."""

from __future__ import annotations

import importlib

MODULES = (
    "tensortrigger_backend.forge.inspection",
    "tensortrigger_backend.forge.keras.publication",
    "tensortrigger_backend.forge.keras.concrete",
    "tensortrigger_backend.trainer.loop",
)


def main() -> None:
    """Import what guests import."""
    for module in MODULES:
        importlib.import_module(module)
