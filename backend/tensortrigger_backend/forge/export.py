"""How does a canonical servable become a SavedModel for TensorFlow Serving? In a guest process of its own.

It reads one JSON line from stdin, ``{"artifact", "target"}``, and answers with one on what stdout was when it started:
``{"exported": true}`` once the zip lies at ``target``, or ``{"failed": "..."}``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell: the same servable gives the same names and times."""
_FINGERPRINT = "fingerprint.pb"
"""Random for each save, and optional."""
_TAG = "serving_default"


def export(artifact: Path, target: Path) -> None:
    """Write the SavedModel of the servable at ``artifact`` as a zip at ``target``.

    Its one signature, ``serving_default``, has the names, dtypes and shapes of the servable's own, the batch axis free.

    Raises:
        Unavailable: the servable is damaged.
        ValueError: TensorFlow cannot save it.
    """
    import tensorflow as tf

    from tensortrigger_backend.adapters.artifact_file import read_manifest
    from tensortrigger_backend.forge.keras.concrete import open_concrete
    from tensortrigger_backend.forge.saved_model.frozen_graph import FrozenServable

    signature = read_manifest(artifact).signature
    servable = open_concrete(artifact)
    if isinstance(servable, FrozenServable):
        model = function = servable.module
    else:
        model, function = servable.model, servable.function

    def serve(*tensors: Any) -> dict[str, Any]:
        return dict(zip([spec.name for spec in signature.outputs], function(*tensors), strict=True))

    specs = [
        tf.TensorSpec([None if length < 0 else length for length in spec.shape], spec.dtype, name=spec.name)
        for spec in signature.inputs
    ]
    module = tf.Module()
    # Variables and tables are saved by being reachable from here.
    module.model = model
    module.serve = tf.function(serve, autograph=False).get_concrete_function(*specs)
    # TensorFlow would make parameter names of Python out of them; in a SavedModel any name may stand.
    module.serve._arg_keywords = [spec.name for spec in signature.inputs]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        tf.saved_model.save(module, folder, signatures={_TAG: module.serve})
        pack(Path(folder), target)


def pack(folder: Path, target: Path) -> None:
    """The zip of a SavedModel's folder, its members in order of their names."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != _FINGERPRINT:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _TIMESTAMP)
                entry.external_attr = 0o644 << 16
                with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as member:
                    while block := source.read(1 << 20):
                        member.write(block)


def main() -> None:
    """Do the one export that the parent asks for."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    try:
        export(Path(order["artifact"]), Path(order["target"]))
        words: dict[str, Any] = {"exported": True}
    except Exception as error:
        logging.getLogger(__name__).warning("the export failed", exc_info=error)
        words = {"failed": f"{type(error).__name__}: {str(error).strip()[:300]}"}
    answers.write(json.dumps(words) + "\n")
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
