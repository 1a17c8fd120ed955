"""What kind of file is this? Told from its first bytes, never from its name."""

from __future__ import annotations

import gzip
import string
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from tensortrigger_backend.forge.refusal import Refused, refuse

HDF5 = "hdf5"
KERAS = "keras"
SAVED_MODEL = "saved_model"
ONNX = "onnx"

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_SAVE = "save the whole model with model.save('model.keras'), or publish an ONNX file or a SavedModel's folder as a zip"
_TAR_BLOCK = 512
_LOOKS: tuple[tuple[bytes, str], ...] = (
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
    """``hdf5``, ``keras``, ``saved_model`` or ``onnx``.

    Raises:
        Refused: it is none of these, and what it looks like instead.
    """
    with source.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise refuse("empty_file", "this is no model: the file is empty", remedy=_SAVE)
    if head.startswith(_HDF5_MAGIC):
        if zipfile.is_zipfile(source):
            raise refuse(
                "trailing_bytes",
                "the HDF5 file is a zip archive at its end, so what it holds differs by reader",
                remedy=_SAVE,
            )
        return HDF5
    if head.startswith(_ZIP_MAGICS):
        return _tell_zip(source)
    if head.startswith(b"\x1f\x8b"):
        return _tell_gzip(source)
    if _is_tar(head[:_TAR_BLOCK]):
        return SAVED_MODEL
    fields = _protobuf_fields(source)
    if {7, 8} <= fields:
        return ONNX
    raise _no_model(_look(head, source, fields))


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
            f"this is no model: a zip archive that is damaged or truncated ({error})",
            remedy="save and upload it again",
        ) from error
    required = {"config.json", "metadata.json", "model.weights.h5"}
    if required <= names:
        return KERAS
    files = {name.rsplit("/", 1)[-1] for name in names}
    if "saved_model.pb" in files:
        return SAVED_MODEL
    if "saved_model.pbtxt" in files:
        raise _no_model("a SavedModel written as text, which is not read here")
    if {"variables.index", "keras_metadata.pb"} & files:
        raise _no_model("a SavedModel's folder without its saved_model.pb")
    if any(name.endswith((".h5", ".hdf5", ".keras", ".onnx")) for name in files):
        raise _no_model("a zip archive around a model's file; publish that file itself")
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
    raise _no_model("a zip archive without a model")


def _tell_gzip(source: Path) -> str:
    try:
        with gzip.open(source) as packed:
            head = packed.read(_TAR_BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise refuse(
            "corrupt_archive",
            f"this is no model: a gzip archive that is damaged or truncated ({error})",
            remedy="pack and upload it again",
        ) from error
    if _is_tar(head):
        return SAVED_MODEL
    raise _no_model(f"{_inside(head)}, packed with gzip")


def _inside(head: bytes) -> str:
    if head.startswith(_HDF5_MAGIC):
        return "an HDF5 file"
    return "text" if head and set(head) <= _TEXT else "something other than a SavedModel's folder"


def _is_tar(block: bytes) -> bool:
    if len(block) < _TAR_BLOCK or not block.strip(b"\0"):
        return False
    try:
        # It counts the block's checksum, which nothing else has.
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _protobuf_fields(source: Path) -> frozenset[int]:
    """Numbers of the outermost fields where the file is a protobuf message; none where it is not."""
    size = source.stat().st_size
    fields: set[int] = set()
    with source.open("rb") as file:
        for _ in range(100_000):
            at = file.tell()
            if at == size:
                return frozenset(fields)
            tag = _varint(file)
            if tag is None or not 0 < tag >> 3 < 64:
                return frozenset()
            fields.add(tag >> 3)
            length: int | None = {0: 0, 1: 8, 5: 4}.get(tag & 7)
            if tag & 7 in (0, 2):
                value = _varint(file)
                length = value if tag & 7 == 2 else (0 if value is not None else None)
            if length is None or file.tell() + length > size:
                return frozenset()
            file.seek(length, 1)
    return frozenset(fields)


def _varint(file: IO[bytes]) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None


def _look(head: bytes, source: Path, fields: frozenset[int]) -> str:
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
        return "an ONNX model that is damaged or truncated"
    if b"saved_model_schema_version" in head or b"\x12\x05serve" in head or fields == {1, 2}:
        return "a SavedModel's graph without its folder; publish the whole folder as a zip"
    if 1 in fields and fields <= {1, 2, 3, 4, 5} and b"\x12" in head[:200]:
        return "a frozen TensorFlow graph, which has no signature; publish a SavedModel"
    stripped = head.lstrip()
    if stripped[:1] in b"{[" and set(head) <= _TEXT:
        return "JSON text; a model's config alone has no weights"
    if set(head) <= _TEXT:
        return "text"
    return "bytes of no known kind"


def _no_model(look: str) -> Refused:
    return refuse(
        "not_a_model", f"this is no model that can be published: it looks like {look}", remedy=_SAVE
    )
