"""Which stored value belongs to which variable or table? Read from the saver's graph, which is never run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tensortrigger_backend.forge.saved_model.calls import Calls, Frame
from tensortrigger_backend.forge.saved_model.ops import TABLES, VARIABLES

_ASSIGNING = frozenset({"Assign", "AssignVariableOp"})
_IMPORTING = frozenset({"LookupTableImport", "LookupTableImportV2"})


@dataclass(frozen=True, slots=True)
class Stored:
    """A value in the checkpoint, or a part of one.

    Attributes:
        part: ``(start, length)`` for each axis; empty for the whole.
    """

    key: str
    part: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Restoring:
    """Node name to what is stored for it: one value a variable, keys and values a table."""

    variables: dict[str, Stored] = field(default_factory=dict)
    tables: dict[str, tuple[Stored, Stored]] = field(default_factory=dict)


def restoring(calls: Calls, saver: str) -> Restoring:
    """What the saver's node would put where.

    Raises:
        Refused: the saver runs more nodes than any saver does.
    """
    found = Restoring()
    for node, frame in calls.run_by([saver]):
        if node.op in _ASSIGNING and len(node.input) >= 2:
            target = _held(calls, node.input[0], frame, VARIABLES)
            value = _stored(calls, node.input[1], frame)
            if target and value:
                found.variables[target] = value
        elif node.op in _IMPORTING and len(node.input) >= 3:
            target = _held(calls, node.input[0], frame, TABLES)
            keys, values = (_stored(calls, name, frame) for name in node.input[1:3])
            if target and keys and values:
                found.tables[target] = (keys, values)
    return found


def _held(calls: Calls, reference: str, frame: Frame | None, kinds: frozenset[str]) -> str:
    origin = calls.origin(reference, frame)
    if origin is None or origin.frame is not None or origin.node.op not in kinds:
        return ""
    return str(origin.node.name)


def _stored(calls: Calls, reference: str, frame: Frame | None) -> Stored | None:
    origin = calls.origin(reference, frame)
    if origin is None or origin.node.op != "RestoreV2" or len(origin.node.input) < 3:
        return None
    keys = _texts(calls, origin.node.input[1], origin.frame)
    parts = _texts(calls, origin.node.input[2], origin.frame)
    if origin.index >= len(keys):
        return None
    part = parts[origin.index] if origin.index < len(parts) else ""
    return Stored(keys[origin.index], _part(part))


def _texts(calls: Calls, reference: str, frame: Frame | None) -> list[str]:
    origin = calls.origin(reference, frame)
    if origin is None or origin.node.op != "Const":
        return []
    tensor: Any = origin.node.attr["value"].tensor
    texts = [text.decode("utf-8", "replace") for text in tensor.string_val]
    length = tensor.tensor_shape.dim[0].size if len(tensor.tensor_shape.dim) == 1 else len(texts)
    # A constant that ends in equal values writes the last of them once.
    if texts and len(texts) < length <= 1_000_000:
        texts += [texts[-1]] * (length - len(texts))
    return texts


def _part(described: str) -> tuple[tuple[int, int], ...]:
    """``10 4 0,5:-`` is the first five rows of a (10, 4): whole lengths, then start and length of each axis."""
    words = described.split()
    if not words:
        return ()
    lengths, axes = words[:-1], words[-1].split(":")
    if len(lengths) != len(axes) or not all(length.isdecimal() for length in lengths):
        return ()
    part = []
    for length, axis in zip(lengths, axes, strict=True):
        start, _, size = axis.partition(",")
        part.append((int(start), int(size)) if start.isdecimal() and size.isdecimal() else (0, int(length)))
    return tuple(part)
