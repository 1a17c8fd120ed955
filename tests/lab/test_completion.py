"""What a ``%tt`` line could become."""

from __future__ import annotations

import pytest

from tensortrigger_lab.completion import OPTIONS, Known, candidates
from tensortrigger_lab.magics import make_parser

KNOWN = Known(keras_models=["net", "nearest"], data=["frame"], models=["churn"], jobs=["0a1b"])


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%tt ", sorted(OPTIONS)),
        ("%tt j", ["job", "jobs"]),
        ("%tt publish ne", ["nearest", "net"]),
        ("%tt publish net --", ["--debug", "--description", "--example", "--help", "--name"]),
        ("%tt publish net --name ", ["churn"]),
        ("%tt publish net --name churn --example f", ["frame"]),
        ("%tt publish net --name churn --", ["--debug", "--description", "--example", "--help"]),
        ("%tt publish net --description fr", []),
        ("%tt run c", ["churn"]),
        ("%tt run churn ", ["frame"]),
        ("%%tt run ", ["churn"]),
        ("answer = %tt run ", ["churn"]),
        ("%tt job 0", ["0a1b"]),
        ("%tt job ", ["0a1b"]),
        ("%tt cancel ", ["0a1b"]),
        ("%tt models ", ["churn"]),
        ("%tt score ", ["churn"]),
        ("%tt score churn ", ["frame"]),
        ("%tt score churn frame --output ", []),
        ("%tt delete ", []),
        ("%tt nonsense ", []),
    ],
)
def test_each_place_offers_what_fits_it(line: str, offered: list[str]) -> None:
    found = candidates(line, KNOWN)
    assert found is not None
    assert found[1] == offered


@pytest.mark.parametrize("line", ["", "tt.run(", "%time x", "%ttx run", "print('%tt run ')"])
def test_other_lines_are_not_its_business(line: str) -> None:
    assert candidates(line, KNOWN) is None


def test_every_verb_of_the_magic_can_be_completed() -> None:
    (action,) = [action for action in make_parser()._actions if action.choices]
    assert set(OPTIONS) == set(action.choices or ())
