"""What is a canonical servable on disk? One deterministic zip, stored without compression.

manifest.json          format version, engine, signature, versions, largest deviation, names to train with
config.json            the allow-listed Keras config, architecture only
weights.safetensors    plain weights, named by layer
model.onnx             the graph, where ONNX Runtime is the engine
graph.pb               the frozen and checked TensorFlow graph, where the upload was a SavedModel and TensorFlow is
                       the engine; its inputs are the nodes tt_in_0 on, its outputs tt_out_0 on, and tt_start, where
                       there is one, fills its tables and runs once

An artifact made of an ONNX file or a SavedModel has neither config nor weights.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tensortrigger_backend.domain.compiled import Compiled
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.publishing import ONNX, TENSORFLOW
from tensortrigger_backend.domain.tensors import Signature

FORMAT_VERSION = 1

MANIFEST = "manifest.json"
CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
GRAPH = "model.onnx"
FROZEN = "graph.pb"

_MEMBERS = frozenset({MANIFEST, CONFIG, WEIGHTS, GRAPH, FROZEN})
# The earliest time that a zip can tell: the same members give the same bytes whenever they are written.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the artifact says about itself.

    Attributes:
        engine: ``onnxruntime`` or ``tensorflow``.
        engine_reason: why it is not ONNX Runtime, where it is not.
        versions: package name to version, of what made it.
        max_deviation: the largest |y - y0| against the original; None in a draft that is not verified yet.
        trainable: how many of the parameters can be trained; None in artifacts of before training.
        compiled: what the original was compiled with, by listed names only; None where nothing is known.
        optimization: how far ONNX Runtime may rewrite the graph; None for as far as it can.
    """

    engine: str
    signature: Signature
    engine_reason: str | None = None
    versions: Mapping[str, str] | None = None
    max_deviation: float | None = None
    parameters: int | None = None
    trainable: int | None = None
    compiled: Compiled | None = None
    optimization: str | None = None

    def to_json(self) -> bytes:
        """The bytes of ``manifest.json``."""
        members = {
            "format_version": FORMAT_VERSION,
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "signature": self.signature.to_dict(),
            "versions": dict(self.versions or {}),
            "max_deviation": self.max_deviation,
            "parameters": self.parameters,
            "trainable": self.trainable,
            "compiled": self.compiled.to_dict() if self.compiled else None,
        }
        if self.optimization:
            members["optimization"] = self.optimization
        return json.dumps(members, indent=1, sort_keys=True).encode()


def write_artifact(target: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    """Write the servable at ``target``: complete under another name first, then renamed."""
    unfinished = target.with_name(target.name + ".part")
    contents = {**members, MANIFEST: manifest.to_json()}
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _TIMESTAMP)
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, contents[name])
    unfinished.replace(target)


def replace_manifest(target: Path, manifest: Manifest) -> None:
    """Give the servable at ``target`` another manifest; its other members are copied block by block.

    Raises:
        Unavailable: it is damaged or missing.
    """
    unfinished = target.with_name(target.name + ".part")
    with zipfile.ZipFile(target) as before, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(before.namelist()):
            entry = zipfile.ZipInfo(name, _TIMESTAMP)
            entry.external_attr = 0o600 << 16
            if name == MANIFEST:
                archive.writestr(entry, manifest.to_json())
            else:
                entry.file_size = before.getinfo(name).file_size
                with before.open(name) as member, archive.open(entry, "w") as copy:
                    shutil.copyfileobj(member, copy, 1 << 20)
    unfinished.replace(target)


def read_manifest(artifact: Path) -> Manifest:
    """Read what the servable at ``artifact`` says about itself.

    Raises:
        Unavailable: it is damaged, missing, or of another format version.
    """
    try:
        members = json.loads(read_member(artifact, MANIFEST))
        version = members["format_version"]
        if version != FORMAT_VERSION:
            raise Unavailable(
                f"The servable has format version {version}, this server reads {FORMAT_VERSION}; "
                "publish the model again."
            )
        engine = members["engine"]
        if engine not in (ONNX, TENSORFLOW):
            raise Unavailable(f"The servable asks for an unknown engine {engine!r}; publish the model again.")
        return Manifest(
            engine=engine,
            signature=Signature.from_dict(members["signature"]),
            engine_reason=members.get("engine_reason"),
            versions=members.get("versions"),
            max_deviation=members.get("max_deviation"),
            parameters=members.get("parameters"),
            trainable=members.get("trainable"),
            compiled=Compiled.from_dict(members["compiled"]) if members.get("compiled") else None,
            optimization=members.get("optimization"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable("The servable's manifest is damaged; publish the model again.") from error


def member_names(artifact: Path) -> frozenset[str]:
    """Which members there are. Raises Unavailable: it is damaged or missing."""
    try:
        with zipfile.ZipFile(artifact) as archive:
            return frozenset(archive.namelist()) & _MEMBERS
    except (OSError, zipfile.BadZipFile) as error:
        raise Unavailable("The servable is damaged or missing; publish the model again.") from error


@contextmanager
def _undamaged() -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise Unavailable("The servable is damaged or missing; publish the model again.") from error


def read_member(artifact: Path, name: str) -> bytes:
    """The bytes of one member.

    Raises:
        Unavailable: it is damaged or missing.
    """
    with _undamaged(), zipfile.ZipFile(artifact) as archive:
        return archive.read(_stored(archive, name))


def copy_member(artifact: Path, name: str, target: Path) -> None:
    """Write one member to ``target``, block by block: weights may be larger than memory has room for.

    Raises:
        Unavailable: it is damaged or missing.
    """
    with _undamaged(), zipfile.ZipFile(artifact) as archive:
        stored = _stored(archive, name)
        with archive.open(stored) as member, target.open("wb") as copy:
            shutil.copyfileobj(member, copy, 1 << 20)


def read_members(artifact: Path) -> dict[str, bytes]:
    """Every member but the manifest, by name.

    Raises:
        Unavailable: it is damaged or missing.
    """
    return {name: read_member(artifact, name) for name in sorted(member_names(artifact) - {MANIFEST})}


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The member as it is always written; a guest wrote the file, and must not hand over what swells when read.

    Raises:
        KeyError: there is none.
        zipfile.BadZipFile: it is compressed.
    """
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise zipfile.BadZipFile(name)
    return member
