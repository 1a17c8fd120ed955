"""``scripts/services``: what it prints is enough to use the servers, and it stops what it started."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pika
import psycopg
import pytest
import yaml
from servers.installing import COMPOSE_FILE
from servers.node import NotToBeHad, is_running, kill_tree
from servers.postgresql import postgresql_answers
from services import PostgresNode, RabbitNode, absent

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "services"
NAMES = [
    "TENSORTRIGGER_DATABASE_URL",
    "TENSORTRIGGER_BROKER_URL",
    "TENSORTRIGGER_BROKER_PREFIX",
    "TENSORTRIGGER_BLOB_URL",
    "TENSORTRIGGER_S3_ENDPOINT_URL",
    "TENSORTRIGGER_S3_REGION",
    "TENSORTRIGGER_S3_ACCESS_KEY_ID",
    "TENSORTRIGGER_S3_SECRET_ACCESS_KEY",
    "TENSORTRIGGER_PEPPER",
]


def test_what_env_prints_reaches_all_three_and_down_stops_only_what_was_started(tmp_path: Path) -> None:
    try:
        PostgresNode.installed(), RabbitNode.installed()
    except NotToBeHad as error:
        absent(str(error))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
    environ["XDG_CACHE_HOME"] = str(tmp_path)

    def services(command: str) -> str:
        done = subprocess.run(
            [SCRIPT, command], env=environ, capture_output=True, text=True, check=True, timeout=180
        )
        return done.stdout

    found = postgresql_answers(5432)
    state = tmp_path / "tensortrigger" / "services.json"
    try:
        assert services("up") == ""
        printed = services("env")
        assert services("env") == printed
        lines = [line.removeprefix("export ") for line in printed.splitlines()]
        assert [line.partition("=")[0] for line in lines] == NAMES
        told = evaluated(printed)
        assert must_be_reached(told) == []
        with psycopg.connect(database(told)) as connection:
            connection.execute("CREATE TABLE made (it integer)")
        assert state.stat().st_mode & 0o077 == 0

        # When the bucket is lost, its database goes as well.
        kill_tree(json.loads(state.read_text())["services"]["s3"]["pid"])
        told = evaluated(services("env"))
        assert must_be_reached(told) == []
        ours = [one for one in json.loads(state.read_text())["services"].values() if one["started"] == "node"]
        assert ours
        assert all(is_running(one["pid"]) for one in ours)
    finally:
        services("down")
        services("down")
    assert not any(is_running(one["pid"]) or Path(one["folder"]).exists() for one in ours)
    assert postgresql_answers(5432) == found
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database(told), connect_timeout=3)


def evaluated(printed: str) -> dict[str, str]:
    """What a shell makes of it."""
    done = subprocess.run(
        ["bash", "-c", 'eval "$(cat)"; env -0'],
        input=printed,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.partition("=")[::2] for line in done.stdout.split("\0"))


def database(told: dict[str, str]) -> str:
    return told["TENSORTRIGGER_DATABASE_URL"].replace("+psycopg", "")


def must_be_reached(told: dict[str, str]) -> list[str]:
    """The tables that are there; raises where a server is not to be had with these settings."""
    pika.BlockingConnection(pika.URLParameters(told["TENSORTRIGGER_BROKER_URL"])).close()
    client = boto3.client(
        "s3",
        endpoint_url=told["TENSORTRIGGER_S3_ENDPOINT_URL"],
        region_name=told["TENSORTRIGGER_S3_REGION"],
        aws_access_key_id=told["TENSORTRIGGER_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=told["TENSORTRIGGER_S3_SECRET_ACCESS_KEY"],
    )
    with contextlib.closing(client):
        client.head_bucket(Bucket=told["TENSORTRIGGER_BLOB_URL"].removeprefix("s3://"))
    with psycopg.connect(database(told), connect_timeout=10) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [name for (name,) in rows]


def test_containers_leave_no_volume_behind() -> None:
    """``docker compose rm --volumes`` takes those without a name."""
    told = yaml.safe_load(COMPOSE_FILE.read_text())
    assert "volumes" not in told
    for server in told["services"].values():
        for volume in server["volumes"]:
            assert ":" not in volume


def test_without_a_server_and_without_docker_it_says_what_to_install(tmp_path: Path) -> None:
    """As on a machine where neither may be installed."""
    program = (
        "import servers.__main__ as command; from servers.node import *\n"
        "def missing(): raise NotToBeHad('PostgreSQL is not installed: install the package.')\n"
        "kind = command.KINDS['postgresql']\n"
        "kind.node.installed = missing\n"
        "command.postgresql_answers = lambda port: False\n"
        "command.install = lambda packages: False\n"
        "command.containers = lambda: False\n"
        "raise SystemExit(command.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "up"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(SCRIPT.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "PostgreSQL is not installed: install the package. "
        "Or install Docker with Compose, and it is started in a container.\n"
    )
