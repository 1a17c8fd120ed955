"""Publishing through the bridge: taken on the main thread, never during a fit, and every failure explained."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

FINAL = ("ready", "refused", "failed", "cancelled")

TRAINING = '''
source = """
def fit(self, seconds, callback=None):
    import time
    for _ in range(int(seconds / 0.05)):
        time.sleep(0.05)
"""
made = {}
exec(compile(source, "/site-packages/keras/src/trainer.py", "exec"), made)
Model.fit = made["fit"]
'''
"""A ``fit`` that looks like Keras' on the stack."""


@pytest.fixture(autouse=True)
def table(notebook: Any) -> Iterator[None]:
    notebook.run("churn = Model(); table = pd.DataFrame({'age': [1, 2, 3], 'income': [0.5, 0.25, 1.0]})")
    yield
    notebook.run("del churn, table")


@pytest.fixture(scope="module")
def subshell(notebook: Any) -> str:
    return str(notebook.subshell())


def test_it_is_published_checked_and_told_with_lines_to_copy(notebook: Any, accepting: Any) -> None:
    begun = notebook.published(
        "churn", "churn", example="table", url=accepting.url, title="Churn", ticket="one-time"
    )
    assert begun.published == []
    found = notebook.progress(begun.result["publish_id"], *FINAL)
    assert (found["state"], found["error"], found["command"]) == ("ready", None, None)
    assert (found["model"]["name"], found["model"]["version"]) == ("churn", 1)
    assert found["check"] == {"matched": True, "largest_deviation": 0.0, "rows": 3, "reason": None}
    assert found["curl"].startswith(f"curl -s {accepting.url}/tensor/run ")
    assert '"age"' in found["curl"]
    assert "tt.run('churn/1', {'age': 1, 'income': 0.5})" in found["cell"]
    assert 0 < found["seconds"] < 30
    compile(found["cell"], "cell", "exec")


def test_the_upload_alone_carries_the_ticket(notebook: Any, accepting: Any) -> None:
    begun = notebook.published("churn", "churn", example="table", url=accepting.url, ticket="one-time")
    notebook.progress(begun.result["publish_id"], *FINAL)
    keys = {request.url.path: request.headers.get("Authorization") for request in accepting.api.requests}
    assert keys == {"/models": None, "/models/new": "Bearer one-time", "/tensor/run/batch": None}
    sent = accepting.api.body("/models/new")
    assert base64.b64decode(sent["model_content"]) == b"PK\x03\x04 weights"
    assert sent["model_schema"]["age"] == {"var_type": "INT", "index": 0}


def test_the_ticket_is_told_to_nobody_else(notebook: Any, accepting: Any) -> None:
    begun = notebook.published("churn", "churn", url=accepting.url, ticket="one-time")
    found = notebook.progress(begun.result["publish_id"], *FINAL)
    assert "one-time" not in str(found)


def test_where_the_kernel_may_not_look_it_says_as_much_as_it_knows(
    notebook: Any, backend: Any, shapes: Any
) -> None:
    model = shapes.model(state="checking", version=None)
    backend.api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "checking", "model": model})
    backend.api.on("GET", f"/models/{shapes.model_id}", shapes.problem(401, "A key is needed."))
    begun = notebook.published("churn", "churn", example="table", url=backend.url, ticket="one-time")
    until = time.monotonic() + 60
    while (found := notebook.ask("progress", publish_id=begun.result["publish_id"]).result)["check"] is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (found["state"], found["model"]["model_id"]) == ("checking", shapes.model_id)
    assert found["check"]["matched"] is None
    assert "ticket" in found["check"]["reason"]


def test_names_that_nobody_gave_are_those_of_the_version_before(
    notebook: Any, accepting: Any, shapes: Any
) -> None:
    accepting.api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    notebook.run("rows = table.to_numpy()")
    begun = notebook.published("churn", "churn", example="rows", url=accepting.url)
    found = notebook.progress(begun.result["publish_id"], *FINAL)
    assert list(accepting.api.body("/models/new")["model_schema"]) == ["age", "income"]
    assert (found["state"], found["check"]["matched"]) == ("ready", True)
    assert found["remark"] == "names kept from churn/1: age, income."
    notebook.run("del rows")


def test_a_backend_of_another_version_is_told_to_the_front_end_and_not_into_the_notebook(
    notebook: Any, accepting: Any, shapes: Any
) -> None:
    newer = {"x-tensortrigger-version": "99.0.0"}
    model = shapes.model()
    answer = {"model_id": shapes.model_id, "state": "ready", "model": model}
    accepting.api.on("POST", "/models/new", httpx.Response(200, json=answer, headers=newer))
    notebook.run(f"import tensortrigger_lab as tt; tt.login({accepting.url!r})")
    publish_id = notebook.published("churn", "churn", example="table").result["publish_id"]
    found = notebook.progress(publish_id, *FINAL)
    assert found["state"] == "ready"
    assert "99.0.0" in found["remark"]
    assert "99.0.0" in notebook.ask("hello").result["skew"]
    assert notebook.written == []
    notebook.run("from tensortrigger_lab.session import session; session().close(); del tt, session")


def test_a_refused_model_tells_the_layer_and_the_remedy(notebook: Any, backend: Any, shapes: Any) -> None:
    fault = {"loc": ["dense"], "code": "lambda", "message": "Lambda holds code.", "remedy": "Use Rescaling."}
    backend.api.on("POST", "/models/new", shapes.problem(400, "Lambda holds code.", [fault]))
    found = notebook.progress(
        notebook.published("churn", "churn", url=backend.url, ticket="x").result["publish_id"], *FINAL
    )
    assert (found["state"], found["error"]["code"], found["error"]["status"]) == ("refused", "refused", 400)
    assert found["error"]["faults"][0]["remedy"] == "Use Rescaling."


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthenticated"),
        (403, "forbidden"),
        (413, "too_large"),
        (422, "invalid_request"),
        (500, "server_fault"),
    ],
)
def test_each_refusal_of_the_backend_has_its_own_words(
    notebook: Any, backend: Any, shapes: Any, status: int, code: str
) -> None:
    backend.api.on("POST", "/models/new", shapes.problem(status, f"No, {status}."))
    begun = notebook.published("churn", "churn", url=backend.url, ticket="x")
    found = notebook.progress(begun.result["publish_id"], *FINAL)
    assert (found["state"], found["error"]["code"], found["error"]["status"]) == ("failed", code, status)
    assert f"No, {status}." in found["error"]["message"]
    assert found["error"]["action"]


def test_a_backend_out_of_reach_is_answered_with_a_line_to_copy(notebook: Any) -> None:
    notebook.run("import tensortrigger_lab.kernel.backend as reached; reached.PATIENCE = 0.1")
    given = {"example": "table", "url": "http://127.0.0.1:9", "ticket": "x"}
    begun = notebook.published("churn", "churn", **given, description="who's leaving")
    found = notebook.progress(begun.result["publish_id"], *FINAL)
    assert (found["state"], found["error"]["code"]) == ("failed", "not_reachable")
    magic, _, line = found["command"].partition(" ")
    words = ["publish", "churn", "--name", "churn", "--example", "table", "--description", "who's leaving"]
    assert (magic, shlex.split(line)) == ("%tt", words)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"name": "Not A Name"}, "'not-a-name'"),
        ({"example": "gone"}, "no variable 'gone'"),
        ({"url": "file:///etc/passwd", "ticket": "x"}, "http://"),
        ({"url": "http://user:secret@host", "ticket": "x"}, "password"),
        ({"schema": {"age": {"var_type": "TEXT", "index": 0}}}, "var_type"),
    ],
)
def test_what_cannot_be_right_is_told_before_anything_is_sent(
    notebook: Any, params: dict[str, Any], words: str
) -> None:
    error = notebook.published("churn", **{"name": "churn", "url": "http://127.0.0.1:9", **params}).error
    assert error["code"] == "bad_input"
    assert words in error["message"]
    assert "secret" not in str(error)


def test_a_variable_that_holds_another_model_now_is_not_published(notebook: Any) -> None:
    listed = notebook.ask("models").result
    identity = next(entry["identity"] for entry in listed["models"] if entry["variable"] == "churn")
    notebook.run("kept = churn; churn = Model()")
    given = {"session": listed["session"], "variable": "churn", "identity": identity, "name": "churn"}
    assert notebook.ask("publish", **given, when="now").error["code"] == "model_gone"
    assert notebook.ask("schema", **given).error["code"] == "model_gone"


def test_a_model_without_weights_is_not_published(notebook: Any) -> None:
    notebook.run("churn.built = False")
    listed = notebook.ask("models").result["models"]
    assert "no weights" in next(entry["reason"] for entry in listed if entry["variable"] == "churn")
    assert notebook.published("churn", "churn").error["code"] == "not_built"


def test_the_schema_can_be_looked_at_first(notebook: Any) -> None:
    listed = notebook.ask("models").result
    identity = next(entry["identity"] for entry in listed["models"] if entry["variable"] == "churn")
    given = {"session": listed["session"], "variable": "churn", "identity": identity}
    found = notebook.ask("schema", **given, example="table").result
    assert found["schema"] == {
        "input_schema": {
            "age": {"var_type": "INT", "index": 0},
            "income": {"var_type": "FLOAT", "index": 1},
        }
    }
    assert found["example_row"] == {"age": 1, "income": 0.5}
    without = notebook.ask("schema", **given).result
    assert (list(without["schema"]["input_schema"]), without["example_row"]) == (["x0", "x1"], None)
    notebook.run("words = pd.DataFrame({'age': ['a'], 'income': ['b']})")
    assert "'age' holds no numbers" in notebook.ask("schema", **given, example="words").error["message"]


def test_while_a_cell_runs_models_are_listed_beside_it_and_none_is_taken(
    notebook: Any, subshell: str
) -> None:
    listed = notebook.ask("models").result
    identity = next(entry["identity"] for entry in listed["models"] if entry["variable"] == "churn")
    cell = notebook.begin("begun = Model(); time.sleep(60)")
    notebook.once("begun", subshell)
    answer = notebook.ask_quickly("models", seconds=1.5, subshell=subshell)
    assert answer.seconds < 1.5
    assert "churn" in {entry["variable"] for entry in answer.result["models"]}
    assert answer.result["session"] == listed["session"]
    given = {"session": listed["session"], "variable": "churn", "identity": identity, "name": "churn"}
    assert notebook.ask("publish", subshell=subshell, **given, when="now").error["code"] == "busy"
    notebook.interrupt(cell)
    notebook.run("del begun")


def test_while_a_model_trains_it_is_said_so_and_it_is_not_taken(notebook: Any, subshell: str) -> None:
    notebook.run(TRAINING)
    listed = notebook.ask("models").result
    identity = next(entry["identity"] for entry in listed["models"] if entry["variable"] == "churn")
    given = {"session": listed["session"], "variable": "churn", "identity": identity, "name": "churn"}
    cell = notebook.begin("other = Model(); churn.fit(60)")
    notebook.once_training(subshell)
    entries = notebook.ask("models", subshell=subshell).result["models"]
    found = {entry["variable"]: entry for entry in entries}
    assert (found["churn"]["training"], found["other"]["training"]) == (True, False)
    assert "next epoch" in found["churn"]["reason"]
    for when in ("now", "epoch_end"):
        error = notebook.ask("publish", subshell=subshell, **given, when=when).error
        assert error["code"] == "training"
        assert "over" in error["action"]
    notebook.interrupt(cell)
    assert notebook.ask("hello").result["training"] is False
    notebook.run("del other")


def test_a_cancelled_upload_is_taken_back(notebook: Any, backend: Any, shapes: Any) -> None:
    model = shapes.model(state="checking", version=None)
    backend.api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "checking", "model": model})
    backend.api.on("GET", f"/models/{shapes.model_id}", {"model": model})
    backend.api.on("DELETE", f"/models/{shapes.model_id}", {"message": "deleted"})
    publish_id = notebook.published("churn", "churn", url=backend.url).result["publish_id"]
    notebook.progress(publish_id, "checking")
    notebook.ask("cancel", publish_id=publish_id)
    assert notebook.progress(publish_id, *FINAL)["state"] == "cancelled"
    assert "DELETE" in {request.method for request in backend.api.requests}


def test_what_cannot_be_taken_back_goes_on(notebook: Any, backend: Any, shapes: Any) -> None:
    checking, ready = shapes.model(state="checking", version=None), shapes.model()
    allowed: list[bool] = []

    def state(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"model": ready if allowed else checking})

    def refuse(_: httpx.Request) -> httpx.Response:
        allowed.append(True)
        return shapes.problem(403, "Not with this key.")

    backend.api.on(
        "POST", "/models/new", {"model_id": shapes.model_id, "state": "checking", "model": checking}
    )
    backend.api.on("GET", f"/models/{shapes.model_id}", state)
    backend.api.on("DELETE", f"/models/{shapes.model_id}", refuse)
    publish_id = notebook.published("churn", "churn", url=backend.url).result["publish_id"]
    notebook.progress(publish_id, "checking")
    notebook.ask("cancel", publish_id=publish_id)
    assert notebook.progress(publish_id, *FINAL)["state"] == "ready"
