"""``tt.watch``: what is drawn, when it ends, and what an interrupt does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from xml.etree import ElementTree

import httpx
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import background, pictures, watching
from tensortrigger_lab.client import Client
from tensortrigger_lab.curves import Curves
from tensortrigger_lab.pictures import NotebookPicture, PlainPicture, TerminalPicture, run_html
from tensortrigger_lab.progress import TerminalProgress
from tensortrigger_lab.watching import watch_run
from tensortrigger_lab.wire import PointRecord, RunRecord


class Album:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.states: list[tuple[str, int]] = []
        self.remarks: list[str] = []

    def show(self, record: RunRecord, curves: Curves) -> None:
        self.states.append((record.state, curves.last_seq))

    def finish(self, remark: str) -> None:
        self.remarks.append(remark)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


@pytest.fixture
def going(api: Any, shapes: Any) -> Callable[..., None]:
    """A run that is one point further each time it is looked at, and in these states."""

    def go(*states: str) -> None:
        left = list(states)

        def metrics(request: httpx.Request) -> httpx.Response:
            after = int(request.url.params["after"])
            state = left.pop(0) if len(left) > 1 else left[0]
            body = {"run": shapes.run(state), "points": [shapes.point(after + 1)], "next_after": None}
            return httpx.Response(200, json=body)

        api.on("GET", f"/runs/{shapes.run_id}/metrics", metrics)
        api.on("GET", f"/runs/{shapes.run_id}", {"run": shapes.run(left[-1])})

    return go


def test_each_point_is_asked_for_once_until_the_run_ends(going: Any, client: Client, shapes: Any) -> None:
    going("running", "running", "failed")
    album, slept = Album(), list[float]()
    run = tt.run_of(shapes.run_id, client=client)
    assert watch_run(run, picture=album, sleep=slept.append) is run
    assert run.state == "failed"
    assert album.states == [("running", 1), ("running", 2), ("failed", 3)]
    assert slept == [0.5, 0.5]


def test_a_lost_run_is_not_waited_for(going: Any, client: Client, shapes: Any) -> None:
    going("running", "lost")
    album = Album()
    run = tt.run_of(shapes.run_id, client=client)
    assert watch_run(run, picture=album, sleep=lambda _: None).state == "lost"
    assert f"tt.watch('{shapes.run_id}')" in album.remarks[0]


def interrupt(*_: Any, **__: Any) -> Any:
    """What the stop button does."""
    raise KeyboardInterrupt


def test_an_interrupt_ends_the_watching_only_and_says_how_to_resume(
    going: Any, client: Client, shapes: Any, api: Any
) -> None:
    going("running")
    album = Album()
    run = tt.run_of(shapes.run_id, client=client)
    asked = len(api.requests)
    found = watch_run(run, picture=album, sleep=interrupt, resume="%tt watch {}")
    assert found.state == "running"
    assert album.remarks == [f"Stopped watching; the run goes on. Watch again: %tt watch {shapes.run_id}"]
    # The backend may be what hangs: after the interrupt it is asked nothing more.
    assert len(api.requests) == asked + 1
    assert {request.method for request in api.requests} == {"GET"}


def test_an_interrupt_of_a_jobs_watching_is_told_in_a_terminal_too(
    api: Any, client: Client, shapes: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job("running")})
    job = tt.job(shapes.job_id, client=client)
    monkeypatch.setattr(job, "follow", interrupt)
    monkeypatch.setattr(watching, "progress_for", lambda **_: TerminalProgress())
    assert tt.watch(job, resume="tt watch {}") is job
    assert f"tt watch {shapes.job_id}" in capsys.readouterr().err
    assert {request.method for request in api.requests} == {"GET"}


def test_what_has_not_changed_is_not_drawn_again(client: Client, shapes: Any, api: Any) -> None:
    left = [{"run": shapes.run("running"), "points": []}] * 3
    api.on("GET", f"/runs/{shapes.run_id}", {"run": shapes.run("running")})
    api.on("GET", f"/runs/{shapes.run_id}/metrics", *left, {"run": shapes.run("succeeded"), "points": []})
    album = Album()
    watch_run(tt.run_of(shapes.run_id, client=client), picture=album, sleep=lambda _: None)
    assert album.states == [("running", 0), ("succeeded", 0)]


def test_a_backend_that_goes_away_is_told_with_how_to_resume(api: Any, client: Client, shapes: Any) -> None:
    album = Album()
    api.on("GET", f"/runs/{shapes.run_id}", {"run": shapes.run("running")})
    run = tt.run_of(shapes.run_id, client=client)
    with pytest.raises(tt.NotFound):
        watch_run(run, picture=album)
    assert "Watch again" in album.remarks[0]


def test_a_csv_job_is_followed_by_its_progress_and_never_cancelled(
    api: Any, client: Client, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    api.on("GET", f"/jobs/{shapes.job_id}", *({"job": shapes.job(state)} for state in ("running", "failed")))
    assert tt.watch(shapes.job_id, client=client).state == "failed"
    assert {request.method for request in api.requests} == {"GET"}


def test_a_job_is_told_in_lines_with_the_cause_at_its_end_where_there_is_no_terminal(
    api: Any, client: Client, shapes: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    going = [
        shapes.job("running", rows_done=done, rows_total=100, rows_per_second=None) for done in range(6, 16)
    ]
    failed = {**shapes.job("failed", rows_done=15, rows_total=100), "error": "Partition 3 failed 5 times."}
    api.on("GET", f"/jobs/{shapes.job_id}", *({"job": job} for job in [shapes.job("queued"), *going, failed]))
    tt.watch(shapes.job_id, client=client)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["running", "running", "failed", "Job"]
    assert lines[1].split()[1] == "10%"
    assert lines[-1] == f"Job {shapes.job_id} is failed: Partition 3 failed 5 times."


def test_a_callback_whose_training_has_not_begun_says_so(client: Client) -> None:
    with pytest.raises(tt.BadInput, match="no run yet"):
        tt.watch(SimpleNamespace(run_id=None), client=client)


def test_what_cannot_be_watched_says_what_can(client: Client) -> None:
    with pytest.raises(tt.BadInput, match="expected a run, a training, a job, or its id"):
        tt.watch(3.5, client=client)


@pytest.fixture
def curves(shapes: Any) -> Curves:
    found = Curves()
    found.add(PointRecord.read(shapes.point(seq)) for seq in range(1, 7))
    found.add([PointRecord.read(shapes.point(7, metrics={"accuracy": 0.5, "loss": None}))])
    return found


def test_a_metric_shares_a_chart_with_its_validation_and_the_loss_comes_first(curves: Curves) -> None:
    charts = curves.charts
    assert [title for title, _ in charts] == ["loss", "accuracy"]
    assert [label for label, _, _ in charts[0][1]] == ["loss", "val_loss", "loss (batch)"]
    assert list(charts[0][1][1][1]) == [2.0, 4.0]


def test_the_page_holds_the_charts_and_nothing_unescaped(curves: Curves, shapes: Any) -> None:
    record = RunRecord.read(shapes.run(name="<img src=x>", error="<script>"))
    page = run_html(record, curves.charts, log=False, remark="<b>")
    assert page.count("<svg") == 2
    assert "<img" not in page
    assert "<script" not in page
    assert "<b>" not in page
    ElementTree.fromstring(page)


class Output:
    """Stands for IPython's display: counts new outputs and updates of one."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []
        self.shown = 0

    def display(self, bundle: dict[str, str], **_: Any) -> Output:
        self.shown += 1
        self.bundles.append(bundle)
        return self

    def update(self, bundle: dict[str, str], **_: Any) -> None:
        self.bundles.append(bundle)


def test_in_a_notebook_one_output_is_drawn_anew(
    curves: Curves, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output()
    monkeypatch.setattr("IPython.display.display", output.display)
    with NotebookPicture() as picture:
        for _ in range(3):
            picture.show(RunRecord.read(shapes.run()), curves)
        picture.finish("Stopped watching.")
    assert (output.shown, len(output.bundles)) == (1, 4)
    assert "Stopped watching." in output.bundles[-1]["text/html"]
    assert output.bundles[0]["text/plain"].startswith("first try: running  epoch 2 of 3  step 4  loss 0.5")


def test_a_log_gets_a_line_an_epoch_and_a_state(curves: Curves, shapes: Any, capsys: Any) -> None:
    with PlainPicture() as picture:
        for epoch, state in ((1, "running"), (1, "running"), (2, "running"), (2, "succeeded")):
            picture.show(RunRecord.read(shapes.run(state, epoch=epoch)), curves)
        picture.finish("Done.")
    assert [line.split("  ")[:2] for line in capsys.readouterr().err.splitlines()] == [
        ["first try: running", "epoch 1 of 3"],
        ["first try: running", "epoch 2 of 3"],
        ["first try: succeeded", "epoch 2 of 3"],
        ["Done."],
    ]


def test_a_terminal_gets_a_line_that_is_replaced(curves: Curves, shapes: Any, capsys: Any) -> None:
    with TerminalPicture() as picture:
        picture.show(RunRecord.read(shapes.run(name="[red]x\x1b[31m")), curves)
        picture.finish("Stopped watching.")
    told = capsys.readouterr().err
    assert "[red]x" in told
    assert "\x1b[31m" not in told
    assert told.rstrip().endswith("Stopped watching.")


def test_the_picture_fits_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(pictures.picture_for(), PlainPicture)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(pictures.picture_for(), TerminalPicture)
    monkeypatch.setattr(pictures, "in_notebook", lambda: True)
    assert isinstance(pictures.picture_for(log=True), NotebookPicture)
