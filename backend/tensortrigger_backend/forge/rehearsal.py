"""What does a warm process do before its one model comes? Everything once, on a tiny model of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras

from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.forge.inspection import Inspected
from tensortrigger_backend.forge.keras.publication import publish


def rehearse() -> None:
    """Load, convert and verify a model, so that the libraries have read and set up what they need."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload.keras"
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="relu")])
        model.save(source)
        config = {"class_name": "Sequential", "config": {}}
        publish(source, Path(folder) / "servable", Inspected("keras", config), ForgeOrder(), lambda _: None)
    keras.backend.clear_session()
