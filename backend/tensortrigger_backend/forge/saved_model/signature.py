"""Which of a SavedModel's signatures is served, and what must run once before it can?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from google.protobuf.message import DecodeError

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse
from tensortrigger_backend.forge.saved_model.archive import GRAPH
from tensortrigger_backend.forge.saved_model.proto import DTYPES, AssetFileDef, SavedModel
from tensortrigger_backend.forge.signature_names import NUMPY_DTYPES, clean

SERVING: Final = "serving_default"
_INIT: Final = "__saved_model_init_op"
_MAIN_OPS: Final = ("saved_model_main_op", "legacy_init_op")
_EXPORT = (
    "export the model again with model.export(folder) or tf.saved_model.save(model, folder, signatures=...)"
)


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """A tensor of the signature.

    Attributes:
        name: as the caller writes it.
        tensor: its node and the number of the node's output.
        dtype: numpy's name, or ``string``.
        shape: batch axis first, -1 where free; None where the graph does not tell the rank.
    """

    name: str
    tensor: tuple[str, int]
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Served:
    """What of a SavedModel is served.

    Attributes:
        key: the name of the signature.
        start: nodes that run once, after the variables have their values.
        assets: the file of each tensor that names one.
        saver: the node that restores the variables; empty where there is none.
        meta_graph: the message that all this was read from.
    """

    key: str
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    start: tuple[str, ...]
    assets: dict[tuple[str, int], Path]
    saver: str
    meta_graph: Any


def read_served(folder: Path) -> Served:
    """Read the graph file of an unpacked SavedModel.

    Raises:
        Refused: it is no SavedModel, or has nothing to serve.
    """
    try:
        model = SavedModel.FromString((folder / GRAPH).read_bytes())
    except (DecodeError, RecursionError, ValueError) as error:
        raise refuse(
            "corrupt_graph", "saved_model.pb is damaged, or no SavedModel", GRAPH, remedy=_EXPORT
        ) from error
    meta_graph = _choose_graph(list(model.meta_graphs))
    key = _choose_signature(meta_graph)
    signature = meta_graph.signature_def[key]
    faults: list[Fault] = []
    inputs = _tensors(key, "input", signature.inputs, faults)
    outputs = _tensors(key, "output", signature.outputs, faults)
    if faults:
        raise Refused(*faults)
    if not inputs or not outputs:
        raise refuse(
            "empty_signature",
            f"the signature '{key}' has no {'inputs' if not inputs else 'outputs'}",
            GRAPH,
            key,
            remedy=_EXPORT,
        )
    return Served(
        key,
        inputs,
        outputs,
        _start(meta_graph),
        _assets(meta_graph, folder),
        meta_graph.saver_def.restore_op_name,
        meta_graph,
    )


def tensor_of(name: str) -> tuple[str, int]:
    """``node:1`` as node and number; a bare ``node`` is its first output."""
    node, _, number = name.partition(":")
    return node, int(number) if number.isdecimal() else 0


def _choose_graph(found: list[Any]) -> Any:
    tagged = [graph for graph in found if "serve" in graph.meta_info_def.tags]
    plain = [graph for graph in tagged if len(graph.meta_info_def.tags) == 1]
    for graphs in (plain, tagged, found):
        if len(graphs) == 1:
            return graphs[0]
    if not found:
        raise refuse("empty_model", "the SavedModel holds no graph", GRAPH, remedy=_EXPORT)
    tags = "; ".join(", ".join(graph.meta_info_def.tags)[:80] or "none" for graph in found[:8])
    raise refuse(
        "ambiguous_graph",
        "the SavedModel holds several graphs, and not exactly one is tagged 'serve'",
        GRAPH,
        expected="one graph tagged 'serve'",
        got=tags,
        remedy=_EXPORT,
    )


def _choose_signature(meta_graph: Any) -> str:
    names = sorted(name for name in meta_graph.signature_def if not name.startswith("__saved_model"))
    if SERVING in names:
        return SERVING
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise refuse("no_signature", "the SavedModel has no signature to serve", GRAPH, remedy=_EXPORT)
    raise refuse(
        "ambiguous_signature",
        f"the SavedModel has {len(names)} signatures and none is called '{SERVING}'",
        GRAPH,
        expected=SERVING,
        got=", ".join(name[:60] for name in names[:20]),
        remedy=f"export it with signatures={{'{SERVING}': ...}} for the one to serve",
    )


def _tensors(key: str, side: str, infos: Any, faults: list[Fault]) -> tuple[GraphTensor, ...]:
    taken: set[str] = set()
    tensors = []
    for name in sorted(infos):
        info = infos[name]
        dtype = DTYPES.get(info.dtype, "unknown")
        loc = (MODEL, GRAPH, key, f"{side}s", name[:80])
        if info.coo_sparse or info.composite_tensor:
            faults.append(
                Fault(
                    loc,
                    "sparse_tensor",
                    f"{side} '{name[:80]}' is sparse or ragged",
                    remedy=f"make the {side} dense",
                )
            )
        elif dtype not in NUMPY_DTYPES:
            faults.append(
                Fault(
                    loc,
                    "unknown_dtype",
                    f"{side} '{name[:80]}' is of dtype {dtype}",
                    remedy=f"cast the {side} to float32",
                )
            )
        else:
            tensors.append(GraphTensor(clean(name, taken), tensor_of(info.name), dtype, _shape(info)))
    return tuple(tensors)


def _shape(info: Any) -> tuple[int, ...] | None:
    if info.tensor_shape.unknown_rank or not info.HasField("tensor_shape"):
        return None
    return tuple(max(int(dim.size), -1) for dim in info.tensor_shape.dim)


def _start(meta_graph: Any) -> tuple[str, ...]:
    names: list[str] = []
    if _INIT in meta_graph.signature_def:
        names += [info.name for info in meta_graph.signature_def[_INIT].outputs.values()]
    for key in _MAIN_OPS:
        if not names and key in meta_graph.collection_def:
            names += list(meta_graph.collection_def[key].node_list.value)
    return tuple(dict.fromkeys(tensor_of(name)[0] for name in names))


def _assets(meta_graph: Any, folder: Path) -> dict[tuple[str, int], Path]:
    listed: Iterable[Any] = meta_graph.asset_file_def
    if not listed and "saved_model_assets" in meta_graph.collection_def:
        wrapped = meta_graph.collection_def["saved_model_assets"].any_list.value
        try:
            listed = [AssetFileDef.FromString(entry.value) for entry in wrapped]
        except DecodeError as error:
            raise refuse("corrupt_graph", "the list of assets is damaged", GRAPH, remedy=_EXPORT) from error
    assets = {}
    for asset in listed:
        parts = PurePosixPath(asset.filename).parts
        plain = (
            parts and not asset.filename.startswith("/") and ".." not in parts and "\\" not in asset.filename
        )
        path = (folder / "assets").joinpath(*parts) if plain and "\0" not in asset.filename else None
        if path is None or not path.is_file():
            raise refuse(
                "missing_asset",
                f"the asset {asset.filename[:200]!r} is not a file below assets/ in the archive",
                GRAPH,
                "assets",
                asset.filename[:200],
                remedy="pack the whole folder, assets included",
            )
        assets[tensor_of(asset.tensor_info.name)] = path
    return assets
