"""A model, or a saved file of one, as the bytes that are sent: held in memory while small, on disk beyond that."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import weakref
import zipfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import Any, Self

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_keras_model

DIRECT = 16 * 1024 * 1024
"""Bytes: what is larger stays on disk, and is sent in pieces instead of inside of JSON."""
BLOCK = 1024 * 1024
MAGIC = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b")
"""How HDF5 files, zips (``.keras`` among them) and ``.tar.gz`` begin."""
TOLD = "a .keras, .h5, .onnx, .zip or .tar.gz file, or the folder of a SavedModel"


class Artifact:
    """The bytes of one file; a context manager that removes a temporary file of its own.

    Args:
        path: where they are.
        temporary: whether the file is this object's own.
    """

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        self.size = path.stat().st_size
        self._held = path.read_bytes() if self.size <= DIRECT else None
        self._path = path
        self._removal = weakref.finalize(self, _remove, path) if temporary else None
        if self._held is not None:
            self.close()

    @property
    def direct(self) -> bool:
        """Whether it is small enough to go with the request."""
        return self._held is not None

    @cached_property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for offset in range(0, self.size, BLOCK):
            digest.update(self.piece(offset, BLOCK))
        return digest.hexdigest()

    @property
    def content(self) -> bytes:
        """All of them."""
        return self.piece(0, self.size)

    @property
    def base64(self) -> str:
        """All of them as base64 text."""
        return base64.b64encode(self.content).decode("ascii")

    def piece(self, offset: int, length: int) -> bytes:
        """Those from ``offset`` on, fewer than ``length`` at the end only.

        Raises:
            BadInput: the file has changed since.
        """
        if self._held is not None:
            return self._held[offset : offset + length]
        with self._path.open("rb") as file:
            file.seek(offset)
            found = file.read(length)
        if len(found) < min(length, self.size - offset):
            raise BadInput(f"{self._path.name!r} became shorter while it was sent: publish it again.")
        return found

    def close(self) -> None:
        """Remove the temporary file. Safe to repeat."""
        if self._removal is not None:
            self._removal()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def artifact_of(model: Any) -> Artifact:
    """What is sent of a model.

    Args:
        model: a built Keras model, or the path of a file in one of the formats, or of a SavedModel's folder,
            which is packed into a zip.

    A model in memory is left as it was, its optimizer's state included: only the ``.keras`` writer is used,
    since saving as HDF5 makes a later ``.keras`` file lose the optimizer.

    Raises:
        BadInput: neither of the two, a model without weights yet, or a file in another format.
    """
    if is_keras_model(model):
        return _saved(model)
    if isinstance(model, str | Path):
        path = Path(model).expanduser()
        return _packed(path) if path.is_dir() else _read(path)
    module = getattr(sys.modules.get("tensorflow"), "Module", None)
    if module is not None and isinstance(model, module):
        raise BadInput(
            "A tf.Module is published from its folder: tf.saved_model.save(module, 'folder'), then publish 'folder'."
        )
    raise BadInput(
        "There is nothing to publish.", expected=f"a Keras model, or {TOLD}", got=type(model).__name__
    )


def _saved(model: Any) -> Artifact:
    if not model.built:
        raise BadInput(
            "The model has no weights yet: begin it with keras.Input, or call it once on data, then publish."
        )
    with TemporaryDirectory(prefix="tensortrigger-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        if path.stat().st_size <= DIRECT:
            return Artifact(path)
        return Artifact(path.replace(_temporary(".keras")), temporary=True)


def _read(path: Path) -> Artifact:
    try:
        with path.open("rb") as file:
            begin = file.read(512)
        if _is_model_file(path, begin):
            return Artifact(path)
    except FileNotFoundError:
        raise BadInput(f"There is no file {str(path)!r}.") from None
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    raise BadInput(f"{path.name!r} is no model file.", expected=TOLD, got=f"{begin[:8]!r}")


def _is_model_file(path: Path, begin: bytes) -> bool:
    """By its bytes; ONNX, a bare protocol buffer, has none of its own, so there the name has a say."""
    if begin.startswith(MAGIC) or begin[257:262] == b"ustar":
        return True
    return path.suffix.lower() == ".onnx" and begin[:1] == b"\x08"


def _packed(folder: Path) -> Artifact:
    """The folder of a SavedModel as a zip."""
    if not (folder / "saved_model.pb").is_file():
        raise BadInput(
            f"{str(folder)!r} is a folder, but not of a SavedModel: it holds no saved_model.pb.",
            expected=TOLD,
        )
    path = _temporary(".zip")
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for member in sorted(folder.rglob("*")):
                inside = member.relative_to(folder)
                hidden = any(part.startswith(".") for part in inside.parts)
                if member.is_file() and not member.is_symlink() and not hidden:
                    archive.write(member, inside.as_posix())
        return Artifact(path, temporary=True)
    except BaseException:
        _remove(path)
        raise


def _temporary(suffix: str) -> Path:
    handle, name = mkstemp(suffix=suffix, prefix="tensortrigger-")
    os.close(handle)
    return Path(name)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
