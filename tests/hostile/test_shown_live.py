"""Is every attack real? Each is opened once by a process that nothing holds, and must do what it is said to do."""

from __future__ import annotations

from typing import Any

import pytest
from hostile_corpus.artifact import Artifact
from hostile_corpus.corpus import BOMBS, LIVE, built

TIMES = 200
"""A bomb stands for at least so many times what it holds, or for as many levels."""


@pytest.mark.parametrize("artifact", LIVE, ids=lambda artifact: artifact.name)
def test_it_springs_the_trap_where_nothing_protects(artifact: Artifact, let_loose: Any) -> None:
    assert let_loose.sprung(artifact), let_loose.answers.get(artifact.name)


@pytest.mark.parametrize("artifact", BOMBS, ids=lambda artifact: artifact.name)
def test_it_stands_for_far_more_than_it_holds(artifact: Artifact, open_site: Any, saved_models: None) -> None:
    assert artifact.bomb is not None
    held, declared = artifact.bomb(built(artifact, open_site.uploads, open_site.traps).read_bytes())
    assert declared >= TIMES * held
