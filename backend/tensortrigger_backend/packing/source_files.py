"""Which of our own files does a packaged server need, and which distributions from outside? Read from the imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tensortrigger_backend
from tensortrigger_backend.domain.errors import NotInstalled

PACKAGE: Final = "tensortrigger_backend"
ENTRY: Final = f"{PACKAGE}.packaged"
ALWAYS: Final = ("httptools", "uvloop")
"""What is found at run time by its name."""


def needed_modules(entry: str = ENTRY) -> dict[str, Path]:
    """Our modules that ``entry`` imports, directly or not, at the top or later, and itself: name to file."""
    found: dict[str, Path] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        found[name] = path
        # To import a module is to import the packages that it is in.
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += [imported for imported in _imports(path) if imported.split(".")[0] == PACKAGE]
    return found


def needed_distributions(modules: Iterable[Path]) -> dict[str, str]:
    """Name and installed version of every distribution that these files need, and of all that those need.

    Raises:
        NotInstalled: one of them is not installed here.
    """
    by_module = packages_distributions()
    wanted = {
        name
        for path in modules
        for imported in _imports(path)
        if (top := imported.split(".")[0]) not in sys.stdlib_module_names and top != PACKAGE
        for name in by_module.get(top, ())[:1]
    }
    found: dict[str, str] = {}
    waiting = [Requirement(name) for name in (*sorted(wanted), *ALWAYS)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            if name in ALWAYS:
                continue
            raise NotInstalled(f"{name} is not installed here, so its version cannot be pinned.") from None
        found[name] = installed.version
        for line in installed.requires or ():
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return dict(sorted(found.items()))


def _file_of(name: str) -> Path | None:
    """The file of one of our modules; None for what is no module, such as a class that is imported from one."""
    root = Path(tensortrigger_backend.__file__).parent
    below = root.joinpath(*name.split(".")[1:])
    for path in (below.with_suffix(".py"), below / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, also of what may be a module in a package; not those for type checkers."""
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
