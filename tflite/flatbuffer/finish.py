"""The last step of a conversion: versions of operators, metadata, and the checksum."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .file import pack
from .graph import Graph
from .metadata import METADATA_NAME, Metadata, add_checksum, runtime_name, to_json
from .versions import min_runtime, set_versions

_REPLACED = (b"CONVERSION_METADATA", METADATA_NAME.encode())
_MIN_RUNTIME = b"min_runtime_version"
_MIN_RUNTIME_BYTES = 16  # of the string, zeros behind it among them


def finish(graph: Graph, metadata: Metadata) -> bytes:
    """A converted graph as a file with metadata and checksum, without what no runtime reads."""
    set_versions(graph)
    graph.prune()
    keep = {*graph.inputs, *graph.outputs}
    for number, tensor in enumerate(graph.tensors):
        if number not in keep:
            tensor.name = None
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(to_json(metadata), np.uint8)
    model = graph.model
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = METADATA_NAME
    entry.buffer = len(model.buffers) - 1
    model.metadata = [m for m in model.metadata or [] if m.name not in _REPLACED]
    for known in model.metadata:
        if known.name == _MIN_RUNTIME:
            version = runtime_name(min_runtime(graph)).encode().ljust(_MIN_RUNTIME_BYTES, b"\0")
            model.buffers[known.buffer].data = np.frombuffer(version, np.uint8)
    model.metadata.append(entry)
    return add_checksum(pack(model))
