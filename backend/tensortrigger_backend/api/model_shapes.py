"""The bodies about models and their aliases, as OpenAPI 3.1 shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tensortrigger_backend.api.answers import Answered


class FieldEntry(BaseModel):
    """One named value of a vector; outputs take `var_type` INT or FLOAT and `index` only."""

    model_config = ConfigDict(extra="forbid")
    var_type: str = Field(description="INT, FLOAT, BOOL or STRING, any case.")
    index: int = Field(ge=0, description="Place in the vector.")
    min: float | None = Field(default=None, description="INT, FLOAT: the least value taken.")
    max: float | None = Field(default=None, description="INT, FLOAT: the largest value taken.")
    allowed: list[float] | None = Field(default=None, description="INT, FLOAT: the only values taken.")
    categories: list[str] | dict[str, float] | None = Field(
        default=None, description="STRING: its texts, encoded by their place, or each with its number."
    )
    unknown: float | None = Field(
        default=None, description="STRING: the number of any other text; left out, such a text is refused."
    )
    nullable: bool | None = Field(default=None, description="Whether null and a missing value are taken.")
    fill: bool | float | str | None = Field(
        default=None, description="What null stands for; needed where `nullable` is true."
    )


class SchemaSides(BaseModel):
    """Names and places of a model's inputs and, if wanted, outputs."""

    input_schema: dict[str, FieldEntry]
    output_schema: dict[str, FieldEntry] | None = None


class NewModel(BaseModel):
    """An upload."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "model_name": "Churn",
                "model_description": "Leaves within a month?",
                "model_content": "data:application/octet-stream;base64,iUhERg0KGgo...",
                "model_schema": {
                    "tenure": {"var_type": "INT", "index": 0},
                    "charges": {"var_type": "FLOAT", "index": 1},
                },
            }
        },
    )
    model_name: str = Field(description="A human title; the name is made from it unless `name` is given.")
    model_description: str = ""
    model_content: str | None = Field(
        default=None,
        description="HDF5, .keras, a zip or tar of a SavedModel, or ONNX, as a data URL or bare base64.",
    )
    upload_id: str | None = Field(
        default=None, description="Of `POST /models/uploads`, instead of `model_content`."
    )
    sha256: str | None = Field(default=None, description="Of the bytes; others are refused.")
    model_schema: dict[str, FieldEntry] | SchemaSides | None = Field(
        default=None, description="Left out: the signature is inferred."
    )
    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    example: dict[str, Any] | None = Field(
        default=None,
        description="`inputs` and the `outputs` of the notebook's own model: the version becomes ready only "
        "when it answers alike. `versions` names the packages that answered.",
    )
    tags: dict[str, str] | None = None
    metrics: dict[str, float] | None = Field(default=None, description="Of the training; finite.")
    author: str | None = Field(default=None, max_length=256)
    notebook: str | None = Field(default=None, max_length=256)
    git_commit: str | None = Field(default=None, max_length=256)
    alias: str | None = Field(
        default=None, description="Moved to the version in the same transaction that makes it ready."
    )


class ModelChanges(BaseModel):
    """What of a version can be changed; what is left out stays."""

    description: str | None = None
    tags: dict[str, str] | None = Field(
        default=None, description="All of them: they replace the present ones."
    )


class AliasTarget(BaseModel):
    """Where an alias is to point: a version by its number or its id."""

    model_config = ConfigDict(protected_namespaces=())
    version: int | None = Field(default=None, ge=1)
    model_id: str | None = None
    expected_version: int | None = Field(
        default=None,
        description="Compare-and-set: 409 unless it points there now; null: unless there is no such alias.",
    )


class AliasCondition(BaseModel):
    """What a change of an alias expects to find."""

    expected_version: int | None = Field(default=None, description="409 unless it points there now.")


class AliasObject(BaseModel):
    """Where an alias points."""

    model_config = ConfigDict(protected_namespaces=())
    alias: str
    name: str
    version: int
    model_id: str
    moved: str
    moved_by: str = Field(description="Label or id of the key; `local` without keys.")


class AliasAnswer(Answered):
    """One alias."""

    alias: AliasObject


class AliasesAnswer(Answered):
    """All aliases of a model."""

    aliases: list[AliasObject]


class AliasMoveObject(BaseModel):
    """One entry of an alias's history."""

    model_config = ConfigDict(protected_namespaces=())
    version: int | None = Field(description="null: it was removed.")
    model_id: str | None
    previous_version: int | None
    action: Literal["published", "moved", "rolled_back", "removed"]
    moved: str
    moved_by: str


class AliasHistoryAnswer(Answered):
    """A page of an alias's history, newest first."""

    history: list[AliasMoveObject]
    next_cursor: str | None
