"""``tt.panel`` without a front end: what its widgets say after each click."""

from __future__ import annotations

import builtins
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import IPython
import numpy as np
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab.client import Client
from tensortrigger_lab.panels import csv_tab, ticking

EVIL = '<img src=x onerror="alert(1)">'
RUN_ID = "c" * 32


class LinearModel:
    """Stands for a Keras model: y = a + b."""

    built = compiled = True
    name, outputs, input_shape = "sequential", [], (None, 2)
    inputs = (SimpleNamespace(name="numbers", dtype="float32", shape=(None, 2)),)

    def count_params(self) -> int:
        return 3

    def save(self, path: Path) -> None:
        path.write_bytes(b"PK\x03\x04 weights")

    def predict(self, x: Any, verbose: Any = "auto") -> Any:
        return np.asarray(x).sum(axis=1, keepdims=True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The notebook's variables."""
    names: dict[str, Any] = {}
    shell = SimpleNamespace(user_ns=names)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(Model=LinearModel))
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    return names


@pytest.fixture
def open_panel(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    opened: list[Any] = []
    monkeypatch.setattr(csv_tab, "INTERVAL", 0.05)

    def open_panel() -> Any:
        opened.append(tt.panel(client=client))
        return opened[-1]

    yield open_panel
    for box in opened:
        box.close()
        until(lambda box=box: not box.ticking.running)


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def names_of_threads() -> list[str]:
    """Those that a panel has begun."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tensortrigger-panel")]


def seen(box: Any, tab: int) -> Any:
    """Bring a tab into view."""
    box.selected_index = tab
    return box.tabs[tab]


def test_it_has_four_tabs(open_panel: Any) -> None:
    box = open_panel()
    assert box.titles == ("Publish", "Run", "CSV job", "Training")
    assert len(box.children) == 4
    assert box.ticking.running


def test_closing_it_ends_its_thread(open_panel: Any) -> None:
    box = open_panel()
    box.close()
    until(lambda: not box.ticking.running)


def test_closing_it_ends_the_waiting_for_a_job_and_tells_where_the_scores_will_be(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path
) -> None:
    csv_api(api, shapes, "running")
    (tmp_path / "rows.csv").write_text("age,income\n1,2\n")
    box = open_panel()
    tab = seen(box, 2)
    until(lambda: tab.models.record)
    tab.path.value = str(tmp_path / "rows.csv")
    tab.score.click()
    until(lambda: api.asked(f"/jobs/{shapes.job_id}"))
    box.close()
    until(lambda: not names_of_threads())
    assert "rows.scored.csv" in tab.status.value
    assert not api.asked(f"/jobs/{shapes.job_id}/cancel")


def test_a_new_panel_ends_the_one_before(open_panel: Any) -> None:
    first = open_panel()
    second = open_panel()
    until(lambda: not first.ticking.running)
    assert second.ticking.running


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *rest: Any) -> Any:
        if name == "ipywidgets":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(tt.BadInput, match="pip install ipywidgets"):
        tt.panel()


def test_without_a_model_it_says_how_to_get_one(names: dict[str, Any], open_panel: Any) -> None:
    tab = seen(open_panel(), 0)
    assert tab.publish.disabled
    assert "no Keras model" in tab.status.value
    assert "no Keras model" in tab.publish.tooltip
    names["churn_model"] = LinearModel()
    tab.look.click()
    assert not tab.publish.disabled
    assert tab.name.value == "churn-model"


def test_a_model_is_published_and_checked_by_a_click(
    names: dict[str, Any], open_panel: Any, api: Any, shapes: Any
) -> None:
    names |= {"churn": LinearModel(), "rows": np.array([[1.0, 2.0], [3.0, 4.0]])}
    evil = shapes.model(name=EVIL, engine=EVIL, model_schema=None)
    api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "ready", "model": evil})
    api.on("POST", "/tensor/run/batch", {"output": [[3.0], [7.0]]})
    api.on("POST", "/tensor/run", {"output": [[3.0], [7.0]]})
    tab = seen(open_panel(), 0)
    assert tab.example.value == "rows", "the table that fits the model is proposed"
    began = time.monotonic()
    tab.publish.click()
    assert time.monotonic() - began < 1.0
    assert tab.publish.disabled
    until(lambda: "Answers as model.predict: yes" in tab.status.value)
    assert "curl -s" in tab.status.value
    assert "<img" not in tab.status.value
    until(lambda: not tab.publish.disabled)


def test_a_name_that_cannot_be_is_told_beside_the_form(names: dict[str, Any], open_panel: Any) -> None:
    names["churn"] = LinearModel()
    tab = seen(open_panel(), 0)
    tab.name.value = EVIL
    tab.publish.click()
    assert "Error:" in tab.status.value
    assert "<img" not in tab.status.value
    assert not tab.publish.disabled


def test_a_form_is_made_from_the_schema_and_answered(open_panel: Any, api: Any, shapes: Any) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("POST", "/tensor/run", {"output": [0.25], "model_id": shapes.model_id})
    tab = seen(open_panel(), 1)
    until(lambda: tab.fields)
    assert [type(field).__name__ for field in tab.fields.values()] == ["IntText", "FloatText"]
    assert tab.models.choice.options[0][0] == "churn/1"
    tab.fields["age"].value, tab.fields["income"].value = 41, 0.5
    tab.run.click()
    tab.wait(60)
    assert api.body("/tensor/run")["input_vector"] == {"age": 41, "income": 0.5}
    assert "[0.25]" in tab.answer.value


def test_a_model_of_tensors_takes_json(open_panel: Any, api: Any, shapes: Any) -> None:
    api.on("GET", "/models", {"models": [shapes.tensor_model()], "next_cursor": None})
    api.on("POST", "/tensor/run", {"output": [[0.5]], "model_id": shapes.model_id})
    tab = seen(open_panel(), 1)
    until(lambda: not tab.run.disabled)
    assert json.loads(tab.text.value) == [[[0, 0]] * 3]
    tab.run.click()
    tab.wait(60)
    assert "0.5" in tab.answer.value
    tab.text.value = "[1, 2"
    tab.run.click()
    tab.wait(60)
    assert "no JSON" in tab.answer.value


def test_what_the_backend_says_is_escaped_everywhere(open_panel: Any, api: Any, shapes: Any) -> None:
    api.on("GET", "/models", shapes.problem(500, EVIL))
    api.on("GET", "/runs", shapes.problem(500, EVIL))
    box = open_panel()
    for number, status in ((1, "models.status"), (2, "models.status"), (3, "status")):
        tab = seen(box, number)
        found = tab.models.status if "." in status else tab.status
        until(lambda found=found: "Error:" in found.value)
        assert "<img" not in found.value


def test_a_backend_that_is_away_is_told_with_what_to_do() -> None:
    with Client("http://127.0.0.1:9", patience=0.0) as client:
        began = time.monotonic()
        box = tt.panel(client=client)
        assert time.monotonic() - began < 1.0
        tab = seen(box, 3)
        until(lambda: "tt serve" in tab.status.value)
        box.close()


def csv_api(api: Any, shapes: Any, *states: str) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    jobs = [{"job": shapes.job(state, rows_done=3 if state == "succeeded" else 1)} for state in states]
    api.on("GET", f"/jobs/{shapes.job_id}", *jobs)
    api.on("POST", f"/jobs/{shapes.job_id}/cancel", {"message": "cancelled"})
    results = httpx.Response(
        200, content=b"row,output\n0,1\n1,2\n2,3\n", headers={"Content-Type": "text/csv"}
    )
    api.on("GET", f"/jobs/{shapes.job_id}/results", results)


def test_a_csv_is_scored_and_saved_beside_itself_and_nothing_is_overwritten(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path
) -> None:
    csv_api(api, shapes, "running", "running", "succeeded")
    source = tmp_path / "rows.csv"
    source.write_text("age,income\n1,2\n3,4\n5,6\n")
    (tmp_path / "rows.scored.csv").write_text("mine")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.path.value = str(source)
    tab.score.click()
    assert tab.score.disabled
    assert not tab.cancel.disabled
    tab.wait(60)
    assert "rows.scored-2.csv" in tab.status.value
    assert (tmp_path / "rows.scored-2.csv").read_text().startswith("row,output")
    assert (tmp_path / "rows.scored.csv").read_text() == "mine"
    assert (tab.bar.value, tab.score.disabled, tab.cancel.disabled) == (1.0, False, True)


def test_an_uploaded_csv_is_scored_into_the_notebooks_folder(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    csv_api(api, shapes, "succeeded")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    content = {"name": "../..\\up.csv", "type": "text/csv", "size": 8, "content": memoryview(b"a\n1\n2\n")}
    tab.upload.value = [{**content, "last_modified": datetime.now(UTC)}]
    tab.score.click()
    tab.wait(60)
    assert (tmp_path / "up.scored.csv").exists()
    assert 'href="up.scored.csv"' in tab.status.value


def test_a_job_can_be_cancelled(open_panel: Any, api: Any, shapes: Any, tmp_path: Path) -> None:
    csv_api(api, shapes, *["running"] * 4, "cancelled")
    (tmp_path / "rows.csv").write_text("age,income\n1,2\n")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.path.value = str(tmp_path / "rows.csv")
    tab.score.click()
    tab.cancel.click()
    tab.wait(60)
    assert api.asked(f"/jobs/{shapes.job_id}/cancel")
    assert "cancelled" in tab.status.value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_a_file_that_is_not_there_is_told(open_panel: Any, api: Any, shapes: Any) -> None:
    csv_api(api, shapes, "succeeded")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.score.click()
    assert "Name a CSV file" in tab.status.value
    tab.path.value = "no/such.csv"
    tab.score.click()
    tab.wait(60)
    assert "no/such.csv" in tab.status.value
    assert not tab.score.disabled


def run_members(state: str, points: int) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "name": EVIL,
        "state": state,
        "source": "notebook",
        "epoch": 1,
        "step": points,
        "metrics": {"loss": 0.5, EVIL: 0.1},
        "last_seq": points,
        "points": points,
        "error": EVIL if state == "failed" else None,
    }


def test_curves_grow_until_the_run_ends_and_then_nothing_is_asked(
    open_panel: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def news(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        asked.append(after)
        state = "failed" if len(asked) >= 3 else "running"
        metrics = {"loss": 1 / (after + 1), EVIL: 0.2}
        point = {
            "seq": after + 1,
            "kind": "batch",
            "step": after + 1,
            "epoch": 1,
            "t": 0.0,
            "metrics": metrics,
        }
        body = {
            "run": run_members(state, after + 1),
            "points": [point],
            "last_seq": after + 1,
            "next_after": None,
        }
        return httpx.Response(200, json=body)

    api.on("GET", "/runs", {"runs": [run_members("running", 0)], "next_cursor": None})
    api.on("GET", f"/runs/{RUN_ID}/metrics", news)
    # As quick as is promised, then quicker, so that the rest of the test need not be slow.
    assert ticking.INTERVAL >= 0.5
    monkeypatch.setattr(ticking, "INTERVAL", 0.2)
    monkeypatch.setattr(ticking, "RESTING", 0.2)
    began = time.monotonic()
    tab = seen(open_panel(), 3)
    until(lambda: "failed" in tab.status.value)
    assert time.monotonic() - began > 0.35
    assert asked == [0, 1, 2]
    time.sleep(0.5)
    assert asked == [0, 1, 2]
    assert "<svg" in tab.chart.value
    assert "<img" not in tab.chart.value + tab.status.value


def test_a_tab_out_of_view_asks_nothing(open_panel: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "INTERVAL", 0.05)
    monkeypatch.setattr(ticking, "RESTING", 0.05)
    box = open_panel()
    seen(box, 0)
    time.sleep(0.4)
    assert api.requests == []


def test_each_field_gets_the_widget_that_its_rules_ask_for(open_panel: Any, api: Any, shapes: Any) -> None:
    side = {
        "member": {"var_type": "BOOL", "index": 0},
        "plan": {
            "var_type": "STRING",
            "index": 1,
            "categories": ["tin", "gold"],
            "nullable": True,
            "fill": "tin",
        },
        "city": {"var_type": "STRING", "index": 2, "categories": {"Bern": 3}, "unknown": 0},
        "age": {"var_type": "INT", "index": 3, "min": 0},
    }
    members = shapes.model(model_schema={"input_schema": side})
    api.on("GET", "/models", {"models": [members], "next_cursor": None})
    api.on("GET", f"/models/{shapes.model_id}", {"model": members})
    api.on("POST", "/tensor/run", {"output": [0.25]})
    box = open_panel()
    tab = seen(box, 1)
    until(lambda: len(tab.fields) == 4)
    kinds = [type(field).__name__ for field in tab.fields.values()]
    assert kinds == ["Checkbox", "Dropdown", "Combobox", "IntText"]
    assert tab.fields["plan"].value is None
    tab.fields["plan"].value, tab.fields["city"].value, tab.fields["member"].value = "gold", "Ulm", True
    tab.run.click()
    until(lambda: api.asked("/tensor/run"))
    assert api.body("/tensor/run")["input_vector"] == {
        "member": True,
        "plan": "gold",
        "city": "Ulm",
        "age": 0,
    }
