"""The promises of ``ModelStore``, whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tensortrigger_backend.domain.errors import Conflict, Fault, InvalidInput, NotFound
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.jobs import Job, JobState, Slice
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.metadata import Metadata
from tensortrigger_backend.domain.models import ModelVersion, Reference, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.ports.versions import AliasStore, ModelStore

SIGNATURE = Signature((TensorSpec("x", "float32", (-1, 2)),), (TensorSpec("y", "float32", (-1, 1)),))
ACCEPTED = ForgeVerdict(
    True, format="keras", signature=SIGNATURE, engine="onnxruntime", max_deviation=1e-7, parameters=3
)
REFUSED = ForgeVerdict(
    False, (Fault(("model_content",), "layer", "Layer 'l' is a Lambda.", remedy="Drop it."),)
)


def version(model_id: str, name: str = "churn", owner: str = "ann", created: float = 1.0) -> ModelVersion:
    return ModelVersion(
        model_id=model_id,
        owner=owner,
        name=name,
        title=name.title(),
        description="what it is",
        state=VersionState.RECEIVED,
        source_key=f"models/{model_id}/source",
        source_sha256="0" * 64,
        size=10,
        created=created,
        holder="here",
        schema=VectorSchema((Field("a", "INT"), Field("b")), (Field("y"),)),
    )


def publish(models: ModelStore, model_id: str, name: str = "churn", owner: str = "ann") -> ModelVersion:
    models.add(version(model_id, name, owner))
    return models.make_ready(model_id, ACCEPTED, f"models/{model_id}/servable", "1" * 64, 3.0)


def test_what_was_added_is_found_unchanged(models: ModelStore) -> None:
    added = models.add(version("m1"))
    assert added == version("m1")
    assert models.get("m1", "ann") == version("m1")
    assert models.get("m1", None) == version("m1")


def test_a_ready_version_holds_what_the_forge_said(models: ModelStore) -> None:
    ready = publish(models, "m1")
    assert (ready.state, ready.version, ready.engine) == (VersionState.READY, 1, "onnxruntime")
    assert (ready.signature, ready.schema) == (SIGNATURE, version("m1").schema)
    assert (ready.servable_key, ready.servable_sha256) == ("models/m1/servable", "1" * 64)
    assert ForgeVerdict.from_dict(ready.report) == ACCEPTED
    assert models.get("m1", "ann") == ready


def test_versions_count_from_one_within_owner_and_name(models: ModelStore) -> None:
    numbers = [
        publish(models, model_id, name, owner).version
        for model_id, name, owner in [
            ("m1", "churn", "ann"),
            ("m2", "churn", "ann"),
            ("m3", "other", "ann"),
            ("m4", "churn", "bob"),
            ("m5", "churn", "ann"),
        ]
    ]
    assert numbers == [1, 2, 1, 1, 3]


def test_versions_that_become_ready_at_once_leave_no_gap(
    models: ModelStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    numbers = at_once(lambda thread: [publish(models, f"m{thread}-{again}").version for again in range(3)])
    assert sorted(number for some in numbers for number in some) == list(range(1, 25))


def test_making_one_version_ready_twice_gives_it_one_number(
    models: ModelStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    models.add(version("m1"))
    ready = at_once(lambda _: models.make_ready("m1", ACCEPTED, "models/m1/servable", "1" * 64, 3.0).version)
    assert set(ready) == {1}
    assert publish(models, "m2").version == 2


def test_refused_uploads_take_no_number(models: ModelStore) -> None:
    models.add(version("m1"))
    models.refuse("m1", REFUSED, "here")
    assert publish(models, "m2").version == 1
    refused = models.get("m1", "ann")
    assert (refused.state, refused.version) == (VersionState.REFUSED, None)
    assert refused.described()["report"]["faults"][0]["remedy"] == "Drop it."


def test_a_removed_version_never_gives_its_number_again(models: ModelStore) -> None:
    publish(models, "m1")
    publish(models, "m2")
    models.remove("m2", "ann", 5.0)
    assert publish(models, "m3").version == 3
    models.discard("m3", 4.0)
    assert publish(models, "m4").version == 4


def test_nobody_sees_what_another_owns(models: ModelStore) -> None:
    publish(models, "m1")
    for ask in (
        lambda: models.get("m1", "bob"),
        lambda: models.named("bob", Reference("churn")),
        lambda: models.named("bob", Reference("churn", 1)),
        lambda: models.remove("m1", "bob", 2.0),
        lambda: models.get("nothing", "ann"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert models.page("bob", VersionFilter(), 10, None).items == ()
    assert models.get("m1", "ann").state is VersionState.READY


def test_a_name_means_its_latest_ready_version(models: ModelStore) -> None:
    publish(models, "m1")
    publish(models, "m2")
    models.add(version("m3"))
    assert models.named("ann", Reference("churn")).model_id == "m2"
    assert models.named("ann", Reference("churn", 1)).model_id == "m1"
    with pytest.raises(NotFound, match="no version 7; latest is 2"):
        models.named("ann", Reference("churn", 7))
    models.remove("m2", "ann", 5.0)
    assert models.named("ann", Reference("churn")).model_id == "m1"
    with pytest.raises(NotFound, match="no version 2; latest is 1"):
        models.named("ann", Reference("churn", 2))


def test_a_removed_version_is_hidden_from_its_owner_and_kept_for_its_jobs(models: ModelStore) -> None:
    publish(models, "m1")
    models.remove("m1", "ann", 5.0)
    with pytest.raises(NotFound):
        models.get("m1", "ann")
    with pytest.raises(NotFound):
        models.remove("m1", "ann", 6.0)
    assert models.page("ann", VersionFilter(), 10, None).items == ()
    assert models.get("m1", None).model_id == "m1"


def test_a_removed_version_is_unused_once_no_unfinished_job_needs_it(
    models: ModelStore, jobs: JobStore
) -> None:
    publish(models, "m1")
    job = Job("j1", "ann", "m1", JobState.QUEUED, "jobs/j1/upload", 5, ("a",), 1, 1.0, 1.0)
    jobs.add(job, [Slice(0, 2, 3, 0, 1, 2)])
    assert models.clear_removed() == []
    models.remove("m1", "ann", 5.0)
    assert models.clear_removed() == []
    jobs.cancel("j1", "ann", 6.0)
    assert [cleared.model_id for cleared in models.clear_removed()] == ["m1"]
    assert models.clear_removed() == []
    with pytest.raises(NotFound):
        models.get("m1", None)


def test_a_version_that_was_removed_while_it_was_checked_does_not_become_ready(models: ModelStore) -> None:
    models.add(version("m1"))
    models.remove("m1", "ann", 5.0)
    with pytest.raises(NotFound, match="removed while"):
        models.make_ready("m1", ACCEPTED, "k", "1" * 64, 3.0)
    with pytest.raises(NotFound):
        models.make_ready("unknown", ACCEPTED, "k", "1" * 64, 3.0)
    assert publish(models, "m2").version == 1


def test_stages_advance_until_the_version_is_settled(models: ModelStore) -> None:
    models.add(version("m1"))
    models.advance("m1", VersionState.REBUILDING, "here")
    assert models.get("m1", "ann").state is VersionState.REBUILDING
    models.make_ready("m1", ACCEPTED, "k", "1" * 64, 3.0)
    models.advance("m1", VersionState.CHECKING, "here")
    assert models.get("m1", "ann").state is VersionState.READY


def test_an_upload_is_taken_by_one_process_and_only_its_word_counts(models: ModelStore) -> None:
    models.add(version("m1"))
    assert not models.take("m1", "nobody", "forge")
    assert models.take("m1", "here", "forge")
    assert not models.take("m1", "here", "other")
    models.advance("m1", VersionState.REBUILDING, "here")
    models.refuse("m1", REFUSED, "here")
    assert models.get("m1", "ann").state is VersionState.RECEIVED
    models.refuse("m1", REFUSED, "forge")
    assert models.get("m1", "ann").state is VersionState.REFUSED
    assert not models.take("m1", "forge", "here")
    assert models.make_ready("m1", ACCEPTED, "k", "1" * 64, 3.0).state is VersionState.REFUSED


def test_unsettled_uploads_are_told_oldest_first(models: ModelStore) -> None:
    for model_id, created in (("m1", 3.0), ("m2", 1.0), ("m3", 2.0), ("m4", 4.0), ("m5", 5.0)):
        models.add(version(model_id, created=created))
    models.make_ready("m3", ACCEPTED, "k", "1" * 64, 3.0)
    models.refuse("m4", REFUSED, "here")
    models.remove("m5", "ann", 6.0)
    models.advance("m1", VersionState.VERIFYING, "here")
    assert [waiting.model_id for waiting in models.unsettled()] == ["m2", "m1"]


def test_a_discarded_upload_leaves_nothing_and_frees_its_idempotency_key(models: ModelStore) -> None:
    models.add(version("m1"), Idempotency("key", "print"))
    models.discard("m1", 4.0)
    models.discard("m1", 4.0)
    with pytest.raises(NotFound):
        models.get("m1", None)
    assert models.add(version("m2"), Idempotency("key", "other")).model_id == "m2"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_neither_skip_nor_repeat_where_many_have_the_same_time(models: ModelStore, limit: int) -> None:
    times = {f"m{place:02}": float(place // 8) for place in range(23)}
    for model_id, created in times.items():
        models.add(version(model_id, created=created))
    seen: list[str] = []
    cursor = None
    while True:
        page = models.page("ann", VersionFilter(), limit, cursor)
        assert len(page.items) <= limit
        seen += [item.model_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(times, key=lambda model_id: (times[model_id], model_id), reverse=True)


def test_what_comes_while_pages_are_turned_disturbs_none_of_them(models: ModelStore) -> None:
    for place in range(4):
        models.add(version(f"m{place}", created=1.0 + place))
    first = models.page("ann", VersionFilter(), 2, None)
    models.add(version("new", created=9.0))
    models.remove(first.items[-1].model_id, "ann", 9.5)
    second = models.page("ann", VersionFilter(), 2, first.next_cursor)
    assert [item.model_id for item in (*first.items, *second.items)] == ["m3", "m2", "m1", "m0"]
    assert second.next_cursor is None


def test_pages_are_filtered_by_name_and_state(models: ModelStore) -> None:
    publish(models, "m1")
    publish(models, "m2", "other")
    models.add(version("m3"))
    models.add(version("m4"))
    models.refuse("m4", REFUSED, "here")

    def ids(name: str | None, state: VersionState | None) -> set[str]:
        return {item.model_id for item in models.page("ann", VersionFilter(name, state), 10, None).items}

    assert ids(None, None) == {"m1", "m2", "m3"}
    assert ids("churn", None) == {"m1", "m3"}
    assert ids(None, VersionState.REFUSED) == {"m4"}
    assert ids("churn", VersionState.READY) == {"m1"}


def test_pages_are_filtered_by_what_publishers_told(models: ModelStore, aliases: AliasStore) -> None:
    told = {
        "m1": Metadata({"team": "risk", "a b": "50% off"}, {"auc": 0.5}, "Ann", "train.ipynb", "abc"),
        "m2": Metadata({"team": "risk", "stage": "x:y"}, author="Bob"),
        "m3": Metadata(),
    }
    for model_id, metadata in told.items():
        added = models.add(replace(version(model_id), metadata=metadata))
        assert added.metadata == models.get(model_id, "ann").metadata == metadata
    models.make_ready("m1", ACCEPTED, "k", "1" * 64, 2.0)
    models.make_ready("m2", replace(ACCEPTED, format="hdf5", engine="tensorflow"), "k", "1" * 64, 2.0)
    aliases.move("ann", "churn", "production", 2, None, 3.0, "x")

    def ids(**wanted: Any) -> set[str]:
        return {item.model_id for item in models.page("ann", VersionFilter(**wanted), 10, None).items}

    assert ids(tags=(("team", "risk"),)) == {"m1", "m2"}
    assert ids(tags=(("team", "risk"), ("stage", "x:y"))) == {"m2"}
    assert ids(tags=(("a b", "50% off"),)) == {"m1"}
    assert ids(tags=(("team", "Risk"),)) == ids(tags=(("other", "risk"),)) == set()
    assert ids(author="Ann") == {"m1"}
    assert ids(format="hdf5") == ids(engine="tensorflow") == ids(alias="production") == {"m2"}
    assert ids(alias="candidate") == set()


def test_a_text_is_looked_for_in_name_title_and_description_whatever_its_case(models: ModelStore) -> None:
    models.add(replace(version("m1", "alpha"), title="First", description="Predicts 50% of all"))
    models.add(replace(version("m2", "beta"), title="ALPHA two", description=""))

    def ids(text: str) -> set[str]:
        return {item.model_id for item in models.page("ann", VersionFilter(text=text), 10, None).items}

    assert ids("alpha") == ids("Alpha") == {"m1", "m2"}
    assert ids("predicts") == ids("50%") == {"m1"}
    assert ids("5%") == ids("al_ha") == set()


def test_description_and_tags_can_be_changed_and_nothing_else_is(models: ModelStore) -> None:
    models.add(replace(version("m1"), metadata=Metadata({"a": "1"}, {"auc": 0.5}, "Ann")))
    before = models.get("m1", "ann")
    assert models.amend("m1", "ann", "new words", None) == replace(before, description="new words")
    changed = models.amend("m1", "ann", None, {"b": "2"})
    assert (changed.description, changed.metadata) == ("new words", Metadata({"b": "2"}, {"auc": 0.5}, "Ann"))
    assert models.amend("m1", "ann", None, {}).metadata.tags == {}
    assert models.amend("m1", "ann", "", None).description == ""
    with pytest.raises(NotFound):
        models.amend("m1", "bob", "mine", None)


def test_a_receipt_is_stored_with_the_version_that_becomes_ready(models: ModelStore) -> None:
    models.add(version("m1"))
    assert models.get("m1", "ann").described()["receipt"] is None
    receipt = {"sha256": "f" * 64, "source": "client", "max_deviation": 1e-7, "rows": 3}
    ready = models.make_ready("m1", ACCEPTED, "k", "1" * 64, 2.0, receipt, "models/m1/example")
    assert (ready.receipt, ready.example_key) == (receipt, "models/m1/example")
    assert ready.described()["receipt"] == {
        "sha256": "f" * 64,
        "source": "client",
        "max_deviation": 1e-7,
    }
    models.note_receipt("m1", {**receipt, "rows": 4})
    assert models.get("m1", "ann").receipt == {**receipt, "rows": 4}


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "AAAA", "é", "_" * 30, "AAAAAAAAAAD_"])
def test_a_cursor_of_ones_own_making_is_refused(models: ModelStore, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="no cursor"):
        models.page("ann", VersionFilter(), 10, cursor)


def test_an_idempotency_key_makes_one_version_only(
    models: ModelStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    made = at_once(lambda thread: models.add(version(f"m{thread}"), Idempotency("key", "print")).model_id)
    assert len(set(made)) == 1
    assert len(models.page("ann", VersionFilter(), 50, None).items) == 1


def test_an_idempotency_key_for_another_request_is_a_conflict(models: ModelStore) -> None:
    models.add(version("m1"), Idempotency("key", "print"))
    with pytest.raises(Conflict, match="another request"):
        models.add(version("m2"), Idempotency("key", "other print"))
    with pytest.raises(NotFound):
        models.get("m2", None)
    assert models.add(version("m3", owner="bob"), Idempotency("key", "other print")).model_id == "m3"


def test_an_idempotency_key_of_a_model_that_was_removed_brings_nothing_back(models: ModelStore) -> None:
    models.add(version("m1"), Idempotency("key", "print"))
    models.remove("m1", "ann", 2.0)
    with pytest.raises(Conflict, match="deleted since"):
        models.add(version("m2"), Idempotency("key", "print"))
