"""An example comes back from its file as it went in, and nothing but plain arrays is ever read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tensortrigger_backend.adapters import example_file
from tensortrigger_backend.adapters.engine_versions import installed_engine
from tensortrigger_backend.adapters.example_file import encode_example, forge_sample, read_example
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.receipts import Example, tensors_sha256


def test_an_example_comes_back_as_it_was(tmp_path: Path) -> None:
    example = Example(
        {
            "x": np.array([[1.5, np.nan]], np.float32),
            "file": np.array([["Zürich"]], object),
            "self": np.array([[True]]),
        },
        {"scores/0": np.array([[1]], np.int64), "word": np.array([[b"a"]], object)},
    )
    path = tmp_path / "example"
    path.write_bytes(encode_example(example))
    for source in (path, io.BytesIO(path.read_bytes())):
        back = read_example(source)
        assert tensors_sha256(back.inputs) == tensors_sha256(example.inputs)
        assert tensors_sha256(back.outputs) == tensors_sha256(example.outputs)
    assert back.rows == 1


def test_a_pickle_in_it_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "example"
    with path.open("wb") as stream:
        np.savez(stream, **{"in/x": np.array([object()]), "out/y": np.zeros(1)}, allow_pickle=True)
    with pytest.raises(Unavailable, match="damaged"):
        read_example(path)


def test_what_inflates_beyond_the_limit_is_not_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "example"
    path.write_bytes(encode_example(Example({"x": np.zeros(10_000)}, {"y": np.zeros(1)})))
    read_example(path)
    monkeypatch.setattr(example_file, "LIMIT", 50_000)
    with pytest.raises(Unavailable, match="larger than it may be"):
        read_example(path)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "example"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="damaged"):
        read_example(path)


def test_a_member_that_is_no_array_is_told(tmp_path: Path) -> None:
    path = tmp_path / "example"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("in/x.npy", b"not an array")
        archive.writestr("out/y.npy", b"")
    with pytest.raises(Unavailable, match="damaged"):
        read_example(path)


def test_the_forges_sample_lies_beside_the_servable() -> None:
    assert forge_sample(Path("/work/servable")) == Path("/work/servable.example")


def test_the_engines_that_are_installed_have_versions() -> None:
    import onnxruntime

    assert installed_engine("onnxruntime") == onnxruntime.__version__
    assert installed_engine("abacus") == "not installed"
