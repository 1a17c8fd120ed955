"""What can the text of a config do to whoever parses it? Differ between readers, nest, and be no JSON at all."""

from __future__ import annotations

import json
from collections.abc import Callable

from hostile_corpus.artifact import Artifact, Effect, Traps
from hostile_corpus.keras_files import archive, bare, entrance, hdf5, rescaling, sequential
from hostile_corpus.payloads import lambda_layer, writing

_BENIGN = sequential(entrance(), rescaling())
_BAD = ("bad_config", "duplicate_key", "too_large", "too_deep", "corrupt_zip")


def artifacts() -> list[Artifact]:
    """Config texts that no Keras writes."""
    text = json.dumps(_BENIGN)
    texts = {
        "no-utf-8": (text.encode("utf-16"), "another reader guesses the encoding"),
        "config-is-null": (b"null", "it describes no model"),
        "config-is-a-list": (b"[]", "it describes no model"),
        "integer-of-ten-thousand-digits": (
            text.replace('"scale": 1.0', '"scale": 1' + "0" * 10_000).encode(),
            "this Python refuses to read it",
        ),
    }
    found = [
        _twice("keras/class-name-twice-lambda-last", last=True),
        _twice("hdf5/class-name-twice-lambda-last", last=True),
        _twice("keras/class-name-twice-lambda-first", last=False),
        _twice("hdf5/class-name-twice-lambda-first", last=False),
        _layers_twice(),
        _text("keras/config-nested-too-deeply", b"[" * 200_000, 200_000),
        _text("hdf5/config-nested-too-deeply", b"[" * 60_000, 60_000),
        _text("keras/dicts-nested-too-deeply", b'{"a":' * 900 + b"1" + b"}" * 900, 900),
    ]
    return found + [
        Artifact(f"keras/{name}", Effect.STRUCTURE, _packed(content), _BAD, why=why)
        for name, (content, why) in texts.items()
    ]


def _packed(content: bytes) -> Callable[[Traps], bytes]:
    return lambda _: archive(content)


def _text(full: str, content: bytes, depth: int) -> Artifact:
    pack = archive if full.startswith("keras/") else hdf5
    return Artifact(full, Effect.EXPANDS, lambda _: pack(content), _BAD, bomb=lambda _: (1, depth))


def _twice(full: str, *, last: bool) -> Artifact:
    """One dict, two class names: whoever takes the other one than Keras does judges another model."""
    keras = full.startswith("keras/")

    def build(traps: Traps) -> bytes:
        hidden, plain = lambda_layer(writing(traps, full)), rescaling()
        model = _BENIGN
        if not keras:
            hidden, plain, model = bare(hidden), bare(plain), bare(model)
        names = ['"class_name": "Rescaling"', '"class_name": "Lambda"']
        both = ", ".join(names if last else reversed(names))
        wanted = hidden if last else plain
        layer = json.dumps(wanted).replace(names[1 if last else 0], both)
        text = json.dumps(model).replace(json.dumps(plain), layer)
        return archive(text) if keras else hdf5(text)

    effect = Effect.RUNS_CODE if last else Effect.STRUCTURE
    why = "" if last else "Python takes the last of two equal keys; other readers take the first"
    return Artifact(full, effect, build, ("duplicate_key", "bad_config", "forbidden_layer"), why=why)


def _layers_twice() -> Artifact:
    """The whole architecture twice in one dict, the first without harm."""
    full = "keras/layers-twice-lambda-last"

    def build(traps: Traps) -> bytes:
        hostile = json.dumps([entrance(), lambda_layer(writing(traps, full))])
        return archive(
            json.dumps(_BENIGN).replace('"layers": [', f'"layers": {_PLAIN}, "layers": {hostile[:-1]},', 1)
        )

    return Artifact(full, Effect.RUNS_CODE, build, ("duplicate_key", "bad_config", "forbidden_layer"))


_PLAIN = json.dumps([entrance(), rescaling()])
