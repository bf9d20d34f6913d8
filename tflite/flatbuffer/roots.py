"""Several graphs in one block of bytes, each a file of its own for TFLite Micro, which share weights and most tables.

TFLite Micro runs the first graph of a file, and takes memory for all of them. A FlatBuffers file begins with the place
of its root table, and offsets lead forwards: any number of roots may stand in front of one file's tables.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .file import pack
from .finish import strip
from .graph import Graph
from .merge import align, merge
from .tables import ROOT_BYTES, root
from .versions import set_versions

_VERSION = 3  # of the schema
_CODES, _GRAPHS, _BUFFERS = 1, 2, 4  # fields of a model
_TABLE = 24  # where the table of a root begins
_LIST = 44  # and its list of one graph


def with_roots(graphs: Sequence[Graph]) -> bytes:
    """A block of bytes from which graph number i begins at `i * ROOT_BYTES`, without metadata or signatures.

    Args:
        graphs: of one model; they are changed.
    """
    for graph in graphs:
        set_versions(graph)
        graph.prune()
        strip(graph)
        graph.model.signatureDefs = graph.model.metadata = []
    *others, whole = graphs
    for graph in others:
        align(graph, whole)
    data = pack(merge([whole, *others]))
    model = root(data)
    whole_place, *places = model.places(_GRAPHS)
    parts = []
    for number, place in enumerate((*places, whole_place)):
        ahead = (len(graphs) - number) * ROOT_BYTES  # from this root to the tables

        def offset(target: int, field: int, ahead: int = ahead) -> int:
            return ahead + target - field

        table = struct.pack(
            "<iIIII",
            _TABLE - 8,
            _VERSION,
            offset(model.place(_CODES), _TABLE + 8),
            _LIST - (_TABLE + 12),
            offset(model.place(_BUFFERS), _TABLE + 16),
        )
        fields = struct.pack("<7H", 14, len(table), 4, 8, 12, 0, 16)
        listed = struct.pack("<II", 1, offset(place, _LIST + 4))
        head = struct.pack("<I4s", _TABLE, b"TFL3") + fields.ljust(_TABLE - 8, b"\0") + table + listed
        parts.append(head.ljust(ROOT_BYTES, b"\0"))
    return b"".join(parts) + data
