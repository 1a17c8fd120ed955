"""The arguments about jobs that ``%tt`` and ``tt`` share."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.scoring import Choices

OUTPUT = "OUT.csv"
FORMATS = "a CSV, or by its ending .parquet, .ndjson"


def add_choices(scoring: argparse.ArgumentParser) -> None:
    """Add what may be chosen for the scoring of a table."""
    scoring.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMNS",
        help="stand before the outputs; with commas, or repeat it",
    )
    add_order_options(scoring)


def add_order_options(parser: argparse.ArgumentParser) -> None:
    """Add what may be chosen for every job on a file."""
    parser.add_argument("--priority", type=int, metavar="0-9", help="higher goes first; default: 5")
    parser.add_argument("--delimiter", metavar="C", help="of a CSV; default: a comma, of .tsv a tab")
    parser.add_argument("--encoding", metavar="NAME", help="of a CSV; default: utf-8")
    parser.add_argument("--webhook", metavar="URL", help="is told when the job has ended")


def choices_of(arguments: argparse.Namespace) -> Choices:
    """What ``add_choices`` has read."""
    delimiter = arguments.delimiter
    return Choices(
        _columns(arguments.keep),
        arguments.priority,
        "\t" if delimiter in ("\\t", "tab") else delimiter,
        arguments.encoding,
        arguments.webhook,
    )


def _columns(records: Iterable[str]) -> tuple[str, ...]:
    """Names that stand as REST takes them: with commas, and one that holds a comma in quotation marks."""
    try:
        rows = [next(csv.reader([told], skipinitialspace=True, strict=True), []) for told in records]
    except csv.Error as error:
        raise BadInput(f"--keep must name columns, with commas between: {error}.") from None
    return tuple(name for row in rows for name in row)


def add_job_arguments(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add ``job``, ``log``, ``partitions``, ``cancel``, ``retry`` and ``forget``.

    Args:
        verb: makes the parser of a verb, given its name and what it does.
    """
    for name, told in (
        ("job", "one job"),
        ("log", "what happened to a job"),
        ("partitions", "what a job is cut into, and how far each part is"),
        ("cancel", "stop a job"),
        ("retry", "try what failed of a job again"),
        ("forget", "delete an ended job with its upload and results"),
    ):
        verb(name, told).add_argument("job_id", metavar="ID")
