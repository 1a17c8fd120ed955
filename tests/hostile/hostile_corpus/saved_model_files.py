"""How is a SavedModel written and packed? By TensorFlow, which is imported only then."""

from __future__ import annotations

import functools
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def folder_of(module: Any, tf: Any, into: Path, **signatures: Any) -> None:
    """Save a ``tf.Module`` there, its method ``serve`` as the default signature."""
    tf.saved_model.save(module, str(into), signatures=signatures or {"serving_default": module.serve})


def module_of(tf: Any, serve: Callable[[Any], Any]) -> Any:
    """A ``tf.Module`` with this default signature."""
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    return module


def files_of(module: Any, tf: Any) -> dict[str, bytes]:
    """What saving the module writes, by path in the folder."""
    with tempfile.TemporaryDirectory() as folder:
        folder_of(module, tf, Path(folder))
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(Path(folder).rglob("*"))
            if file.is_file()
        }


def zipped(files: dict[str, bytes]) -> bytes:
    """The files as a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", *more: tarfile.TarInfo) -> bytes:
    """The files as a tar archive, with further members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as packed:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for info in more:
            packed.addfile(info)
    return buffer.getvalue()


@functools.cache
def harmless() -> dict[str, bytes]:
    """The files of a SavedModel that only doubles its input."""
    import tensorflow as tf

    return files_of(module_of(tf, lambda x: {"y": x * 2.0}), tf)
