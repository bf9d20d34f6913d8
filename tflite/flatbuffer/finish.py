"""The last step of a conversion: what a file says of itself, and its checksum."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .file import pack
from .graph import Graph
from .metadata import METADATA_NAME, Metadata, add_checksum, to_json

_CONVERTERS_OWN = b"CONVERSION_METADATA"


def finish(graph: Graph, metadata: Metadata) -> bytes:
    """A converted graph as a file with metadata and checksum, without what no runtime reads."""
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
    model.metadata = [m for m in model.metadata or [] if m.name != _CONVERTERS_OWN]
    model.metadata.append(entry)
    return add_checksum(pack(model))
