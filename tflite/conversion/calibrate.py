"""The range of every tensor of a TFLite file over some texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Range = tuple[float, float]

# Texts that int8 is calibrated on at most, and that it needs at least.
MOST_CALIBRATION_TEXTS = 500
LEAST_CALIBRATION_TEXTS = 20


def measure_ranges(data: bytes, rows: np.ndarray, tensors: Iterable[int]) -> dict[int, Range]:
    """The least and the greatest value that tensors take, by plain running minimum and maximum.

    Args:
        data: a float TFLite file.
        rows: int32 `[n, L]`, bytes of texts.
        tensors: numbers of the tensors to watch, constant ones not among them.

    Returns:
        `(least, greatest)` of each tensor.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without delegates every tensor can be read.
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    least: dict[int, float] = dict.fromkeys(tensors, np.inf)
    greatest: dict[int, float] = dict.fromkeys(least, -np.inf)
    for row in rows:
        interpreter.set_tensor(entry["index"], row[None])
        interpreter.invoke()
        for tensor in least:
            values = interpreter.get_tensor(tensor)
            least[tensor] = min(least[tensor], float(values.min()))
            greatest[tensor] = max(greatest[tensor], float(values.max()))
    return {tensor: (least[tensor], greatest[tensor]) for tensor in least}
