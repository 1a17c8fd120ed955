"""A RabbitMQ node of one's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import pika

from servers.node import Node, NotToBeHad, free_ports

_DEBIAN = Path("/usr/lib/rabbitmq/bin")


class RabbitNode(Node):
    """RabbitMQ on loopback for ``guest``, with an epmd of its own, so that other nodes do not see it."""

    kind = "rabbitmq"

    @classmethod
    def installed(cls) -> Path:
        """The folder of its programs; the ones on Debian's path change to another user."""
        if (_DEBIAN / "rabbitmq-server").exists():
            return _DEBIAN
        on_path = shutil.which("rabbitmq-server")
        if on_path and shutil.which("epmd"):
            return Path(on_path).resolve().parent
        raise NotToBeHad("RabbitMQ is not installed: install the package 'rabbitmq-server'.")

    @property
    def url(self) -> str:
        """Its default virtual host."""
        return amqp_url(self.port)

    def url_of(self, vhost: str) -> str:
        """Another virtual host; see ``add_vhost``."""
        return amqp_url(self.port, vhost)

    def prepare(self) -> None:
        """Settle where it listens."""
        self._inner, self._epmd = free_ports(2)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndisk_free_limit.absolute = 50MB\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")

    def environ(self) -> dict[str, str]:
        """Everything that a node would otherwise share with the one of the machine."""
        folder = self.folder
        return {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"tt{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._inner),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def command(self) -> list[str]:
        """The epmd first: the one that a node would start by itself outlives it."""
        server = self.installed() / "rabbitmq-server"
        return ["/bin/sh", "-c", f"epmd -port {self._epmd} -address 127.0.0.1 & exec '{server}'"]

    def answers(self) -> bool:
        """Whether it takes a connection."""
        return amqp_answers(self.port)

    def ctl(self, *arguments: str) -> str:
        """``rabbitmqctl`` on this node; each call takes a second or two."""
        done = subprocess.run(
            [self.installed() / "rabbitmqctl", "-q", *arguments],
            env={**os.environ, **self.environ()},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def add_vhost(self, name: str) -> str:
        """Make a virtual host that ``guest`` may use; its URL."""
        self.ctl("add_vhost", name)
        self.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url_of(name)


def amqp_url(port: int, vhost: str = "/") -> str:
    """A virtual host on loopback."""
    return f"amqp://guest:guest@127.0.0.1:{port}/{quote(vhost, safe='')}"


def amqp_answers(port: int) -> bool:
    """Whether a RabbitMQ there lets ``guest`` in."""
    # pika logs whole tracebacks of refused connections.
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)):
            return False
    parameters = pika.URLParameters(amqp_url(port) + "?socket_timeout=3&blocked_connection_timeout=3")
    try:
        pika.BlockingConnection(parameters).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


def drop_queues(port: int, prefix: str) -> None:
    """Those of one deployment. Safe to repeat."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(amqp_url(port)))) as connection:
        for name in ("score", "train", "dead"):
            connection.channel().queue_delete(f"{prefix}.{name}")
        connection.channel().exchange_delete(f"{prefix}.dead")
