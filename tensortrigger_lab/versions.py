"""The functions that a notebook calls about versions: aliases, their moves and rollbacks, and receipts."""

from __future__ import annotations

from typing import Any

from tensortrigger_lab import display
from tensortrigger_lab.client import Client
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.receipt_handle import Receipt
from tensortrigger_lab.reference import ID, LATEST, is_alias
from tensortrigger_lab.session import session
from tensortrigger_lab.wire import AliasMove, AliasRecord


def alias(
    name: str, alias: str, version: int | str | Model | None = None, *, client: Client | None = None
) -> Model:
    """The version that ``name@alias`` means; with ``version``, from now on that one.

    Args:
        name: the model's name.
        alias: such as ``production`` or ``candidate``; 1 to 63 of a-z, 0-9, ``.``, ``_``, ``-``.
        version: a number, a ``Model``, an id, ``name/3``, or another alias of the name such as ``candidate``;
            None to look only.

    Raises:
        NotFound: there is no such alias, or no such version.

    Example:
        >>> tt.alias("churn", "production", "candidate").version  # doctest: +SKIP
        4
    """
    client = client or session().client
    if version is None:
        found = client.alias(name, alias)
    elif isinstance(version, int):
        found = client.move_alias(name, alias, version)
    elif isinstance(version, str) and version.isdigit():
        found = client.move_alias(name, alias, int(version))
    else:
        found = client.move_alias(name, alias, model_id=_meant(name, version, client))
    return Model(client.model(found.model_id), client)


def remove_alias(name: str, alias: str, *, client: Client | None = None) -> None:
    """Let ``name@alias`` mean nothing any more; the version and the alias's history stay."""
    (client or session().client).remove_alias(name, alias)


def aliases(name: str, *, client: Client | None = None) -> display.Listing[AliasRecord]:
    """What each alias of a name means, as a list that shows itself as a table.

    Example:
        >>> [(entry.alias, entry.version) for entry in tt.aliases("churn")]  # doctest: +SKIP
        [('candidate', 4), ('production', 3)]
    """
    return display.Listing(
        (client or session().client).aliases(name),
        display.ALIAS_HEADINGS,
        display.alias_row,
        f"No aliases yet: make one with tt.alias({name!r}, 'production', version).",
    )


def rollback(name: str, alias: str, *, client: Client | None = None) -> Model:
    """Let ``name@alias`` mean again what it meant before its last move; that version.

    Raises:
        Conflict: there is nothing to go back to.

    Example:
        >>> tt.rollback("churn", "production").version  # doctest: +SKIP
        3
    """
    client = client or session().client
    return Model(client.model(client.rollback(name, alias).model_id), client)


def history(
    name: str, alias: str, *, limit: int = 100, client: Client | None = None
) -> display.Listing[AliasMove]:
    """The newest changes of an alias, newest first: which version, when, and by whom.

    Example:
        >>> [move.version for move in tt.history("churn", "production")]  # doctest: +SKIP
        [3, 4, 3]
    """
    return display.Listing(
        (client or session().client).alias_history(name, alias, limit=limit),
        display.MOVE_HEADINGS,
        display.move_row,
        f"Nothing has happened to {name}@{alias} yet.",
    )


def receipt(model: Model | str, *, client: Client | None = None) -> Receipt:
    """The proof that a version answers as the model did in its notebook.

    Args:
        model: a ``Model``, an id, ``name``, ``name/3`` or ``name@alias``.

    Example:
        >>> tt.receipt("churn@production").max_deviation  # doctest: +SKIP
        1.2e-07
    """
    if not isinstance(model, Model):
        client = client or session().client
        model = Model(client.model(model), client)
    return model.receipt()


def _meant(name: str, version: Any, client: Client) -> str:
    """The id of the version that shall get the alias.

    Raises:
        BadInput: it is none of this name's.
    """
    if isinstance(version, Model):
        record = version.record
    elif isinstance(version, str):
        bare = version.removeprefix("@")
        lone = not ID.fullmatch(bare) and (is_alias(bare) or bare == LATEST)
        record = client.model(f"{name}@{bare}" if lone else version)
    else:
        raise BadInput(
            "Which version shall it be?",
            field="version",
            expected="a number, a Model, an id, name/3 or an alias",
            got=type(version).__name__,
        )
    if record.name != name:
        raise BadInput(
            f"{display.version_name(record)} is no version of {name!r}.",
            field="version",
            expected=f"a version of {name!r}",
            got=display.version_name(record),
        )
    return record.model_id
