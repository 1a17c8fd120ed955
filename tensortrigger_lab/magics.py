"""The ``%tt`` magic: each verb translates a line into one call of this package."""

from __future__ import annotations

import argparse
import shlex
import sys
from ast import literal_eval
from contextlib import suppress
from getpass import getpass
from typing import Any, NoReturn

from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from tensortrigger_lab import completion, display, verbs
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.publishing import publish
from tensortrigger_lab.scoring import score_to
from tensortrigger_lab.session import login, session
from tensortrigger_lab.status import status_facts
from tensortrigger_lab.strict_json import loads
from tensortrigger_lab.wire import WireError


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make ``%tt`` known; nothing is connected."""
    shell.register_magics(TensorTriggerMagics)
    completion.install(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Forget ``%tt`` and its completions, and close the shared connection."""
    completion.uninstall(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("tt", None)
    shell.magics_manager.registry.pop(TensorTriggerMagics.__name__, None)
    session().close()


class _HelpShown(Exception):
    """argparse has printed its help; there is nothing left to do."""


class _Parser(argparse.ArgumentParser):
    """Tells a wrong line as a UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the line."""
        raise UsageError(f"{self.prog}: {message}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        """Only ``--help`` ends here: errors go through ``error``."""
        raise _HelpShown


@magics_class
class TensorTriggerMagics(Magics):
    """Publish, run and watch models from a line."""

    @no_var_expand
    @line_cell_magic
    def tt(self, line: str, cell: str | None = None) -> Any:
        """Publish and run models: ``%tt --help`` lists the verbs, ``%tt VERB --help`` explains one."""
        debug = "--debug" in line.split()
        try:
            return self._run(line, cell)
        except _HelpShown:
            return None
        except UsageError:
            raise
        except TensorTriggerError as error:
            if debug:
                raise
            raise UsageError(str(error)) from None
        except Exception as error:
            if debug:
                raise
            raise UsageError(f"{type(error).__name__}: {error} (add --debug for the traceback)") from None

    def _run(self, line: str, cell: str | None) -> Any:
        verb, _, rest = line.strip().partition(" ")
        if verb == "login":
            _refuse_secret(rest)
        words = _run_words(rest) if verb == "run" else _words(rest)
        arguments = make_parser().parse_args([verb, *words] if verb else ["--help"])
        if cell is not None and verb != "run":
            raise UsageError(f"%%tt {verb}: only 'run' takes a cell; write %tt {verb} on one line.")
        if verb == "run":
            return self._run_model(arguments.model, arguments.values, cell)
        return getattr(self, f"_{verb}")(arguments)

    def _publish(self, arguments: argparse.Namespace) -> Model:
        example = None if arguments.example is None else self._variable(arguments.example)
        return publish(
            self._variable(arguments.variable), arguments.name, example, " ".join(arguments.description)
        )

    def _run_model(self, model: str, values: str | None, cell: str | None) -> Any:
        if (values is None) == (cell is None):
            raise UsageError(
                "%tt run: give one vector or batch: a variable's name or JSON, or a cell with either."
            )
        text = (values if values is not None else cell or "").strip()
        return verbs.run(self._target(model), self._value(text))

    def _score(self, arguments: argparse.Namespace) -> Any:
        target = self._target(arguments.model)
        held = self._names.get(arguments.file)
        source = held if is_frame(held) else arguments.file
        if arguments.output is None:
            return verbs.score_csv(target, source)
        if isinstance(target, Model):
            job = score_to(target.client, target.model_id, source, arguments.output)
        else:
            job = score_to(session().client, target, source, arguments.output)
        sys.stdout.write(f"{job.summary()}\n")
        return None

    def _models(self, arguments: argparse.Namespace) -> display.Listing[Model]:
        return verbs.models(arguments.only or arguments.name)

    def _delete(self, arguments: argparse.Namespace) -> None:
        target = self._target(arguments.model)
        reference = target.model_id if isinstance(target, Model) else target
        sys.stdout.write(display.deleted_text(verbs.delete(reference).record) + "\n")

    def _jobs(self, _: argparse.Namespace) -> Any:
        return verbs.jobs()

    def _job(self, arguments: argparse.Namespace) -> Any:
        return verbs.job(arguments.job_id)

    def _cancel(self, arguments: argparse.Namespace) -> Any:
        return verbs.job(arguments.job_id).cancel()

    def _status(self, _: argparse.Namespace) -> None:
        sys.stdout.write(display.facts_text("TensorTrigger", status_facts(session().client)) + "\n")

    def _login(self, arguments: argparse.Namespace) -> None:
        try:
            key = getpass("API key (empty for none): ")
        except (EOFError, StdinNotImplementedError):
            raise UsageError(
                "%tt login: nobody can be asked for the key here; set TENSORTRIGGER_URL and "
                "TENSORTRIGGER_API_KEY before this starts."
            ) from None
        login(arguments.url, key or None)
        self._status(arguments)

    @property
    def _names(self) -> dict[str, Any]:
        """The notebook's variables."""
        return {} if self.shell is None else self.shell.user_ns

    def _target(self, name: str) -> Model | str:
        """The published model in the variable of that name, else the name for the backend to know."""
        held = self._names.get(name)
        return held if isinstance(held, Model) else name

    def _variable(self, name: str) -> Any:
        try:
            return self._names[name]
        except KeyError:
            raise UsageError(f"There is no variable {name!r} in this notebook.") from None

    def _value(self, text: str) -> Any:
        """The variable of that name, else the JSON or the Python literal that the text is."""
        if text in self._names:
            return self._names[text]
        if text.isidentifier():
            raise UsageError(f"There is no variable {text!r} in this notebook.")
        try:
            return loads(text)
        except WireError as error:
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                return literal_eval(text)
            raise UsageError(
                f"%tt run: the values are neither a variable's name nor JSON ({error})."
            ) from None


def make_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    parser = _Parser(prog="%tt", description="Publish Keras models and run them over REST.")
    subparsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    every = _Parser(add_help=False)
    every.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def verb(name: str, told: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=told, description=told, parents=[every])

    publishing = verb("publish", "publish the model in a variable")
    publishing.add_argument("variable", metavar="VAR", help="the variable that holds the model")
    publishing.add_argument("--name", required=True, help="a-z, 0-9, '.', '_', '-'")
    publishing.add_argument(
        "--example", metavar="EX", help="a variable with rows: names, types and check come from it"
    )
    publishing.add_argument("--description", nargs="+", default=[], metavar="D", help="for people")
    running = verb("run", "ask a model")
    running.add_argument(
        "model", metavar="MODEL", help="name, name/3, id, or a variable with a published model"
    )
    running.add_argument("values", nargs="?", help="a variable's name or JSON; or write either into the cell")
    scoring = verb("score", "score a CSV file or DataFrame in the background")
    scoring.add_argument(
        "model", metavar="MODEL", help="name, name/3, id, or a variable with a published model"
    )
    scoring.add_argument("file", metavar="FILE.csv", help="or a variable with a DataFrame")
    scoring.add_argument(
        "-o", "--output", metavar="OUT.csv", help="write the results there; default: give them as a DataFrame"
    )
    models = verb("models", "the published models")
    models.add_argument("only", metavar="NAME", nargs="?", help="only this one")
    models.add_argument("--name", help=argparse.SUPPRESS)
    verb("delete", "remove one version of a model for good").add_argument(
        "model", metavar="MODEL", help="id, name/3, or a variable with a published model"
    )
    verb("cancel", "stop a CSV job").add_argument("job_id", metavar="ID")
    verb("job", "one CSV job").add_argument("job_id", metavar="ID")
    verb("jobs", "the CSV jobs")
    verb("status", "which backend this is, and whether it answers")
    verb("login", "use another backend or key; the key is asked for").add_argument(
        "url", nargs="?", metavar="URL"
    )
    return parser


def _words(rest: str) -> list[str]:
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


def _refuse_secret(rest: str) -> None:
    """Only a URL may stand on the line: lines are kept in the notebook and in the history."""
    words = [word for word in rest.split() if not word.startswith("-")]
    if any(not word.startswith(("http://", "https://")) for word in words) or len(words) > 1:
        raise UsageError(
            "%tt login takes only a URL: a key on the line would stay in the notebook and its history. "
            "If that was a key, replace it; then run %tt login and type the new one when asked."
        )
