"""How large may an upload be inside, and how deep?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps that no honest model comes near.

    Attributes:
        members: files in an archive.
        declared_bytes: bytes that an archive or an HDF5 file says it unpacks to, all together.
        inflation: how many times its stored size it may unpack to.
        config_bytes: bytes of the JSON config.
        depth: nesting of groups in HDF5, and of dicts and lists in the config.
        objects: groups and datasets in HDF5.
        config_nodes: dicts, lists and values in the config.
        graph_bytes: bytes of a SavedModel's graph file or of an ONNX file.
        graph_nodes: nodes of a graph, all its functions and inner graphs included.
        tensor_bytes: bytes that one constant of a graph may unfold to.
    """

    members: int = 2_000
    declared_bytes: int = 2 << 30
    inflation: int = 100
    config_bytes: int = 32 << 20
    depth: int = 64
    objects: int = 200_000
    config_nodes: int = 5_000_000
    graph_bytes: int = 1 << 30
    graph_nodes: int = 500_000
    tensor_bytes: int = 1 << 30
