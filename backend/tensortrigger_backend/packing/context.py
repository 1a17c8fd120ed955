"""Write a container build context that serves one version of one model, complete or not at all."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import tensortrigger_backend
from tensortrigger_backend.adapters.sql.database import MIGRATIONS
from tensortrigger_backend.domain.errors import Conflict, InvalidInput
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.packing.contents import EXAMPLE, MODEL, RECEIPT, SERVABLE
from tensortrigger_backend.packing.source_files import PACKAGE, needed_distributions, needed_modules

_ROOT: Final = Path(tensortrigger_backend.__file__).parent
_TEMPLATES: Final = {
    "Dockerfile": "Dockerfile",
    "dockerignore": ".dockerignore",
    "compose.yaml": "compose.yaml",
    "kubernetes.yaml": "kubernetes.yaml",
    "README.md": "README.md",
}
_MIB: Final = 1 << 20
_OWN_MIB: Final = 160
"""What the server needs beside the model."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """What is fetched of a version.

    Attributes:
        reference: as the caller named it.
        alias: the one that the caller named it by.
        model: the native API's Model object.
        servable: a file; ``example`` too, where there is one.
    """

    reference: str
    alias: str | None
    model: Mapping[str, Any]
    receipt: Mapping[str, Any] | None
    servable: Path
    example: Path | None


def must_run_without_tensorflow(model: Mapping[str, Any]) -> None:
    """Raise InvalidInput, with the reason and the way out, for a model that only TensorFlow can serve."""
    if model.get("engine") == ONNX:
        return
    reason = model.get("engine_reason") or "it is served by another engine"
    raise InvalidInput(
        f"{model['name']} version {model.get('version')} needs the TensorFlow engine ({str(reason).rstrip('.')}), "
        "and a package has none. Publish it again without the layers that ONNX cannot express, or take "
        f"GET /models/{model['model_id']}/saved_model to TensorFlow Serving."
    )


def write_context(target: Path, packaged: Packaged) -> list[str]:
    """Write the context at ``target``; the names of its files.

    Raises:
        Conflict: there is something at ``target`` already.
        InvalidInput: the model runs on the TensorFlow engine.
    """
    must_run_without_tensorflow(packaged.model)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} is there already: name a new or an empty folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(unfinished, packaged)
        unfinished.chmod(0o755)
        if target.exists():
            target.rmdir()
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())


def _write(folder: Path, packaged: Packaged) -> None:
    modules = needed_modules()
    for path in (*modules.values(), *(MIGRATIONS / "versions").glob("[0-9]*.py")):
        copy = folder / PACKAGE / path.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    # Guests are never started there, so what holds them in need not be installed.
    here = [path for name, path in modules.items() if not name.startswith(f"{PACKAGE}.forge")]
    pins = needed_distributions(here)
    if packaged.receipt is not None:
        # The engine that the receipt was made on, whatever the machine has on which this is written.
        pins["onnxruntime"] = packaged.receipt["engine_version"]
    lines = "".join(f"{name}=={version}\n" for name, version in pins.items())
    # So that the server tells its version, to which clients hold their own.
    about = folder / f"tensortrigger_lab-{tensortrigger_backend.__version__}.dist-info"
    about.mkdir()
    told = f"Metadata-Version: 2.1\nName: tensortrigger-lab\nVersion: {tensortrigger_backend.__version__}\n"
    (about / "METADATA").write_text(told, encoding="utf-8")
    (folder / "requirements.txt").write_text(lines, encoding="utf-8")
    _write_model(folder / "model", packaged)
    values = _values(packaged, pins["onnxruntime"])
    for name, target in _TEMPLATES.items():
        template = Template((files("tensortrigger_backend.packing") / "templates" / name).read_text("utf-8"))
        (folder / target).write_text(template.substitute(values), encoding="utf-8")


def _write_model(folder: Path, packaged: Packaged) -> None:
    folder.mkdir()
    shutil.copyfile(packaged.servable, folder / SERVABLE)
    about: dict[str, Any] = {"alias": packaged.alias}
    if packaged.receipt is not None:
        (folder / RECEIPT).write_text(json.dumps(packaged.receipt, indent=1) + "\n", encoding="utf-8")
    if packaged.example is not None:
        shutil.copyfile(packaged.example, folder / EXAMPLE)
        about["example_sha256"] = hashlib.sha256(packaged.example.read_bytes()).hexdigest()
    model = {**packaged.model, "packaged": about}
    (folder / MODEL).write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")


def _values(packaged: Packaged, engine_version: str) -> dict[str, str]:
    model = packaged.model
    name, version = str(model["name"]), str(model["version"])
    # Kubernetes takes no dot and no underscore in the name of a service.
    service = name.replace(".", "-").replace("_", "-").strip("-")[:50].rstrip("-")
    if not service[0].isalpha():
        service = f"model-{service}"
    weight = packaged.servable.stat().st_size // _MIB + 1
    limit, scratch = 2 * _OWN_MIB + 3 * weight, 256 + 3 * weight
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "service": service,
        "image": f"{service}:{version}",
        "title": str(model["model_name"]).replace("\n", " "),
        "name": name,
        "version": version,
        "model_id": str(model["model_id"]),
        "engine": str(model["engine"]),
        "engine_version": engine_version,
        "reference": packaged.reference,
        "about": f"tensortrigger_lab-{tensortrigger_backend.__version__}.dist-info",
        "alias_text": f", `{name}@{packaged.alias}`" if packaged.alias else "",
        # Names and categories are somebody else's words, and this is pasted into a shell.
        "example": shlex.quote(json.dumps(_example_body(model))),
        # The graph is in memory twice while it is opened, and copied into the data folder in /tmp.
        "request": f"{_OWN_MIB + 2 * weight}Mi",
        "limit": f"{limit}Mi",
        "scratch": f"{scratch}Mi",
        "scratch_mib": str(scratch),
        "compose_mib": str(limit + scratch),
    }


def _example_body(model: Mapping[str, Any]) -> dict[str, Any]:
    """A request of the right form; its numbers mean nothing."""
    fields = (model.get("model_schema") or {}).get("input_schema") or {}
    if fields:
        ordered = sorted(fields, key=lambda field: fields[field]["index"])
        values = {field: _value(fields[field]) for field in ordered}
        return {"model": model["name"], "input_vector": values}
    inputs = {spec["name"]: _zeros(spec["shape"], spec["dtype"]) for spec in model["signature"]["inputs"]}
    return {"model": model["name"], "inputs": inputs}


def _value(field: Mapping[str, Any]) -> Any:
    categories = field.get("categories")
    if categories:
        return next(iter(categories))
    if field.get("allowed"):
        return field["allowed"][0]
    if str(field["var_type"]).upper() == "BOOL":
        return False
    return field.get("min", field.get("max", 0))


def _zeros(shape: list[int], dtype: str) -> Any:
    if not shape:
        return "" if dtype == "string" else False if dtype == "bool" else 0
    return [_zeros(shape[1:], dtype)] * min(max(shape[0], 1), 8 if len(shape) == 1 else 2)
