"""``tt.run``: the answer comes in the form of the question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import inference
from tensortrigger_lab.client import Client
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.wire import ModelRecord


def sums(request: Any) -> Any:
    """An endpoint that answers each vector with the sum of its numbers."""
    import json

    import httpx

    body = json.loads(request.content)
    total = lambda row: [sum(row.values() if isinstance(row, dict) else row)]  # noqa: E731
    if "input_vectors" in body:
        output: Any = [total(row) for row in body["input_vectors"]]
    elif "inputs" in body:
        inputs = body["inputs"]
        arrays = [np.array(part) for part in (inputs.values() if isinstance(inputs, dict) else [inputs])]
        summed = sum(array.reshape(len(array), -1).sum(axis=1, keepdims=True) for array in arrays)
        output = (
            summed.tolist()
            if not isinstance(inputs, dict)
            else {"a": summed.tolist(), "b": (-summed).tolist()}
        )
    else:
        output = total(body["input_vector"])
    return httpx.Response(200, json={"http_code": 200, "output": output, "model_id": "m"})


@pytest.fixture
def summing(api: Any, shapes: Any) -> Any:
    api.on("POST", "/tensor/run", sums)
    api.on("POST", "/tensor/run/batch", sums)
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    return api


def test_named_numbers_give_one_output(summing: Any, client: Client) -> None:
    assert tt.run("churn", {"age": 41, "income": 0.5}, client=client) == [41.5]
    assert summing.body("/tensor/run") == {"model": "churn", "input_vector": {"age": 41, "income": 0.5}}


def test_a_row_of_a_table_is_named_numbers(summing: Any, client: Client) -> None:
    frame = pd.DataFrame({"age": [1, 2], "income": [0.5, 0.25]})
    assert tt.run("churn", frame.iloc[1], client=client) == [2.25]
    assert set(summing.body("/tensor/run")["input_vector"]) == {"age", "income"}


def test_text_and_gaps_are_sent_where_the_models_fields_take_them(
    api: Any, shapes: Any, client: Client
) -> None:
    plan = {"var_type": "STRING", "index": 0, "categories": ["a", "b"]}
    age = {"var_type": "INT", "index": 1, "nullable": True, "fill": 0}
    api.on(
        "GET",
        "/models/by-name/churn",
        {"model": shapes.model(model_schema={"input_schema": {"plan": plan, "age": age}})},
    )
    api.on("POST", "/tensor/run", {"output": [1], "model_id": "m"})
    api.on("POST", "/tensor/run/batch", {"output": [[1], [2]], "model_id": "m"})
    frame = pd.DataFrame({"plan": ["a", "b"], "age": pd.array([4, None], "Int64")})
    rows = [{"plan": "a", "age": 4}, {"plan": "b", "age": None}]
    tt.run("churn", frame, client=client)
    assert api.body("/tensor/run/batch")["input_vectors"] == rows
    tt.run("churn", frame.to_dict("records"), client=client)
    assert api.body("/tensor/run/batch")["input_vectors"] == rows
    tt.run("churn", frame.iloc[1], client=client)
    assert api.body("/tensor/run")["input_vector"] == rows[1]
    with pytest.raises(BadInput, match="Field 'plan'"):
        tt.run("churn", {"plan": None, "age": 1}, client=client)


def test_a_list_gives_a_list_and_an_array_an_array(summing: Any, client: Client) -> None:
    assert tt.run("churn", [1, 2], client=client) == [3]
    answer = tt.run("churn", np.array([1.0, 2.0]), client=client)
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [3.0]


def test_a_table_gives_a_table_with_the_same_index(summing: Any, client: Client) -> None:
    frame = pd.DataFrame({"age": [1, 2, 3], "income": [0.5, 0.5, 0.5]}, index=["x", "y", "z"])
    answer = tt.run("churn", frame, client=client)
    pd.testing.assert_frame_equal(answer, pd.DataFrame({"score": [1.5, 2.5, 3.5]}, index=["x", "y", "z"]))


def test_a_list_of_dicts_gives_a_list(summing: Any, client: Client) -> None:
    assert tt.run("churn", [{"age": 1, "income": 2}, {"age": 3, "income": 4}], client=client) == [[3], [7]]


def test_rows_of_an_array_give_an_array(summing: Any, client: Client) -> None:
    answer = tt.run("churn", np.array([[1, 2], [3, 4]]), client=client)
    assert answer.tolist() == [[3], [7]]
    assert summing.body("/tensor/run/batch")["input_vectors"] == [[1, 2], [3, 4]]


def test_a_large_batch_goes_in_several_requests_and_comes_back_in_order(
    summing: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "NUMBERS_PER_REQUEST", 10)
    frame = pd.DataFrame({"age": range(23), "income": 0.0})
    answer = tt.run("churn", frame, client=client)
    assert answer["score"].tolist() == list(range(23))
    assert len(summing.asked("/tensor/run/batch")) == 5


def test_a_model_of_tensors_gets_inputs_with_the_batch_axis(
    summing: Any, client: Client, shapes: Any
) -> None:
    summing.on("GET", "/models/by-name/images", {"model": shapes.tensor_model()})
    answer = tt.run("images", np.ones((5, 3, 2)), client=client)
    assert answer.tolist() == [[6.0]] * 5
    assert np.array(summing.body("/tensor/run")["inputs"]).shape == (5, 3, 2)


def test_a_large_batch_of_tensors_is_cut_along_the_batch_axis(
    summing: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "NUMBERS_PER_REQUEST", 12)
    answer = tt.run("images", np.arange(30.0).reshape(5, 3, 2), client=client)
    assert answer.tolist() == [[15.0], [51.0], [87.0], [123.0], [159.0]]
    assert len(summing.asked("/tensor/run")) == 3


def test_several_inputs_go_by_name_and_several_outputs_come_by_name(
    summing: Any, client: Client, shapes: Any
) -> None:
    summing.on("GET", "/models/by-name/pair", {"model": shapes.tensor_model(inputs=2, outputs=2)})
    for x in (
        {"in_0": np.ones((2, 3, 2)), "in_1": np.ones((2, 3, 2))},
        [np.ones((2, 3, 2)), np.ones((2, 3, 2))],
    ):
        answer = tt.run("pair", x, client=client)
        assert {name: values.tolist() for name, values in answer.items()} == {
            "a": [[12.0], [12.0]],
            "b": [[-12.0], [-12.0]],
        }
        assert set(summing.body("/tensor/run")["inputs"]) == {"in_0", "in_1"}


def test_inputs_of_unequal_batch_length_are_refused(client: Client) -> None:
    with pytest.raises(BadInput, match="left: 2, right: 3"):
        tt.run("pair", {"left": np.ones((2, 3)), "right": np.ones((3, 3))}, client=client)


def test_an_id_is_sent_as_an_id(summing: Any, client: Client, shapes: Any) -> None:
    tt.run(shapes.model_id, [1, 2], client=client)
    assert summing.body("/tensor/run")["model_id"] == shapes.model_id


def test_a_published_model_runs_on_its_own_backend_without_a_lookup(
    summing: Any, client: Client, shapes: Any
) -> None:
    model = Model(ModelRecord.read(shapes.model()), client)
    assert tt.run(model, np.array([[1, 2]])).tolist() == [[3]]
    assert model.run({"age": 1, "income": 2}) == [3]
    assert {request.url.path for request in summing.requests} == {"/tensor/run", "/tensor/run/batch"}


def test_null_for_a_number_that_is_not_finite_becomes_nan(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    api.on("POST", "/tensor/run/batch", {"output": [[None], [1.0]], "model_id": "m", "non_finite": 1})
    frame = tt.run("churn", pd.DataFrame({"age": [1, 2]}), client=client)
    assert frame["score"].isna().tolist() == [True, False]
    assert np.isnan(tt.run("churn", np.ones((2, 1)), client=client)).tolist() == [[True], [False]]


def test_several_and_named_outputs_become_columns(api: Any, client: Client, shapes: Any) -> None:
    frame = pd.DataFrame({"age": [1]})
    api.on("GET", "/models/by-name/m", {"model": shapes.model()})
    api.on("POST", "/tensor/run/batch", {"output": [[0.1, 0.2]]})
    assert tt.run("m", frame, client=client).columns.tolist() == ["score_0", "score_1"]
    api.on("POST", "/tensor/run/batch", {"output": [{"yes": 0.1, "no": [0.9], "more": [[1], [2]]}]})
    assert tt.run("m", frame, client=client).columns.tolist() == ["yes", "no", "more_0", "more_1"]


@pytest.mark.parametrize(
    "x", [[], {}, 5, None, [[1, 2], [3]], [[None, 1]], {"age": float("nan")}, [float("inf")]]
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    summing: Any, client: Client, x: Any
) -> None:
    with pytest.raises(BadInput):
        tt.run("churn", x, client=client)
    assert summing.asked("/tensor/run") == []


def test_an_empty_table_gives_an_empty_table(summing: Any, client: Client) -> None:
    assert len(tt.run("churn", pd.DataFrame({"age": []}), client=client)) == 0
    assert summing.asked("/tensor/run/batch") == []


def test_several_outputs_of_a_vector_model_are_arrays_by_name(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/models/by-name/two", {"model": shapes.model()})
    api.on("POST", "/tensor/run", {"output": {"price": [0.5], "kind": [0.1, 0.9]}})
    api.on("POST", "/tensor/run/batch", {"output": [{"price": [0.5], "kind": [0.1, 0.9]}] * 2})
    one = tt.run("two", np.array([1.0, 2.0]), client=client)
    assert {name: type(values) for name, values in one.items()} == {"price": np.ndarray, "kind": np.ndarray}
    assert one["kind"].tolist() == [0.1, 0.9]
    batch = tt.run("two", np.ones((2, 2)), client=client)
    assert {name: values.shape for name, values in batch.items()} == {"price": (2, 1), "kind": (2, 2)}
    assert batch["kind"].tolist() == [[0.1, 0.9]] * 2
    assert tt.run("two", [[1, 2], [3, 4]], client=client) == [{"price": [0.5], "kind": [0.1, 0.9]}] * 2
    frame = tt.run("two", pd.DataFrame({"age": [1, 2], "income": 0.5}), client=client)
    assert frame.columns.tolist() == ["price", "kind_0", "kind_1"]


@pytest.mark.parametrize("ask", ["run", "model", "score_csv"])
def test_a_name_that_is_not_found_is_told_with_the_one_most_like_it(
    api: Any, client: Client, shapes: Any, tmp_path: Any, ask: str
) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    path = tmp_path / "rows.csv"
    path.write_text("age\n1\n")
    asks = {
        "run": lambda name: tt.run(name, [1, 2], client=client),
        "model": lambda name: tt.model(name, client=client),
        "score_csv": lambda name: tt.score_csv(name, path, client=client),
    }
    with pytest.raises(tt.NotFound, match=r"Did you mean 'churn'\?") as caught:
        asks[ask]("chrun/2")
    assert caught.value.status == 404
    for other in ("churn/9", "entirely-different", "0" * 32):
        with pytest.raises(tt.NotFound) as caught:
            asks[ask](other)
        assert "Did you mean" not in str(caught.value)


def test_the_schema_tells_names_types_and_order(client: Client, shapes: Any) -> None:
    schema = Model(ModelRecord.read(shapes.model()), client).schema
    assert [(field.name, field.type) for field in schema.inputs] == [("age", "INT"), ("income", "FLOAT")]
    assert [line.split(None, 4) for line in repr(schema).splitlines()] == [
        ["index", "name", "type", "shape"],
        ["input", "0", "age", "INT"],
        ["input", "1", "income", "FLOAT"],
        ["output", "0", "score", "float32", "(-1, 1)"],
    ]
    assert "<td>income</td>" in schema._repr_html_()


def test_the_schema_of_a_model_of_tensors_has_their_shapes(client: Client, shapes: Any) -> None:
    schema = Model(ModelRecord.read(shapes.tensor_model(inputs=2)), client).schema
    assert [(field.name, field.shape) for field in schema.inputs] == [
        ("in_0", (-1, 3, 2)),
        ("in_1", (-1, 3, 2)),
    ]


def test_a_model_can_be_deleted(api: Any, client: Client, shapes: Any) -> None:
    api.on("DELETE", f"/models/{shapes.model_id}", {"message": "Model deleted"})
    Model(ModelRecord.read(shapes.model()), client).delete()
    assert [request.method for request in api.asked(f"/models/{shapes.model_id}")] == ["DELETE"]
