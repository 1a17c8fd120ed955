"""How do tensors cross a pipe? A length, a small JSON header, then each tensor's raw little-endian bytes.

    frame  = uint32 length of header, header (UTF-8 JSON), payloads
    header = {..., "tensors": [{"name", "dtype", "shape", "nbytes"}, ...]}

Text tensors travel as uint32 byte lengths, then the UTF-8 bytes of all of them. There is no pickle anywhere.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[Any]]

_HEADER_LIMIT = 1 << 20
_PAYLOAD_LIMIT = 1 << 31
_KINDS = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} | {
    "float16",
    "float32",
    "float64",
}


class BrokenFrame(Exception):
    """The other side left, or what it wrote is no frame."""


def write_frame(stream: BinaryIO, header: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write one frame and flush it.

    Raises:
        BrokenFrame: the other side is gone.
    """
    described, payloads = [], []
    for name, array in tensors.items():
        dtype, payload = _payload(array)
        described.append({"name": name, "dtype": dtype, "shape": list(array.shape), "nbytes": len(payload)})
        payloads.append(payload)
    encoded = json.dumps({**header, "tensors": described}).encode()
    try:
        stream.write(struct.pack("<I", len(encoded)) + encoded)
        for payload in payloads:
            stream.write(payload)
        stream.flush()
    except (OSError, ValueError) as error:
        raise BrokenFrame(str(error)) from error


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], Tensors]:
    """Read one frame: its header without the tensors, and the tensors, writable by nobody.

    Raises:
        BrokenFrame: the stream ended, or holds something else.
    """
    (length,) = struct.unpack("<I", _exactly(stream, 4))
    if length > _HEADER_LIMIT:
        raise BrokenFrame(f"a header of {length} bytes")
    try:
        header = json.loads(_exactly(stream, length))
        described = header.pop("tensors")
        tensors = {str(tensor["name"]): _read_tensor(stream, tensor) for tensor in described}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenFrame(f"not a frame: {error}") from error
    return header, tensors


def _payload(array: npt.NDArray[Any]) -> tuple[str, memoryview]:
    if array.dtype.kind in "OSU":
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.ravel().tolist()]
        lengths = np.fromiter((len(text) for text in texts), dtype="<u4", count=len(texts))
        return "string", memoryview(lengths.tobytes() + b"".join(texts))
    # ascontiguousarray makes a scalar a vector of one, so the shape is taken from the original.
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.dtype.name, little.reshape(-1).view(np.uint8).data


def _read_tensor(stream: BinaryIO, described: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype, nbytes = str(described["dtype"]), int(described["nbytes"])
    shape = tuple(int(length) for length in described["shape"])
    if any(length < 0 for length in shape) or not 0 <= nbytes <= _PAYLOAD_LIMIT:
        raise BrokenFrame(f"a tensor of shape {shape} and {nbytes} bytes")
    count = math.prod(shape)
    if dtype == "string":
        return _read_texts(_exactly(stream, nbytes), count).reshape(shape)
    if dtype not in _KINDS:
        raise BrokenFrame(f"a tensor of dtype {dtype!r}")
    kind = np.dtype(dtype).newbyteorder("<")
    if nbytes != count * kind.itemsize:
        raise BrokenFrame(f"{nbytes} bytes for shape {shape} of {dtype}")
    array = np.frombuffer(_exactly(stream, nbytes), dtype=kind)
    return array.astype(np.dtype(dtype), copy=False).reshape(shape)


def _read_texts(payload: bytes, count: int) -> npt.NDArray[Any]:
    if len(payload) < 4 * count:
        raise BrokenFrame("a text tensor that is cut short")
    texts = np.empty(count, dtype=object)
    start = 4 * count
    for index, length in enumerate(np.frombuffer(payload, dtype="<u4", count=count).tolist()):
        texts[index] = payload[start : start + length].decode("utf-8", "replace")
        start += length
    if start != len(payload):
        raise BrokenFrame("a text tensor whose lengths do not add up")
    return texts


def _exactly(stream: BinaryIO, count: int) -> bytes:
    try:
        piece = stream.read(count)
    except (OSError, ValueError) as error:
        raise BrokenFrame(str(error)) from error
    if piece is None or len(piece) != count:
        raise BrokenFrame("the stream ended")
    return piece
