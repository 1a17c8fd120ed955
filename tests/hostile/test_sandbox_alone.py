"""Does the sandbox stop them by itself, no config ever looked at? One guest opens every live artifact in turn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hostile_corpus.artifact import Artifact
from hostile_corpus.corpus import HARMLESS, LIVE, plan

from tensortrigger_backend.adapters.sandbox import SandboxedLauncher

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def held(guarded_site: Any, saved_models: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The guarded site, after a guest in the sandbox has opened everything that points to it."""
    scratch = tmp_path_factory.mktemp("scratch")
    launcher = SandboxedLauncher(packages=(HERE,))
    if launcher.report().state != "on":
        pytest.skip(f"this kernel cannot hold a guest: {launcher.report().detail}")
    for file in guarded_site.uploads.iterdir():
        if file.is_file():
            shutil.copy(file, scratch)
    child = launcher.launch("hostile_corpus.unprotected", scratch)
    child.allow(240)
    child.stdin.write(plan((*HARMLESS, *LIVE), scratch, guarded_site.traps))
    child.stdin.flush()
    for line in child.stdout:
        answer = json.loads(line)
        guarded_site.answers[answer["name"]] = answer
    words = child.last_words()
    launcher.close()
    assert len(guarded_site.answers) == len(HARMLESS) + len(LIVE), words
    return guarded_site


@pytest.mark.parametrize("artifact", LIVE, ids=lambda artifact: artifact.name)
def test_the_sandbox_alone_keeps_the_trap_shut(artifact: Artifact, held: Any, let_loose: Any) -> None:
    assert not held.sprung(artifact), held.answers[artifact.name]
    assert let_loose.sprung(artifact), "without the sandbox the same file does spring it"


@pytest.mark.parametrize("artifact", HARMLESS, ids=lambda artifact: artifact.name)
def test_the_guest_opens_what_is_harmless(artifact: Artifact, held: Any) -> None:
    assert held.answers[artifact.name]["error"] is None
