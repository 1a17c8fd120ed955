"""What goes into a package, and what never does."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.domain.errors import Conflict, InvalidInput
from tensortrigger_backend.packaged import install
from tensortrigger_backend.packing.contents import BadPackage, read_version
from tensortrigger_backend.packing.context import Packaged, write_context
from tensortrigger_backend.packing.source_files import needed_distributions, needed_modules
from tensortrigger_backend.settings import Settings

MODEL: dict[str, Any] = {
    "model_id": "0" * 32,
    "model_name": "Kündigung & more",
    "name": "9.churn_x",
    "version": 3,
    "model_description": "",
    "model_schema": {
        "input_schema": {
            "plan": {"var_type": "STRING", "index": 1, "categories": ["it's basic", "pro"]},
            "age": {"var_type": "INT", "index": 0, "min": 18},
        }
    },
    "size": 5,
    "sha256": "1" * 64,
    "servable_sha256": "2" * 64,
    "created": "2026-01-01T00:00:00.000Z",
    "format": "keras",
    "engine": "onnxruntime",
    "signature": {
        "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 1]}],
    },
}


def packaged(folder: Path, **changes: Any) -> Packaged:
    servable = folder / "servable"
    servable.write_bytes(b"bytes")
    return Packaged("9.churn_x@production", "production", {**MODEL, **changes}, None, servable, None)


def test_our_own_files_in_a_package_need_no_tensorflow() -> None:
    modules = needed_modules()
    assert {"tensortrigger_backend.packaged", "tensortrigger_backend.api.hot_lane"} <= modules.keys()
    guests = {
        name
        for name in modules
        if name.startswith(("tensortrigger_backend.trainer", "tensortrigger_backend.cli"))
    }
    assert guests == set()
    for name, path in modules.items():
        lines = [line.strip() for line in path.read_text().splitlines()]
        heavy = (
            "import tensorflow",
            "import keras",
            "import h5py",
            "from keras",
            "import tf2onnx",
        )
        assert not [line for line in lines if line.startswith(heavy)], name


def test_what_is_pinned_is_closed_under_what_it_needs() -> None:
    pins = needed_distributions(needed_modules().values())
    assert {"onnxruntime", "numpy", "fastapi", "starlette", "uvicorn", "httptools", "msgspec"} <= pins.keys()
    assert not {"tensorflow", "tensorflow-cpu", "keras", "h5py", "jupyterlab", "pandas"} & pins.keys()


def test_a_model_of_the_second_engine_is_refused_with_the_way_out(tmp_path: Path) -> None:
    told = packaged(tmp_path, engine="tensorflow", engine_reason="StringLookup has no ONNX form")
    with pytest.raises(InvalidInput, match=r"StringLookup has no ONNX form.*saved_model"):
        write_context(tmp_path / "out", told)
    assert not (tmp_path / "out").exists()


def test_a_context_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_context(tmp_path / "out", Packaged("a", None, MODEL, None, tmp_path / "nothing", None))
    assert list(tmp_path.iterdir()) == []
    written = write_context(tmp_path / "out", packaged(tmp_path))
    assert {"Dockerfile", "model/servable", "tensortrigger_backend/packaged.py"} <= set(written)
    with pytest.raises(Conflict, match="is there already"):
        write_context(tmp_path / "out", packaged(tmp_path))
    kubernetes = (tmp_path / "out" / "kubernetes.yaml").read_text()
    assert "name: model-9-churn-x\n" in kubernetes, "a service's name takes no dot and begins with a letter"
    readme = (tmp_path / "out" / "README.md").read_text()
    (request,) = [line for line in readme.splitlines() if line.startswith("curl")]
    body = json.loads(shlex.split(request)[-1])
    assert body["input_vector"] == {"age": 18, "plan": "it's basic"}, "quoted for the shell"
    compose = (tmp_path / "out" / "compose.yaml").read_text()
    assert "/tmp:size=259m\n" in compose
    assert "mem_limit: 582m\n" in compose


def test_a_version_comes_out_of_its_folder_as_it_went_in(tmp_path: Path) -> None:
    write_context(tmp_path / "out", packaged(tmp_path))
    version, verdict = read_version(tmp_path / "out" / "model")
    assert (version.model_id, version.version, version.wanted_alias) == ("0" * 32, 3, "production")
    assert version.schema is not None
    assert version.schema.to_dict() == MODEL["model_schema"]
    assert verdict.signature is not None
    assert verdict.signature.to_dict() == MODEL["signature"]
    (tmp_path / "out" / "model" / "model.json").write_text("{}")
    with pytest.raises(BadPackage):
        read_version(tmp_path / "out" / "model")


def test_a_package_starts_again_on_the_data_folder_of_before(tmp_path: Path) -> None:
    servable = hashlib.sha256(b"bytes").hexdigest()
    write_context(tmp_path / "out", packaged(tmp_path, servable_sha256=servable))
    settings = Settings(data_dir=tmp_path / "data")
    first = install(tmp_path / "out" / "model", settings)
    again = install(tmp_path / "out" / "model", settings)
    assert (again.model_id, again.version, again.aliases) == (first.model_id, 3, ("production",))
