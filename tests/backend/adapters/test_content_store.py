"""The promises of ``ContentStore``, whoever keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tensortrigger_backend.domain.contents import content_key
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.versions import ContentStore, ModelStore

AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]
KEY, OTHER = content_key("a" * 64), content_key("b" * 64)
ACCEPTED = ForgeVerdict(True, format="keras", engine="onnxruntime")


def version(model_id: str, source_key: str = KEY, example_key: str | None = None) -> ModelVersion:
    return ModelVersion(
        model_id=model_id,
        owner="ann",
        name="churn",
        title="churn",
        description="",
        state=VersionState.RECEIVED,
        source_key=source_key,
        source_sha256="a" * 64,
        size=1,
        created=1.0,
        example_key=example_key,
    )


def freed(contents: ContentStore, until: float, keys: Sequence[str] | None = None) -> list[str]:
    gone: list[str] = []
    assert contents.free(gone.extend, until, keys) == len(gone)
    return sorted(gone)


def test_bytes_that_a_version_needs_are_not_freed(contents: ContentStore, models: ModelStore) -> None:
    for key in (KEY, OTHER, content_key("c" * 64), content_key("d" * 64)):
        contents.touch(key, 1.0)
    models.add(version("m1", KEY, example_key=OTHER))
    models.make_ready("m1", ACCEPTED, content_key("c" * 64), "c" * 64, 2.0)
    assert freed(contents, 10.0) == [content_key("d" * 64)]
    # A removed version still needs its bytes: a job may be running on it.
    models.remove("m1", "ann", 5.0)
    assert freed(contents, 10.0) == []
    models.clear_removed()
    assert freed(contents, 10.0) == [KEY, OTHER, content_key("c" * 64)]
    assert freed(contents, 10.0) == []


def test_of_two_versions_with_the_same_bytes_the_last_one_frees_them(
    contents: ContentStore, models: ModelStore
) -> None:
    contents.touch(KEY, 1.0)
    models.add(version("m1"))
    models.add(version("m2"))
    models.discard("m1", 2.0)
    assert freed(contents, 10.0) == []
    models.discard("m2", 3.0)
    assert freed(contents, 10.0) == [KEY]


def test_what_was_touched_since_stays(contents: ContentStore) -> None:
    contents.touch(KEY, 5.0)
    contents.touch(OTHER, 1.0)
    # A clock that runs behind does not take the later touch back.
    contents.touch(KEY, 2.0)
    assert freed(contents, 4.9) == [OTHER]
    assert freed(contents, 5.0, [OTHER]) == []
    assert freed(contents, 5.0, [KEY]) == [KEY]


def test_a_version_whose_bytes_were_freed_is_not_stored(contents: ContentStore, models: ModelStore) -> None:
    with pytest.raises(Unavailable, match="send it again"):
        models.add(version("m1"))
    contents.touch(KEY, 1.0)
    with pytest.raises(Unavailable, match="send it again"):
        models.add(version("m1", example_key=OTHER))
    models.add(version("m1"))
    with pytest.raises(Unavailable):
        models.make_ready("m1", ACCEPTED, OTHER, "b" * 64, 2.0)
    assert models.get("m1", "ann").state is VersionState.RECEIVED


def test_what_cannot_be_deleted_is_tried_again(contents: ContentStore) -> None:
    def full(_: Sequence[str]) -> None:
        raise Unavailable("The storage is away.")

    contents.touch(KEY, 1.0)
    with pytest.raises(Unavailable):
        contents.free(full, 10.0)
    assert freed(contents, 10.0) == [KEY]


def test_more_than_fits_one_transaction_is_freed(contents: ContentStore) -> None:
    keys = sorted(content_key(f"{number:064x}") for number in range(230))
    for key in keys:
        contents.touch(key, 1.0)
    assert freed(contents, 10.0) == keys


def test_blobs_that_nobody_ever_touched_are_removed(contents: ContentStore, models: ModelStore) -> None:
    contents.touch(KEY, 1.0)
    models.add(version("m1", "models/m1/source"))
    gone: list[str] = []
    assert contents.free_unknown(gone.extend, [KEY, OTHER, "models/m1/source"]) == 1
    assert gone == [OTHER]
    assert contents.free_unknown(gone.extend, []) == 0


def test_whoever_puts_bytes_while_they_are_freed_finds_them_there(
    contents: ContentStore, models: ModelStore, blobs: BlobStore
) -> None:
    stop = threading.Event()

    def free() -> None:
        # The most eager purge: it knows no grace, and takes whatever no version needs at that moment.
        while not stop.is_set():
            contents.free(blobs.delete, 1e12)

    purge = threading.Thread(target=free)
    purge.start()
    stored = lost = 0
    try:
        for round_ in range(40):
            contents.touch(KEY, float(round_))
            blobs.put(KEY, b"bytes")
            try:
                models.add(version(f"m{round_}"))
            except Unavailable:
                lost += 1
                continue
            stored += 1
            # From here on a version needs them: they were there, or put again after they were freed.
            assert blobs.read(KEY) == b"bytes"
            models.discard(f"m{round_}", 1.0)
    finally:
        stop.set()
        purge.join()
    assert stored + lost == 40
