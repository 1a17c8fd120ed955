"""A PostgreSQL cluster of one's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from servers.node import Node, NotToBeHad


class PostgresNode(Node):
    """PostgreSQL on loopback; the user ``postgres`` needs no password."""

    kind = "postgresql"

    @classmethod
    def installed(cls) -> Path:
        """The folder of its programs; Debian keeps them off the path."""
        found = sorted(
            Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
        )
        on_path = shutil.which("initdb")
        if found:
            return found[-1].parent
        if on_path:
            return Path(on_path).resolve().parent
        raise NotToBeHad("PostgreSQL is not installed: install the package 'postgresql'.")

    @property
    def url(self) -> str:
        """The database ``postgres``, from which others can be made."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """A database of this cluster."""
        return postgresql_url(self.port, database)

    def user(self) -> str:
        """PostgreSQL refuses to run as root."""
        return "postgres" if os.geteuid() == 0 else "-"

    def prepare(self) -> None:
        """Make the cluster."""
        data = self.folder / "data"
        data.mkdir()
        as_user = {}
        if self.user() != "-":
            shutil.chown(data, self.user())
            as_user = {"user": self.user(), "group": self.user(), "extra_groups": []}
        done = subprocess.run(
            [
                *(self.installed() / "initdb", "-D", data, "-U", "postgres", "--auth=trust"),
                *("-E", "UTF8", "--locale=C.UTF-8"),
                *(() if self.lasting else ("--no-sync",)),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
        if done.returncode:
            raise NotToBeHad(f"PostgreSQL cannot make a cluster: {done.stderr.strip()}")

    def command(self) -> list[str]:
        """In the foreground, without a socket file."""
        options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"]
        if not self.lasting:
            options += ["fsync=off", "full_page_writes=off"]
        chosen = [word for option in options for word in ("-c", option)]
        return [
            str(self.installed() / "postgres"),
            *("-D", str(self.folder / "data")),
            *("-p", str(self.port)),
            *chosen,
        ]

    def stop(self, patience: float = 30.0) -> None:
        """Its fast stop, which ends sessions and writes a checkpoint; SIGTERM would wait for clients to go."""
        self._signal(signal.SIGINT, children=False)
        super().stop(patience)

    def answers(self) -> bool:
        """Whether it takes a connection."""
        return postgresql_answers(self.port)


def postgresql_url(port: int, database: str) -> str:
    """A database on loopback, as SQLAlchemy names it."""
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{database}"


def postgresql_answers(port: int) -> bool:
    """Whether a PostgreSQL there lets the user ``postgres`` in without a password."""
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=3").close()
    except psycopg.OperationalError:
        return False
    return True


def make_database(port: int, name: str) -> bool:
    """Make a database there; False where there is one already."""
    try:
        _run(port, f'CREATE DATABASE "{name}"')
    except psycopg.errors.DuplicateDatabase:
        return False
    return True


def drop_database(port: int, name: str) -> None:
    """With whoever is in it. Safe to repeat."""
    _run(port, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _run(port: int, statement: str) -> None:
    with psycopg.connect(
        f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True
    ) as connection:
        connection.execute(statement)
