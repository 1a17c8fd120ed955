"""Everything a face of the backend may use, wired together by ``bootstrap``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import BinaryIO

from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.domain.sandbox import SandboxReport
from tensortrigger_backend.services.aliases import Aliases
from tensortrigger_backend.services.exports import Exports
from tensortrigger_backend.services.gatekeeper import Gatekeeper
from tensortrigger_backend.services.inference import Inference
from tensortrigger_backend.services.job_details import JobDetails
from tensortrigger_backend.services.model_cache import ModelCache
from tensortrigger_backend.services.publishing import Line
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.retention import Retention
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.training import Training
from tensortrigger_backend.services.training_files import TrainingFiles
from tensortrigger_backend.services.uploads import Uploads
from tensortrigger_backend.services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Core:
    """The use cases.

    Attributes:
        open_blob: a blob by its key, for downloads; the caller closes it.
        waiting: partitions waiting or in work, by kind.
        sandbox: how far guests are held, as far as that is known yet; never blocks.
        upload_threads: those that take uploads in, which may wait for a slow storage: nothing else waits with them.
    """

    gatekeeper: Gatekeeper
    registry: Registry
    aliases: Aliases
    publish_line: Line
    cache: ModelCache
    inference: Inference
    scoring: Scoring
    job_details: JobDetails
    retention: Retention
    webhooks: Webhooks
    runs: Runs
    training: Training
    training_files: TrainingFiles
    uploads: Uploads
    exports: Exports
    open_blob: Callable[[str], BinaryIO]
    waiting: Callable[[], Mapping[JobKind, int]]
    sandbox: Callable[[], SandboxReport]
    upload_threads: Executor
