"""The client verbs of the ``tt`` command: what a shell asks of a backend over REST."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_lab import verbs, versions
from tensortrigger_lab.client import Client
from tensortrigger_lab.display import deleted_text, facts_text, printable
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.inference import infer
from tensortrigger_lab.job_lines import FORMATS, OUTPUT, add_choices, add_job_arguments, choices_of
from tensortrigger_lab.provenance import tags_of_words
from tensortrigger_lab.scoring import Choices, score_to
from tensortrigger_lab.status import status_facts
from tensortrigger_lab.strict_json import loads
from tensortrigger_lab.training_line import add_training_options, training_options
from tensortrigger_lab.version_lines import (
    add_alias_arguments,
    add_force,
    add_model_filters,
    filters_of,
)
from tensortrigger_lab.wire import WireError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
    Verb = Callable[[Client, argparse.Namespace], int | None]
    """Returns the exit status; None for 0."""

MODEL = "id, name, name/3 or name@alias"
PATIENCE = 2.0
"""Seconds to knock: whoever types a command wants to know soon that nothing answers."""


def register(subparsers: Subparsers) -> None:
    """Add every client verb."""
    _verb(subparsers, "status", _status, "which backend this is, and whether it answers")
    models = _verb(subparsers, "models", _models, "the published models")
    models.add_argument("only", metavar="NAME", nargs="?", help="only this one")
    models.add_argument("--name", help=argparse.SUPPRESS)
    add_model_filters(models)
    delete = _verb(subparsers, "delete", _delete, "remove one version of a model for good")
    delete.add_argument("model", help="id or name/3")
    add_force(delete)
    add_alias_arguments(lambda name, told: _verb(subparsers, name, ALIAS_VERBS[name], told))
    receipt = _verb(subparsers, "receipt", _receipt, "the proof that a version answers as its model did")
    receipt.add_argument("model", help=MODEL)
    run = _verb(subparsers, "run", _run, "one answer, or a batch of them, as JSON")
    run.add_argument("model", help=MODEL)
    run.add_argument("values", metavar="JSON", nargs="?", help="an object, a list, or - for standard input")
    run.add_argument("--csv", metavar="FILE.csv", help="score a file instead, as 'score' does")
    run.add_argument("-o", "--output", metavar="OUT.csv", help="of --csv; default: standard output")
    score = _verb(
        subparsers, "score", _score, "score a table (CSV, NDJSON, Parquet, Arrow) in the background"
    )
    score.add_argument("model", help=MODEL)
    score.add_argument("file", metavar="FILE")
    add_choices(score)
    score.add_argument("-o", "--output", metavar=OUTPUT, help=f"{FORMATS}; default: standard output")
    jobs = _verb(subparsers, "jobs", _jobs, "the background jobs")
    jobs.add_argument("--kind", choices=("score", "train"), help="only these")
    add_job_arguments(lambda name, told: _verb(subparsers, name, JOB_VERBS[name], told))
    results = _verb(subparsers, "results", _results, "what a job gave")
    results.add_argument("job_id", metavar="ID")
    results.add_argument("-o", "--output", metavar=OUTPUT, help=f"{FORMATS}; default: standard output")
    results.add_argument("--rejects", action="store_true", help="the rejected rows instead, as CSV")
    train = _verb(subparsers, "train", _train, "train a model on the rows of a CSV file: its next version")
    train.add_argument("model", help=MODEL)
    train.add_argument("file", metavar="FILE.csv", help="with a header: the model's inputs and the labels")
    add_training_options(train)
    runs = _verb(subparsers, "runs", _runs, "the training runs")
    runs.add_argument("model", metavar="NAME", nargs="?", help="only those of this model")
    runs.add_argument("--state", help="running, succeeded, failed, cancelled or lost")
    watch = _verb(subparsers, "watch", _watch, "follow a run or a job until it ends")
    watch.add_argument("target", metavar="RUN|JOB", nargs="?", help="an id")
    watch.add_argument("--latest", action="store_true", help="the newest run")
    metrics = _verb(subparsers, "metrics", _metrics, "the points of a run, as CSV")
    metrics.add_argument("target", metavar="RUN", nargs="?", help="an id; default: the newest run")
    publish = _verb(subparsers, "publish", _publish, "publish a model's file or SavedModel folder")
    publish.add_argument("file", metavar="FILE", help=".keras, .h5, .onnx, .zip, .tar.gz or a folder")
    publish.add_argument("--name", required=True, help="a-z, 0-9, '.', '_', '-'")
    publish.add_argument("--description", default="")
    publish.add_argument("--alias", metavar="A", help="such as production: means this version when ready")
    publish.add_argument(
        "--tag", action="append", default=[], metavar="K=V", help="to find it by; may be repeated"
    )
    publish.add_argument("--schema", metavar="SCHEMA.json", help="{name: {var_type, index}}")
    publish.add_argument("--timeout", type=float, metavar="S", help="seconds to wait until it is ready")


def _verb(subparsers: Subparsers, name: str, verb: Verb, told: str) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=told, description=told)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)

    def run(arguments: argparse.Namespace) -> int:
        with Client(patience=PATIENCE, in_shell=True) as client:
            return verb(client, arguments) or 0

    parser.set_defaults(run=run)
    return parser


def _status(client: Client, _: argparse.Namespace) -> None:
    _say(facts_text("TensorTrigger", status_facts(client)))


def _models(client: Client, arguments: argparse.Namespace) -> None:
    name = arguments.only or arguments.name
    _say(repr(verbs.models(name, **filters_of(arguments), client=client)))


def _delete(client: Client, arguments: argparse.Namespace) -> None:
    deleted = verbs.delete(arguments.model, force=arguments.force, client=client)
    _say(deleted_text(deleted.record))


def _alias(client: Client, arguments: argparse.Namespace) -> None:
    if arguments.remove:
        versions.remove_alias(arguments.name, arguments.alias, client=client)
        _say(printable(f"removed {arguments.name}@{arguments.alias}"))
    else:
        found = versions.alias(arguments.name, arguments.alias, arguments.version, client=client)
        _say(f"{arguments.name}@{arguments.alias} means version {found.version} ({found.model_id})")


def _aliases(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(versions.aliases(arguments.name, client=client)))


def _rollback(client: Client, arguments: argparse.Namespace) -> None:
    found = versions.rollback(arguments.name, arguments.alias, client=client)
    _say(f"{arguments.name}@{arguments.alias} means version {found.version} again ({found.model_id})")


def _history(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(versions.history(arguments.name, arguments.alias, client=client)))


def _receipt(client: Client, arguments: argparse.Namespace) -> int:
    receipt = versions.receipt(arguments.model, client=client)
    _say(repr(receipt))
    return 0 if receipt.passed else 1


def _run(client: Client, arguments: argparse.Namespace) -> int | None:
    if (arguments.values is None) == (arguments.csv is None):
        raise BadInput("Give either values as JSON, or a file with --csv.")
    if arguments.csv is not None:
        arguments.file = arguments.csv
        return _score(client, arguments, Choices())
    values = sys.stdin.read() if arguments.values == "-" else arguments.values
    try:
        question = loads(values)
    except WireError as error:
        raise BadInput(f"The values are {error}.") from None
    answer = infer(client, arguments.model, question)
    _say(json.dumps(answer, default=_plain, ensure_ascii=False))
    return None


def _score(client: Client, arguments: argparse.Namespace, choices: Choices | None = None) -> int:
    output = arguments.output or sys.stdout.buffer
    choices = choices or choices_of(arguments)
    job = score_to(client, arguments.model, arguments.file, output, choices=choices)
    sys.stderr.write(f"{job.summary()}\n")
    return 1 if job.all_rejected else 0


def _jobs(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(verbs.jobs(arguments.kind, client=client)))


def _job(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(verbs.job(arguments.job_id, client=client)))


def _results(client: Client, arguments: argparse.Namespace) -> None:
    job = verbs.scored_job(arguments.job_id, client=client)
    if arguments.output is not None:
        (job.save_rejects if arguments.rejects else job.save)(arguments.output)
    else:
        told = client.rejects_csv(job.job_id) if arguments.rejects else client.results_csv(job.job_id)
        with told as chunks:
            sys.stdout.buffer.writelines(chunks)
        sys.stdout.buffer.flush()
    rejected = f"{job.record.progress.rows_rejected:,} rejected rows, job {job.job_id}"
    sys.stderr.write(f"{rejected if arguments.rejects else job.summary()}\n")


def _train(client: Client, arguments: argparse.Namespace) -> None:
    from tensortrigger_lab.training import train

    options = training_options(arguments)
    training = train(arguments.model, Path(arguments.file), arguments.label, client=client, **options)
    _say(repr(training))


def _runs(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(verbs.runs(arguments.model, state=arguments.state, client=client)))


def _watch(client: Client, arguments: argparse.Namespace) -> int:
    from tensortrigger_lab.watching import watch

    if (arguments.target is None) != arguments.latest:
        raise BadInput("Name a run or a job, or say --latest for the newest run.")
    found = watch(arguments.target, client=client, resume="tt watch {}")
    return 0 if found.state in ("succeeded", "running", "queued") else 1


def _metrics(client: Client, arguments: argparse.Namespace) -> None:
    verbs.metrics(arguments.target, client=client).to_csv(sys.stdout)


def _cancel(client: Client, arguments: argparse.Namespace) -> None:
    client.cancel_job(arguments.job_id)
    _say(repr(verbs.job(arguments.job_id, client=client)))


def _retry(client: Client, arguments: argparse.Namespace) -> None:
    client.retry_job(arguments.job_id)
    _say(repr(verbs.job(arguments.job_id, client=client)))


def _forget(client: Client, arguments: argparse.Namespace) -> None:
    client.delete_job(arguments.job_id)
    _say(f"deleted job {printable(arguments.job_id)}")


def _log(client: Client, arguments: argparse.Namespace) -> None:
    for line in client.job_log(arguments.job_id):
        _say(printable(str(line)))


def _partitions(client: Client, arguments: argparse.Namespace) -> None:
    _say(repr(verbs.partitions(arguments.job_id, client=client)))


def _publish(client: Client, arguments: argparse.Namespace) -> None:
    from tensortrigger_lab.publishing import TIMEOUT, publish

    schema = None
    if arguments.schema is not None:
        try:
            schema = loads(Path(arguments.schema).read_bytes())
        except (OSError, WireError) as error:
            raise BadInput(f"The schema in {arguments.schema!r} cannot be read: {error}.") from None
    model = publish(
        arguments.file,
        arguments.name,
        description=arguments.description,
        schema=schema,
        alias=arguments.alias,
        tags=tags_of_words(arguments.tag),
        timeout=arguments.timeout or TIMEOUT,
        client=client,
    )
    _say(repr(model))


ALIAS_VERBS: dict[str, Verb] = {
    "alias": _alias,
    "aliases": _aliases,
    "rollback": _rollback,
    "history": _history,
}


JOB_VERBS: dict[str, Verb] = {
    "job": _job,
    "log": _log,
    "partitions": _partitions,
    "cancel": _cancel,
    "retry": _retry,
    "forget": _forget,
}


def _plain(value: Any) -> Any:
    """Arrays as lists; NaN, which strict JSON has no word for, as null."""
    import numpy as np

    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f":
            return value.tolist()
        masked = value.astype(object)
        masked[np.isnan(value)] = None
        return masked.tolist()
    raise TypeError(type(value).__name__)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
