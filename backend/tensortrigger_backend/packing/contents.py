"""What lies in the model folder of a package, and how does it become a version of a server again?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tensortrigger_backend.domain.access import LOCAL_OWNER
from tensortrigger_backend.domain.contents import content_key
from tensortrigger_backend.domain.metadata import Metadata
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict, Repair
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature

MODEL: Final = "model.json"
RECEIPT: Final = "receipt.json"
SERVABLE: Final = "servable"
EXAMPLE: Final = "example.npz"


class BadPackage(Exception):
    """The model folder is not what ``tt package`` writes."""


def read_version(folder: Path) -> tuple[ModelVersion, ForgeVerdict]:
    """The version in a model folder, and the forge's verdict on it.

    Its servable, and the example where there is one, lie beside as files of their own.

    Raises:
        BadPackage: a file is missing or makes no sense.
    """
    try:
        model = json.loads((folder / MODEL).read_bytes())
        receipt = json.loads((folder / RECEIPT).read_bytes()) if (folder / RECEIPT).exists() else None
        example = model.get("packaged", {}).get("example_sha256")
        return _version(model, receipt, example), _verdict(model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadPackage(f"{folder} holds no packaged model: {error}.") from error


def _version(
    model: Mapping[str, Any], receipt: Mapping[str, Any] | None, example: str | None
) -> ModelVersion:
    return ModelVersion(
        model_id=model["model_id"],
        owner=LOCAL_OWNER,
        name=model["name"],
        title=model["model_name"],
        description=model["model_description"],
        state=VersionState.RECEIVED,
        # The original bytes are not in the package: nobody who only serves a model needs to trust them.
        source_key=content_key(model["sha256"]),
        source_sha256=model["sha256"],
        size=model["size"],
        created=datetime.fromisoformat(model["created"]).timestamp(),
        schema=VectorSchema.parse(model["model_schema"]) if model.get("model_schema") else None,
        version=model["version"],
        servable_key=content_key(model["servable_sha256"]),
        servable_sha256=model["servable_sha256"],
        metadata=Metadata(
            model.get("tags") or {},
            model.get("metrics") or {},
            model.get("author"),
            model.get("notebook"),
            model.get("git_commit"),
        ),
        wanted_alias=model.get("packaged", {}).get("alias"),
        receipt=receipt,
        example_key=content_key(example) if example else None,
    )


def _verdict(model: Mapping[str, Any]) -> ForgeVerdict:
    return ForgeVerdict(
        accepted=True,
        format=model.get("format") or "",
        signature=Signature.from_dict(model["signature"]),
        engine=model["engine"],
        engine_reason=model.get("engine_reason"),
        max_deviation=model.get("max_deviation"),
        parameters=model.get("parameters"),
        versions=model.get("versions") or {},
        stages=model.get("stages") or {},
        repairs=tuple(Repair(**repair) for repair in model.get("repairs") or ()),
        checks=tuple(model.get("checks") or ()),
    )
