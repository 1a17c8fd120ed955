"""A process that would not see what the others see does not start, and says what to do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deployments import Deployment

from tensortrigger_backend.bootstrap.api import ApiRole
from tensortrigger_backend.bootstrap.forge import ForgeRole
from tensortrigger_backend.bootstrap.migration import key_office, migrate
from tensortrigger_backend.bootstrap.serve import Backend
from tensortrigger_backend.bootstrap.worker import WorkerRole
from tensortrigger_backend.domain.errors import Conflict
from tensortrigger_backend.settings import Settings


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, databases: Callable[[], str], rabbitmq_server: str
) -> Iterator[Callable[..., Settings]]:
    """Settings of a deployment on a shared folder, some of them changed; it has started once."""
    folder = tmp_path_factory.mktemp("settled")
    with Deployment(folder, databases(), rabbitmq_server, {}) as made:
        made.settings["blob_url"] = f"file://{folder / 'blobs'}"

        def settings(**changed: str) -> Settings:
            return Settings(data_dir=folder / "data", **{**made.settings, **changed})

        with pytest.raises(ValueError, match="The database has no tables yet: run 'tt migrate' first"):
            ForgeRole(settings())
        migrate(settings())
        key_office(settings())[2].close()
        ForgeRole(settings()).close()
        yield settings


@pytest.mark.parametrize(
    ("role", "changed", "said"),
    [
        (WorkerRole, {"broker_url": "memory://"}, "memory:// lies in one process and cannot be shared"),
        (ApiRole, {"database_url": ""}, "needs PostgreSQL"),
        (WorkerRole, {"broker_url": "kafka://x"}, "must begin with memory:, amqp: or amqps:"),
        (WorkerRole, {"fault_point": "nowhere"}, "is no step of"),
        (WorkerRole, {"sources": {"lake": "http://x"}}, "must begin with file:/// or s3://"),
    ],
)
def test_settings_under_which_processes_would_not_see_each_other_are_refused(
    settled: Callable[..., Settings], role: type[WorkerRole], changed: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        role(settled(**changed))


def test_another_pepper_is_refused_by_processes_and_by_whoever_makes_keys(
    settled: Callable[..., Settings],
) -> None:
    other = settled(pepper="another one of 32 characters ...")
    for opened in (ForgeRole, key_office, Backend):
        with pytest.raises(Conflict, match="give every process the same TENSORTRIGGER_PEPPER"):
            opened(other)


@pytest.mark.parametrize(("off", "said"), [(7.0, "7 s ahead of the"), (-7.0, "7 s behind the")])
def test_a_machine_whose_clock_is_not_the_databases_is_refused(
    settled: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, off: float, said: str
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + off)
    for role in (ForgeRole, WorkerRole, ApiRole):
        with pytest.raises(ValueError, match=f"The clock of this machine is {said} database's: .* 5 s"):
            role(settled())
    # For longer leases it is near enough.
    ForgeRole(settled(lease="30")).close()


def test_a_blob_store_that_is_not_the_deployments_is_refused(
    settled: Callable[..., Settings], databases: Callable[[], str], tmp_path: Path
) -> None:
    # A server with a folder of its own would take over uploads that it does not have.
    elsewhere = settled(blob_url=f"file://{tmp_path}")
    for role in (ForgeRole, Backend):
        with pytest.raises(Conflict, match="lacks the mark of deployment"):
            role(elsewhere)
    # Another database would have the first one's blobs removed as nobody's.
    newer = settled(database_url=databases())
    migrate(newer)
    with pytest.raises(Conflict, match="each database needs a blob store of its own"):
        ForgeRole(newer)


def test_the_first_processes_of_a_deployment_may_start_at_once(
    settled: Callable[..., Settings], databases: Callable[[], str], tmp_path: Path
) -> None:
    fresh = settled(database_url=databases(), blob_url=f"file://{tmp_path}")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [fresh] * 4))
        for role in pool.map(ForgeRole, [fresh] * 4):
            role.close()


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (
            {"database_url": "postgresql+psycopg://postgres@127.0.0.1:1/none"},
            "tt: The database did not answer.",
        ),
        (
            {"blob_url": "s3://bucket/folder", "s3_endpoint_url": "http://127.0.0.1:1"},
            "tt: The storage does not answer (EndpointConnectionError): try again.",
        ),
    ],
    ids=["PostgreSQL", "S3"],
)
def test_a_process_that_starts_while_a_server_is_away_ends_with_one_sentence(
    deployment: Deployment, away: dict[str, str], said: str
) -> None:
    def start(role: str) -> subprocess.CompletedProcess[str]:
        return deployment.run(role, **away, port="0")

    with ThreadPoolExecutor(2) as pool:
        for ended in pool.map(start, ("api", "worker", "trainer", "forge")):
            assert (ended.returncode, ended.stdout) == (1, "")
            assert ended.stderr.splitlines() == [said]
