"""A scored CSV file is answered beside itself, as it stands and with nothing overwritten."""

from __future__ import annotations

import asyncio
import csv
import io
import json

import pytest
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager, FileContentsManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager

from tensortrigger_server.csv_files import NewFile

# Jupyter warns of the synchronous ones; as long as it has them, they must work.
pytestmark = pytest.mark.filterwarnings("ignore:The synchronous ContentsManager:DeprecationWarning")


MANAGERS = [LargeFileManager, AsyncLargeFileManager, FileContentsManager, AsyncFileContentsManager]


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


def test_many_rejected_rows_are_fetched_by_one_request(with_backend, backend, root, score):
    (root / "x.csv").write_text("a,b\n" + "".join(f"x,{row}\n" for row in range(1_000)))
    assert score("x.csv")["rows_rejected"] == 1_000
    with (root / "x.rejects.csv").open() as file:
        assert [int(reject["row"]) for reject in csv.DictReader(file)] == list(range(1_000))
    assert len([seen for seen in backend.seen if seen.path.endswith("/rejects")]) == 1


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


def test_a_model_must_be_named(with_backend, call, root):
    (root / "x.csv").write_text("a,b\n1,2\n")
    for model in (None, "", 7, "x" * 201):
        assert (model, call("POST", "csv/scores", {"path": "x.csv", "model": model}).code) == (model, 400)


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
