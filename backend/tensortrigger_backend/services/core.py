"""Everything a face of the backend may use, wired together by ``bootstrap``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from tensortrigger_backend.services.gatekeeper import Gatekeeper
from tensortrigger_backend.services.inference import Inference
from tensortrigger_backend.services.model_cache import ModelCache
from tensortrigger_backend.services.publishing import PublishLine
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.training import Training


@dataclass(frozen=True, slots=True)
class Core:
    """The use cases.

    Attributes:
        open_blob: a blob by its key, for downloads; the caller closes it.
        queue_depth: wake-ups waiting or in work.
    """

    gatekeeper: Gatekeeper
    registry: Registry
    publish_line: PublishLine
    cache: ModelCache
    inference: Inference
    scoring: Scoring
    runs: Runs
    training: Training
    open_blob: Callable[[str], BinaryIO]
    queue_depth: Callable[[], int]
