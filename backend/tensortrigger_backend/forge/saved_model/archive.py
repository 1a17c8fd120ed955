"""Is this archive only the folder of a SavedModel? Known members, plain names, and bytes counted as they come out."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from tensortrigger_backend.forge.keras.archive_check import check_name
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused, refuse

GRAPH = "saved_model.pb"

_PIECE = 1 << 20
_SMALL = 1 << 20
_READ = ("variables", "assets")
# Written beside the model by TensorFlow or by Keras, and never read here.
_PASSED_OVER = (
    "keras_metadata.pb",
    "fingerprint.pb",
    "saved_model.pbtxt",
    "assets.extra",
    "debug",
    ".DS_Store",
)
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_AGAIN = "pack the folder that tf.saved_model.save or model.export wrote, and nothing else"


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    handle: Any


class _Archive(Protocol):
    def members(self) -> Iterator[_Member]: ...

    def open(self, member: _Member) -> IO[bytes]: ...


def unpack_saved_model(source: Path, folder: Path, limits: Limits) -> Path:
    """Unpack the SavedModel in a zip or tar archive, with every cap on.

    Args:
        folder: an empty folder of the scratch.

    Returns:
        the folder that holds ``saved_model.pb``, with nothing in it but that, the variables and the assets.

    Raises:
        Refused: a member that no SavedModel has, or an archive that is not what it says.
    """
    try:
        with source.open("rb") as file:
            head = file.read(2)
        if head == b"PK":
            with zipfile.ZipFile(source) as packed:
                return _unpack(_Zip(packed, limits), folder, limits, source)
        inflated = source
        if head == b"\x1f\x8b":
            inflated = folder.with_name("inflated.tar")
        try:
            if inflated is not source:
                _inflate(source, inflated, limits)
            with tarfile.open(inflated, "r:", tarinfo=_TarInfo) as tar:
                return _unpack(_Tar(tar, limits), folder, limits, source)
        finally:
            if inflated is not source:
                inflated.unlink(missing_ok=True)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _damaged(error) from error
    except (NotImplementedError, ValueError, RuntimeError, RecursionError) as error:
        raise _damaged(error) from error


def _unpack(archive: _Archive, folder: Path, limits: Limits, source: Path) -> Path:
    top: str | None = None
    total = 0
    budget = min(limits.declared_bytes, max(_SMALL, limits.inflation * source.stat().st_size))
    seen: set[str] = set()
    written: set[str] = set()
    for member in archive.members():
        plain = str(PurePosixPath(member.name))
        # Two names that one file system or another takes for the same file.
        if plain.casefold() in seen:
            raise _bad("duplicate_member", f"the archive holds {plain!r} twice", plain)
        seen.add(plain.casefold())
        parts = PurePosixPath(plain).parts
        if parts[0] == "__MACOSX" or parts[-1] == ".DS_Store":
            continue
        if top is None:
            top = "" if parts[0] in (GRAPH, *_READ, *_PASSED_OVER) else parts[0]
        if top:
            if parts[0] != top:
                raise _unknown(plain, f"beside the folder {top!r}")
            parts = parts[1:]
        if not _known(parts):
            raise _unknown(plain, "which no SavedModel does")
        if parts != (GRAPH,) and parts[0] not in _READ:
            continue
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, target.open("xb") as unpacked:
            while piece := packed.read(_PIECE):
                total += len(piece)
                if total > budget:
                    raise _too_large(total, source, limits)
                unpacked.write(piece)
        written.add("/".join(parts))
    if GRAPH not in written:
        raise refuse("incomplete_archive", f"the archive holds no {GRAPH}", remedy=_ZIP_AGAIN)
    if (folder / GRAPH).stat().st_size > limits.graph_bytes:
        raise refuse(
            "too_large", f"the model's graph is larger than {limits.graph_bytes} bytes", GRAPH, remedy=None
        )
    return folder


def _known(parts: tuple[str, ...]) -> bool:
    if not parts:
        return False
    first = parts[0]
    if first in (GRAPH, "keras_metadata.pb", "fingerprint.pb", "saved_model.pbtxt"):
        return len(parts) == 1
    if first == "variables":
        name = parts[-1]
        return len(parts) == 2 and (name.startswith("variables.") or name in ("variables", "checkpoint"))
    return first in ("assets", "assets.extra", "debug") and len(parts) >= 2


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits

    def members(self) -> Iterator[_Member]:
        found = self._archive.infolist()
        if len(found) > self._limits.members:
            raise _too_many(len(found), self._limits)
        for member in found:
            check_name(member.filename, member.orig_filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _bad("unsafe_member", f"{member.filename!r} is a link or a device", member.filename)
            if member.flag_bits & 0x1:
                raise _bad("encrypted_member", f"{member.filename!r} is encrypted", member.filename)
            if member.compress_type not in _ZIP_METHODS:
                message = f"{member.filename!r} is compressed in a way that is not read here"
                raise _bad("unknown_compression", message, member.filename)
            honest = max(_SMALL, self._limits.inflation * member.compress_size)
            if member.file_size > honest:
                raise refuse(
                    "too_large",
                    f"{member.filename!r} unpacks to {member.file_size} bytes from {member.compress_size}",
                    member.filename,
                    expected=f"at most {self._limits.inflation} times",
                )
            if not member.is_dir():
                yield _Member(member.filename, member)

    def open(self, member: _Member) -> IO[bytes]:
        return self._archive.open(member.handle)


class _TarInfo(tarfile.TarInfo):
    """A header that may not announce a long name or an extension of any size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) and info.size > _SMALL:
            raise _bad("unsafe_member", "a header in the archive is larger than any name", info.name)
        return info


class _Tar:
    def __init__(self, archive: tarfile.TarFile, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits

    def members(self) -> Iterator[_Member]:
        for number, member in enumerate(self._archive, start=1):
            if number > self._limits.members:
                raise _too_many(number, self._limits)
            if member.name in (".", "./"):
                continue
            check_name(member.name, member.name)
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _bad("unsafe_member", f"{member.name!r} is a link, a device or sparse", member.name)
            if member.isreg():
                yield _Member(member.name, member)

    def open(self, member: _Member) -> IO[bytes]:
        opened = self._archive.extractfile(member.handle)
        assert opened is not None
        return opened


def _inflate(source: Path, target: Path, limits: Limits) -> None:
    budget = min(limits.declared_bytes, max(_SMALL, limits.inflation * source.stat().st_size))
    total = 0
    with closing(gzip.open(source)) as packed, target.open("xb") as unpacked:
        while piece := packed.read(_PIECE):
            total += len(piece)
            if total > budget:
                raise _too_large(total, source, limits)
            unpacked.write(piece)


def _too_large(total: int, source: Path, limits: Limits) -> Refused:
    return refuse(
        "too_large",
        f"the archive unpacks to more than {total} bytes from {source.stat().st_size}",
        expected=f"at most {limits.inflation} times, {limits.declared_bytes} bytes in all",
    )


def _too_many(number: int, limits: Limits) -> Refused:
    return refuse("too_many_members", f"the archive holds {number} files", expected=str(limits.members))


def _unknown(name: str, why: str) -> Refused:
    return _bad("unknown_member", f"the archive holds {name!r}, {why}", name)


def _bad(code: str, message: str, name: str) -> Refused:
    return refuse(code, message, name, remedy=_ZIP_AGAIN)


def _damaged(error: Exception) -> Refused:
    return refuse("corrupt_archive", f"the archive is damaged ({error})", remedy="pack and upload it again")
