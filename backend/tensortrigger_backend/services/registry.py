"""Publish, find and remove model versions."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import (
    Fault,
    InvalidInput,
    ModelRefused,
    NotFound,
    Overrun,
    Unavailable,
)
from tensortrigger_backend.domain.models import (
    DESCRIPTION_LIMIT,
    TITLE_LIMIT,
    ModelVersion,
    Parent,
    VersionState,
    checked_name,
    name_from_title,
    parse_reference,
)
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.engines import Forge
from tensortrigger_backend.ports.storage import BlobStore, Idempotency, ModelStore, Page

_TRIES = 2
"""A forge that dies twice on the same upload will die on it again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the caller wants to publish, as it came.

    Attributes:
        title: ``model_name`` of the native API.
        name: the name to publish under; made from the title when None.
        schema: the raw ``model_schema``; None to infer the signature.
    """

    title: object
    name: object = None
    description: object = ""
    schema: object = None


class Registry:
    """Versions from upload to removal.

    Args:
        scratch: a folder for short-lived copies.
        clock: seconds since the epoch, UTC.
        forget_loaded: told the id of each version that must not be answered for any more.
        holder: the name of this process, which judges what it receives.
        dead: those of the named processes that are known not to live any more.
    """

    def __init__(
        self,
        models: ModelStore,
        blobs: BlobStore,
        forge: Forge,
        scratch: Path,
        clock: Callable[[], float],
        forget_loaded: Callable[[str], None],
        holder: str,
        dead: Callable[[Sequence[str]], list[str]],
    ) -> None:
        self._models = models
        self._blobs = blobs
        self._forge = forge
        self._scratch = scratch
        self._clock = clock
        self._forget_loaded = forget_loaded
        self._holder = holder
        self._dead = dead

    def receive(
        self,
        principal: Principal,
        draft: Draft,
        content: Iterable[bytes],
        idempotency: Idempotency | None = None,
        admit: Callable[[], None] = lambda: None,
    ) -> tuple[ModelVersion, bool]:
        """Store an upload for the forge to judge; whether it is new, or what this idempotency key made before.

        Args:
            admit: called once everything about the request is right; what it raises refuses the upload.

        Raises:
            InvalidInput: naming the field.
            Forbidden: the key or ticket may not publish to this name.
            Conflict: the idempotency key came with another upload before.
        """
        title = _text(draft.title, "model_name", TITLE_LIMIT)
        description = _text(draft.description, "model_description", DESCRIPTION_LIMIT, empty=True)
        if draft.name is not None and not isinstance(draft.name, str):
            raise InvalidInput.of(Fault(("name",), "type", "name must be a string.", "string"))
        name = checked_name(draft.name) if draft.name is not None else name_from_title(title)
        principal.must_publish_to(name)
        schema = None if draft.schema is None else VectorSchema.parse(draft.schema)
        model_id = secrets.token_hex(16)
        writer = self._blobs.writer(f"models/{model_id}/source")
        try:
            for chunk in content:
                writer.write(chunk)
            if not writer.size:
                raise InvalidInput.of(
                    Fault(
                        ("model_content",),
                        "empty",
                        "model_content is empty.",
                        "a Keras model file",
                        "0 bytes",
                    )
                )
            if idempotency is not None:
                idempotency = idempotency.bound_to(writer.sha256, description)
            admit()
            writer.commit()
            version = ModelVersion(
                model_id=model_id,
                holder=self._holder,
                owner=principal.owner,
                name=name,
                title=title,
                description=description,
                state=VersionState.RECEIVED,
                source_key=f"models/{model_id}/source",
                source_sha256=writer.sha256,
                size=writer.size,
                created=self._clock(),
                schema=schema,
            )
        finally:
            writer.abort()
        try:
            stored = self._models.add(version, idempotency)
        except BaseException:
            self._blobs.delete([version.source_key])
            raise
        if stored.model_id != model_id:
            self._blobs.delete([version.source_key])
        return stored, stored.model_id == model_id

    def adopt(self, model_id: str, parent: ModelVersion, job_id: str, made: Path) -> ModelVersion:
        """Store what a training made of a version, for the forge to judge as it would judge an upload.

        Safe to repeat: the version of that id is found, whatever state it is in.
        """
        assert parent.version is not None
        key = f"models/{model_id}/source"
        sha256, size = self._blobs.keep(key, made)
        return self._models.add(
            ModelVersion(
                model_id=model_id,
                holder=self._holder,
                owner=parent.owner,
                name=parent.name,
                title=parent.title,
                description=parent.description,
                state=VersionState.RECEIVED,
                source_key=key,
                source_sha256=sha256,
                size=size,
                created=self._clock(),
                schema=parent.schema,
                parent=Parent(parent.model_id, parent.version, job_id),
            )
        )

    def withdraw(self, model_id: str) -> None:
        """Leave nothing of a version whose training does not count any more. Safe to repeat."""
        self.forget(model_id)
        self._forget_loaded(model_id)

    def judge(self, model_id: str) -> ModelVersion:
        """Let the forge check, rebuild and verify an upload. Safe to repeat.

        Raises:
            Unavailable: the forge could not run; the upload stays as it is.
        """
        version = self._models.get(model_id, None)
        if version.state.settled:
            return version
        order = ForgeOrder(
            version.schema.input_names if version.schema else (),
            version.schema.output_names if version.schema else (),
        )
        with tempfile.TemporaryDirectory(prefix="publish-", dir=self._scratch) as folder:
            source, target = Path(folder, "source"), Path(folder, "servable")
            self._blobs.fetch(version.source_key, source)
            verdict = self._asked(model_id, source, target, order)
            if not verdict.accepted:
                self._models.refuse(model_id, verdict)
                return self._models.get(model_id, None)
            key = f"models/{model_id}/servable"
            sha256, _ = self._blobs.keep(key, target)
        try:
            return self._models.make_ready(model_id, verdict, key, sha256)
        except NotFound:
            self._blobs.delete([key])
            raise

    def _asked(self, model_id: str, source: Path, target: Path, order: ForgeOrder) -> ForgeVerdict:
        for left in reversed(range(_TRIES)):
            try:
                return self._forge.forge(
                    source,
                    target,
                    order,
                    lambda stage: self._models.advance(model_id, VersionState(stage)),
                )
            except Overrun as error:
                # The next try would hold up every other upload for as long, and end the same way.
                return ForgeVerdict(False, (Fault(("model_content",), "forge_limit", error.detail),))
            except Unavailable:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def refuse_unjudged(self, model_id: str, reason: str) -> None:
        """Settle an upload that the forge could not judge, for a caller who has stopped waiting."""
        fault = Fault(("model_content",), "forge_failed", reason)
        self._models.refuse(model_id, ForgeVerdict(False, (fault,)))

    def forget(self, model_id: str) -> None:
        """Leave nothing of an upload. Safe to repeat."""
        self._blobs.delete([f"models/{model_id}/source", f"models/{model_id}/servable"])
        self._models.discard(model_id)

    def peek(self, model_id: str) -> ModelVersion:
        """An upload that this process has just received, as it stands now. Raises NotFound."""
        return self._models.get(model_id, None)

    def find(self, principal: Principal, model_id: str) -> ModelVersion:
        """One version by id. Raises NotFound."""
        principal.must(Scope.READ)
        return self._models.get(model_id, principal.owner)

    def find_by_name(self, principal: Principal, name: str, version: int | None = None) -> ModelVersion:
        """A version by name and number, or the latest ready one. Raises NotFound."""
        principal.must(Scope.READ)
        return self._models.by_name(principal.owner, checked_name(name), version)

    def resolve(self, owner: str, model_id: str | None, reference: str | None) -> ModelVersion:
        """The version that a body names by ``model_id`` or by ``model``.

        Raises:
            NotFound: there is none.
            Unavailable: it is still being checked.
            ModelRefused: it was refused.
        """
        if (model_id is None) == (reference is None):
            raise InvalidInput.of(
                Fault(
                    ("model_id",),
                    "model_reference",
                    "Name the model either by 'model_id' or by 'model' (name or name/version).",
                    "one of model_id, model",
                    "both" if model_id is not None else "neither",
                )
            )
        if model_id is not None:
            version = self._models.get(model_id, owner)
        else:
            version = self._models.by_name(owner, *parse_reference(reference or ""))
        if version.state is VersionState.REFUSED:
            raise ModelRefused(f"Model {version.model_id!r} was refused: see GET /models/{version.model_id}.")
        if version.state is not VersionState.READY:
            raise Unavailable(f"Model {version.model_id!r} is not ready yet: it is {version.state}.")
        return version

    def page(
        self, principal: Principal, name: str | None, state: str | None, limit: int, cursor: str | None
    ) -> Page[ModelVersion]:
        """A page of the caller's versions, newest first."""
        principal.must(Scope.READ)
        wanted = None
        if state is not None:
            if state not in set(VersionState):
                raise InvalidInput.of(
                    Fault(("state",), "state", f"There is no state {state[:40]!r}.", ", ".join(VersionState))
                )
            wanted = VersionState(state)
        return self._models.page(principal.owner, name, wanted, limit, cursor)

    def remove(self, principal: Principal, model_id: str) -> None:
        """Remove a version; jobs that are running on it still finish. Raises NotFound."""
        principal.must(Scope.PUBLISH)
        self._models.remove(model_id, principal.owner, self._clock())
        self._forget_loaded(model_id)

    def purge(self) -> int:
        """Free what removed versions still hold, once no unfinished job needs them. How many."""
        removed = self._models.removed_unused()
        for version in removed:
            self.forget(version.model_id)
        return len(removed)

    def left_behind(self) -> list[str]:
        """Ids of uploads that a process accepted and did not live to judge, oldest first."""
        unsettled = self._models.unsettled()
        dead = self._dead(sorted({version.holder for version in unsettled}))
        return [version.model_id for version in unsettled if version.holder in dead]


def _text(value: object, field: str, limit: int, empty: bool = False) -> str:
    if not isinstance(value, str) or (not value.strip() and not empty) or len(value) > limit:
        got = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
        least = 0 if empty else 1
        raise InvalidInput.of(
            Fault(
                (field,), "text", f"{field} must be a string of {least} to {limit} characters.", "string", got
            )
        )
    return value
