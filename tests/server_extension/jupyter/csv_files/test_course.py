"""A CSV file while it is scored: backends that go away, files that change, and whoever cancels."""

from __future__ import annotations

import asyncio
import json


def test_a_backend_that_goes_away_and_comes_back_is_waited_for(
    with_backend, backend, call, root, run, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["state"] == "scoring")
    run(backend.stop())
    run(asyncio.sleep(0.4))
    assert wait_for(score_id, lambda score: True)["state"] == "scoring"
    backend.hold_jobs = False
    run(backend.start())
    assert wait_for(score_id)["state"] == "succeeded"


def test_an_upload_is_repeated_with_the_same_key_when_the_backend_was_away(
    with_backend, backend, call, root, run, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    run(backend.stop())
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    run(asyncio.sleep(0.3))
    run(backend.start())
    assert wait_for(score_id)["state"] == "succeeded"
    assert backend.seen[0].headers["Idempotency-Key"] == score_id


def test_cancelling_ends_the_backends_job_and_leaves_nothing_behind(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    found = wait_for(score_id, lambda score: score["job_id"])
    for _ in range(2):  # safe to repeat
        answer = call("DELETE", f"csv/scores/{score_id}")
        assert (answer.code, json.loads(answer.body)["score"]["state"]) == (200, "cancelled")
    assert backend.jobs[found["job_id"]]["state"] == "cancelled"
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_cancelling_while_the_backend_is_about_to_answer_still_ends_its_job(
    with_backend, backend, call, root, run, until
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    cancelled = []

    async def slow(route):
        await asyncio.sleep(0.4)
        route.set_status(201)
        route.finish({"job_id": "ab12"})

    async def cancel(route):
        cancelled.append(True)
        route.finish({"job": {}})

    backend.replies |= {("POST", "/jobs"): slow, ("POST", "/jobs/ab12/cancel"): cancel}
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    run(until(lambda: backend.seen))
    assert json.loads(call("DELETE", f"csv/scores/{score_id}").body)["score"]["state"] == "cancelled"
    assert cancelled == [True]


def test_cancelling_while_the_result_is_written_leaves_nothing_behind(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")

    async def endless(route):
        route.write("row,sum\r\n")
        await route.flush()
        await asyncio.sleep(30)

    backend.replies["GET", "/jobs/" + "0" * 32 + "/results"] = endless
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["state"] == "writing")
    call("DELETE", f"csv/scores/{score_id}")
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_a_job_that_was_cancelled_elsewhere_or_failed_is_told(with_backend, backend, call, root, wait_for):
    (root / "x.csv").write_text("a,b\n1,2\n")
    for state in ("cancelled", "failed"):
        backend.hold_jobs = True
        score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
            "score_id"
        ]
        job_id = wait_for(score_id, lambda score: score["job_id"])["job_id"]
        backend.jobs[job_id]["state"] = state
        found = wait_for(score_id)
        assert found["state"] == state
        assert "job" in found["error"]


def test_a_file_that_changes_meanwhile_is_not_written_beside_the_wrong_rows(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n3,4\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["job_id"])
    (root / "x.csv").write_text("a,b\n3,4\n1,2\n")
    backend.hold_jobs = False
    found = wait_for(score_id)
    assert (found["state"], found["error"]) == (
        "failed",
        "The file was changed while it was scored: score it again.",
    )
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_only_so_many_are_scored_at_once_and_only_so_many_are_remembered(
    with_backend, backend, call, root, wait_for, monkeypatch
):
    monkeypatch.setattr("tensortrigger_server.score_book.KEPT", 3)
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    order = {"path": "x.csv", "model": "adder"}
    ids = [json.loads(call("POST", "csv/scores", order).body)["score"]["score_id"] for _ in range(4)]
    refused = call("POST", "csv/scores", order)
    assert (refused.code, json.loads(refused.body)["code"]) == (429, "too_many")
    backend.hold_jobs = False
    outputs = {wait_for(score_id)["output_path"] for score_id in ids}
    assert len(outputs) == 4
    call("POST", "csv/scores", order)
    listed = json.loads(call("GET", "csv/scores").body)["scores"]
    assert len(listed) == 3
    assert listed[1]["score_id"] == ids[-1]
    assert call("GET", f"csv/scores/{ids[0]}").code == 404


def test_when_the_extension_stops_what_is_being_scored_ends(with_backend, backend, call, root, run, wait_for):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    job_id = wait_for(score_id, lambda score: score["job_id"])["job_id"]
    run(with_backend.stop_extension())
    assert backend.jobs[job_id]["state"] == "cancelled"
    assert json.loads(call("GET", "csv/scores").body) == {"scores": []}
