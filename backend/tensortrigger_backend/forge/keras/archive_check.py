"""Is this .keras archive only what Keras writes? Known members, plain names, honest sizes."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused, refuse

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"

_SMALL = 1 << 20
_LONGEST_NAME = 1_000
_SAVE_AGAIN = "save the model with Keras itself, which writes none of this"


def check_archive(source: Path, scratch: Path, limits: Limits) -> tuple[str, str, Path]:
    """Read the archive with every cap on.

    Args:
        scratch: where the weights are unpacked to, to be looked at.

    Returns:
        the texts of ``config.json`` and ``metadata.json``, and the unpacked weights file.

    Raises:
        Refused: a member that is not Keras' own, or one that is not what it says.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(archive.infolist(), limits)
            config = archive.read(CONFIG).decode()
            metadata = archive.read(METADATA).decode()
            weights = scratch / "unpacked.weights.h5"
            with archive.open(WEIGHTS) as packed, weights.open("wb") as unpacked:
                while piece := packed.read(_SMALL):
                    unpacked.write(piece)
            for name in archive.namelist():
                if name.startswith("assets/") and not name.endswith("/"):
                    # Reading it whole checks its checksum, now that its size is known to be honest.
                    archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError, RuntimeError) as error:
        # zlib's own error is no OSError but is raised as BadZipFile's neighbour; both mean damage.
        raise _damaged(error) from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise _damaged(error) from error
        raise
    return config, metadata, weights


def _check_members(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.members:
        raise refuse(
            "too_many_members", f"the archive holds {len(members)} files", expected=str(limits.members)
        )
    seen: set[str] = set()
    total = 0
    for member in members:
        name = member.filename
        if name in seen:
            raise _bad_member("duplicate_member", f"the archive holds {name!r} twice", name)
        seen.add(name)
        _check_name(member)
        total += member.file_size
        honest = member.file_size <= max(_SMALL, limits.inflation * member.compress_size)
        if not honest or total > limits.declared_bytes:
            raise refuse(
                "too_large",
                f"{name!r} unpacks to {member.file_size} bytes from {member.compress_size}",
                name,
                expected=f"at most {limits.inflation} times, {limits.declared_bytes} bytes in all",
            )
        if name == CONFIG and member.file_size > limits.config_bytes:
            raise refuse("too_large", f"the model's config has {member.file_size} bytes", name)


def _check_name(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts
    # The original name still holds what zipfile cuts off or turns round: a NUL, a backslash.
    check_name(name, member.orig_filename)
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _bad_member("unsafe_member", f"{name!r} in the archive is a symbolic link or a device", name)
    if member.flag_bits & 0x1:
        raise _bad_member("encrypted_member", f"{name!r} in the archive is encrypted", name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The others cannot be unpacked piece by piece within a bound.
        raise _bad_member(
            "unknown_compression", f"{name!r} is compressed in a way that is not read here", name
        )
    if name not in (CONFIG, METADATA, WEIGHTS) and parts[:1] != ("assets",):
        raise _bad_member("unknown_member", f"the archive holds {name!r}, which no .keras file does", name)


def check_name(name: str, original: str) -> None:
    """See that a member's name stays inside the folder that it is unpacked to.

    Args:
        original: the name as it is written in the archive, where ``name`` was put right.

    Raises:
        Refused: it does not.
    """
    parts = PurePosixPath(name).parts
    unsafe = not parts or name.startswith("/") or ".." in parts
    if unsafe or any(mark in original for mark in ("\\", "\0", ":")) or len(name) > _LONGEST_NAME:
        raise _bad_member(
            "unsafe_member", f"the archive holds the unsafe file name {original[:200]!r}", name[:200]
        )


def _bad_member(code: str, message: str, name: str) -> Refused:
    return refuse(code, message, name, remedy=_SAVE_AGAIN)


def _damaged(error: Exception) -> Refused:
    return refuse(
        "corrupt_zip", f"the .keras archive is damaged ({error})", remedy="save and upload it again"
    )
