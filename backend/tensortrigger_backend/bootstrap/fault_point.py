"""Where a process is to die or stand still, for tests of recovery: it may at each step of the protocol."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from tensortrigger_backend.services.steps import Step


def fault_point(setting: str) -> Callable[[Step], None]:
    """What is called at each step: it kills this process at the step that is set, and else does nothing.

    Args:
        setting: empty, or a step's name: at its first pass; ``name:n`` at its n-th; ``name:n:stop`` to stop there
            until SIGCONT comes, as a machine may that is moved or swaps.

    Raises:
        ValueError: there is no such step.
    """
    if not setting:
        return lambda _step: None
    words = setting.split(":")
    name, count, act = (*words, "1", "kill")[:3] if len(words) == 1 else (*words, "kill")[:3]
    if name not in list(Step) or not count.isdigit() or act not in ("kill", "stop") or len(words) > 3:
        raise ValueError(
            f"TENSORTRIGGER_FAULT_POINT: {setting!r} is no step of {', '.join(Step)}, with or without ':n', "
            "and after that ':stop'."
        )
    wanted, left, lock = Step(name), int(count), threading.Lock()
    number = signal.SIGKILL if act == "kill" else signal.SIGSTOP

    def at(step: Step) -> None:
        nonlocal left
        if step is not wanted:
            return
        with lock:
            left -= 1
            if left == 0:
                # Sent to the process it may reach another thread first, and this one would be past the step.
                signal.pthread_kill(threading.get_ident(), number)

    return at
