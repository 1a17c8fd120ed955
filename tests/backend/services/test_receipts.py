"""A version becomes ready only when it answers its example, and is served only while it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.example_file import NpzExamples, encode_example, forge_sample
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.errors import InvalidInput, Unavailable, Unproven
from tensortrigger_backend.domain.example_claims import ExampleClaim
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.receipts import (
    EXAMPLE_BYTES,
    Example,
    Receipt,
    ReceiptSource,
    tensors_sha256,
)
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.services import receipts
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.receipts import Proof, Receipts

WEIGHTS = np.array([[1.0], [-2.0], [0.5]], np.float32)
ROWS = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
NAMED = {name: {"var_type": "FLOAT", "index": place} for place, name in enumerate(("tenure", "age", "calls"))}


@dataclass
class Desk:
    """Receipts on real adapters, with an engine whose version the test chooses."""

    receipts: Receipts
    models: SqlModelStore
    blobs: LocalBlobs
    contents: Contents
    engine: Engines
    root: Path
    write_linear: Callable[..., Signature]
    versions: dict[str, str]
    schema: VectorSchema | None = None
    count: int = 0
    signature: Signature = field(default_factory=lambda: Signature((), ()))

    def artifact(self, weights: Any = WEIGHTS) -> Path:
        path = self.root / "servable"
        self.signature = self.write_linear(path, np.asarray(weights, np.float32))
        return path

    def version(self, claim: object = None) -> ModelVersion:
        """An upload that the forge has accepted, with the caller's claim kept."""
        self.count += 1
        key = None
        if claim is not None:
            key = self.receipts.keep_claim(ExampleClaim.parse(claim, self.schema))
        source = self.contents.keep(self.root / "servable")
        return self.models.add(
            ModelVersion(
                f"m{self.count}",
                "ann",
                "linear",
                "Linear",
                "",
                VersionState.RECEIVED,
                source.key,
                source.sha256,
                source.size,
                1000.0,
                schema=self.schema,
                example_key=key,
            )
        )

    def verdict(self) -> ForgeVerdict:
        return ForgeVerdict(
            True, format="keras", signature=self.signature, engine=ONNX, versions={"keras": "3"}
        )

    def prove(self, claim: object = None, weights: Any = WEIGHTS) -> Proof:
        artifact = self.artifact(weights)
        return self.receipts.prove(self.version(claim), self.verdict(), artifact)

    def ready(self, claim: object) -> ModelVersion:
        artifact = self.artifact()
        version = self.version(claim)
        proof = self.receipts.prove(version, self.verdict(), artifact)
        assert proof.receipt is not None
        assert proof.example is not None
        kept = self.contents.keep(artifact)
        return self.models.make_ready(
            version.model_id,
            self.verdict(),
            kept.key,
            kept.sha256,
            1000.0,
            proof.receipt.to_dict(),
            proof.example.key,
        )

    def load(self, version: ModelVersion, weights: Any = WEIGHTS) -> None:
        """Load the version as the cache does, on an engine that computes with these weights."""
        servable = self.engine.load(self.artifact(weights))
        try:
            self.receipts.recheck(self.models.get(version.model_id, None), servable)
        finally:
            servable.close()

    def receipt(self, version: ModelVersion) -> Receipt:
        stored = self.models.get(version.model_id, None).receipt
        assert stored is not None
        return Receipt.from_dict(stored)


@pytest.fixture
def desk(
    tmp_path: Path, database: Database, clock: Callable[[], float], write_linear: Callable[..., Signature]
) -> Iterator[Desk]:
    models, blobs = SqlModelStore(database), LocalBlobs(tmp_path, "here")
    contents = Contents(SqlContentStore(database), blobs, clock)
    launcher = PlainChildLauncher()
    engine = Engines(TensorFlowEngine(launcher, tmp_path))
    versions = {ONNX: "1.0"}
    receipts = Receipts(engine, models, blobs, contents, NpzExamples(), lambda name: versions[name], clock)
    yield Desk(receipts, models, blobs, contents, engine, tmp_path, write_linear, versions)
    engine.close()
    launcher.close()


def claim(outputs: Any = None, inputs: Any = ROWS, **more: Any) -> dict[str, Any]:
    told = ROWS @ WEIGHTS if outputs is None else np.asarray(outputs)
    return {"inputs": np.asarray(inputs).tolist(), "outputs": told.tolist(), **more}


def test_what_the_notebook_answered_is_proven(desk: Desk) -> None:
    proof = desk.prove(claim(versions={"keras": "3.15.1"}))
    assert proof.verdict.accepted
    receipt = proof.receipt
    assert receipt is not None
    assert (receipt.source, receipt.rows, receipt.engine_version) == (ReceiptSource.CLIENT, 6, "1.0")
    assert receipt.inputs_sha256 == tensors_sha256({"x": ROWS})
    assert receipt.outputs_sha256 == tensors_sha256({"y": ROWS @ WEIGHTS})
    assert receipt.max_deviation < 1e-5
    assert receipt.client_versions == {"keras": "3.15.1"}
    assert [check.passed for check in receipt.checks] == [True]
    assert proof.example is not None
    with desk.blobs.open(proof.example.key) as stream:
        kept = NpzExamples().read(stream)
    assert tensors_sha256(kept.inputs) == receipt.inputs_sha256


def test_rows_go_through_the_schema_as_a_callers_do(desk: Desk) -> None:
    desk.schema = VectorSchema.parse(
        {**NAMED, "age": {"var_type": "STRING", "index": 1, "categories": {"young": -1, "old": 2}}}
    )
    rows = [{"calls": 1, "age": "old", "tenure": 3}, {"tenure": 0, "calls": 0, "age": "young"}]
    expected = [[3 - 4 + 0.5], [2.0]]
    assert desk.prove({"inputs": rows, "outputs": expected}).receipt is not None
    assert desk.prove({"inputs": {"x": [[3, 2, 1], [0, -1, 0]]}, "outputs": {"y": expected}}).receipt
    with pytest.raises(InvalidInput) as told:
        desk.version({"inputs": [{**rows[0], "age": "middle"}], "outputs": [[0]]})
    assert told.value.faults[0].loc == ("example", "inputs", 0, "age")


def test_named_outputs_and_null_for_what_is_not_finite_are_understood(desk: Desk) -> None:
    desk.schema = VectorSchema.parse(
        {"input_schema": NAMED, "output_schema": {"risk": {"var_type": "FLOAT", "index": 0}}}
    )
    rows = [{"risk": float(value)} for value in (ROWS @ WEIGHTS)[:, 0]]
    assert desk.prove({"inputs": ROWS.tolist(), "outputs": rows}).receipt is not None
    with np.errstate(divide="ignore"):
        infinite = np.array([[np.inf], [1.0], [1.0]], np.float32)
    ones = {"inputs": [[1, 1, 1]], "outputs": [[None]]}
    assert desk.prove(ones, infinite).receipt is not None
    assert not desk.prove(ones).verdict.accepted


def test_another_answer_refuses_the_version_and_tells_where_and_why(desk: Desk) -> None:
    desk.schema = VectorSchema.parse(NAMED)
    outputs = ROWS @ WEIGHTS
    outputs[4] += 0.5
    proof = desk.prove(claim(outputs))
    assert proof.receipt is None
    (fault,) = proof.verdict.faults
    assert (fault.code, fault.row) == ("receipt_mismatch", 4)
    assert fault.loc == ("example", "outputs", "y", 4, 0)
    assert (fault.expected, fault.got) == (f"{outputs[4, 0]:.7g}", f"{outputs[4, 0] - 0.5:.7g}")
    mixed = desk.prove(claim(ROWS[:, [1, 0, 2]] @ WEIGHTS))
    assert "order age, tenure, calls" in (mixed.verdict.faults[0].remedy or "")


@pytest.mark.parametrize(
    ("wrong", "loc"),
    [
        ({"outputs": [[1.0]]}, ("example", "outputs")),
        ({"outputs": [[1.0, 2.0]] * 6}, ("example", "outputs", "y")),
        ({"outputs": {"z": [[1.0]] * 6}}, ("example", "outputs", "y")),
        ({"outputs": [["a"]] * 6}, ("example", "outputs", "y")),
        ({"inputs": [[1.0, 2.0]] * 6}, ("example", "inputs", 0)),
        ({"inputs": [[1.0, 2.0, "a"]] * 6}, ("example", "inputs", 0, 2)),
        ({"inputs": None}, ("example", "inputs")),
        ({"versions": {"keras": 3}}, ("example", "versions")),
        ({"rows": 6}, ("example", "rows")),
    ],
)
def test_a_claim_that_does_not_fit_the_model_is_told_by_its_place(
    desk: Desk, wrong: Mapping[str, Any], loc: tuple[str | int, ...]
) -> None:
    try:
        faults = desk.prove({**claim(), **wrong}).verdict.faults
    except InvalidInput as error:
        faults = error.faults
    assert faults[0].loc == loc
    assert faults[0].message


def test_without_a_claim_the_forges_own_sample_counts(desk: Desk) -> None:
    assert desk.prove().receipt is None, "the forge left no sample"
    artifact = desk.artifact()
    forge_sample(artifact).write_bytes(encode_example(Example({"x": ROWS}, {"y": ROWS @ WEIGHTS})))
    receipt = desk.receipts.prove(desk.version(), desk.verdict(), artifact).receipt
    assert receipt is not None
    assert (receipt.source, receipt.rows) == (ReceiptSource.FORGE, 6)
    forge_sample(artifact).write_bytes(encode_example(Example({"x": ROWS}, {"y": ROWS @ WEIGHTS + 1})))
    refused = desk.receipts.prove(desk.version(), desk.verdict(), artifact)
    assert not refused.verdict.accepted
    assert "forge" in (refused.verdict.faults[0].remedy or "")


def test_an_example_whose_texts_would_fill_the_memory_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Example({"x": np.array([["a" * 100_000], *[[""]] * 999], dtype=object)}, {})
    assert told.size == 4 * 100_000 * 1000 > EXAMPLE_BYTES
    monkeypatch.setattr(receipts, "EXAMPLE_BYTES", 6 * (3 + 1) * 4 - 1)
    proof = desk.prove(claim())
    assert not proof.verdict.accepted
    assert proof.verdict.faults[0].code == "example_too_large"


def test_a_new_engine_is_checked_once_and_written_down(desk: Desk) -> None:
    version = desk.ready(claim())
    desk.load(version)
    assert len(desk.receipt(version).checks) == 1, "this engine is the one of the publishing"
    desk.versions[ONNX] = "1.1"
    desk.load(version)
    desk.load(version, WEIGHTS + 1)  # were it run again, this would fail
    receipt = desk.receipt(version)
    assert [(check.engine_version, check.passed) for check in receipt.checks] == [
        ("1.0", True),
        ("1.1", True),
    ]
    assert receipt.sha256 == Receipt.from_dict(version.receipt or {}).sha256


def test_a_version_that_a_new_engine_answers_otherwise_is_not_served(desk: Desk) -> None:
    version = desk.ready(claim())
    desk.versions[ONNX] = "2.0"
    for _ in range(2):
        with pytest.raises(Unproven, match=r"does not answer on onnxruntime 2\.0 .* it did on 1\.0"):
            desk.load(version, WEIGHTS * 1.01)
    checks = desk.receipt(version).checks
    assert [(check.engine_version, check.passed) for check in checks] == [("1.0", True), ("2.0", False)]
    assert checks[-1].max_deviation is not None
    desk.versions[ONNX] = "1.0"
    desk.load(version)


def test_a_version_whose_example_is_gone_is_not_served_on_a_new_engine(desk: Desk) -> None:
    version = desk.ready(claim())
    desk.blobs.delete([version.example_key or ""])
    desk.load(version)
    desk.versions[ONNX] = "2.0"
    with pytest.raises(Unavailable, match="example of model 'm1' is gone"):
        desk.load(version)
