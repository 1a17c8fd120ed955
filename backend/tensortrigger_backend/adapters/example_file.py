"""How does an example lie in a blob? As an ``.npz`` of plain arrays, ``in/<tensor>`` and ``out/<tensor>``.

Text is numpy's fixed-width ``U``, which cannot tell trailing NUL characters; a forge that works in a sandbox writes the
same form, so what is read here is not trusted: sizes are looked at before anything is inflated.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.receipts import EXAMPLE_BYTES, Example, Tensors, text_of

SUFFIX: Final = ".example"
"""What the name of the forge's own sample ends with, beside the servable."""
LIMIT: Final = EXAMPLE_BYTES
"""Bytes that an example may have, inflated."""

_MEMBERS: Final = 256
_SIDES: Final = ("in/", "out/")


class NpzExamples:
    """Keeps the ``ExampleFormat`` promises."""

    def encode(self, example: Example) -> bytes:
        """See ``ExampleFormat.encode``."""
        return encode_example(example)

    def read(self, source: Path | BinaryIO) -> Example:
        """See ``ExampleFormat.read``."""
        return read_example(source)

    def sample(self, servable: Path) -> Example | None:
        """See ``ExampleFormat.sample``."""
        path = forge_sample(servable)
        return read_example(path) if path.is_file() else None


def encode_example(example: Example) -> bytes:
    """The bytes of the blob."""
    members = {
        f"{side}{name}": _plain(values)
        for side, tensors in zip(_SIDES, (example.inputs, example.outputs), strict=True)
        for name, values in tensors.items()
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **members)
    return stream.getvalue()


def read_example(source: Path | BinaryIO) -> Example:
    """The example in a file.

    Raises:
        Unavailable: it is damaged, too large, or holds anything but plain arrays.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if len(entries) > _MEMBERS or sum(entry.file_size for entry in entries) > LIMIT:
                raise Unavailable("The example of this model is larger than it may be.")
        if not isinstance(source, Path):
            source.seek(0)
        with np.load(source, allow_pickle=False) as members:
            inputs, outputs = (_side(members, side) for side in _SIDES)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise Unavailable("The example of this model is damaged; publish the model again.") from error
    return Example(inputs, outputs)


def forge_sample(servable: Path) -> Path:
    """Where the forge leaves its sample of inputs and the original's outputs; not there for the largest inputs."""
    return servable.with_name(servable.name + SUFFIX)


def _side(members: Any, side: str) -> Tensors:
    found: dict[str, npt.NDArray[Any]] = {}
    for member in members.files:
        if member.startswith(side):
            values = members[member]
            # What does not begin as an array does is handed out as bytes.
            if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiubU":
                raise ValueError(member)
            found[member.removeprefix(side)] = values.astype(object) if values.dtype.kind == "U" else values
    if not found:
        raise KeyError(side)
    return found


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind not in "OSU":
        return values
    texts = [text_of(entry) for entry in values.ravel().tolist()]
    return np.array(texts, dtype=str).reshape(values.shape)
