"""Each verb of ``%tt`` in a real InteractiveShell."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab.client import Client
from tensortrigger_lab.display import Listing
from tensortrigger_lab.endpoint import Model

RESULTS = "row,score\n0,0.1\n1,0.2\n2,0.3\n"


def test_run_takes_json_with_its_quotes_and_blanks(endpoint: Any, typed: Any) -> None:
    result, _ = typed('%tt run churn {"age":41, "income": 0.5}')
    assert result.result == [0.25]
    assert endpoint.body("/tensor/run") == {"model": "churn", "input_vector": {"age": 41, "income": 0.5}}


@pytest.mark.parametrize(
    "line", ["%tt run churn {'age': 41, 'income': .5}", "%%tt run churn\n{'age': 41,\n 'income': .5}"]
)
def test_run_takes_a_python_literal(endpoint: Any, line: str, typed: Any) -> None:
    assert typed(line)[0].result == [0.25]
    assert endpoint.body("/tensor/run")["input_vector"] == {"age": 41, "income": 0.5}


def test_models_takes_a_name(endpoint: Any, typed: Any) -> None:
    for line in ("%tt models churn", "%tt models --name churn"):
        assert len(typed(line)[0].result) == 1
        assert endpoint.requests[-1].url.params["name"] == "churn"


@pytest.fixture
def scoring(endpoint: Any, shapes: Any) -> Any:
    endpoint.on("POST", "/jobs", {"job_id": shapes.job_id})
    endpoint.on("GET", f"/jobs/{shapes.job_id}/results", lambda _: httpx.Response(200, text=RESULTS))
    endpoint.on("POST", f"/jobs/{shapes.job_id}/cancel", {"message": "Job cancelled"})
    return endpoint


def test_score_takes_a_file_or_a_table_and_gives_a_table(
    shell: InteractiveShell, scoring: Any, tmp_path: Path, typed: Any
) -> None:
    table = pd.DataFrame({"age": [1, 2, 3], "income": [0.5, 0.5, 0.5]}, index=["x", "y", "z"])
    path = tmp_path / "my rows.csv"
    table.to_csv(path, index=False)
    shell.user_ns["table"] = table
    assert typed(f"%tt score churn '{path}'")[0].result["score"].tolist() == [0.1, 0.2, 0.3]
    assert typed("%tt score churn table")[0].result.index.tolist() == ["x", "y", "z"]
    sent = [request.content for request in scoring.asked("/jobs")]
    assert sent == [path.read_bytes()] * 2


def test_score_writes_a_file_where_one_is_named(
    shell: InteractiveShell, scoring: Any, shared_client: Client, tmp_path: Path, shapes: Any, typed: Any
) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    path.write_text("age,income\n1,0.5\n2,0.5\n3,0.5\n")
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    for model in ("churn", "mine"):
        result, printed = typed(f"%tt score {model} {path} -o {out}")
        assert (result.result, out.read_text()) == (None, RESULTS)
        assert "3 rows scored" in printed
        out.unlink()
    assert [dict(request.url.params) for request in scoring.asked("/jobs")] == [
        {"model": "churn"},
        {"model_id": shapes.model_id},
    ]


def test_cancel_stops_a_job(scoring: Any, shapes: Any, typed: Any) -> None:
    assert typed(f"%tt cancel {shapes.job_id}")[0].result.job_id == shapes.job_id
    assert len(scoring.asked(f"/jobs/{shapes.job_id}/cancel")) == 1


def test_delete_removes_one_version_and_says_which(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, shapes: Any, typed: Any
) -> None:
    endpoint.on("GET", "/models/by-name/churn/versions/1", {"model": shapes.model()})
    endpoint.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    endpoint.on("DELETE", f"/models/{shapes.model_id}", {"message": "Model deleted"})
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    for model in ("churn/1", shapes.model_id, "mine"):
        assert typed(f"%tt delete {model}")[1] == f"deleted churn/1 ({shapes.model_id})\n"
    assert [request.method for request in endpoint.requests].count("DELETE") == 3


def test_run_takes_the_name_of_a_variable_and_can_be_assigned(
    shell: InteractiveShell, endpoint: Any, typed: Any
) -> None:
    shell.user_ns["frame"] = pd.DataFrame({"age": [1, 2], "income": [0.5, 0.5]})
    typed("answer = %tt run churn frame")
    assert shell.user_ns["answer"]["score"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("cell", ['{"age": 41,\n "income": 0.5}\n', "row\n"])
def test_the_cell_holds_json_or_a_variables_name(
    shell: InteractiveShell, endpoint: Any, cell: str, typed: Any
) -> None:
    shell.user_ns["row"] = {"age": 41, "income": 0.5}
    result, _ = typed(f"%%tt run churn\n{cell}")
    assert result.result == [0.25]
    assert endpoint.body("/tensor/run")["input_vector"] == {"age": 41, "income": 0.5}


def test_run_takes_a_variable_that_holds_a_published_model(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, shapes: Any, typed: Any
) -> None:
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    typed("%tt run mine [41, 0.5]")
    assert endpoint.body("/tensor/run")["model_id"] == shapes.model_id


def test_publish_takes_variables(
    shell: InteractiveShell, endpoint: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch, typed: Any
) -> None:
    class Constant:
        built, input_shape = True, (None, 2)

        def save(self, path: Path) -> None:
            path.write_bytes(b"PK\x03\x04")

        def predict(self, x: Any, verbose: int) -> Any:
            return np.array([[0.25], [0.75]])

    monkeypatch.setitem(__import__("sys").modules, "keras", SimpleNamespace(Model=Constant))
    endpoint.on("POST", "/models/new", {"model": shapes.model()})
    shell.user_ns.update(net=Constant(), table=pd.DataFrame({"age": [1, 2], "income": [0.5, 1.5]}))
    result, _ = typed("%tt publish net --name churn --example table --description who leaves for $table")
    assert result.result.check.equal
    sent = endpoint.body("/models/new")
    assert (sent["name"], sent["model_description"]) == ("churn", "who leaves for $table")


def test_the_lists_show_themselves(endpoint: Any, shapes: Any, typed: Any) -> None:
    for verb in ("models", "jobs"):
        assert isinstance(typed(f"%tt {verb}")[0].result, Listing)
    assert typed(f"%tt job {shapes.job_id}")[0].result.state == "succeeded"


def test_versions_are_promoted_and_rolled_back_from_a_line(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, shapes: Any, typed: Any
) -> None:
    place = "/models/by-name/churn/aliases/production"
    endpoint.on("GET", "/models/by-name/churn/aliases", {"aliases": [shapes.alias()]})
    endpoint.on("PUT", place, {"alias": shapes.alias()})
    endpoint.on("POST", f"{place}/rollback", {"alias": shapes.alias()})
    endpoint.on("GET", f"{place}/history", {"history": [], "next_cursor": None})
    endpoint.on("DELETE", place, {"message": "Alias removed"})
    endpoint.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    endpoint.on("GET", f"/models/{shapes.model_id}/receipt", {"receipt": shapes.receipt()})
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    assert typed("%tt alias churn production 3")[0].result.version == 1
    assert endpoint.body(place) == {"version": 3}
    typed("%tt alias churn production mine")
    assert endpoint.body(place) == {"model_id": shapes.model_id}
    assert isinstance(typed("%tt aliases churn")[0].result, Listing)
    assert typed("%tt rollback churn production")[0].result.name == "churn"
    assert "Nothing has happened" in repr(typed("%tt history churn production")[0].result)
    assert typed("%tt receipt mine")[0].result.passed
    assert typed("%tt alias churn production --remove")[1] == "removed churn@production\n"
    typed("%tt models --alias production --tag team=risk")
    assert endpoint.requests[-1].url.params["tag"] == "team:risk"


def test_publish_takes_an_alias_and_tags(
    shell: InteractiveShell, endpoint: Any, shapes: Any, tmp_path: Path, typed: Any
) -> None:
    endpoint.on("POST", "/models/new", {"model": shapes.model()})
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09")
    shell.user_ns["path"] = str(tmp_path / "m.onnx")
    typed("%tt publish path --name churn --alias candidate --tag team=risk --tag 'note=two words'")
    sent = endpoint.body("/models/new")
    assert (sent["alias"], sent["tags"]) == ("candidate", {"team": "risk", "note": "two words"})
    assert "expected key=value" in typed("%tt publish path --name churn --tag risk")[1]
