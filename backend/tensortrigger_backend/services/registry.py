"""Publish, find and remove model versions."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import (
    Fault,
    InvalidInput,
    ModelRefused,
    NotFound,
    NotInstalled,
    Overrun,
    Unavailable,
)
from tensortrigger_backend.domain.example_claims import ExampleClaim
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.metadata import checked_tags, checked_text
from tensortrigger_backend.domain.models import (
    DESCRIPTION_LIMIT,
    ModelVersion,
    Parent,
    Reference,
    VersionState,
    checked_name,
    parse_reference,
)
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.ports.engines import Forge
from tensortrigger_backend.ports.storage import BlobStore, Idempotency, Page
from tensortrigger_backend.ports.versions import ModelStore
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.drafts import Draft, checked
from tensortrigger_backend.services.receipts import Proof, Receipts

NOBODY: Final = ""
"""Holds what waits for any process that has a forge."""
_TRIES = 2
"""A forge that dies twice on the same upload will die on it again."""
_LESS = "Publish a smaller model, or let the server take more time and memory for checking it."


class Registry:
    """Versions from upload to removal.

    Args:
        scratch: a folder for short-lived copies.
        clock: seconds since the epoch, UTC.
        forget_loaded: told the id of each version that must not be answered for any more.
        renamed: told owner and name of each model whose references may mean another version now.
        forge: None where others judge.
        holder: the name of this process, which judges what it receives; NOBODY where others do.
        dead: those of the named processes that are known not to live any more.
        receipts: lets no version be ready that does not answer its example; None to let it be unproven.
    """

    def __init__(
        self,
        models: ModelStore,
        blobs: BlobStore,
        contents: Contents,
        forge: Forge | None,
        scratch: Path,
        clock: Callable[[], float],
        forget_loaded: Callable[[str], None],
        renamed: Callable[[str, str], None],
        holder: str,
        dead: Callable[[Sequence[str]], list[str]],
        receipts: Receipts | None = None,
    ) -> None:
        self._receipts = receipts
        self._models = models
        self._blobs = blobs
        self._contents = contents
        self._forge = forge
        self._scratch = scratch
        self._clock = clock
        self._forget_loaded = forget_loaded
        self._renamed = renamed
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
        wanted = checked(draft)
        principal.must_publish_to(wanted.name)
        claim = None if draft.example is None else ExampleClaim.parse(draft.example, wanted.schema)
        writer = self._contents.writer()
        try:
            for chunk in content:
                writer.write(chunk)
            _must_hold_something(writer.size)
            wanted.must_be(writer.sha256)
            if idempotency is not None:
                told = () if claim is None else (claim.fingerprint(),)
                idempotency = idempotency.bound_to(writer.sha256, wanted.fingerprint(), *told)
            admit()
            source = self._contents.commit(writer)
        finally:
            writer.abort()
        version = ModelVersion(
            model_id=secrets.token_hex(16),
            holder=self._holder,
            owner=principal.owner,
            name=wanted.name,
            title=wanted.title,
            description=wanted.description,
            state=VersionState.RECEIVED,
            source_key=source.key,
            source_sha256=source.sha256,
            size=source.size,
            created=source.touched,
            schema=wanted.schema,
            metadata=wanted.metadata,
            wanted_alias=wanted.alias,
            wanted_by=principal.known_as,
            example_key=self._receipts.keep_claim(claim) if self._receipts and claim else None,
        )
        return self._added(version, idempotency)

    def _added(self, version: ModelVersion, idempotency: Idempotency | None) -> tuple[ModelVersion, bool]:
        """The stored version and whether it is new; bytes that nobody needs after all are freed."""
        try:
            stored = self._models.add(version, idempotency)
        except BaseException:
            self._free(version)
            raise
        new = stored.model_id == version.model_id
        if not new:
            self._free(version)
        return stored, new

    def adopt(self, model_id: str, parent: ModelVersion, job_id: str, made: Path) -> ModelVersion:
        """Store what a training made of a version, for the forge to judge as it would judge an upload.

        Safe to repeat: the version of that id is found, whatever state it is in.
        """
        assert parent.version is not None
        source = self._contents.keep(made)
        return self._models.add(
            ModelVersion(
                model_id=model_id,
                holder=self._holder,
                owner=parent.owner,
                name=parent.name,
                title=parent.title,
                description=parent.description,
                state=VersionState.RECEIVED,
                source_key=source.key,
                source_sha256=source.sha256,
                size=source.size,
                created=source.touched,
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

        What another process has taken over meanwhile is left to that one's judgement, unless it is accepted.

        Raises:
            NotInstalled: there is no forge here.
            Unavailable: the forge could not run; the upload stays as it is.
        """
        version = self._models.get(model_id, None)
        if version.state.settled:
            return version
        if self._forge is None:
            raise NotInstalled("This process checks no models: start a 'tt forge'.")
        order = ForgeOrder(
            version.schema.input_names if version.schema else (),
            version.schema.output_names if version.schema else (),
        )
        with tempfile.TemporaryDirectory(prefix="publish-", dir=self._scratch) as folder:
            source, target = Path(folder, "source"), Path(folder, "servable")
            self._blobs.fetch(version.source_key, source)
            verdict = self._asked(self._forge, model_id, source, target, order)
            proof = Proof(verdict)
            if verdict.accepted and self._receipts is not None:
                proof = self._receipts.prove(version, verdict, target)
            if not proof.verdict.accepted:
                self._models.refuse(model_id, proof.verdict, self._holder)
                return self._models.get(model_id, None)
            servable = self._contents.keep(target)
        example_key = proof.example.key if proof.example is not None else None
        receipt = proof.receipt.to_dict() if proof.receipt is not None else None
        try:
            ready = self._models.make_ready(
                model_id, verdict, servable.key, servable.sha256, self._clock(), receipt, example_key
            )
        except NotFound:
            self._contents.release([servable.key, example_key], servable.touched)
            raise
        if version.example_key != ready.example_key:
            # The caller's words; the example that came of them is kept in their place.
            self._contents.release([version.example_key], version.created)
        self._renamed(ready.owner, ready.name)
        return ready

    def _asked(
        self, forge: Forge, model_id: str, source: Path, target: Path, order: ForgeOrder
    ) -> ForgeVerdict:
        def on_stage(stage: str) -> None:
            self._models.advance(model_id, VersionState(stage), self._holder)

        for left in reversed(range(_TRIES)):
            try:
                return forge.forge(source, target, order, on_stage)
            except Overrun as error:
                # The next try would hold up every other upload for as long, and end the same way.
                fault = Fault(("model_content",), "forge_limit", error.detail, remedy=_LESS)
                return ForgeVerdict(False, (fault,))
            except Unavailable:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def refuse_unjudged(self, model_id: str, reason: str) -> None:
        """Settle an upload that the forge could not judge, for a caller who has stopped waiting."""
        fault = Fault(("model_content",), "forge_failed", reason, remedy="Publish the model again.")
        self._models.refuse(model_id, ForgeVerdict(False, (fault,)), self._holder)

    def forget(self, model_id: str) -> None:
        """Leave nothing of an upload. Safe to repeat."""
        try:
            version = self._models.get(model_id, None)
        except NotFound:
            return
        self._models.discard(model_id, self._clock())
        self._free(version)

    def _free(self, version: ModelVersion) -> None:
        self._contents.release(
            [version.source_key, version.servable_key, version.example_key], version.created
        )

    def peek(self, model_id: str) -> ModelVersion:
        """An upload that this process has just received, as it stands now. Raises NotFound."""
        return self._models.get(model_id, None)

    def find(self, principal: Principal, model_id: str) -> ModelVersion:
        """One version by id. Raises NotFound."""
        principal.must(Scope.READ)
        return self._models.get(model_id, principal.owner)

    def find_by_name(self, principal: Principal, name: str, version: int | None = None) -> ModelVersion:
        """What ``name``, ``name@alias`` or a name and a number mean now. Raises NotFound."""
        principal.must(Scope.READ)
        reference = parse_reference(name) if version is None else Reference(checked_name(name), version)
        return self._models.named(principal.owner, reference)

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
                    "Name the model either by 'model_id' or by 'model' (name, name@alias or name/version).",
                    "one of model_id, model",
                    "both" if model_id is not None else "neither",
                )
            )
        if model_id is not None:
            version = self._models.get(model_id, owner)
        else:
            version = self._models.named(owner, parse_reference(reference or ""))
        if version.state is VersionState.REFUSED:
            raise ModelRefused(f"Model {version.model_id!r} was refused: see GET /models/{version.model_id}.")
        if version.state is not VersionState.READY:
            raise Unavailable(f"Model {version.model_id!r} is not ready yet: it is {version.state}.")
        return version

    def page(
        self, principal: Principal, wanted: VersionFilter, limit: int, cursor: str | None
    ) -> Page[ModelVersion]:
        """A page of the caller's versions, newest first."""
        principal.must(Scope.READ)
        return self._models.page(principal.owner, wanted, limit, cursor)

    def amend(self, principal: Principal, model_id: str, description: object, tags: object) -> ModelVersion:
        """Replace the description or the tags of a version; None leaves them.

        Raises:
            NotFound: there is none.
            InvalidInput: naming the member.
        """
        version = self._models.get(model_id, principal.owner)
        principal.must_publish_to(version.name)
        text = (
            None if description is None else checked_text(description, "description", DESCRIPTION_LIMIT, True)
        )
        return self._models.amend(
            model_id, principal.owner, text, None if tags is None else checked_tags(tags)
        )

    def remove(self, principal: Principal, model_id: str, force: bool = False) -> None:
        """Remove a version; jobs that are running on it still finish.

        Args:
            force: take the aliases that point to it away too.

        Raises:
            NotFound: there is none.
            Conflict: an alias points to it.
        """
        principal.must(Scope.PUBLISH)
        version = self._models.remove(model_id, principal.owner, self._clock(), force, principal.known_as)
        self._forget_loaded(model_id)
        self._renamed(version.owner, version.name)

    def purge(self) -> int:
        """Free what removed versions still hold, once no unfinished job needs them. How many."""
        cleared = self._models.clear_removed()
        for version in cleared:
            self._free(version)
        return len(cleared)

    def left_behind(self) -> list[str]:
        """Ids of uploads that nobody has taken, or whose process did not live to judge them, oldest first."""
        unsettled = self._models.unsettled()
        holders = {version.holder for version in unsettled} - {NOBODY, self._holder}
        free = {NOBODY, *(self._dead(sorted(holders)) if holders else ())}
        return [version.model_id for version in unsettled if version.holder in free]

    def held(self) -> list[str]:
        """Ids of uploads that this process has taken and that are not settled, oldest first."""
        return [version.model_id for version in self._models.unsettled() if version.holder == self._holder]

    def waiting(self) -> int:
        """How many uploads are not settled yet."""
        return len(self._models.unsettled())

    def take_over(self, model_id: str) -> bool:
        """Make an upload that was left behind this process's own; True for one of those that want it."""
        try:
            holder = self._models.get(model_id, None).holder
        except NotFound:
            return False
        if holder != NOBODY and not self._dead([holder]):
            return False
        return self._models.take(model_id, holder, self._holder)

    def hand_back(self, model_id: str) -> None:
        """Leave an upload to whoever comes next."""
        self._models.take(model_id, self._holder, NOBODY)


def _must_hold_something(size: int) -> None:
    if not size:
        raise InvalidInput.of(
            Fault(("model_content",), "empty", "model_content is empty.", "a Keras model file", "0 bytes")
        )
