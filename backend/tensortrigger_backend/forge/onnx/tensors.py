"""Does a tensor of an ONNX file hold what it declares, and within the file?"""

from __future__ import annotations

import math
from typing import Any, Final

import onnx

from tensortrigger_backend.forge.limits import Limits

_KINDS: Final = onnx.TensorProto
_ITEM_BYTES: Final = {
    _KINDS.FLOAT: 4,
    _KINDS.DOUBLE: 8,
    _KINDS.INT8: 1,
    _KINDS.UINT8: 1,
    _KINDS.INT16: 2,
    _KINDS.UINT16: 2,
    _KINDS.INT32: 4,
    _KINDS.UINT32: 4,
    _KINDS.INT64: 8,
    _KINDS.UINT64: 8,
    _KINDS.BOOL: 1,
    _KINDS.FLOAT16: 2,
    _KINDS.BFLOAT16: 2,
    _KINDS.COMPLEX64: 8,
    _KINDS.COMPLEX128: 16,
}
_AGAIN: Final = "export the model again"
_TYPED: Final = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def check_tensor(tensor: Any, limits: Limits) -> tuple[str, str, str] | None:
    """Code, message and remedy of what is wrong with it, or None."""
    name = tensor.name[:100]
    if tensor.external_data or tensor.data_location == _KINDS.EXTERNAL:
        return (
            "external_data",
            f"the tensor '{name}' has its numbers in another file",
            "save the model with onnx.save_model(..., save_as_external_data=False)",
        )
    if tensor.HasField("segment"):
        return "corrupt_onnx", f"the tensor '{name}' is one part of a larger one", _AGAIN
    if any(length < 0 for length in tensor.dims) or len(tensor.dims) > 64:
        return "corrupt_onnx", f"the tensor '{name}' has no shape that a tensor can have", _AGAIN
    count = math.prod(tensor.dims)
    if tensor.data_type == _KINDS.STRING:
        held, declared = len(tensor.string_data), count
    elif tensor.HasField("raw_data"):
        item = _ITEM_BYTES.get(tensor.data_type)
        if item is None:
            return "unknown_dtype", f"the tensor '{name}' is of a dtype that is not served here", _AGAIN
        held, declared = len(tensor.raw_data), count * item
    else:
        # Complex numbers are two of the typed values; half a byte each are those of four bits.
        held = sum(len(getattr(tensor, field)) for field in _TYPED)
        declared = count * (2 if tensor.data_type in (_KINDS.COMPLEX64, _KINDS.COMPLEX128) else 1)
        if tensor.data_type not in _ITEM_BYTES:
            return "unknown_dtype", f"the tensor '{name}' is of a dtype that is not served here", _AGAIN
    if declared > limits.tensor_bytes:
        return "too_large", f"the tensor '{name}' declares {declared} bytes", "publish a smaller model"
    if held != declared:
        message = f"the tensor '{name}' declares {declared} bytes or values and holds {held}"
        return "weights_mismatch", message, _AGAIN
    return None
