"""Trainings from a file: are the points those of the same numbers sent as JSON, and is nothing passed over silently?"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.points_file import NpzPoints, read_points
from tensortrigger_backend.adapters.rows_csv import CsvRows
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import Conflict, Forbidden, InvalidInput, PayloadTooLarge
from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.domain.training import TrainingFacts
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services import training_files
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.training import Training
from tensortrigger_backend.services.training_files import FileOptions, TrainingFiles

ANN = Principal("ann", EVERYTHING)
Points = tuple[tuple[np.ndarray[Any, Any], ...], tuple[np.ndarray[Any, Any], ...]]


class NoTrainer:
    """Knows what it would need to know, and trains nothing."""

    def __init__(self) -> None:
        self.known = TrainingFacts(("linear",), 2)

    def must_be_installed(self) -> None:
        pass

    def facts(self, artifact: Path) -> TrainingFacts:
        return self.known

    def session(self, *_: object) -> Any:
        raise AssertionError


class Class:
    """What makes trainings of points and of files alike."""

    def __init__(self, line: Any) -> None:
        self.line = line
        self.trainer = NoTrainer()
        self.scratch: Path = line.root / "points"
        self.scratch.mkdir()
        runs = Runs(SqlRunStore(line.database), line.clock, Notices())
        self.training = Training(
            line.registry,
            line.jobs,
            runs,
            line.blobs,
            NpzPoints(),
            self.trainer,
            self.scratch,
            line.clock,
            lambda: None,
            lambda _: None,
        )
        self.files = self.of(1 << 20, 1 << 20)

    def of(self, upload_bytes: int, point_bytes: int) -> TrainingFiles:
        return TrainingFiles(
            self.training,
            self.line.jobs,
            self.line.blobs,
            CsvRows(),
            NpzPoints(),
            self.scratch,
            upload_bytes,
            point_bytes,
        )

    def send(
        self,
        model: Any,
        data: bytes,
        block: int = 1 << 16,
        principal: Principal = ANN,
        key: str | None = None,
        files: TrainingFiles | None = None,
        chosen: dict[str, Any] | None = None,
        **options: Any,
    ) -> Job:
        """Train on a file, as the API does."""
        files = files or self.files
        intake = files.intake(
            principal, model.model_id, None, {"epochs": 2, **(chosen or {})}, FileOptions(**options)
        )
        try:
            for at in range(0, len(data), block):
                intake.feed(data[at : at + block])
            return files.submit(intake, Idempotency(key, "print") if key else None)[0]
        finally:
            intake.close()

    def points(self, job: Job) -> Points:
        target = self.line.root / f"points-{job.job_id}"
        self.line.blobs.fetch(job.upload_key, target)
        return read_points(target)


@pytest.fixture
def school(line: Any) -> Iterator[Class]:
    school = Class(line)
    yield school
    # Whatever came: nothing of it lies about.
    assert list(school.scratch.iterdir()) == []


def fields(*names: str, **more: Any) -> dict[str, Any]:
    """A schema of FLOAT fields, with more said of some."""
    return {
        name: {"var_type": "FLOAT", "index": place, **more.get(name, {})} for place, name in enumerate(names)
    }


@pytest.fixture
def house(line: Any) -> Any:
    """Two inputs by name, one output."""
    return line.publish(np.ones((2, 1)), fields("rooms", "area"))


HOUSES = b"id,area,price,rooms\na,50.5,100,2\nb,80,170.25,3\nc,1e2,2e2,4\n"
ROWS = [[2, 50.5], [3, 80], [4, 100]]
PRICES = [100, 170.25, 200]


def equal(left: Points, right: Points) -> bool:
    return all(
        len(a) == len(b)
        and all(
            x.dtype == y.dtype and x.shape == y.shape and (x == y).all() for x, y in zip(a, b, strict=True)
        )
        for a, b in zip(left, right, strict=True)
    )


def test_the_points_of_a_file_are_those_of_the_same_numbers_sent_as_points(school: Class, house: Any) -> None:
    body = {"epochs": 2, "input_vectors": ROWS, "output_vectors": PRICES}
    sent, _ = school.training.submit(ANN, house.model_id, None, body)
    read = school.send(house, HOUSES, labels=("price",))
    assert equal(school.points(read), school.points(sent))
    (inputs,), (targets,) = school.points(read)
    assert (inputs.dtype, inputs.shape, targets.dtype, targets.shape) == (
        np.float32,
        (3, 2),
        np.float32,
        (3, 1),
    )
    assert read.rows_total == 3
    assert read.training is not None
    assert sent.training is not None
    plans = [{**job.training["plan"], "seed": 0} for job in (read, sent) if job.training]
    assert plans[0] == plans[1]
    assert len(school.line.blobs.keys(f"jobs/{read.job_id}")) == 1


@pytest.mark.parametrize("block", [1, 7, 64])
def test_it_does_not_matter_how_the_file_comes_in(school: Class, house: Any, block: int) -> None:
    whole = school.points(school.send(house, HOUSES, labels=("price",)))
    assert equal(school.points(school.send(house, HOUSES, block, labels=("price",))), whole)
    packed = gzip.compress(HOUSES[:30]) + gzip.compress(HOUSES[30:])
    assert equal(school.points(school.send(house, packed, block, labels=("price",))), whole)
    german = HOUSES.replace(b",", b";").decode().encode("utf-16")
    job = school.send(house, german, block, labels=("price",), delimiter=";", encoding="utf-16")
    assert equal(school.points(job), whole)


def test_a_file_of_many_slices_keeps_its_order(
    school: Class, house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_files, "SLICE_ROWS", 10)
    lines = "".join(f"{n},{n + 0.5},{-n}\n" for n in range(1003))
    job = school.send(house, b"rooms,area,price\n" + lines.encode(), labels=("price",))
    (inputs,), (targets,) = school.points(job)
    assert (inputs[:, 0] == np.arange(1003)).all()
    assert (targets[:, 0] == -np.arange(1003)).all()


def test_labels_need_not_be_named_where_the_outputs_are_declared(school: Class, line: Any) -> None:
    schema = {"input_schema": fields("rooms", "area"), "output_schema": fields("price")}
    declared = line.publish(np.ones((2, 1)), schema)
    (_,), (targets,) = school.points(school.send(declared, HOUSES))
    assert targets.ravel().tolist() == PRICES


def test_a_class_is_one_column_or_one_for_each(school: Class, line: Any) -> None:
    flower = line.publish(np.ones((2, 3)), fields("a", "b"))
    school.trainer.known = TrainingFacts(("softmax",), 2)
    data = b"a,b,kind,x,y,z\n1,2,2,0,0,1\n3,4,0,1,0,0\n"
    number = school.send(flower, data, labels=("kind",))
    (_,), (targets,) = school.points(number)
    assert (targets.dtype, targets.tolist()) == (np.int32, [[2], [0]])
    assert number.described()["training"]["loss"] == "sparse_categorical_crossentropy"
    vectors = school.send(flower, data, labels=("x", "y", "z"))
    (_,), (targets,) = school.points(vectors)
    assert (targets.dtype, targets.tolist()) == (np.float32, [[0, 0, 1], [1, 0, 0]])
    assert vectors.described()["training"]["loss"] == "categorical_crossentropy"
    body = {"epochs": 2, "input_vectors": [[1, 2], [3, 4]], "output_vectors": [2, 0]}
    sent, _ = school.training.submit(ANN, flower.model_id, None, body)
    assert equal(school.points(number), school.points(sent))


def test_a_label_may_be_an_input_as_well(school: Class, line: Any) -> None:
    twin = line.publish(np.eye(2), fields("a", "b"))
    (inputs,), (targets,) = school.points(school.send(twin, b"b,a\n1,2\n3,4\n", labels=("a", "b")))
    assert inputs.tolist() == targets.tolist() == [[2, 1], [4, 3]]


def test_a_model_of_integers_has_labels_that_are_none(school: Class, line: Any) -> None:
    counted = line.publish(np.ones((1, 1)), {"n": {"var_type": "INT", "index": 0}}, dtype="int32")
    (inputs,), (targets,) = school.points(school.send(counted, b"n,y\n3,0.5\n", labels=("y",)))
    assert (inputs.dtype, inputs.tolist(), targets.tolist()) == (np.int32, [[3]], [[0.5]])
    with pytest.raises(InvalidInput, match="Line 2"):
        school.send(counted, b"n,y\n3.5,0.5\n", labels=("y",))


def test_rows_are_read_by_the_rules_of_the_schema(school: Class, line: Any) -> None:
    schema = {
        "size": {"var_type": "STRING", "index": 0, "categories": ["small", "large"]},
        "age": {"var_type": "FLOAT", "index": 1, "nullable": True, "fill": 7},
    }
    model = line.publish(np.ones((2, 1)), schema)
    (inputs,), _ = school.points(school.send(model, b"age,size,y\n,large,1\n3,small,2\n", labels=("y",)))
    assert inputs.tolist() == [[1, 7], [0, 3]]


BAD = b"rooms,area,price\n1,2,3\n1,wide,3\n1,2,\n1,2,3,4\n5,6,inf\nx,2,y\n7,8,9\n"


def test_a_row_that_cannot_be_read_is_told_by_line_and_field(school: Class, house: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        school.send(house, BAD, labels=("price",))
    told = [(fault.loc, fault.code, fault.row) for fault in caught.value.faults]
    assert told == [
        (("input_data", 3, "area"), "not_a_number", 1),
        (("input_data", 4, "price"), "missing", 2),
        (("input_data", 5), "column_count", 3),
        (("input_data", 6, "price"), "not_finite", 4),
        (("input_data", 7, "rooms"), "not_a_number", 5),
    ]
    assert "rejects=skip" in caught.value.faults[0].message
    assert school.line.jobs.page("ann", 10, None).items == ()
    assert school.line.blobs.keys("jobs") == []


def test_rows_that_cannot_be_read_are_left_out_where_that_is_wanted_and_counted(
    school: Class, house: Any
) -> None:
    job = school.send(house, BAD, labels=("price",), skip=True)
    (inputs,), (targets,) = school.points(job)
    assert (inputs.tolist(), targets.tolist()) == ([[1, 2], [7, 8]], [[3], [9]])
    assert job.rows_total == 2
    assert job.described()["training"]["rows_skipped"] == 5
    log = [entry.message for entry in school.line.jobs.log(job.job_id, 0, 20)]
    assert "5 rows were skipped." in log
    assert any(line.startswith("Line 3: ") for line in log)


def test_where_every_row_is_left_out_there_is_no_training(school: Class, house: Any) -> None:
    with pytest.raises(InvalidInput, match="all 1 rows were skipped"):
        school.send(house, b"rooms,area,price\nx,y,z\n", labels=("price",), skip=True)
    with pytest.raises(InvalidInput, match="no rows"):
        school.send(house, b"rooms,area,price\n", labels=("price",))
    one = b"rooms,area,price\n1,2,3\n"
    with pytest.raises(InvalidInput, match="held back"):
        school.send(house, one, labels=("price",), chosen={"validation_split": 0.5})


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ((), "missing"),
        (("price", "area"), "count_mismatch"),
        (("price", "price"), "duplicate"),
        (("prize",), "csv_missing_column"),
    ],
)
def test_label_columns_that_do_not_fit_are_named(
    school: Class, house: Any, labels: tuple[str, ...], code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        school.send(house, HOUSES, labels=labels)
    assert caught.value.faults[0].code == code


def test_a_class_that_there_is_not_is_a_row_that_cannot_be_read(school: Class, line: Any) -> None:
    flower = line.publish(np.ones((2, 3)), fields("a", "b"))
    school.trainer.known = TrainingFacts(("softmax",), 2)
    for value in (b"3", b"-1", b"0.5", b"red"):
        with pytest.raises(InvalidInput, match=r"Line 2.*kind"):
            school.send(flower, b"a,b,kind\n1,2," + value + b"\n", labels=("kind",))


def test_a_probability_is_from_0_to_1(school: Class, house: Any) -> None:
    school.trainer.known = TrainingFacts(("sigmoid",), 2)
    with pytest.raises(InvalidInput, match=r"Line 2.*price"):
        school.send(house, HOUSES, labels=("price",))


def test_too_many_rows_are_refused_as_soon_as_they_are_counted(school: Class, house: Any) -> None:
    small = school.of(upload_bytes=1 << 20, point_bytes=24)
    with pytest.raises(PayloadTooLarge, match=r"more than 2 rows.*24 bytes, 12 a row"):
        school.send(house, HOUSES, labels=("price",), files=small)
    school.send(house, HOUSES[: HOUSES.index(b"c,")], labels=("price",), files=small)
    with pytest.raises(PayloadTooLarge, match="limit of 30 bytes"):
        school.send(house, HOUSES, labels=("price",), files=school.of(30, 1 << 20))
    with pytest.raises(PayloadTooLarge, match="limit of 30 bytes"):
        school.send(house, gzip.compress(HOUSES), labels=("price",), files=school.of(30, 1 << 20))


def test_the_same_file_under_the_same_key_is_one_training(school: Class, house: Any) -> None:
    first = school.send(house, HOUSES, labels=("price",), key="k")
    assert school.send(house, HOUSES, labels=("price",), key="k").job_id == first.job_id
    assert len(school.line.blobs.keys("jobs")) == 1
    with pytest.raises(Conflict):
        school.send(house, HOUSES + b"d,1,2,3\n", labels=("price",), key="k")
    assert len(school.line.blobs.keys("jobs")) == 1


def test_whoever_may_not_publish_is_refused_before_anything_is_read(school: Class, house: Any) -> None:
    with pytest.raises(Forbidden):
        school.send(house, b"", principal=replace(ANN, scopes=frozenset({Scope.JOBS})), labels=("price",))


@pytest.mark.parametrize("lines", [b"1,2,3\n" * 20, b"\n" * 200], ids=["rows", "blank"])
def test_memory_does_not_grow_with_the_file(
    school: Class, house: Any, monkeypatch: pytest.MonkeyPatch, lines: bytes
) -> None:
    monkeypatch.setattr(training_files, "SLICE_ROWS", 100)
    monkeypatch.setattr(training_files, "SLICE_BYTES", 1_000)
    intake = school.files.intake(ANN, house.model_id, None, {}, FileOptions(("price",)))
    held = 0
    try:
        intake.feed(b"rooms,area,price\n")
        for _ in range(500):
            intake.feed(lines)
            held = max(held, len(intake._text))
        intake.feed(b"4,5,6\n")
        with np.load(intake.finish()) as points:
            assert points["target_0"][-1].tolist() == [6]
    finally:
        intake.close()
    assert held < 2_000
