"""Does what a schema says of its fields hold on every route that takes rows?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCHEMA = {
    "plan": {"var_type": "STRING", "index": 0, "categories": {"basic": 0, "plus": 1.5}, "unknown": -1},
    "paid": {"var_type": "BOOL", "index": 1},
    "age": {"var_type": "INT", "index": 2, "min": 0, "max": 120, "nullable": True, "fill": 40},
}
GOOD = {"plan": "plus", "paid": True, "age": 7}


@pytest.fixture(scope="module")
def shop(server: Any, models: Path) -> dict[str, Any]:
    answer = server.publish(models / "churn.h5", "Shop", SCHEMA)
    assert answer.status_code == 201, answer.text
    published: dict[str, Any] = answer.json()
    return published


def run(server: Any, vector: Any, model: str = "shop") -> Any:
    return server.client.post("/tensor/run", json={"model": model, "input_vector": vector})


def expected(server: Any, churn: Any, rows: list[list[float]]) -> Any:
    body = {"model_id": churn["model_id"], "input_vectors": rows}
    return server.client.post("/tensor/run/batch", json=body).json()["output"]


def test_a_schema_is_told_back_with_all_that_was_said(server: Any, shop: Any) -> None:
    told = server.client.get(f"/models/{shop['model_id']}/schema").json()["model_schema"]
    assert told == {"input_schema": SCHEMA}


def test_single_runs_take_what_the_fields_take_on_either_way(server: Any, churn: Any, shop: Any) -> None:
    first, second = expected(server, churn, [[1.5, 1, 7], [-1, 0, 40]])
    # The first answer comes by the ordinary way, which loads the model; the others by the hot lane.
    for _ in range(3):
        assert run(server, GOOD).json()["output"] == pytest.approx(first, rel=1e-5)
        assert run(server, ["mauve", 0, None]).json()["output"] == pytest.approx(second, rel=1e-5)
        assert run(server, {"plan": "?", "paid": False}).json()["output"] == pytest.approx(second, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"age": 121}, "above_max", ("INT from 0 to 120, or null", "121")),
        ({"age": "7"}, "not_a_number", ("INT from 0 to 120, or null", "'7'")),
        ({"paid": "yes"}, "not_a_boolean", ("BOOL: true, false, 1 or 0", "'yes'")),
        ({"plan": None}, "null", ("one of 'basic', 'plus'", "null")),
    ],
)
def test_a_fault_names_field_row_expected_and_got(
    server: Any, shop: Any, change: Any, code: str, told: tuple[str, str]
) -> None:
    (name,) = change
    single = run(server, {**GOOD, **change})
    batch = server.client.post(
        "/tensor/run/batch", json={"model": "shop", "input_vectors": [GOOD, {**GOOD, **change}]}
    )
    training = server.client.patch(
        "/tensor/train",
        json={"model": "shop", "input_vectors": [GOOD, {**GOOD, **change}], "output_vectors": [0, 1]},
    )
    for answer, row in ((single, None), (batch, 1), (training, 1)):
        assert answer.status_code == 400
        (fault,) = answer.json()["errors"]
        assert (fault["loc"][-1], fault["code"], fault.get("row")) == (name, code, row)
        assert (fault["expected"], fault["got"]) == told


def test_tensors_are_held_to_the_schema_as_well(server: Any, shop: Any) -> None:
    body = {"model": "shop", "inputs": [[1.5, 1, 7]]}
    assert server.client.post("/tensor/run", json=body).json()["output"] == [
        run(server, GOOD).json()["output"]
    ]
    body["inputs"] = [[1.5, 1, 7], [1, 1, 7]]
    answer = server.client.post("/tensor/run/batch", json=body)
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["loc"], fault["code"], fault["row"]) == (["inputs", 1, 0], "unknown_category", 1)


def test_a_csv_that_pandas_wrote_is_scored_and_its_bad_rows_rejected(
    server: Any, churn: Any, shop: Any
) -> None:
    frame = pd.DataFrame(
        {
            "paid": [True, False, True, True],
            "age": pd.array([7, None, 300, 7], "Int64"),
            "plan": ["plus", "mauve", "basic", None],
        }
    )
    answer = server.client.post(
        "/jobs",
        params={"model": "shop"},
        content=frame.to_csv(index=False).encode(),
        headers={"content-type": "text/csv"},
    )
    job_id = answer.json()["job_id"]
    assert server.finished(job_id)["state"] == "succeeded"
    results = server.client.get(f"/jobs/{job_id}/results").json()["results"]
    np.testing.assert_allclose(results[:2], expected(server, churn, [[1.5, 1, 7], [-1, 0, 40]]), rtol=1e-5)
    assert results[2:] == [None, None]
    rejects = server.client.get(f"/jobs/{job_id}/rejects").json()["rejects"]
    assert [
        (entry["row"], entry["field"], entry["code"], entry["expected"], entry["got"]) for entry in rejects
    ] == [
        (2, "age", "above_max", "INT from 0 to 120, or null", "300"),
        (3, "plan", "missing", "one of 'basic', 'plus'", "nothing"),
    ]


def test_a_schema_that_contradicts_itself_is_refused_by_path(server: Any, models: Path) -> None:
    bad = {**SCHEMA, "age": {**SCHEMA["age"], "min": 130}}
    answer = server.publish(models / "churn.h5", "Shop", bad)
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["loc"], fault["code"]) == (["model_schema", "age", "min"], "schema_range")
