"""``python -m tensortrigger_backend``: the server commands, without the kernel package."""

import argparse
import sys

from tensortrigger_backend import __version__, cli

parser = argparse.ArgumentParser(prog="tensortrigger_backend", description="The TensorTrigger Lab backend.")
parser.add_argument("--version", action="version", version=__version__)
subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
for register in (
    cli.register_serve,
    cli.register_api,
    cli.register_worker,
    cli.register_trainer,
    cli.register_forge,
    cli.register_migrate,
    cli.register_keys,
):
    register(subparsers)
arguments = parser.parse_args()
sys.exit(arguments.run(arguments))
