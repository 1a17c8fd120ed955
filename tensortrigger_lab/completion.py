"""Tab completion of ``%tt`` lines from what is in memory; nothing is ever asked of the network here."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab.background import Job
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.magic_lines import make_parser
from tensortrigger_lab.notebook_objects import data_variables, keras_models, variables_of
from tensortrigger_lab.run_handle import Run
from tensortrigger_lab.session import session
from tensortrigger_lab.training import Training

LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%{1,2}tt\s+(?P<rest>.*)", re.DOTALL)

MODELS, WATCHED = ("models", "aliases", "endpoints"), ("runs", "jobs", "handles")
POSITIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "publish": (("keras_models",),),
    "run": (MODELS, ("data",)),
    "score": (MODELS, ("data",)),
    "train": (MODELS, ("data",), ("data",)),
    "models": (("models",),),
    "runs": (("models",),),
    "watch": (WATCHED,),
    "metrics": (("runs", "handles"),),
    "job": (("jobs",),),
    "results": (("jobs",),),
    "cancel": (("jobs",),),
    "alias": (("models",), ("alias_names",), ("alias_names", "endpoints")),
    "aliases": (("models",),),
    "rollback": (("models",), ("alias_names",)),
    "history": (("models",), ("alias_names",)),
    "receipt": (MODELS,),
}
"""Which names fit at which place after a verb."""
VALUES = {
    ("publish", "--name"): ("models",),
    ("publish", "--example"): ("data",),
    ("publish", "--alias"): ("alias_names",),
    ("models", "--alias"): ("alias_names",),
}
"""Which names fit after an option."""


@dataclass(frozen=True, slots=True)
class Known:
    """Names that may be offered.

    Attributes:
        models, aliases, jobs, runs: what the backend has told of so far.
        endpoints, handles, keras_models, data: variables with a published model; with a run, training or job;
            with a Keras model; with a DataFrame, Series or array.
    """

    keras_models: Iterable[str] = ()
    data: Iterable[str] = ()
    models: Iterable[str] = ()
    jobs: Iterable[str] = ()
    runs: Iterable[str] = ()
    aliases: Iterable[str] = ()
    endpoints: Iterable[str] = ()
    handles: Iterable[str] = ()

    @property
    def alias_names(self) -> set[str]:
        """The aliases without their models' names, and the two that most have."""
        return {"candidate", "production", *(reference.partition("@")[2] for reference in self.aliases)}

    def of(self, kinds: Iterable[str]) -> set[str]:
        """All names of these kinds."""
        return {name for kind in kinds for name in getattr(self, kind)}


@cache
def options() -> dict[str, dict[str, bool]]:
    """The long options of each verb, and whether a value follows."""
    (verbs,) = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return {
        verb: {
            name: action.nargs != 0
            for action in parser._actions
            if action.help != argparse.SUPPRESS
            for name in action.option_strings
            if name.startswith("--")
        }
        for verb, parser in verbs.choices.items()
    }


def candidates(before_cursor: str, known: Known) -> tuple[str, list[str]] | None:
    """The word being typed and what it could become; None where the line is no ``%tt`` line."""
    line = LINE.fullmatch(before_cursor)
    if line is None:
        return None
    words = line["rest"].split()
    word = "" if not words or line["rest"][-1].isspace() else words.pop()
    return word, sorted(name for name in _fitting(words, word, known) if name.startswith(word))


def _fitting(words: list[str], word: str, known: Known) -> set[str]:
    """What could stand after ``words``."""
    if not words:
        return set(options())
    verb, *rest = words
    if verb not in options():
        return set()
    if word.startswith("-"):
        return set(options()[verb]) - set(rest)
    before = "--output" if rest and rest[-1] == "-o" else rest[-1] if rest else ""
    if options()[verb].get(before):
        return known.of(VALUES.get((verb, before), ()))
    place = sum(1 for _ in _positional(verb, rest))
    places = POSITIONS.get(verb, ())
    if place < len(places):
        return known.of(places[place])
    return set(options()[verb]) - set(rest) - {"--debug", "--help"}


def _positional(verb: str, rest: list[str]) -> Iterator[str]:
    """The words that are neither options nor values of options."""
    before = ""
    for part in rest:
        takes_value = options()[verb].get("--output" if before == "-o" else before, False)
        if not part.startswith("-") and not takes_value:
            yield part
        before = part


class Matcher:
    """Completes the ``%tt`` lines of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def known(self) -> Known:
        """The names that this kernel has seen so far."""
        client = session().client_if_made
        namespace = self._shell.user_ns
        return Known(
            keras_models(namespace),
            data_variables(namespace),
            frozenset(client.seen.models) if client else (),
            frozenset(client.seen.jobs) if client else (),
            frozenset(client.seen.runs) if client else (),
            frozenset(client.seen.aliases) if client else (),
            variables_of(namespace, Model),
            variables_of(namespace, Run, Training, Job),
        )

    @context_matcher(identifier="tensortrigger")  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """IPython's matcher: silent on every other line, alone on its own."""
        if context.cursor_line > 0:
            return {"completions": []}
        found = candidates(context.text_until_cursor, self.known())
        if found is None:
            return {"completions": []}
        word, names = found
        return {
            "completions": [SimpleCompletion(name, type="param") for name in names],
            "matched_fragment": word,
            "suppress": True,
        }


def install(shell: InteractiveShell) -> None:
    """Complete ``%tt`` lines in this shell. Safe to repeat."""
    uninstall(shell)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(Matcher(shell).match)


def uninstall(shell: InteractiveShell) -> None:
    """Stop completing ``%tt`` lines in this shell. Safe to repeat."""
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [matcher for matcher in matchers if not isinstance(_owner(matcher), Matcher)]


def _owner(matcher: object) -> object:
    return getattr(matcher, "__self__", None)
