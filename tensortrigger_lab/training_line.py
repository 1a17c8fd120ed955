"""The options of a training as a command line has them, for ``%tt train`` and ``tt train`` alike."""

from __future__ import annotations

import argparse
from typing import Any

from tensortrigger_lab.job_lines import add_order_options

_NAMES = (
    *("epochs", "batch_size", "validation_split", "learning_rate", "loss", "optimizer", "name"),
    *("priority", "webhook", "rejects", "delimiter", "encoding"),
)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add them, without defaults: those are of ``train``."""
    parser.add_argument(
        "--label", action="append", default=[], metavar="COLUMN", help="what is learnt; repeat it"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="default: 100")
    parser.add_argument("--batch-size", type=int, metavar="N", help="rows a step; default: 32")
    parser.add_argument("--validation-split", type=float, metavar="SHARE", help="0 to below 1; default: 0")
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="default: as the model was compiled"
    )
    parser.add_argument("--loss", help="default: as the model was compiled, or what fits its outputs")
    parser.add_argument("--optimizer", help="default: as the model was compiled, or adam")
    parser.add_argument("--name", metavar="TITLE", help="the run's title")
    add_order_options(parser)
    parser.add_argument(
        "--rejects", choices=("refuse", "skip"), help="rows of a CSV that cannot be read; default: refuse"
    )
    parser.add_argument("--no-shuffle", dest="shuffle", action="store_false", help="keep the rows' order")
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="return at once; watch it later")


def training_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of ``train`` that the line gives."""
    given = {name: getattr(arguments, name) for name in _NAMES if getattr(arguments, name) is not None}
    return {**given, "shuffle": arguments.shuffle, "wait": arguments.wait}
