"""The ``tt`` command: client verbs from this package, server commands from whatever is installed beside it.

A server command is found through the entry-point group ``tensortrigger_lab.commands``: the entry point's
name is the command, its value a function ``register(subparsers)`` whose parsers set ``run``, a callable that
takes the parsed arguments and returns an exit status. Only the wanted command is loaded, for speed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from tensortrigger_lab.config import version
from tensortrigger_lab.errors import TensorTriggerError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

GROUP = "tensortrigger_lab.commands"
CLIENT_VERBS = (
    *("models", "run", "score", "train", "runs", "watch", "metrics", "jobs", "job", "results", "cancel"),
    *("log", "partitions", "retry", "forget"),
    *("publish", "delete", "status", "alias", "aliases", "rollback", "history", "receipt"),
)
SERVER_VERBS = ("serve", "migrate", "keys", "package", "api", "worker", "forge", "trainer")
INSTALL = 'pip install "tensortrigger-lab[backend]"'
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 2 for a wrong command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        parsed = _parser(verb).parse_args(arguments)
        if not hasattr(parsed, "run"):
            _parser(None).print_help(sys.stderr)
            return 2
        status: int = parsed.run(parsed)
    except KeyboardInterrupt:
        return _said("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader, such as head, has had enough; nothing more may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except TensorTriggerError as error:
        if debug:
            raise
        return _said(str(error))
    except ModuleNotFoundError as error:
        if debug or verb not in SERVER_VERBS:
            raise
        return _said(f"'tt {verb}' needs {error.name}, which is not installed: {INSTALL}")
    except Exception as error:
        if debug:
            raise
        return _said(f"{type(error).__name__}: {error} (tt --debug {' '.join(arguments)} shows where)")
    return status


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """A parser that knows the wanted verb, or for the help text all of them."""
    parser = argparse.ArgumentParser(prog="tt", description="Publish Keras models and run them over REST.")
    parser.add_argument("--version", action="version", version=f"tt {version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers: Subparsers = parser.add_subparsers(metavar="COMMAND")
    if verb is None or verb in CLIENT_VERBS:
        from tensortrigger_lab import commands

        commands.register(subparsers)
        if verb is not None:
            return parser
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if verb is None:
        for name in sorted({*found, *SERVER_VERBS[:4]}):
            _register(subparsers, name, found.get(name), optional=True)
    elif verb in found or verb in SERVER_VERBS:
        _register(subparsers, verb, found.get(verb), optional=False)
    else:
        known = ", ".join(sorted({*CLIENT_VERBS, *found, *SERVER_VERBS[:4]}))
        parser.error(f"there is no command {verb!r}; there are {known}")
    return parser


def _register(subparsers: Subparsers, name: str, entry: EntryPoint | None, *, optional: bool) -> None:
    """Add a server command; one that cannot be loaded is listed in the help with what it needs."""
    try:
        if entry is None:
            raise ModuleNotFoundError(name="the backend")
        register: Any = entry.load()
        register(subparsers)
    except ModuleNotFoundError:
        if not optional:
            raise
        subparsers.add_parser(name, help=f"needs the backend: {INSTALL}")


def _said(message: str, status: int = 1) -> int:
    print(f"tt: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
