"""Do tensors cross a pipe unchanged, and is anything else refused?"""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from tensortrigger_backend.adapters.tensor_frames import BrokenFrame, read_frame, write_frame

KINDS = ["float32", "float64", "float16", "int8", "int64", "uint8", "bool"]


def test_every_dtype_and_shape_comes_back_equal() -> None:
    tensors = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in KINDS}
    tensors |= {
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 4), np.float32),
        "turned": np.eye(3)[:, ::-1].T,
    }
    stream = io.BytesIO()
    write_frame(stream, {"do": "infer"}, tensors)
    stream.seek(0)
    header, back = read_frame(stream)
    assert header == {"do": "infer"}
    assert list(back) == list(tensors)
    for name, array in tensors.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array)


def test_texts_of_any_script_and_length_come_back_equal() -> None:
    texts = np.array([["", "Zürich"], ["日本", "a\0b\nc"]], dtype=object)
    stream = io.BytesIO()
    write_frame(stream, {}, {"texts": texts})
    stream.seek(0)
    assert read_frame(stream)[1]["texts"].tolist() == texts.tolist()


def frame(described: object, payload: bytes = b"") -> io.BytesIO:
    header = json.dumps({"tensors": described}).encode()
    return io.BytesIO(struct.pack("<I", len(header)) + header + payload)


@pytest.mark.parametrize(
    "stream",
    [
        io.BytesIO(b""),
        io.BytesIO(struct.pack("<I", 1 << 30)),
        io.BytesIO(struct.pack("<I", 4) + b"nope"),
        frame("x"),
        frame([{"name": "x", "dtype": "object", "shape": [1], "nbytes": 8}], bytes(8)),
        frame([{"name": "x", "dtype": "float32", "shape": [2], "nbytes": 4}], bytes(4)),
        frame([{"name": "x", "dtype": "float32", "shape": [-1], "nbytes": 4}], bytes(4)),
        frame([{"name": "x", "dtype": "float32", "shape": [1], "nbytes": 4}], bytes(3)),
        frame([{"name": "x", "dtype": "string", "shape": [2], "nbytes": 8}], b"\xff" * 8),
    ],
)
def test_what_is_no_frame_is_refused(stream: io.BytesIO) -> None:
    with pytest.raises(BrokenFrame):
        read_frame(stream)
