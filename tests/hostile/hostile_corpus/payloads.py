"""What does the code do that is hidden in a model? It writes, runs a command, or calls; never anything worse."""

from __future__ import annotations

import codecs
import marshal
import os
from typing import Any

from hostile_corpus.artifact import Traps


def writing(traps: Traps, name: str) -> str:
    """The source of a lambda that leaves the marker and returns what it was given."""
    return f"lambda *a, **k: (open({str(traps.marker(name))!r}, 'a').write('x'), a[0])[1]"


def shelling(traps: Traps, name: str) -> str:
    """The same by way of a shell."""
    return f"lambda *a, **k: (__import__('os').system('touch {traps.marker(name)}'), a[0])[1]"


def calling(traps: Traps, name: str) -> str:
    """The source of a lambda that tells its name to the listening port."""
    address = ("127.0.0.1", traps.port)
    return (
        "lambda *a, **k: (__import__('socket').create_connection("
        f"{address!r}, 5).sendall({name.encode()!r}), a[0])[1]"
    )


def marshalled(source: str) -> str:
    """A lambda's code as Keras keeps it in a config."""
    # In the name of a file that exists: Keras looks for the source of a lambda that it copies.
    code = eval(compile(source, os.__file__, "eval")).__code__
    return codecs.encode(marshal.dumps(code), "base64").decode("ascii")


def lambda_value(source: str) -> dict[str, Any]:
    """A lambda where Keras expects any function: an activation, a loss, an initializer."""
    return {"class_name": "__lambda__", "config": {"value": [marshalled(source), None, None]}}


def lambda_layer(source: str, name: str = "hidden") -> dict[str, Any]:
    """A Lambda layer."""
    function = {"code": marshalled(source), "defaults": None, "closure": None}
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "function": {"class_name": "__lambda__", "config": function},
            "arguments": {},
        },
        "registered_name": None,
    }
