"""The command ``tt package NAME@ALIAS --out DIR``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register_package(subparsers: Subparsers) -> None:
    """Add ``tt package``."""
    told = "write a container build context that serves one model without TensorFlow"
    parser = subparsers.add_parser("package", help=told, description=told)
    parser.add_argument("model", metavar="NAME@ALIAS", help="name, name@alias or name/3")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new or an empty folder")
    parser.set_defaults(run=package)


def package(arguments: argparse.Namespace) -> int:
    """Fetch the version from the server that TENSORTRIGGER_URL names, and write its context."""
    from tensortrigger_backend.domain.errors import TensorTriggerError
    from tensortrigger_backend.packing.context import write_context
    from tensortrigger_backend.packing.fetching import Server
    from tensortrigger_backend.settings import ClientSettings

    settings = ClientSettings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    server = Server(settings.url, key)
    try:
        with tempfile.TemporaryDirectory(prefix="tt-package-") as folder:
            packaged = server.fetch(arguments.model, Path(folder))
            written = write_context(arguments.out, packaged)
    except TensorTriggerError as error:
        sys.stderr.write(f"tt: {error.detail}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"tt: {arguments.out} cannot be written: {error.strerror}.\n")
        return 1
    finally:
        server.close()
    model = packaged.model
    sys.stdout.write(
        f"{arguments.out}: {model['name']} version {model['version']} in {len(written)} files. "
        f"Next: docker build -t {model['name']}:{model['version']} {arguments.out}\n"
    )
    return 0
