"""Is every attack live where nothing holds the guest, and refused where it is held?"""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

UNTOUCHED = dict.fromkeys(("pepper", "database", "movable", "removable"), b"pepper")
Told = dict[str, dict[str, Any]]


def test_a_guest_is_kept_from_what_an_unheld_one_does(attack: str, by_hand: tuple[Told, Told]) -> None:
    loose, held = by_hand
    assert loose[attack]["did"], f"not live: {loose[attack]['said']}"
    assert not held[attack]["did"]


def test_a_held_guest_leaves_what_is_not_its_own_as_it_was(by_hand: tuple[Told, Told]) -> None:
    loose, held = by_hand
    assert held[""]["left"] == UNTOUCHED
    assert loose[""]["left"] != UNTOUCHED


@pytest.mark.slow
def test_tensorflow_keras_and_hdf5_are_kept_from_it_too(attack: str, by_library: tuple[Told, Told]) -> None:
    loose, held = by_library
    assert loose[attack]["did"], f"not live: {loose[attack]['said']}"
    assert not held[attack]["did"]
    assert held[""]["left"] == UNTOUCHED
