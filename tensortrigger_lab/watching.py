"""Watches a run or a job until it ends, or until whoever watches has seen enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tensortrigger_lab.background import Job
from tensortrigger_lab.client import Client
from tensortrigger_lab.curves import Curves
from tensortrigger_lab.display import printable
from tensortrigger_lab.errors import BadInput, NotFound, TensorTriggerError
from tensortrigger_lab.pictures import Picture, picture_for
from tensortrigger_lab.progress import progress_for
from tensortrigger_lab.run_handle import Run
from tensortrigger_lab.session import session
from tensortrigger_lab.wire import RunRecord

INTERVAL = 0.5
"""Seconds between two looks, and so between two drawings."""


def watch(
    target: Any = None,
    *,
    log: bool = False,
    client: Client | None = None,
    resume: str = "tt.watch({!r})",
) -> Run | Job:
    """Draw a run live until it ends: loss and metrics as curves in a notebook, as one line in a terminal.

    An interrupt ends the watching and nothing else: the run goes on, and can be watched again.

    Args:
        target: a ``Run``, ``Training`` or ``Job``, the id of one, or None for the newest run.
        log: whether the curves' y axes are logarithmic.
        resume: how to watch on is told, with a place for the id.

    Returns:
        the run, or the job where it is one that scores a CSV, as it stood at the end.

    Example:
        >>> tt.watch(training)  # doctest: +SKIP
        >>> tt.watch()  # the newest run  # doctest: +SKIP
    """
    found = found_target(target, client or session().client)
    if isinstance(found, Job):
        return watch_job(found, resume=resume)
    return watch_run(found, log=log, resume=resume)


def found_target(target: Any, client: Client) -> Run | Job:
    """The run that is meant, or the job where it is no training.

    Raises:
        BadInput: nothing that can be watched.
        NotFound: there is no such run or job, or none at all yet.
    """
    if isinstance(target, Run):
        return target
    if target is None:
        newest = client.runs(limit=1)
        if not newest:
            raise BadInput(
                "There are no runs yet: start one with tt.train(model, x, y), or with "
                "model.fit(..., callbacks=[tt.callback(name)])."
            )
        return Run(newest[0], client)
    if isinstance(target, Job):
        return target
    client = getattr(target, "client", client)
    name = target if isinstance(target, str) else getattr(target, "run_id", None)
    if name is None and hasattr(target, "run_id"):
        raise BadInput(
            "It has no run yet: the training has not begun, or the backend has not answered it yet."
        )
    if not isinstance(name, str):
        raise BadInput(
            "This cannot be watched.",
            expected="a run, a training, a job, or its id",
            got=type(target).__name__,
        )
    try:
        return Run(client.run_record(name), client)
    except NotFound:
        return Job(client.job(name), client)


def watch_run(
    run: Run,
    *,
    log: bool = False,
    resume: str = "tt.watch({!r})",
    picture: Picture | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Run:
    """Draw a run until it ends, is lost, or an interrupt ends the watching; the run as it stood then.

    Raises:
        TensorTriggerError: the backend is away for longer than the client's patience.
    """
    curves = Curves()
    drawn: tuple[RunRecord, int] | None = None
    again = resume.format(run.run_id)
    with picture or picture_for(log=log) as shown:
        try:
            while True:
                run.record, points = run.client.run_news(run.run_id, curves.last_seq)
                curves.add(points)
                # A notebook is sent whole drawings, and keeps them: none where there is no news.
                if drawn != (run.record, curves.last_seq):
                    shown.show(run.record, curves)
                    drawn = (run.record, curves.last_seq)
                if run.record.final:
                    shown.finish("")
                    return run
                if run.state == "lost":
                    shown.finish(f"Nothing was heard of the run for a minute. Should it go on: {again}")
                    return run
                sleep(INTERVAL)
        except KeyboardInterrupt:
            shown.finish(f"Stopped watching; the run goes on. Watch again: {again}")
            return run
        except TensorTriggerError:
            shown.finish(f"Stopped watching. Watch again: {again}")
            raise


def watch_job(job: Job, *, resume: str = "tt.watch({!r})") -> Job:
    """Show a job's progress until it ends or an interrupt ends the watching; it is no error if the job failed."""
    with progress_for(lines=True) as shown:
        try:
            job.follow(shown)
        except KeyboardInterrupt:
            shown.finish(f"Stopped watching; the job goes on. Watch again: {resume.format(job.job_id)}")
            return job
        shown.finish(job.summary() if job.state == "succeeded" else printable(job.ended()))
    return job
