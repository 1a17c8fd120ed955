"""A model that cannot be published gets a 4xx that names the member, or the layer."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from problems import fault


def columns(*names: str) -> dict[str, Any]:
    """A flat schema of FLOAT fields in this order."""
    return {name: {"var_type": "FLOAT", "index": place} for place, name in enumerate(names)}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (columns("a", "b"), "3"),
        (columns("a", "b", "c", "d"), "3"),
        ({"input_schema": columns("a", "b", "c"), "output_schema": columns("y", "z")}, "output"),
        ({"a": {"var_type": "FLOAT", "index": 0}, "b": {"var_type": "FLOAT", "index": 0}}, "share index 0"),
        ({"a": {"var_type": "COLOR", "index": 0}}, "var_type"),
        ({"a": {"var_type": "FLOAT", "index": 7}}, "index 7"),
        ({"a": 3}, "must be an object"),
        ({}, "at least one input"),
        ([], "at least one input"),
    ],
)
def test_a_schema_that_does_not_fit_the_model_is_refused(
    server: Any, models: Path, schema: Any, words: str
) -> None:
    problem = fault(server.publish(models / "churn.h5", "misfit", schema))
    assert words in problem["detail"]
    assert problem["errors"][0]["loc"][0] in ("model_schema", "model_content")


@pytest.mark.parametrize(
    ("file", "words"),
    [("lambda.h5", ("squared", "Lambda")), ("custom.keras", ("discount", "Discount"))],
)
def test_code_in_a_model_is_refused_and_the_layer_is_named(
    server: Any, models: Path, file: str, words: tuple[str, ...]
) -> None:
    problem = fault(server.publish(models / file, "code"))
    assert all(word in problem["detail"] for word in words)
    assert problem["errors"][0]["remedy"]


@pytest.mark.parametrize(
    "content",
    [
        b"hello, world",
        b"\x80\x04\x95pickle",
        b"PK\x03\x04 but no zip",
        b'{"class_name": "Sequential"}',
        b"\x89HDF\r\n\x1a\n",
    ],
)
def test_a_file_that_is_no_model_is_refused(server: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "upload"
    file.write_bytes(content)
    assert fault(server.publish(file, "no-model"))["errors"][0]["loc"][0] == "model_content"


def test_a_truncated_hdf5_is_said_to_be_truncated(server: Any, models: Path) -> None:
    assert "truncated" in fault(server.publish(models / "truncated.h5", "half"))["detail"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model_content": "!!!"}, "model_content"),
        ({"model_content": "data:text/plain,hello"}, "model_content"),
        ({"model_content": ""}, "model_content"),
        ({"model_content": 5}, "model_content"),
        ({"model_content": None}, "model_content"),
        ({"model_name": ""}, "model_name"),
        ({"model_name": "???"}, "model_name"),
        ({"model_name": 5}, "model_name"),
        ({"name": "Upper"}, "name"),
        ({"model_description": 5}, "model_description"),
    ],
)
def test_a_publish_request_names_the_member_that_is_wrong(
    server: Any, models: Path, members: dict[str, Any], field: str
) -> None:
    body = {
        "model_name": "fine",
        "model_content": base64.b64encode((models / "churn.h5").read_bytes()).decode(),
        **members,
    }
    problem = fault(server.client.post("/models/new", json=body))
    assert problem["errors"][0]["loc"] == [field]


@pytest.mark.parametrize("path", ["", "/metadata", "/content", "/schema", "/servable"])
def test_an_unknown_model_is_a_404(server: Any, path: str) -> None:
    assert "no model" in fault(server.client.get(f"/models/{'0' * 32}{path}"), 404)["detail"]
