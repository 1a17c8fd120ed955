"""The panel's first tab: choose a model of the notebook, name it, publish it, see that it answers alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from tensortrigger_lab.callbacks.epoch_end import epoch_end
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.kernel.backend import link, through
from tensortrigger_lab.kernel.listing import listing
from tensortrigger_lab.kernel.namespace import example_of, found_model
from tensortrigger_lab.kernel.publication import Publication
from tensortrigger_lab.kernel.publications import publications
from tensortrigger_lab.kernel.reply import Refusal
from tensortrigger_lab.kernel.wanted import Wanted
from tensortrigger_lab.panels import told
from tensortrigger_lab.panels.choices import fill

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client

NO_MODELS = (
    "There is no Keras model in this notebook yet: run the cell that makes one, then press Look again."
)
WIDE = {"width": "100%", "max_width": "560px"}
DOING = {
    "waiting_for_epoch": "waiting for the end of this epoch",
    "saving": "saving the model",
    "uploading": "uploading",
    "checking": "the backend checks it",
    "rebuilding": "the backend rebuilds it",
    "verifying": "the backend verifies it",
    "comparing": "comparing with model.predict",
}


class PublishTab:
    """The models are listed when it is made, and again at each press of *Look again*."""

    def __init__(self, client: Client | None) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._link_to: Callable[..., Any] = link if client is None else partial(through, client)
        self._publication: Publication | None = None
        self._session = ""
        self.model = widgets.Dropdown(description="Model", layout=widgets.Layout(**WIDE))
        self.example = widgets.Dropdown(description="Example", layout=widgets.Layout(**WIDE))
        self.name = widgets.Text(description="Name", layout=widgets.Layout(**WIDE))
        self.publish = widgets.Button(description="Publish", button_style="primary")
        self.look = widgets.Button(description="Look again")
        self.status = widgets.HTML()
        self.box = widgets.VBox(
            [self.model, self.example, self.name, widgets.HBox([self.publish, self.look]), self.status]
        )
        self.model.observe(self._chosen, "value")
        self.publish.on_click(self._publish)
        self.look.on_click(lambda _: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        """List the notebook's models and tables anew."""
        found = listing()
        self._session = found["session"]
        models = [(_model_label(entry), entry) for entry in found["models"]]
        before = self.model.value
        fill(self.model, models, lambda entry: before is not None and entry["variable"] == before["variable"])
        tables = [(f"{entry['variable']} {_shape(entry)}", entry["variable"]) for entry in found["examples"]]
        table = self.example.value or _likely_example(self.model.value, found["examples"])
        fill(self.example, [("none: do not check the answers", ""), *tables], lambda name: name == table)
        self._chosen()
        if not models:
            self.status.value = told.note(NO_MODELS)
        elif self._publication is None:
            self.status.value = ""

    def tick(self) -> bool:
        """Show how the publication goes."""
        publication = self._publication
        if publication is None:
            return False
        final = publication.final
        self.status.value = _told(publication.progress())
        if final:
            self._publication = None
            self._chosen()
        return not final

    def _chosen(self, _: Any = None) -> None:
        entry = self.model.value
        reason = None if entry is None else entry["reason"]
        if entry is not None:
            self.name.value = entry["suggested_name"]
        waits = entry is not None and entry["training"] and epoch_end().awaited
        self.publish.disabled = entry is None or (reason is not None and not waits)
        self.publish.tooltip = NO_MODELS if entry is None else reason or "Publish it"
        if reason is not None and self._publication is None:
            self.status.value = told.note(reason)

    def _publish(self, _: Any) -> None:
        entry = self.model.value
        try:
            model = found_model(self._session, entry["variable"], entry["identity"])
            wanted = Wanted(
                model,
                self.name.value.strip(),
                entry["variable"],
                example=example_of(self.example.value),
                example_name=self.example.value or None,
                at_epoch_end=epoch_end().awaited,
            )
            self.status.value = told.note("Publishing: saving the model.")
            begun = publications().begin(wanted, self._link_to)
            self._publication = publications().found(begun)
        except Refusal as refusal:
            self.status.value = told.fault(" ".join(filter(None, (refusal.message, refusal.action))))
        except TensorTriggerError as error:
            self.status.value = told.error_told(error)
        else:
            self.publish.disabled = True
            self.publish.tooltip = "One is being published."
            self.wake()


def _likely_example(model: Mapping[str, Any] | None, examples: Sequence[Mapping[str, Any]]) -> str | None:
    """The first table whose rows have the shape that the model's one input reads; None where there is none."""
    if model is None or len(model["inputs"]) != 1:
        return None
    wanted = model["inputs"][0]["shape"][1:]
    for example in examples:
        row = example["shape"][1:]
        if len(row) == len(wanted) and all(w is None or w == r for w, r in zip(wanted, row, strict=True)):
            return str(example["variable"])
    return None


def _model_label(entry: dict[str, Any]) -> str:
    return f"{entry['variable']}: {entry['class_name']}, {entry['parameters']:,} parameters"


def _shape(entry: dict[str, Any]) -> str:
    return f"({entry['kind']}, {' by '.join(map(str, entry['shape']))})"


def _told(progress: dict[str, Any]) -> str:
    state, check, model = progress["state"], progress["check"], progress["model"]
    if progress["error"]:
        error = progress["error"]
        parts = [told.fault(" ".join(filter(None, (error["message"], error["action"]))))]
        return "".join([*parts, told.code(progress["command"])] if progress["command"] else parts)
    if check is None:
        return told.note(f"Publishing: {DOING.get(state, state)}, {progress['seconds']:.0f} s.")
    version = f" version {model['version']}" if model["version"] is not None else ""
    lines = [told.note(f"Published {model['name']}{version}, {state}, in {progress['seconds']:.1f} s.")]
    if check["matched"] is None:
        lines.append(told.note(f"Not compared with model.predict: {check['reason']}"))
    else:
        deviation, answer = check["largest_deviation"], "yes" if check["matched"] else "NO"
        lines.append(
            told.note(
                f"Answers as model.predict: {answer}, largest difference "
                f"{deviation:.1e} over {check['rows']} rows."
            )
        )
    if progress["remark"]:
        lines.append(told.note(progress["remark"]))
    return "".join([*lines, told.code(progress["curl"]), told.code(progress["cell"])])
