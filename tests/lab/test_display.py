"""How lists and records look."""

from __future__ import annotations

from typing import Any

import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import display
from tensortrigger_lab.client import Client
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.wire import JobRecord, ModelRecord, RunRecord

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J"


def test_models_show_themselves_as_a_table_and_are_a_list(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/models", {"models": [shapes.model(version=2), shapes.model()], "next_cursor": None})
    listing = tt.models(client=client)
    assert [model.version for model in listing] == [2, 1]
    assert len(listing[:1]) == 1
    assert repr(listing).splitlines()[0].split() == list(display.MODEL_HEADINGS)
    assert listing._repr_html_().count("<tr>") == 3


def test_pages_are_followed_up_to_the_limit(api: Any, client: Client, shapes: Any) -> None:
    page = {"models": [shapes.model()] * 2, "next_cursor": "more"}
    api.on("GET", "/models", page)
    assert len(tt.models("churn", limit=5, client=client)) == 5
    first = api.asked("/models")[0].url.params
    assert (first["name"], first["limit"]) == ("churn", "5")


def test_empty_lists_teach(api: Any, client: Client) -> None:
    api.on("GET", "/models", {"models": [], "next_cursor": None})
    api.on("GET", "/jobs", {"jobs": [], "next_cursor": None})
    assert "tt.publish" in repr(tt.models(client=client))
    assert "tt.score(" in tt.jobs(client=client)._repr_html_()


def test_nothing_that_a_server_said_reaches_a_page_or_a_terminal_unescaped(
    shapes: Any, client: Client
) -> None:
    model = Model(
        ModelRecord.read(shapes.model(name=HOSTILE, model_description=HOSTILE, engine=HOSTILE)), client
    )
    job = JobRecord.read({**shapes.job("failed"), "error": HOSTILE, "created": HOSTILE})
    run = RunRecord.read({"run_id": HOSTILE, "name": HOSTILE, "state": HOSTILE, "metrics": {HOSTILE: 1.0}})
    rows = [display.model_row(model.record), display.job_row(job), display.run_row(run)]
    pages = model._repr_html_() + display.job_html(job) + display.html_table(("h",) * 7, rows)
    texts = repr(model) + display.job_text(job) + display.text_table(("h",) * 7, rows)
    assert "<img" not in pages
    assert "\x1b" not in texts


@pytest.mark.parametrize(
    ("total", "done", "told"),
    [
        (22, 22, "22 of 22 bytes"),
        (18_000, 9_000, "9.0 of 18.0 kB"),
        (2_500_000, 1_000_000, "1.0 of 2.5 MB"),
        (18_000, None, "18.0 kB"),
    ],
)
def test_sizes_have_the_unit_that_fits(total: int, done: int | None, told: str) -> None:
    assert display.size_told(total, done) == told
