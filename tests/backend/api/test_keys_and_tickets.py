"""Who may do what: API keys, scopes, expiry and single-use tickets, over HTTP and from the command line."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def keys(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
    argv = [sys.executable, "-m", "tensortrigger_backend", "keys", *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(argv, capture_output=True, text=True, env=clean, check=False)


def create(data_dir: Path, *arguments: str) -> str:
    made = keys(data_dir, "create", *arguments)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def locked(start_server: Callable[..., Any], models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that demands keys, with keys of two owners and a model of the first."""
    data_dir = tmp_path_factory.mktemp("locked")
    alice, bob = create(data_dir, "--owner", "alice"), create(data_dir, "--owner", "bob")
    reader = create(data_dir, "--owner", "alice", "--scopes", "read")
    server = start_server(data_dir=data_dir)
    server.keys = {"alice": alice, "bob": bob, "reader": reader}
    server.client.headers.update(bearer(alice))
    server.published = server.publish(models / "churn.h5", "private").json()
    del server.client.headers["Authorization"]
    return server


def test_once_a_key_exists_nobody_gets_in_without_one(locked: Any) -> None:
    for path in ("/models", "/jobs", "/metrics", f"/models/{locked.published['model_id']}"):
        answer = locked.client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    run = {"model": "private", "input_vector": [1, 2, 3]}
    assert locked.client.post("/tensor/run", json=run).status_code == 401
    for path in ("/health_check", "/health", "/ready", "/openapi.json", "/docs"):
        assert locked.client.get(path).status_code == 200


def test_a_key_opens_by_either_header_and_never_by_the_query(locked: Any) -> None:
    run = {"model": "private", "input_vector": [1, 2, 3]}
    key = locked.keys["alice"]
    for headers in (bearer(key), {"X-API-Key": key}, {"Authorization": f"bearer {key}"}):
        for _ in range(2):  # the second is answered by the hot lane
            assert locked.client.post("/tensor/run", json=run, headers=headers).status_code == 200
    for parameters in ({"api_key": key}, {"token": key}, {"key": key}):
        assert locked.client.post("/tensor/run", json=run, params=parameters).status_code == 401
    assert locked.client.get("/models", headers={"Authorization": f"Basic {key}"}).status_code == 401


def test_who_has_no_key_is_told_of_no_parameter(locked: Any) -> None:
    for path in ("/models?limitt=3", "/jobs?stat=failed", "/v1/tensor-trigger/runs?name=x"):
        answer = locked.client.get(path)
        assert answer.status_code == 401
        assert "limit" not in answer.json()["message"]
        assert "errors" not in answer.json()


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), lambda key: key + "x"]
)
def test_a_key_that_differs_by_one_character_is_refused(locked: Any, change: Callable[[str], str]) -> None:
    answer = locked.client.get("/models", headers=bearer(change(locked.keys["alice"])))
    assert answer.status_code == 401


def test_nobody_sees_what_another_owns(locked: Any) -> None:
    bob = bearer(locked.keys["bob"])
    model_id = locked.published["model_id"]
    assert locked.client.get("/models", headers=bob).json()["models"] == []
    assert locked.client.get(f"/models/{model_id}", headers=bob).status_code == 404
    assert locked.client.delete(f"/models/{model_id}", headers=bob).status_code == 404
    for reference in ({"model_id": model_id}, {"model": "private"}):
        run = {**reference, "input_vector": [1, 2, 3]}
        assert locked.client.post("/tensor/run", json=run, headers=bob).status_code == 404
    csv = {"content": b"x0,x1,x2\n1,2,3\n", "params": {"model": "private"}}
    alice = {**bearer(locked.keys["alice"]), "content-type": "text/csv"}
    job_id = locked.client.post("/jobs", headers=alice, **csv).json()["job_id"]
    for path in ("", "/results", "/content", "/rejects"):
        assert locked.client.get(f"/jobs/{job_id}{path}", headers=bob).status_code == 404
    assert locked.client.post(f"/jobs/{job_id}/cancel", headers=bob).status_code == 404


def test_a_key_without_the_scope_is_forbidden(locked: Any, models: Path) -> None:
    reader = bearer(locked.keys["reader"])
    assert locked.client.get("/models", headers=reader).status_code == 200
    run = {"model": "private", "input_vector": [1, 2, 3]}
    answer = locked.client.post("/tensor/run", json=run, headers=reader)
    assert answer.status_code == 403
    assert "'run'" in answer.json()["detail"]
    assert locked.client.delete(f"/models/{locked.published['model_id']}", headers=reader).status_code == 403
    csv = {**reader, "content-type": "text/csv"}
    assert locked.client.post("/jobs?model=private", content=b"x0\n", headers=csv).status_code == 403
    assert locked.client.post("/tickets", json={"model": "x"}, headers=reader).status_code == 403


def test_a_ticket_publishes_one_model_once(locked: Any, models: Path) -> None:
    alice = bearer(locked.keys["alice"])
    ticket = locked.client.post("/tickets", json={"model": "ticketed"}, headers=alice).json()["ticket"]
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    body = {"model_name": "ticketed", "model_content": content}
    assert locked.client.get("/models", headers=bearer(ticket)).status_code == 403
    published = locked.client.post("/models/new", json=body, headers=bearer(ticket))
    assert published.status_code == 201
    assert locked.client.post("/models/new", json=body, headers=bearer(ticket)).status_code == 401
    found = locked.client.get("/models/by-name/ticketed", headers=alice).json()["model"]
    assert found["model_id"] == published.json()["model_id"]


def test_a_ticket_for_another_name_or_past_its_time_is_refused(locked: Any, models: Path) -> None:
    alice = bearer(locked.keys["alice"])
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    other = locked.client.post("/tickets", json={"model": "mine"}, headers=alice).json()["ticket"]
    body = {"model_name": "theirs", "model_content": content}
    assert locked.client.post("/models/new", json=body, headers=bearer(other)).status_code == 403
    brief = locked.client.post("/tickets", json={"model": "mine", "expires_in": 0.001}, headers=alice).json()[
        "ticket"
    ]
    assert (
        locked.client.post("/models/new", json={**body, "name": "mine"}, headers=bearer(brief)).status_code
        == 401
    )
    for wrong in (
        {"model": "mine", "expires_in": 4000},
        {"model": "Not A Name"},
        {},
        {"model": "m", "expires_in": "x"},
    ):
        assert locked.client.post("/tickets", json=wrong, headers=alice).status_code == 400


def test_a_revoked_key_stops_working(locked: Any) -> None:
    key = create(locked.data_dir, "--owner", "carol")
    assert locked.client.get("/models", headers=bearer(key)).status_code == 200
    key_id = key.split("_")[1]
    assert keys(locked.data_dir, "revoke", key_id).returncode == 0
    listed = keys(locked.data_dir, "list").stdout
    assert f"{key_id}  carol" in listed
    assert "revoked" in listed
    assert key.split("_", 2)[2] not in listed
    # A verified key is believed for two seconds.
    time.sleep(2.2)
    assert locked.client.get("/models", headers=bearer(key)).status_code == 401
    assert keys(locked.data_dir, "revoke", key_id).returncode == 1


def test_revoking_the_last_key_does_not_open_the_door(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    key = create(tmp_path)
    assert keys(tmp_path, "revoke", key.split("_")[1]).returncode == 0
    server = start_server(data_dir=tmp_path)
    assert server.client.get("/models").status_code == 401
    server.stop()


def test_a_wrong_request_does_not_use_up_its_ticket(locked: Any, models: Path) -> None:
    alice = bearer(locked.keys["alice"])
    ticket = locked.client.post("/tickets", json={"model": "careful"}, headers=alice).json()["ticket"]
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    wrong = {"model_name": "careful", "model_content": "!!!"}
    assert locked.client.post("/models/new", json=wrong, headers=bearer(ticket)).status_code == 400
    right = {**wrong, "model_content": content}
    assert locked.client.post("/models/new", json=right, headers=bearer(ticket)).status_code == 201


def test_a_ticket_ends_with_the_key_that_minted_it(locked: Any, models: Path) -> None:
    key = create(locked.data_dir, "--owner", "erin")
    ticket = locked.client.post("/tickets", json={"model": "late"}, headers=bearer(key)).json()["ticket"]
    assert keys(locked.data_dir, "revoke", key.split("_")[1]).returncode == 0
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    body = {"model_name": "late", "model_content": content}
    assert locked.client.post("/models/new", json=body, headers=bearer(ticket)).status_code == 401


def test_the_secret_is_nowhere_on_disk(locked: Any) -> None:
    secret = locked.keys["alice"].split("_", 2)[2].encode()
    for path in locked.data_dir.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_an_address_that_others_can_reach_demands_a_key(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tensortrigger_backend", "serve", "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run(
        [*argv, "--data-dir", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "tt keys create" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--expires", "soon"), ("--scopes", "everything"), ("--owner", "no spaces"), ("--expires", "0d")],
)
def test_a_key_that_cannot_be_made_says_why(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    made = keys(tmp_path, "create", *arguments)
    assert made.returncode in (1, 2)
    assert made.stdout == ""
    assert made.stderr.startswith("tt: ")
    assert "Traceback" not in made.stderr


def test_a_trusted_proxy_names_the_owner_and_nobody_else_can(
    start_server: Callable[..., Any], locked: Any
) -> None:
    spoofed = locked.client.get("/models", headers={"X-Authenticated-Userid": "alice"})
    assert spoofed.status_code == 401
    behind = start_server(trusted_proxy="true")
    assert behind.client.get("/models", headers={"X-Authenticated-Userid": "dora"}).status_code == 200
    assert behind.client.get("/models", headers={"X-Authenticated-Userid": "no spaces"}).status_code == 400
    behind.stop()
