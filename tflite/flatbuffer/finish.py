"""The last step of a conversion: versions of operators, metadata, and the checksum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .file import pack
from .graph import Graph
from .merge import align, merge
from .metadata import METADATA_NAME, Metadata, add_checksum, runtime_name, to_json
from .versions import min_runtime, set_versions

_REPLACED = (b"CONVERSION_METADATA", METADATA_NAME.encode())
_MIN_RUNTIME = b"min_runtime_version"
_MIN_RUNTIME_BYTES = 16  # of the string, zeros behind it among them


def finish(graph: Graph, metadata: Metadata, shorter: Sequence[Graph] = ()) -> bytes:
    """A converted graph as a file with metadata and checksum, without what no runtime reads.

    Args:
        graph: the one of the full length.
        metadata: what the file says of itself.
        shorter: graphs for its `lengths`.
    """
    graphs = [graph, *shorter]
    for one in graphs:
        set_versions(one)
        one.prune()
        strip(one)
    for one in shorter:
        align(one, graph)
    model = merge(graphs, [metadata.signature(length) for length in metadata.shorter])
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(to_json(metadata), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = METADATA_NAME
    entry.buffer = len(model.buffers) - 1
    model.metadata = [m for m in model.metadata or [] if m.name not in _REPLACED]
    for known in model.metadata:
        if known.name == _MIN_RUNTIME:
            version = runtime_name(min_runtime(*graphs)).encode().ljust(_MIN_RUNTIME_BYTES, b"\0")
            model.buffers[known.buffer].data = np.frombuffer(version, np.uint8)
    model.metadata.append(entry)
    return add_checksum(pack(model))


def strip(graph: Graph) -> None:
    """Drops the names of inner tensors, and quantization parameters without a scale."""
    keep = {*graph.inputs, *graph.outputs}
    for number, tensor in enumerate(graph.tensors):
        if number not in keep:
            tensor.name = None
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
