"""Publishing again under a name does not quietly rename what callers send."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import publishing
from tensortrigger_lab.client import Client


class Sum:
    """Stands for a Keras model of two inputs and one output."""

    built, input_shape, output_shape = True, (None, 2), (None, 1)

    def save(self, path: Path) -> None:
        path.write_bytes(b"PK\x03\x04")

    def predict(self, x: Any, verbose: int) -> Any:
        return np.asarray(x).sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def endpoint(api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has ``churn/1``, which takes age (INT) and income (FLOAT)."""
    monkeypatch.setitem(__import__("sys").modules, "keras", SimpleNamespace(Model=Sum))
    monkeypatch.setattr(publishing, "POLL", 0.0)
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("POST", "/models/new", {"model": shapes.model(version=2)})
    api.on("POST", "/tensor/run/batch", {"output": [[3.0]] * 2})
    return api


def published(client: Client, api: Any, example: Any = None, **options: Any) -> tuple[tt.Model, Any]:
    model = tt.publish(Sum(), "churn", example, progress=False, client=client, **options)
    return model, api.body("/models/new").get("model_schema")


NAMED = {"age": {"var_type": "INT", "index": 0}, "income": {"var_type": "FLOAT", "index": 1}}


@pytest.mark.parametrize("example", [None, np.array([[1.0, 0.5], [2.0, 0.5]])])
def test_names_that_nobody_gave_are_those_of_the_version_before(
    client: Client, api: Any, example: Any
) -> None:
    model, schema = published(client, api, example)
    assert schema == NAMED
    assert model.remark == "names kept from churn/1: age, income"
    assert "names kept from churn/1" in repr(model)


def test_a_whole_number_that_has_become_a_fraction_is_a_float(client: Client, api: Any) -> None:
    _, schema = published(client, api, np.array([[1.5, 0.5], [2.0, 0.5]]))
    assert schema["age"] == {"var_type": "FLOAT", "index": 0}


def test_names_that_were_given_are_kept_to(client: Client, api: Any) -> None:
    model, schema = published(client, api, pd.DataFrame({"years": [1, 2], "pay": [0.5, 0.5]}))
    assert set(schema) == {"years", "pay"}
    assert model.remark == ""
    other = {"a": {"var_type": "INT", "index": 0}, "b": {"var_type": "INT", "index": 1}}
    assert published(client, api, schema=other)[1] == other


def test_another_width_is_another_model(
    client: Client, api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sum, "input_shape", (None, 3))
    model, schema = published(client, api)
    assert (set(schema), model.remark) == ({"x0", "x1", "x2"}, "")


def test_declared_outputs_stay_declared(client: Client, api: Any, shapes: Any) -> None:
    outputs = {"risk": {"var_type": "FLOAT", "index": 0}}
    before = shapes.model(model_schema={"input_schema": NAMED, "output_schema": outputs})
    api.on("GET", "/models", {"models": [before], "next_cursor": None})
    table = pd.DataFrame({"age": [1, 2], "income": [0.5, 0.5]})
    for example in (None, table):
        model, schema = published(client, api, example)
        assert schema == {"input_schema": NAMED, "output_schema": outputs}
        assert "outputs risk" in model.remark


def test_a_file_that_names_nothing_says_that_the_names_are_gone(
    client: Client, api: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04")
    model = tt.publish(path, "churn", progress=False, client=client)
    told = "churn/1 takes named numbers (age, income), none were named for this version"
    assert model.remark == told


def test_a_file_after_a_version_that_nobody_named_needs_no_note(
    client: Client, api: Any, shapes: Any, tmp_path: Path
) -> None:
    given = {f"x{index}": {"var_type": "FLOAT", "index": index} for index in range(2)}
    before = shapes.model(model_schema={"input_schema": given})
    api.on("GET", "/models", {"models": [before], "next_cursor": None})
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04")
    assert tt.publish(path, "churn", progress=False, client=client).remark == ""


def test_a_key_that_may_only_publish_publishes(client: Client, api: Any, shapes: Any) -> None:
    api.on("GET", "/models", shapes.problem(403, "The key lacks the scope."))
    assert set(published(client, api)[1]) == {"x0", "x1"}


@pytest.mark.parametrize(
    ("state", "told"), [("verifying", "it goes on"), ("received", "no forge has taken it yet")]
)
def test_waiting_for_a_version_has_an_end_that_names_it(
    client: Client, api: Any, shapes: Any, state: str, told: str
) -> None:
    api.on("POST", "/models/new", {"model": shapes.model(state=state)})
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model(state=state)})
    with pytest.raises(tt.NotReady, match=f"{shapes.model_id}.*still {state} after 0.05 s; {told}") as caught:
        published(client, api, timeout=0.05)
    assert (caught.value.model_id, caught.value.state) == (shapes.model_id, state)
    assert isinstance(caught.value, TimeoutError)


def test_where_nothing_answers_it_is_not_knocked_twice(client: Client, api: Any) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api.on("GET", "/models", away)
    with pytest.raises(tt.NotReachable):
        tt.publish(Sum(), "churn", progress=False, client=client)
    assert api.asked("/models/new") == []
