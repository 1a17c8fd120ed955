"""What can an HDF5 file do when its numbers are read? Reach other files, and stand for more than it holds."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.keras_files import archive, bare, entrance, hdf5, rescaling, sequential

_BENIGN = sequential(entrance(), rescaling())
Change = Callable[[Any, Traps], None]

HARMLESS = Artifact(
    "hdf5/harmless", Effect.STRUCTURE, lambda _: hdf5(bare(_BENIGN)), (), why="nothing is wrong"
)


def artifacts() -> list[Artifact]:
    """A harmless model's file with one thing changed, some of them inside of a .keras archive too."""
    reads = {
        "external-storage": (_external_storage, ("hdf5_external",)),
        "external-link": (_external_link, ("hdf5_link",)),
        "virtual-dataset": (_virtual_dataset, ("hdf5_virtual",)),
    }
    shapes = {
        "soft-link": (_soft_link, ("hdf5_link",), "a name for what is in the file anyway"),
        "dangling-soft-link": (_dangling, ("hdf5_link",), "it leads nowhere"),
        "variable-length-strings": (_strings, ("hdf5_dtype",), "the numbers are no numbers"),
        "object-references": (_references, ("hdf5_dtype",), "the numbers are no numbers"),
        "compound-type": (_compound, ("hdf5_dtype",), "the numbers are no numbers"),
        "opaque-type": (_opaque, ("hdf5_dtype",), "the numbers are no numbers"),
        "named-type-as-member": (_named_type, ("hdf5_object",), "neither group nor dataset"),
        "filter-of-a-plugin": (
            _filter,
            ("hdf5_filter",),
            "the plugin is not installed here; where it is, it runs",
        ),
        "cyclic-groups": (
            _cycle,
            ("hdf5_cycle", "hdf5_link", "cyclic_group"),
            "a reader without a memory turns for ever",
        ),
    }
    bombs = {
        "shape-bomb": (_shape_bomb, ("too_large",), _declared),
        "shape-bomb-in-many-datasets": (_many_shapes, ("too_large",), _declared),
        "chunk-of-a-gigabyte": (_chunk_bomb, ("too_large", "hdf5_chunk"), _declared),
        "groups-a-thousand-deep": (_deep, ("too_deep",), lambda _: (1, 1000)),
    }
    found = [
        Artifact(f"hdf5/{name}", Effect.READS, _file(change), codes, loader="numbers")
        for name, (change, codes) in reads.items()
    ]
    found += [
        Artifact(f"keras/{name}-in-the-weights", Effect.READS, _archive(change), codes, loader="numbers")
        for name, (change, codes) in reads.items()
    ]
    found += [
        Artifact(f"hdf5/{name}", Effect.STRUCTURE, _file(change), codes, why=why)
        for name, (change, codes, why) in shapes.items()
    ]
    found += [
        Artifact(f"hdf5/{name}", Effect.EXPANDS, _file(change), codes, bomb=bomb)
        for name, (change, codes, bomb) in bombs.items()
    ]
    found += [
        Artifact(
            "keras/shape-bomb-in-the-weights",
            Effect.EXPANDS,
            _archive(_shape_bomb),
            ("too_large",),
            bomb=_declared,
        ),
        Artifact(
            "hdf5/config-of-thirty-megabytes",
            Effect.STRUCTURE,
            _file(_huge_attribute),
            ("too_large", "bad_config"),
            why="whoever parses it holds it many times over",
        ),
        Artifact(
            "hdf5/config-is-no-text",
            Effect.STRUCTURE,
            _file(_number_config),
            ("bad_config", "no_config", "weights_only"),
            why="there is no config in it",
        ),
        Artifact(
            "hdf5/user-block",
            Effect.STRUCTURE,
            _user_block,
            ("not_a_model", "user_block", "corrupt_hdf5", "hdf5_user_block"),
            why="a polyglot: it begins as another kind of file",
        ),
        Artifact(
            "hdf5/truncated",
            Effect.STRUCTURE,
            lambda _: hdf5(bare(_BENIGN))[:-100],
            ("truncated_hdf5", "corrupt_hdf5"),
            why="half of a file",
        ),
    ]
    return found


def _changed(data: bytes, change: Change, traps: Traps) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "changed.h5")
        path.write_bytes(data)
        with h5py.File(path, "a") as file:
            change(file, traps)
        return path.read_bytes()


def _file(change: Change) -> Callable[[Traps], bytes]:
    return lambda traps: _changed(hdf5(bare(_BENIGN)), change, traps)


def _archive(change: Change) -> Callable[[Traps], bytes]:
    def build(traps: Traps) -> bytes:
        from hostile_corpus.keras_files import weights_file

        return archive(_BENIGN, **{"model.weights.h5": _changed(weights_file(), change, traps)})

    return build


def _external_storage(file: Any, traps: Traps) -> None:
    size = len(traps.secret)
    file.create_dataset("vars/host", (size,), "u1", external=[(str(traps.text), 0, size)])


def _external_link(file: Any, traps: Traps) -> None:
    file["vars/host"] = h5py.ExternalLink(str(traps.hdf5), "/data")


def _virtual_dataset(file: Any, traps: Traps) -> None:
    layout = h5py.VirtualLayout((len(traps.secret),), "u1")
    layout[:] = h5py.VirtualSource(str(traps.hdf5), "data", (len(traps.secret),))
    file.create_virtual_dataset("vars/host", layout)


def _soft_link(file: Any, _: Traps) -> None:
    file["model_weights/again"] = h5py.SoftLink("/model_weights")


def _dangling(file: Any, _: Traps) -> None:
    file["model_weights/nowhere"] = h5py.SoftLink("/proc/self/environ")


def _strings(file: Any, _: Traps) -> None:
    file.create_dataset("model_weights/text", (4,), h5py.string_dtype())


def _references(file: Any, _: Traps) -> None:
    file.create_dataset("model_weights/references", (4,), h5py.ref_dtype)


def _compound(file: Any, _: Traps) -> None:
    file.create_dataset("model_weights/pairs", (4,), np.dtype([("a", "f4"), ("b", "S64")]))


def _opaque(file: Any, _: Traps) -> None:
    file.create_dataset("model_weights/opaque", (4,), np.dtype("V16"))


def _named_type(file: Any, _: Traps) -> None:
    file["model_weights/type"] = np.dtype("f4")


def _filter(file: Any, _: Traps) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((4,))
    creation.set_filter(h5py.h5z.FILTER_SCALEOFFSET, h5py.h5z.FLAG_OPTIONAL, (2, 0))
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file["model_weights"].id, b"packed", h5py.h5t.NATIVE_INT32, space, creation)


def _cycle(file: Any, _: Traps) -> None:
    file["model_weights/around"] = file["model_weights"]


def _shape_bomb(file: Any, _: Traps) -> None:
    file.create_dataset("vars/bomb", (1 << 40,), "f4", chunks=(1 << 20,))


def _many_shapes(file: Any, _: Traps) -> None:
    for number in range(64):
        file.create_dataset(f"vars/{number}", (1 << 24,), "f4", chunks=(1 << 10,))


def _chunk_bomb(file: Any, _: Traps) -> None:
    chunk = (1 << 28,)
    file.create_dataset("vars/chunk", chunk, "f4", chunks=chunk, compression="gzip")


def _deep(file: Any, _: Traps) -> None:
    group = file["model_weights"]
    for _step in range(1000):
        group = group.create_group("g")


def _huge_attribute(file: Any, _: Traps) -> None:
    del file.attrs["model_config"]
    text = json.dumps(bare(_BENIGN)) + " " * (33 << 20)
    file.attrs.create("model_config", text, dtype=h5py.string_dtype())


def _number_config(file: Any, _: Traps) -> None:
    file.attrs["model_config"] = np.arange(8)


def _user_block(_: Traps) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        file.attrs["model_config"] = json.dumps(bare(_BENIGN))
        file.create_group("model_weights")
    return b"#!/bin/sh\n" + buffer.getvalue()[10:]


def _declared(data: bytes) -> tuple[int, int]:
    """Bytes of the file, and of the arrays that it describes."""
    held = len(data)
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            data = packed.read("model.weights.h5")
    total = 0

    def add(_: str, member: Any) -> None:
        nonlocal total
        if isinstance(member, h5py.Dataset):
            total += member.nbytes

    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(add)
    return held, total
