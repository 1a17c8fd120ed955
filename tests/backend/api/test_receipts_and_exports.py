"""Every version carries its proof, and leaves in forms that others serve: as a SavedModel, and as a container."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import yaml

from tensortrigger_backend.adapters.example_file import read_example
from tensortrigger_backend.domain.receipts import tensors_sha256

HERE = Path(__file__).parent


def receipt_of(server: Any, model_id: str) -> dict[str, Any]:
    answer = server.client.get(f"/models/{model_id}/receipt")
    assert answer.status_code == 200, answer.text
    receipt: dict[str, Any] = answer.json()["receipt"]
    return receipt


def test_a_version_without_an_example_is_proven_by_the_forges_own(server: Any, churn: dict[str, Any]) -> None:
    receipt = receipt_of(server, churn["model_id"])
    assert (receipt["source"], receipt["engine"]) == ("forge", "onnxruntime")
    assert receipt["rows"] >= 1
    assert churn["model"]["receipt"] == {
        "sha256": receipt["sha256"],
        "source": "forge",
        "max_deviation": receipt["max_deviation"],
    }
    assert {"keras", "tensorflow", "onnxruntime"} <= receipt["versions"].keys()
    told = {name: value for name, value in receipt.items() if name not in ("sha256", "checks")}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == receipt["sha256"]


def test_the_example_can_be_fetched_and_its_hashes_recomputed(server: Any, churn: dict[str, Any]) -> None:
    receipt = receipt_of(server, churn["model_id"])
    answer = server.client.get(f"/models/{churn['model_id']}/example")
    example = read_example(io.BytesIO(answer.content))
    assert tensors_sha256(example.inputs) == receipt["inputs_sha256"]
    assert tensors_sha256(example.outputs) == receipt["outputs_sha256"]
    (rows,), (outputs,) = example.inputs.values(), example.outputs.values()
    body = {"model_id": churn["model_id"], "input_vectors": rows.tolist()}
    got = np.array(server.client.post("/tensor/run/batch", json=body).json()["output"])
    np.testing.assert_allclose(got, outputs, atol=1e-5, rtol=1e-4)


def test_what_the_notebook_did_not_answer_is_refused(server: Any, models: Path) -> None:
    data = np.load(models / "churn.npz")
    wrong = {"inputs": data["x0"][:9].tolist(), "outputs": data["y0"][:9][::-1].tolist()}
    answer = server.publish(models / "churn.h5", "unlike", example=wrong)
    assert answer.status_code == 400
    fault = answer.json()["errors"][0]
    assert (fault["code"], fault["loc"][:2]) == ("receipt_mismatch", ["example", "outputs"])
    assert "another order of rows" in fault["remedy"]
    assert server.client.get("/models/by-name/unlike").status_code == 404
    early = server.publish(models / "churn.h5", "unlike", example={"inputs": [[1]]})
    assert early.json()["errors"][0]["loc"] == ["example", "outputs"]


def test_a_saved_model_answers_alike(
    server: Any, tensors: dict[str, dict[str, Any]], expected: Callable[[str], Any], tmp_path: Path
) -> None:
    model_id = tensors["pair"]["model_id"]
    answer = server.client.get(f"/models/{model_id}/saved_model")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert "saved_model.pb" in archive.namelist()
        archive.extractall(tmp_path / "saved")
    data = expected("pair")
    np.savez(tmp_path / "inputs.npz", left=data["x0"], right=data["x1"])
    argv = [sys.executable, HERE / "load_saved_model.py", tmp_path / "saved", tmp_path / "inputs.npz"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([*argv, tmp_path / "out.npz"], check=True, env=quiet)
    got = np.load(tmp_path / "out.npz")
    for place, name in enumerate(("first", "second")):
        np.testing.assert_allclose(got[name], data[f"y{place}"], atol=1e-5, rtol=1e-4)
    assert got["shape:left"].tolist() == [-1, 2]
    again = server.client.get(f"/models/{model_id}/saved_model")
    assert again.content == answer.content, "kept, not made again"
    assert server.client.get("/models/nothing/saved_model").status_code == 404


@pytest.fixture(scope="module")
def context(server: Any, churn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context of ``churn``, named by an alias, as ``tt package`` writes it."""
    body = {"model_id": churn["model_id"]}
    path = f"/models/by-name/{churn['name']}/aliases/shop"
    assert server.client.put(path, json=body).status_code == 200
    out = tmp_path_factory.mktemp("package") / "context"
    done = package(server, f"{churn['name']}@shop", out)
    assert done.returncode == 0, done.stderr
    assert "docker build" in done.stdout
    return out


def package(server: Any, reference: str, out: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import argparse, sys; from tensortrigger_backend.packing.command import register_package as r;"
        "p = argparse.ArgumentParser(); r(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); sys.exit(a.run(a))"
    )
    argv = [sys.executable, "-c", code, "package", reference, "--out", str(out)]
    environment = {**os.environ, "TENSORTRIGGER_URL": server.url}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def test_the_context_is_whole_and_free_of_tensorflow(context: Path, churn: dict[str, Any]) -> None:
    names = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    wanted = {
        "Dockerfile",
        ".dockerignore",
        "compose.yaml",
        "kubernetes.yaml",
        "README.md",
        "requirements.txt",
    }
    assert (
        wanted | {f"model/{name}" for name in ("servable", "example.npz", "receipt.json", "model.json")}
        <= names
    )
    pins = dict(line.split("==") for line in (context / "requirements.txt").read_text().split())
    assert not {name for name in pins if "tensorflow" in name or "keras" in name or name == "h5py"}
    assert pins["onnxruntime"] == json.loads((context / "model/receipt.json").read_text())["engine_version"]
    for path in context.rglob("*.py"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if line.strip().startswith(("import tensorflow", "import keras"))]
    docker = (context / "Dockerfile").read_text()
    assert "USER 10001" in docker
    assert "$" not in docker


def test_the_manifests_say_what_a_careful_operator_wants(context: Path) -> None:
    deployment, service, scaler = yaml.safe_load_all((context / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (compose,) = yaml.safe_load((context / "compose.yaml").read_text())["services"].values()
    assert compose["read_only"] is True
    assert compose["image"] == container["image"]


def test_only_what_can_be_packaged_is(
    server: Any, tensors: dict[str, dict[str, Any]], context: Path, tmp_path: Path
) -> None:
    assert "There is no model" in package(server, "nobody", tmp_path / "a").stderr
    assert "is there already" in package(server, "churn@shop", context).stderr
    assert "names no model" in package(server, "churn@", tmp_path / "b").stderr
    assert not list(tmp_path.iterdir())


def test_the_newest_version_is_packaged_without_an_alias(
    server: Any, churn: dict[str, Any], tmp_path: Path
) -> None:
    done = package(server, f"{churn['name']}@latest", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    model = json.loads((tmp_path / "out/model/model.json").read_text())
    assert model["model_id"] == churn["model_id"]
    assert model["packaged"]["alias"] is None


@pytest.fixture
def slim(context: Path, tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The packaged server in an interpreter that can import what its requirements name, and nothing else."""
    site = tmp_path / "site"
    site.mkdir()
    for line in (context / "requirements.txt").read_text().split():
        found = distribution(line.partition("==")[0])
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(str(found.locate_file(top)))
    probe = (
        "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'h5py') if u.find_spec(n)])"
    )
    # Not the virtual environment's own name for it, and no site: only what is on the path here is there.
    python = Path(sys.executable).resolve()
    environment = {"PYTHONPATH": f"{context}:{site}", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path)}
    seen = subprocess.run(
        [python, "-S", "-c", probe], env=environment, capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "[]"
    process = subprocess.Popen(
        [python, "-S", "-m", "tensortrigger_backend.packaged", "--model", "model", "--port", "0"],
        cwd=context,
        env={**environment, "TENSORTRIGGER_SESSION_KEY": "tt-slim-key"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("TensorTrigger backend ready at"), line
        yield line.split()[-1], psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_the_packaged_server_answers_like_the_original_without_tensorflow(
    slim: tuple[str, psutil.Process], churn: dict[str, Any], expected: Callable[[str], Any]
) -> None:
    url, process = slim
    data = expected("churn")
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer tt-slim-key"}) as client:
        for named in ({"model_id": churn["model_id"]}, {"model": "churn"}, {"model": "churn@shop"}):
            body = {**named, "input_vectors": data["x0"].tolist()}
            answer = client.post("/tensor/run/batch", json=body)
            assert answer.status_code == 200, answer.text
            np.testing.assert_allclose(answer.json()["output"], data["y0"], atol=1e-5, rtol=1e-4)
        wrong = {"model": "churn", "input_vector": {"tenure": 1}}
        assert client.post("/tensor/run", json=wrong).status_code == 400
        model = client.get(f"/models/{churn['model_id']}").json()["model"]
        for member in ("name", "version", "model_schema", "receipt", "servable_sha256", "signature"):
            assert model[member] == churn["model"][member]
        assert model["aliases"] == ["shop"]
        assert client.get(f"/models/{churn['model_id']}/receipt").status_code == 200
        assert client.delete(f"/models/{churn['model_id']}").status_code == 403
        assert client.post("/models/new", json={"model_name": "x", "model_content": ""}).status_code == 403
        assert client.post("/tensor/run", json=wrong, headers={"Authorization": ""}).status_code == 401
    assert not [
        region.path
        for region in process.memory_maps()
        if "tensorflow" in region.path or "keras" in region.path
    ]
    assert process.memory_info().rss < 150 << 20


def test_a_package_that_was_changed_does_not_start(context: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for path in (context / "model").iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    servable = bytearray((model / "servable").read_bytes())
    servable[-40] ^= 1
    (model / "servable").write_bytes(servable)
    argv = [sys.executable, "-m", "tensortrigger_backend.packaged", "--model", str(model), "--port", "0"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "was changed since it was packaged" in done.stderr
