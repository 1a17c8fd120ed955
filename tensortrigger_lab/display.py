"""How models, jobs and lists of them look, as text and as HTML; everything a server said is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tensortrigger_lab.curves import metrics_told
from tensortrigger_lab.wire import (
    AliasMove,
    AliasRecord,
    JobProgress,
    JobRecord,
    ModelRecord,
    PartitionRecord,
    Reject,
    RunRecord,
)

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Row = tuple[str, ...]

MODEL_HEADINGS = ("name", "version", "aliases", "state", "engine", "created", "id")
ALIAS_HEADINGS = ("alias", "version", "moved", "by", "id")
MOVE_HEADINGS = ("version", "before", "what", "when", "by")
JOB_HEADINGS = ("job", "kind", "state", "done", "rejected", "created", "model")
RUN_HEADINGS = ("run", "name", "state", "epoch", "metrics", "model", "created")
METRICS_LISTED = 2
"""So many in a table: the loss and its validation, mostly."""


class Listing(Sequence[T], Generic[T]):
    """A list that shows itself as a table."""

    def __init__(self, entries: Sequence[T], headings: Row, row_of: Callable[[T], Row], nothing: str) -> None:
        self._entries = tuple(entries)
        self._headings = headings
        self._row_of = row_of
        self._nothing = nothing

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Listing[T]: ...
    def __getitem__(self, index: int | slice) -> T | Listing[T]:
        if isinstance(index, slice):
            return Listing(self._entries[index], self._headings, self._row_of, self._nothing)
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries)

    def __repr__(self) -> str:
        return text_table(self._headings, self._rows()) if self._entries else self._nothing

    def _repr_html_(self) -> str:
        if not self._entries:
            return f"<p>{escape(self._nothing)}</p>"
        return html_table(self._headings, self._rows())

    def to_frame(self) -> pd.DataFrame:
        """The same table as a DataFrame, one row an entry, each cell as text."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=list(self._headings))

    def _rows(self) -> list[Row]:
        return [self._row_of(entry) for entry in self._entries]


def model_row(record: ModelRecord) -> Row:
    """The cells under ``MODEL_HEADINGS``."""
    version = "" if record.version is None else str(record.version)
    aliases = ", ".join(record.aliases)
    engine, created = record.engine or "", record.created[:19]
    return (record.name, version, aliases, record.state, engine, created, record.model_id)


def alias_row(record: AliasRecord) -> Row:
    """The cells under ``ALIAS_HEADINGS``."""
    return (record.alias, str(record.version), record.moved[:19], record.moved_by, record.model_id)


def move_row(move: AliasMove) -> Row:
    """The cells under ``MOVE_HEADINGS``."""
    version, before = (
        "" if number is None else str(number) for number in (move.version, move.previous_version)
    )
    return (version, before, move.action.replace("_", " "), move.moved[:19], move.moved_by)


def deviation_told(deviation: float | None) -> str:
    """The largest difference of a comparison, in two digits."""
    return "not known" if deviation is None else f"{deviation:.1e}" if deviation else "0"


def pairs_told(pairs: Mapping[str, object]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def version_name(record: ModelRecord) -> str:
    """``name/3``, as every call takes it; the name alone before there is a version."""
    return record.name if record.version is None else f"{record.name}/{record.version}"


def deleted_text(record: ModelRecord) -> str:
    """One line about a version that is gone."""
    return printable(f"deleted {version_name(record)} ({record.model_id})")


def job_row(record: JobRecord, model: str | None = None) -> Row:
    """The cells under ``JOB_HEADINGS``; the model by its id where no name is known."""
    progress = record.progress
    training = record.kind == "train"
    return (
        record.job_id,
        record.kind,
        record.state,
        epochs_told(progress.epochs_done, progress.epochs_total) if training else rows_told(progress),
        "" if training else f"{progress.rows_rejected:,}",
        record.created[:19],
        model or trained_name(record) or record.model_id,
    )


PARTITION_HEADINGS = ("partition", "state", "rows", "done", "rejected", "attempts", "worker", "error")


def partition_row(part: PartitionRecord) -> Row:
    """One partition in a table."""
    return (
        "intake" if part.partition < 0 else str(part.partition),
        part.state,
        f"{part.rows:,}",
        f"{part.rows_done:,}",
        f"{part.rows_rejected:,}",
        str(part.attempts),
        part.worker or "",
        part.error or "",
    )


def trained_name(record: JobRecord) -> str:
    """``name/3`` of the model that the job runs or trains; empty where the backend does not tell it."""
    if record.model_name is None:
        return ""
    return (
        record.model_name if record.model_version is None else f"{record.model_name}/{record.model_version}"
    )


def run_row(record: RunRecord) -> Row:
    """The cells under ``RUN_HEADINGS``."""
    epoch = "" if record.epoch is None else epochs_told(record.epoch, record.epochs)
    told = metrics_told(record.metrics, METRICS_LISTED)
    return (record.run_id, record.name, record.state, epoch, told, record.model or "", record.created[:19])


def run_facts(record: RunRecord) -> tuple[str, list[tuple[str, str]]]:
    """Heading and facts of a run."""
    facts = [("name", record.name)]
    if record.model:
        facts.append(("model", record.model))
    if record.epoch is not None:
        facts.append(("epoch", epochs_told(record.epoch, record.epochs)))
    if record.step is not None:
        facts.append(("step", f"{record.step:,}"))
    if record.metrics:
        facts.append(("metrics", metrics_told(record.metrics)))
    if record.error:
        facts.append(("error", record.error))
    return f"Run {record.run_id}, {record.state}", [*facts, ("created", record.created)]


def epochs_told(done: int, total: int | None) -> str:
    """Epochs done of all, as far as they are known."""
    return f"{done:,} of {'?' if total is None else f'{total:,}'}"


def job_text(record: JobRecord) -> str:
    """One job in a few lines."""
    return facts_text(f"Job {record.job_id}, {record.state}", _job_facts(record))


def job_html(record: JobRecord) -> str:
    """One job as a small table."""
    return facts_html(f"Job {record.job_id}, {record.state}", _job_facts(record))


def _job_facts(record: JobRecord) -> list[tuple[str, str]]:
    progress = record.progress
    if record.kind == "train":
        return [*_training_facts(record), ("created", record.created)]
    facts = [
        ("model", record.model_id),
        ("scored", rows_told(progress)),
        ("rejected", f"{progress.rows_rejected:,}"),
    ]
    if progress.rows_per_second:
        facts.append(("speed", speed(progress)))
    if record.error:
        facts.append(("error", record.error))
    return [*facts, ("created", record.created)]


def _training_facts(record: JobRecord) -> list[tuple[str, str]]:
    progress, training = record.progress, record.training
    facts = [
        ("trains", trained_name(record) or record.model_id),
        ("epochs", epochs_told(progress.epochs_done, progress.epochs_total)),
    ]
    if training is not None:
        rate = f", learning rate {training.learning_rate:g}" if training.learning_rate is not None else ""
        source = f" ({training.source})" if training.source else ""
        facts.append(("with", f"{training.optimizer}, {training.loss}{rate}{source}"))
    if record.result is not None:
        made = record.result
        facts.append(("made", f"{made.name}/{made.version} ({made.model_id})"))
    if progress.seconds_left:
        facts.append(("left", f"{progress.seconds_left:,.0f} s"))
    if record.error:
        facts.append(("error", record.error))
    return facts


def rows_told(progress: JobProgress) -> str:
    """Rows scored of all, as far as they are counted; rejected ones are told apart."""
    total = "?" if progress.rows_total is None else f"{progress.rows_total:,}"
    return f"{max(0, progress.rows_done - progress.rows_rejected):,} of {total}"


def size_told(total: int, done: int | None = None) -> str:
    """So many bytes, or how many of them are done, in the unit that fits the total."""
    unit, size, digits = (
        ("MB", 1e6, 1) if total >= 1e6 else ("kB", 1e3, 1) if total >= 1e3 else ("bytes", 1, 0)
    )
    before = "" if done is None else f"{done / size:.{digits}f} of "
    return f"{before}{total / size:.{digits}f} {unit}"


def speed(progress: JobProgress) -> str:
    """Rows a second and time left, as far as they are known."""
    parts = []
    if progress.rows_per_second:
        parts.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.seconds_left:
        parts.append(f"{progress.seconds_left:,.0f} s left")
    return ", ".join(parts)


def reject_members(reject: Reject) -> dict[str, Any]:
    """A reject as plain members, which a DataFrame's ``attrs`` can carry into a file."""
    return {
        "row": reject.row,
        "line": reject.line,
        "field": reject.field,
        "code": reject.code,
        "message": reject.message,
    }


def facts_text(heading: str, facts: Sequence[tuple[str, str]]) -> str:
    """A heading and aligned ``name  value`` lines."""
    width = max((len(name) for name, _ in facts), default=0)
    lines = [printable(heading)]
    return "\n".join(lines + [f"  {name:<{width}}  {printable(value)}" for name, value in facts])


def facts_html(heading: str, facts: Sequence[tuple[str, str]]) -> str:
    """A heading and a table of names and values."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for name, value in facts
    )
    return f"<div><strong>{escape(heading)}</strong><table>{rows}</table></div>"


def text_table(headings: Row, rows: Sequence[Row]) -> str:
    """A plain table with aligned columns."""
    printed = [headings, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[place]) for row in printed) for place in range(len(headings))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in printed
    )


def html_table(headings: Row, rows: Sequence[Row]) -> str:
    """The same table as HTML."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def printable(text: str) -> str:
    """``text`` without characters that could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
