"""A Keras model, or a saved file of one, as the bytes that are uploaded."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_keras_model

MAGIC = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04")
"""How HDF5 and ``.keras`` (zip) files begin."""


def model_bytes(model: Any) -> bytes:
    """The file's bytes.

    Args:
        model: a built Keras model, or the path of a ``.keras`` or ``.h5`` file.

    A model in memory is left as it was, its optimizer's state included: only the ``.keras`` writer is used,
    since saving as HDF5 makes a later ``.keras`` file lose the optimizer.

    Raises:
        BadInput: neither of the two, a model without weights yet, or a file in another format.
    """
    if is_keras_model(model):
        return _saved(model)
    if isinstance(model, str | Path):
        return _read(Path(model).expanduser())
    raise BadInput(
        "There is nothing to publish.",
        expected="a Keras model, or the path of a .keras or .h5 file",
        got=type(model).__name__,
    )


def encoded(content: bytes) -> str:
    """The bytes as base64 text."""
    return base64.b64encode(content).decode("ascii")


def _saved(model: Any) -> bytes:
    if not model.built:
        raise BadInput(
            "The model has no weights yet: begin it with keras.Input, or call it once on data, then publish."
        )
    with TemporaryDirectory(prefix="tensortrigger-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"There is no file {str(path)!r}.") from None
    except IsADirectoryError:
        raise BadInput(
            f"{str(path)!r} is a folder: save the model as a .keras file and publish that."
        ) from None
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    if not content.startswith(MAGIC):
        raise BadInput(
            f"{path.name!r} is no Keras model file.", expected="a .keras or .h5 file", got=f"{content[:8]!r}"
        )
    return content
