"""Everything that a training needs to go on after an epoch, in one safetensors file.

The values of the model's variables (weights, moving averages, states of random layers) and of the optimizer's, each
numbered in Keras' own order: it is the same whenever the model is rebuilt from the same config.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file


def save_checkpoint(path: Path, model: Any, epoch: int, step: int, seed: int) -> None:
    """Write ``path``, complete under another name first.

    Args:
        epoch: epochs that are done.
        step: optimizer steps that are done.
        seed: of the shuffling, whose order follows from it and the epoch's number.
    """
    unfinished = path.with_name(path.name + ".part")
    state = {"state": json.dumps({"epoch": epoch, "step": step, "seed": seed})}
    save_file({name: _numbers(variable) for name, variable in _variables(model)}, unfinished, metadata=state)
    unfinished.replace(path)


def load_checkpoint(path: Path, model: Any) -> tuple[int, int, int]:
    """Put the model and its optimizer back to where they were; epochs done, steps done, seed.

    Raises:
        ValueError: the file is of another model.
    """
    variables = dict(_variables(model))
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        if names != variables.keys():
            raise ValueError("the checkpoint is of another model")
        state = json.loads((file.metadata() or {})["state"])
        for name, variable in variables.items():
            variable.assign(file.get_tensor(name))
    return int(state["epoch"]), int(state["step"]), int(state["seed"])


def all_finite(model: Any) -> bool:
    """Whether every number that the model holds is one."""
    values = (_numbers(variable) for variable in model.variables)
    return all(np.isfinite(value).all() for value in values if value.dtype.kind == "f")


def _variables(model: Any) -> list[tuple[str, Any]]:
    found = [(f"model/{place:05d}", variable) for place, variable in enumerate(model.variables)]
    return found + [
        (f"optimizer/{place:05d}", variable) for place, variable in enumerate(model.optimizer.variables)
    ]


def _numbers(variable: Any) -> npt.NDArray[Any]:
    array = np.asarray(variable.numpy())
    # bfloat16 is no dtype of NumPy's own; float32 holds each of its values exactly.
    array = array if array.dtype.kind in "fiub" else array.astype(np.float32)
    return np.ascontiguousarray(array).reshape(array.shape)
