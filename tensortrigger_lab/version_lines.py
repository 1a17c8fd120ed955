"""The arguments about versions and aliases that ``%tt`` and ``tt`` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tensortrigger_lab.provenance import tags_of_words


def add_alias_arguments(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add ``alias``, ``aliases``, ``rollback`` and ``history``.

    Args:
        verb: makes the parser of a verb, given its name and what it does.
    """
    moving = verb("alias", "what an alias means; or, with a version, what it shall mean")
    _add_place(moving)
    moving.add_argument(
        "version", metavar="VERSION", nargs="?", help="a number, an id, or another alias such as candidate"
    )
    moving.add_argument("--remove", action="store_true", help="remove the alias instead")
    verb("aliases", "what each alias of a model means").add_argument("name", metavar="NAME")
    _add_place(verb("rollback", "let an alias mean again what it meant before"))
    _add_place(verb("history", "the changes of an alias: which version, when, by whom"))


def add_model_filters(listing: argparse.ArgumentParser) -> None:
    """Add what narrows a list of models down."""
    listing.add_argument("--alias", metavar="A", help="only what aliases of this name mean now")
    listing.add_argument(
        "--tag", action="append", default=[], metavar="K=V", help="only with this tag; may be repeated"
    )
    listing.add_argument("--q", metavar="TEXT", help="only with this text in name, title or description")


def add_force(deleting: argparse.ArgumentParser) -> None:
    """Add the option that removes aliases too."""
    deleting.add_argument(
        "--force", action="store_true", help="although an alias means it; the alias goes too"
    )


def filters_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What ``add_model_filters`` has read, as ``models`` takes it."""
    return {"alias": arguments.alias, "tag": tags_of_words(arguments.tag), "q": arguments.q}


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the model's name")
    parser.add_argument("alias", metavar="ALIAS", help="such as production or candidate")
