"""Let no version be ready that does not answer its example, and no engine serve it that does not any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import structlog

from tensortrigger_backend.domain.agreement import Agreement, compare, likely_cause
from tensortrigger_backend.domain.errors import (
    Fault,
    InvalidInput,
    NotFound,
    Unavailable,
    Unproven,
)
from tensortrigger_backend.domain.example_claims import ExampleClaim
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.domain.receipts import (
    EXAMPLE_BYTES,
    EngineCheck,
    Example,
    Receipt,
    ReceiptSource,
    Tensors,
    moment,
    tensors_sha256,
)
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.engines import Engine, Servable
from tensortrigger_backend.ports.receipts import EngineVersions, ExampleFormat
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.versions import ModelStore
from tensortrigger_backend.services.contents import Contents, Kept

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """What speaks for a version, or against it.

    Attributes:
        verdict: the forge's, with faults where the servable does not answer the example.
        receipt: None where it does not, and where there is no example.
        example: the kept example that the receipt is about.
    """

    verdict: ForgeVerdict
    receipt: Receipt | None = None
    example: Kept | None = None


class Receipts:
    """Makes receipts when versions are published, and holds them against the engine when they are loaded.

    Args:
        engine: the one that serves, so that what is proven is what callers get.
        engine_version: of the engine that is installed.
        clock: seconds since the epoch, UTC.
    """

    def __init__(
        self,
        engine: Engine,
        models: ModelStore,
        blobs: BlobStore,
        contents: Contents,
        examples: ExampleFormat,
        engine_version: EngineVersions,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._models = models
        self._blobs = blobs
        self._contents = contents
        self._examples = examples
        self._engine_version = engine_version
        self._clock = clock

    def keep_claim(self, claim: ExampleClaim) -> str:
        """Keep what a caller claims until the forge has spoken; the blob's key."""
        return self._kept(msgspec.json.encode(claim.to_dict())).key

    def prove(self, version: ModelVersion, verdict: ForgeVerdict, servable: Path) -> Proof:
        """Ask the servable what the example asks: that of the caller, else what the forge asked the original.

        Args:
            version: its ``example_key`` is that of the caller's claim, if there was one.
            servable: the file that the forge made, with its own sample beside it.

        Raises:
            Unavailable: the engine could not answer at all.
        """
        claim = None
        if version.example_key is not None:
            claim = ExampleClaim(**msgspec.json.decode(self._blobs.read(version.example_key)))
        assert verdict.signature is not None
        schema = version.schema or VectorSchema.inferred(verdict.signature)
        try:
            if claim is not None:
                example = claim.example(verdict.signature, schema)
                _must_fit(example)
            elif (sample := self._examples.sample(servable)) is not None:
                example = sample
            else:
                return Proof(verdict)
            opened = self._engine.load(servable)
            try:
                return self._compared(version, verdict, opened, example, claim, schema)
            finally:
                opened.close()
        except InvalidInput as error:
            faults = tuple(map(_of_example, error.faults))
            return Proof(replace(verdict, accepted=False, faults=faults))

    def _compared(
        self,
        version: ModelVersion,
        verdict: ForgeVerdict,
        servable: Servable,
        example: Example,
        claim: ExampleClaim | None,
        schema: VectorSchema | None,
    ) -> Proof:
        answers = servable.infer(example.inputs)
        agreement = compare(example.outputs, answers)
        if not agreement.agrees or agreement.max_deviation is None:
            names = schema.input_names if schema is not None else ()
            cause = _OTHER_SERVER
            if claim is not None:
                cause = likely_cause(example, answers, lambda inputs: _quietly(servable, inputs), names)
            log.info("receipt.refused", model_id=version.model_id, cause=cause)
            faults = tuple(replace(fault, remedy=cause) for fault in agreement.faults)
            return Proof(replace(verdict, accepted=False, faults=faults))
        now = moment(self._clock())
        engine_version = self._engine_version(servable.engine)
        receipt = Receipt(
            model_id=version.model_id,
            source=ReceiptSource.FORGE if claim is None else ReceiptSource.CLIENT,
            rows=example.rows,
            inputs_sha256=tensors_sha256(example.inputs),
            outputs_sha256=tensors_sha256(example.outputs),
            max_deviation=agreement.max_deviation,
            engine=servable.engine,
            engine_version=engine_version,
            created=now,
            versions=verdict.versions,
            client_versions=claim.versions if claim is not None else {},
            repairs=verdict.repairs,
            checks=(EngineCheck(engine_version, now, agreement.max_deviation, True),),
        )
        return Proof(verdict, receipt, self._kept(self._examples.encode(example)))

    def recheck(self, version: ModelVersion, servable: Servable) -> None:
        """Hold a version that is being loaded against its receipt, once for each version of the engine.

        Raises:
            Unproven: on the engine that is installed it does not answer as it did.
            Unavailable: the engine could not answer, or the example is gone.
        """
        if version.receipt is None or version.example_key is None:
            return
        receipt = Receipt.from_dict(version.receipt)
        installed = self._engine_version(servable.engine)
        check = receipt.check_on(installed)
        if check is None:
            check = self._checked(version, servable, installed)
            self._models.note_receipt(version.model_id, receipt.with_check(check).to_dict())
        if not check.passed:
            proven = ", ".join(sorted({known.engine_version for known in receipt.checks if known.passed}))
            log.error(
                "receipt.broken",
                model_id=version.model_id,
                name=version.name,
                version=version.version,
                engine=servable.engine,
                installed=installed,
                proven=proven,
                max_deviation=check.max_deviation,
            )
            raise Unproven(
                f"Model {version.name!r} version {version.version} does not answer on {servable.engine} {installed} as "
                f"its receipt says; it did on {proven}. Install one of these, or publish the model again here."
            )

    def _checked(self, version: ModelVersion, servable: Servable, installed: str) -> EngineCheck:
        assert version.example_key is not None
        try:
            with self._blobs.open(version.example_key) as stream:
                example = self._examples.read(stream)
        except NotFound:
            raise Unavailable(
                f"The example of model {version.model_id!r} is gone, so it cannot be checked on {servable.engine} "
                f"{installed}; publish the model again.",
                retry_after=60.0,
            ) from None
        try:
            agreement = compare(example.outputs, servable.infer(example.inputs))
        except InvalidInput as error:
            agreement = Agreement(None, error.faults)
        passed = agreement.agrees and agreement.max_deviation is not None
        log.info("receipt.checked", model_id=version.model_id, engine_version=installed, passed=passed)
        return EngineCheck(installed, moment(self._clock()), agreement.max_deviation, passed)

    def _kept(self, data: bytes) -> Kept:
        writer = self._contents.writer()
        try:
            writer.write(data)
            return self._contents.commit(writer)
        finally:
            writer.abort()


_OTHER_SERVER = (
    "The forge's own sample is not answered as the original answered it: the engine that serves here may be another "
    "than that of the forge. Look at the versions of both."
)


def _must_fit(example: Example) -> None:
    if example.size > EXAMPLE_BYTES:
        message = (
            f"The example takes {example.size} bytes, each text as much as the longest: send fewer rows."
        )
        raise InvalidInput.of(
            Fault(("example",), "example_too_large", message, f"at most {EXAMPLE_BYTES}", str(example.size))
        )


def _quietly(servable: Servable, inputs: Tensors) -> Tensors:
    """Answers, or none where the model cannot take these inputs: this only looks for a cause."""
    try:
        return servable.infer(inputs)
    except InvalidInput:
        return {}


def _of_example(fault: Fault) -> Fault:
    """The same fault, told of the example."""
    return fault if fault.loc[:1] == ("example",) else replace(fault, loc=("example", *fault.loc))
