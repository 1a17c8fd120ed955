"""Builds what needs TensorFlow to be built: ``python -m hostile_corpus.workshop``, one JSON line a site on stdin.

A site is ``{"folder", "port", "secret", "into"}``: the traps that the artifacts are to point to, and where to put them.
It says ``built`` when the last is there, and is then the unprotected program that opens what it is told to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hostile_corpus import saved_models, unprotected
from hostile_corpus.artifact import Traps
from hostile_corpus.corpus import ALL, HARMLESS, built


def main() -> None:
    """Build every SavedModel once a site, then open what comes."""
    for site in json.loads(sys.stdin.readline()):
        traps = Traps(Path(site["folder"]), site["port"], site["secret"])
        saved_models.plant_on_host(traps)
        for artifact in (*HARMLESS, *ALL):
            if artifact.format == "saved_model":
                built(artifact, Path(site["into"]), traps)
    print("built", flush=True)
    unprotected.main()


if __name__ == "__main__":
    main()
