"""``tt.train``: rows and labels in every form, and the handle on what was started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import background
from tensortrigger_lab.client import Client
from tensortrigger_lab.training_data import table_and_labels, training_data
from tensortrigger_lab.wire import ModelRecord

ROWS = [[41, 0.5], [23, 1.5]]
TABLE = pd.DataFrame({"income": [0.5, 1.5], "age": [41, 23]})


@pytest.fixture
def record(shapes: Any) -> ModelRecord:
    """Takes age and income."""
    return ModelRecord.read(shapes.model())


@pytest.fixture
def endpoint(api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains ``churn`` within three looks."""
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    api.on(
        "GET", f"/models/{shapes.model_id}", {"model": shapes.model(version=2, parent={"model_id": "0" * 32})}
    )
    for method in ("PATCH", "POST"):
        api.on(method, "/tensor/train", {"job_id": shapes.job_id})
    states = ("queued", "queued", "running", "succeeded")
    api.on("GET", f"/jobs/{shapes.job_id}", *({"job": shapes.training(state)} for state in states))
    api.on("GET", f"/runs/{shapes.job_id}", {"run": shapes.run(run_id=shapes.job_id)})
    return api


@pytest.mark.parametrize(
    "x", [TABLE, np.array(ROWS), ROWS, TABLE.to_dict("records"), TABLE.astype("Float64")]
)
def test_rows_come_in_the_models_order_whatever_they_are(record: ModelRecord, x: Any) -> None:
    found = training_data(record, x, [0, 1])["input_vectors"]
    rows = [[row["age"], row["income"]] if isinstance(row, dict) else row for row in found]
    assert rows == ROWS


@pytest.mark.parametrize(
    ("y", "sent"),
    [
        (np.array([0.5, 1.5]), [0.5, 1.5]),
        (np.array([[0.5], [1.5]]), [[0.5], [1.5]]),
        (pd.Series([0, 2], index=["a", "b"]), [0, 2]),
        (pd.Series([True, False]), [1, 0]),
        (np.array([True, False]), [1, 0]),
        (pd.DataFrame({"p": [1, 0], "q": [0, 1]}), [[1, 0], [0, 1]]),
        ([3, 4], [3, 4]),
        ([{"p": 1}, {"p": 0}], [{"p": 1}, {"p": 0}]),
    ],
)
def test_labels_come_as_numbers_one_a_row(record: ModelRecord, y: Any, sent: Any) -> None:
    assert training_data(record, ROWS, y)["output_vectors"] == sent


def test_named_outputs_come_in_their_declared_order(shapes: Any) -> None:
    named = {"q": {"var_type": "FLOAT", "index": 1}, "p": {"var_type": "FLOAT", "index": 0}}
    schema = {**shapes.model()["model_schema"], "output_schema": named}
    record = ModelRecord.read(shapes.model(model_schema=schema))
    labels = pd.DataFrame({"q": [0.1, 0.2], "p": [0.9, 0.8]})
    assert training_data(record, ROWS, labels)["output_vectors"] == [[0.9, 0.1], [0.8, 0.2]]
    with pytest.raises(tt.BadInput, match=r"not the model's outputs.*missing: 'p'.*not the model's: 'r'"):
        training_data(record, ROWS, labels.rename(columns={"p": "r"}))


def test_a_model_of_tensors_gets_nested_lists(shapes: Any) -> None:
    record = ModelRecord.read(shapes.tensor_model(inputs=2, outputs=2))
    x = {"in_0": np.zeros((2, 3, 2)), "in_1": np.ones((2, 3, 2))}
    found = training_data(record, x, {"out_0": [[1.0], [0.0]], "out_1": [[0.0], [1.0]]})
    assert found["inputs"]["in_1"][0] == [[1.0, 1.0]] * 3
    assert found["outputs"]["out_1"] == [[0.0], [1.0]]
    assert set(training_data(record, np.zeros((2, 3, 2)), [0, 1])) == {"inputs", "output_vectors"}
    assert set(training_data(record, np.zeros((2, 3)), np.zeros((2, 3, 1)))) == {"inputs", "outputs"}


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (TABLE, [1], "one label for every row.*expected 2 labels, got 1"),
        (TABLE.drop(columns="age"), [0, 1], "missing: 'age'"),
        (TABLE.assign(height=1), [0, 1], "not the model's: 'height'"),
        (TABLE.assign(age=[1.0, np.nan]), [0, 1], "Field 'age' in row 1 is not finite"),
        (np.zeros((2, 3)), [0, 1], "expected 2 columns, got 3"),
        (np.zeros(2), [0, 1], "batch axis"),
        (ROWS, ["yes", "no"], "row 0 is text: number the classes"),
        (ROWS, pd.Series(["yes", "no"]), "row 0 is text: number the classes"),
        (ROWS, np.array([0.5, np.nan]), "not finite in row 1"),
        (ROWS, pd.Series([0.5, np.nan], name="paid"), "Field 'paid' in row 1"),
        (ROWS, 3, "There are no labels"),
        (np.zeros((0, 2)), np.zeros(0), "nothing to learn from"),
        ({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, [0, 1], "differ in their number of rows"),
    ],
)
def test_what_cannot_be_right_is_named_before_anything_is_sent(
    record: ModelRecord, x: Any, y: Any, told: str
) -> None:
    with pytest.raises(tt.BadInput, match=told):
        training_data(record, x, y)


def test_a_table_is_cut_into_rows_and_labels() -> None:
    table = pd.DataFrame({"age": [41, 23], "paid": [1, 0], "income": [0.5, 1.5]})
    x, y = table_and_labels(table, ["paid"])
    assert (x.columns.tolist(), y.tolist()) == (["age", "income"], [1, 0])
    assert table_and_labels(table, ["paid", "age"])[1].columns.tolist() == ["paid", "age"]
    with pytest.raises(tt.BadInput, match="expected of age, paid, income, got 'gone'"):
        table_and_labels(table, ["gone"])


def test_a_file_is_streamed_with_the_names_of_its_labels(
    endpoint: Any, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,paid,income\n41,1,0.5\n23,0,1.5\n")
    tt.train("churn", path, ["paid", "a, b"], epochs=2, shuffle=False, wait=False, client=client)
    tt.train("churn", str(path), "paid", wait=False, client=client)
    tt.train("churn", path, wait=False, client=client)
    first, second, third = endpoint.asked("/tensor/train")
    assert (first.method, first.headers["Content-Type"]) == ("POST", "text/csv")
    assert first.content == path.read_bytes()
    assert first.url.params["labels"] == 'paid,"a, b"'
    assert (first.url.params["epochs"], first.url.params["shuffle"]) == ("2", "false")
    assert second.url.params["labels"] == "paid"
    assert "labels" not in third.url.params


def test_a_file_is_read_as_its_name_and_the_caller_say(endpoint: Any, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("age\tpaid\n41\t1\n")
    tt.train("churn", path, "paid", wait=False, client=client)
    chosen: dict[str, Any] = {"rejects": "skip", "delimiter": ";", "encoding": "latin-1"}
    tt.train("churn", path, "paid", **chosen, priority=0, webhook="https://x.org", wait=False, client=client)
    first, second = (request.url.params for request in endpoint.asked("/tensor/train"))
    assert first["delimiter"] == "\t"
    assert not {"rejects", "encoding", "priority", "webhook"} & set(first)
    assert {name: second[name] for name in chosen} == chosen
    assert (second["priority"], second["webhook"]) == ("0", "https://x.org")


def test_of_points_only_a_priority_and_a_webhook_may_be_chosen_beside(endpoint: Any, client: Client) -> None:
    tt.train("churn", TABLE, [0, 1], priority=9, webhook="https://x.org", wait=False, client=client)
    sent = endpoint.body("/tensor/train")
    assert (sent["priority"], sent["webhook"]) == (9, "https://x.org")
    with pytest.raises(tt.BadInput, match=r"rejects goes with a file.*expected a path as x, got DataFrame"):
        tt.train("churn", TABLE, [0, 1], rejects="skip", client=client)


def test_what_names_no_file_or_no_columns_is_told_before_anything_is_sent(
    endpoint: Any, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(tt.BadInput, match="There is no file"):
        tt.train("churn", tmp_path / "none.csv", "paid", client=client)
    (tmp_path / "rows.parquet").touch()
    with pytest.raises(tt.BadInput, match=r"no files but CSV.*got rows\.parquet"):
        tt.train("churn", tmp_path / "rows.parquet", "paid", client=client)
    (tmp_path / "rows.csv").write_text("age\n1\n")
    with pytest.raises(tt.BadInput, match="expected a name or a list of names, got ndarray"):
        tt.train("churn", tmp_path / "rows.csv", np.zeros(1), client=client)
    assert not endpoint.asked("/tensor/train")


def test_a_training_is_waited_for_and_gives_the_next_version(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    training = tt.train("churn", TABLE, [0, 1], epochs=2, learning_rate=0.1, client=client)
    assert training.state == "succeeded"
    assert training.model.version == 2
    assert "trained from" in repr(training.model)
    assert "made     churn/2" in repr(training)
    sent = endpoint.body("/tensor/train")
    assert sent == {
        "model_id": shapes.model_id,
        "input_vectors": ROWS,
        "output_vectors": [0, 1],
        "epochs": 2,
        "batch_size": 32,
        "validation_split": 0.0,
        "shuffle": True,
        "learning_rate": 0.1,
    }
    assert endpoint.asked("/tensor/train")[0].headers["Idempotency-Key"]


def test_a_training_need_not_be_waited_for(endpoint: Any, client: Client, shapes: Any) -> None:
    training = tt.Model(client.model("churn"), client).train(TABLE, [0, 1], wait=False)
    assert (training.state, training.run_id) == ("queued", shapes.job_id)
    with pytest.raises(tt.JobFailed, match="runs still"):
        training.model  # noqa: B018
    assert training.wait(progress=False).version == 2


def test_a_training_that_fails_says_why(endpoint: Any, client: Client, shapes: Any) -> None:
    failed = shapes.training("failed", error="The loss is not finite.")
    endpoint.on("GET", f"/jobs/{shapes.job_id}", {"job": failed})
    with pytest.raises(tt.JobFailed, match="is failed: The loss is not finite"):
        tt.train("churn", TABLE, [0, 1], client=client)


def test_an_interrupt_cancels_the_training(endpoint: Any, client: Client, shapes: Any) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    path = f"/jobs/{shapes.job_id}/cancel"
    endpoint.on("POST", path, {"message": "Job cancelled"})
    training = tt.train("churn", TABLE, [0, 1], wait=False, client=client)
    with pytest.raises(KeyboardInterrupt):
        training.wait(progress=False, sleep=interrupt)
    assert len(endpoint.asked(path)) == 1


def test_the_backends_words_about_the_points_arrive(endpoint: Any, client: Client, shapes: Any) -> None:
    fault = {
        "loc": ["output_vectors", 0],
        "code": "class",
        "message": "Row 0: there is no class 7.",
        "row": 0,
    }
    refusal = shapes.problem(400, "The labels do not fit.", [fault])
    endpoint.on("PATCH", "/tensor/train", refusal)
    with pytest.raises(tt.InvalidRequest, match="there is no class 7"):
        tt.train("churn", TABLE, [7, 1], client=client)


def test_jobs_of_both_kinds_show_themselves(api: Any, client: Client, shapes: Any) -> None:
    both = [shapes.training("running"), shapes.job()]
    api.on("GET", "/jobs", {"jobs": both, "next_cursor": None})
    api.on("GET", "/models", {"models": [], "next_cursor": None})
    listing = tt.jobs(client=client)
    assert [type(job).__name__ for job in listing] == ["Training", "Job"]
    assert "1 of 2" in repr(listing)
    assert "churn/1" in repr(listing)
    assert "adam, mean_squared_error, learning rate 0.001 (file)" in repr(listing[0])


def test_a_training_has_no_results(api: Any, client: Client, shapes: Any) -> None:
    from tensortrigger_lab.verbs import scored_job

    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.training()})
    with pytest.raises(tt.BadInput, match="is a training"):
        scored_job(shapes.job_id, client=client)


def test_a_dropped_connection_does_not_start_a_second_training(shapes: Any) -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadError("reset")
        return httpx.Response(201, json={"job_id": shapes.job_id})

    with Client(shapes.url, transport=httpx.MockTransport(answer)) as client:
        client.start_training("churn", {"input_vectors": ROWS, "output_vectors": [0, 1]}, idempotency_key="k")
    assert keys == ["k", "k"]
