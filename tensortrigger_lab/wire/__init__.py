"""The shapes of the REST API's requests and answers, and how the latter are read; stands alone.

This is the contents page: inside the package each module is imported by its own name.
"""

from tensortrigger_lab.wire.jobs import JobProgress, JobRecord, Reject, TrainedVersion, TrainingRecord
from tensortrigger_lab.wire.models import (
    FieldSchema,
    ModelRecord,
    ModelReference,
    ModelSchema,
    Parent,
    Signature,
    TensorSpec,
    VectorSide,
    names_in_order,
)
from tensortrigger_lab.wire.problems import Fault, Problem
from tensortrigger_lab.wire.reading import WireError, listed, mapping, member, number, text, whole
from tensortrigger_lab.wire.runs import PointRecord, RunReceipt, RunRecord

__all__ = [
    "Fault",
    "FieldSchema",
    "JobProgress",
    "JobRecord",
    "ModelRecord",
    "ModelReference",
    "ModelSchema",
    "Parent",
    "PointRecord",
    "Problem",
    "Reject",
    "RunReceipt",
    "RunRecord",
    "Signature",
    "TensorSpec",
    "TrainedVersion",
    "TrainingRecord",
    "VectorSide",
    "WireError",
    "listed",
    "mapping",
    "member",
    "names_in_order",
    "number",
    "text",
    "whole",
]
