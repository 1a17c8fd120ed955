"""Native API: answer vectors, batches and tensors."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.reading import HEAVY, known_members, sized_json_object, text_member
from tensortrigger_backend.api.shapes import PROBLEMS, RunAnswer, RunBatchRequest, RunRequest, takes
from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.inference import Answer, aside

router = APIRouter(tags=["run"], responses=PROBLEMS)

RUN = "/tensor/run"
RUN_BATCH = "/tensor/run/batch"


@router.post(RUN, openapi_extra=takes(RunRequest), responses={200: {"model": RunAnswer}})
async def run(request: Request, core: CoreOf, caller: Caller) -> Response:
    """One vector by name or in schema order, or `inputs` for models that take tensors."""
    return await _run(request, core, caller, "input_vector")


@router.post(RUN_BATCH, openapi_extra=takes(RunBatchRequest), responses={200: {"model": RunAnswer}})
async def run_batch(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Several vectors at once, or `inputs` for models that take tensors."""
    return await _run(request, core, caller, "input_vectors")


async def _run(request: Request, core: Core, caller: Principal, vectors: str) -> Response:
    body, size = await sized_json_object(request, request.app.state.settings.max_json)
    heavy = size > HEAVY
    known_members(body, "model_id", "model", vectors, "inputs")
    resident = await core.inference.resident(
        caller, text_member(body, "model_id"), text_member(body, "model")
    )
    given = [name for name in (vectors, "inputs") if body.get(name) is not None]
    if len(given) != 1:
        raise InvalidInput.of(
            Fault(
                (vectors,),
                "missing" if not given else "ambiguous",
                f"Send either {vectors!r} or 'inputs'.",
                f"one of {vectors}, inputs",
                " and ".join(given) or "neither",
            )
        )
    if given == ["inputs"]:
        answer = await core.inference.run_tensors(resident, body["inputs"])
    elif vectors == "input_vector":
        answer = await core.inference.run_vector(resident, body[vectors])
    else:
        answer = await core.inference.run_vectors(resident, body[vectors], heavy)
    return Response(await aside(heavy, encode_answer, answer), media_type="application/json")


def encode_answer(answer: Answer) -> bytes:
    """The native API's answer to a run."""
    members: dict[str, Any] = {"http_code": 200, "output": answer.output, "model_id": answer.model_id}
    if answer.non_finite:
        members["non_finite"] = answer.non_finite
    return msgspec.json.encode(members)
