"""Product quantization of a lexicon: rows of numbers become a few bytes each, which name entries of learned books.

    backbone = quantize_lexicon(backbone, codes=4)

After Jegou et al. 2011: the columns are split into groups, and k-means finds 256 entries for each. The table is turned
before, and its projection turned back. Only `quantize_lexicon` needs Keras.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from eelbert_tf.config import BOOK_ENTRIES, EelbertConfig
from eelbert_tf.disk.progress import Progress
from eelbert_tf.saving.stored import StoredModel, backbone_prefix
from eelbert_tf.text.reference import quantized_rows

TURNS = 25  # of k-means
_ROWS_AT_ONCE = 8192
_LEAST_COUNT = 0.1  # of rows that no counted word has

Arrays = dict[str, np.ndarray]


def quantize_lexicon(backbone: Any, codes: int = 4, counts: np.ndarray | None = None, seed: int = 0) -> Any:
    """An encoder whose lexicon is stored in codes and books.

    Args:
        backbone: an `EelbertBackbone` with a lexicon of numbers and one lookup; it stays as it is.
        codes: bytes of a row; must divide the lexicon's width.
        counts: `[rows]`, how often words of each row occur: frequent ones are rounded less. All alike by default.
        seed: of the rotation, and of where k-means begins.

    Returns:
        A new `EelbertBackbone` with the same other weights.

    Raises:
        ValueError: the lexicon cannot be quantized so.
    """
    import keras

    from .presets import weight_names

    config = quantized_config(backbone.config, codes)
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in weight_names(backbone).items()}
    arrays, _ = quantize_arrays(arrays, config, counts, seed)
    quantized = type(backbone)(config, pair=backbone.pair, name=backbone.name, dtype=backbone.dtype_policy)
    for name, variable in weight_names(quantized).items():
        variable.assign(arrays[name])
    return quantized


def quantize_stored(
    stored: StoredModel, codes: int = 4, counts: np.ndarray | None = None, seed: int = 0
) -> tuple[StoredModel, float]:
    """`quantize_lexicon` for a model that has been read, an encoder or a task; without Keras.

    Args:
        stored: the model.
        codes: as in `quantize_lexicon`.
        counts: as in `quantize_lexicon`.
        seed: as in `quantize_lexicon`.

    Returns:
        The model, and the error as `quantize_arrays` gives it.

    Raises:
        ValueError: the lexicon cannot be quantized so.
    """
    config = quantized_config(stored.info.config, codes)
    arrays, error = quantize_arrays(stored.arrays, config, counts, seed, backbone_prefix(stored.info))
    return dataclasses.replace(stored, info=dataclasses.replace(stored.info, config=config), arrays=arrays), error


def quantized_config(config: EelbertConfig, codes: int) -> EelbertConfig:
    """The configuration of an encoder after its lexicon was quantized.

    Raises:
        ValueError: it has no lexicon of numbers, or `codes` does not divide its width.
    """
    if not config.lexicon_size or config.lexicon_codes or codes < 1:
        raise ValueError(
            "Quantization needs a lexicon of numbers and at least one code for a row. Received: "
            f"codes={codes}, lexicon_size={config.lexicon_size}, lexicon_codes={config.lexicon_codes}"
        )
    return config.replace(lexicon_codes=codes)


def quantize_arrays(
    arrays: Arrays, config: EelbertConfig, counts: np.ndarray | None = None, seed: int = 0, prefix: str = ""
) -> tuple[Arrays, float]:
    """The weights of a model after its lexicon was quantized.

    Args:
        arrays: its weights, by name.
        config: of the quantized encoder.
        counts: as in `quantize_lexicon`.
        seed: as in `quantize_lexicon`.
        prefix: how names of the encoder's weights begin.

    Returns:
        All weights, and the error: the root mean square of what changes in the projected rows over that of the rows.

    Raises:
        ValueError: there is not one count for each row, or one is negative.
    """
    counts = np.ones(config.lexicon_size) if counts is None else np.asarray(counts, np.float64)
    if counts.shape != (config.lexicon_size,) or not (counts >= 0).all():
        raise ValueError(
            f"`counts` must be {config.lexicon_size} numbers from 0 on, one for each row of the lexicon. "
            f"Received: shape {counts.shape}, least {counts.min(initial=np.inf)}"
        )
    names = {name: f"{prefix}lexicon/{name}" for name in ("table", "codes", "books", "projection/kernel")}
    others = {name: array for name, array in arrays.items() if name != names["table"]}
    table, kernel = (arrays[names[name]].astype(np.float32) for name in ("table", "projection/kernel"))
    weights = np.sqrt(counts + _LEAST_COUNT)
    turned, back = turn(table, kernel, seed)
    codes, books = product_quantize(turned, config.lexicon_codes, weights, seed)
    new = {names["codes"]: codes, names["books"]: books, names["projection/kernel"]: back}
    lost = np.square(quantized_rows(codes, books) - turned).sum(axis=1) @ weights
    return {**others, **new}, float(np.sqrt(lost / max(np.square(turned).sum(axis=1) @ weights, 1e-30)))


def turn(table: np.ndarray, kernel: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Another table and projection with the same product, whose columns are ready to be quantized in groups.

    The new projection keeps lengths, so that an error of a row is as large in the encoder's input. A random rotation
    gives all columns about the same variance.

    Args:
        table: float32 `[rows, width]`.
        kernel: float32 `[width, hidden_size]`.
        seed: of the rotation.

    Returns:
        float32 `[rows, width]` and `[width, hidden_size]`.
    """
    width = len(kernel)
    left, sizes, right = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0][:, : len(sizes)]
    forth = (left * sizes) @ rotation.T
    return table @ forth.astype(np.float32), (rotation @ right).astype(np.float32)


def product_quantize(
    table: np.ndarray, codes: int, weights: np.ndarray | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and books of a table, each group of columns by itself.

    Args:
        table: float32 `[rows, width]`.
        codes: number of groups; must divide the width.
        weights: float64 `[rows]`, above 0; all alike by default.
        seed: where k-means begins.

    Returns:
        uint8 `[rows, codes]`, and float32 `[codes, 256, width / codes]`.
    """
    weights = np.ones(len(table)) if weights is None else weights
    with Progress("quantizing the lexicon", codes * TURNS, "turn") as progress:
        parts = [
            k_means(np.ascontiguousarray(part), weights, np.random.default_rng([seed, i]), progress)
            for i, part in enumerate(np.split(table, codes, axis=1))
        ]
    return np.stack([nearest for nearest, _ in parts], axis=1), np.stack([centres for _, centres in parts])


def k_means(
    points: np.ndarray, weights: np.ndarray, rng: np.random.Generator, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm with 256 centres, fewer where there are fewer points.

    Args:
        points: float32 `[n, d]`.
        weights: float64 `[n]`, above 0: what a point counts for, and how likely it is among the first centres.
        rng: chooses these.
        progress: counts `TURNS` units.

    Returns:
        uint8 `[n]`, the nearest centre of each point, and float32 `[256, d]`; centres that are not used are zeros.
    """
    count = min(BOOK_ENTRIES, len(points))
    centres = points[rng.choice(len(points), count, replace=False, p=weights / weights.sum())]
    for _ in range(TURNS):
        nearest, distances = _nearest(points, centres)
        mass = np.bincount(nearest, weights, count)
        sums = np.stack([np.bincount(nearest, weights * column, count) for column in points.T], axis=1)
        empty = mass == 0
        centres = (sums / np.where(empty, 1, mass)[:, None]).astype(np.float32)
        centres[empty] = points[np.argsort(-weights * distances)[: empty.sum()]]  # where the error is largest
        if progress is not None:
            progress.update()
    nearest, _ = _nearest(points, centres)
    return nearest.astype(np.uint8), np.pad(centres, ((0, BOOK_ENTRIES - count), (0, 0)))


def _nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each point, and the square of its distance."""
    nearest, distances = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    sizes = np.square(centres).sum(axis=1)
    for at in range(0, len(points), _ROWS_AT_ONCE):
        rows = slice(at, at + _ROWS_AT_ONCE)
        scores = points[rows] @ (-2 * centres.T)
        scores += sizes
        nearest[rows] = scores.argmin(axis=1)
        distances[rows] = scores.min(axis=1) + np.square(points[rows]).sum(axis=1)
    return nearest, distances
