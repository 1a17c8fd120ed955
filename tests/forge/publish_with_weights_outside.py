"""Publishes small models as if they were large: all of their weights wait outside while they are converted.

``python publish_with_weights_outside.py`` prints a JSON line for each: its name, engine and largest deviation, and how
many of its weights waited outside.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from unittest import mock

import model_zoo

from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.keras.publication import publish
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.onnx import large_constants

NAMES = ("dense", "conv2d", "embedding_and_pooling", "lstm", "batch_normalization", "multi_head_attention")

with (
    mock.patch.multiple(large_constants, LEAST_TOTAL=1, LEAST_EACH=64),
    tempfile.TemporaryDirectory() as name,
):
    folder = Path(name)
    for kind in NAMES:
        model = getattr(model_zoo, kind)()
        source = folder / f"{kind}.keras"
        model.save(source)
        inspected = inspect_upload(source, folder, Limits())
        verdict = publish(source, folder / kind, inspected, ForgeOrder(), lambda _: None)
        outside = len(large_constants.large_weights(model))
        print(json.dumps([kind, verdict.engine, verdict.max_deviation, outside]))
