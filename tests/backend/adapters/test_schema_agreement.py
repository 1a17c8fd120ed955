"""Do single runs, batches, the hot lane, CSV jobs and training make the same of any row, under any schema?"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tensortrigger_backend.adapters.csv_arrow import ArrowCsvReader
from tensortrigger_backend.api.body_reader import as_vectors, reader_of
from tensortrigger_backend.domain.csv_rows import CsvSplitter
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.domain.training import TrainingFacts, choose
from tensortrigger_backend.domain.training_options import TrainingOptions
from tensortrigger_backend.domain.training_points import points_of
from tensortrigger_backend.services.model_cache import Resident

LEFT_OUT = object()

NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2, 3, 255, 256, -0.0, 0.5, 1.5, 2.0, 2**31, 2.0**63, 3.4028235e38, 3.5e38, -1e39]
    ),
    st.sampled_from([70000.0, 65519.0, 65520.0, 1e-400, 2**53 + 1, math.nan, math.inf, -math.inf]),
    st.integers(-300, 300),
    st.floats(-300, 300),
)
TEXTS = ("red", "green", "dark red", "é", "3", "x,y", 'say "x"', "two\nlines")
NOTHING = st.sampled_from([LEFT_OUT, None])


@dataclass
class Model:
    """A schema, the dtype of its tensor, and everything that reads rows for them."""

    schema: VectorSchema
    dtype: str

    def __post_init__(self) -> None:
        self.names = self.schema.input_names
        self.signature = Signature(
            (TensorSpec("x", self.dtype, (-1, len(self.names))),), (TensorSpec("y", "float32", (-1, 1)),)
        )
        self.encoder = VectorEncoder(self.schema.inputs, np.dtype(self.dtype))
        whole = [place for place, field in enumerate(self.schema.inputs) if field.var_type == "INT"]
        self.resident = Resident(
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            self.schema,
            self.names,
            np.array(whole, np.intp) if whole else None,
            np.dtype(self.dtype),
            None,
            self.encoder,
        )


ANY_FRACTION = st.floats(-300, 300)
EXACT_FRACTION = st.integers(-1200, 1200).map(lambda quarters: quarters / 4)
"""A number that no float dtype rounds."""


def entry(draw: st.DrawFn, index: int, fractions: st.SearchStrategy[float]) -> dict[str, Any]:
    var_type = draw(st.sampled_from(["INT", "FLOAT", "bool", "STRING"]))
    members: dict[str, Any] = {"var_type": var_type, "index": index}
    fill: Any = True
    if var_type == "STRING":
        names = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True))
        if draw(st.booleans()):
            members["categories"] = names
        else:
            numbers = draw(st.lists(st.integers(-9, 300), min_size=4, max_size=4, unique=True))
            members["categories"] = dict(zip(names, [numbers[0] + 0.5, *numbers[1:]], strict=False))
        if draw(st.booleans()):
            members["unknown"] = draw(st.sampled_from([-1, 99, 0.25]))
        fill = draw(st.sampled_from(names))
    elif var_type != "bool":
        fill = draw(st.integers(-300, 300)) if var_type == "INT" else draw(fractions)
        if draw(st.booleans()):
            members["min"] = fill - draw(st.integers(0, 100))
        if draw(st.booleans()):
            members["max"] = fill + draw(st.integers(0, 100))
        if draw(st.integers(0, 3)) == 0:
            members["allowed"] = [fill]
    if draw(st.booleans()):
        members |= {"nullable": True, "fill": fill}
    return members


@st.composite
def models(draw: st.DrawFn, fractions: st.SearchStrategy[float] = ANY_FRACTION) -> Model:
    plain = draw(st.integers(0, 4)) == 0
    width = draw(st.integers(1, 4))
    names = draw(st.permutations([f"f{place}" for place in range(width)]))
    side = {
        name: {"var_type": draw(st.sampled_from(["INT", "FLOAT"])), "index": place}
        if plain
        else entry(draw, place, fractions)
        for place, name in enumerate(names)
    }
    dtypes = ["float32", "float32", "float64", "float16", "int32", "int64", "uint8", "bool"]
    return Model(VectorSchema.parse(side), draw(st.sampled_from(dtypes)))


def values_of(field: Any) -> st.SearchStrategy[Any]:
    if field.var_type == "STRING":
        listed = st.sampled_from([name for name, _ in field.categories])
        return st.one_of(
            listed, listed, listed, st.sampled_from([*TEXTS, "mauve", " red", "", "  "]), NOTHING
        )
    if field.var_type == "BOOL":
        return st.one_of(st.booleans(), st.sampled_from([0, 1, 0.0, 1.0]), NUMBERS, st.just("maybe"), NOTHING)
    near = [field.fill, *(field.allowed or ()), field.minimum, field.maximum]
    good = st.sampled_from([number for number in near if number is not None] or [0, 1, 2])
    return st.one_of(good, good, good, NUMBERS, st.sampled_from([True, False, "lots"]), NOTHING)


def rows_of(model: Model) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({field.name: values_of(field) for field in model.schema.inputs})
    return st.lists(row, min_size=1, max_size=4)


Outcome = list[float] | tuple[str, str]
"""The encoded vector, or field and code of the first fault in schema order."""


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not LEFT_OUT}


def told(model: Model, faults: tuple[Fault, ...], row: int) -> tuple[str, str]:
    """An empty field of a CSV is both null and missing."""
    named = {str(fault.loc[-1]): fault for fault in faults if fault.row in (row, None)}
    name = next(name for name in model.names if name in named)
    fault = named[name]
    assert fault.expected
    assert fault.got
    assert repr(name) in fault.message
    return name, fault.code.replace("null", "missing")


def by_single_run(model: Model, row: dict[str, Any]) -> Outcome:
    try:
        return list(map(float, model.encoder.matrix([model.encoder.vector(as_json(row))])[0]))
    except InvalidInput as error:
        return told(model, error.faults, 0)


def by_batch(model: Model, rows: list[dict[str, Any]]) -> list[Outcome] | dict[int, Outcome]:
    """All vectors, or the faulty rows alone."""
    try:
        matrix = model.encoder.matrix(model.encoder.vectors([as_json(row) for row in rows]))
        return [list(map(float, vector)) for vector in matrix]
    except InvalidInput as error:
        wrong = {fault.row for fault in error.faults if fault.row is not None}
        return {row: told(model, error.faults, row) for row in wrong}


def by_hot_lane(model: Model, row: dict[str, Any]) -> list[float] | None:
    body = msgspec.json.encode({"model_id": "m", "input_vector": as_json(row)})
    flat = reader_of(model.resident).flat("/tensor/run", body, "m", None)
    vectors = None if flat is None else as_vectors(flat, model.resident)
    return None if vectors is None else list(map(float, vectors[0]))


def written(value: Any) -> str:
    return "" if value is LEFT_OUT or value is None else value if isinstance(value, str) else repr(value)


def by_csv(model: Model, rows: list[dict[str, Any]]) -> list[Outcome]:
    text = io.StringIO()
    # Another order of the columns, one of them not the model's.
    names = ["note", *reversed(model.names)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *(["n", *(written(row[name]) for name in names[1:])] for row in rows)])
    data = text.getvalue().encode()
    splitter = CsvSplitter(model.names)
    (slice_,) = [*splitter.feed(data), *splitter.finish()]
    raw = data[slice_.offset :]
    batch = ArrowCsvReader().read(raw, splitter.columns, model.schema, slice_, np.dtype(model.dtype))
    found: dict[int, Outcome] = {}
    for number, values in zip(batch.rows, batch.values.astype(model.dtype), strict=True):
        found[int(number)] = list(map(float, values))
    for reject in batch.rejects:
        assert reject.field is not None
        assert reject.expected
        assert reject.got
        found[reject.row] = (reject.field, reject.code)
    return [found[number] for number in range(len(rows))]


def by_training(model: Model, rows: list[dict[str, Any]]) -> npt.NDArray[Any] | tuple[Fault, ...]:
    body = {"input_vectors": [as_json(row) for row in rows], "output_vectors": [[1.0]] * len(rows)}
    choice = choose(TrainingOptions(), TrainingFacts((None,), 9, None), model.signature)
    try:
        return points_of(body, model.signature, model.schema, model.schema, choice).inputs[0]
    except InvalidInput as error:
        return error.faults


@settings(max_examples=400)
@given(st.data())
def test_every_way_in_makes_the_same_vector_of_a_row_or_names_the_same_fault(data: st.DataObject) -> None:
    model = data.draw(models())
    rows = data.draw(rows_of(model))
    single = [by_single_run(model, row) for row in rows]
    assert by_csv(model, rows) == single
    wrong = {number: outcome for number, outcome in enumerate(single) if isinstance(outcome, tuple)}
    assert by_batch(model, rows) == (wrong or single)
    learnt = by_training(model, rows)
    if isinstance(learnt, tuple):
        assert {
            fault.row: told(model, learnt, fault.row) for fault in learnt if fault.row is not None
        } == wrong
    else:
        assert (learnt.tolist(), learnt.dtype) == (single, model.dtype)
        model.encoder.check_encoded(learnt, ("inputs",))
    for row, outcome in zip(rows, single, strict=True):
        if not any(isinstance(value, float) and not math.isfinite(value) for value in row.values()):
            # What the hot lane does not answer, the application does, which words every fault.
            assert by_hot_lane(model, row) == (None if isinstance(outcome, tuple) else outcome)


@settings(max_examples=150)
@given(st.data())
def test_tensors_pass_only_where_values_of_the_fields_could_have_become_them(data: st.DataObject) -> None:
    model = data.draw(models(EXACT_FRACTION))
    assume(not model.encoder.plain)
    count, few = len(model.names), st.sampled_from([0.0, 1.0, 2.0, 0.5, -9.0, 99.0])
    numbers = data.draw(st.lists(few, min_size=count, max_size=count))
    array = np.array([numbers]).astype(model.dtype)
    wrong = set()
    for place, (field, number) in enumerate(zip(model.schema.inputs, array[0].tolist(), strict=True)):
        number = float(number)
        if field.var_type == "STRING":
            known = [float(value) for _, value in field.categories] + [field.unknown]
            good = number in known
        elif field.var_type == "BOOL":
            good = number in (0, 1)
        else:
            good = field.plain or VectorEncoder([field]).rules[0].number(number)[1] is None
        if not good:
            wrong.add(place)
    assert refused_places(model, array) == wrong


def refused_places(model: Model, array: npt.NDArray[Any]) -> set[Any]:
    try:
        model.encoder.check_encoded(array, ("inputs",))
    except InvalidInput as error:
        return {fault.loc[-1] for fault in error.faults}
    return set()


@pytest.mark.parametrize("written", ["True", "TRUE", "t", "yes", "Y", "1", "1.0", "1e0", " true "])
def test_true_may_be_written_in_several_ways(written: str) -> None:
    assert read_one(written) == 1.0


@pytest.mark.parametrize("written", ["False", "f", "NO", "n", "0", "-0.0", "0.000"])
def test_false_may_be_written_in_several_ways(written: str) -> None:
    assert read_one(written) == 0.0


@pytest.mark.parametrize("written", ["2", "on", "truth", "10", "nan", "None"])
def test_what_is_neither_true_nor_false_is_rejected(written: str) -> None:
    assert read_one(written) == "not_a_boolean"


def read_one(written: str) -> float | str:
    """The number that a BOOL of a CSV becomes, or the code of its reject."""
    schema = VectorSchema.parse({"a": {"var_type": "BOOL", "index": 0}})
    data = f"a\n{written}\n".encode()
    splitter = CsvSplitter(schema.input_names)
    (slice_,) = [*splitter.feed(data), *splitter.finish()]
    batch = ArrowCsvReader().read(data[slice_.offset :], splitter.columns, schema, slice_)
    return str(batch.rejects[0].code) if batch.rejects else float(batch.values[0, 0])


def test_pandas_true_where_a_number_is_due_is_told_to_be_declared_a_bool() -> None:
    schema = VectorSchema.parse({"a": {"var_type": "FLOAT", "index": 0}})
    data = b"a\nTrue\n"
    splitter = CsvSplitter(schema.input_names)
    (slice_,) = [*splitter.feed(data), *splitter.finish()]
    (reject,) = ArrowCsvReader().read(data[slice_.offset :], splitter.columns, schema, slice_).rejects
    assert (reject.code, reject.expected, reject.got) == ("not_a_number", "FLOAT", "True")
    assert "BOOL" in reject.message


def test_text_that_is_not_utf_8_is_no_category_and_not_unknown_either() -> None:
    side = {"a": {"var_type": "STRING", "index": 0, "categories": ["é", "b"], "unknown": 9}}
    schema = VectorSchema.parse(side)
    data = "a\né\nb\nz\n".encode() + b"\xff\n"
    splitter = CsvSplitter(schema.input_names)
    (slice_,) = [*splitter.feed(data), *splitter.finish()]
    batch = ArrowCsvReader().read(data[slice_.offset :], splitter.columns, schema, slice_)
    assert batch.values[:, 0].tolist() == [0, 1, 9]
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(3, "not_text")]
