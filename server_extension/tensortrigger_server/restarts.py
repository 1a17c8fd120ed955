"""Why a backend ended, whether starting it again can help, and how long to wait before."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

# The last line of a Python that could not import something, with or without a traceback above it.
_MISSING_MODULE = re.compile(r"^\S+: No module named '?([\w.]+)")


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a backend that ended is started again. All times are seconds.

    Attributes:
        first_delay: wait after the first failure; it doubles with every further one.
        longest_delay: where the doubling stops.
        attempts: failures in a row after which nothing is started any more.
        healthy_after: a backend that was ready for so long has ended the row.
        ready_within: a start that takes longer is a failure.
        check_every: pause between two questions whether it still answers.
        answer_within: an answer that takes longer is missed.
        missed_answers: so many in a row, and it is ended and started again.
    """

    first_delay: float = 0.5
    longest_delay: float = 30.0
    attempts: int = 5
    healthy_after: float = 60.0
    ready_within: float = 120.0
    check_every: float = 10.0
    answer_within: float = 10.0
    missed_answers: int = 3

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, counted from 1."""
        return min(self.first_delay * 2.0 ** (failures - 1), self.longest_delay)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one run of the backend ended, in words for the log.

    Attributes:
        reason: what happened, with the last lines that the backend wrote.
        remedy: what to do; only where the cause is known and starting again cannot help.
        was_healthy: whether it had been ready long enough to begin a new row of failures.
    """

    reason: str
    remedy: str | None = None
    was_healthy: bool = False

    @classmethod
    def to_start(cls, program: str, error: OSError) -> Failure:
        """The operating system would not run ``program`` at all."""
        hopeless = isinstance(error, FileNotFoundError | PermissionError)
        return cls(
            f"The embedded backend cannot be started: {program}: {error.strerror or type(error).__name__}.",
            "Correct TensorTriggerApp.backend_command, then start Jupyter again." if hopeless else None,
        )

    @classmethod
    def before_ready(cls, program: str, how: str, last_words: Sequence[str]) -> Failure:
        """It started and ended without ever being ready; ``how`` goes on from its name."""
        reason = _sentence(how, last_words)
        missing = _MISSING_MODULE.match(last_words[-1]) if last_words else None
        if missing is None:
            return cls(reason)
        package = missing[1].partition(".")[0]
        install = f'{shlex.quote(program)} -m pip install "tensortrigger-lab[backend]"'
        return cls(reason, f"Python package {package!r} is missing: run {install}, then start Jupyter again.")

    @classmethod
    def after_ready(cls, how: str, last_words: Sequence[str], *, was_healthy: bool) -> Failure:
        """It had been ready, and ended; ``how`` goes on from its name."""
        return cls(_sentence(how, last_words), was_healthy=was_healthy)


def exit_words(code: int) -> str:
    """A process's exit code as the end of a sentence about it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _sentence(how: str, last_words: Sequence[str]) -> str:
    said = "\n  ".join(["", *last_words])
    return f"The embedded backend {how}." + (f" It last said:{said}\n" if last_words else "")
