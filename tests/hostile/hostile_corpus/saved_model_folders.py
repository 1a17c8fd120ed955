"""What can be wrong with a SavedModel's archive or files? Everything around a graph that is harmless."""

from __future__ import annotations

import tarfile
from collections.abc import Callable

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.saved_model_files import harmless, tarred, zipped


def artifacts() -> list[Artifact]:
    """Names that climb, links, bombs, members that are not TensorFlow's."""
    unsafe, unknown = ("unsafe_member",), ("unknown_member",)
    return [
        Artifact(
            "saved_model/climbing-name-in-a-zip",
            Effect.WRITES,
            _zip_member("climbing-name-in-a-zip"),
            unsafe,
            loader="unpacked",
        ),
        Artifact(
            "saved_model/climbing-name-in-a-tar",
            Effect.WRITES,
            _tar_member("climbing-name-in-a-tar"),
            unsafe,
            loader="unpacked",
        ),
        Artifact(
            "saved_model/symbolic-link-in-a-tar",
            Effect.READS,
            _tar_link(tarfile.SYMTYPE),
            unsafe,
            loader="unpacked",
        ),
        Artifact(
            "saved_model/hard-link-in-a-tar",
            Effect.READS,
            _tar_link(tarfile.LNKTYPE),
            unsafe,
            loader="unpacked",
        ),
        Artifact(
            "saved_model/device-in-a-tar",
            Effect.STRUCTURE,
            _tar_link(tarfile.CHRTYPE),
            unsafe,
            why="only root may make a device",
        ),
        Artifact(
            "saved_model/fifo-in-a-tar",
            Effect.STRUCTURE,
            _tar_link(tarfile.FIFOTYPE),
            unsafe,
            why="a reader of it waits for ever",
        ),
        Artifact(
            "saved_model/gzip-bomb",
            Effect.EXPANDS,
            _gzip_bomb,
            ("too_large",),
            bomb=lambda data: (len(data), 128 << 20),
        ),
        Artifact(
            "saved_model/two-graphs",
            Effect.STRUCTURE,
            _two_graphs,
            unknown,
            why="which of the two is meant differs by reader",
        ),
        Artifact(
            "saved_model/shared-object",
            Effect.STRUCTURE,
            _shared_object,
            unknown,
            why="only a custom-op loader opens it",
        ),
        Artifact(
            "saved_model/graph-is-no-graph",
            Effect.STRUCTURE,
            _no_graph,
            ("corrupt_graph",),
            why="nothing can read it",
        ),
    ]


def _zip_member(name: str) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        marker = traps.marker(f"saved_model/{name}")
        return zipped(harmless() | {"assets/" + "../" * 16 + str(marker).lstrip("/"): b"x"})

    return build


def _tar_member(name: str) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        marker = traps.marker(f"saved_model/{name}")
        return tarred(
            harmless() | {"assets/plain": b""} | {"assets/" + "../" * 16 + str(marker).lstrip("/"): b"x"}
        )

    return build


def _tar_link(kind: bytes) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        info = tarfile.TarInfo("assets/link")
        info.type = kind
        info.linkname = str(traps.text)
        return tarred(harmless(), "w", info)

    return build


def _gzip_bomb(traps: Traps) -> bytes:
    return tarred(harmless() | {"assets/zeros": bytes(128 << 20)}, "w:gz")


def _two_graphs(traps: Traps) -> bytes:
    files = harmless()
    return zipped(files | {f"other/{name}": content for name, content in files.items()})


def _shared_object(traps: Traps) -> bytes:
    return zipped(harmless() | {"libcustom_ops.so": b"\x7fELF" + bytes(60)})


def _no_graph(traps: Traps) -> bytes:
    return zipped(harmless() | {"saved_model.pb": b"\xff" * 200})
