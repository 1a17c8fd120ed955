"""Stage one: is this upload safe to open and of the right shape? Without Keras and without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_backend.domain.compiled import Compiled, compiled_of
from tensortrigger_backend.forge.doctor.configs import Healed, heal_archive, heal_hdf5, heal_training, is_old
from tensortrigger_backend.forge.formats import HDF5, ONNX, SAVED_MODEL, tell_format
from tensortrigger_backend.forge.keras.archive_check import CONFIG, METADATA, WEIGHTS, check_archive
from tensortrigger_backend.forge.keras.config_walk import check_config, check_training, parse_config
from tensortrigger_backend.forge.keras.hdf5_check import (
    attribute_text,
    check_structure,
    model_config_text,
    open_hdf5,
)
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import refuse
from tensortrigger_backend.forge.saved_model.archive import unpack_saved_model
from tensortrigger_backend.forge.saved_model.check import JudgedSavedModel, judge_saved_model

if TYPE_CHECKING:
    from tensortrigger_backend.forge.onnx.check import JudgedOnnx

_MODEL_CONFIG = "model_config"
_TRAINING_CONFIG = "training_config"


@dataclass(frozen=True, slots=True)
class Inspected:
    """An upload that may be opened.

    Attributes:
        format: ``hdf5``, ``keras``, ``saved_model`` or ``onnx``.
        config: the architecture as the file has it, compilation left out; empty where there is none.
        compiled: what it was compiled with, by listed names only; None where nothing of it is known.
        healed: the doctor's rewriting, where there was need of it; then ``config`` is this one's.
    """

    format: str
    config: dict[str, Any]
    compiled: Compiled | None = None
    healed: Healed | None = None
    saved_model: JudgedSavedModel | None = None
    onnx: JudgedOnnx | None = None


def inspect_upload(source: Path, scratch: Path, limits: Limits) -> Inspected:
    """Judge the upload by what is written in it.

    Raises:
        Refused: what is wrong, where, and what to do.
    """
    kind = tell_format(source)
    if kind == SAVED_MODEL:
        folder = scratch / "saved_model"
        folder.mkdir()
        return Inspected(
            kind, {}, saved_model=judge_saved_model(unpack_saved_model(source, folder, limits), limits)
        )
    if kind == ONNX:
        # Only here: it is not for nothing to import.
        from tensortrigger_backend.forge.onnx.check import judge_onnx

        return Inspected(kind, {}, onnx=judge_onnx(source, limits))
    config, training, version = (
        _inspect_hdf5(source, limits) if kind == HDF5 else _inspect_archive(source, scratch, limits)
    )
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict | list):
        raise refuse("bad_config", "the model's config describes no model", remedy="save and upload it again")
    path = (_MODEL_CONFIG,) if kind == HDF5 else (CONFIG,)
    healed = heal_hdf5(config, version, path) if kind == HDF5 else heal_archive(config, version, path)
    if healed is None:
        return Inspected(kind, config, compiled_of(training))
    check_config(healed.config, limits, qualified=True, path=path)
    return Inspected(kind, healed.config, compiled_of(heal_training(training)), healed)


def _inspect_hdf5(source: Path, limits: Limits) -> tuple[Any, Any, str | None]:
    """The architecture, what it was compiled with, and the version of Keras that says it wrote the file."""
    with open_hdf5(source) as file:
        check_structure(file, source.stat().st_size, limits)
        config = parse_config(model_config_text(file), limits, _MODEL_CONFIG)
        text = attribute_text(file, _TRAINING_CONFIG)
        version = attribute_text(file, "keras_version")
        if "model_weights" not in file:
            raise refuse("no_weights", "the HDF5 file holds a model without its weights", "model_weights")
    check_config(config, limits, qualified=False, old=is_old(version), path=(_MODEL_CONFIG,))
    training = parse_config(text, limits, _TRAINING_CONFIG) if text is not None else None
    check_training(training, limits, path=(_TRAINING_CONFIG,))
    return config, training, version


def _inspect_archive(source: Path, scratch: Path, limits: Limits) -> tuple[Any, Any, str | None]:
    """As ``_inspect_hdf5``."""
    text, metadata, weights = check_archive(source, scratch, limits)
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
    told = parse_config(metadata, limits, METADATA)
    version = told.get("keras_version") if isinstance(told, dict) else None
    version = version if isinstance(version, str) else None
    old = version is not None and is_old(version)
    check_config(config, limits, qualified=not old, old=old, path=(CONFIG,))
    return config, training, version
