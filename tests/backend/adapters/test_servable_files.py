"""A servable comes from a process that opened what others made: opening it reads no other file, and nothing swells."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tensortrigger_backend.adapters.artifact_file import MANIFEST, copy_member, read_manifest, read_member
from tensortrigger_backend.adapters.engine_onnx import OnnxServable
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

SECRET = b"sixteen bytes of"
SIGNATURE = Signature((TensorSpec("x", "uint8", (-1, 16)),), (TensorSpec("y", "uint8", (-1, 16)),))


def graph(outside: str | None, constant: bool) -> bytes:
    """x + w, where w is 16 bytes of the graph's own or of a file that it names."""
    weights = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[1, 16])
    if outside is None:
        weights.raw_data = SECRET
    else:
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=outside)
    x, y = (helper.make_tensor_value_info(name, TensorProto.UINT8, [None, 16]) for name in "xy")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weights))
    made = helper.make_graph(nodes, "g", [x], [y], [] if constant else [weights])
    opset = [helper.make_opsetid("", 14)]
    data: bytes = helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()
    return data


@pytest.mark.parametrize("constant", [False, True])
def test_a_graph_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: bool) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "secret").write_bytes(SECRET)
    for outside in ("secret", "../secret", str(tmp_path / "secret")):
        with pytest.raises(Unavailable, match="cannot be opened"):
            OnnxServable(graph(outside, constant), SIGNATURE)
    servable = OnnxServable(graph(None, constant), SIGNATURE)
    answered = servable.infer({"x": np.zeros((1, 16), np.uint8)})
    servable.close()
    assert answered["y"].tobytes() == SECRET


def test_a_member_that_swells_is_not_read(tmp_path: Path) -> None:
    artifact = tmp_path / "servable"
    with zipfile.ZipFile(artifact, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(1 << 20))
    for read in (
        lambda: read_manifest(artifact),
        lambda: read_member(artifact, MANIFEST),
        lambda: copy_member(artifact, MANIFEST, tmp_path / "copy"),
    ):
        with pytest.raises(Unavailable, match="damaged"):
            read()
