"""Native API: what a scoring job took in, and what it brought."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from tensortrigger_backend.api.answers import PageLimit, blocks, data_url
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.reading import only_parameters
from tensortrigger_backend.api.results import as_csv, as_json, as_ndjson
from tensortrigger_backend.api.shapes import PROBLEMS, RejectsAnswer, ResultsAnswer
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Job, Reject
from tensortrigger_backend.services.results import Span, column_names, row_of

router = APIRouter(tags=["jobs"], responses=PROBLEMS)

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"
_FILES = {CSV: CSV, "text/*": CSV, NDJSON: NDJSON, "application/ndjson": NDJSON, PARQUET: PARQUET}
_REJECTS = {kind: found for kind, found in _FILES.items() if found != PARQUET}
_AS_JSON = ("application/json", "application/*", "*/*")
_VARY = {"Vary": "Accept"}

Row = Annotated[int | None, Query(ge=0, lt=1 << 53, description="The first data row that is wanted, from 0.")]
Rows = Annotated[int | None, Query(ge=1, lt=1 << 53, description="So many data rows at most.")]
PageRows = Annotated[
    int | None, Query(ge=1, le=100_000, description="Data rows of one page; `next_cursor` leads to the next.")
]


@router.get("/jobs/{job_id}/content")
def job_content(request: Request, core: CoreOf, caller: Caller, job_id: str) -> Response:
    """The rows as they are stored: unpacked, text in UTF-8. Of a training its points, as NumPy's `.npz`.

    They come as a data URL in JSON, or by `Accept` of their own media type as they are.
    """
    stored = core.scoring.upload(caller, job_id)
    media_type = core.scoring.media_type(core.scoring.find(caller, job_id))
    asked = next((kind for kind in _accepted(request) if kind in (media_type, *_AS_JSON)), None)
    if asked == media_type:
        headers = {"Content-Disposition": "attachment", **_VARY}
        return StreamingResponse(blocks(stored), media_type=media_type, headers=headers)
    return data_url(blocks(stored), media_type, "job")


@router.get(
    "/jobs/{job_id}/results",
    responses={200: {"model": ResultsAnswer, "content": {CSV: {}, NDJSON: {}, PARQUET: {}}}},
)
@router.get("/job/{job_id}/results", responses={200: {"model": ResultsAnswer}})
def results(
    request: Request,
    core: CoreOf,
    caller: Caller,
    job_id: str,
    first_row: Row = None,
    rows: Rows = None,
    limit: PageRows = None,
    cursor: str | None = None,
    escape_formulas: Annotated[
        bool, Query(description="CSV: put `'` before a text that a spreadsheet would take for a formula.")
    ] = False,
) -> Response:
    """Outputs in row order as JSON, null for rejected rows; or, by `Accept`, CSV, NDJSON or Parquet.

    These hold the scored rows only: `row`, the columns that were kept, and the outputs. All come whole, by
    `first_row` and `rows`, or in pages of `limit` rows; the next page's cursor is `next_cursor` in JSON and in the
    header `Link` otherwise.
    """
    job = core.scoring.find(caller, job_id)
    span = _span(first_row, rows, limit, cursor)
    media_type = _asked(request, _FILES)
    # What would lead nowhere is said before the answer begins.
    parts = core.scoring.results(caller, job_id, span)
    following = _next_cursor(job, span) if limit is not None else None
    body: Iterator[bytes]
    if media_type == CSV:
        body = as_csv(column_names(job), parts, escape_formulas)
    elif media_type == NDJSON:
        body = as_ndjson(parts)
    elif media_type == PARQUET:
        body = core.scoring.results_file(caller, job_id, span)
    else:
        body = as_json(parts, {} if limit is None else {"next_cursor": following})
        return StreamingResponse(body, media_type="application/json", headers=_VARY)
    headers = _file_headers("results", job_id, media_type)
    if following is not None:
        url = request.url.include_query_params(cursor=following)
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return StreamingResponse(body, media_type=media_type, headers=headers)


@router.get(
    "/jobs/{job_id}/rejects",
    responses={200: {"model": RejectsAnswer, "content": {CSV: {}, NDJSON: {}}}},
)
def rejects(
    request: Request,
    core: CoreOf,
    caller: Caller,
    job_id: str,
    limit: PageLimit = 100,
    cursor: str | None = None,
) -> Response:
    """Rows that could not be scored: row, line, field and reason. By `Accept`, all of them as CSV or NDJSON.

    `limit` and `cursor` are of the pages in JSON.
    """
    media_type = _asked(request, _REJECTS)
    if media_type is not None:
        only_parameters(request, where="where all rejects come as one file: pages are JSON")
        all_rejects = core.scoring.all_rejects(caller, job_id)
        body = _rejects_csv(all_rejects) if media_type == CSV else _rejects_ndjson(all_rejects)
        headers = _file_headers("rejects", job_id, media_type)
        return StreamingResponse(body, media_type=media_type, headers=headers)
    page = core.scoring.rejects(caller, job_id, limit, cursor)
    found = [reject.to_dict() for reject in page.items]
    return JSONResponse({"http_code": 200, "rejects": found, "next_cursor": page.next_cursor}, headers=_VARY)


def _accepted(request: Request) -> list[str]:
    """Media types, as they stand in the request."""
    said = ",".join(request.headers.getlist("accept")).lower().split(",")
    return [kind for kind in (one.partition(";")[0].strip() for one in said) if kind]


def _asked(request: Request, files: Mapping[str, str]) -> str | None:
    """The first kind of file that the caller accepts; None for JSON, as where nothing is said.

    Raises:
        HTTPException: 406, where neither JSON nor one of ``files`` is accepted.
    """
    accepted = _accepted(request)
    for kind in accepted:
        if kind in files or kind in _AS_JSON:
            return files.get(kind)
    if not accepted:
        return None
    known = ", ".join(dict.fromkeys(files.values()))
    raise HTTPException(406, f"Accept application/json or {known}: there is no other form of this.")


def _span(first_row: int | None, rows: int | None, limit: int | None, cursor: str | None) -> Span:
    if limit is None and cursor is not None:
        raise _both("cursor", "A cursor needs the limit of its pages.", "limit and cursor")
    if limit is not None and (first_row is not None or rows is not None):
        raise _both(
            "limit", "Ask for a range or for a page, not for both.", "first_row and rows, or limit and cursor"
        )
    first = row_of(cursor) + 1 if limit is not None else first_row or 0
    count = limit or rows
    return Span(first, None if count is None else first + count)


def _next_cursor(job: Job, span: Span) -> str | None:
    return str(span.end - 1) if span.end is not None and span.end < job.rows_total else None


def _both(name: str, message: str, expected: str) -> InvalidInput:
    return InvalidInput.of(Fault((name,), "range", message, expected))


def _file_headers(what: str, job_id: str, media_type: str) -> dict[str, str]:
    ending = {CSV: "csv", NDJSON: "ndjson", PARQUET: "parquet"}[media_type]
    return {"Content-Disposition": f'attachment; filename="{what}-{job_id[:8]}.{ending}"', **_VARY}


def _rejects_csv(parts: Iterable[list[Reject]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", "line", "field", "code", "message", "expected", "got"])
    for rejects in parts:
        writer.writerows(list(reject.to_dict().values()) for reject in rejects)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _rejects_ndjson(parts: Iterable[list[Reject]]) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    for rejects in parts:
        yield encoder.encode_lines([reject.to_dict() for reject in rejects])
