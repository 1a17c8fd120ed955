"""The bodies and parameters of scoring jobs, as OpenAPI 3.1 shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tensortrigger_backend.api.answers import Answered
from tensortrigger_backend.domain.upload_format import MEDIA_TYPES
from tensortrigger_backend.domain.upload_text import ENCODINGS

TEMPLATE = "#/components/schemas/{model}"

_KEEP = "Columns of the rows that the results carry through."
PRIORITY = "Of your jobs, those with the higher number go first."
_DELIMITER = "Between the fields of a CSV: one character, or `tab`."
_ENCODING = "In which the text was written: " + ", ".join(ENCODINGS) + "."
WEBHOOK = "An address that is told when the job has ended."


class JobOrdered(BaseModel):
    """What every order of a scoring job may say."""

    model_config = ConfigDict(protected_namespaces=())
    model_id: str | None = None
    model: str | None = Field(
        default=None,
        description="`name` (its `production` alias, else its latest version), `name@alias` or `name/3`.",
    )
    keep: list[str] | str | None = Field(default=None, description=_KEEP)
    priority: int = Field(default=5, ge=0, le=9, description=PRIORITY)
    delimiter: str = Field(default=",", description=_DELIMITER)
    encoding: str = Field(default="utf-8", description=_ENCODING)
    webhook: str | None = Field(default=None, description=WEBHOOK)


class ScoreRequest(JobOrdered):
    """Rows to score in the background."""

    input_data: str = Field(
        description="`data:text/csv;base64,...`, or with the media type of NDJSON, Parquet or Arrow."
    )


class FileOfSource(BaseModel):
    """A file of a configured source."""

    name: str = Field(description="One of GET /jobs/sources.")
    key: str = Field(description="The file below it: `folder/file.csv`.")


class FetchRequest(JobOrdered):
    """Rows that lie elsewhere, for a worker to fetch: one of `source` and `upload_id`."""

    source: FileOfSource | None = None
    upload_id: str | None = Field(default=None, description="What POST /jobs/uploads gave.")
    row_format: Literal["csv", "ndjson", "parquet", "arrow"] | None = Field(
        default=None, description="Left out: by the ending of the key, else csv."
    )


class UploadInvitation(Answered):
    """Leave to upload rows by URL."""

    upload_id: str
    url: str
    method: Literal["PUT"]
    expires: str


class SourcesAnswer(Answered):
    """Names of the configured sources."""

    sources: list[str]


def rows_or(shape: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's ``requestBody`` for rows of any format, or a JSON body of this shape."""
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES}
    content["application/json"] = {"schema": {"$ref": TEMPLATE.format(model=shape.__name__)}}
    return {"requestBody": {"required": True, "content": content}}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


ROWS_PARAMETERS = [
    _parameter("model", "`name`, `name@alias` or `name/3`.", {"type": "string"}),
    _parameter("model_id", "The id of a version.", {"type": "string"}),
    _parameter(
        "keep", _KEEP + " With commas between, or repeated.", {"type": "array", "items": {"type": "string"}}
    ),
    _parameter("priority", PRIORITY, {"type": "integer", "minimum": 0, "maximum": 9, "default": 5}),
    _parameter("delimiter", _DELIMITER, {"type": "string", "default": ","}),
    _parameter("encoding", _ENCODING, {"type": "string", "default": "utf-8"}),
    _parameter("webhook", WEBHOOK, {"type": "string"}),
    {
        "name": "Content-Encoding",
        "in": "header",
        "required": False,
        "description": "`gzip`, where the rows are packed; packed text is known by itself too.",
        "schema": {"type": "string", "enum": ["gzip", "identity"]},
    },
]
