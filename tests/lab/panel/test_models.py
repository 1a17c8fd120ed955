"""The panel's models: published by a click, and tried in a form made from their schema."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import IPython
import numpy as np
import pytest
from panels import EVIL, seen, until


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
