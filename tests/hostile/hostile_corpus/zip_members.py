"""What can a zip archive do before anybody reads its members? Lie, repeat, climb out, and grow."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.keras_files import archive, bare, entrance, hdf5, rescaling, sequential

_UNSAFE = ("unsafe_member", "unknown_member")
_BENIGN = sequential(entrance(), rescaling())
_MEBIBYTE = 1 << 20

HARMLESS = Artifact(
    "keras/harmless", Effect.STRUCTURE, lambda _: archive(_BENIGN), (), why="nothing is wrong"
)


def artifacts() -> list[Artifact]:
    """The archive of a harmless model, with one thing wrong."""
    return [
        _outside("climbing-name", lambda t, n: "assets/" + "../" * 16 + str(t.marker(n)).lstrip("/")),
        _outside("absolute-name", lambda t, n: str(t.marker(n))),
        _shaped(
            "backslash-name",
            lambda: _with("assets\\..\\..\\outside", b"x"),
            _UNSAFE,
            "only Windows climbs by it",
        ),
        _shaped(
            "drive-letter", lambda: _with("C:/Windows/outside", b"x"), _UNSAFE, "only Windows knows drives"
        ),
        _shaped(
            "nul-in-name",
            lambda: _with("assets/Xconfig.json", b"x").replace(b"assets/X", b"assets/\0"),
            (*_UNSAFE, "corrupt_zip"),
            "Python cuts the name at the NUL, others do not",
        ),
        _shaped(
            "unknown-member", lambda: _with("sitecustomize.py", b"x"), _UNSAFE, "nothing here imports it"
        ),
        _shaped(
            "duplicate-config",
            _two_configs,
            ("duplicate_member",),
            "which of the two counts differs by reader",
        ),
        _shaped(
            "name-in-other-case",
            lambda: _with("CONFIG.JSON", b"{}"),
            _UNSAFE,
            "a case-blind disk makes it one",
        ),
        _shaped(
            "encrypted-member", _encrypted, ("encrypted_member", "corrupt_zip"), "nobody can look inside"
        ),
        _symlink(),
        _grows("zip-bomb", lambda: _with("assets/zeros", bytes(64 * _MEBIBYTE)), _sizes),
        _grows(
            "zip-bomb-in-the-weights",
            lambda: archive(_BENIGN, **{"model.weights.h5": bytes(64 * _MEBIBYTE)}),
            _sizes,
        ),
        _grows("zip-bomb-in-the-config", lambda: archive("[" + " " * (40 * _MEBIBYTE) + "]"), _sizes),
        _grows("zip-bomb-nested", _nested, _sizes_inside),
        _grows("zip-bomb-of-overlapping-members", _overlapping, _sizes),
        _grows("zip-bomb-under-a-small-name", _understated, _inflated),
        _grows("three-thousand-members", _members, lambda _: (1, 3_000)),
        _shaped(
            "data-after-the-end",
            lambda: archive(_BENIGN) + b"PK\x05\x06" + bytes(18),
            ("corrupt_zip", "not_a_model", "incomplete_archive"),
            "a second directory, and it is empty",
        ),
        _shaped(
            "central-and-local-names-differ",
            _two_names,
            ("corrupt_zip",),
            "a reader of streams sees another file",
        ),
        _shaped(
            "zip64-with-impossible-sizes", _impossible, ("corrupt_zip", "too_large"), "no reader gets past it"
        ),
        Artifact(
            "hdf5/zip-behind-the-hdf5",
            Effect.STRUCTURE,
            _behind,
            ("trailing_bytes", "corrupt_hdf5", "forbidden_layer"),
            why="a polyglot: readers disagree about what it is",
        ),
    ]


def _shaped(name: str, build: Callable[[], bytes], codes: tuple[str, ...], why: str) -> Artifact:
    return Artifact(f"keras/{name}", Effect.STRUCTURE, lambda _: build(), codes, why=why)


def _grows(name: str, build: Callable[[], bytes], bomb: Callable[[bytes], tuple[int, int]]) -> Artifact:
    codes = ("too_large", "corrupt_zip", "too_many_members", "unknown_member", "not_a_model")
    return Artifact(f"keras/{name}", Effect.EXPANDS, lambda _: build(), codes, bomb=bomb)


def _outside(name: str, path: Callable[[Traps, str], str]) -> Artifact:
    full = f"keras/{name}"
    return Artifact(full, Effect.WRITES, lambda t: _with(path(t, full), b"x"), _UNSAFE, loader="unpacked")


def _with(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO(archive(_BENIGN))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as packed:
        info = zipfile.ZipInfo("assets/placeholder")
        info.filename = info.orig_filename = name
        info.compress_type = zipfile.ZIP_DEFLATED
        packed.writestr(info, content)
    return buffer.getvalue()


def _symlink() -> Artifact:
    def build(traps: Traps) -> bytes:
        buffer = io.BytesIO(archive(_BENIGN))
        with zipfile.ZipFile(buffer, "a") as packed:
            info = zipfile.ZipInfo("assets/link")
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, str(traps.text))
        return buffer.getvalue()

    return Artifact("keras/symbolic-link", Effect.READS, build, _UNSAFE, loader="unpacked")


def _two_configs() -> bytes:
    buffer = io.BytesIO(archive(_BENIGN))
    with zipfile.ZipFile(buffer, "a") as packed:
        info = zipfile.ZipInfo("config.jsoN")
        packed.writestr(info, b"{}")
    return buffer.getvalue().replace(b"config.jsoN", b"config.json")


def _encrypted() -> bytes:
    data = bytearray(archive(_BENIGN))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature)
        data[place + flags] |= 1
    return bytes(data)


def _nested() -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(32 * _MEBIBYTE))
    once = inner.getvalue()
    outer = io.BytesIO(archive(_BENIGN))
    with zipfile.ZipFile(outer, "a", zipfile.ZIP_DEFLATED) as packed:
        for number in range(16):
            packed.writestr(f"inner/{number}.zip", once)
    return outer.getvalue()


def _overlapping() -> bytes:
    """Many names in the directory for the bytes of one member, none of which lies by itself about its size."""
    local = io.BytesIO(archive(_BENIGN))
    with zipfile.ZipFile(local, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("assets/000", zlib.compress(bytes(90 * _MEBIBYTE), 9))
    data = local.getvalue()
    start = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    entry, count = data[start:end], 200
    more = b"".join(entry.replace(b"assets/000", b"assets/%03d" % number) for number in range(1, count))
    tail = bytearray(data[end:])
    _, _, _, held, total, size, offset, _ = struct.unpack("<4s4H2LH", bytes(tail[:22]))
    struct.pack_into("<2H2L", tail, 8, held + count - 1, total + count - 1, size + len(more), offset)
    return data[:end] + more + bytes(tail)


def _understated() -> bytes:
    """A member that says it has ten bytes and inflates to millions."""
    data = bytearray(_with("assets/zeros", bytes(64 * _MEBIBYTE)))
    size = struct.pack("<L", 64 * _MEBIBYTE)
    return bytes(data.replace(size, struct.pack("<L", 10)))


def _members() -> bytes:
    buffer = io.BytesIO(archive(_BENIGN))
    with zipfile.ZipFile(buffer, "a") as packed:
        for number in range(3_000):
            packed.writestr(f"assets/{number}", b"")
    return buffer.getvalue()


def _two_names() -> bytes:
    data = archive(_BENIGN)
    return data.replace(b"metadata.json", b"metadatA.json", 1)


def _impossible() -> bytes:
    data = bytearray(archive(_BENIGN))
    place = data.index(b"PK\x01\x02")
    data[place + 20 : place + 28] = b"\xff\xff\xff\xfe" * 2
    return bytes(data)


def _behind(_: Traps) -> bytes:
    return hdf5(bare(_BENIGN)) + archive(_BENIGN)


def _sizes(data: bytes) -> tuple[int, int]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return len(data), sum(member.file_size for member in packed.infolist())


def _sizes_inside(data: bytes) -> tuple[int, int]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        inner = [packed.read(name) for name in packed.namelist() if name.endswith(".zip")]
    return len(data), sum(_sizes(one)[1] for one in inner)


def _inflated(data: bytes) -> tuple[int, int]:
    place = data.index(b"assets/zeros") + len("assets/zeros")
    return len(data), len(zlib.decompressobj(-15).decompress(data[place:]))
