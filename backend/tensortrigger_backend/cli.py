"""The server commands of ``tt``: serve, its parts api, worker, trainer and forge, migrate, keys."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensortrigger_backend.daemon import Process
    from tensortrigger_backend.server import Face
    from tensortrigger_backend.settings import Settings

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# Imports stand inside the commands: ``tt serve`` is to be ready within two seconds, and ``tt --help`` at once.

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register_serve(subparsers: Subparsers) -> None:
    """Add ``tt serve``."""
    parser = subparsers.add_parser(
        "serve",
        help="run the whole backend on this machine",
        description="Run the whole backend in one process, by default on SQLite, local files and a queue in memory.",
    )
    _add_address(parser)
    parser.add_argument("--fd", type=int, help="listen on this inherited socket instead of host and port")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    parser.set_defaults(run=serve)


def register_api(subparsers: Subparsers) -> None:
    """Add ``tt api``."""
    parser = subparsers.add_parser(
        "api",
        help="answer requests; others score, train and check models",
        description="The HTTP face of a deployment on PostgreSQL, a shared blob store and RabbitMQ.",
    )
    _add_address(parser)
    parser.set_defaults(run=api, fd=None, exit_with_parent=False)


def register_worker(subparsers: Subparsers) -> None:
    """Add ``tt worker``."""
    _add_role(subparsers, "worker", "score the partitions of CSV jobs", worker)


def register_trainer(subparsers: Subparsers) -> None:
    """Add ``tt trainer``."""
    _add_role(subparsers, "trainer", "work on trainings", trainer)


def register_forge(subparsers: Subparsers) -> None:
    """Add ``tt forge``."""
    _add_role(subparsers, "forge", "check and rebuild the models that are published", forge)


def register_migrate(subparsers: Subparsers) -> None:
    """Add ``tt migrate``."""
    parser = subparsers.add_parser(
        "migrate", help="bring the database to the newest revision; several may do so at once"
    )
    _add_data_dir(parser)
    parser.set_defaults(run=migrate)


def register_keys(subparsers: Subparsers) -> None:
    """Add ``tt keys``."""
    parser = subparsers.add_parser("keys", help="make, list and revoke API keys")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and print it once")
    create.add_argument("--owner", default="local", help="whose models and jobs it opens (default: local)")
    create.add_argument("--scopes", help="comma-separated; default: all (read,publish,run,jobs,tickets)")
    create.add_argument("--expires", default="90d", help="lifetime such as 12h, 90d or 'never' (default 90d)")
    create.add_argument("--label", default="", help="a note to recognise it by")
    listed = actions.add_parser("list", help="list keys, without their secrets")
    revoke = actions.add_parser("revoke", help="end a key")
    revoke.add_argument("key_id")
    for action, function in ((create, keys_create), (listed, keys_list), (revoke, keys_revoke)):
        _add_data_dir(action)
        action.set_defaults(run=function)


def serve(arguments: argparse.Namespace) -> int:
    """Run the backend until a signal."""
    from tensortrigger_backend.bootstrap.serve import Backend

    return _answer_requests(arguments, Backend)


def api(arguments: argparse.Namespace) -> int:
    """Answer requests until a signal."""
    from tensortrigger_backend.bootstrap.api import ApiRole

    return _answer_requests(arguments, ApiRole)


def worker(arguments: argparse.Namespace) -> int:
    """Score partitions until a signal."""
    from tensortrigger_backend.bootstrap.worker import WorkerRole

    return _work(arguments, WorkerRole)


def trainer(arguments: argparse.Namespace) -> int:
    """Train until a signal."""
    from tensortrigger_backend.bootstrap.trainer import TrainerRole

    return _work(arguments, TrainerRole)


def forge(arguments: argparse.Namespace) -> int:
    """Check models until a signal."""
    from tensortrigger_backend.bootstrap.forge import ForgeRole

    return _work(arguments, ForgeRole)


def _answer_requests(arguments: argparse.Namespace, opened: Callable[[Settings, bool], Face]) -> int:
    import structlog

    from tensortrigger_backend.domain.errors import TensorTriggerError
    from tensortrigger_backend.server import is_loopback, listen, run
    from tensortrigger_backend.telemetry import configure_logging

    settings = _settings(arguments, host=arguments.host, port=arguments.port, auth=arguments.auth or None)
    if settings is None:
        return 2
    configure_logging(settings.log_level, settings.log_format)
    try:
        listener = listen(settings, arguments.fd)
    except OSError as error:
        return _fail(f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}.")
    loopback = is_loopback(listener)
    try:
        backend = opened(settings, loopback and not settings.auth)
    except (TensorTriggerError, OSError, ValueError) as error:
        return _fail(str(error))
    try:
        if settings.session_key is None and not backend.core.gatekeeper.has_keys():
            if not loopback:
                return _fail(
                    "Anyone could reach this address and there is no key yet: make one with 'tt keys create', "
                    "or listen on 127.0.0.1."
                )
            if not settings.auth:
                structlog.get_logger(__name__).warning(
                    "auth.off", reason="no key was made; everyone on this machine may use this backend"
                )
        backend.start()
        run(settings, backend, listener, arguments.exit_with_parent)
    except TensorTriggerError as error:
        return _fail(error.detail)
    finally:
        backend.close()
    return 0


def _work(arguments: argparse.Namespace, opened: Callable[[Settings], Process]) -> int:
    from tensortrigger_backend.daemon import run
    from tensortrigger_backend.domain.errors import TensorTriggerError
    from tensortrigger_backend.telemetry import configure_logging

    settings = _settings(arguments, host=arguments.host)
    if settings is None:
        return 2
    configure_logging(settings.log_level, settings.log_format)
    try:
        run(opened(settings), settings, arguments.metrics_port)
    except (TensorTriggerError, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Migrate and say so."""
    from tensortrigger_backend.adapters.sql.database import newest_revision
    from tensortrigger_backend.bootstrap import migration
    from tensortrigger_backend.domain.errors import TensorTriggerError

    settings = _settings(arguments)
    if settings is None:
        return 2
    try:
        migration.migrate(settings)
    except (TensorTriggerError, OSError, ValueError) as error:
        return _fail(str(error))
    print(f"The database is at revision {newest_revision()}.")
    return 0


def keys_create(arguments: argparse.Namespace) -> int:
    """Make a key; it is shown here and never again."""
    from tensortrigger_backend.domain.access import EVERYTHING, parse_scopes

    lifetime = _seconds(arguments.expires)
    if lifetime == 0:
        return _fail("--expires takes a number with s, m, h or d, such as 90d, or 'never'.", 2)

    def create(gatekeeper: Any, _store: Any) -> int:
        scopes = parse_scopes(arguments.scopes.split(",")) if arguments.scopes else EVERYTHING
        token, record = gatekeeper.create_key(arguments.owner, arguments.label, scopes, lifetime)
        print(token)
        until = f"valid until {_day(record.expires)}" if record.expires else "valid for ever"
        print(
            f"Key {record.key_id} of {record.owner}, {until}, may: {', '.join(sorted(scopes))}. "
            "It is shown only now.",
            file=sys.stderr,
        )
        return 0

    return _with_keys(arguments, create)


def keys_list(arguments: argparse.Namespace) -> int:
    """List keys."""

    def show(_gatekeeper: Any, store: Any) -> int:
        for key in store.all_keys():
            state = "revoked" if key.revoked else f"until {_day(key.expires)}" if key.expires else "for ever"
            print(f"{key.key_id}  {key.owner:<16} {state:<18} {','.join(sorted(key.scopes))}  {key.label}")
        return 0

    return _with_keys(arguments, show)


def keys_revoke(arguments: argparse.Namespace) -> int:
    """End a key."""
    import time

    def revoke(_gatekeeper: Any, store: Any) -> int:
        store.revoke_key(arguments.key_id, time.time())
        print(f"Key {arguments.key_id} is revoked.")
        return 0

    return _with_keys(arguments, revoke)


def _with_keys(arguments: argparse.Namespace, action: Callable[[Any, Any], int]) -> int:
    from tensortrigger_backend.bootstrap.migration import key_office
    from tensortrigger_backend.domain.errors import TensorTriggerError

    settings = _settings(arguments)
    if settings is None:
        return 2
    try:
        gatekeeper, store, database = key_office(settings)
    except (TensorTriggerError, OSError, ValueError) as error:
        return _fail(str(error))
    try:
        return action(gatekeeper, store)
    except TensorTriggerError as error:
        expected = next((fault.expected for fault in error.faults if fault.expected), None)
        return _fail(f"{error.detail} Expected: {expected}." if expected else error.detail)
    finally:
        database.close()


def _settings(arguments: argparse.Namespace, **chosen: Any) -> Settings | None:
    """Settings from the environment, then from the command line; None after saying what is wrong."""
    from pydantic import ValidationError

    from tensortrigger_backend.settings import Settings

    chosen["data_dir"] = Path(arguments.data_dir) if arguments.data_dir else None
    try:
        return Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            _fail(f"TENSORTRIGGER_{name}: {fault['msg']}.")
        return None


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8500; 0 takes a free one)")
    _add_data_dir(parser)
    parser.add_argument("--auth", action="store_true", help="demand API keys even on loopback")


def _add_role(
    subparsers: Subparsers, name: str, about: str, run: Callable[[argparse.Namespace], int]
) -> None:
    parser = subparsers.add_parser(
        name,
        help=about,
        description=f"A part of a deployment on PostgreSQL, a shared blob store and RabbitMQ: {about}. "
        "Any number may run. SIGTERM lets it finish what it has in hand.",
    )
    parser.add_argument(
        "--metrics-port", type=int, help="serve /metrics and /health there (0 takes a free one)"
    )
    parser.add_argument("--host", help="address for the metrics (default 127.0.0.1)")
    _add_data_dir(parser)
    parser.set_defaults(run=run)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", help="where models and jobs are kept (default: the user's data folder)")


def _seconds(text: str) -> float | None:
    """A lifetime in seconds; None for 'never', 0 for what is no lifetime."""
    if text == "never":
        return None
    number, unit = text[:-1], text[-1:]
    return float(number) * UNITS[unit] if unit in UNITS and number.isdigit() else 0.0


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _fail(sentence: str, status: int = 1) -> int:
    print(f"tt: {sentence}", file=sys.stderr)
    return status
