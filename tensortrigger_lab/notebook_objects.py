"""What kind of object a notebook handed over, told without importing pandas, TensorFlow or Keras."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import pandas as pd


def is_frame(value: object) -> TypeGuard[pd.DataFrame]:
    """Whether this is a pandas DataFrame; no object can be one before pandas is imported."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_series(value: object) -> TypeGuard[pd.Series[Any]]:
    """Whether this is a pandas Series, such as one row of a DataFrame."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.Series)


def is_keras_model(value: object) -> bool:
    """Whether this is a Keras model; no object can be one before Keras is imported."""
    keras = sys.modules.get("keras")
    model = getattr(keras, "Model", None)
    return model is not None and isinstance(value, model)


def keras_models(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the Keras models among a notebook's variables, private and history ones left out."""
    return sorted(
        name for name, value in list(namespace.items()) if not name.startswith("_") and is_keras_model(value)
    )


def data_variables(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the DataFrames, Series and arrays among a notebook's variables."""
    numpy = sys.modules.get("numpy")
    array: tuple[type, ...] = (numpy.ndarray,) if numpy is not None else ()
    return sorted(
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and (is_frame(value) or is_series(value) or isinstance(value, array))
    )


def variables_of(namespace: Mapping[str, Any], *kinds: type) -> list[str]:
    """Names of the variables that hold objects of these classes, private and history ones left out."""
    return sorted(
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and isinstance(value, kinds)
    )
