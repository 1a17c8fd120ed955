"""Which files may a guest open? What Python and TensorFlow need to start, its scratch folder, and nothing else."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from landlockpy import AccessFS, Ruleset, Scope

import tensortrigger_backend

_SYSTEM = (
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    # The dynamic linker, time zones, OpenSSL's defaults, which are read when it is imported, and file types.
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/lsb-release",
    # How many processors and how much memory there are.
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/filesystems",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
)
_DISCARDING = Path("/dev/null")
_TOO_MUCH = (Path("/"), Path("/home"), Path("/root"), Path("/etc"), Path("/var"), Path("/tmp"))  # noqa: S108


_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
_WORK = (
    _READ
    | AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.MAKE_DIR
    | AccessFS.REMOVE_FILE
    | AccessFS.REMOVE_DIR
    | AccessFS.REFER
)
"""No links, sockets, pipes or devices, which somebody else might follow or wait on, and nothing to execute."""
_OF_A_FILE = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE


def file_rules(scratch: Path, packages: Sequence[Path]) -> Ruleset:
    """Landlock's rules for a guest; the caller restricts itself by them and closes them.

    An older kernel judges less (no emptying of files before 6.2, no signals before 6.12); what it leaves out, the
    filter of system calls refuses.

    Args:
        scratch: the only folder to write to.
        packages: further folders to import from.

    Raises:
        landlockpy.LandlockError: the kernel has no Landlock.
    """
    rules = Ruleset(scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL)
    for path in (*readable_paths(), *packages):
        rules.allow_path(path, _READ if path.is_dir() else _READ & _OF_A_FILE)
    rules.allow_path(scratch, _WORK)
    if _DISCARDING.exists():
        rules.allow_path(_DISCARDING, _WORK & _OF_A_FILE)
    return rules


def readable_paths() -> list[Path]:
    """Files and folders that exist, each with all that is below it."""
    paths = [Path(path) for path in _SYSTEM] + _python()
    return [path for path in dict.fromkeys(paths) if path.exists()]


def _python() -> list[Path]:
    """The interpreter, its library, the installed packages, and this package where it runs from source."""
    paths = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        # Not the prefix itself: a virtual environment may be the folder of a project, with all its data.
        paths += [Path(prefix) / name for name in ("bin", "lib", "lib64", "pyvenv.cfg")]
    if site.ENABLE_USER_SITE:
        paths.append(Path(site.getusersitepackages()))
    paths.append(Path(tensortrigger_backend.__file__).parent)
    return [path for path in paths if path.resolve() not in _TOO_MUCH]
