"""Aliases over HTTP, on both databases: moved, rolled back, deleted around, and believed by every route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROWS = {"input_vectors": [[1.0, 2.0, 3.0]]}
PATH = "/models/by-name/churn/aliases/production"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Iterator[Any]:
    where = {}
    if request.param == "postgresql":
        where["database_url"] = request.getfixturevalue("served_postgresql")
    server = start_server(log_level="warning", publish_wait="120", **where)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def three(server: Any, models: Path) -> list[str]:
    """Ids of the versions 1 to 3 of ``churn``; the first two are the same bytes, and tell something of themselves."""
    told: list[dict[str, Any]] = [
        {"tags": {"team": "risk"}, "metrics": {"auc": 0.9}, "author": "Ann", "notebook": "a.ipynb"},
        {"tags": {"team": "risk", "stage": "b"}, "git_commit": "abc123", "alias": "candidate"},
        {"model_description": "The third one"},
    ]
    found = []
    for name, more in zip(("churn.h5", "churn.h5", "churn.h5"), told, strict=True):
        answer = server.publish(models / name, "churn", **more)
        assert answer.status_code == 201, answer.text
        found.append(answer.json()["model_id"])
    return found


@pytest.fixture
def moved(server: Any, three: list[str]) -> Callable[..., Any]:
    """Moves ``production``, which begins at version 1 with no way back."""
    server.client.delete(PATH)
    assert server.client.put(PATH, json={"version": 1}).status_code == 200

    def move(**body: Any) -> Any:
        return server.client.put(PATH, json=body)

    return move


def meant(server: Any, reference: str) -> str:
    answer = server.client.post("/tensor/run/batch", json={"model": reference, **ROWS})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["model_id"]
    return found


def test_a_moved_alias_is_what_the_next_request_runs(server: Any, three: list[str], moved: Any) -> None:
    for reference in ("churn", "churn@production"):
        # The hot lane answers the second one.
        assert [meant(server, reference) for _ in range(2)] == [three[0]] * 2
    answer = moved(model_id=three[2], expected_version=1).json()
    assert (answer["http_code"], answer["alias"]["version"]) == (200, 3)
    assert {meant(server, reference) for reference in ("churn", "churn@production", "churn/3")} == {three[2]}
    assert meant(server, "churn@candidate") == three[1]
    assert meant(server, "churn@latest") == three[2]
    by_name = server.client.get("/models/by-name/churn").json()["model"]
    assert (by_name["model_id"], by_name["aliases"]) == (three[2], ["production"])
    rolled = server.client.post(f"{PATH}/rollback").json()["alias"]
    assert (rolled["version"], rolled["moved_by"]) == (1, "local")
    assert meant(server, "churn") == three[0]
    again = server.client.post(f"{PATH}/rollback", json={"expected_version": 1})
    assert again.status_code == 409
    assert "nothing to go back to" in again.json()["detail"]


def test_a_history_tells_every_move_newest_first(server: Any, three: list[str], moved: Any) -> None:
    moved(version=2)
    server.client.post(f"{PATH}/rollback")
    page = server.client.get(f"{PATH}/history", params={"limit": 2}).json()
    assert [(entry["action"], entry["version"], entry["previous_version"]) for entry in page["history"]] == [
        ("rolled_back", 1, 2),
        ("moved", 2, 1),
    ]
    after = server.client.get(f"{PATH}/history", params={"cursor": page["next_cursor"]}).json()["history"]
    assert (after[0]["action"], after[0]["version"], after[0]["previous_version"]) == ("moved", 1, None)
    published = server.client.get("/models/by-name/churn/aliases/candidate/history").json()["history"]
    assert [(entry["action"], entry["version"]) for entry in published] == [("published", 2)]
    assert published[0]["moved"].endswith("Z")


def test_of_several_who_expect_the_same_one_moves_it(server: Any, three: list[str], moved: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: moved(version=2 + n % 2, expected_version=1), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert "expected" in refused["detail"]
    assert "points to version" in refused["message"]


def test_a_version_is_not_deleted_from_under_an_alias(server: Any, three: list[str]) -> None:
    refused = server.client.delete(f"/models/{three[1]}")
    assert refused.status_code == 409
    assert "Version 2 of model 'churn' has the alias 'candidate'" in refused.json()["detail"]
    assert server.client.get(f"/models/{three[1]}/servable").status_code == 200


def test_lists_are_filtered_and_what_was_told_comes_back(server: Any, three: list[str]) -> None:
    def ids(**params: Any) -> list[str]:
        answer = server.client.get("/models", params={"name": "churn", **params})
        assert answer.status_code == 200, answer.text
        return [model["model_id"] for model in answer.json()["models"]]

    assert ids() == three[::-1]
    assert ids(tag="team:risk") == [three[1], three[0]]
    assert ids(tag=["team:risk", "stage:b"]) == ids(alias="candidate") == [three[1]]
    assert ids(author="Ann") == [three[0]]
    assert ids(q="THIRD") == [three[2]]
    assert ids(format="hdf5", engine="onnxruntime") == three[::-1]
    first = server.client.get(f"/models/{three[0]}").json()["model"]
    assert (first["tags"], first["metrics"], first["author"], first["git_commit"]) == (
        {"team": "risk"},
        {"auc": 0.9},
        "Ann",
        None,
    )
    changed = server.client.patch(f"/models/{three[0]}", json={"description": "now", "tags": {"x": "y"}})
    assert changed.json()["model"]["tags"] == {"x": "y"}
    assert server.client.get(f"/models/{three[0]}").json()["model"]["model_description"] == "now"
    server.client.patch(f"/models/{three[0]}", json={"tags": {"team": "risk"}})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/models/by-name/churn/aliases/shadow", None, 404, "has no alias 'shadow'; it has candidate"),
        ("GET", "/models/by-name/nothing/aliases", None, 404, "no model 'nothing'"),
        ("PUT", PATH, {"version": 99}, 404, "no version 99; latest is 3"),
        ("PUT", PATH, {"model_id": "nothing"}, 404, "no ready version"),
        ("PUT", PATH, {}, 400, "either by 'version'"),
        ("PUT", PATH, {"version": 1, "model_id": "x"}, 400, "either by 'version'"),
        ("PUT", PATH, {"version": "1"}, 400, "version must be"),
        ("PUT", PATH, {"version": 10**30}, 400, "version must be"),
        ("PUT", PATH, {"version": 1, "expected_version": 0}, 400, "expected_version"),
        ("PUT", PATH, {"version": 1, "expected": 1}, 400, "no member 'expected'"),
        (
            "PUT",
            PATH,
            {"version": 2, "expected_version": None},
            409,
            "points to version 1, though no such alias was expected",
        ),
        ("PUT", "/models/by-name/churn/aliases/latest", {"version": 1}, 400, "cannot be set"),
        ("PUT", "/models/by-name/churn/aliases/3", {"version": 1}, 400, "is not an alias"),
        ("PUT", "/models/by-name/churn/aliases/..%5c", {"version": 1}, 400, "is not an alias"),
        ("DELETE", "/models/by-name/churn/aliases/shadow", None, 404, "has no alias 'shadow'"),
        ("DELETE", f"{PATH}?expected_version=2", None, 409, "points to version 1"),
        ("POST", f"{PATH}/rollback", {"expected_version": 3}, 409, "points to version 1"),
        ("GET", f"{PATH}/history?cursor=x", None, 400, "no cursor"),
        ("GET", "/models?tag=team", None, 400, "names no tag"),
        ("GET", "/models?q=%00", None, 400, "without NUL"),
        ("PATCH", "/models/nothing", {"tags": {}}, 404, "no model 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    server: Any, moved: Any, method: str, path: str, body: Any, status: int, says: str
) -> None:
    content = {} if body is None else {"json": body}
    answer = server.client.request(method, path, **content)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert (problem["http_code"], problem["status"]) == (status, status)
    assert says in problem["detail"]
    assert server.client.get(PATH).json()["alias"]["version"] == 1


def test_a_reference_that_is_none_is_refused_on_every_route(server: Any, three: list[str]) -> None:
    for reference, status in (("churn@", 400), ("churn@a@b", 400), ("churn@shadow", 404), ("churn/9", 404)):
        for path, body in (
            ("/tensor/run/batch", ROWS),
            ("/tensor/train", {**ROWS, "output_vectors": [[1.0]]}),
        ):
            method = "PATCH" if path == "/tensor/train" else "POST"
            answer = server.client.request(method, path, json={"model": reference, **body})
            assert (answer.status_code, reference) == (status, reference), answer.text
