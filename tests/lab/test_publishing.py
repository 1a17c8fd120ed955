"""``tt.publish``: schema, upload, and the check that the endpoint answers as ``model.predict``."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import errors, publishing
from tensortrigger_lab.client import Client

ZIP = b"PK\x03\x04 a .keras file"


class LinearModel:
    """Stands for a Keras model where TensorFlow would take seconds: y = x @ weights."""

    built = True

    def __init__(self, *weights: float, batch_shape: tuple[Any, ...] | None = None) -> None:
        self.weights = np.array(weights)
        self.input_shape = batch_shape or (None, len(weights))

    def save(self, path: Path) -> None:
        path.write_bytes(ZIP)

    def predict(self, x: Any, verbose: Any = "auto") -> Any:
        assert verbose == 0
        parts = list(x.values()) if isinstance(x, dict) else x if isinstance(x, list) else [x]
        flat = sum(
            np.asarray(part, "float32").reshape(len(part), -1).sum(axis=1, keepdims=True) for part in parts
        )
        return flat if len(self.weights) == 0 else (np.asarray(x, "float32") @ self.weights[:, None])


@pytest.fixture(autouse=True)
def keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keras", SimpleNamespace(Model=LinearModel))
    monkeypatch.setattr(publishing, "POLL", 0.0)


@pytest.fixture
def endpoint(api: Any, shapes: Any) -> Any:
    """Accepts ``churn`` and answers age + 2 income."""
    api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "ready", "model": shapes.model()})

    def run(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["input_vectors"]
        return httpx.Response(200, json={"output": [[row["age"] + 2 * row["income"]] for row in rows]})

    api.on("POST", "/tensor/run/batch", run)
    return api


TABLE = pd.DataFrame({"age": range(100), "income": np.linspace(0, 1, 100)})


def test_the_example_gives_the_schema_and_is_checked_on_the_endpoint(endpoint: Any, client: Client) -> None:
    model = tt.publish(LinearModel(1, 2), "churn", TABLE, "who leaves", client=client)
    sent = endpoint.body("/models/new")
    assert sent["name"] == sent["model_name"] == "churn"
    assert sent["model_description"] == "who leaves"
    assert sent["model_schema"] == {
        "age": {"var_type": "INT", "index": 0},
        "income": {"var_type": "FLOAT", "index": 1},
    }
    assert base64.b64decode(sent["model_content"]) == ZIP
    assert endpoint.asked("/models/new")[0].headers["Idempotency-Key"]
    assert len(endpoint.body("/tensor/run/batch")["input_vectors"]) == 32
    assert model.check is not None
    assert (model.check.equal, model.check.rows) == (True, 32)


def test_the_model_shows_what_a_caller_needs(endpoint: Any, client: Client, shapes: Any) -> None:
    model = tt.publish(LinearModel(1, 2), "churn", TABLE, client=client)
    shown = repr(model)
    for part in (
        "'churn' version 1",
        shapes.model_id,
        f"{shapes.url}/models/{shapes.model_id}",
        "onnxruntime",
    ):
        assert part in shown
        assert part.replace("'", "&#x27;") in model._repr_html_()
    assert "answers as model.predict: yes, largest difference" in shown
    assert "over 32 rows" in shown


def test_the_curl_line_survives_a_shell_and_holds_a_real_row(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    model = tt.publish(LinearModel(1, 2), "churn", TABLE[TABLE.age > 40], client=client)
    line = model.curl.replace("curl ", "printf '%s\\n' ", 1)
    words = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"{shapes.url}/tensor/run" in words
    assert json.loads(words[-1]) == {
        "model_id": shapes.model_id,
        "input_vector": {"age": 41, "income": pytest.approx(41 / 99)},
    }
    assert "Authorization" not in line


def test_the_curl_line_names_the_keys_variable_and_never_the_key(endpoint: Any, shapes: Any) -> None:
    with Client(shapes.url, "tt_a_secret", transport=httpx.MockTransport(endpoint)) as client:
        model = tt.publish(LinearModel(1, 2), "churn", TABLE, client=client)
        assert '-H "Authorization: Bearer $TENSORTRIGGER_API_KEY"' in model.curl
        assert "secret" not in repr(model) + model._repr_html_() + model.curl


def test_an_endpoint_that_answers_otherwise_is_shown_loudly(endpoint: Any, client: Client) -> None:
    model = tt.publish(LinearModel(1, 2.5), "churn", TABLE, client=client)
    assert model.check is not None
    assert model.check.equal is False
    assert "answers as model.predict: NO, largest difference" in repr(model)


def test_a_version_that_is_not_ready_yet_is_followed(endpoint: Any, client: Client, shapes: Any) -> None:
    endpoint.on(
        "POST", "/models/new", {"model_id": shapes.model_id, "state": "received", "message": "Accepted"}
    )
    endpoint.on(
        "GET",
        f"/models/{shapes.model_id}",
        *({"model": shapes.model(state=state)} for state in ("received", "checking", "rebuilding", "ready")),
    )
    assert tt.publish(LinearModel(1, 2), "churn", TABLE, client=client).record.state == "ready"


FAULT = {
    "loc": ["config", "layers", 1],
    "code": "forbidden_layer",
    "message": "Layer 'shout' is a Lambda.",
    "remedy": "Use a layer of Keras instead.",
}


def test_a_refusal_names_the_layer_and_the_remedy(endpoint: Any, client: Client, shapes: Any) -> None:
    endpoint.on("POST", "/models/new", shapes.problem(400, "Layer 'shout' is a Lambda.", [FAULT]))
    with pytest.raises(errors.ModelRefused) as caught:
        tt.publish(LinearModel(1, 2), "churn", TABLE, client=client)
    assert str(caught.value) == "Layer 'shout' is a Lambda.\n  - Use a layer of Keras instead."


def test_a_refusal_that_comes_later_says_the_same(endpoint: Any, client: Client, shapes: Any) -> None:
    endpoint.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "received"})
    refused = shapes.model(state="refused", version=None, report={"faults": [FAULT]})
    endpoint.on("GET", f"/models/{shapes.model_id}", {"model": refused})
    with pytest.raises(errors.ModelRefused, match="Layer 'shout' is a Lambda") as caught:
        tt.publish(LinearModel(1, 2), "churn", TABLE, client=client)
    assert caught.value.faults[0].remedy == "Use a layer of Keras instead."


def test_an_array_gives_numbered_names_and_a_model_alone_does_too(endpoint: Any, client: Client) -> None:
    endpoint.on("POST", "/tensor/run/batch", {"output": []})
    for example in (np.zeros((4, 2), "float32"), None):
        tt.publish(LinearModel(1, 2), "churn", example, client=client)
        schema = endpoint.body("/models/new")["model_schema"]
        assert schema == {"x0": {"var_type": "FLOAT", "index": 0}, "x1": {"var_type": "FLOAT", "index": 1}}


def test_without_an_example_nothing_is_compared_and_the_curl_line_holds_zeros(
    endpoint: Any, client: Client
) -> None:
    model = tt.publish(LinearModel(1, 2), "churn", client=client)
    assert str(model.check) == "not compared with model.predict: no example was given."
    assert json.loads(model.request_body)["input_vector"] == {"age": 0, "income": 0}


def test_rows_with_gaps_are_left_out_of_the_comparison(endpoint: Any, client: Client) -> None:
    table = TABLE.copy()
    table.loc[0, "income"] = np.nan
    model = tt.publish(LinearModel(1, 2), "churn", table, client=client)
    assert model.check is not None
    assert model.check.equal
    assert endpoint.body("/tensor/run/batch")["input_vectors"][0]["age"] == 1
    empty = tt.publish(LinearModel(1, 2), "churn", table.assign(income=np.nan), client=client)
    assert "no row of the example is finite" in str(empty.check)


def test_named_outputs_are_compared_in_their_declared_order(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    schema = {
        "input_schema": shapes.model()["model_schema"]["input_schema"],
        "output_schema": {"z": {"var_type": "FLOAT", "index": 0}},
    }
    endpoint.on("POST", "/models/new", {"model": shapes.model(model_schema=schema)})
    endpoint.on("POST", "/tensor/run/batch", {"output": [{"z": row} for row in range(32)]})
    model = tt.publish(LinearModel(1, 0), "churn", TABLE, schema=schema, client=client)
    assert model.check is not None
    assert model.check.equal
    assert endpoint.body("/models/new")["model_schema"] == schema


@pytest.mark.parametrize("example_of", ["list", "dict"])
def test_several_inputs_go_as_tensors(api: Any, client: Client, shapes: Any, example_of: str) -> None:
    api.on("POST", "/models/new", {"model": shapes.tensor_model(inputs=2)})

    def run(request: httpx.Request) -> httpx.Response:
        inputs = json.loads(request.content)["inputs"]
        total = sum(np.array(inputs[name]).sum(axis=(1, 2)) for name in ("in_0", "in_1"))
        return httpx.Response(200, json={"output": total[:, None].tolist()})

    api.on("POST", "/tensor/run", run)
    arrays = {"in_0": np.random.default_rng(0).random((40, 3, 2)), "in_1": np.ones((40, 3, 2))}
    keras_model = LinearModel(batch_shape=[(None, 3, 2), (None, 3, 2)])  # type: ignore[arg-type]
    example = arrays if example_of == "dict" else list(arrays.values())
    model = tt.publish(keras_model, "pair", example, client=client)
    assert "model_schema" not in api.body("/models/new")
    assert model.check is not None
    assert (model.check.equal, model.check.rows) == (True, 32)
    assert np.array(json.loads(model.request_body)["inputs"]["in_0"]).shape == (1, 3, 2)


def test_rows_for_a_model_that_reads_sequences_of_any_length_are_tensors(
    api: Any, client: Client, shapes: Any
) -> None:
    record = shapes.tensor_model()
    record["signature"]["inputs"][0]["shape"] = [-1, -1]
    api.on("POST", "/models/new", {"model": record})
    api.on("POST", "/tensor/run", {"output": [[3.0]] * 4})
    keras_model = LinearModel(batch_shape=(None, None))
    model = tt.publish(keras_model, "words", np.ones((4, 3), "int64"), client=client)
    assert "model_schema" not in api.body("/models/new")
    assert str(model.check).startswith("answers as model.predict: yes")


def test_a_body_too_long_to_paste_is_read_from_a_file(api: Any, client: Client, shapes: Any) -> None:
    signature = {
        "inputs": [{"name": "image", "dtype": "float32", "shape": [-1, 64, 64, 3]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 1]}],
    }
    api.on("GET", "/models/by-name/images", {"model": shapes.model(model_schema=None, signature=signature)})
    model = tt.model("images", client=client)
    assert model.curl.endswith("-d @request.json")
    assert "open('request.json', 'w').write(model.request_body)" in repr(model)
    assert np.array(json.loads(model.request_body)["inputs"]).shape == (1, 64, 64, 3)


def test_a_file_is_published_without_a_comparison(endpoint: Any, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(ZIP)
    model = tt.publish(path, "churn", TABLE, client=client)
    assert base64.b64decode(endpoint.body("/models/new")["model_content"]) == ZIP
    assert "it was published from a file" in str(model.check)


@pytest.mark.parametrize(
    ("model", "name", "example", "message"),
    [
        (LinearModel(1, 2), "My Churn!", TABLE, "such as 'my-churn'"),
        (LinearModel(1, 2), "", TABLE, "1 to 63 of"),
        (LinearModel(1, 2, 3), "churn", TABLE, "expected 3 columns, got 2"),
        (LinearModel(1, 2), "churn", TABLE.assign(city="x"), "Column 'city' holds no numbers"),
        (LinearModel(1, 2), "churn", np.zeros(2), "needs a batch axis"),
        ("no/such/file.keras", "churn", None, "no file"),
        (object(), "churn", None, "a Keras model, or a .keras"),
    ],
)
def test_what_cannot_be_published_is_refused_before_anything_is_sent(
    api: Any, client: Client, model: Any, name: str, example: Any, message: str
) -> None:
    with pytest.raises(errors.BadInput, match=message):
        tt.publish(model, name, example, client=client)
    assert api.requests == []


def test_a_model_without_weights_says_how_to_get_them(api: Any, client: Client) -> None:
    model = LinearModel(1, 2)
    model.built = False
    with pytest.raises(errors.BadInput, match=r"keras\.Input"):
        tt.publish(model, "churn", client=client)


@pytest.mark.parametrize(("content", "name"), [(b"\x80\x04 pickle", "m.pkl"), (b"", "m.keras")])
def test_a_file_in_another_format_is_refused(
    client: Client, tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.BadInput, match="no model file"):
        tt.publish(str(tmp_path / name), "churn", client=client)


def test_an_example_that_predict_does_not_take_says_so(api: Any, client: Client) -> None:
    model = LinearModel(1, 2)
    model.predict = lambda x, verbose: (_ for _ in ()).throw(ValueError("shapes differ\nmore"))  # type: ignore[method-assign]
    with pytest.raises(errors.BadInput, match=r"does not take the example: shapes differ$"):
        tt.publish(model, "churn", TABLE, client=client)
