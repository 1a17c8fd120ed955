"""What the forge is asked to do with an upload, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.tensors import Signature

ATOL = 1e-5
RTOL = 1e-4
"""A servable answers as the original does when |y - y0| <= ATOL + RTOL |y0|, element by element."""

ONNX = "onnxruntime"
TENSORFLOW = "tensorflow"
ENGINES = (ONNX, TENSORFLOW)
"""Names of the engines, as the metadata of a version shows them."""

FORMATS = ("hdf5", "keras", "saved_model", "onnx")
"""What an upload may be."""


@dataclass(frozen=True, slots=True)
class ForgeOrder:
    """What the declared schema demands of the model: vector lengths, None where nothing was declared.

    Attributes:
        input_names: names of the schema's inputs in index order; empty when the signature is to be inferred.
        output_names: names of the schema's outputs in index order; empty when none was declared.
    """

    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"input_names": list(self.input_names), "output_names": list(self.output_names)}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> ForgeOrder:
        return cls(tuple(members["input_names"]), tuple(members["output_names"]))


@dataclass(frozen=True, slots=True)
class Repair:
    """A change that was made to an upload's config so that it loads, and where in it."""

    path: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message}


@dataclass(frozen=True, slots=True)
class ForgeVerdict:
    """The forge's report on one upload: it was ``accepted`` and a servable was written, or the faults say why not.

    Attributes:
        format: ``hdf5``, ``keras``, ``saved_model`` or ``onnx``; empty when the bytes are none of these.
        engine: which engine serves it; ``engine_reason`` says why where that is not ONNX Runtime.
        max_deviation: the largest |y - y0| seen between the servable and ``model.predict`` of the original.
        versions: package name to version, of what the servable was made and verified with.
        stages: name of each stage to the seconds it took, in order.
        repairs: what was changed in the upload's config before it was loaded.
        checks: what was looked at, one sentence each.
    """

    accepted: bool
    faults: tuple[Fault, ...] = ()
    format: str = ""
    signature: Signature | None = None
    engine: str = ""
    engine_reason: str | None = None
    max_deviation: float | None = None
    parameters: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()
    checks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "faults": [fault.to_dict() for fault in self.faults],
            "format": self.format,
            "signature": self.signature.to_dict() if self.signature else None,
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "max_deviation": self.max_deviation,
            "parameters": self.parameters,
            "versions": dict(self.versions),
            "stages": dict(self.stages),
            "repairs": [repair.to_dict() for repair in self.repairs],
            "checks": list(self.checks),
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> ForgeVerdict:
        faults = tuple(
            Fault(
                tuple(fault["loc"]),
                fault["code"],
                fault["message"],
                fault.get("expected"),
                fault.get("got"),
                fault.get("row"),
                fault.get("remedy"),
            )
            for fault in members["faults"]
        )
        signature = members.get("signature")
        return cls(
            accepted=bool(members["accepted"]),
            faults=faults,
            format=members["format"],
            signature=Signature.from_dict(signature) if signature else None,
            engine=members["engine"],
            engine_reason=members.get("engine_reason"),
            max_deviation=members.get("max_deviation"),
            parameters=members.get("parameters"),
            versions=members["versions"],
            stages=members["stages"],
            repairs=tuple(Repair(**repair) for repair in members.get("repairs", ())),
            checks=tuple(members.get("checks", ())),
        )
