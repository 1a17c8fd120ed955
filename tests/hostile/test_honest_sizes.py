"""Do large but honest layers pass the look at sizes, and does each kind of bomb not?"""

from __future__ import annotations

from typing import Any

import pytest

from tensortrigger_backend.forge.keras.config_walk import parse_config
from tensortrigger_backend.forge.keras.size_check import MOST_NUMBERS, check_sizes
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused


@pytest.mark.parametrize(
    "config",
    [
        {"input_dim": 250_000, "output_dim": 1024},
        {"batch_shape": [None, 4096, 4096, 3]},
        {"input_shape": [[None, 224, 224, 3]] * 40},
        {"padding": [[500, 500], [500, 500]]},
        {"padding": [100_000, 100_000]},
        {"units": True, "n": None, "size": [], "target_shape": [-1, 0, 7]},
        {"seed": 1 << 62, "mask_value": -1e30, "num_bins": 1 << 31},
        {"units": MOST_NUMBERS},
    ],
)
def test_an_honest_size_passes(config: dict[str, Any]) -> None:
    check_sizes({"layers": [{"class_name": "X", "config": config}]})


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"units": MOST_NUMBERS + 1}, "units"),
        ({"input_dim": 1 << 16, "output_dim": 1 << 16}, "config"),
        ({"kernel_size": [1 << 15, 1 << 15]}, "kernel_size"),
        ({"padding": [[1 << 15, 1 << 15], [1 << 15, 1 << 15]]}, "padding"),
        ({"batch_shape": [None, -(1 << 15), 1 << 15]}, "batch_shape"),
        ({"cell": {"config": {"units": 1e12}}}, "units"),
    ],
)
def test_a_size_that_no_machine_holds_is_refused_where_it_stands(config: dict[str, Any], key: str) -> None:
    with pytest.raises(Refused) as caught:
        check_sizes({"layers": [{"class_name": "X", "config": config}]}, ("config.json",))
    fault = caught.value.faults[0]
    assert (fault.code, fault.loc[:4]) == ("too_large", ("model_content", "config.json", "layers", 0))
    assert fault.loc[-1] == key


def test_two_equal_keys_are_refused_by_name() -> None:
    with pytest.raises(Refused) as caught:
        parse_config('{"a": [{"class_name": "Lambda", "class_name": "Dense"}]}', Limits(), "config.json")
    fault = caught.value.faults[0]
    assert fault.code == "duplicate_key"
    assert "'class_name'" in fault.message
