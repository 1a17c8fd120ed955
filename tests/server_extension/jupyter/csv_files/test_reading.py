"""Which CSV files of the file browser are looked into, and what is told of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from jupyter_server.auth import AllowAllAuthorizer
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager

# Jupyter warns of the synchronous ones; as long as it has them, they must work.
pytestmark = pytest.mark.filterwarnings("ignore:The synchronous ContentsManager:DeprecationWarning")


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
