"""How a machine comes to have a server: Debian's packages, or containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

COMPOSE_FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


def install(packages: list[str]) -> bool:
    """Install Debian packages, where this user may; whether that was done."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"Installing {', '.join(packages)}", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *arguments], env=environ, stdout=subprocess.DEVNULL, stderr=sys.stderr, check=False
        )
    return done.returncode == 0


def containers() -> bool:
    """Whether Docker Compose works here."""
    if not shutil.which("docker"):
        return False
    asked = (["docker", "compose", "version"], ["docker", "info"])
    return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in asked)


def compose(*arguments: str, **environ: str) -> None:
    """Raises CalledProcessError."""
    subprocess.run(
        ["docker", "compose", "--file", COMPOSE_FILE, *arguments],
        env={**os.environ, **environ},
        stdout=sys.stderr,
        check=True,
    )
