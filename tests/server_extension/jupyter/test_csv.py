"""CSV files of the file browser: looked into, scored, and answered beside themselves."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from jupyter_server.auth import AllowAllAuthorizer
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager, FileContentsManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager

from tensortrigger_server.csv_files import NewFile

# Jupyter warns of the synchronous ones; as long as it has them, they must work.
pytestmark = pytest.mark.filterwarnings("ignore:The synchronous ContentsManager:DeprecationWarning")

MANAGERS = [LargeFileManager, AsyncLargeFileManager, FileContentsManager, AsyncFileContentsManager]


class _Cipher(AsyncFileContentsManager):
    """One whose files on disk are not what it hands out."""

    async def _read_file(self, os_path, format, raw=False):  # noqa: A002
        text = await asyncio.to_thread(Path(os_path).read_text)
        shown = "".join(reversed(text)) if os_path.endswith(".secret.csv") else text
        return (shown, "text", shown.encode()) if raw else (shown, "text")


class _ReadOnly(AsyncLargeFileManager):
    """As on a drive that is mounted for reading."""

    def is_writable(self, path):
        return False


@pytest.fixture
def root(jp_root_dir) -> Path:
    return jp_root_dir


@pytest.fixture
def wait_for(call, run, until):
    """The score once a condition holds, by default that it has ended."""

    def wait(score_id: str, condition=lambda score: score["finished"]):
        def score():
            return json.loads(call("GET", f"csv/scores/{score_id}").body)["score"]

        for _ in range(400):
            if condition(found := score()):
                return found
            run(asyncio.sleep(0.02))
        raise AssertionError(found)

    return wait


@pytest.fixture
def score(call, wait_for):
    """Scores a file to its end."""

    def scored(path: str, **more):
        answer = call("POST", "csv/scores", {"path": path, "model": "adder", **more})
        assert answer.code == 201, answer.body
        return wait_for(json.loads(answer.body)["score"]["score_id"])

    return scored


def preview(call, path):
    answer = call("POST", "csv/preview", {"path": path})
    return answer.code, json.loads(answer.body)


PREVIEWS = (
    (b"a,b\n1,2\n3,4\n", ",", ["a", "b"], [["1", "2"], ["3", "4"]]),
    (b"a;b\r\n1,5;2\r\n", ";", ["a", "b"], [["1,5", "2"]]),
    (b"\xef\xbb\xbfa\tb\n1\t2", "\t", ["a", "b"], [["1", "2"]]),
    (b"a|b\n1|2\n", "|", ["a", "b"], [["1", "2"]]),
    (b'"x;y",b\n"1;2",3\n', ",", ["x;y", "b"], [["1;2", "3"]]),
    (b'a,b\n"one\ntwo",2\n', ",", ["a", "b"], [["one\ntwo", "2"]]),
    (b"\n\na,b\n\n1,2\n", ",", ["a", "b"], [["1", "2"]]),
    (b"only\n1\n2\n", ",", ["only"], [["1"], ["2"]]),
    ("größe,b\n1,2\n".encode(), ",", ["größe", "b"], [["1", "2"]]),
    (b"a,b\n" + b"1,2\n" * 9, ",", ["a", "b"], [["1", "2"]] * 5),
)


def test_a_preview_shows_columns_rows_and_delimiter(with_backend, call, root):
    (root / "data").mkdir()
    for content, delimiter, columns, rows in PREVIEWS:
        (root / "data" / "x y.csv").write_bytes(content)
        code, seen = preview(call, "data/x y.csv")
        expected = {"columns": columns, "rows": rows, "delimiter": delimiter, "size": len(content)}
        assert (content, code, seen) == (content, 200, expected)


def test_a_preview_of_a_huge_file_reads_its_beginning_only(with_backend, call, root):
    with (root / "huge.csv").open("wb") as file:
        file.write(b"a,b\n1,2\n" * 1000)
        file.truncate(1 << 40)
    code, seen = preview(call, "huge.csv")
    assert (code, seen["size"], len(seen["rows"])) == (200, 1 << 40, 5)


NO_CSV = (
    (b"", "empty"),
    (b"a,b\n1,\xff\n", "Line 2 is not UTF-8"),
    ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    (b"a,b\n1,\x002\n", "Line 2 holds a NUL byte"),
    (b"a,b\n" + b"x" * (2 << 20), "Line 2 is over"),
    (b"a,b\r1,2\r", "Line 1 is no CSV"),
)


def test_what_is_no_csv_is_told_with_its_line(with_backend, call, root):
    for content, words in NO_CSV:
        (root / "x.csv").write_bytes(content)
        code, problem = preview(call, "x.csv")
        assert (words, code) == (words, 400)
        assert words in problem["detail"]


NOT_SHOWN = (
    ("missing.csv", 404),
    ("folder", 400),
    (".hidden.csv", 404),
    ("../outside.csv", 404),
    ("folder/../../outside.csv", 404),
    ("/../outside.csv", 404),
    ("..", 404),
    ("", 400),
    ("x\0.csv", 400),
    (None, 400),
    (7, 400),
    (["x.csv"], 400),
)


@pytest.mark.parametrize("manager", [LargeFileManager, AsyncLargeFileManager])
def test_only_files_that_the_file_browser_shows_can_be_read(jp_server_config, request, call, manager):
    jp_server_config["ServerApp"]["contents_manager_class"] = manager
    root = request.getfixturevalue("root")
    request.getfixturevalue("with_backend")
    (root / "folder").mkdir()
    (root / ".hidden.csv").write_text("a,b\n1,2\n")
    (root.parent / "outside.csv").write_text("a,b\n1,2\n")
    for path, code in NOT_SHOWN:
        assert (path, preview(call, path)[0]) == (path, code)
        answer = call("POST", "csv/scores", {"path": path, "model": "adder"})
        assert (path, answer.code) == (path, code)
        assert str(root) not in answer.body.decode()


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_result_stands_beside_the_file_with_all_its_columns_and_rows(jp_server_config, request, manager):
    jp_server_config["ServerApp"]["contents_manager_class"] = manager
    root, _ = request.getfixturevalue("root"), request.getfixturevalue("with_backend")
    (root / "sub").mkdir()
    source = 'name,a,b\n"Ada, ""L""",1,2\n\n"two\nlines",x,4\nBob,5,6\nshort\n'
    (root / "sub" / "x.csv").write_bytes(source.encode())
    score = request.getfixturevalue("score")("sub/x.csv")
    assert score["state"] == "succeeded", score
    assert (score["rows_done"], score["rows_total"], score["rows_rejected"]) == (4, 4, 2)
    assert score["output_path"] == "sub/x.scored.csv"
    expected = 'name,a,b,sum\n"Ada, ""L""",1,2,3.0\n"two\nlines",x,4,\nBob,5,6,11.0\nshort,,,\n'
    assert (root / "sub" / "x.scored.csv").read_bytes() == expected.encode()
    assert score["rejects_path"] == "sub/x.rejects.csv"
    with (root / "sub" / "x.rejects.csv").open() as file:
        rejects = list(csv.DictReader(file))
    assert [(reject["row"], reject["line"]) for reject in rejects] == [("1", "4"), ("3", "7")]
    assert rejects[0]["column"] == "a"
    assert sorted(path.name for path in (root / "sub").iterdir()) == [
        "x.csv",
        "x.rejects.csv",
        "x.scored.csv",
    ]


def test_no_file_is_ever_overwritten(with_backend, root, score):
    (root / "x.csv").write_text("a,b\n1,2\n")
    (root / "x.scored.csv").write_text("mine")
    assert score("x.csv")["output_path"] == "x.scored-2.csv"
    assert score("x.csv")["output_path"] == "x.scored-3.csv"
    assert (root / "x.scored.csv").read_text() == "mine"
    assert not list(root.glob("*.rejects*"))
    assert not list(root.glob("*.part"))


def test_another_dialect_is_read_sent_as_the_backend_wants_it_and_written_as_it_was(
    with_backend, backend, root, score
):
    source = '\ufeffa;b;note\r\n1;2;x\r\n3;4;"line\r\nbreak; ""q"""\r\n'
    (root / "x.csv").write_bytes(source.encode())
    found = score("x.csv")
    assert found["state"] == "succeeded", found
    (upload,) = [seen for seen in backend.seen if seen.method == "POST"]
    sent = list(csv.reader(io.StringIO(upload.body.decode(), newline="")))
    assert sent == [["a", "b", "note"], ["1", "2", "x"], ["3", "4", 'line\r\nbreak; "q"']]
    assert upload.headers["Content-Type"] == "text/csv"
    written = (root / "x.scored.csv").read_bytes().decode()
    assert written.startswith("\ufeffa;b;note;sum\r\n1;2;x;3.0\r\n")
    rows = list(csv.reader(io.StringIO(written.removeprefix("\ufeff"), newline=""), delimiter=";"))
    assert rows[2] == ["3", "4", 'line\r\nbreak; "q"', "7.0"]


def test_what_stands_in_the_file_is_written_as_it_stands(with_backend, root, score):
    (root / "x.csv").write_bytes(b'a,b,note\n1,2,"x\ry"\n3,4,z')
    assert score("x.csv")["state"] == "succeeded"
    assert (root / "x.scored.csv").read_bytes() == b'a,b,note,sum\n1,2,"x\ry",3.0\n3,4,z,7.0\n'


def test_columns_are_renamed_in_the_header_that_is_sent_and_nowhere_else(with_backend, backend, root, score):
    (root / "x.csv").write_text("tenure,a,charges\n1,9,2\n")
    found = score("x.csv", model="adder/3", columns={"a": "tenure", "b": "charges"})
    assert (found["state"], found["model"]) == ("succeeded", "adder/3")
    (upload,) = [seen for seen in backend.seen if seen.method == "POST"]
    assert upload.query == "model=adder%2F3"
    assert upload.body.decode().splitlines() == ["a,a_2,b", "1,9,2"]
    assert (root / "x.scored.csv").read_text() == "tenure,a,charges,sum\n1,9,2,3.0\n"


def test_an_output_that_is_called_like_a_column_gets_a_name_of_its_own(with_backend, root, score):
    (root / "x.csv").write_text("a,b,sum\n1,2,9\n")
    score("x.csv")
    assert (root / "x.scored.csv").read_text() == "a,b,sum,sum_2\n1,2,9,3.0\n"


NO_MAPPING = (
    ({"a": "nope"}, "'nope'"),
    ({"a": "twice"}, "2 times"),
    ({"a": "x", "b": "x"}, "more than one field"),
    ({"a": 3}, "columns"),
    (["a"], "columns"),
)


def test_a_mapping_that_cannot_be_is_refused_at_once(with_backend, backend, call, root):
    (root / "x.csv").write_text("x,twice,twice\n1,2,3\n")
    for columns, words in NO_MAPPING:
        answer = call("POST", "csv/scores", {"path": "x.csv", "model": "adder", "columns": columns})
        assert (words, answer.code, json.loads(answer.body)["code"]) == (words, 400, "bad_columns")
        assert words in json.loads(answer.body)["detail"]
    assert backend.seen == []


def test_what_the_backend_finds_wrong_with_the_file_is_told(with_backend, root, score):
    (root / "x.csv").write_text("x,y\n1,2\n")
    found = score("x.csv")
    assert (found["state"], found["output_path"]) == ("failed", None)
    assert found["error"] == "The CSV does not fit. has ['x', 'y']"


def test_a_large_file_is_scored_without_being_held_as_a_whole(with_backend, backend, root, score):
    import tracemalloc

    rows = 6_000
    with (root / "x.csv").open("w") as file:
        file.write("a,b,note\n")
        for row in range(rows):
            file.write(f"{row},1,{'n' * 2_000}\n")
    size = (root / "x.csv").stat().st_size

    async def results(route):
        route.set_header("Content-Type", "text/csv")
        route.write("row,sum\r\n")
        for start in range(0, rows, 2_000):
            route.write("".join(f"{row},{row + 1}\r\n" for row in range(start, start + 2_000)))
            await route.flush()

    async def progress(route):
        told = {"rows_done": rows, "rows_total": rows, "rows_rejected": 0}
        route.finish({"job": {"job_id": "ab12", "state": "succeeded", "error": None, "progress": told}})

    async def take(route):
        route.set_status(201)
        route.finish({"job_id": "ab12"})

    backend.replies |= {
        ("POST", "/jobs"): take,
        ("GET", "/jobs/ab12"): progress,
        ("GET", "/jobs/ab12/results"): results,
    }
    tracemalloc.start()
    try:
        found = score("x.csv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["state"] == "succeeded", found
    with (root / "x.scored.csv").open() as file:
        assert sum(1 for line in file) == rows + 1
    # The stand-in itself holds the upload once, or twice while it joins its pieces.
    assert peak < 3 * size, (peak, size)


def test_a_backend_that_goes_away_and_comes_back_is_waited_for(
    with_backend, backend, call, root, run, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["state"] == "scoring")
    run(backend.stop())
    run(asyncio.sleep(0.4))
    assert wait_for(score_id, lambda score: True)["state"] == "scoring"
    backend.hold_jobs = False
    run(backend.start())
    assert wait_for(score_id)["state"] == "succeeded"


def test_an_upload_is_repeated_with_the_same_key_when_the_backend_was_away(
    with_backend, backend, call, root, run, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    run(backend.stop())
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    run(asyncio.sleep(0.3))
    run(backend.start())
    assert wait_for(score_id)["state"] == "succeeded"
    assert backend.seen[0].headers["Idempotency-Key"] == score_id


def test_cancelling_ends_the_backends_job_and_leaves_nothing_behind(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    found = wait_for(score_id, lambda score: score["job_id"])
    for _ in range(2):  # safe to repeat
        answer = call("DELETE", f"csv/scores/{score_id}")
        assert (answer.code, json.loads(answer.body)["score"]["state"]) == (200, "cancelled")
    assert backend.jobs[found["job_id"]]["state"] == "cancelled"
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_cancelling_while_the_backend_is_about_to_answer_still_ends_its_job(
    with_backend, backend, call, root, run, until
):
    (root / "x.csv").write_text("a,b\n1,2\n")
    cancelled = []

    async def slow(route):
        await asyncio.sleep(0.4)
        route.set_status(201)
        route.finish({"job_id": "ab12"})

    async def cancel(route):
        cancelled.append(True)
        route.finish({"job": {}})

    backend.replies |= {("POST", "/jobs"): slow, ("POST", "/jobs/ab12/cancel"): cancel}
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    run(until(lambda: backend.seen))
    assert json.loads(call("DELETE", f"csv/scores/{score_id}").body)["score"]["state"] == "cancelled"
    assert cancelled == [True]


def test_cancelling_while_the_result_is_written_leaves_nothing_behind(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n")

    async def endless(route):
        route.write("row,sum\r\n")
        await route.flush()
        await asyncio.sleep(30)

    backend.replies["GET", "/jobs/" + "0" * 32 + "/results"] = endless
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["state"] == "writing")
    call("DELETE", f"csv/scores/{score_id}")
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_a_job_that_was_cancelled_elsewhere_or_failed_is_told(with_backend, backend, call, root, wait_for):
    (root / "x.csv").write_text("a,b\n1,2\n")
    for state in ("cancelled", "failed"):
        backend.hold_jobs = True
        score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
            "score_id"
        ]
        job_id = wait_for(score_id, lambda score: score["job_id"])["job_id"]
        backend.jobs[job_id]["state"] = state
        found = wait_for(score_id)
        assert found["state"] == state
        assert "job" in found["error"]


def test_a_file_that_changes_meanwhile_is_not_written_beside_the_wrong_rows(
    with_backend, backend, call, root, wait_for
):
    (root / "x.csv").write_text("a,b\n1,2\n3,4\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    wait_for(score_id, lambda score: score["job_id"])
    (root / "x.csv").write_text("a,b\n3,4\n1,2\n")
    backend.hold_jobs = False
    found = wait_for(score_id)
    assert (found["state"], found["error"]) == (
        "failed",
        "The file was changed while it was scored: score it again.",
    )
    assert [path.name for path in root.iterdir()] == ["x.csv"]


def test_a_manager_that_keeps_its_files_in_a_way_of_its_own_is_asked_for_the_content(
    jp_server_config, request, call
):
    jp_server_config["ServerApp"]["contents_manager_class"] = _Cipher
    root, _ = request.getfixturevalue("root"), request.getfixturevalue("with_backend")
    (root / "x.secret.csv").write_text("".join(reversed("a,b\n1,2\n")))
    assert preview(call, "x.secret.csv")[1]["rows"] == [["1", "2"]]
    found = request.getfixturevalue("score")("x.secret.csv")
    assert found["state"] == "succeeded", found
    assert (root / "x.secret.scored.csv").read_text() == "a,b,sum\n1,2,3.0\n"


def test_a_file_that_such_a_manager_would_hand_out_whole_may_not_be_huge(jp_server_config, request, call):
    jp_server_config["ServerApp"]["contents_manager_class"] = _Cipher
    root, _ = request.getfixturevalue("root"), request.getfixturevalue("with_backend")
    with (root / "x.csv").open("wb") as file:
        file.truncate(1 << 30)
    assert preview(call, "x.csv")[0] == 413


def test_a_folder_in_which_nothing_can_be_written_is_told_before_anything_is_sent(
    jp_server_config, request, backend, call
):
    jp_server_config["ServerApp"]["contents_manager_class"] = _ReadOnly
    root, _ = request.getfixturevalue("root"), request.getfixturevalue("with_backend")
    (root / "x.csv").write_text("a,b\n1,2\n")
    answer = call("POST", "csv/scores", {"path": "x.csv", "model": "adder"})
    assert (answer.code, json.loads(answer.body)["code"]) == (403, "not_writable")
    assert backend.seen == []


@pytest.mark.parametrize("refused", ["read", "write"])
def test_who_may_not_use_the_files_may_not_score_them_either(
    jp_server_config, backend, request, call, refused
):
    class Refusing(AllowAllAuthorizer):
        def is_authorized(self, handler, user, action, resource):
            return (action, resource) != (refused, "contents")

    jp_server_config["ServerApp"]["authorizer_class"] = Refusing
    root, _ = request.getfixturevalue("root"), request.getfixturevalue("with_backend")
    (root / "x.csv").write_text("a,b\n1,2\n")
    assert call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).code == 403
    assert preview(call, "x.csv")[0] == (403 if refused == "read" else 200)
    assert backend.seen == []


def test_only_so_many_are_scored_at_once_and_only_so_many_are_remembered(
    with_backend, backend, call, root, wait_for, monkeypatch
):
    monkeypatch.setattr("tensortrigger_server.score_book.KEPT", 3)
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    order = {"path": "x.csv", "model": "adder"}
    ids = [json.loads(call("POST", "csv/scores", order).body)["score"]["score_id"] for _ in range(4)]
    refused = call("POST", "csv/scores", order)
    assert (refused.code, json.loads(refused.body)["code"]) == (429, "too_many")
    backend.hold_jobs = False
    outputs = {wait_for(score_id)["output_path"] for score_id in ids}
    assert len(outputs) == 4
    call("POST", "csv/scores", order)
    listed = json.loads(call("GET", "csv/scores").body)["scores"]
    assert len(listed) == 3
    assert listed[1]["score_id"] == ids[-1]
    assert call("GET", f"csv/scores/{ids[0]}").code == 404


def test_when_the_extension_stops_what_is_being_scored_ends(with_backend, backend, call, root, run, wait_for):
    (root / "x.csv").write_text("a,b\n1,2\n")
    backend.hold_jobs = True
    score_id = json.loads(call("POST", "csv/scores", {"path": "x.csv", "model": "adder"}).body)["score"][
        "score_id"
    ]
    job_id = wait_for(score_id, lambda score: score["job_id"])["job_id"]
    run(with_backend.stop_extension())
    assert backend.jobs[job_id]["state"] == "cancelled"
    assert json.loads(call("GET", "csv/scores").body) == {"scores": []}


def test_a_model_must_be_named(with_backend, call, root):
    (root / "x.csv").write_text("a,b\n1,2\n")
    for model in (None, "", 7, "x" * 201):
        assert (model, call("POST", "csv/scores", {"path": "x.csv", "model": model}).code) == (model, 400)


def test_results_that_take_their_names_at_one_moment_get_names_of_their_own(run, tmp_path):
    class Slow:
        """A contents manager that looks and moves in two steps, as Jupyter's own does."""

        async def exists(self, path):
            await asyncio.sleep(0)
            return (tmp_path / path).exists()

        async def rename_file(self, old, new):
            await asyncio.sleep(0)
            (tmp_path / old).rename(tmp_path / new)

        async def save(self, model, path):
            (tmp_path / path).write_text(model["content"])
            return model

    async def publish_all():
        naming = asyncio.Lock()
        files = [NewFile(Slow(), f"draft {number}", naming) for number in range(5)]
        for number, file in enumerate(files):
            await file.write(str(number))
        return await asyncio.gather(*(file.publish(lambda number: f"x-{number}.csv") for file in files))

    assert sorted(run(publish_all())) == [f"x-{number}.csv" for number in range(1, 6)]
    assert sorted(path.read_text() for path in tmp_path.glob("x-*.csv")) == ["0", "1", "2", "3", "4"]
