"""What the operators of a TFLite file need of the types and shapes of their inputs and outputs.

Kernels of TFLite Micro check them in debug builds only, and those of LiteRT not all. An operator without a rule here is
one that no conversion of this library makes; its tensors are checked, its shapes are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .tables import DamagedFileError, Table

if TYPE_CHECKING:
    from .verify import Tensor

Shape = tuple[int, ...]
_BOOL, _FLOAT32 = 6, 0
_INTEGERS = (2, 4)  # int32, int64
_QUANTIZED = 9


class Operator:
    """An operator with its tensors.

    Args:
        inputs: `None` for one that is left out.
        outputs: of it.
        options: a table, or `None` where all have their defaults.
    """

    def __init__(self, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], options: Table | None) -> None:
        self.inputs, self.outputs, self._options = inputs, outputs, options

    def option(self, field: int, kind: str = "i", default: int = 0) -> int:
        """A number of the options."""
        return default if self._options is None else self._options.number(field, kind, default)

    def input(self, number: int) -> Tensor:
        """An input that has to be there.

        Raises:
            DamagedFileError: it is not.
        """
        tensor = self.inputs[number] if number < len(self.inputs) else None
        if tensor is None:
            raise DamagedFileError(f"input {number} is missing")
        return tensor

    def constant(self, number: int) -> np.ndarray:
        """The whole numbers of an input that has to be a constant.

        Raises:
            DamagedFileError: it is none.
        """
        tensor = self.input(number)
        values = tensor.values if tensor.type in _INTEGERS else None
        if values is None:
            raise DamagedFileError(f"input {number} is no constant of whole numbers")
        return values

    def axis(self, axis: int, rank: int) -> int:
        """An axis, counted from the front.

        Raises:
            DamagedFileError: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise DamagedFileError(f"axis {axis} of {rank}")
        return axis % rank


def check_shapes(code: int, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], options: Table | None) -> None:
    """Checks one operator.

    Args:
        code: its number in the schema.
        inputs: `None` for one that is left out.
        outputs: of it.
        options: its options.

    Raises:
        DamagedFileError: types or shapes do not fit.
    """
    if code not in _RULES:
        return
    rule, types = _RULES[code]
    operator = Operator(inputs, outputs, options)
    try:
        expected = rule(operator)
    except (ValueError, IndexError) as error:  # of NumPy, or a DamagedFileError
        raise DamagedFileError(f"its inputs do not fit: {error}") from None
    found = [tensor.shape for tensor in outputs]
    if found != [tuple(shape) for shape in expected]:
        raise DamagedFileError(f"outputs of shape {found}; expected {expected}")
    types(operator)


# Shapes: what each gives for its inputs.


def _same(op: Operator) -> list[Shape]:
    return [op.input(0).shape]


def _broadcast(op: Operator) -> list[Shape]:
    return [np.broadcast_shapes(op.input(0).shape, op.input(1).shape)]


def _cumsum(op: Operator) -> list[Shape]:
    op.axis(int(op.constant(1).item()), len(op.input(0).shape))
    return _same(op)


def _reshape(op: Operator) -> list[Shape]:
    if math.prod(op.input(0).shape) != math.prod(op.outputs[0].shape):
        raise DamagedFileError(f"{op.input(0).shape} has not as many numbers as {op.outputs[0].shape}")
    new = op.constant(1).ravel().tolist() if len(op.inputs) > 1 else list(op.outputs[0].shape)
    if len(new) != len(op.outputs[0].shape) or new.count(-1) > 1:
        raise DamagedFileError(f"a new shape {new}")
    return [tuple(rest if size == -1 else size for size, rest in zip(new, op.outputs[0].shape, strict=True))]


def _transpose(op: Operator) -> list[Shape]:
    order, shape = op.constant(1).tolist(), op.input(0).shape
    if sorted(order) != list(range(len(shape))):
        raise DamagedFileError(f"an order {order}")
    return [tuple(shape[i] for i in order)]


def _concatenation(op: Operator) -> list[Shape]:
    shapes = [op.input(i).shape for i in range(len(op.inputs))]
    axis = op.axis(op.option(0), len(shapes[0]))
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) != 1 or len({len(shape) for shape in shapes}) != 1:
        raise DamagedFileError(f"shapes {shapes}")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _pack(op: Operator) -> list[Shape]:
    shapes = {op.input(i).shape for i in range(len(op.inputs))}
    (shape,) = shapes
    axis = op.axis(op.option(1), len(shape) + 1)
    return [(*shape[:axis], len(op.inputs), *shape[axis:])]


def _unpack(op: Operator) -> list[Shape]:
    shape = op.input(0).shape
    axis = op.axis(op.option(1), len(shape))
    return [shape[:axis] + shape[axis + 1 :]] * shape[axis]


def _split(op: Operator) -> list[Shape]:
    shape, count = op.input(1).shape, op.option(0)
    axis = op.axis(int(op.constant(0).item()), len(shape))
    if count < 1 or shape[axis] % count:
        raise DamagedFileError(f"{count} parts of {shape[axis]}")
    return [(*shape[:axis], shape[axis] // count, *shape[axis + 1 :])] * count


def _gather(op: Operator) -> list[Shape]:
    shape, indices = op.input(0).shape, op.input(1)
    axis = op.axis(op.option(0), len(shape))
    if indices.type not in _INTEGERS or op.option(1):
        raise DamagedFileError("indices that are no whole numbers")
    values = indices.values
    if values is not None and values.size and not 0 <= values.min() <= values.max() < shape[axis]:
        raise DamagedFileError(f"an index outside of {shape[axis]} rows")
    return [shape[:axis] + indices.shape + shape[axis + 1 :]]


def _scatter(op: Operator) -> list[Shape]:
    indices, updates, shape = op.input(0), op.input(1), tuple(op.constant(2).tolist())
    depth = indices.shape[-1]
    if indices.type not in _INTEGERS or not 0 < depth <= len(shape):
        raise DamagedFileError(f"indices of shape {indices.shape}")
    if updates.shape != indices.shape[:-1] + shape[depth:]:
        raise DamagedFileError(f"{updates.shape} values for indices of shape {indices.shape}")
    values = indices.values
    if values is not None and not ((values >= 0) & (values < np.array(shape[:depth]))).all():
        raise DamagedFileError(f"an index outside of {shape}")
    return [shape]


def _slice(op: Operator) -> list[Shape]:
    shape, begin, size = op.input(0).shape, op.constant(1), op.constant(2)
    size = np.where(size < 0, np.array(shape) - begin, size)
    if (begin < 0).any() or (size < 0).any() or (begin + size > np.array(shape)).any():
        raise DamagedFileError(f"{size.tolist()} from {begin.tolist()} of {shape}")
    return [tuple(size.tolist())]


def _strided_slice(op: Operator) -> list[Shape]:
    shape, masks = op.input(0).shape, [op.option(field) for field in range(5)]
    begin, end, stride = (op.constant(number).ravel().tolist() for number in (1, 2, 3))
    if masks[2] or masks[3] or not len(begin) == len(end) == len(stride) <= len(shape) or 0 in stride:
        raise DamagedFileError("a slice that no file of ours has")
    kept = []
    for i, size in enumerate(shape[: len(begin)]):
        first = None if masks[0] >> i & 1 else begin[i]
        last = None if masks[1] >> i & 1 else end[i]
        if masks[4] >> i & 1:
            op.axis(begin[i], size)  # one of them, whose dimension goes
        else:
            kept.append(len(range(*slice(first, last, stride[i]).indices(size))))
    return [(*kept, *shape[len(begin) :])]


def _pad(op: Operator) -> list[Shape]:
    shape, amounts = op.input(0).shape, op.constant(1)
    if amounts.shape != (len(shape), 2) or (amounts < 0).any():
        raise DamagedFileError(f"{amounts.tolist()} around {shape}")
    return [tuple((np.array(shape) + amounts.sum(axis=1)).tolist())]


def _reduce(op: Operator) -> list[Shape]:
    shape = op.input(0).shape
    axes = {op.axis(int(axis), len(shape)) for axis in op.constant(1).ravel()}
    if op.option(0, "?"):
        return [tuple(1 if i in axes else size for i, size in enumerate(shape))]
    return [tuple(size for i, size in enumerate(shape) if i not in axes)]


def _fully_connected(op: Operator) -> list[Shape]:
    shape, weights = op.input(0).shape, op.input(1).shape
    units, width = weights
    if width < 1 or math.prod(shape) % width or op.option(1, "b"):
        raise DamagedFileError(f"weights of shape {weights} for {shape}")
    _check_bias(op, units)
    if op.option(2, "?"):
        if shape[-1] != width:
            raise DamagedFileError(f"weights of shape {weights} for {shape}")
        return [(*shape[:-1], units)]
    return [(math.prod(shape) // width, units)]


def _batch_matmul(op: Operator) -> list[Shape]:
    first, second = op.input(0).shape, op.input(1).shape
    rows, inner = first[-2:] if not op.option(0, "?") else first[:-3:-1]
    other, columns = second[-2:] if not op.option(1, "?") else second[:-3:-1]
    if inner != other:
        raise DamagedFileError(f"shapes {first} and {second}")
    return [(*np.broadcast_shapes(first[:-2], second[:-2]), rows, columns)]


def _conv(op: Operator) -> list[Shape]:
    batch, *sizes, channels = op.input(0).shape
    units, *window, depth = op.input(1).shape
    _check_bias(op, units)
    found = []
    for i, (size, width) in enumerate(zip(sizes, window, strict=True)):
        stride, dilation = op.option(2 - i), op.option(5 - i, default=1)
        if stride < 1 or dilation < 1 or width < 1:
            raise DamagedFileError("a stride or dilation below 1")
        covered = size if not op.option(0, "b") else size - (width - 1) * dilation  # 0 is SAME
        found.append(-(-covered // stride))
    if len(found) != 2 or depth != channels or min(found) < 1:
        raise DamagedFileError(f"a window of shape {op.input(1).shape} for {op.input(0).shape}")
    return [(batch, *found, units)]


def _check_bias(op: Operator, units: int) -> None:
    if len(op.inputs) > 2 and (bias := op.inputs[2]) is not None and bias.shape != (units,):
        raise DamagedFileError(f"{bias.shape} biases for {units} units")


# Types: what each needs of them.


def _any(op: Operator) -> None:
    """Converts between types."""


def _kept(op: Operator) -> None:
    """Outputs are of the type of the first input."""
    _check_types(op, [op.input(0)])


def _all_kept(op: Operator) -> None:
    """So are all other inputs."""
    _check_types(op, [tensor for tensor in op.inputs if tensor is not None])


def _second_kept(op: Operator) -> None:
    _check_types(op, [op.input(1)])


def _check_types(op: Operator, inputs: list[Tensor]) -> None:
    types = {tensor.type for tensor in (*inputs, *op.outputs)}
    if len(types) != 1:
        raise DamagedFileError(f"types {sorted(types)}")


def _scaled(op: Operator) -> None:
    """Numbers of 8 bits are computed with by their scales."""
    _kept(op)
    _check_scaled(op)


def _all_scaled(op: Operator) -> None:
    _all_kept(op)
    _check_scaled(op)


def _check_scaled(op: Operator) -> None:
    for tensor in (*op.inputs, *op.outputs):
        if tensor is not None and tensor.type == _QUANTIZED and not tensor.scaled:
            raise DamagedFileError("8-bit numbers without a scale")


def _compared(op: Operator) -> None:
    _check_scaled(op)
    if op.input(0).type != op.input(1).type or op.outputs[0].type != _BOOL:
        raise DamagedFileError("types of a comparison")


def _dequantized(op: Operator) -> None:
    _check_scaled(op)
    if op.outputs[0].type != _FLOAT32:
        raise DamagedFileError("a dequantization to something else than float32")


def _quantized(op: Operator) -> None:
    _check_scaled(op)
    if op.outputs[0].type != _QUANTIZED:
        raise DamagedFileError("a quantization to something else than int8")


_RULES: dict[int, tuple[Callable[[Operator], list[Shape]], Callable[[Operator], None]]] = {
    **dict.fromkeys(
        (0, 18, 41, 42, 55, 57, 90, 95), (_broadcast, _all_scaled)
    ),  # ADD MUL SUB DIV MAXIMUM ... FLOOR_MOD
    **dict.fromkeys((84, 86), (_broadcast, _all_kept)),  # LOGICAL_OR LOGICAL_AND
    **dict.fromkeys((58, 61, 62, 63, 71, 72), (_broadcast, _compared)),  # LESS GREATER ... EQUAL NOT_EQUAL
    **dict.fromkeys((8, 11, 14, 19, 25, 28, 76, 150), (_same, _scaled)),  # FLOOR L2_NORMALIZATION LOGISTIC ... GELU
    **dict.fromkeys((40, 74), (_reduce, _scaled)),  # MEAN SUM
    2: (_concatenation, _all_scaled),
    3: (_conv, _scaled),
    6: (_same, _dequantized),
    9: (_fully_connected, _scaled),
    22: (_reshape, _kept),
    34: (_pad, _kept),
    36: (_gather, _kept),
    39: (_transpose, _kept),
    45: (_strided_slice, _kept),
    49: (_split, _second_kept),
    53: (_same, _any),  # CAST
    65: (_slice, _kept),
    83: (_pack, _all_kept),
    88: (_unpack, _kept),
    114: (_same, _quantized),
    122: (_scatter, _second_kept),
    126: (_batch_matmul, _scaled),
    128: (_cumsum, _kept),
}
