"""Importing the package costs a notebook next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import errors

HEAVY = ("tensorflow", "keras", "pandas", "numpy", "httpx", "rich", "IPython", "tensortrigger_backend")


def loaded_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after ``code``."""
    script = f"import sys; {code}; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_it_loads_nothing_heavy() -> None:
    assert not loaded_after("import tensortrigger_lab as tt").intersection(HEAVY)


def test_importing_it_loads_no_other_module_of_ours() -> None:
    ours = {name for name in loaded_after("import tensortrigger_lab") if name.startswith("tensortrigger")}
    assert ours == {"tensortrigger_lab"}


def test_using_every_public_name_loads_neither_tensorflow_nor_the_backend() -> None:
    loaded = loaded_after("import tensortrigger_lab as tt; [getattr(tt, name) for name in dir(tt)]")
    assert not loaded.intersection({"tensorflow", "keras", "pandas", "tensortrigger_backend"})


def test_the_command_line_of_a_server_command_loads_no_client() -> None:
    code = "import tensortrigger_lab.cli as cli; cli.main(['serve', '--no-such-option', '--help'])"
    script = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nsys.stdout.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()).intersection({"httpx", "pandas", "rich", "tensorflow"})


def test_every_public_name_is_found() -> None:
    assert all(getattr(tt, name) is not None for name in tt.__all__)
    assert set(tt.__all__) <= set(dir(tt))
    assert tt.__version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'publsh'"):
        tt.publsh  # noqa: B018


def test_only_public_names_are_listed() -> None:
    assert set(dir(tt)) == {*tt.__all__, "__version__"}
    assert not {"Any", "TYPE_CHECKING", "import_module", "annotations"}.intersection(dir(tt))


def test_every_error_is_at_hand() -> None:
    ours = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, tt.TensorTriggerError | Warning)
    }
    assert len(ours) > 10
    assert all(getattr(tt, name) is kind for name, kind in ours.items())
    assert set(ours) <= set(tt.__all__)
