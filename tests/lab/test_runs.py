"""Runs: begun, filled and read back as records and tables."""

from __future__ import annotations

import math
from typing import Any

import httpx
import numpy as np
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab.calls import runs as calls
from tensortrigger_lab.client import Client


@pytest.fixture
def kept(api: Any, shapes: Any) -> Any:
    """A backend with one run of six points, which it gives two at a time."""

    def metrics(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        kind = request.url.params.get("kind")
        left = [point for point in map(shapes.point, range(after + 1, 7)) if kind in (None, point["kind"])]
        found = left[:2]
        more = found[-1]["seq"] if len(left) > 2 else None
        return httpx.Response(
            200, json={"run": shapes.run(), "points": found, "last_seq": 6, "next_after": more}
        )

    api.on("GET", f"/runs/{shapes.run_id}/metrics", metrics)
    api.on("GET", f"/runs/{shapes.run_id}", {"run": shapes.run()})
    api.on("GET", "/runs", {"runs": [shapes.run()], "next_cursor": None})
    return api


def test_a_run_begins_under_a_key_of_its_own(api: Any, client: Client, shapes: Any) -> None:
    api.on("POST", "/runs", {"run_id": shapes.run_id, "run": shapes.run()})
    run = client.start_run("first try", epochs=3, params={"rate": 0.1})
    client.start_run("first try")
    client.start_run("first try", idempotency_key="mine")
    assert (run.run_id, run.epochs, run.final) == (shapes.run_id, 3, False)
    assert api.body("/runs", 0) == {"name": "first try", "epochs": 3, "params": {"rate": 0.1}}
    keys = [request.headers["Idempotency-Key"] for request in api.asked("/runs")]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_points_go_in_messages_that_fit_and_the_end_comes_last(
    api: Any, client: Client, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_POINTS_SENT", 2)
    path = f"/runs/{shapes.run_id}/metrics"
    api.on("POST", path, {"run_id": shapes.run_id, "last_seq": 105, "state": "succeeded"})
    points = [{"step": step, "epoch": 1, "metrics": {"loss": 1.0}} for step in range(1, 6)]
    receipt = client.add_points(shapes.run_id, points, first=100, state="succeeded")
    assert (receipt.last_seq, receipt.state) == (105, "succeeded")
    sent = [api.body(path, place) for place in range(3)]
    assert [(body["first"], len(body["points"]), body.get("state")) for body in sent] == [
        (100, 2, None),
        (102, 2, None),
        (104, 1, "succeeded"),
    ]


def test_what_is_not_finite_goes_as_null_and_no_points_are_a_sign_of_life(
    api: Any, client: Client, shapes: Any
) -> None:
    path = f"/runs/{shapes.run_id}/metrics"
    api.on("POST", path, {"run_id": shapes.run_id, "last_seq": 1, "state": "running"})
    metrics = {"loss": math.nan, "rate": math.inf, "accuracy": np.float32(0.5)}
    client.add_points(shapes.run_id, [{"step": 1, "epoch": 1, "metrics": metrics}])
    assert api.body(path)["points"][0]["metrics"] == {"loss": None, "rate": None, "accuracy": 0.5}
    client.add_points(shapes.run_id)
    assert api.body(path) == {"points": []}


def test_points_that_carry_their_count_are_sent_again_where_the_answer_was_lost(shapes: Any) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.ReadError("reset")
        return httpx.Response(200, json={"run_id": shapes.run_id, "last_seq": 0, "state": "running"})

    with Client(shapes.url, transport=httpx.MockTransport(answer)) as client:
        client.add_points(shapes.run_id, first=0)
        assert len(asked) == 2
        asked.clear()
        with pytest.raises(tt.NotReachable):
            client.add_points(shapes.run_id)
        assert len(asked) == 1


def test_all_points_are_read_page_by_page(kept: Any, client: Client, shapes: Any) -> None:
    assert [point.seq for point in client.points(shapes.run_id)] == [1, 2, 3, 4, 5, 6]
    assert [point.seq for point in client.points(shapes.run_id, after=4)] == [5, 6]
    assert [point.kind for point in client.points(shapes.run_id, kind="epoch")] == ["epoch", "epoch"]


def test_metrics_are_a_table_of_points_and_history_one_of_epochs(
    kept: Any, client: Client, shapes: Any
) -> None:
    run = tt.run_of(shapes.run_id, client=client)
    table = run.metrics()
    assert table.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert table.columns.tolist() == ["kind", "step", "epoch", "time", "loss", "val_loss"]
    assert table["val_loss"].isna().tolist() == [True, True, False] * 2
    assert table["step"].tolist() == [1, 2, 2, 3, 4, 4]
    assert str(table["time"].dtype).endswith("UTC]")
    history = run.history()
    assert history.index.tolist() == [1, 2]
    assert history["loss"].tolist() == [1 / 3, 1 / 6]
    assert tt.metrics(shapes.run_id, client=client).equals(table)
    assert tt.metrics(client=client).equals(table)


def test_a_run_without_points_is_an_empty_table(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", f"/runs/{shapes.run_id}", {"run": shapes.run()})
    api.on("GET", f"/runs/{shapes.run_id}/metrics", {"run": shapes.run(), "points": [], "next_after": None})
    assert tt.run_of(shapes.run_id, client=client).metrics().empty
    assert tt.run_of(shapes.run_id, client=client).history().empty


def test_runs_are_a_table_and_each_is_a_handle(kept: Any, client: Client, shapes: Any) -> None:
    listing = tt.runs("churn", state="running", client=client)
    assert dict(kept.asked("/runs")[-1].url.params) == {"model": "churn", "state": "running", "limit": "100"}
    assert "2 of 3" in repr(listing)
    assert "val_loss not finite" in repr(listing)
    assert listing.to_frame()["run"].tolist() == [shapes.run_id]
    assert "first try" in repr(listing[0])
    assert "<table>" in listing[0]._repr_html_()
    assert shapes.run_id in client.seen.runs


def test_without_runs_it_says_how_to_make_one(api: Any, client: Client) -> None:
    api.on("GET", "/runs", {"runs": [], "next_cursor": None})
    assert "tt.callback" in repr(tt.runs(client=client))
    with pytest.raises(tt.BadInput, match="no runs yet"):
        tt.watch(client=client)


def test_a_csv_job_has_no_metrics(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    with pytest.raises(tt.BadInput, match="scores a CSV"):
        tt.metrics(shapes.job_id, client=client)


@pytest.mark.parametrize(
    "point", [{"step": 1, "epoch": 1}, {"step": 1, "epoch": 1, "metrics": {"loss": "low"}}]
)
def test_a_point_that_is_none_is_not_sent(api: Any, client: Client, shapes: Any, point: Any) -> None:
    with pytest.raises(tt.BadInput, match="metrics"):
        client.add_points(shapes.run_id, [point])
    assert api.requests == []


def test_a_metric_that_is_none_is_null(api: Any, client: Client, shapes: Any) -> None:
    api.on(
        "POST", f"/runs/{shapes.run_id}/metrics", {"run_id": shapes.run_id, "last_seq": 1, "state": "running"}
    )
    client.add_points(shapes.run_id, [{"step": 1, "epoch": 1, "metrics": {"loss": None}}])
    assert api.body(f"/runs/{shapes.run_id}/metrics")["points"][0]["metrics"] == {"loss": None}
