"""The commands of ``scripts/services``: up, env, down and install."""

from __future__ import annotations

import argparse
import fcntl
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from servers.installing import compose, containers, install
from servers.node import Node, NotStarted, NotToBeHad, free_ports, is_running, kill_tree, signal_tree
from servers.postgresql import (
    PostgresNode,
    drop_database,
    make_database,
    postgresql_answers,
    postgresql_url,
)
from servers.rabbitmq import RabbitNode, amqp_answers, amqp_url, drop_queues
from servers.seaweedfs import REGION, S3Address, WeedNode, s3_answers
from servers.state import Service, State, state_file

NAME = "tensortrigger"
"""Of the database and of the bucket, where no other database has it."""


@dataclass(frozen=True)
class Kind:
    """One of the three.

    Attributes:
        port: where it is looked for, and where it is started when that is free.
        package: Debian's.
    """

    title: str
    port: int
    package: str
    node: type[Node]
    answers: Callable[[Service], bool]


def address(service: Service) -> S3Address:
    """Where S3 is, and who may use it."""
    return S3Address(f"http://127.0.0.1:{service.port}", service.access_key, service.secret_key)


KINDS = {
    "postgresql": Kind(
        "PostgreSQL", 5432, "postgresql", PostgresNode, lambda service: postgresql_answers(service.port)
    ),
    "rabbitmq": Kind(
        "RabbitMQ", 5672, "rabbitmq-server", RabbitNode, lambda service: amqp_answers(service.port)
    ),
    "s3": Kind(
        "S3",
        8333,
        "",
        WeedNode,
        lambda service: bool(service.access_key) and s3_answers(address(service)),
    ),
}


def say(words: str) -> None:
    """To people; what is printed is for the shell."""
    print(words, file=sys.stderr)


def up() -> State:
    """Have all three run, the database and the bucket made. Safe to repeat."""
    state = State.read()
    state.pepper = state.pepper or secrets.token_hex(32)
    for name, kind in KINDS.items():
        known = state.services.get(name)
        if known and not known.gone() and kind.answers(known):
            continue
        if known:
            forget_place(state)
            stop(name, known)
        state.services[name] = found_or_started(name, kind)
        # After each, so that an interrupted call leaves nothing that nobody knows of.
        state.write()
    if not state.place:
        make_place(state)
    return state


def make_place(state: State) -> None:
    """A database and a bucket that are new: what others have left in a server that was found is theirs."""
    port, s3, place = state.services["postgresql"].port, address(state.services["s3"]), NAME
    while place in s3.buckets() or not make_database(port, place):
        place = f"{NAME}-{secrets.token_hex(3)}"
    state.place = place
    state.write()
    s3.make_bucket(place)


def forget_place(state: State) -> None:
    """A database without its bucket is of no use, nor is a bucket without its database."""
    for name, drop in (("postgresql", drop_database), ("rabbitmq", drop_queues)):
        server = state.services.get(name)
        if state.place and server and KINDS[name].answers(server):
            drop(server.port, state.place)
    state.place = ""


def found_or_started(name: str, kind: Kind) -> Service:
    """The one that runs, else a process of ours, else a container."""
    usual = Service(kind.port)
    if kind.answers(usual):
        say(f"{kind.title}: the one on port {kind.port}")
        return usual
    try:
        kind.node.installed()
    except NotToBeHad as missing:
        if not install_one(kind):
            return contained(name, kind, missing)
        # Debian starts what it installs, on a machine that lets it.
        if kind.answers(usual):
            say(f"{kind.title}: the one on port {kind.port}, just installed")
            return usual
    node = kind.node(users="-", port=port_for(kind), lasting=True)
    try:
        node.start()
    except BaseException:
        node.close()
        raise
    say(f"{kind.title}: started on port {node.port}, in {node.folder}")
    service = Service(node.port, "node", node.pid, str(node.folder))
    if isinstance(node, WeedNode):
        service.access_key, service.secret_key = node.address.access_key, node.address.secret_key
    return service


def install_one(kind: Kind) -> bool:
    """Whether it is there now."""
    return bool(kind.package) and install([kind.package])


def contained(name: str, kind: Kind, missing: NotToBeHad) -> Service:
    """A container of ``deploy/compose.yaml``."""
    if not containers():
        raise NotToBeHad(f"{missing} Or install Docker with Compose, and it is started in a container.")
    service = Service(port_for(kind), "compose", access_key=NAME, secret_key=secrets.token_hex(20))
    settings = {f"TENSORTRIGGER_{name.upper()}_PORT": str(service.port)}
    if name == "s3":
        settings["TENSORTRIGGER_S3_ACCESS_KEY_ID"] = service.access_key
        settings["TENSORTRIGGER_S3_SECRET_ACCESS_KEY"] = service.secret_key
    compose("up", "--detach", "--wait", name, **settings)
    deadline = time.monotonic() + 60
    while not kind.answers(service):
        if time.monotonic() > deadline:
            raise NotStarted(f"{kind.title} does not answer from its container.")
        time.sleep(0.5)
    say(f"{kind.title}: in a container, on port {service.port}")
    return service


def port_for(kind: Kind) -> int:
    """The usual one where nobody has it."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", kind.port)):
            return kind.port
    return free_ports(1)[0]


def down() -> None:
    """Stop what ``up`` started, and leave the rest. Safe to repeat."""
    state = State.read()
    forget_place(state)
    for name, service in state.services.items():
        stop(name, service)
    state_file().unlink(missing_ok=True)


def stop(name: str, service: Service) -> None:
    """With its data, where it was ours."""
    if service.started == "compose":
        compose("rm", "--stop", "--force", "--volumes", name)
    if service.started != "node":
        return
    # Not somebody else's, who got the number since.
    if is_running(service.pid) and psutil.Process(service.pid).cwd().startswith(service.folder):
        signal_tree(service.pid, signal.SIGTERM, children=False)
        psutil.wait_procs([psutil.Process(service.pid)], timeout=3)
        kill_tree(service.pid)
    shutil.rmtree(service.folder, ignore_errors=True)
    say(f"{KINDS[name].title}: stopped")


def env() -> None:
    """The settings, a line each."""
    state = up()
    services = state.services
    s3 = address(services["s3"])
    settings = {
        "DATABASE_URL": postgresql_url(services["postgresql"].port, state.place),
        "BROKER_URL": amqp_url(services["rabbitmq"].port),
        "BROKER_PREFIX": state.place,
        "BLOB_URL": f"s3://{state.place}",
        "S3_ENDPOINT_URL": s3.endpoint_url,
        "S3_REGION": REGION,
        "S3_ACCESS_KEY_ID": s3.access_key,
        "S3_SECRET_ACCESS_KEY": s3.secret_key,
        "PEPPER": state.pepper,
    }
    for name, value in settings.items():
        print(f"export TENSORTRIGGER_{name}={shlex.quote(value)}")


def install_all() -> None:
    """What is missing; tests then start servers of their own."""
    missing = []
    for kind in KINDS.values():
        try:
            kind.node.installed()
        except NotToBeHad as error:
            if kind.package and not kind.answers(Service(kind.port)):
                missing.append((kind.package, error))
    if missing and not install([package for package, _ in missing]):
        for _, error in missing:
            say(f"{error} Tests that need it are skipped.")


def main() -> int:
    """One command, one caller at a time."""
    parser = argparse.ArgumentParser(prog="scripts/services", description=__doc__)
    commands = {"up": up, "env": env, "down": down, "install": install_all}
    parser.add_argument("command", choices=commands)
    chosen = parser.parse_args().command
    state_file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with state_file().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            commands[chosen]()
        except (NotToBeHad, NotStarted) as error:
            say(str(error))
            return 1
        except subprocess.CalledProcessError as error:
            say(f"{shlex.join(str(word) for word in error.cmd)} ended with status {error.returncode}.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
