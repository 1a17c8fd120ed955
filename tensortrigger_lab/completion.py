"""Tab completion of ``%tt`` lines from what is in memory; nothing is ever asked of the network here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab.notebook_objects import data_variables, keras_models
from tensortrigger_lab.session import session

OPTIONS = {
    "publish": ("--name", "--example", "--description"),
    "run": (),
    "score": ("--output",),
    "models": (),
    "delete": (),
    "cancel": (),
    "job": (),
    "jobs": (),
    "status": (),
    "login": (),
}
EVERY = ("--debug", "--help")
LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%{1,2}tt\s+(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Known:
    """Names that may be offered."""

    keras_models: Iterable[str] = ()
    data: Iterable[str] = ()
    models: Iterable[str] = field(default_factory=tuple)
    jobs: Iterable[str] = field(default_factory=tuple)


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
        return set(OPTIONS)
    verb, *rest = words
    if verb not in OPTIONS:
        return set()
    if word.startswith("-"):
        return {*OPTIONS[verb], *EVERY} - set(rest)
    before = rest[-1] if rest else ""
    if before == "--name":
        return set(known.models)
    if before == "--example":
        return set(known.data)
    if before in ("--description", "--output", "-o"):
        return set()
    place = sum(1 for part in rest if not part.startswith("-"))
    first = {
        "publish": known.keras_models,
        "run": known.models,
        "score": known.models,
        "models": known.models,
        "job": known.jobs,
        "cancel": known.jobs,
    }
    if place == 0 and verb in first:
        return set(first[verb])
    if verb in ("run", "score") and place == 1:
        return set(known.data)
    return {*OPTIONS[verb]} - set(rest)


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
            frozenset(client.seen_models) if client else (),
            frozenset(client.seen_jobs) if client else (),
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
