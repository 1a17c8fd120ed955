"""What a front end shows of a Keras model in memory: its tensors, its size, and whether it can be published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

GENERIC = re.compile(r"(sequential|functional|model)(_\d+)?")
TRAINING = "It is being trained: publish it at the next epoch's end, or when the training is over."
NOT_BUILT = "It has no weights yet: begin it with keras.Input, or call it once on data."


def described(variable: str, model: Any, *, training: bool) -> dict[str, Any]:
    """One entry of the list of models. Never raises: what cannot be told of a model is left empty."""
    built = bool(_told(lambda: model.built, False))
    title = str(_told(lambda: model.name, variable))
    return {
        "variable": variable,
        "identity": str(id(model)),
        "class_name": type(model).__name__,
        "title": title,
        **tensors(model),
        "parameters": int(_told(lambda: model.count_params(), 0)) if built else 0,
        "built": built,
        "compiled": bool(_told(lambda: model.compiled, False)),
        "training": training,
        "reason": TRAINING if training else None if built else NOT_BUILT,
        "suggested_name": suggested_name(variable, title),
    }


def tensors(model: Any) -> dict[str, list[dict[str, Any]]]:
    """``inputs`` and ``outputs`` with name, dtype and shape, batch axis first and None where an axis is free."""
    inputs = _specs(_told(lambda: model.inputs, None))
    if not inputs:
        # The shapes that it was first called with are all that a subclassed model knows.
        inputs = _called_with(
            _told(lambda: model.get_build_config(), None), str(_told(lambda: model.input_dtype, "float32"))
        )
    return {"inputs": inputs, "outputs": _specs(_told(lambda: model.outputs, None))}


def suggested_name(variable: str, title: str) -> str:
    """A name that can stand in a URL: the model's own where somebody gave it one, else the variable's."""
    chosen = variable if GENERIC.fullmatch(title) else title
    return _url_name(chosen) or _url_name(variable) or "model"


def _url_name(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower().replace("_", "-")).strip("-._")[:63].rstrip("-._")


def _specs(known: Any) -> list[dict[str, Any]]:
    """Keras' tensors, in their order."""
    return [_spec(tensor) for tensor in known] if isinstance(known, list | tuple) else []


def _spec(tensor: Any) -> dict[str, Any]:
    return {
        "name": str(_told(lambda: tensor.name, "")),
        "dtype": str(_told(lambda: tensor.dtype, "")),
        "shape": list(_told(lambda: tuple(tensor.shape), ())),
    }


def _called_with(config: Any, dtype: str) -> list[dict[str, Any]]:
    """The input of a model that was only called: any number of rows of the shape that it saw."""
    shape = config.get("input_shape") if isinstance(config, Mapping) else None
    if not isinstance(shape, list | tuple) or not all(isinstance(size, int | None) for size in shape):
        return []
    return [{"name": "input", "dtype": dtype, "shape": [None, *shape[1:]]}]


def _told(ask: Callable[[], Any], otherwise: Any) -> Any:
    """What a model says of itself; its class may be anybody's, so it may also raise anything."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - see above
        return otherwise
