"""CSV files of the file browser: what is in one, and scoring one."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import BinaryIO

from jupyter_server.auth.decorator import authorized
from tornado import web

from tensortrigger_server import scoring
from tensortrigger_server.csv_files import find_source, must_be_writable
from tensortrigger_server.csv_text import Dialect, Records, dialect_of, header_of, renamed
from tensortrigger_server.handler import TensorTriggerHandler
from tensortrigger_server.problems import Problem
from tensortrigger_server.score import Score

PREVIEW_ROWS = 5
LONGEST_MODEL = 200


class PreviewHandler(TensorTriggerHandler):
    """``POST csv/preview``: the first rows of a file."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Answer ``{columns, rows, delimiter, size}`` for ``{path}``."""
        await self.must("contents", "GET")
        source = await find_source(self.contents_manager, self.members().get("path"))
        async with source.opened() as file:
            dialect, header, rows = await asyncio.to_thread(_first_records, file)
        self.answer({"columns": header, "rows": rows, "delimiter": dialect.delimiter, "size": source.size})


class ScoresHandler(TensorTriggerHandler):
    """``csv/scores``: those that run and the last ones."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer ``{scores}``, newest first."""
        self.answer({"scores": [score.to_dict() for score in self.extension.scores.all()]})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin to score ``{path, model, columns?}``; answer ``{score}``."""
        await self.must("contents", "GET")
        await self.must("contents", "PUT")
        body = self.members()
        model, columns = _model(body.get("model")), _columns(body.get("columns"))
        upstream, scores = self.extension.upstream, self.extension.scores
        source = await find_source(self.contents_manager, body.get("path"))
        await must_be_writable(self.contents_manager, source.path)
        async with source.opened() as file:
            dialect, header, _ = await asyncio.to_thread(_first_records, file)
        order = scoring.Order(source, dialect, header, renamed(header, columns), columns)
        scores.must_have_room()
        score = Score(source.path, model)
        contents = self.contents_manager
        scores.start(score, lambda: scoring.run(score, order, contents, upstream, scores.naming))
        self.answer({"score": score.to_dict()}, 201)


class ScoreHandler(TensorTriggerHandler):
    """``csv/scores/<score_id>``: one of them."""

    @web.authenticated
    @authorized
    async def get(self, score_id: str) -> None:
        """Answer ``{score}``."""
        self.answer({"score": self.extension.scores.find(score_id).to_dict()})

    @web.authenticated
    @authorized
    async def delete(self, score_id: str) -> None:
        """Cancel it; answer ``{score}``."""
        self.answer({"score": (await self.extension.scores.cancel(score_id)).to_dict()})


def _first_records(file: BinaryIO) -> tuple[Dialect, list[str], list[list[str]]]:
    dialect = dialect_of(file)
    file.seek(0)
    records = Records(file, dialect.delimiter)
    header = header_of(records)
    return dialect, header, list(islice(records, PREVIEW_ROWS))


def _model(model: object) -> str:
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL:
        raise Problem(400, "bad_body", "Name the model, such as 'churn', 'churn/3' or 'churn@production'.")
    return model


def _columns(columns: object) -> dict[str, str]:
    if columns is None:
        return {}
    if not isinstance(columns, dict) or not all(isinstance(column, str) for column in columns.values()):
        raise Problem(400, "bad_columns", "columns must name a column of the file for each field.")
    # What is called the same on both sides needs no renaming, but must be there all the same.
    return columns
