"""Which Keras objects stand for the names of a plan? Only those of the lists in ``domain.compiled``."""

from __future__ import annotations

from typing import Any

import keras

from tensortrigger_backend.domain.compiled import LOSSES, METRICS, OPTIMIZERS, Named
from tensortrigger_backend.domain.training import TrainingPlan


def compile_model(model: Any, plan: TrainingPlan) -> None:
    """Compile a rebuilt model as the plan says.

    Raises:
        ValueError, TypeError: Keras cannot combine them so.
    """
    places = as_answered(model, list(range(len(model.outputs))))
    model.compile(
        optimizer=_made(keras.optimizers, OPTIMIZERS, plan.optimizer),
        loss=keras.tree.map_structure(lambda place: _made(keras.losses, LOSSES, plan.losses[place]), places),
        metrics=keras.tree.map_structure(lambda _: [_metric(name) for name in plan.metrics], places),
        # Compiling ahead by XLA takes longer than small models train.
        jit_compile=False,
    )


def as_answered(model: Any, values: list[Any]) -> Any:
    """Values of the model's outputs, flat and in order, in the structure that it answers in."""
    if isinstance(model, keras.Sequential):
        return values[0]
    return keras.tree.pack_sequence_as(model.output, values)


def _made(module: Any, among: Any, named: Named) -> Any:
    return getattr(module, among[named.name])(**named.settings)


def _metric(name: str) -> Any:
    # Keras chooses the kind of accuracy that fits the output, and only by this name.
    return name if not METRICS[name] else getattr(keras.metrics, METRICS[name])(name=name)
