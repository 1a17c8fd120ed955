"""What a ``%tt`` line could become."""

from __future__ import annotations

import pytest

from tensortrigger_lab.completion import POSITIONS, VALUES, Known, candidates, options

KNOWN = Known(
    keras_models=["net", "nearest"],
    data=["frame"],
    models=["churn"],
    jobs=["0a1b"],
    runs=["0c2d"],
    aliases=["churn@production"],
    endpoints=["published"],
    handles=["training"],
)
VERBS = sorted(options())
OPTIONS = ["--alias", "--debug", "--description", "--example", "--help", "--tag", "--timeout"]
MODELS = ["churn", "churn@production", "published"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%tt ", VERBS),
        ("%tt j", ["job", "jobs"]),
        ("%tt publish ne", ["nearest", "net"]),
        ("%tt publish net --", [*OPTIONS[:-2], "--name", *OPTIONS[-2:]]),
        ("%tt publish net --name ", ["churn"]),
        ("%tt publish net --name churn --example f", ["frame"]),
        ("%tt publish net --name churn --", OPTIONS),
        ("%tt publish net --alias ", ["candidate", "production"]),
        ("%tt publish net --description fr", []),
        ("%tt run c", ["churn", "churn@production"]),
        ("%tt run churn ", ["frame"]),
        ("%%tt run ", MODELS),
        ("answer = %tt run ", MODELS),
        ("%tt job 0", ["0a1b"]),
        ("%tt job ", ["0a1b"]),
        ("%tt cancel ", ["0a1b"]),
        ("%tt models ", ["churn"]),
        ("%tt score ", MODELS),
        ("%tt score churn ", ["frame"]),
        ("%tt score churn frame --output ", []),
        ("%tt score churn frame -o ", []),
        ("%tt train pub", ["published"]),
        ("%tt train churn frame ", ["frame"]),
        ("%tt train churn --epochs ", []),
        ("%tt train churn --epochs 3 ", ["frame"]),
        ("%tt train churn frame --lea", ["--learning-rate"]),
        ("%tt watch ", ["0a1b", "0c2d", "training"]),
        ("%tt watch --la", ["--latest"]),
        ("%tt metrics ", ["0c2d", "training"]),
        ("%tt runs ", ["churn"]),
        ("%tt results ", ["0a1b"]),
        ("%tt jobs --kind ", []),
        ("%tt delete ", ["--force"]),
        ("%tt alias ", ["churn"]),
        ("%tt alias churn c", ["candidate"]),
        ("%tt alias churn production ", ["candidate", "production", "published"]),
        ("%tt rollback churn p", ["production"]),
        ("%tt history churn p", ["production"]),
        ("%tt receipt churn@", ["churn@production"]),
        ("%tt models --alias p", ["production"]),
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


def test_every_name_that_is_offered_fits_a_verb_that_there_is() -> None:
    assert set(POSITIONS) <= set(options())
    assert all(option in options()[verb] for verb, option in VALUES)
