"""Is an archive that is more or other than a SavedModel's folder refused, with its member, before it is opened?"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.forge.formats import SAVED_MODEL, tell_format
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused
from tensortrigger_backend.forge.saved_model import ops
from tensortrigger_backend.forge.saved_model.archive import unpack_saved_model

GRAPH = "saved_model.pb"
SMALL = Limits(members=20, declared_bytes=8 << 20)


def zipped(
    folder: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    upload = folder / "upload"
    with zipfile.ZipFile(upload, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return upload


def tarred(folder: Path, members: list[tuple[tarfile.TarInfo | str, bytes]], mode: str = "w") -> Path:
    upload = folder / "upload"
    with tarfile.open(upload, mode) as archive:  # type: ignore[call-overload]
        for entry, content in members:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return upload


def unpacked(upload: Path, limits: Limits = SMALL) -> set[str]:
    folder = upload.with_name("out")
    folder.mkdir()
    unpack_saved_model(upload, folder, limits)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refused(upload: Path, limits: Limits = SMALL) -> Fault:
    before = set(upload.parent.parent.rglob("*"))
    with pytest.raises(Refused) as caught:
        unpacked(upload, limits)
    inside = upload.with_name("out")
    strangers = {
        path for path in set(upload.parent.parent.rglob("*")) - before if inside not in (path, *path.parents)
    }
    assert strangers == set(), "nothing is written beside the folder"
    return caught.value.faults[0]


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def linked_member() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("variables/variables.index")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize("name", ["../x", "/x", "assets/../../x", "assets\\..\\x", "C:x", "m/../../x"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert refused(zipped(tmp_path, [(GRAPH, b"1"), (name, b"2")])).code == "unsafe_member"


@pytest.mark.parametrize("name", ["../x", "/x", "m/../../x"])
def test_the_same_in_a_tar(tmp_path: Path, name: str) -> None:
    assert refused(tarred(tmp_path, [(GRAPH, b"1"), (name, b"2")], "w:gz")).code == "unsafe_member"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    fault = refused(tarred(tmp_path, [(GRAPH, b"1"), (link("assets/x", kind), b"")]))
    assert (fault.code, fault.loc) == ("unsafe_member", ("model_content", "assets/x"))


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    assert (
        refused(zipped(tmp_path, [(GRAPH, b"1"), (linked_member(), b"/etc/passwd")])).code == "unsafe_member"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", [GRAPH, "Saved_Model.pb", "./saved_model.pb"])
def test_one_file_twice_is_refused(tmp_path: Path, second: str) -> None:
    assert refused(zipped(tmp_path, [(GRAPH, b"1"), (second, b"2")])).code == "duplicate_member"


@pytest.mark.parametrize(
    "name", ["run.sh", "variables/evil.so", "variables/deep/variables.index", "keras_metadata.pb/x"]
)
def test_a_file_that_no_saved_model_has_is_refused_by_name(tmp_path: Path, name: str) -> None:
    fault = refused(zipped(tmp_path, [(GRAPH, b"1"), (name, b"2")]))
    assert (fault.code, fault.loc) == ("unknown_member", ("model_content", name))


def test_two_folders_side_by_side_are_refused(tmp_path: Path) -> None:
    assert refused(zipped(tmp_path, [(f"a/{GRAPH}", b"1"), (f"b/{GRAPH}", b"2")])).code == "unknown_member"


@pytest.mark.parametrize("pack", ["zip", "tar", "tar.gz"])
def test_what_unpacks_to_far_more_than_it_is_gets_refused(tmp_path: Path, pack: str) -> None:
    zeros = b"\0" * (6 << 20)
    members: list[tuple[str, bytes]] = [(GRAPH, b"1"), ("assets/a", zeros), ("assets/b", zeros)]
    made = (
        zipped(tmp_path, [*members])
        if pack == "zip"
        else tarred(tmp_path, [*members], "w" if pack == "tar" else "w:gz")
    )
    assert refused(made).code == "too_large"


def test_bytes_are_counted_as_they_come_out_and_not_as_they_are_declared(tmp_path: Path) -> None:
    upload = zipped(tmp_path, [(GRAPH, b"1"), ("assets/a", b"\0" * (4 << 20))])
    data = bytearray(upload.read_bytes())
    # The directory says that the member is one byte long; what comes out does not fit its checksum then.
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 1)
    upload.write_bytes(data)
    assert refused(upload).code == "corrupt_archive"


def test_more_files_than_any_model_has_are_refused(tmp_path: Path) -> None:
    assert refused(zipped(tmp_path, [(f"assets/{n}", b"") for n in range(30)])).code == "too_many_members"


def test_a_way_of_packing_that_cannot_be_bounded_is_refused(tmp_path: Path) -> None:
    assert refused(zipped(tmp_path, [(GRAPH, b"1")], zipfile.ZIP_BZIP2)).code == "unknown_compression"


def test_a_truncated_archive_is_damaged(tmp_path: Path) -> None:
    upload = tarred(tmp_path, [(GRAPH, bytes(range(256)) * 4000)], "w:gz")
    upload.write_bytes(upload.read_bytes()[:-200])
    assert refused(upload).code == "corrupt_archive"


def test_only_what_is_read_is_written(tmp_path: Path) -> None:
    names = [
        GRAPH,
        "fingerprint.pb",
        "keras_metadata.pb",
        "variables/variables.index",
        "assets/v.txt",
        "assets.extra/x",
    ]
    members: list[tuple[str | zipfile.ZipInfo, bytes]] = [(f"m/{name}", b"1") for name in names]
    members += [("__MACOSX/m/._saved_model.pb", b"2"), ("m/.DS_Store", b"3")]
    assert unpacked(zipped(tmp_path, members)) == {GRAPH, "variables/variables.index", "assets/v.txt"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_is_told_from_its_bytes(tmp_path: Path, mode: str) -> None:
    assert tell_format(tarred(tmp_path, [(f"m/{GRAPH}", b"1")], mode)) == SAVED_MODEL


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (gzip.compress(b"a,b\n1,2\n" * 200), "text, packed with gzip"),
        (gzip.compress(b"\x89HDF\r\n\x1a\n" + b"\0" * 600), "an HDF5 file, packed with gzip"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 100, "a TensorFlow Lite model"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x01a.", "a Python pickle"),
        (b"\x08\x01\x12\x02\x0a\x00", "a SavedModel's graph without its folder"),
    ],
    # Not by their bytes: those of a gzip hold the time.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_model_is_told_what_it_looks_like(tmp_path: Path, content: bytes, look: str) -> None:
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(Refused) as caught:
        tell_format(tmp_path / "upload")
    assert caught.value.faults[0].code == "not_a_model"
    assert look in caught.value.faults[0].message


def test_a_graph_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    upload = zipped(tmp_path, [(GRAPH, b"\xff" * 50)])
    with pytest.raises(Refused) as caught:
        inspect_upload(upload, tmp_path, Limits())
    assert caught.value.faults[0].code == "corrupt_graph"


def test_no_op_that_touches_the_world_outside_is_on_the_list() -> None:
    words = (
        "File",
        "Print",
        "Save",
        "Restore",
        "Dataset",
        "Iterator",
        "Queue",
        "Reader",
        "PyFunc",
        "Summary",
        "Debug",
    )
    words += ("Send", "Recv", "Collective", "Rpc", "Remote", "Xla", "TRT", "Abort", "Timestamp")
    touching = {op for op in ops.STARTING | ops.FROZEN if any(word in op for word in words)}
    assert touching == ops.FILE_TABLES
