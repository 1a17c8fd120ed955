"""The panel's second tab: a form made from a model's schema, and the model's answer to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from tensortrigger_lab import inference
from tensortrigger_lab.endpoint import placeholder_example
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.panels import told
from tensortrigger_lab.panels.model_choice import ModelChoice
from tensortrigger_lab.panels.task import Task
from tensortrigger_lab.strict_json import dumps, loads
from tensortrigger_lab.wire import FieldSchema, ModelRecord, WireError, names_in_order

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client

MOST_FIELDS = 60
"""More would be slower to fill in than JSON."""
LONGEST_ANSWER = 4000


class RunTab:
    """A widget for each field where the model takes a named vector; JSON where it takes tensors."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._client = client
        self._task = Task()
        self.models = ModelChoice(client, self._changed)
        self.fields: dict[str, Any] = {}
        self.text = widgets.Textarea(layout=widgets.Layout(width="100%", height="120px"))
        self.form = widgets.VBox()
        self.run = widgets.Button(description="Run", button_style="primary", disabled=True)
        self.run.tooltip = "Choose a model first."
        self.answer = widgets.HTML()
        self.box = widgets.VBox([self.models.box, self.form, self.run, self.answer])
        self.run.on_click(lambda _: self._run())

    def tick(self) -> bool:
        """Have the models listed when it is first seen."""
        self.models.refresh_once()
        return self._task.working

    def wait(self, seconds: float) -> None:
        """Until the model has answered."""
        self._task.wait(seconds)

    def _changed(self, record: ModelRecord) -> None:
        self.answer.value = ""
        self.run.disabled, self.run.tooltip = False, "Ask the model"
        side = record.schema["input_schema"] if record.schema is not None else {}
        if 0 < len(side) <= MOST_FIELDS:
            self.fields = {name: _field(name, side[name]) for name in names_in_order(side)}
            self.form.children = tuple(self.fields.values())
        else:
            self.fields = {}
            example = placeholder_example(record)
            self.text.value = dumps(example.get("inputs", example.get("input_vector"))).decode()[:100_000]
            self.form.children = (
                widgets.Label("The inputs as JSON, batch axis first for tensors:"),
                self.text,
            )

    def _run(self) -> None:
        record = self.models.record
        if record is None or self._task.working:
            return
        fields = {name: field.value for name, field in self.fields.items()}
        text = self.text.value

        def ask() -> None:
            output = inference.infer(self._client(), record.model_id, fields or _values(text), record)
            listed = output.tolist() if hasattr(output, "tolist") else output
            shown = dumps(listed if not isinstance(listed, dict) else _plain(listed)).decode()
            cut = " ..." if len(shown) > LONGEST_ANSWER else ""
            self.answer.value = told.code(shown[:LONGEST_ANSWER] + cut)

        self.answer.value = told.note("Asking ...")
        self._task.begin(ask, self._failed)

    def _failed(self, error: Exception) -> None:
        self.answer.value = told.error_told(error)


def _field(name: str, entry: FieldSchema) -> Any:
    """The widget that fits a field: a choice for a category, a box to tick, or a number."""
    var_type, categories = entry["var_type"].upper(), list(entry.get("categories") or ())
    common: dict[str, Any] = {
        "description": name,
        "style": {"description_width": "180px"},
        "layout": widgets.Layout(width="100%", max_width="440px"),
    }
    if var_type == "STRING" and "unknown" in entry:
        return widgets.Combobox(options=categories, value=next(iter(categories), ""), **common)
    if var_type == "STRING":
        gap = [("missing", None)] if entry.get("nullable") else []
        return widgets.Dropdown(options=[*gap, *((text, text) for text in categories)], **common)
    if var_type == "BOOL":
        return widgets.Checkbox(value=False, indent=True, **common)
    return (widgets.IntText if var_type == "INT" else widgets.FloatText)(**common)


def _values(text: str) -> Any:
    try:
        values = loads(text)
    except WireError as error:
        raise BadInput(f"The inputs are no JSON: {error}.") from None
    return values


def _plain(named: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in named.items()}
