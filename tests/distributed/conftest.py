"""One deployment for all of these tests, on PostgreSQL, RabbitMQ and S3: TensorFlow takes long to import."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deployments import Deployment, Process, new_database
from services import S3Address

KERAS_FILES = Path(__file__).parent.parent / "forge" / "keras_2_files.zip"


@pytest.fixture(scope="session")
def databases(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases, gone at the end."""
    opened = []

    def make() -> str:
        opened.append(new_database(postgresql_server))
        return opened[-1].__enter__()

    yield make
    for database in opened:
        database.__exit__(None, None, None)


@pytest.fixture(scope="session")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
    databases: Callable[[], str],
    rabbitmq_server: str,
    s3_server: S3Address,
    s3_bucket: str,
) -> Iterator[Deployment]:
    """Migrated, with nothing running on it yet."""
    blobs = {
        "TENSORTRIGGER_BLOB_URL": f"s3://{s3_bucket}/deployment",
        "TENSORTRIGGER_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "TENSORTRIGGER_S3_ACCESS_KEY_ID": s3_server.access_key,
        "TENSORTRIGGER_S3_SECRET_ACCESS_KEY": s3_server.secret_key,
        "TENSORTRIGGER_S3_REGION": s3_server.region,
    }
    with Deployment(
        tmp_path_factory.mktemp("deployment"),
        databases(),
        rabbitmq_server,
        blobs,
        slice_rows="200",
        publish_wait="120",
    ) as made:
        made.migrate()
        yield made


@pytest.fixture(scope="session")
def everybody(deployment: Deployment) -> dict[str, list[Process]]:
    """Two of each that answers or scores, one of each that has TensorFlow; started at once, which must be safe."""
    begun = [
        deployment.begin("api"),
        deployment.begin("api"),
        deployment.begin("worker", "--metrics-port", "0"),
        deployment.begin("worker", "--metrics-port", "0"),
        deployment.begin("forge", "--metrics-port", "0"),
        deployment.begin("trainer", "--metrics-port", "0"),
    ]
    found: dict[str, list[Process]] = {}
    for process in begun:
        found.setdefault(process.role, []).append(process.awaited())
    return found


@pytest.fixture(scope="session")
def apis(everybody: dict[str, list[Process]]) -> tuple[Process, Process]:
    first, second = everybody["api"]
    return first, second


@pytest.fixture(scope="session")
def workers(everybody: dict[str, list[Process]]) -> tuple[Process, Process]:
    first, second = everybody["worker"]
    return first, second


@pytest.fixture(scope="session")
def forge(everybody: dict[str, list[Process]]) -> Process:
    return everybody["forge"][0]


@pytest.fixture(scope="session")
def trainer(everybody: dict[str, list[Process]]) -> Process:
    return everybody["trainer"][0]


@pytest.fixture(scope="session")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Keras model of three inputs and two outputs, and what it answers: made long ago, by Keras 2."""
    folder = tmp_path_factory.mktemp("keras")
    with zipfile.ZipFile(KERAS_FILES) as files:
        for name in ("dense_seq.keras", "dense_seq.npz"):
            files.extract(name, folder)
    return folder


@pytest.fixture(scope="session")
def published(
    apis: tuple[Process, Process], everybody: dict[str, list[Process]], keras_files: Path
) -> dict[str, Any]:
    """The Keras model under the name ``seq``: the answer to its publishing at the first API."""
    answer = apis[0].publish(keras_files / "dense_seq.keras", "seq", alias="production")
    assert answer.status_code == 201, answer.text
    return answer.json()
