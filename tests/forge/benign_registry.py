"""How does a benign model get its name, and how are the simple ones put together?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import Input, Model, Sequential

Build = Callable[[], keras.Model]
ZOO: dict[str, Build] = {}
"""Every benign model by name, once the modules that hold them are imported: by ``benign_zoo``."""


def benign(build: Build) -> Build:
    ZOO[build.__name__] = build
    return build


def chain(
    shape: tuple[int | None, ...], *stack: Any, name: str = "x", dtype: str | None = None
) -> keras.Model:
    return Sequential([Input(shape, name=name, dtype=dtype), *stack])


def branches(
    shape: tuple[int | None, ...], *sides: Any, name: str = "x", dtype: str | None = None
) -> keras.Model:
    """Each layer on the same input, an output each."""
    x = Input(shape, name=name, dtype=dtype)
    return Model(x, [side(x) for side in sides])
