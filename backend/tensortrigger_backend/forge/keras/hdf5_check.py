"""Is this HDF5 file only groups and plain numbers? No links out of it, no outside storage, no shape bombs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused, refuse

_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_LZF,
}
_SAVE = "save the whole model with model.save('model.keras') and publish that file"


def open_hdf5(source: Path) -> Any:
    """Open the file for reading.

    Raises:
        Refused: it is truncated or damaged.
    """
    try:
        return h5py.File(source, "r")
    except (OSError, RuntimeError, ValueError) as error:
        truncated = "truncated" in str(error)
        code = "truncated_hdf5" if truncated else "corrupt_hdf5"
        what = "is truncated" if truncated else "is damaged"
        raise refuse(
            code, f"the HDF5 file {what}: it cannot be opened", remedy="save and upload it again"
        ) from error


def check_structure(file: Any, size: int, limits: Limits, *path: str) -> None:
    """Walk every group, link and dataset.

    Args:
        size: bytes of the file, against which the declared bytes are held.
        path: where the file lies in the upload, for the faults.

    Raises:
        Refused: anything but hard links to groups and to datasets of plain numbers within the limits.
    """
    walk = _Walk(size, limits, path)
    try:
        walk.root(file)
    except Refused:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeError) as error:
        raise refuse(
            "corrupt_hdf5",
            "the HDF5 file is damaged: it cannot be read",
            *path,
            remedy="save and upload it again",
        ) from error


def model_config_text(file: Any) -> str:
    """The JSON text of the model's architecture.

    Raises:
        Refused: there is none, so the file holds weights only or nothing of Keras.
    """
    text = attribute_text(file, "model_config")
    if text is not None:
        return text
    names = set(file.keys())
    weights_only = (
        "layer_names" in file.attrs or {"layers", "vars"} & names or "_layer_checkpoint_dependencies" in names
    )
    if weights_only:
        raise refuse(
            "weights_only",
            "the HDF5 file holds only weights, without the model they belong to",
            remedy=_SAVE,
        )
    raise refuse(
        "no_config",
        "this is no Keras model: an HDF5 file without a model_config",
        remedy=_SAVE,
    )


def attribute_text(file: Any, name: str) -> str | None:
    """A text attribute of the file, None where it has none."""
    try:
        value = file.attrs.get(name)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise refuse("corrupt_hdf5", f"the HDF5 file is damaged: its {name} cannot be read", name) from error
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


class _Walk:
    def __init__(self, size: int, limits: Limits, path: tuple[str, ...]) -> None:
        self._limits = limits
        self._path = path
        self._allowed_bytes = min(limits.declared_bytes, limits.inflation * size + (1 << 20))
        self._declared = 0
        self._objects = 0
        self._seen: set[Any] = set()

    def root(self, file: Any) -> None:
        self._seen.add(h5py.h5o.get_info(file.id).addr)
        self.group(file, (), 0)

    def group(self, group: Any, at: tuple[str, ...], depth: int) -> None:
        if depth > self._limits.depth:
            raise self._refuse("too_deep", "the HDF5 file nests its groups too deeply", at)
        self._count(at)
        for name in group:
            here = (*at, name)
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
                raise self._refuse("hdf5_link", f"the HDF5 file holds {kind} link at {'/'.join(here)}", here)
            member = group[name]
            address = h5py.h5o.get_info(member.id).addr
            if address in self._seen and isinstance(member, h5py.Group):
                raise self._refuse(
                    "hdf5_cycle", f"the HDF5 file reaches the group {'/'.join(here)} twice", here
                )
            if address in self._seen:
                continue
            self._seen.add(address)
            if isinstance(member, h5py.Group):
                self.group(member, here, depth + 1)
            elif isinstance(member, h5py.Dataset):
                self.dataset(member, here)
            else:
                raise self._refuse("hdf5_object", f"{'/'.join(here)} is neither a group nor a dataset", here)

    def dataset(self, dataset: Any, at: tuple[str, ...]) -> None:
        self._count(at)
        name = "/".join(at)
        creation = dataset.id.get_create_plist()
        if dataset.is_virtual:
            raise self._refuse("hdf5_virtual", f"{name} is a virtual dataset, which reads other files", at)
        if creation.get_external_count():
            raise self._refuse("hdf5_external", f"{name} is stored outside of the file", at)
        if dataset.dtype.kind not in "fiub" and not (
            dataset.dtype.kind == "V" and dataset.dtype.itemsize <= 2
        ):
            raise self._refuse(
                "hdf5_dtype", f"{name} holds something other than numbers", at, str(dataset.dtype)
            )
        for index in range(creation.get_nfilters()):
            if creation.get_filter(index)[0] not in _FILTERS:
                raise self._refuse("hdf5_filter", f"{name} is packed by an unusual filter", at)
        self._declared += dataset.size * dataset.dtype.itemsize
        if self._declared > self._allowed_bytes:
            raise self._refuse(
                "too_large",
                f"the HDF5 file declares more numbers than it can hold: {name} has shape {dataset.shape}",
                at,
                f"{self._declared} bytes",
                f"at most {self._allowed_bytes} bytes",
            )

    def _count(self, at: tuple[str, ...]) -> None:
        self._objects += 1
        if self._objects > self._limits.objects:
            raise self._refuse("too_many_objects", "the HDF5 file holds too many groups and datasets", at)

    def _refuse(
        self,
        code: str,
        message: str,
        at: tuple[str, ...],
        got: str | None = None,
        expected: str | None = None,
    ) -> Refused:
        return refuse(
            code,
            message,
            *self._path,
            *at,
            got=got,
            expected=expected,
            remedy="save the model with Keras itself, which writes none of this",
        )
