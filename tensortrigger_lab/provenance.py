"""Where a version comes from, sent along when it is published: author, notebook, git commit, last metrics.

Nothing personal is gathered: without a word of the user's the author is the name by which the JupyterHub knows them,
and nobody elsewhere; of a notebook its file's name goes, not the folders above it.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from tensortrigger_lab.config import hub_user, notebook_path
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.reference import check_alias

GIT_SECONDS = 1.0
"""A folder on a slow drive must not hold up a publish."""
MOST_TAGS, LONGEST_KEY, LONGEST_VALUE, MOST_METRICS = 50, 64, 256, 100


@dataclass(frozen=True, slots=True)
class Details:
    """What is told of a version beside its bytes; see ``publish``."""

    alias: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    author: str | None = None
    notebook: str | None = None
    git_commit: str | None = None

    @property
    def members(self) -> dict[str, Any]:
        """As the API takes them, without what is empty."""
        found = {
            "alias": self.alias,
            "tags": dict(self.tags),
            "metrics": dict(self.metrics),
            "author": self.author,
            "notebook": self.notebook,
            "git_commit": self.git_commit,
        }
        return {name: value for name, value in found.items() if value}


def details_of(
    model: Any,
    *,
    alias: str | None = None,
    tags: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    author: str | None = None,
    notebook: str | None = None,
    git_commit: str | None = None,
) -> Details:
    """What the user says, and for what they leave out what can be found here.

    Args:
        metrics: None for the last epoch of the model's own training; ``{}`` for none.
        author: None for the user of this JupyterHub; the empty string for nobody.
        notebook: None for the name of the notebook that this runs in; the empty string for none.
        git_commit: None for the commit of this folder, where it is a git work tree; the empty string for none.

    Raises:
        BadInput: no alias, tag or metric can be so.
    """
    if alias is not None:
        check_alias(alias)
    return Details(
        alias,
        checked_tags(tags or {}),
        last_metrics(model) if metrics is None else _checked_metrics(metrics),
        _cut(hub_user() if author is None else author),
        _cut(PurePath(notebook_path() or "").name if notebook is None else notebook),
        _cut(commit_here() if git_commit is None else git_commit),
    )


def checked_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as text.

    Raises:
        BadInput: no mapping, too many or too long.
    """
    if not isinstance(tags, Mapping):
        raise BadInput(
            "Tags have a name each.", field="tags", expected="{key: value}", got=type(tags).__name__
        )
    if len(tags) > MOST_TAGS:
        raise BadInput("These are too many tags.", field="tags", expected=f"{MOST_TAGS}", got=f"{len(tags)}")
    told = {str(key): str(value) for key, value in tags.items()}
    for key, value in told.items():
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise BadInput(
                f"Tag {key[:LONGEST_KEY]!r} is too long or has no name.",
                field="tags",
                expected=f"1 to {LONGEST_KEY} characters, and up to {LONGEST_VALUE} for its value",
            )
    return told


def tags_of_words(words: list[str]) -> dict[str, str]:
    """``key=value`` words of a line.

    Raises:
        BadInput: one of them is none.
    """
    for word in words:
        if not word.partition("=")[1]:
            raise BadInput("This is no tag.", field="tag", expected="key=value", got=repr(word[:80]))
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def last_metrics(model: Any) -> dict[str, float]:
    """The last epoch of the model's training in this process; empty where there was none."""
    history = getattr(getattr(model, "history", None), "history", None)
    if not isinstance(history, Mapping):
        return {}
    found: dict[str, float] = {}
    for name, values in list(history.items())[:MOST_METRICS]:
        try:
            last = float(values[-1])
        except (TypeError, ValueError, IndexError, KeyError):
            continue
        if math.isfinite(last):
            found[str(name)] = last
    return found


def commit_here(folder: Path | None = None) -> str | None:
    """The commit of this folder; None where it is in no git work tree, or git does not say so at once."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],  # noqa: S607 - wherever the user has it
            cwd=folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _checked_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    try:
        found = {str(name): float(value) for name, value in metrics.items()}
    except (AttributeError, TypeError, ValueError):
        found = {"": math.nan}
    if len(found) > MOST_METRICS or not all(math.isfinite(value) for value in found.values()):
        raise BadInput(
            "The metrics are not as they should be.",
            field="metrics",
            expected=f"up to {MOST_METRICS} finite numbers by name",
        )
    return found


def _cut(text: str | None) -> str | None:
    return text[:LONGEST_VALUE] if text else None
