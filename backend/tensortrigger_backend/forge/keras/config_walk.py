"""Does this config name only what is on the allow-list? Every dict in it is looked at, wherever it lies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.forge.doctor.names import KERAS_MODULES, OLD_CLASSES
from tensortrigger_backend.forge.keras import allow_list
from tensortrigger_backend.forge.keras.known_strangers import stranger
from tensortrigger_backend.forge.keras.size_check import check_sizes
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse

Path = tuple[str | int, ...]

_CUSTOM = "use built-in layers, or compose the same computation from Keras ops in a functional model"
_MOST_FAULTS = 20
# What a layer needs for training only; Keras 1 named it otherwise.
_ROLE = re.compile(r"(initializer|regularizer|constraint|init)'")


def parse_config(text: str, limits: Limits, *path: str) -> Any:
    """Read a JSON config with a bound on its size and depth.

    Raises:
        Refused: it is no JSON, too large or too deep.
    """
    if len(text) > limits.config_bytes:
        raise refuse("too_large", f"the model's config has {len(text)} characters", *path)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _without_repeats(pairs, path))
    except RecursionError as error:
        raise refuse("too_deep", "the model's config nests too deeply", *path) from error
    except ValueError as error:
        raise refuse(
            "bad_config", f"the model's config is no JSON ({error})", *path, remedy="save and upload it again"
        ) from error


def _without_repeats(pairs: list[tuple[str, Any]], path: tuple[str, ...]) -> dict[str, Any]:
    """One dict of the config; of two equal keys one reader takes the first and another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise refuse("duplicate_key", f"the model's config has {twice[:80]!r} twice in one place", *path)
    return found


def check_config(config: Any, limits: Limits, *, qualified: bool, old: bool = False, path: Path = ()) -> None:
    """Walk the architecture.

    Args:
        qualified: the config names a module with each class (``.keras``); without it (HDF5) Keras looks a bare
            name up among its own.
        old: it is of Keras 1 or 2 and goes to the doctor, who answers for the layers that were renamed since and
            leaves out initializers, regularizers and constraints of the user's own.
        path: where the config lies in the upload, for the faults.

    Raises:
        Refused: every name that is not on the allow-list, with the layer it belongs to.
    """
    walk = _Walk(limits, qualified=qualified, forgiving=False, old=old)
    walk.value(config, path, _Layer())
    if walk.faults:
        raise Refused(*walk.faults)
    check_sizes(config, path)


def check_training(config: Any, limits: Limits, *, path: Path = ()) -> None:
    """Walk what the model was compiled with, which is never loaded: a loss of the user's own is passed over.

    Raises:
        Refused: a program, or a class of a module that no Keras file names.
    """
    walk = _Walk(limits, qualified=False, forgiving=True)
    walk.value(config, path, _Layer())
    if walk.faults:
        raise Refused(*walk.faults)


@dataclass(frozen=True, slots=True)
class _Layer:
    """The layer that a part of the config belongs to, for the wording."""

    name: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return f"layer '{self.name}' ({self.kind})" if self.name else "the model"


class _Walk:
    def __init__(self, limits: Limits, *, qualified: bool, forgiving: bool, old: bool = False) -> None:
        self._limits = limits
        self._old = old
        self._qualified = qualified
        self._forgiving = forgiving
        self._nodes = 0
        self.faults: list[Fault] = []

    def value(self, value: Any, path: Path, layer: _Layer) -> None:
        self._nodes += 1
        if self._nodes > self._limits.config_nodes or len(path) > 4 * self._limits.depth:
            raise refuse("too_large", "the model's config is too large or nests too deeply", *path[:8])
        if len(self.faults) >= _MOST_FAULTS:
            return
        if isinstance(value, Mapping):
            if "class_name" in value:
                layer = _layer_of(value, layer)
                self._judge(value, path, layer)
            for key, member in value.items():
                self._judge_text(key, member, (*path, key), layer)
                self.value(member, (*path, key), layer)
        elif isinstance(value, list):
            for index, member in enumerate(value):
                self.value(member, (*path, index), layer)

    def _judge(self, described: Mapping[str, Any], path: Path, layer: _Layer) -> None:
        name = described["class_name"]
        if not isinstance(name, str):
            self._fault(path, "bad_config", f"{layer} has a class name that is no text", None)
            return
        if name in allow_list.PROGRAMS:
            self._fault(path, "forbidden_layer", _holds_program(name, layer), allow_list.PROGRAMS[name])
            return
        module = described.get("module")
        if name == "function":
            self._judge_function(described, module, path, layer)
        elif name in allow_list.PLAIN_VALUES or self._left_to_the_doctor(name, path):
            return
        elif self._is_bare(module):
            if self._forgiving or _registered_as(described, {name, None}):
                self._judge_bare(name, path, layer)
            else:
                self._custom(described, name, path, layer)
        elif name not in allow_list.CLASSES.get(str(module), frozenset()):
            self._judge_stranger(described, name, module, path, layer)
        elif not _registered_as(described, {name, None}):
            self._custom(described, name, path, layer)

    def _left_to_the_doctor(self, name: str, path: Path) -> bool:
        return self._old and (name in OLD_CLASSES or _ROLE.search(str(path[-1:])) is not None)

    def _is_bare(self, module: Any) -> bool:
        """Keras would look the name up among its own."""
        ours = module is None or (self._old and KERAS_MODULES.match(str(module)) is not None)
        return ours and (not self._qualified or self._forgiving)

    def _judge_function(self, described: Mapping[str, Any], module: Any, path: Path, layer: _Layer) -> None:
        name = described.get("config")
        listed = isinstance(name, str) and name in allow_list.FUNCTIONS.get(str(module), frozenset())
        if listed and _registered_as(described, {name, "function", None}):
            return
        own = module in ("builtins", None, "__main__") or ">" in str(described.get("registered_name"))
        if self._forgiving and own:
            return
        self._fault(
            path,
            "custom_function",
            f"{layer} uses the function {str(name)[:80]!r}, which is not built into Keras",
            "use one of Keras' own functions",
        )

    def _judge_bare(self, name: str, path: Path, layer: _Layer) -> None:
        # The doctor names the module of an op.
        if name in allow_list.UNQUALIFIED or name in allow_list.OPS or self._forgiving:
            return
        self._custom({}, name, path, layer)

    def _judge_stranger(
        self, described: Mapping[str, Any], name: str, module: Any, path: Path, layer: _Layer
    ) -> None:
        text = str(module)
        if text.startswith(("keras.engine", "keras.src.engine", "tf_keras", "tensorflow.")):
            self._fault(
                path,
                "keras_2",
                f"{layer} was saved by Keras 2 as {text}.{name}, which Keras 3 cannot read",
                "load it with the Keras that saved it and save it as .h5",
            )
        elif self._forgiving and (">" in str(described.get("registered_name")) or module == "__main__"):
            return
        elif module is not None and (text == "keras" or text.startswith("keras.")):
            self._fault(
                path,
                "unlisted_class",
                f"{layer} asks for {text}.{name}, which is not on the list of what may be loaded",
                _CUSTOM,
            )
        else:
            self._custom(described, name, path, layer)

    def _custom(self, described: Mapping[str, Any], name: str, path: Path, layer: _Layer) -> None:
        registered = described.get("registered_name")
        known = stranger(name, described.get("module"), registered)
        also = f", registered as {str(registered)[:120]!r}" if registered not in (None, name) else ""
        message = f"{layer} is of the custom class {name[:80]!r}{also}; only classes built into Keras can be published"
        self._fault(path, "custom_class", message, known or _CUSTOM)

    def _judge_text(self, key: str, value: Any, path: Path, layer: _Layer) -> None:
        if not isinstance(value, str) or self._forgiving:
            return
        if key.endswith("activation") and value == "<lambda>":
            self._fault(
                path,
                "custom_function",
                f"{layer} uses a lambda as its {key}, of which the file holds only the word '<lambda>'",
                "where the model is built, write a built-in layer or activation in its place "
                "(a clipped ReLU is ReLU(max_value=...)), load the weights into that model and save it as .keras",
            )
        elif key.endswith("activation") and value not in allow_list.ACTIVATIONS:
            self._fault(
                path,
                "custom_function",
                f"{layer} uses the activation {value[:80]!r}, which is not built into Keras",
                "use one of Keras' own activations",
            )
        elif key in ("vocabulary", "idf_weights"):
            self._fault(
                path,
                "vocabulary_path",
                f"{layer} reads its {key} from a file on the machine that loads it",
                "give the layer the list itself, or adapt it, before saving",
            )

    def _fault(self, path: Path, code: str, message: str, remedy: str | None) -> None:
        self.faults.append(Fault((MODEL, *path), code, message, remedy=remedy))


def _layer_of(described: Mapping[str, Any], around: _Layer) -> _Layer:
    """The layer that this dict describes, or the one around it where it describes something smaller."""
    config = described.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    kind = described["class_name"]
    if isinstance(name, str) and isinstance(kind, str) and kind not in allow_list.DTYPE_POLICIES:
        return _Layer(name[:80], kind[:80])
    return around


def _holds_program(name: str, layer: _Layer) -> str:
    if layer.kind == name:
        return f"{layer} holds a program, which is never run here"
    return f"{layer} holds a {name.strip('_')}, a program, which is never run here"


def _registered_as(described: Mapping[str, Any], names: set[Any]) -> bool:
    registered = described.get("registered_name")
    return registered is None or (isinstance(registered, str) and registered in names)
