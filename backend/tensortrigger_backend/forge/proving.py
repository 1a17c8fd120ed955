"""Which engine serves a model? The first whose servable, opened from its file, answers like the original."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tensortrigger_backend.adapters.artifact_file import Manifest, replace_manifest, write_artifact
from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.forge.example_file import write_example
from tensortrigger_backend.forge.refusal import Refused
from tensortrigger_backend.forge.verification import Reference
from tensortrigger_backend.ports.engines import Servable

_WITHOUT_TENSORFLOW = ("onnx", "onnxruntime", "numpy")
_PACKAGES = (*_WITHOUT_TENSORFLOW, "keras", "tf2onnx", "h5py", "safetensors")
_log = logging.getLogger(__name__)


class NotExpressible(Exception):
    """An engine cannot run this model; the message says why, for the version's metadata."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to serve the model.

    Attributes:
        make: the members of the artifact; raises NotExpressible where the engine cannot run the model.
        opened: opens the finished file as the serving engine does.
        called: how a reason names the engine.
        optimizations: how far the engine may rewrite the graph, tried in this order where answers deviate.
    """

    engine: str
    make: Callable[[], Mapping[str, bytes]]
    opened: Callable[[Path], Servable]
    called: str
    optimizations: tuple[str | None, ...] = (None,)


def prove(
    target: Path,
    draft: Manifest,
    candidates: list[Candidate],
    reference: Reference,
    on_stage: Callable[[str], None],
    remedy: str,
) -> Manifest:
    """Leave the servable of the first candidate that answers alike at ``target``, and the example beside it.

    Returns:
        the manifest as it was written, the largest deviation and the reason for its engine in it.

    Raises:
        Refused: none does, or the original cannot be asked.
    """
    reasons: list[str] = []
    verifying = False
    for candidate in candidates:
        try:
            members = candidate.make()
        except NotExpressible as cause:
            reasons.append(str(cause))
            continue
        if not verifying:
            verifying = True
            on_stage("verifying")
        write_artifact(target, draft, members)
        # From here on they lie in the file, and may be most of the memory there is.
        del members
        first: Exception | None = None
        for optimization in candidate.optimizations:
            manifest = replace(
                draft,
                engine=candidate.engine,
                engine_reason=reasons[-1] if reasons else None,
                optimization=optimization,
            )
            try:
                replace_manifest(target, manifest)
                deviation = reference.compare(candidate.opened(target))
            except Refused:
                target.unlink(missing_ok=True)
                raise
            except Exception as cause:  # noqa: BLE001 - whatever one engine makes of it, the next may do
                first = first or cause
                continue
            manifest = replace(manifest, max_deviation=deviation)
            replace_manifest(target, manifest)
            write_example(target, *reference.sample)
            if reasons:
                _log.info("not the first engine: %s", reasons[-1])
            return manifest
        reasons.append(f"on {candidate.called} {first}")
    target.unlink(missing_ok=True)
    raise reference.judge(reasons[-1], remedy)


def checks_of(manifest: Manifest, original: str) -> tuple[str, ...]:
    """What proving looked at, a sentence each.

    Args:
        original: what the servable was held against, as a sentence names it.
    """
    deviation = manifest.max_deviation or 0.0
    return (
        f"The servable answered 40 rows in batches of 1, 7 and 32 as {original} answered them all at once: "
        f"the largest deviation was {deviation:.2g}, {ATOL:g} + {RTOL:g} |y| is allowed.",
        "No row's answer depends on the other rows of its batch.",
    )


def versions_here() -> dict[str, str]:
    """Package name to version, of what made and verified the servable in this process."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return {package: version(package) for package in _WITHOUT_TENSORFLOW}
    return {package: version(package) for package in _PACKAGES} | {"tensorflow": tensorflow.__version__}
