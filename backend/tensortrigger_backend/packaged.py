"""Serve the one version that a package holds: ``python -m tensortrigger_backend.packaged --model DIR``.

The same application as ``tt serve``, hot lane and all, on a throw-away data folder, without a forge and without a
trainer. Whoever calls may read and run; nobody can publish or delete. With ``TENSORTRIGGER_SESSION_KEY`` set, callers
must send that key.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.seed import seed_version
from tensortrigger_backend.bootstrap.pepper import make_data_dir
from tensortrigger_backend.bootstrap.serve import Backend
from tensortrigger_backend.domain.access import Scope
from tensortrigger_backend.domain.errors import TensorTriggerError
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.sandbox import SandboxMode
from tensortrigger_backend.packing.contents import EXAMPLE, SERVABLE, BadPackage, read_version
from tensortrigger_backend.server import listen, run
from tensortrigger_backend.settings import Settings
from tensortrigger_backend.telemetry import configure_logging

GRANTED: Final = frozenset({Scope.READ, Scope.RUN, Scope.JOBS})
"""What callers may do: the package serves one version and keeps it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tensortrigger_backend.packaged", description="Serve one packaged model."
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="the folder with the servable and its receipt"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--data-dir", type=Path, help="where jobs are kept; default: a temporary folder")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tensortrigger-") as temporary:
        try:
            return _serve(arguments, arguments.data_dir or Path(temporary, "data"))
        except (TensorTriggerError, BadPackage, ValidationError, OSError, ValueError) as error:
            sys.stderr.write(f"tensortrigger: {error}\n")
            return 1


def _serve(arguments: argparse.Namespace, data_dir: Path) -> int:
    chosen: dict[str, Any] = {"host": arguments.host, "port": arguments.port, "data_dir": data_dir}
    # Nothing that others made is ever opened here but canonical ONNX graphs, so there are no guests to hold in.
    settings = Settings(**chosen, trainers=0, sandbox=SandboxMode.OFF)
    configure_logging(settings.log_level, settings.log_format)
    # Its warning is for those who publish, and here nobody can.
    logging.getLogger(SandboxedLauncher.__module__).setLevel(logging.ERROR)
    version = install(arguments.model, settings)
    listener = listen(settings, None)
    backend = Backend(settings, open_when_empty=True, granted=GRANTED)
    try:
        backend.start()
        # Loaded before anybody asks, and held against its receipt on this engine: a container that cannot answer as
        # the model did in its notebook does not become ready.
        backend.core.cache.load(backend.core.registry.peek(version.model_id))
        run(settings, backend, listener, exit_with_parent=False)
    finally:
        backend.close()
    return 0


def install(folder: Path, settings: Settings) -> ModelVersion:
    """Put the version of a model folder into the data folder, unless it is there from before.

    Raises:
        BadPackage: the folder is not whole.
    """
    version, verdict = read_version(folder)
    make_data_dir(settings.data_dir)
    database = Database(settings.resolved_database_url())
    try:
        database.migrate()
        blobs = LocalBlobs(settings.resolved_blob_root(), "packaged")
        for key, name in ((version.servable_key, SERVABLE), (version.example_key, EXAMPLE)):
            if key is not None:
                sha256, _ = blobs.keep(key, folder / name)
                if not key.endswith(sha256):
                    raise BadPackage(f"{folder / name} was changed since it was packaged.")
        return seed_version(database, version, verdict)
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
