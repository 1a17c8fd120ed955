"""What the forge's child says quotes what others wrote, so it is taken only as far as an answer can hold it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.errors import Fault, Unavailable
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict


class Child:
    """A guest that has said it all already."""

    pid, alive, cause_of_death = 0, True, ""

    def __init__(self, words: bytes) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO(words)

    def allow(self, seconds: float | None) -> None:
        pass

    def last_words(self) -> str:
        return ""

    def kill(self) -> None:
        pass


@dataclass
class Launcher:
    words: bytes

    def launch(self, module: str, scratch: Path) -> Child:
        return Child(self.words)

    def close(self) -> None:
        pass


def judged(folder: Path, words: dict[str, Any]) -> ForgeVerdict:
    (folder / "upload").write_bytes(b"a model")
    forge = ForgeProcess(Launcher(json.dumps(words).encode() + b"\n"), folder)
    try:
        return forge.forge(folder / "upload", folder / "made", ForgeOrder((), ()), lambda stage: None)
    finally:
        forge.close()


def test_half_characters_and_nul_in_a_layers_name_reach_no_answer(tmp_path: Path) -> None:
    told = ForgeVerdict(False, (Fault(("config", "a\ud800"), "custom_class", "Layer 'b\0c' is custom."),))
    (fault,) = judged(tmp_path, {"verdict": told.to_dict()}).faults
    assert fault.loc == ("config", "a\ufffd")
    assert fault.message == "Layer 'b\ufffdc' is custom."


def test_a_verdict_with_what_is_no_number_is_none(tmp_path: Path) -> None:
    told = ForgeVerdict(False, (), max_deviation=float("nan"))
    with pytest.raises(Unavailable):
        judged(tmp_path, {"verdict": told.to_dict()})
