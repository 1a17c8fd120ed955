"""A published model version as a notebook holds it: run it, score with it, and hand its curl line on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Literal, overload

from tensortrigger_lab import display, inference, scoring
from tensortrigger_lab.client import Client
from tensortrigger_lab.comparison import Check
from tensortrigger_lab.config import KEY_VARIABLE
from tensortrigger_lab.curves import metrics_told
from tensortrigger_lab.schema import Schema
from tensortrigger_lab.strict_json import dumps
from tensortrigger_lab.wire import FieldSchema, ModelRecord

if TYPE_CHECKING:
    import pandas as pd

    from tensortrigger_lab.background import Job
    from tensortrigger_lab.receipt_handle import Receipt
    from tensortrigger_lab.training import Training

LONGEST_CURL_BODY = 4000
"""Characters; a longer body is read from a file, since no one pastes an image."""
BODY_FILE = "request.json"


class Model:
    """One immutable version of a published model.

    Args:
        record: as the backend describes it.
        client: the backend it lives on.
        example: the members of a request that runs it, less the model: ``input_vector`` or ``inputs``.
        check: the comparison with ``model.predict``; None where it was not published from here.
        remark: what else publishing had to tell.
    """

    def __init__(
        self,
        record: ModelRecord,
        client: Client,
        *,
        example: dict[str, Any] | None = None,
        check: Check | None = None,
        remark: str = "",
    ) -> None:
        self.record = record
        self.client = client
        self.check = check
        self.remark = remark
        self._example = example or placeholder_example(record)

    @property
    def model_id(self) -> str:
        """Names this version for ever."""
        return self.record.model_id

    @property
    def name(self) -> str:
        """What all versions of the model share."""
        return self.record.name

    @property
    def version(self) -> int | None:
        """Counts 1, 2, 3 within the name; None until it is ready."""
        return self.record.version

    @property
    def aliases(self) -> tuple[str, ...]:
        """Names that meant this version at the last look; ``tt.model(id)`` looks again."""
        return self.record.aliases

    @property
    def engine(self) -> str | None:
        """What answers: ``onnxruntime`` or ``tensorflow``."""
        return self.record.engine

    @property
    def schema(self) -> Schema:
        """What goes in and what comes out: names and types in their order; see its repr."""
        return Schema.of(self.record)

    @property
    def url(self) -> str:
        """Where its metadata is."""
        return f"{self.client.url}/models/{self.model_id}"

    @property
    def request_body(self) -> str:
        """The JSON of a request that runs the example."""
        return dumps({"model_id": self.model_id, **self._example}).decode()

    @property
    def curl(self) -> str:
        """A line for a terminal that runs the example; the key comes from the environment there."""
        key = f'-H "Authorization: Bearer ${KEY_VARIABLE}" ' if self.client.has_key else ""
        body = self.request_body
        data = shlex.quote(body) if len(body) <= LONGEST_CURL_BODY else f"@{BODY_FILE}"
        return f'curl -s {self.client.url}/tensor/run {key}-H "Content-Type: application/json" -d {data}'

    def run(self, x: Any) -> Any:
        """The model's answer to ``x``; see ``tensortrigger_lab.run``."""
        return inference.infer(self.client, self.model_id, x, self.record)

    @overload
    def score(
        self, source: Any, *, wait: Literal[True] = True, progress: bool = True, **choices: Any
    ) -> pd.DataFrame: ...

    @overload
    def score(self, source: Any, *, wait: Literal[False], progress: bool = True, **choices: Any) -> Job: ...

    def score(
        self, source: Any, *, wait: bool = True, progress: bool = True, **choices: Any
    ) -> pd.DataFrame | Job:
        """Its outputs for every row of a file or DataFrame; see ``tensortrigger_lab.score``."""
        chosen = scoring.Choices(**choices)
        if not wait:
            return scoring.order(self.client, self.model_id, source, choices=chosen, progress=progress)
        return scoring.score(self.client, self.model_id, source, choices=chosen, progress=progress)

    score_csv = score
    """``score`` by its earlier name."""

    def train(self, x: Any, y: Any, **options: Any) -> Training:
        """Train it on more data into the name's next version; see ``tensortrigger_lab.train``."""
        from tensortrigger_lab.training import train

        return train(self, x, y, **options)

    def receipt(self) -> Receipt:
        """The proof that it answers as the model did in its notebook; see ``tensortrigger_lab.receipt``."""
        from tensortrigger_lab.receipt_handle import Receipt

        return Receipt(self.client.receipt(self.model_id), display.version_name(self.record))

    def delete(self, *, force: bool = False) -> None:
        """Remove this version from the backend for good; other versions of the name stay.

        Args:
            force: although an alias means it; the alias goes too.

        Raises:
            Conflict: an alias means it.
        """
        self.client.delete_model(self.model_id, force=force)

    def __repr__(self) -> str:
        return display.facts_text(self._heading(), self._facts())

    def _repr_html_(self) -> str:
        return display.facts_html(self._heading(), self._facts())

    def _heading(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        return f"Model {self.name!r}{version}, {self.record.state}"

    def _facts(self) -> list[tuple[str, str]]:
        record = self.record
        facts = [("id", record.model_id), ("URL", self.url)]
        if record.aliases:
            facts.append(("aliases", ", ".join(f"{record.name}@{alias}" for alias in record.aliases)))
        if record.engine:
            reason = f" ({record.engine_reason})" if record.engine_reason else ""
            facts.append(("engine", f"{record.engine}{reason}"))
        if record.description:
            facts.append(("description", record.description))
        if record.tags:
            facts.append(("tags", ", ".join(f"{key}={value}" for key, value in record.tags.items())))
        if record.metrics:
            facts.append(("metrics", metrics_told(dict(record.metrics))))
        if record.receipt is not None:
            source = (
                "the notebook's outputs" if record.receipt.source == "client" else "the original's outputs"
            )
            deviation = display.deviation_told(record.receipt.max_deviation)
            facts.append(("receipt", f"reproduces {source}, largest difference {deviation}"))
        facts += [("repaired", f"{repair.path}: {repair.message}") for repair in record.repairs]
        if self.check is not None:
            facts.append(("check", str(self.check)))
        if self.remark:
            facts.append(("note", self.remark))
        if record.parent is not None:
            version = f" version {record.parent.version}" if record.parent.version is not None else ""
            facts.append(("trained from", f"{record.name!r}{version}"))
        if record.state == "ready":
            facts.append(("try it", self.curl))
            if self.curl.endswith(f"@{BODY_FILE}"):
                facts.append(("", f"first: open({BODY_FILE!r}, 'w').write(model.request_body)"))
        return facts


def placeholder_example(record: ModelRecord) -> dict[str, Any]:
    """A request body of zeros in the shape that the model takes, where no example is known."""
    if record.schema is not None:
        side = record.schema["input_schema"]
        return {"input_vector": {name: _placeholder(side[name]) for name in record.input_names}}
    inputs = {
        spec.name: _filled("" if spec.dtype == "string" else 0, (1, *spec.shape[1:]))
        for spec in (record.signature.inputs if record.signature else ())
    }
    return {"inputs": next(iter(inputs.values())) if len(inputs) == 1 else inputs}


def _placeholder(entry: FieldSchema) -> Any:
    """A value that the field takes, as far as its type says: zero, False, or the first category."""
    var_type = entry["var_type"].upper()
    if var_type == "STRING":
        return next(iter(entry.get("categories") or ()), "")
    return False if var_type == "BOOL" else 0


def _filled(value: Any, shape: tuple[int, ...]) -> Any:
    """A nested list; an axis of free length gets one entry."""
    if not shape:
        return value
    return [_filled(value, shape[1:]) for _ in range(max(1, shape[0]))]
