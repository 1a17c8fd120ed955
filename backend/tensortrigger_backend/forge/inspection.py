"""Stage one: is this upload safe to open and of the right shape? Without Keras and without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensortrigger_backend.domain.compiled import Compiled, compiled_of
from tensortrigger_backend.forge.archive_check import CONFIG, WEIGHTS, check_archive
from tensortrigger_backend.forge.config_walk import check_config, check_training, parse_config
from tensortrigger_backend.forge.formats import HDF5, tell_format
from tensortrigger_backend.forge.hdf5_check import (
    attribute_text,
    check_structure,
    model_config_text,
    open_hdf5,
)
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import refuse

_MODEL_CONFIG = "model_config"
_TRAINING_CONFIG = "training_config"


@dataclass(frozen=True, slots=True)
class Inspected:
    """An upload that may be opened.

    Attributes:
        format: ``hdf5`` or ``keras``.
        config: the architecture as the file has it, compilation left out.
        compiled: what it was compiled with, by listed names only; None where nothing of it is known.
    """

    format: str
    config: dict[str, Any]
    compiled: Compiled | None = None


def inspect_upload(source: Path, scratch: Path, limits: Limits) -> Inspected:
    """Judge the upload by what is written in it.

    Raises:
        Refused: what is wrong, where, and what to do.
    """
    kind = tell_format(source)
    config, training = (
        _inspect_hdf5(source, limits) if kind == HDF5 else _inspect_archive(source, scratch, limits)
    )
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict | list):
        raise refuse("bad_config", "the model's config describes no model", remedy="save and upload it again")
    return Inspected(kind, config, compiled_of(training))


def _inspect_hdf5(source: Path, limits: Limits) -> tuple[Any, Any]:
    """The architecture, and what it was compiled with."""
    with open_hdf5(source) as file:
        check_structure(file, source.stat().st_size, limits)
        config = parse_config(model_config_text(file), limits, _MODEL_CONFIG)
        text = attribute_text(file, _TRAINING_CONFIG)
        if "model_weights" not in file:
            raise refuse("no_weights", "the HDF5 file holds a model without its weights", "model_weights")
    check_config(config, limits, qualified=False, path=(_MODEL_CONFIG,))
    training = parse_config(text, limits, _TRAINING_CONFIG) if text is not None else None
    check_training(training, limits, path=(_TRAINING_CONFIG,))
    return config, training


def _inspect_archive(source: Path, scratch: Path, limits: Limits) -> tuple[Any, Any]:
    text, _, weights = check_archive(source, scratch, limits)
    try:
        with open_hdf5(weights) as file:
            check_structure(file, weights.stat().st_size, limits, WEIGHTS)
    finally:
        weights.unlink(missing_ok=True)
    config = parse_config(text, limits, CONFIG)
    training = None
    if isinstance(config, dict):
        training = config.pop("compile_config", None)
        check_training(training, limits, path=(CONFIG, "compile_config"))
    check_config(config, limits, qualified=True, path=(CONFIG,))
    return config, training
