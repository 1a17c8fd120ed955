"""How a ``%tt`` line is read: its verbs, their options, and what is wrong with it."""

from __future__ import annotations

import argparse
import shlex
from typing import NoReturn

from IPython.core.error import UsageError

from tensortrigger_lab.job_lines import FORMATS, OUTPUT, add_choices, add_job_arguments
from tensortrigger_lab.training_line import add_training_options
from tensortrigger_lab.version_lines import add_alias_arguments, add_force, add_model_filters

MODEL = "name, name@alias, name/3, id, or a variable with a published model"


class HelpShown(Exception):
    """argparse has printed its help; there is nothing left to do."""


class LineParser(argparse.ArgumentParser):
    """Tells a wrong line as a UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the line."""
        raise UsageError(f"{self.prog}: {message}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        """Only ``--help`` ends here: errors go through ``error``."""
        raise HelpShown


def make_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    parser = LineParser(
        prog="%tt",
        description="Publish Keras models, run them over REST, train them and watch that.",
        epilog="%%tt alone takes a cell with a verb on each line. %config TensorTrigger shows the settings.",
    )
    subparsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=LineParser)
    every = LineParser(add_help=False)
    every.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def verb(name: str, told: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=told, description=told, parents=[every])

    def table(name: str, told: str) -> argparse.ArgumentParser:
        listing = verb(name, told)
        listing.add_argument("--frame", action="store_true", help="give a DataFrame")
        return listing

    def output(of: argparse.ArgumentParser) -> None:
        of.add_argument("-o", "--output", metavar=OUTPUT, help=f"write {FORMATS}; default: give a DataFrame")

    publishing = verb("publish", "publish the model in a variable; a cell describes it")
    publishing.add_argument("variable", metavar="VAR", help="the variable that holds the model")
    publishing.add_argument("--name", required=True, help="a-z, 0-9, '.', '_', '-'")
    publishing.add_argument(
        "--example", metavar="EX", help="a variable with rows: names, types and check come from it"
    )
    publishing.add_argument("--description", nargs="+", default=[], metavar="D", help="for people")
    publishing.add_argument("--alias", metavar="A", help="such as production: means this version when ready")
    publishing.add_argument(
        "--tag", action="append", default=[], metavar="K=V", help="to find it by; may be repeated"
    )
    publishing.add_argument("--timeout", type=float, metavar="S", help="seconds to wait until it is ready")
    running = verb("run", "ask a model")
    running.add_argument("model", metavar="MODEL", help=MODEL)
    running.add_argument("values", nargs="?", help="a variable's name or JSON; or write either into the cell")
    running.add_argument("--csv", metavar="FILE.csv", help="score a file instead, as 'score' does")
    output(running)
    scoring = verb("score", "score a table (CSV, NDJSON, Parquet, Arrow), a DataFrame or a cell of CSV")
    scoring.add_argument("model", metavar="MODEL", help=MODEL)
    scoring.add_argument("file", metavar="FILE", nargs="?", help="or a variable with a DataFrame")
    add_choices(scoring)
    output(scoring)
    training = verb("train", "train a model on more data: its next version")
    training.add_argument("model", metavar="MODEL", help=MODEL)
    training.add_argument("x", metavar="X", help="a variable with rows; or a table or FILE.csv with --label")
    training.add_argument("y", metavar="Y", nargs="?", help="a variable with a label for each row")
    add_training_options(training)
    models = table("models", "the published models")
    models.add_argument("only", metavar="NAME", nargs="?", help="only this one")
    models.add_argument("--name", help=argparse.SUPPRESS)
    add_model_filters(models)
    deleting = verb("delete", "remove one version of a model for good")
    deleting.add_argument("model", metavar="MODEL", help="id, name/3, or a variable with a published model")
    add_force(deleting)
    add_alias_arguments(verb)
    receipts = verb("receipt", "the proof that a version answers as the model did in its notebook")
    receipts.add_argument("model", metavar="MODEL", help=MODEL)
    runs = table("runs", "the training runs")
    runs.add_argument("model", metavar="NAME", nargs="?", help="only those of this model")
    runs.add_argument("--state", help="running, succeeded, failed, cancelled or lost")
    watching = verb("watch", "draw a run live, or follow a job")
    watching.add_argument("target", metavar="RUN|JOB", nargs="?", help="an id, or a variable that holds one")
    watching.add_argument("--latest", action="store_true", help="the newest run")
    watching.add_argument("--log", action="store_true", help="logarithmic y axes")
    metrics = verb("metrics", "the points of a run as a DataFrame")
    metrics.add_argument(
        "target", metavar="RUN", nargs="?", help="an id or a variable; default: the newest run"
    )
    jobs = table("jobs", "the background jobs")
    jobs.add_argument("--kind", choices=("score", "train"), help="only these")
    add_job_arguments(verb)
    results = verb("results", "what a job gave")
    results.add_argument("job_id", metavar="ID")
    output(results)
    verb("status", "which backend this is, and whether it answers")
    verb("login", "use another backend or key; the key is asked for").add_argument(
        "url", nargs="?", metavar="URL"
    )
    return parser


def words_of(verb: str, rest: str) -> list[str]:
    """What follows the verb, as argparse takes it.

    Raises:
        UsageError: a quotation without end.
    """
    if verb == "run" and "--csv" not in rest.split():
        return _run_words(rest)
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"%tt: {error}: close the quotation.") from None


def _run_words(rest: str) -> list[str]:
    """Options, the model, and all the rest as one word: JSON keeps its quotes and blanks."""
    options = [word for word in rest.split() if word in ("--debug", "--help", "-h")]
    plain = rest
    for option in set(options):
        plain = plain.removeprefix(option).removesuffix(option) if plain.strip() == option else plain
        plain = (
            plain.replace(f" {option}", "", 1)
            if plain.endswith(f" {option}")
            else plain.removeprefix(f"{option} ")
        )
    return [*options, *plain.split(None, 1)]


def refuse_secret(rest: str) -> None:
    """Only a URL may stand on the line of a login: lines are kept in the notebook and in the history.

    Raises:
        UsageError: without the words that may be a key.
    """
    words = [word for word in rest.split() if not word.startswith("-")]
    if any(not word.startswith(("http://", "https://")) for word in words) or len(words) > 1:
        raise UsageError(
            "%tt login takes only a URL: a key on the line would stay in the notebook and its history. "
            "If that was a key, replace it; then run %tt login and type the new one when asked."
        )
