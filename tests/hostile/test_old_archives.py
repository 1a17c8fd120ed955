"""Does a config that says it is of Keras 2, and so goes to the doctor, get anything past the list?"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_corpus import keras_imports, keras_lambdas
from hostile_corpus.artifact import Artifact
from hostile_corpus.keras_files import archive

from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused

OLD = json.dumps({"keras_version": "2.15.0", "date_saved": "2024-01-01@00:00:00"}).encode()
ALL = [
    artifact
    for artifact in (*keras_imports.artifacts(), *keras_lambdas.artifacts())
    if artifact.format == "keras"
]


@pytest.mark.parametrize("artifact", ALL, ids=lambda artifact: artifact.name)
def test_a_config_that_pretends_to_be_old_is_refused_too(
    artifact: Artifact, upload: Callable[[Artifact], bytes], tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(upload(artifact))) as packed:
        config = packed.read("config.json")
    source = tmp_path / "upload"
    source.write_bytes(archive(config, **{"metadata.json": OLD}))
    with pytest.raises(Refused) as refused:
        inspect_upload(source, tmp_path, Limits())
    assert refused.value.faults[0].remedy
