"""What ``%tt`` says when something is wrong, and its help."""

from __future__ import annotations

from typing import Any

import pytest

from tensortrigger_lab import magics


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%tt run churn nothing", "There is no variable 'nothing'"),
        ("%tt run churn {'age': open}", "neither a variable's name nor JSON"),
        ("%tt run churn __import__('os').getcwd()", "neither a variable's name nor JSON"),
        ("%tt delete churn", "expected an id or churn/1"),
        ("%tt run churn", "give one vector or batch"),
        ("%tt run churn [NaN]", "neither a variable's name nor JSON"),
        ('%tt run churn {"age": null}', "Field 'age' is not a number"),
        ("%tt run gone [1]", "There is nothing at /tensor/run"),
        ("%tt publish net", "--name"),
        ("%tt publish net --name churn", "There is no variable 'net'"),
        ("%tt frobnicate", "invalid choice"),
        ("%tt job", "ID"),
        ("%tt watch", "or say --latest"),
        ("%tt watch abc --latest", "or say --latest"),
        ("%tt train churn net", "rows and labels; or a table or CSV file with --label"),
        ("%tt train churn nothing.csv --label y", "There is no file 'nothing.csv'"),
        ("%tt score churn", "name a file or a DataFrame"),
        ("%tt run churn [1] --csv x.csv", "not both"),
        ("%tt models 'open", "close the quotation"),
        ("%%tt models\nx", "only 'run' (values), 'score' (CSV), 'publish' (a description) take a cell"),
    ],
)
def test_errors_are_short_and_without_a_traceback(
    api: Any, shapes: Any, line: str, told: str, typed: Any
) -> None:
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    result, printed = typed(line)
    assert told in printed
    assert "Traceback" not in printed
    assert "UsageError" in printed
    assert len(printed.splitlines()) <= 3
    assert not result.success


def test_debug_shows_the_traceback(typed: Any) -> None:
    for line in ("%tt run --debug gone [1]", "%tt run gone [1] --debug"):
        _, printed = typed(line)
        assert "Traceback" in printed
        assert "NotFound" in printed


def test_an_unforeseen_error_is_short_too(endpoint: Any, monkeypatch: pytest.MonkeyPatch, typed: Any) -> None:
    monkeypatch.setattr(magics.verbs, "models", lambda name, **_: 1 / 0)
    _, printed = typed("%tt models")
    assert "ZeroDivisionError" in printed
    assert "--debug" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "line", ["%tt", "%tt --help", "%tt run --help", "%tt publish -h", "%tt login --help"]
)
def test_help_is_printed_and_nothing_else_happens(api: Any, line: str, typed: Any) -> None:
    result, printed = typed(line)
    assert "usage: %tt" in printed
    assert result.success
    assert result.result is None
    assert api.requests == []
