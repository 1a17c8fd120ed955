"""Large files go over in pieces, and on from where the connection broke."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import artifacts, errors
from tensortrigger_lab.artifacts import Artifact, artifact_of
from tensortrigger_lab.calls import uploads
from tensortrigger_lab.client import Client

CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40
UPLOAD = "/models/uploads/u1"


class Uploads:
    """The backend's side of one upload: keeps what arrives, even of a request that then breaks."""

    def __init__(self, api: Any) -> None:
        self.held = b""
        self.breaks: list[Callable[[bytes], httpx.Response]] = []
        self.offsets: list[int] = []
        api.on("POST", "/models/uploads", {"upload_id": "u1", "offset": 0})
        api.on("PUT", UPLOAD, self.put)
        api.on("GET", UPLOAD, lambda _: httpx.Response(200, json={"offset": len(self.held)}))

    def put(self, request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        self.offsets.append(offset)
        if offset != len(self.held):
            return httpx.Response(409, json={"http_code": 409, "message": "no", "offset": len(self.held)})
        if self.breaks:
            return self.breaks.pop(0)(request.content)
        self.held += request.content
        return httpx.Response(200, json={"upload_id": "u1", "offset": len(self.held)})

    def breaks_after(self, count: int) -> Callable[[bytes], httpx.Response]:
        def broken(content: bytes) -> httpx.Response:
            self.held += content[:count]
            raise httpx.ReadError("reset")

        return broken


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PIECE", 1000)
    monkeypatch.setattr(artifacts, "DIRECT", 5000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "large.h5"
    path.write_bytes(CONTENT)
    return path


def test_every_piece_arrives_once_and_is_told(api: Any, client: Client, path: Path) -> None:
    side, told = Uploads(api), []
    found = client.upload(Artifact(path), lambda done, total: told.append((done, total)))
    assert side.held == CONTENT
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert api.body("/models/uploads") == {"size": len(CONTENT), "sha256": found.sha256}
    assert told[0] == (1000, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_is_taken_up_where_it_broke(api: Any, client: Client, path: Path) -> None:
    side = Uploads(api)
    side.breaks = [side.breaks_after(0), side.breaks_after(300), side.breaks_after(1000)]
    client.upload(Artifact(path))
    assert side.held == CONTENT
    assert side.offsets[:4] == [0, 0, 300, 1300]


def test_what_the_backend_says_it_has_is_believed(api: Any, client: Client, path: Path) -> None:
    side = Uploads(api)
    side.held = CONTENT[:2500]
    client.upload(Artifact(path))
    assert side.held == CONTENT
    assert side.offsets[:2] == [0, 2500]


def test_it_is_given_up_where_nothing_arrives_any_more(api: Any, client: Client, path: Path) -> None:
    side = Uploads(api)
    side.breaks = [side.breaks_after(0)] * 50
    with pytest.raises(errors.NotReachable):
        client.upload(Artifact(path))
    assert len(side.offsets) == uploads.BREAKS + 1


def test_a_refusal_is_no_break(api: Any, client: Client, path: Path, shapes: Any) -> None:
    side = Uploads(api)
    api.on("PUT", UPLOAD, shapes.problem(413, "Too large."))
    with pytest.raises(errors.PayloadTooLarge):
        client.upload(Artifact(path))
    assert side.held == b""


def test_a_large_file_is_published_by_its_upload_and_a_small_one_in_the_request(
    api: Any, client: Client, path: Path, shapes: Any
) -> None:
    side = Uploads(api)
    api.on("POST", "/models/new", {"model": shapes.model()})
    api.on("GET", "/models", {"models": [], "next_cursor": None})
    tt.publish(path, "churn", client=client)
    large = api.body("/models/new")
    assert side.held == CONTENT
    assert (large["upload_id"], large["sha256"]) == ("u1", hashlib.sha256(CONTENT).hexdigest())
    assert "model_content" not in large
    path.write_bytes(CONTENT[:4000])
    tt.publish(path, "churn", client=client)
    small = api.body("/models/new")
    assert base64.b64decode(small["model_content"]) == CONTENT[:4000]
    assert "upload_id" not in small
    assert len(api.asked("/models/uploads")) == 1


def test_a_saved_models_folder_is_packed_and_nothing_stays_behind(
    api: Any, client: Client, tmp_path: Path, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zipfile
    from io import BytesIO

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "x").write_bytes(b"no")
    (folder / "link").symlink_to(folder / "saved_model.pb")
    with artifact_of(folder) as packed:
        archive = zipfile.ZipFile(BytesIO(packed.content))
        assert sorted(archive.namelist()) == ["saved_model.pb", "variables/variables.index"]
        assert archive.read("saved_model.pb") == b"graph"
    assert list((tmp_path / "temporary").iterdir()) == []
    (folder / "saved_model.pb").unlink()
    with pytest.raises(errors.BadInput, match=r"holds no saved_model\.pb"):
        artifact_of(folder)


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("m.onnx", b"\x08\x09"),
        ("m.tar.gz", b"\x1f\x8b\x08"),
        ("m.keras", b"PK\x03\x04"),
        ("m.tar", b"\0" * 257 + b"ustar"),
    ],
)
def test_every_format_is_told_by_its_bytes(tmp_path: Path, name: str, begin: bytes) -> None:
    (tmp_path / name).write_bytes(begin)
    assert artifact_of(tmp_path / name).content == begin


def test_a_file_that_shrinks_meanwhile_is_not_sent_as_if_it_were_whole(path: Path) -> None:
    found = Artifact(path)
    path.write_bytes(CONTENT[:6000])
    with pytest.raises(errors.BadInput, match="became shorter"):
        found.piece(5500, 1000)


def test_json_never_holds_a_large_file(api: Any, client: Client, path: Path, shapes: Any) -> None:
    Uploads(api)
    api.on("POST", "/models/new", {"model": shapes.model()})
    tt.publish(path, "churn", client=client)
    assert all(len(request.content) <= 1000 for request in api.requests)
    assert json.loads(api.asked("/models/new")[0].content)["upload_id"] == "u1"
