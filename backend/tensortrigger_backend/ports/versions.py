"""Where model versions and their aliases are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tensortrigger_backend.domain.aliases import Alias, AliasMove, Expected
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import ModelVersion, Reference, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.ports.storage import Idempotency, Page


class ModelStore(Protocol):
    """Versions of models, each of one owner. Nobody sees what another owns: it is NotFound."""

    def add(self, version: ModelVersion, idempotency: Idempotency | None = None) -> ModelVersion:
        """Store a new version, or find the one of that id, or the one that the same idempotency key made before.

        Raises:
            Conflict: the idempotency key was used for another request.
            Unavailable: its bytes were cleared away meanwhile; sending them again is safe.
        """

    def get(self, model_id: str, owner: str | None) -> ModelVersion:
        """One version; with owner None whoever owns it, also one that was removed. Raises NotFound."""

    def named(self, owner: str, reference: Reference) -> ModelVersion:
        """The ready version that a reference means now: a bare name its production alias, else the latest one.

        Raises:
            NotFound: naming the latest version, or the aliases that there are.
        """

    def page(self, owner: str, wanted: VersionFilter, limit: int, cursor: str | None) -> Page[ModelVersion]:
        """Newest first; refused ones only when asked for by state. Raises InvalidInput for a bad cursor."""

    def amend(
        self, model_id: str, owner: str, description: str | None, tags: Mapping[str, str] | None
    ) -> ModelVersion:
        """Replace the description or the tags; None leaves them. Raises NotFound."""

    def take(self, model_id: str, before: str, holder: str) -> bool:
        """Compare-and-set of the process that judges an upload; False where it is another one's, or settled."""

    def advance(self, model_id: str, state: VersionState, holder: str) -> None:
        """Tell how far an upload has come; nothing happens where another process holds it, or it is settled."""

    def make_ready(
        self,
        model_id: str,
        verdict: ForgeVerdict,
        servable_key: str,
        servable_sha256: str,
        now: float,
        receipt: Mapping[str, Any] | None = None,
        example_key: str | None = None,
    ) -> ModelVersion:
        """Give it the next number of its name, and move the alias that was wanted for it in the same transaction.

        One that is settled already stays as it is.

        Args:
            example_key: the example that the receipt is about; None leaves the one that was added.

        Raises:
            NotFound: it was removed meanwhile.
            Unavailable: the servable's bytes were cleared away meanwhile.
        """

    def note_receipt(self, model_id: str, receipt: Mapping[str, Any]) -> None:
        """Put this receipt in the place of the version's present one."""

    def refuse(self, model_id: str, verdict: ForgeVerdict, holder: str) -> None:
        """Settle an upload as refused; nothing happens where another process holds it, or it is settled."""

    def remove(
        self, model_id: str, owner: str, now: float, force: bool = False, by: str = ""
    ) -> ModelVersion:
        """Hide it from its owner, and with ``force`` remove the aliases that point to it.

        Raises:
            NotFound: there is none.
            Conflict: an alias points there.
        """

    def discard(self, model_id: str, now: float) -> None:
        """Forget it entirely, with the aliases that point to it. Safe to repeat."""

    def unsettled(self) -> list[ModelVersion]:
        """Uploads that were accepted and not yet judged, oldest first."""

    def clear_removed(self) -> list[ModelVersion]:
        """Forget the removed versions that no unfinished job needs any more; what they were."""

    def unknown(self, model_ids: Sequence[str]) -> list[str]:
        """Those of these ids that no version has."""


class AliasStore(Protocol):
    """Aliases and their history. Every change is one transaction: it happens with its entry in the history or not
    at all, and changes of one alias come one after the other."""

    def get(self, owner: str, name: str, alias: str) -> Alias:
        """Raises NotFound, naming the aliases that there are."""

    def all(self, owner: str, name: str) -> list[Alias]:
        """Sorted by alias; raises NotFound when there is no such model."""

    def move(
        self,
        owner: str,
        name: str,
        alias: str,
        target: int | str,
        expected: Expected | None,
        now: float,
        by: str,
    ) -> Alias:
        """Point to a ready version, told by its number or id. Where it points there already, nothing happens.

        Raises:
            NotFound: there is no such ready version of this name.
            Conflict: it does not point to what was expected; nothing was changed.
        """

    def roll_back(
        self, owner: str, name: str, alias: str, expected: Expected | None, now: float, by: str
    ) -> Alias:
        """Point to where it pointed before the latest move that was not rolled back.

        Raises:
            NotFound: there is no such alias.
            Conflict: there is nothing before, that version was deleted, or as ``move``.
        """

    def remove(
        self, owner: str, name: str, alias: str, expected: Expected | None, now: float, by: str
    ) -> None:
        """Raises NotFound, and Conflict as ``move``."""

    def history(self, owner: str, name: str, alias: str, limit: int, cursor: str | None) -> Page[AliasMove]:
        """Newest first, also of an alias that was removed. Raises NotFound when it never was."""


class ContentStore(Protocol):
    """Which stored bytes may still be needed: by a version, or by somebody who has just put them.

    Whoever puts bytes touches their key first; they are freed only under the same lock, so that bytes which
    somebody else is about to use are never taken away under his hands.
    """

    def touch(self, key: str, now: float) -> None:
        """Somebody is about to put these bytes and to use them."""

    def free(
        self,
        delete: Callable[[Sequence[str]], None],
        touched_until: float,
        keys: Sequence[str] | None = None,
    ) -> int:
        """Let ``delete`` remove what no version needs and nobody has touched since; how many.

        Args:
            touched_until: what was touched later than this stays.
            keys: only these; None for all that there are.
        """

    def free_unknown(self, delete: Callable[[Sequence[str]], None], keys: Sequence[str]) -> int:
        """Let ``delete`` remove those of these keys that nobody ever touched and no version needs; how many."""
