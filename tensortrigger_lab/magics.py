"""The ``%tt`` magic: each verb translates a line into one call of this package."""

from __future__ import annotations

import argparse
import sys
from ast import literal_eval
from contextlib import suppress
from dataclasses import asdict
from getpass import getpass
from io import StringIO
from typing import Any

from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from tensortrigger_lab import completion, display, verbs, versions
from tensortrigger_lab.background import Job
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.job_lines import choices_of
from tensortrigger_lab.magic_lines import HelpShown, make_parser, refuse_secret, words_of
from tensortrigger_lab.magic_options import TensorTrigger, options_of
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.provenance import tags_of_words
from tensortrigger_lab.publishing import TIMEOUT, publish
from tensortrigger_lab.run_handle import Run
from tensortrigger_lab.scoring import Choices, score_to
from tensortrigger_lab.session import login, session
from tensortrigger_lab.status import status_facts
from tensortrigger_lab.strict_json import loads
from tensortrigger_lab.training import Training, train
from tensortrigger_lab.training_data import table_and_labels
from tensortrigger_lab.training_line import training_options
from tensortrigger_lab.version_lines import filters_of
from tensortrigger_lab.watching import watch
from tensortrigger_lab.wire import WireError

CELLS = {"run": "values", "score": "CSV", "publish": "a description"}
"""The verbs that take a cell, and what it holds."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make ``%tt`` known; nothing is connected."""
    shell.register_magics(TensorTriggerMagics)
    completion.install(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Forget ``%tt``, its settings and its completions, and close the shared connection."""
    completion.uninstall(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("tt", None)
    shell.magics_manager.registry.pop(TensorTriggerMagics.__name__, None)
    shell.configurables[:] = [held for held in shell.configurables if not isinstance(held, TensorTrigger)]
    session().close()


@magics_class
class TensorTriggerMagics(Magics):
    """Publish, run, train and watch models from a line."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.options = options_of(shell)
        shell.configurables[:] = [held for held in shell.configurables if not isinstance(held, TensorTrigger)]
        # IPython's own stub calls them shells; any Configurable belongs here.
        shell.configurables.append(self.options)  # type: ignore[arg-type]

    @no_var_expand
    @line_cell_magic
    def tt(self, line: str, cell: str | None = None) -> Any:
        """Publish, run and train models: ``%tt --help`` lists the verbs, ``%tt VERB --help`` explains one."""
        debug = "--debug" in line.split()
        try:
            if cell is not None and not line.replace("--debug", "").strip():
                return self._run_lines(cell)
            return self._run(line, cell)
        except HelpShown:
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

    def _run_lines(self, cell: str) -> None:
        """A verb on each line; what one gives is shown, and the first error ends it."""
        from IPython.display import display as show

        for line in cell.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                with suppress(HelpShown):
                    found = self._run(line.strip().removeprefix("%tt "), None)
                    if found is not None:
                        show(found)  # type: ignore[no-untyped-call]

    def _run(self, line: str, cell: str | None) -> Any:
        verb, _, rest = line.strip().partition(" ")
        if verb == "login":
            refuse_secret(rest)
        words = words_of(verb, rest)
        arguments = make_parser().parse_args([verb, *words] if verb else ["--help"])
        if cell is not None and verb not in CELLS:
            takers = ", ".join(f"{name!r} ({what})" for name, what in CELLS.items())
            raise UsageError(f"%%tt {verb}: only {takers} take a cell; write %tt {verb} on one line.")
        arguments.cell = cell
        if verb == "run":
            return self._ask(arguments)
        return getattr(self, f"_{verb}")(arguments)

    def _publish(self, arguments: argparse.Namespace) -> Model:
        example = None if arguments.example is None else self._variable(arguments.example)
        return publish(
            self._variable(arguments.variable),
            arguments.name,
            example,
            " ".join(arguments.description) or (arguments.cell or "").strip(),
            alias=arguments.alias,
            tags=tags_of_words(arguments.tag),
            progress=self.options.progress,
            timeout=arguments.timeout or TIMEOUT,
        )

    def _ask(self, arguments: argparse.Namespace) -> Any:
        if arguments.csv is not None:
            if arguments.values is not None or arguments.cell is not None:
                raise UsageError("%tt run: give values or --csv, not both.")
            arguments.file = arguments.csv
            return self._scored(arguments.model, self._table(arguments), arguments.output, Choices())
        if (arguments.values is None) == (arguments.cell is None):
            raise UsageError(
                "%tt run: give one vector or batch: a variable's name or JSON, or a cell with either."
            )
        text = (arguments.values if arguments.values is not None else arguments.cell).strip()
        return verbs.run(self._target(arguments.model), self._value(text))

    def _score(self, arguments: argparse.Namespace) -> Any:
        if (arguments.file is None) == (arguments.cell is None):
            raise UsageError("%tt score: name a file or a DataFrame, or write the CSV into a %%tt cell.")
        choices = choices_of(arguments)
        return self._scored(arguments.model, self._table(arguments), arguments.output, choices)

    def _scored(self, model: str, source: Any, output: str | None, choices: Choices) -> Any:
        target, progress = self._target(model), self.options.progress
        if output is None:
            return verbs.score(target, source, progress=progress, **asdict(choices))
        client = target.client if isinstance(target, Model) else session().client
        reference = target.model_id if isinstance(target, Model) else target
        job = score_to(client, reference, source, output, choices=choices, progress=progress)
        sys.stdout.write(f"{job.summary()}\n")
        return None

    def _train(self, arguments: argparse.Namespace) -> Training:
        if (arguments.y is None) == (not arguments.label):
            raise UsageError(
                "%tt train: name two variables, rows and labels; or a table or CSV file with --label COLUMN."
            )
        if arguments.label:
            held = self._names.get(arguments.x)
            x, y = (
                table_and_labels(held, arguments.label) if is_frame(held) else (arguments.x, arguments.label)
            )
        else:
            x, y = self._variable(arguments.x), self._variable(arguments.y)
        options = training_options(arguments)
        return train(self._target(arguments.model), x, y, progress=self.options.progress, **options)

    def _watch(self, arguments: argparse.Namespace) -> None:
        if (arguments.target is None) != arguments.latest:
            raise UsageError("%tt watch: name a run or a job, or say --latest for the newest run.")
        watch(self._held(arguments.target), log=arguments.log, resume="%tt watch {}")

    def _metrics(self, arguments: argparse.Namespace) -> Any:
        return verbs.metrics(self._held(arguments.target))

    def _models(self, arguments: argparse.Namespace) -> Any:
        return self._listed(
            verbs.models(arguments.only or arguments.name, **filters_of(arguments)), arguments
        )

    def _alias(self, arguments: argparse.Namespace) -> Any:
        if arguments.remove:
            versions.remove_alias(arguments.name, arguments.alias)
            sys.stdout.write(f"removed {display.printable(f'{arguments.name}@{arguments.alias}')}\n")
            return None
        version = arguments.version
        return versions.alias(arguments.name, arguments.alias, version and self._target(version))

    def _aliases(self, arguments: argparse.Namespace) -> Any:
        return versions.aliases(arguments.name)

    def _rollback(self, arguments: argparse.Namespace) -> Any:
        return versions.rollback(arguments.name, arguments.alias)

    def _history(self, arguments: argparse.Namespace) -> Any:
        return versions.history(arguments.name, arguments.alias)

    def _receipt(self, arguments: argparse.Namespace) -> Any:
        return versions.receipt(self._target(arguments.model))

    def _runs(self, arguments: argparse.Namespace) -> Any:
        return self._listed(verbs.runs(arguments.model, state=arguments.state), arguments)

    def _jobs(self, arguments: argparse.Namespace) -> Any:
        return self._listed(verbs.jobs(arguments.kind), arguments)

    def _delete(self, arguments: argparse.Namespace) -> None:
        target = self._target(arguments.model)
        reference = target.model_id if isinstance(target, Model) else target
        deleted = verbs.delete(reference, force=arguments.force)
        sys.stdout.write(display.deleted_text(deleted.record) + "\n")

    def _job(self, arguments: argparse.Namespace) -> Any:
        return verbs.job(arguments.job_id)

    def _results(self, arguments: argparse.Namespace) -> Any:
        job = verbs.scored_job(arguments.job_id)
        if arguments.output is None:
            return job.results()
        job.save(arguments.output)
        sys.stdout.write(f"{job.summary()}\n")
        return None

    def _cancel(self, arguments: argparse.Namespace) -> Any:
        return verbs.job(arguments.job_id).cancel()

    def _retry(self, arguments: argparse.Namespace) -> Any:
        return verbs.scored_job(arguments.job_id).retry()

    def _forget(self, arguments: argparse.Namespace) -> None:
        session().client.delete_job(arguments.job_id)
        sys.stdout.write(f"deleted job {arguments.job_id}\n")

    def _log(self, arguments: argparse.Namespace) -> None:
        for line in session().client.job_log(arguments.job_id):
            sys.stdout.write(display.printable(str(line)) + "\n")

    def _partitions(self, arguments: argparse.Namespace) -> Any:
        return verbs.partitions(arguments.job_id)

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
        self.options.follow_session()
        self._status(arguments)

    def _listed(self, listing: display.Listing[Any], arguments: argparse.Namespace) -> Any:
        return listing.to_frame() if arguments.frame or self.options.table == "dataframe" else listing

    @property
    def _names(self) -> dict[str, Any]:
        """The notebook's variables."""
        return {} if self.shell is None else self.shell.user_ns

    def _target(self, name: str) -> Model | str:
        """The published model in the variable of that name, else the name for the backend to know."""
        held = self._names.get(name)
        return held if isinstance(held, Model) else name

    def _held(self, name: str | None) -> Any:
        """The run, training or job in the variable of that name, else the id for the backend to know."""
        held = self._names.get(name) if name is not None else None
        return held if isinstance(held, Run | Training | Job) or hasattr(held, "run_id") else name

    def _table(self, arguments: argparse.Namespace) -> Any:
        """What is to be scored: a cell's CSV, a variable's DataFrame, or a path."""
        if arguments.cell is not None:
            import pandas as pd

            return pd.read_csv(StringIO(arguments.cell))
        held = self._names.get(arguments.file)
        return held if is_frame(held) else arguments.file

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
