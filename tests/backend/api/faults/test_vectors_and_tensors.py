"""A vector, batch or tensor that does not fit gets a 4xx that names row and field."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from problems import fault

HUGE = 10**400


def run(server: Any, vector: Any, **more: Any) -> httpx.Response:
    body = json.dumps({"model": "churn", "input_vector": vector, **more})
    return server.client.post("/tensor/run", content=body, headers={"content-type": "application/json"})


GOOD = {"tenure": 1.0, "charges": 2.0, "calls": 3.0}


@pytest.mark.parametrize(
    ("vector", "field", "code", "got"),
    [
        ({"tenure": 1, "charges": 2}, "calls", "missing", "nothing"),
        ({**GOOD, "color": 4}, "color", "extra", "color"),
        ({**GOOD, "charges": "many"}, "charges", "not_a_number", "'many'"),
        ({**GOOD, "charges": True}, "charges", "not_a_number", "True"),
        ({**GOOD, "charges": [2]}, "charges", "not_a_number", "[2]"),
        ({**GOOD, "charges": None}, "charges", "null", "null"),
        ({**GOOD, "charges": 1e39}, "charges", "out_of_range", "1e+39"),
        ({**GOOD, "charges": HUGE}, "charges", "out_of_range", None),
    ],
)
def test_a_vector_that_does_not_fit_names_the_field(
    server: Any, vector: Any, field: str, code: str, got: str | None
) -> None:
    problem = fault(run(server, vector))
    entry = problem["errors"][0]
    assert (entry["loc"], entry["code"]) == (["input_vector", field], code)
    assert field in problem["detail"]
    assert got is None or entry["got"] == got
    assert entry["expected"]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(server: Any, word: str) -> None:
    body = f'{{"model": "churn", "input_vector": {{"tenure": 1, "charges": {word}, "calls": 3}}}}'
    answer = server.client.post("/tensor/run", content=body, headers={"content-type": "application/json"})
    detail = fault(answer)["detail"]
    assert "not valid JSON" in detail or "finite" in detail or "range" in detail


def test_a_vector_of_the_wrong_length_says_both_lengths(server: Any) -> None:
    entry = fault(run(server, [1, 2]))["errors"][0]
    assert (entry["expected"], entry["got"]) == ("3", "2")


def test_an_integer_field_refuses_a_fraction(server: Any) -> None:
    answer = server.client.post(
        "/tensor/run", json={"model": "risk", "input_vector": {"age": 2.5, "income": 1}}
    )
    entry = fault(answer)["errors"][0]
    assert (entry["loc"], entry["code"], entry["expected"]) == (
        ["input_vector", "age"],
        "not_an_integer",
        "INT",
    )


def test_a_batch_names_row_and_field_of_each_fault(server: Any) -> None:
    rows = [GOOD, {**GOOD, "calls": None}, [1, 2, 3], {**GOOD, "tenure": "x"}]
    answer = server.client.post("/tensor/run/batch", json={"model": "churn", "input_vectors": rows})
    entries = fault(answer)["errors"]
    assert [(entry["row"], entry["loc"][-1], entry["code"]) for entry in entries] == [
        (1, "calls", "null"),
        (3, "tenure", "not_a_number"),
    ]


@pytest.mark.parametrize("rows", [[], "abc", None, {"tenure": 1}, 5])
def test_a_batch_that_is_no_list_of_vectors_is_refused(server: Any, rows: Any) -> None:
    answer = server.client.post("/tensor/run/batch", json={"model": "churn", "input_vectors": rows})
    assert fault(answer)["errors"][0]["loc"][0] == "input_vectors"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ([[1, 2], [3]], "ragged"),
        ([[["a"]]], "tensor_shape"),
        ([[[["a"] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([[[[None] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([[[[True] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([["x" * 50_000, *["a"] * 2000]], "tensor_shape"),
        ([[[[None]]]], "tensor_shape"),
        ([[1.0, 2.0]], "tensor_shape"),
        ([], "tensor_shape"),
        ("text", "tensor_type"),
        ({"nope": [[1.0]]}, "missing"),
    ],
)
def test_tensors_that_do_not_fit_name_the_tensor(server: Any, inputs: Any, code: str) -> None:
    problem = fault(server.client.post("/tensor/run", json={"model": "image", "inputs": inputs}))
    assert problem["errors"][0]["code"] == code


def test_a_model_that_takes_tensors_says_so(server: Any) -> None:
    problem = fault(server.client.post("/tensor/run", json={"model": "image", "input_vector": [1.0]}))
    assert "send 'inputs'" in problem["detail"]


@pytest.mark.parametrize(
    ("reference", "status", "words"),
    [
        ({"model_id": "0" * 32}, 404, "There is no model"),
        ({"model": "nobody"}, 404, "There is no model 'nobody'"),
        ({"model": "churn/9"}, 404, "has no version 9; latest is 1"),
        ({"model": "Not A Name"}, 400, "is not a model name"),
        ({"model": "churn/zero"}, 400, "name@alias or name/version"),
        ({"model": "churn/0000000000019999999999999999999"}, 400, "name@alias or name/version"),
        ({"model": "churn/" + "1" * 5000}, 400, "name@alias or name/version"),
        ({"model": "Churn"}, 400, "did you mean 'churn'?"),
        ({"model_id": 5}, 400, "model_id must be a string"),
        ({}, 400, "Name the model"),
        ({"model": "churn", "model_id": "0" * 32}, 400, "either by"),
    ],
)
def test_a_model_that_cannot_be_found_says_why(server: Any, reference: Any, status: int, words: str) -> None:
    answer = server.client.post("/tensor/run", json={"input_vector": [1, 2, 3], **reference})
    problem = fault(answer, status)
    assert words in problem["detail"] or words in json.dumps(problem["errors"])


def test_neither_or_both_of_vector_and_inputs_is_refused(server: Any) -> None:
    assert "Send either" in fault(run(server, None))["detail"]
    assert "Send either" in fault(run(server, [1, 2, 3], inputs=[[1, 2, 3]]))["detail"]
