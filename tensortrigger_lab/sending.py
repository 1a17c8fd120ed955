"""Hands a model over to the backend: inside of the request while it is small, else uploaded in pieces before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensortrigger_lab.client import Client
from tensortrigger_lab.errors import ModelRefused
from tensortrigger_lab.packing import Package
from tensortrigger_lab.proof import proof_of
from tensortrigger_lab.wire import ModelRecord


class Sending:
    """Hands a package over, by whatever way fits its size.

    Args:
        schema: as it is declared in the end.
        client: the backend.
        key: under which handing it over twice is handing it over once.
    """

    def __init__(self, package: Package, schema: dict[str, Any] | None, client: Client, key: str) -> None:
        self._package = package
        self._schema = schema
        self._client = client
        self._key = key
        self._proof = proof_of(schema, package.answered)

    @property
    def remark(self) -> str:
        """What is to be told about the proof; empty where nothing is."""
        return self._proof.remark

    def sent(
        self,
        *,
        wait: bool = True,
        told: Callable[[int, int], object] = lambda done, total: None,  # noqa: ARG005
        handed_over: Callable[[], object] = lambda: None,
    ) -> ModelRecord:
        """The record as the backend answers it; it may not be ready yet.

        Args:
            wait: whether the backend may keep its answer back until the model is ready.
            told: hears (bytes that have arrived, all bytes) of a large file.
            handed_over: is called when the file has arrived, or goes with the next request.

        Raises:
            ModelRefused: it cannot be accepted.
        """
        artifact = self._package.artifact
        way: dict[str, Any] = {"sha256": artifact.sha256}
        if artifact.direct:
            way["content"] = artifact.base64
        else:
            way["upload_id"] = self._client.upload(artifact, told).upload_id
        handed_over()
        made = self._package.answered is not None and self._package.answered.made
        try:
            return self._published(way, self._proof.members, wait)
        except ModelRefused as error:
            # Rows that nobody asked for must not keep a model from being published.
            if not made or not any(fault.loc[:1] == ("example",) for fault in error.faults):
                raise
            self._key += "-plain"
            return self._published(way, None, wait)

    def _published(self, way: dict[str, Any], example: dict[str, Any] | None, wait: bool) -> ModelRecord:
        package = self._package
        return self._client.publish(
            name=package.name,
            title=package.title,
            description=package.description,
            schema=self._schema,
            idempotency_key=self._key,
            example=example,
            details=package.details.members,
            wait=wait,
            **way,
        )
