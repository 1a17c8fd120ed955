"""How are guests held in? Landlock and seccomp, as far as a probe child found that this machine has them."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from tensortrigger_backend.adapters.child_process import GIBIBYTE, PlainChild, PlainChildLauncher
from tensortrigger_backend.domain.errors import NotInstalled, Unavailable
from tensortrigger_backend.domain.sandbox import Layer, SandboxMode, SandboxReport, SandboxState
from tensortrigger_backend.guest.confinement import TRY

_log = logging.getLogger(__name__)

PROBE_MODULE = "tensortrigger_backend.guest.probe"
COMPILE_MODULE = "tensortrigger_backend.guest.first_import"
_PROBE_SECONDS = 30.0
_COMPILE_SECONDS = 180.0
_PATIENCE_SECONDS = 2.0
_AGAIN_SECONDS = 10.0
_OUTSIDE = "outside"

TURNED_OFF = SandboxReport(
    SandboxState.OFF,
    frozenset(),
    "The sandbox is turned off (TENSORTRIGGER_SANDBOX=off): guests may do what this process may. "
    "Publish only models of people you trust.",
)


UNKNOWN = SandboxReport(
    SandboxState.OFF,
    frozenset(),
    "It is not yet known what guests are held by; none is started before it is.",
)


class SandboxedLauncher(PlainChildLauncher):
    """Starts guests that hold themselves in, for good, before they open anything.

    A guest takes on exactly the layers that the probe found, or ends: none runs less held than the report says.

    Args:
        mode: ``required`` starts no guest where anything is missing; ``auto`` holds it by what there is.
        memory_limit: bytes of resident memory past which a guest is killed.
        threads: threads of TensorFlow's own pools.
        niceness: how far below the serving process a guest runs.
        packages: folders that guests may import from beside what is installed.
    """

    def __init__(
        self,
        mode: SandboxMode = SandboxMode.AUTO,
        *,
        memory_limit: int = 4 * GIBIBYTE,
        threads: int = 1,
        niceness: int = 10,
        packages: Sequence[Path] = (),
    ) -> None:
        super().__init__(memory_limit=memory_limit, threads=threads, niceness=niceness, packages=packages)
        self._mode = mode
        self._probing = threading.Lock()
        self._found: SandboxReport | None = None
        self._compiled = has_bytecode("tensorflow")

    def probe_soon(self) -> None:
        """Find out in the background what guests are held by, so that the log tells before the first one."""
        threading.Thread(target=self._find_out, name="sandbox-probe", daemon=True).start()

    def known(self) -> SandboxReport:
        """What guests are held by, as far as that was found out by now. Never blocks."""
        return self._found or UNKNOWN

    def report(self) -> SandboxReport:
        """What guests are held by; found out on the first call, which takes a moment."""
        if not self._probing.acquire(timeout=_PATIENCE_SECONDS):
            return UNKNOWN
        try:
            return self._probed_once()
        except Unavailable:
            return UNKNOWN
        finally:
            self._probing.release()

    def must_hold(self) -> None:
        """Where everything is required, make sure that there is everything.

        Raises:
            NotInstalled: there is not.
            Unavailable: it could not be found out; the next call tries again.
        """
        if self._mode is not SandboxMode.REQUIRED:
            return
        with self._probing:
            found = self._probed_once()
        if found.state is not SandboxState.ON:
            raise NotInstalled(
                f"TENSORTRIGGER_SANDBOX=required, and this machine does not give it. {found.detail} "
                "It takes Linux with Landlock and seccomp, and tensortrigger-lab[tensorflow]; or set "
                "TENSORTRIGGER_SANDBOX=auto."
            )

    def launch(self, module: str, scratch: Path) -> PlainChild:
        """Start ``main()`` of a module, held by the layers that the probe found, at home in ``scratch``."""
        self.must_hold()
        with self._probing:
            layers = self._probed_once().layers
            if layers and not self._compiled:
                self._compiled = True
                self._compile()
        return self._launch(module, scratch, ",".join(sorted(layers)))

    def _find_out(self) -> None:
        # A machine that is just starting may be too busy for the probe.
        while self.report() is UNKNOWN and not self._closed:
            time.sleep(_AGAIN_SECONDS)

    def _probed_once(self) -> SandboxReport:
        if self._found is None:
            self._found = TURNED_OFF if self._mode is SandboxMode.OFF else self._probed()
            level = logging.INFO if self._found.state is SandboxState.ON else logging.WARNING
            _log.log(level, "the sandbox is %s: %s", self._found.state.value, self._found.detail)
        return self._found

    def _compile(self) -> None:
        """Have the packages that guests import compiled by a child that may write beside them and opens nothing."""
        with tempfile.TemporaryDirectory(prefix="tensortrigger-compile-") as folder:
            child = self._launch(COMPILE_MODULE, Path(folder), "")
            child.allow(_COMPILE_SECONDS)
            child.stdout.read()
            child.kill()

    def _probed(self) -> SandboxReport:
        if sys.platform != "linux":
            return judged({}, {layer.value: f"there is none for {sys.platform}" for layer in Layer})
        with tempfile.TemporaryDirectory(prefix="tensortrigger-probe-") as folder:
            scratch = Path(folder).resolve() / "scratch"
            scratch.mkdir()
            scratch.with_name(_OUTSIDE).write_bytes(b"outside")
            child = self._launch(PROBE_MODULE, scratch, TRY)
            try:
                child.allow(_PROBE_SECONDS)
                words = child.stdout.read(1 << 16)
                told = json.loads(words)
                return judged(dict(told["held"]), dict(told["missing"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                child.kill()
                if not self._closed:
                    _log.warning("the sandbox's probe failed: %s", child.last_words()[-2000:])
                raise Unavailable(
                    "It could not be found out whether models can be checked safely here; try again.",
                    retry_after=5.0,
                ) from error
            finally:
                child.kill()


def has_bytecode(package: str) -> bool:
    """Whether an installed package was compiled already; true as well where there is nothing to compile."""
    found = find_spec(package)
    return not found or not found.origin or Path(cache_from_source(found.origin)).exists()


def judged(held: dict[str, bool], missing: dict[str, str]) -> SandboxReport:
    """The report on what a probe tried.

    Args:
        held: what was tried, and whether it was refused.
        missing: layers that could not be taken on, with the reason.
    """
    layers = frozenset(layer for layer in Layer if layer.value not in missing)
    open_ways = [what for what, was_refused in held.items() if not was_refused]
    if not open_ways and not missing:
        return SandboxReport(
            SandboxState.ON,
            layers,
            "Guests have no network, see only Python and their own scratch folder, and start nothing.",
        )
    if not layers:
        return SandboxReport(
            SandboxState.OFF,
            layers,
            f"Guests are not held in ({'; '.join(dict.fromkeys(missing.values()))}): what a model runs while "
            "it is checked, it runs as this user. Publish only models of people you trust.",
        )
    return SandboxReport(
        SandboxState.PARTIAL,
        layers,
        f"Guests are not kept from: {', '.join(open_ways) or 'nothing that was tried'} "
        f"(missing: {'; '.join(f'{layer}, {why}' for layer, why in missing.items()) or 'nothing'}). "
        "Publish only models of people you trust.",
    )
