"""The notebook's variables, seen without touching them: by type and identity, never by attribute.

A variable may be anything, and looking at an attribute of anything may run somebody's code. So an object is asked
for its type only, and the type for its bases, past whatever either of them overrides.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from tensortrigger_lab.kernel.reply import Refusal

HIDDEN = frozenset({"In", "Out", "exit", "quit", "get_ipython"})
_bases = type.__dict__["__mro__"].__get__


@cache
def kernel_session() -> str:
    """Names this process; another one after each restart, so that an old identity is never taken for a new one."""
    return uuid.uuid4().hex


def variables() -> dict[str, Any]:
    """A copy of the notebook's namespace in its own order; empty where there is no notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return _copy(shell.user_ns) if shell is not None else {}


def is_shown(name: Any) -> bool:
    """Whether a variable is one that a user made."""
    return isinstance(name, str) and not name.startswith("_") and name not in HIDDEN


def is_a(value: object, module: str, *classes: str) -> bool:
    """Whether ``value``'s type derives from ``module.class``; nothing is imported, nothing of its code runs."""
    home = sys.modules.get(module)
    if home is None:
        return False
    members = vars(home)
    wanted = [members[name] for name in classes if name in members]
    bases = _bases(type(value))
    return any(kind is base for kind in wanted for base in bases)


def is_model(value: object) -> bool:
    """Whether ``value`` is a Keras model."""
    return is_a(value, "keras", "Model")


def found_model(session: str, variable: str, identity: str) -> Any:
    """The model that the front end means.

    Raises:
        Refusal: the kernel is another one, or the variable no longer holds that model.
    """
    if session != kernel_session():
        raise Refusal(
            "kernel_restarted",
            "The kernel was restarted since its models were listed.",
            "Run the cells that make the model again, then choose it anew.",
        )
    names = variables()
    if variable not in names:
        raise Refusal(
            "model_gone",
            f"There is no variable {variable!r} any more.",
            "List the models again and choose one.",
        )
    model = names[variable]
    if str(id(model)) != identity or not is_model(model):
        raise Refusal(
            "model_gone",
            f"The variable {variable!r} now holds something else than the model that was chosen.",
            "List the models again and choose one.",
        )
    return model


def example_of(variable: str | None) -> Any:
    """The value of the variable that holds the example; None where none is named.

    Raises:
        Refusal: there is no such variable.
    """
    if not variable:
        return None
    try:
        return variables()[variable]
    except KeyError:
        raise Refusal(
            "bad_input",
            f"There is no variable {variable!r} any more, so there is no example.",
            "Choose another example, or none.",
        ) from None


def on_main_thread() -> bool:
    """Whether this runs where cells run, and not on a subshell's thread beside a running cell."""
    return threading.current_thread() is threading.main_thread()


def _copy(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, though a cell on another thread may be adding names."""
    while True:
        try:
            return dict(namespace)
        except RuntimeError:
            continue
