"""Which artifacts are there? All of them, and how those that need TensorFlow are built."""

from __future__ import annotations

import json
from pathlib import Path

from hostile_corpus import (
    hdf5_files,
    json_texts,
    keras_imports,
    keras_lambdas,
    onnx_models,
    saved_model_folders,
    saved_models,
    size_bombs,
    zip_members,
)
from hostile_corpus.artifact import Artifact, Effect, Traps

_MODULES = (
    keras_lambdas,
    keras_imports,
    json_texts,
    zip_members,
    hdf5_files,
    size_bombs,
    onnx_models,
    saved_models,
    saved_model_folders,
)
ALL: tuple[Artifact, ...] = tuple(artifact for module in _MODULES for artifact in module.artifacts())
LIVE = tuple(artifact for artifact in ALL if artifact.effect.seen_by_trap)
BOMBS = tuple(artifact for artifact in ALL if artifact.effect is Effect.EXPANDS)
HARMLESS: tuple[Artifact, ...] = (zip_members.HARMLESS, hdf5_files.HARMLESS, saved_models.HARMLESS)
"""One of each that can be loaded: shows that what opens the others can open anything at all."""
SUFFIXES = {"keras": ".keras", "hdf5": ".h5", "saved_model": ".zip", "onnx": ".onnx"}


def built(artifact: Artifact, folder: Path, traps: Traps) -> Path:
    """The artifact's file in this folder, built there unless it lies there already."""
    path = folder / (artifact.name.replace("/", "-") + SUFFIXES[artifact.format])
    if not path.exists():
        path.write_bytes(artifact.build(traps))
    return path


def plan(artifacts: tuple[Artifact, ...], folder: Path, traps: Traps) -> bytes:
    """The line that ``unprotected`` waits for, every artifact built."""
    wanted = [
        {
            "name": artifact.name,
            "loader": artifact.loader,
            "path": str(built(artifact, folder, traps)),
        }
        for artifact in artifacts
    ]
    return json.dumps({"secret": traps.secret, "artifacts": wanted}).encode() + b"\n"
