"""Trains a published model on the backend: every training makes the model's next version."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_lab import display
from tensortrigger_lab.background import pauses
from tensortrigger_lab.client import Client
from tensortrigger_lab.curves import frame_of, history_of, metrics_told
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput, JobFailed, TensorTriggerError
from tensortrigger_lab.job_handle import JobHandle
from tensortrigger_lab.progress import Progress, progress_for
from tensortrigger_lab.session import session
from tensortrigger_lab.training_data import csv_file, file_body, label_names, training_data

if TYPE_CHECKING:
    import pandas as pd

    from tensortrigger_lab.run_handle import Run


def train(
    model: Model | str,
    x: Any,
    y: Any = None,
    *,
    epochs: int = 100,
    batch_size: int = 32,
    validation_split: float = 0.0,
    shuffle: bool = True,
    learning_rate: float | None = None,
    loss: str | None = None,
    optimizer: str | None = None,
    name: str | None = None,
    priority: int | None = None,
    webhook: str | None = None,
    rejects: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    wait: bool = True,
    progress: bool = True,
    client: Client | None = None,
) -> Training:
    """Train a published model on more data; the result is its next version, and the old one stays.

    Args:
        model: a ``Model``, an id, ``name`` (its ``production``, else its latest), ``name/3`` or ``name@alias``.
        x: n rows: the path of a CSV file, gzipped or not, which is streamed from disk; a DataFrame whose columns are
            the model's inputs; an array or list of shape (n, k); a list of dicts; or arrays by input name, batch axis
            first.
        y: n labels: of a file the columns that are learnt, by name, or None for the model's declared outputs; else
            numbers or class indices (from 0) as an array, list or Series of shape (n,); an array or DataFrame of
            shape (n, outputs); or arrays by output name.
        epochs: times that all rows are gone through.
        batch_size: rows a step.
        validation_split: the share of the rows, from 0 to below 1, that is only validated with.
        shuffle: whether each epoch goes through the rows in another order.
        learning_rate, loss, optimizer: None for what the model was compiled with, or what fits its outputs.
        name: the run's title.
        priority: 0 to 9, 5 where it is None; higher goes first among your own trainings.
        webhook: an address that is told when the training has ended.
        rejects: of a file: ``skip`` leaves rows out that cannot be read; with ``refuse``, as by default, the first
            of them ends it, and nothing is trained.
        delimiter, encoding: of a CSV file that has not commas (a ``.tsv`` has tabs), or is not UTF-8.
        wait: whether to return only when it is done.
        progress: whether to show it while waiting.

    Raises:
        BadInput: what cannot be right, by column and row; nothing was sent.
        InvalidRequest: the backend cannot train this model, or not with these points.
        JobFailed: the training failed, or somebody cancelled it.
        TensorTriggerError: see the tree in ``errors``. A KeyboardInterrupt cancels the training.

    Example:
        >>> training = tt.train("churn", X, y, epochs=20, validation_split=0.2)  # doctest: +SKIP
        >>> training.model.version, training.history()["val_loss"].min()  # doctest: +SKIP
        (2, 0.31)
        >>> tt.train("houses", "sold.csv", "price", epochs=20)  # doctest: +SKIP
    """
    if isinstance(model, Model):
        client, record = client or model.client, model.record
    else:
        client = client or session().client
        record = client.model(model)
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_split": validation_split,
        "shuffle": shuffle,
    }
    chosen = {
        "learning_rate": learning_rate,
        "loss": loss,
        "optimizer": optimizer,
        "name": name,
        "priority": priority,
        "webhook": webhook,
    }
    options |= {key: value for key, value in chosen.items() if value is not None}
    once = uuid.uuid4().hex
    reading = {"rejects": rejects, "delimiter": delimiter, "encoding": encoding}
    of_file = {key: value for key, value in reading.items() if value is not None}
    if isinstance(x, str | Path):
        rows = csv_file(x)
        if rows.delimiter is not None:
            of_file.setdefault("delimiter", rows.delimiter)
        job_id = client.start_file_training(
            record.model_id,
            file_body(rows.path),
            idempotency_key=once,
            labels=label_names(y),
            options={**options, **of_file},
        )
    elif of_file:
        given = next(iter(of_file))
        raise BadInput(
            f"{given} goes with a file.", field=given, expected="a path as x", got=type(x).__name__
        )
    else:
        body = {**training_data(record, x, y), **options}
        job_id = client.start_training(record.model_id, body, idempotency_key=once)
    training = Training(client.job(job_id), client)
    if wait:
        training.wait(progress)
    return training


class Training(JobHandle):
    """A handle on one training; ``record`` is how it stood at the last look."""

    @property
    def run_id(self) -> str:
        """Names its run, which holds the curves."""
        return self.record.run_id or self.job_id

    @property
    def run(self) -> Run:
        """Its run, as it stands now."""
        from tensortrigger_lab.run_handle import Run

        return Run(self.client.run_record(self.run_id), self.client)

    @property
    def model(self) -> Model:
        """The version that it made.

        Raises:
            JobFailed: it has made none, or not yet.
        """
        made = self.record.result or self.refresh().record.result
        if made is None:
            raise JobFailed(
                self._ended() if self.record.final else f"{self._named()} runs still.", self.job_id
            )
        return Model(self.client.model(made.model_id), self.client)

    def wait(self, progress: bool = True, sleep: Callable[[float], None] = time.sleep) -> Model:
        """The new version, when it is there; a KeyboardInterrupt cancels the training first.

        Raises:
            JobFailed: it failed, or somebody cancelled it.
        """
        with progress_for(progress) as shown:
            try:
                self._follow(shown, sleep)
            except KeyboardInterrupt:
                self.client.cancel_job(self.job_id)
                shown.show("training cancelled")
                raise
            if self.state != "succeeded":
                raise JobFailed(self._ended(), self.job_id)
            model = self.model
            shown.finish(f"trained {display.version_name(model.record)}: {self._metrics()}")
        return model

    def metrics(self) -> pd.DataFrame:
        """Every point: kind (batch or epoch), step, epoch, time, then a column a metric."""
        return frame_of(self.client.points(self.run_id))

    def history(self) -> pd.DataFrame:
        """One row an epoch, one column a metric: what ``fit`` gives as its history."""
        return history_of(self.client.points(self.run_id, kind="epoch"))

    def watch(self) -> Training:
        """Draw its curves live until it ends; an interrupt ends the watching only."""
        from tensortrigger_lab.watching import watch

        watch(self, client=self.client)
        return self.refresh()

    def _follow(self, shown: Progress, sleep: Callable[[float], None]) -> None:
        for pause in pauses():
            self.refresh()
            now = self.record.progress
            left = f"{now.seconds_left:,.0f} s left" if now.seconds_left else ""
            if self.state == "running":
                epoch = f"epoch {display.epochs_told(now.epochs_done, now.epochs_total)}"
                note = "  ".join(part for part in (epoch, self._metrics(), left) if part)
                done, total = (
                    (now.step, now.steps_total) if now.steps_total else (now.epochs_done, now.epochs_total)
                )
                shown.show("training", done, total, note)
            else:
                shown.show(self.state)
            if self.record.final:
                return
            sleep(pause)

    def _metrics(self) -> str:
        """The latest metrics in one line; empty where they cannot be had: they are only shown."""
        try:
            return metrics_told(self.client.run_record(self.run_id).metrics)
        except TensorTriggerError:
            return ""

    def _named(self) -> str:
        return f"Training {self.job_id}"

    def _ended(self) -> str:
        return f"{self._named()} is {self.state}{f': {self.record.error}' if self.record.error else '.'}"
