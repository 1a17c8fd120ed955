"""The main job against a real backend: train, publish, run, score, with nothing replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import cli, errors
from tensortrigger_lab.client import Client

pytestmark = [
    pytest.mark.slow,
    # Keras' own way of reading a variable, which the newest numpy frowns upon.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client(backend_url: str) -> Iterator[Client]:
    with Client(backend_url) as client:
        yield client


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """1,000 rows of three columns on very different scales, one of whole numbers."""
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, 1000),
            "income": rng.normal(30_000, 9_000, 1000),
            "share of debt": rng.random(1000),
        },
        index=[f"customer {n}" for n in range(1000)],
    )


@pytest.fixture(scope="module")
def keras_model(table: pd.DataFrame) -> Any:
    import keras

    keras.utils.set_random_seed(7)
    normalise = keras.layers.Normalization()
    normalise.adapt(table.to_numpy("float32"))
    model = keras.Sequential(
        [
            keras.Input((3,)),
            normalise,
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(2, activation="softmax", name="risk"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(table.to_numpy("float32"), (table["share of debt"] > 0.5).to_numpy(), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def model(client: Client, keras_model: Any, table: pd.DataFrame) -> tt.Model:
    return tt.publish(keras_model, "risk", table, "pays back?", progress=False, client=client)


@pytest.fixture(scope="module")
def expected(keras_model: Any, table: pd.DataFrame) -> Any:
    return keras_model.predict(table.to_numpy("float32"), verbose=0)


def close(y: Any, y0: Any) -> bool:
    return bool(np.allclose(np.asarray(y, float), y0, rtol=1e-4, atol=1e-5))


def test_a_published_model_answers_as_the_model_in_the_notebook(model: tt.Model) -> None:
    assert model.check is not None
    assert (model.check.equal, model.check.rows) == (True, 32)
    assert model.record.state == "ready"
    assert model.engine == "onnxruntime"
    assert model.record.input_names == ("age", "income", "share of debt")
    assert "answers as model.predict: yes" in repr(model)


def test_every_form_of_a_question_gets_the_same_answer(
    model: tt.Model, table: pd.DataFrame, expected: Any
) -> None:
    assert close(tt.run(model, table.iloc[3]), expected[3])
    assert close(tt.run(model, table.iloc[3].to_dict()), expected[3])
    assert close(tt.run(model, table.iloc[3].tolist()), expected[3])
    assert close(tt.run(model, table[["income", "share of debt", "age"]].head(5)), expected[:5])
    assert close(tt.run(model, table.head(5).to_dict("records")), expected[:5])
    assert close(tt.run(model, table.to_numpy()), expected)


def test_a_name_means_its_latest_version_and_a_number_that_one(
    client: Client, model: tt.Model, table: pd.DataFrame, expected: Any
) -> None:
    import keras

    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="zeros")])
    second = tt.publish(other, "risk", table, progress=False, client=client)
    assert second.version == 2
    assert tt.run("risk", table.iloc[0], client=client) == [0.0, 0.0]
    assert close(tt.run("risk/1", table.iloc[0], client=client), expected[0])
    assert [found.version for found in tt.models("risk", client=client)] == [2, 1]
    assert tt.model("risk/1", client=client).model_id == model.model_id


def test_the_curl_line_works_in_a_shell(model: tt.Model, expected: Any) -> None:
    done = subprocess.run(["sh", "-c", model.curl], capture_output=True, text=True, check=True)
    assert close(json.loads(done.stdout)["output"], expected[0])


def test_a_table_is_scored_under_its_own_index(model: tt.Model, table: pd.DataFrame, expected: Any) -> None:
    scores = tt.score_csv(model, table[["share of debt", "age", "income"]], progress=False)
    assert scores.index.equals(table.index)
    assert close(scores, expected)
    assert scores.attrs["rows_rejected"] == 0
    assert scores.columns.tolist() == tt.run(model, table.head(1)).columns.tolist()


def test_a_bad_row_of_a_file_is_told_by_line_and_field_and_leaves_a_gap(
    model: tt.Model, table: pd.DataFrame, expected: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    lines = table.to_csv(index=False).splitlines()
    lines[3] = "forty-one,30000,0.5"
    path.write_text("\n".join(lines) + "\n")
    with pytest.warns(tt.RowsRejected, match="1 of 1,000 rows"):
        scores = tt.score_csv(model, path, progress=False)
    assert len(scores) == len(table)
    assert scores.isna().any(axis=1).to_numpy().nonzero()[0].tolist() == [2]
    assert close(scores.drop(index=2), np.delete(expected, 2, axis=0))
    (reject,) = scores.attrs["rejects"]
    assert (reject["row"], reject["line"], reject["field"]) == (2, 4, "age")


def test_what_is_kept_of_a_file_stands_as_it_came(
    model: tt.Model, table: pd.DataFrame, tmp_path: Path
) -> None:
    path, large = tmp_path / "rows.csv", 2**53 + 1
    rows = table.head(3).astype({"age": object}).assign(id=["007", "008", "9"], country="NA", number=large)
    rows.iloc[1, 0] = "unknown"
    rows.to_csv(path, index=False)
    with pytest.warns(tt.RowsRejected):
        frame = model.score(path, keep=["id", "country", "number"])
    assert frame["id"].dropna().tolist() == ["007", "9"]
    assert frame["country"].dropna().tolist() == ["NA", "NA"]
    assert frame["number"].dropna().tolist() == [large, large]
    assert frame.loc[1].isna().all()
    assert model.score(path, wait=False, keep="id").wait().results()["id"].dropna().tolist() == ["007", "9"]


def test_a_missing_column_is_named_at_once(model: tt.Model, table: pd.DataFrame) -> None:
    with pytest.raises(errors.InvalidRequest, match="'income' is missing") as caught:
        tt.score_csv(model, table.drop(columns="income"), progress=False)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ({"age": 41, "income": 1.0}, "'share of debt' is missing"),
        (
            {"age": 41, "income": 1.0, "share of debt": 0.5, "height": 2},
            "'height' is not in the model's schema",
        ),
        ({"age": 41.5, "income": 1.0, "share of debt": 0.5}, "'age' is not a whole number"),
        ([1.0, 2.0], "2 .*, the model takes 3"),
    ],
)
def test_a_vector_that_does_not_fit_is_named_field_by_field(model: tt.Model, vector: Any, told: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=told):
        tt.run(model, vector)


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for call in (
        lambda: tt.run("nothing", [1], client=client),
        lambda: tt.model("0" * 32, client=client),
        lambda: tt.job("0" * 32, client=client),
    ):
        with pytest.raises(errors.NotFound):
            call()


def test_a_lambda_layer_is_refused_by_name(client: Client) -> None:
    import keras

    layers = [keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2, name="shout")]
    with pytest.raises(errors.ModelRefused, match="shout") as caught:
        tt.publish(keras.Sequential(layers), "shouting", progress=False, client=client)
    assert caught.value.status == 400
    assert list(tt.models("shouting", client=client)) == []


def test_a_job_can_be_cancelled(client: Client, model: tt.Model, table: pd.DataFrame, tmp_path: Path) -> None:
    from tensortrigger_lab.progress import SilentProgress
    from tensortrigger_lab.rows_file import RowsFile
    from tensortrigger_lab.scoring import start

    path = tmp_path / "many.csv"
    rows = table.to_csv(index=False).partition("\n")
    path.write_text(f"{rows[0]}\n{rows[2] * 1000}")
    job = start(client, model.model_id, RowsFile(path), SilentProgress())
    job.cancel()
    with pytest.raises(errors.JobFailed, match="cancelled"):
        job.wait()
    assert job.record.progress.rows_total == 1_000_000
    assert tt.job(job.job_id, client=client).cancel().state == "cancelled"


def test_a_model_with_two_inputs_and_two_outputs_speaks_in_tensors(client: Client) -> None:
    import keras

    left, right = keras.Input((4, 2), name="left"), keras.Input((3,), name="right")
    joined = keras.layers.Concatenate()([keras.layers.LSTM(5)(left), right])
    outputs = {
        "price": keras.layers.Dense(1, name="price")(joined),
        "kind": keras.layers.Dense(3, activation="softmax", name="kind")(joined),
    }
    net = keras.Model({"left": left, "right": right}, outputs)
    rng = np.random.default_rng(3)
    example = {
        "left": rng.random((40, 4, 2), "float32"),
        "right": rng.random((40, 3), "float32"),
    }
    model = tt.publish(net, "pair", example, progress=False, client=client)
    assert model.check is not None
    assert model.check.equal, str(model.check)
    answer = tt.run(model, example)
    predicted = net.predict(example, verbose=0)
    assert all(close(answer[name], predicted[name]) for name in outputs)
    done = subprocess.run(["sh", "-c", model.curl], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)["output"]) == set(outputs)


def test_several_outputs_of_a_vector_model_come_by_name_and_a_deleted_model_is_gone(
    client: Client, table: pd.DataFrame
) -> None:
    import keras

    row = keras.Input((3,))
    hidden = keras.layers.Rescaling(1e-4)(row)
    outputs = {
        "price": keras.layers.Dense(1, name="price")(hidden),
        "kind": keras.layers.Dense(3, activation="softmax", name="kind")(hidden),
    }
    net = keras.Model(row, outputs)
    model = tt.publish(net, "two-outputs", table, progress=False, client=client)
    x = table.to_numpy("float32")
    predicted = net.predict(x, verbose=0)
    answer, one = tt.run(model, table.to_numpy()), tt.run(model, table.to_numpy()[0])
    for name in outputs:
        assert isinstance(answer[name], np.ndarray)
        assert close(answer[name], predicted[name])
        assert close(one[name], predicted[name][0])
    frame = tt.run(model, table)
    assert close(frame[["kind_0", "kind_1", "kind_2"]], predicted["kind"])
    assert "FLOAT" in repr(model.schema)
    with pytest.raises(tt.NotFound, match="Did you mean 'two-outputs'"):
        tt.model("two-output", client=client)
    model.delete()
    with pytest.raises(tt.NotFound):
        tt.model(model.model_id, client=client)


def test_the_commands_work_on_it_too(
    backend_url: str,
    model: tt.Model,
    table: pd.DataFrame,
    expected: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TENSORTRIGGER_URL", backend_url)
    table.to_csv(tmp_path / "rows.csv", index=False)
    assert cli.main(["run", "risk/1", json.dumps(table.iloc[0].to_dict())]) == 0
    assert close(json.loads(capsys.readouterr().out), expected[0])
    assert cli.main(["score", "risk/1", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    scored = pd.read_csv(tmp_path / "out.csv")
    assert scored["row"].tolist() == list(range(1000))
    assert close(scored.drop(columns="row"), expected)
    assert cli.main(["status"]) == 0
    assert cli.main(["jobs"]) == 0


def test_a_client_waits_for_a_backend_that_is_still_starting(tmp_path: Path, source_roots: str) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensortrigger_backend", "serve"]
    command += ["--port", str(port), "--data-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": source_roots}
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            with Client(f"http://127.0.0.1:{port}", patience=60.0) as client:
                assert client.health()["http_code"] == 200
        finally:
            child.terminate()
            child.wait(timeout=30)


def test_a_version_is_promoted_rolled_back_and_proven(
    client: Client, keras_model: Any, table: pd.DataFrame, model: tt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensortrigger_lab import artifacts
    from tensortrigger_lab.calls import uploads

    # Small pieces stand for a large file.
    monkeypatch.setattr(artifacts, "DIRECT", 1000)
    monkeypatch.setattr(uploads, "PIECE", 7000)
    name = f"{model.name}@production"
    assert tt.alias("risk", "production", model, client=client).version == model.version
    newer = tt.publish(
        keras_model, "risk", table, alias="candidate", tags={"team": "e2e"}, progress=False, client=client
    )
    assert [found.model_id for found in tt.models(tag="team:e2e", client=client)] == [newer.model_id]
    assert newer.aliases == ("candidate",)
    assert tt.alias("risk", "production", "candidate", client=client).version == newer.version
    assert tt.model(name, client=client).model_id == newer.model_id
    with pytest.raises(errors.Conflict, match="production"):
        newer.delete()
    assert tt.rollback("risk", "production", client=client).version == model.version
    moves = [(move.version, move.action) for move in tt.history("risk", "production", client=client)]
    assert moves == [
        (model.version, "rolled_back"),
        (newer.version, "moved"),
        (model.version, moves[-1][1]),
    ]
    receipt = tt.receipt("risk@candidate", client=client)
    assert (receipt.record.source, receipt.record.rows, receipt.passed) == ("client", 32, True)
    assert receipt.record.client_versions["keras"]
    with pytest.raises(errors.Conflict):
        client.move_alias("risk", "production", newer.version, expected_version=newer.version)
    tt.remove_alias("risk", "production", client=client)
    tt.delete(newer.model_id, force=True, client=client)
    assert list(tt.aliases("risk", client=client)) == []
