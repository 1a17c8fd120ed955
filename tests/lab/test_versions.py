"""Aliases and receipts: what a notebook asks of versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import errors
from tensortrigger_lab.async_client import AsyncClient
from tensortrigger_lab.client import Client
from tensortrigger_lab.reference import Reference, is_alias

ALIASES = "/models/by-name/churn/aliases"


@pytest.fixture
def endpoint(api: Any, shapes: Any) -> Any:
    """``churn`` with version 1 as production and candidate."""
    api.on("GET", ALIASES, {"aliases": [shapes.alias("candidate"), shapes.alias()]})
    for alias in ("candidate", "production"):
        api.on("GET", f"{ALIASES}/{alias}", {"alias": shapes.alias(alias)})
    api.on("PUT", f"{ALIASES}/production", {"alias": shapes.alias(version=3)})
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model(aliases=["candidate", "production"])})
    api.on("GET", f"/models/{shapes.model_id}/receipt", {"receipt": shapes.receipt()})
    return api


def test_an_alias_is_moved_to_a_number(endpoint: Any, client: Client) -> None:
    for version in (3, "3"):
        assert tt.alias("churn", "production", version, client=client).name == "churn"
        put = [request for request in endpoint.requests if request.method == "PUT"][-1]
        assert put.read() == b'{"version":3}'


def test_an_alias_is_moved_to_what_another_one_means(endpoint: Any, client: Client, shapes: Any) -> None:
    for version in (
        "candidate",
        "@candidate",
        "churn@candidate",
        shapes.model_id,
        tt.model("churn@candidate", client=client),
    ):
        tt.alias("churn", "production", version, client=client)
        put = [request for request in endpoint.requests if request.method == "PUT"][-1]
        assert put.read() == b'{"model_id":"%s"}' % shapes.model_id.encode()


def test_a_version_of_another_name_is_refused_before_anything_is_moved(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    endpoint.on("GET", "/models/by-name/other/versions/2", {"model": shapes.model(name="other", version=2)})
    with pytest.raises(errors.BadInput, match="other/2 is no version of 'churn'"):
        tt.alias("churn", "production", "other/2", client=client)
    assert not any(request.method == "PUT" for request in endpoint.requests)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda client: tt.alias(5, "production", client=client), "a model's name, as text, got int"),
        (
            lambda client: tt.alias(None, "production", 3, client=client),
            "a model's name, as text, got NoneType",
        ),
        (lambda client: tt.aliases(5, client=client), "a model's name, as text, got int"),
        (lambda client: tt.rollback(5, "production", client=client), "a model's name, as text, got int"),
        (lambda client: tt.alias("churn", 5, client=client), "a name or an id, as text, got int"),
        (lambda client: tt.receipt(None, client=client), "a Model, an id, name, .*, got NoneType"),
        (lambda client: tt.model(5, client=client), "a Model, an id, name, .*, got int"),
        (lambda client: tt.job(5, client=client), "a name or an id, as text, got int"),
    ],
)
def test_what_is_no_text_is_refused_with_what_is_expected(
    endpoint: Any, client: Client, ask: Callable[[Client], Any], told: str
) -> None:
    with pytest.raises(tt.BadInput, match=told):
        ask(client)
    assert not endpoint.requests


def test_looking_at_an_alias_changes_nothing(endpoint: Any, client: Client) -> None:
    model = tt.alias("churn", "production", client=client)
    assert model.aliases == ("candidate", "production")
    assert "churn@candidate, churn@production" in repr(model)
    assert {request.method for request in endpoint.requests} == {"GET"}


def test_aliases_are_a_table(endpoint: Any, client: Client) -> None:
    listing = tt.aliases("churn", client=client)
    assert [(entry.alias, entry.version) for entry in listing] == [("candidate", 1), ("production", 1)]
    assert "ada" in repr(listing)
    assert client.seen.aliases == {"churn@candidate", "churn@production"}


def test_a_rollback_gives_the_version_of_before(endpoint: Any, client: Client, shapes: Any) -> None:
    endpoint.on("POST", f"{ALIASES}/production/rollback", {"alias": shapes.alias()})
    assert tt.rollback("churn", "production", client=client).version == 1


def test_a_rollback_without_a_before_says_so(endpoint: Any, client: Client, shapes: Any) -> None:
    endpoint.on(
        "POST", f"{ALIASES}/production/rollback", shapes.problem(409, "There is nothing to go back to.")
    )
    with pytest.raises(errors.Conflict, match="nothing to go back to"):
        tt.rollback("churn", "production", client=client)


def test_the_history_is_a_table_newest_first(endpoint: Any, client: Client) -> None:
    moves = [
        {"version": None, "model_id": None, "previous_version": 2, "action": "removed", "moved_by": "ada"},
        {"version": 2, "model_id": "m", "previous_version": 1, "action": "rolled_back", "moved": "2026"},
    ]
    endpoint.on("GET", f"{ALIASES}/production/history", {"history": moves, "next_cursor": None})
    listing = tt.history("churn", "production", client=client)
    assert [move.version for move in listing] == [None, 2]
    assert "rolled back" in repr(listing)


def test_a_receipt_tells_the_proof(endpoint: Any, client: Client) -> None:
    found = tt.receipt("churn@production", client=client)
    assert (found.max_deviation, found.passed) == (1.2e-7, True)
    shown = repr(found)
    for part in (
        "the notebook's own outputs",
        "1.2e-07",
        "1e-05 + 0.0001 |y|",
        "passed on 1.24.0",
        "became 'batch_shape'",
    ):
        assert part in shown, part
    assert shown.count("passed on") == 1
    assert "<table>" in found._repr_html_()


def test_a_receipt_that_no_longer_holds_says_so(endpoint: Any, client: Client, shapes: Any) -> None:
    members = shapes.receipt()
    members["checks"][-1]["passed"] = False
    endpoint.on("GET", f"/models/{shapes.model_id}/receipt", {"receipt": members})
    found = tt.receipt(shapes.model_id, client=client)
    assert not found.passed
    assert "FAILED on 1.24.0" in repr(found)


def test_deleting_is_forced_only_when_asked(endpoint: Any, client: Client, shapes: Any) -> None:
    path = f"/models/{shapes.model_id}"
    endpoint.on("DELETE", path, shapes.problem(409, "'production' means it."), {"message": "Model deleted"})
    with pytest.raises(errors.Conflict, match="'production' means it"):
        tt.delete(shapes.model_id, client=client)
    tt.delete(shapes.model_id, force=True, client=client)
    first, second = [dict(request.url.params) for request in endpoint.requests if request.method == "DELETE"]
    assert (first, second) == ({}, {"force": "true"})


def test_an_alias_is_no_name_for_what_shall_be_deleted(endpoint: Any, client: Client) -> None:
    with pytest.raises(errors.BadInput, match="does not say for certain"):
        tt.delete("churn@production", client=client)


def test_the_list_is_narrowed_down_by_the_backend(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    tt.models(alias="production", tag={"team": "risk", "tier": "1"}, q="leaves", client=client)
    params = api.asked("/models")[0].url.params
    assert params.get_list("tag") == ["team:risk", "tier:1"]
    assert (params["alias"], params["q"]) == ("production", "leaves")
    with pytest.raises(errors.BadInput, match="key:value"):
        tt.models(tag="risk", client=client)


def test_latest_means_the_newest_that_is_ready(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    assert tt.model("churn@latest", client=client).model_id == shapes.model_id
    assert dict(api.asked("/models")[0].url.params)["state"] == "ready"


def test_a_body_names_an_alias_as_it_is_written(endpoint: Any, client: Client) -> None:
    endpoint.on("POST", "/tensor/run", {"output": [0.25]})
    assert tt.run("churn@production", {"age": 41, "income": 0.5}, client=client) == [0.25]
    assert endpoint.body("/tensor/run")["model"] == "churn@production"


@pytest.mark.parametrize(
    "reference", ["churn@", "@production", "churn@Prod", "churn@7", "churn/2@x", "a@b@c"]
)
def test_what_names_no_alias_is_refused_before_anything_is_sent(
    api: Any, client: Client, reference: str
) -> None:
    for ask in (
        lambda: tt.model(reference, client=client),
        lambda: tt.run(reference, {"a": 1}, client=client),
    ):
        with pytest.raises(errors.BadInput, match="name@alias"):
            ask()
    assert api.requests == []


@pytest.mark.parametrize(
    ("alias", "can_be"),
    [("production", True), ("v1.2", True), ("7", False), ("latest", False), ("A", False), ("", False)],
)
def test_an_alias_is_a_name_but_no_number_and_not_latest(
    alias: str, can_be: bool, api: Any, client: Client
) -> None:
    assert is_alias(alias) is can_be
    if not can_be:
        with pytest.raises(errors.BadInput, match="No alias can be called so"):
            client.move_alias("churn", alias, 1)
        assert api.requests == []


def test_references_are_taken_apart() -> None:
    assert Reference.of("churn") == Reference("churn")
    assert Reference.of("churn/3") == Reference("churn", version="3")
    assert Reference.of("churn@production") == Reference("churn", alias="production")


def test_a_move_under_a_condition_says_so_and_is_not_repeated(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    endpoint.on("PUT", f"{ALIASES}/production", shapes.problem(503, "busy"), {"alias": shapes.alias()})
    with pytest.raises(errors.Unavailable):
        client.move_alias("churn", "production", 3, expected_version=None)
    assert endpoint.body(f"{ALIASES}/production") == {"version": 3, "expected_version": None}


def test_a_version_is_tagged_anew(api: Any, client: Client, shapes: Any) -> None:
    api.on("PATCH", f"/models/{shapes.model_id}", {"model": shapes.model(tags={"team": "risk"})})
    assert client.change_model(shapes.model_id, tags={"team": "risk"}).tags == {"team": "risk"}
    assert api.body(f"/models/{shapes.model_id}") == {"tags": {"team": "risk"}}


async def test_the_awaited_client_moves_aliases_alike(endpoint: Any, shapes: Any) -> None:
    import httpx

    async with AsyncClient(shapes.url, transport=httpx.MockTransport(endpoint), patience=0.0) as client:
        assert (await client.move_alias("churn", "production", 3)).version == 3
        assert [entry.alias for entry in await client.aliases("churn")] == ["candidate", "production"]
        assert (await client.receipt(shapes.model_id)).source == "client"
