"""Move aliases, roll them back, and tell where they have been."""

from __future__ import annotations

from collections.abc import Callable

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.aliases import Alias, AliasMove, Expected, checked_alias
from tensortrigger_backend.domain.models import checked_name
from tensortrigger_backend.ports.storage import Page
from tensortrigger_backend.ports.versions import AliasStore


class Aliases:
    """The use cases of aliases: reading needs the scope ``read``, changing ``publish``.

    Args:
        clock: seconds since the epoch, UTC.
        moved: told owner and name of each model one of whose aliases has moved.
    """

    def __init__(
        self, store: AliasStore, clock: Callable[[], float], moved: Callable[[str, str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._moved = moved

    def all(self, principal: Principal, name: str) -> list[Alias]:
        """Every alias of a model. Raises NotFound."""
        principal.must(Scope.READ)
        return self._store.all(principal.owner, checked_name(name))

    def find(self, principal: Principal, name: str, alias: str) -> Alias:
        """Where an alias points. Raises NotFound, naming those that there are."""
        principal.must(Scope.READ)
        return self._store.get(principal.owner, checked_name(name), alias)

    def history(
        self, principal: Principal, name: str, alias: str, limit: int, cursor: str | None
    ) -> Page[AliasMove]:
        """A page of an alias's moves, newest first. Raises NotFound."""
        principal.must(Scope.READ)
        return self._store.history(principal.owner, checked_name(name), alias, limit, cursor)

    def move(
        self, principal: Principal, name: str, alias: str, target: int | str, expected: Expected | None
    ) -> Alias:
        """Point an alias to a version, told by number or id.

        Raises:
            NotFound: there is no such ready version.
            Conflict: it does not point to what was expected.
        """
        principal.must_publish_to(checked_name(name))
        try:
            return self._store.move(
                principal.owner,
                name,
                checked_alias(alias),
                target,
                expected,
                self._clock(),
                principal.known_as,
            )
        finally:
            # Whatever happened: what the caches believe is asked for anew.
            self._moved(principal.owner, name)

    def roll_back(self, principal: Principal, name: str, alias: str, expected: Expected | None) -> Alias:
        """Point an alias to where it pointed before.

        Raises:
            NotFound: there is no such alias.
            Conflict: there is nothing to go back to, or it does not point to what was expected.
        """
        principal.must_publish_to(checked_name(name))
        try:
            return self._store.roll_back(
                principal.owner, name, alias, expected, self._clock(), principal.known_as
            )
        finally:
            self._moved(principal.owner, name)

    def remove(self, principal: Principal, name: str, alias: str, expected: Expected | None) -> None:
        """Take an alias away; its history stays. Raises NotFound and Conflict."""
        principal.must_publish_to(checked_name(name))
        try:
            self._store.remove(principal.owner, name, alias, expected, self._clock(), principal.known_as)
        finally:
            self._moved(principal.owner, name)
