"""Are single vectors, batches and tensors answered by the named model, or refused with the reason?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import Forbidden, InvalidInput, NotFound
from tensortrigger_backend.services.inference import Inference
from tensortrigger_backend.services.model_cache import FRESH_FOR

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING)
WEIGHTS = np.array([[1.0, 10.0], [100.0, 1000.0]])
NESTED = {
    "input_schema": {"b": {"var_type": "FLOAT", "index": 1}, "a": {"var_type": "FLOAT", "index": 0}},
    "output_schema": {"high": {"var_type": "FLOAT", "index": 1}, "low": {"var_type": "FLOAT", "index": 0}},
}


@pytest.fixture
def inference(line: JobLine) -> Iterator[Inference]:
    with ThreadPoolExecutor(2) as pool:
        yield Inference(line.cache, pool)


async def test_a_vector_is_answered_by_names_whatever_their_order(
    line: JobLine, inference: Inference
) -> None:
    version = line.publish(WEIGHTS, NESTED["input_schema"])
    resident = await inference.resident(ANN, version.model_id, None)
    answer = await inference.run_vector(resident, {"b": 2, "a": 1})
    assert (answer.output, answer.non_finite) == ([201.0, 2010.0], 0)
    assert (await inference.run_vector(resident, [1, 2])).output == [201.0, 2010.0]
    batch = await inference.run_vectors(resident, [{"b": 0, "a": 1}, [0, 1]])
    assert batch.output == [[1.0, 10.0], [100.0, 1000.0]]


async def test_declared_outputs_come_back_by_name(line: JobLine, inference: Inference) -> None:
    version = line.publish(WEIGHTS, NESTED)
    resident = await inference.resident(ANN, None, "linear")
    assert resident.version == version
    assert (await inference.run_vector(resident, [1, 0])).output == {"low": 1.0, "high": 10.0}
    assert (await inference.run_vectors(resident, [[1, 0]])).output == [{"low": 1.0, "high": 10.0}]


async def test_tensors_keep_their_batch_axis(line: JobLine, inference: Inference) -> None:
    version = line.publish(WEIGHTS)
    resident = await inference.resident(ANN, version.model_id, None)
    assert (await inference.run_tensors(resident, [[1, 0], [0, 1]])).output == [[1.0, 10.0], [100.0, 1000.0]]
    assert (await inference.run_tensors(resident, {"x": [[2, 0]]})).output == [[2.0, 20.0]]
    with pytest.raises(InvalidInput, match="shape"):
        await inference.run_tensors(resident, [[1, 2, 3]])


async def test_an_answer_that_is_not_finite_is_null_and_counted(line: JobLine, inference: Inference) -> None:
    version = line.publish(np.array([[3e38, 1.0]]))
    resident = await inference.resident(ANN, version.model_id, None)
    answer = await inference.run_vectors(resident, [[10], [1]])
    assert answer.output == [[None, 10.0], [pytest.approx(3e38), 1.0]]
    assert answer.non_finite == 1


@pytest.mark.parametrize(
    ("dtype", "value", "code"),
    [
        ("int32", 1.5, "not_an_integer"),
        ("int32", 2.0**31, "out_of_range"),
        ("int64", 2.0**63, "out_of_range"),
        ("int64", -(2.0**64), "out_of_range"),
        ("uint8", -1, "out_of_range"),
        ("uint8", 256, "out_of_range"),
    ],
)
async def test_a_model_of_integers_takes_no_number_that_a_cast_would_change(
    line: JobLine, inference: Inference, dtype: str, value: float, code: str
) -> None:
    version = line.publish(np.array([[1.0]]), {"n": {"var_type": "FLOAT", "index": 0}}, dtype=dtype)
    resident = await inference.resident(ANN, version.model_id, None)
    assert (await inference.run_vector(resident, [7])).output == [7.0]
    with pytest.raises(InvalidInput) as caught:
        await inference.run_vector(resident, [value])
    assert caught.value.faults[0].code == code


async def test_nobody_runs_what_another_owns_or_without_the_scope(
    line: JobLine, inference: Inference
) -> None:
    version = line.publish(WEIGHTS)
    await inference.resident(ANN, version.model_id, None)
    with pytest.raises(NotFound):
        await inference.resident(Principal("bob", EVERYTHING), version.model_id, None)
    with pytest.raises(NotFound):
        await inference.resident(Principal("bob", EVERYTHING), None, "linear")
    with pytest.raises(Forbidden, match="'run'"):
        await inference.resident(Principal("ann", frozenset({Scope.READ})), version.model_id, None)
    for both in ((None, None), (version.model_id, "linear")):
        with pytest.raises(InvalidInput, match="either"):
            await inference.resident(ANN, *both)


@pytest.mark.parametrize("passed", [FRESH_FOR, -3600.0])
async def test_a_bare_name_follows_the_latest_version_within_a_second_whatever_is_done_to_the_clock(
    line: JobLine, inference: Inference, passed: float
) -> None:
    line.publish(np.array([[1.0]]))
    assert (await inference.resident(ANN, None, "linear")).version.version == 1
    line.publish(np.array([[2.0]]))
    line.clock.wait(passed)
    latest = await inference.resident(ANN, None, "linear")
    assert latest.version.version == 2
    assert (await inference.run_vector(latest, [3])).output == [6.0]
    assert (await inference.resident(ANN, None, "linear/1")).version.version == 1


async def test_a_removed_version_answers_no_more(line: JobLine, inference: Inference) -> None:
    version = line.publish(WEIGHTS)
    resident = await inference.resident(ANN, version.model_id, None)
    line.registry.remove(ANN, version.model_id)
    with pytest.raises(NotFound):
        await inference.resident(ANN, version.model_id, None)
    # A request that was already on its way is still answered.
    assert (await inference.run_vector(resident, [1, 0])).output == [1.0, 10.0]


async def test_only_the_most_recently_used_models_stay_in_memory(line: JobLine, inference: Inference) -> None:
    versions = [line.publish(np.array([[float(number)]])) for number in range(6)]
    for version in versions:
        await inference.resident(ANN, version.model_id, None)
    first = await inference.resident(ANN, versions[0].model_id, None)
    assert len(line.cache._residents) == 4
    assert (await inference.run_vector(first, [5])).output == [0.0]


def test_a_model_is_loaded_once_though_eight_threads_ask(line: JobLine) -> None:
    version = line.publish(WEIGHTS)
    with ThreadPoolExecutor(8) as pool:
        residents = set(pool.map(lambda _: line.cache.resident("ann", version.model_id, None), range(8)))
    assert len(residents) == 1
