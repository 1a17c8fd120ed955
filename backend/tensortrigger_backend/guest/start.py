"""How does every guest begin? It gives up what it need not have, then runs the module it was started for.

``python -P -m tensortrigger_backend.guest.start NICENESS MEMORY LAYERS MODULE [FOLDER...]``, with its scratch folder as
the working folder; the folders hold further packages to import.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tensortrigger_backend.guest.confinement import confine_self, take_on


def main() -> None:
    """Take everything on for good, then run the module's ``main()``."""
    niceness, memory, layers, module, *packages = sys.argv[1:]
    confine_self(niceness=int(niceness), memory_limit=int(memory))
    take_on(layers, Path.cwd(), [Path(folder) for folder in packages])
    importlib.import_module(module).main()


if __name__ == "__main__":
    main()
