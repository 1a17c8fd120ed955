"""Builds every SavedModel of the zoo and of the refusals, asks it, packs it and publishes it, all in one process.

``python publish_formats.py FOLDER PART PARTS`` leaves NAME.upload, NAME.npz with inputs and the answers of TensorFlow's
own loader, NAME.servable and NAME.json with the verdict.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import saved_model_refusals
import saved_model_zoo

from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.forge.export import export
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused
from tensortrigger_backend.forge.saved_model.publication import publish_saved_model

EXPORTED = ("several", "text_with_an_asset")


def write_verdict(folder: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            inspected = inspect_upload(folder / f"{name}.upload", Path(scratch), Limits())
            assert inspected.saved_model is not None
            target = folder / f"{name}.servable"
            verdict = publish_saved_model(
                target, inspected.saved_model, ForgeOrder(), lambda _: None
            ).to_dict()
        except Refused as refused:
            verdict = {"accepted": False, "faults": [fault.to_dict() for fault in refused.faults]}
    (folder / f"{name}.json").write_text(json.dumps(verdict))


def write_export(folder: Path, name: str, batch: dict[str, Any]) -> None:
    """Export the servable, and keep what the exported SavedModel answers as NAME.exported.npz."""
    packed, saved = folder / f"{name}.exported.zip", folder / name / "exported"
    export(folder / f"{name}.servable", packed)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(saved)
    answers = saved_model_zoo.asked(saved, batch)
    np.savez(
        folder / f"{name}.exported.npz", **{f"out/{key}": plain(value) for key, value in answers.items()}
    )


def plain(values: Any) -> Any:
    values = np.asarray(values)
    if values.dtype.kind != "O":
        return values
    texts = [text.decode() if isinstance(text, bytes) else text for text in values.ravel()]
    return np.array(texts).reshape(values.shape)


def main() -> None:
    folder, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for name, (build, how, _) in list(saved_model_zoo.KINDS.items())[part::parts]:
        saved = folder / name / "saved"
        saved.parent.mkdir()
        batch = build(saved)
        saved_model_zoo.pack(saved, folder / f"{name}.upload", how)
        arrays = {f"in/{key}": plain(value) for key, value in batch.items()}
        arrays |= {f"out/{key}": plain(value) for key, value in saved_model_zoo.asked(saved, batch).items()}
        np.savez(folder / f"{name}.npz", **arrays)
        write_verdict(folder, name)
        if name in EXPORTED:
            write_export(folder, name, batch)
    for name, (save, _, _) in list(saved_model_refusals.REFUSED.items())[part::parts]:
        saved = folder / name / "saved"
        saved.parent.mkdir()
        save(saved)
        saved_model_zoo.pack_zip(saved, folder / f"{name}.upload")
        write_verdict(folder, name)


if __name__ == "__main__":
    main()
