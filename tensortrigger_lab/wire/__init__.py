"""The shapes of the REST API's requests and answers, and how the latter are read; stands alone.

This is the contents page: inside the package each module is imported by its own name.
"""

from tensortrigger_lab.wire.aliases import AliasMove, AliasRecord
from tensortrigger_lab.wire.job_details import LogLine, PartitionRecord
from tensortrigger_lab.wire.jobs import JobProgress, JobRecord, Reject, TrainedVersion, TrainingRecord
from tensortrigger_lab.wire.models import (
    FieldSchema,
    ModelRecord,
    ModelReference,
    ModelSchema,
    Parent,
    Signature,
    TensorSpec,
    Value,
    VectorSide,
    names_in_order,
)
from tensortrigger_lab.wire.problems import Fault, Problem
from tensortrigger_lab.wire.reading import WireError, listed, mapping, member, number, text, whole
from tensortrigger_lab.wire.receipts import Receipt, ReceiptCheck, ReceiptNote, Repair
from tensortrigger_lab.wire.runs import PointRecord, RunReceipt, RunRecord

__all__ = [
    "AliasMove",
    "AliasRecord",
    "Fault",
    "FieldSchema",
    "JobProgress",
    "JobRecord",
    "LogLine",
    "ModelRecord",
    "ModelReference",
    "ModelSchema",
    "Parent",
    "PartitionRecord",
    "PointRecord",
    "Problem",
    "Receipt",
    "ReceiptCheck",
    "ReceiptNote",
    "Reject",
    "Repair",
    "RunReceipt",
    "RunRecord",
    "Signature",
    "TensorSpec",
    "TrainedVersion",
    "TrainingRecord",
    "Value",
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
