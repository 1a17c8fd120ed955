"""Two clients publish and move aliases at the same instant, again and again: is it as if one had come after the other?

Hypothesis chooses what both do. What they were told and what the store holds afterwards must be what a plain model of
aliases gives for one of the two orders; so no update is lost, and a compare-and-set that was refused changed nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tensortrigger_backend.adapters.sql.alias_store import SqlAliasStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.aliases import Expected
from tensortrigger_backend.domain.errors import Conflict, NotFound, TensorTriggerError
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict

NAME: Final = "churn"
ALIASES: Final = ("production", "candidate")
ACCEPTED: Final = ForgeVerdict(True, format="keras", engine="onnxruntime")
OWNERS = (f"owner{number}" for number in itertools.count())
"""Each run of the machine has its own, and so a store without anything in it."""

Told = int | None | type[TensorTriggerError]
"""What a client was told: a version's number, nothing, or the error."""


@dataclass(frozen=True)
class Deed:
    """What one client does: ``publish``, ``move``, ``roll_back`` or ``remove``.

    Attributes:
        alias: which; for a publish the one that is wanted, or None.
        target: the number of the version to move to.
        expects: None for no compare-and-set, else how far from the present target the expected one is.
    """

    act: str
    alias: str | None
    target: int = 1
    expects: int | None = None


@dataclass
class Model:
    """What aliases are, in one thread and without a database."""

    versions: int = 0
    history: dict[str, list[tuple[str, int | None, int | None]]] = field(default_factory=dict)
    ways_back: dict[str, list[int]] = field(default_factory=dict)

    def present(self, alias: str) -> int | None:
        way = self.ways_back.get(alias)
        return way[-1] if way else None

    def do(self, deed: Deed, expected: Expected | None) -> Told:
        alias = deed.alias or ""
        before = self.present(alias)
        if deed.act == "publish":
            self.versions += 1
            if deed.alias is not None:
                self._point(alias, "published", self.versions, before)
            return self.versions
        if deed.act == "move" and deed.target > self.versions:
            return NotFound
        if deed.act != "move" and before is None:
            return NotFound
        if expected is not None and expected.version != before:
            return Conflict
        if deed.act == "move":
            if deed.target != before:
                self._point(alias, "moved", deed.target, before)
            return deed.target
        if deed.act == "remove":
            self._note(alias, "removed", None, before)
            self.ways_back[alias] = []
            return None
        if len(self.ways_back[alias]) < 2:
            return Conflict
        self.ways_back[alias].pop()
        self._note(alias, "rolled_back", self.ways_back[alias][-1], before)
        return self.ways_back[alias][-1]

    def _point(self, alias: str, action: str, version: int, before: int | None) -> None:
        self.ways_back.setdefault(alias, []).append(version)
        self._note(alias, action, version, before)

    def _note(self, alias: str, action: str, version: int | None, before: int | None) -> None:
        self.history.setdefault(alias, []).append((action, version, before))


some_alias = st.sampled_from(ALIASES)
some_expectation = st.sampled_from([None, None, 0, 0, 0, 1, -1])
deeds = st.one_of(
    st.builds(Deed, st.just("publish"), st.none() | some_alias),
    st.builds(Deed, st.just("move"), some_alias, st.integers(1, 5), some_expectation),
    st.builds(Deed, st.just("roll_back"), some_alias, st.just(1), some_expectation),
    st.builds(Deed, st.just("remove"), some_alias, st.just(1), some_expectation),
)


class TwoClients(RuleBasedStateMachine):
    """A store that two clients change at once, and the model that says what may come of it."""

    def __init__(self, database: Database, clients: ThreadPoolExecutor) -> None:
        super().__init__()
        self.models = SqlModelStore(database)
        self.aliases = SqlAliasStore(database)
        self.clients = clients
        self.owner = next(OWNERS)
        self.ids = (f"{self.owner}-{number}" for number in itertools.count())
        self.model = Model()

    @rule(first=deeds, second=deeds)
    def both_at_once(self, first: Deed, second: Deed) -> None:
        expected = [self._expected(deed) for deed in (first, second)]
        start = Barrier(2, timeout=30)
        told = [
            client.result()
            for client in [
                self.clients.submit(self._act, start, deed, expectation)
                for deed, expectation in zip((first, second), expected, strict=True)
            ]
        ]
        held = self._held()
        outcomes = []
        for order in ((0, 1), (1, 0)):
            model = deepcopy(self.model)
            answers: list[Told] = [None, None]
            for client in order:
                answers[client] = model.do((first, second)[client], expected[client])
            if answers == told and (model.versions, model.history) == held:
                self.model = model
                return
            outcomes.append((answers, model.versions, model.history))
        raise AssertionError(f"{(first, second)}: told {told}, held {held}; either of {outcomes} would do")

    @invariant()
    def every_alias_points_to_the_last_entry_of_its_history(self) -> None:
        for alias in ALIASES:
            try:
                pointed = self.aliases.get(self.owner, NAME, alias)
            except NotFound:
                assert self.model.present(alias) is None
            else:
                assert pointed.version == self.model.history[alias][-1][1] == self.model.present(alias)
                assert self.models.get(pointed.model_id, self.owner).version == pointed.version

    def _expected(self, deed: Deed) -> Expected | None:
        if deed.expects is None:
            return None
        present = self.model.present(deed.alias or "")
        return Expected(None if present is None and not deed.expects else (present or 0) + deed.expects)

    def _act(self, start: Barrier, deed: Deed, expected: Expected | None) -> Told:
        act = self._prepared(deed, expected)
        start.wait()
        try:
            return act()
        except TensorTriggerError as error:
            return type(error)

    def _prepared(self, deed: Deed, expected: Expected | None) -> Callable[[], int | None]:
        """The deed up to the call that it is about."""
        alias = deed.alias or ""
        if deed.act == "publish":
            model_id = next(self.ids)
            self.models.add(_received(model_id, self.owner, deed.alias))
            return lambda: self.models.make_ready(model_id, ACCEPTED, "servable", "1" * 64, 2.0).version
        if deed.act == "move":
            return lambda: (
                self.aliases.move(self.owner, NAME, alias, deed.target, expected, 3.0, "client").version
            )
        if deed.act == "roll_back":
            return lambda: self.aliases.roll_back(self.owner, NAME, alias, expected, 3.0, "client").version
        return lambda: self.aliases.remove(self.owner, NAME, alias, expected, 3.0, "client")

    def _held(self) -> tuple[int, dict[str, list[Any]]]:
        """How many versions there are, and the history of each alias, oldest first."""
        page = self.models.page(self.owner, VersionFilter(state=VersionState.READY), 200, None)
        numbers = sorted(version.version or 0 for version in page.items)
        assert numbers == list(range(1, len(numbers) + 1))
        history: dict[str, list[Any]] = {}
        for alias in ALIASES:
            try:
                entries = self.aliases.history(self.owner, NAME, alias, 200, None).items
            except NotFound:
                continue
            history[alias] = [
                (str(entry.action), entry.version, entry.previous_version) for entry in reversed(entries)
            ]
        return len(numbers), history


def _received(model_id: str, owner: str, wanted_alias: str | None) -> ModelVersion:
    return ModelVersion(
        model_id=model_id,
        owner=owner,
        name=NAME,
        title=NAME,
        description="",
        state=VersionState.RECEIVED,
        source_key="source",
        source_sha256="0" * 64,
        size=1,
        created=1.0,
        wanted_alias=wanted_alias,
    )


def test_two_clients_at_once_are_as_good_as_one_after_the_other(database: Database) -> None:
    with ThreadPoolExecutor(2) as clients:
        run_state_machine_as_test(
            lambda: TwoClients(database, clients),  # type: ignore[arg-type]
            settings=settings(
                max_examples=25,
                stateful_step_count=12,
                deadline=None,
                # Threads take another course each time: what is found is told, not made smaller.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
