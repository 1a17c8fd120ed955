"""How is a recurrent layer with dropout traced for answering? As if it had none, which is what answering means.

Keras draws the masks of a recurrent cell before it asks whether it is training. The draw changes a random state, and a
graph that changes something cannot be frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_RATES = ("dropout", "recurrent_dropout")


@contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """Take the dropout of every recurrent cell away, and give it back."""
    cells = [layer for layer in model._flatten_layers() if hasattr(layer, "get_dropout_mask")]
    kept = [(cell, name, getattr(cell, name)) for cell in cells for name in _RATES if hasattr(cell, name)]
    for cell, name, _ in kept:
        setattr(cell, name, 0.0)
    try:
        yield
    finally:
        for cell, name, rate in kept:
            setattr(cell, name, rate)
