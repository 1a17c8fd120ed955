"""What kind of file is this? Told from its first bytes, never from its name."""

from __future__ import annotations

import string
import zipfile
from pathlib import Path

from tensortrigger_backend.forge.refusal import Refused, refuse

HDF5 = "hdf5"
KERAS = "keras"

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_SAVE = "save the whole model with model.save('model.keras') and publish that file"
_LOOKS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
)
_TEXT = frozenset(string.printable.encode())


def tell_format(source: Path) -> str:
    """``hdf5`` or ``keras``.

    Raises:
        Refused: it is neither, and what it looks like instead.
    """
    with source.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise refuse("empty_file", "this is no Keras model: the file is empty", remedy=_SAVE)
    if head.startswith(_HDF5_MAGIC):
        return HDF5
    if head.startswith(_ZIP_MAGICS):
        return _tell_zip(source)
    raise _no_model(_look(head, source))


def _tell_zip(source: Path) -> str:
    try:
        with zipfile.ZipFile(source) as archive:
            names = set(archive.namelist())
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        RecursionError,
        UnicodeError,
    ) as error:
        raise refuse(
            "corrupt_zip",
            f"this is no Keras model: a zip archive that is damaged or truncated ({error})",
            remedy="save and upload it again",
        ) from error
    required = {"config.json", "metadata.json", "model.weights.h5"}
    if required <= names:
        return KERAS
    files = {name.rsplit("/", 1)[-1] for name in names}
    if "saved_model.pb" in files:
        raise _no_model("a zipped SavedModel")
    if "data.pkl" in files:
        raise _no_model("a PyTorch file")
    if names and all(name.endswith(".npy") for name in names):
        raise _no_model("a NumPy .npz file")
    if any(name.startswith("tensors/") for name in names) or "word/document.xml" in names:
        raise _no_model("another kind of zip archive")
    if len(required & names) >= 1:
        missing = ", ".join(sorted(required - names))
        raise refuse(
            "incomplete_archive", f"this is no whole .keras file: {missing} is missing in it", remedy=_SAVE
        )
    raise _no_model("a zip archive without a Keras model")


def _look(head: bytes, source: Path) -> str:
    for magic, look in _LOOKS:
        if head.startswith(magic):
            return look
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "a Python pickle"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < source.stat().st_size:
        return "a safetensors file, so weights without a model"
    if (
        head[:1] == b"\x08"
        and head[1:2] in b"\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
        and head[2:3] in b"\x12\x1a:"
    ):
        return "an ONNX model"
    if b"saved_model_schema_version" in head or b"\x12\x05serve" in head:
        return "a SavedModel's graph"
    stripped = head.lstrip()
    if stripped[:1] in b"{[" and set(head) <= _TEXT:
        return "JSON text; a model's config alone has no weights"
    if set(head) <= _TEXT:
        return "text"
    return "bytes of no known kind"


def _no_model(look: str) -> Refused:
    return refuse("not_a_model", f"this is no Keras model: it looks like {look}", remedy=_SAVE)
