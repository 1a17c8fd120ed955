"""How do the points of a training lie in a blob? As an ``.npz`` of plain arrays, which holds no pickle.

``input_0``, ``input_1``, ... and ``target_0``, ... in the signature's order. Text is two arrays: ``input_0.bytes`` with
the UTF-8 of all of it, and ``input_0.lengths``, shaped as the tensor.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.adapters.disk import disk_errors
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.training_points import TrainingPoints

Arrays = tuple[npt.NDArray[Any], ...]

_DAMAGED = "The points of this training are damaged; send them again."
_NOT_WRITTEN: Final = "The points cannot be written"


class NpzPoints:
    """Keeps the ``PointFormat`` promise."""

    def encode(self, points: TrainingPoints) -> bytes:
        """The bytes of the blob."""
        members: dict[str, npt.NDArray[Any]] = {}
        for side, arrays in (("input", points.inputs), ("target", points.targets)):
            for place, array in enumerate(arrays):
                members |= _packed(f"{side}_{place}", array)
        stream = io.BytesIO()
        # One side's arrays have no names that numpy takes for its own arguments.
        np.savez_compressed(stream, allow_pickle=False, **members)
        return stream.getvalue()

    def writer(self, folder: Path) -> NpzWriter:
        """See ``PointFormat.writer``."""
        return NpzWriter(folder)


class NpzWriter:
    """Keeps the ``PointWriter`` promise: how many rows there are stands first in the file, so they wait beside it."""

    def __init__(self, folder: Path) -> None:
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._rows = 0
        self._raw: dict[str, BinaryIO] = {}
        with disk_errors(_NOT_WRITTEN):
            self._folder = Path(tempfile.mkdtemp(prefix="points-", dir=folder))
            try:
                for name in ("input_0", "target_0"):
                    self._raw[name] = (self._folder / name).open("w+b")
            except BaseException:
                self.close()
                raise

    def add(self, inputs: npt.NDArray[Any], targets: npt.NDArray[Any]) -> None:
        """See ``PointWriter.add``."""
        for (name, raw), array in zip(self._raw.items(), (inputs, targets), strict=True):
            self._kinds[name] = array.dtype, array.shape[1:]
            with disk_errors(_NOT_WRITTEN):
                raw.write(np.ascontiguousarray(array).data)
        self._rows += len(inputs)

    def finish(self) -> Path:
        """See ``PointWriter.finish``."""
        path = self._folder / "points.npz"
        # Numbers are hardly worth to be packed any tighter.
        with (
            disk_errors(_NOT_WRITTEN),
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for name, raw in self._raw.items():
                dtype, shape = self._kinds[name]
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (self._rows, *shape),
                }
                raw.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    shutil.copyfileobj(raw, member, 1 << 20)
        return path

    def close(self) -> None:
        """See ``PointWriter.close``."""
        for raw in self._raw.values():
            # A full disk can refuse the last buffered bytes; the folder goes anyway.
            with contextlib.suppress(OSError):
                raw.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def read_points(path: Path) -> tuple[Arrays, Arrays]:
    """Inputs and targets, in the signature's order.

    Raises:
        Unavailable: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as members:
            return _side(members, "input"), _side(members, "target")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Unavailable(_DAMAGED) from error


def _packed(name: str, array: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    if array.dtype.kind not in "OSU":
        return {name: array}
    texts = [str(text).encode() for text in array.ravel().tolist()]
    lengths = np.array([len(text) for text in texts], np.int64).reshape(array.shape)
    return {f"{name}.bytes": np.frombuffer(b"".join(texts), np.uint8), f"{name}.lengths": lengths}


def _side(members: Any, side: str) -> Arrays:
    found: list[npt.NDArray[Any]] = []
    while True:
        name = f"{side}_{len(found)}"
        if name in members.files:
            found.append(members[name])
        elif f"{name}.bytes" in members.files:
            found.append(_texts(members[f"{name}.bytes"].tobytes(), members[f"{name}.lengths"]))
        else:
            break
    if not found:
        raise KeyError(side)
    return tuple(found)


def _texts(data: bytes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    texts = np.empty(lengths.size, dtype=object)
    start = 0
    for place, length in enumerate(lengths.ravel().tolist()):
        texts[place] = data[start : start + length].decode("utf-8", "replace")
        start += length
    return texts.reshape(lengths.shape)
