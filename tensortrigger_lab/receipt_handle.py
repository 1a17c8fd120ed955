"""A publish receipt as a notebook holds it: the numbers of the proof, and a table of them."""

from __future__ import annotations

from tensortrigger_lab import display
from tensortrigger_lab.wire import Receipt as ReceiptRecord
from tensortrigger_lab.wire import ReceiptCheck

SOURCES = {"client": "the notebook's own outputs", "forge": "the backend's sample, asked of the original"}


class Receipt:
    """The proof that an endpoint answers as the model did; ``record`` holds all of it.

    Example:
        >>> model.receipt().passed  # doctest: +SKIP
        True
    """

    def __init__(self, record: ReceiptRecord, title: str) -> None:
        self.record = record
        self._title = title

    @property
    def sha256(self) -> str:
        """Of the receipt itself."""
        return self.record.sha256

    @property
    def max_deviation(self) -> float | None:
        """The largest difference between the endpoint and the model, when it was published."""
        return self.record.max_deviation

    @property
    def passed(self) -> bool:
        """Whether it held at the last look."""
        return not self.record.checks or self.record.checks[-1].passed

    def __repr__(self) -> str:
        return display.facts_text(self._heading, self._facts())

    def _repr_html_(self) -> str:
        return display.facts_html(self._heading, self._facts())

    @property
    def _heading(self) -> str:
        return f"Receipt of {self._title}"

    def _facts(self) -> list[tuple[str, str]]:
        record = self.record
        facts = [
            ("compared with", SOURCES.get(record.source, record.source)),
            ("rows", f"{record.rows:,}"),
            ("largest difference", display.deviation_told(record.max_deviation)),
        ]
        if record.atol is not None and record.rtol is not None:
            facts.append(("allowed", f"{record.atol:g} + {record.rtol:g} |y|"))
        facts.append(("engine", f"{record.engine} {record.engine_version}".strip()))
        if record.client_versions:
            facts.append(("made with", display.pairs_told(record.client_versions)))
        if record.versions:
            facts.append(("rebuilt with", display.pairs_told(record.versions)))
        facts += [(f"repaired {repair.path}".strip(), repair.message) for repair in record.repairs]
        # The first look is that of publishing itself.
        facts += [(f"checked {check.checked[:19]}", _look(check)) for check in record.checks[1:]]
        hashes = (
            ("inputs", record.inputs_sha256),
            ("outputs", record.outputs_sha256),
            ("receipt", record.sha256),
        )
        facts += [(f"sha256 of {what}", digest) for what, digest in hashes if digest]
        return [*facts, ("created", record.created)]


def _look(check: ReceiptCheck) -> str:
    told = display.deviation_told(check.max_deviation)
    return f"{'passed' if check.passed else 'FAILED'} on {check.engine_version}, largest difference {told}"
