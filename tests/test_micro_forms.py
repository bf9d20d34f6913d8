"""What a conversion for microcontrollers rewrites: same results, fewer instructions, finer 8-bit steps."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from eelbert_tf import EelbertClassifier, encode_texts
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion import micro, quantize_int8
from eelbert_tf.tflite.conversion.calibrate import Calibration
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.runtimes.interpreter import LiteRT
from tests.small_models import saved

COMPARISONS = {"EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"}
TEXTS = encode_texts(hard_inputs(False, 40, seed=5), 64)


def logits(data: bytes) -> np.ndarray:
    run = LiteRT(data)
    return np.concatenate([run(row[None]) for row in TEXTS])


def with_outliers() -> EelbertClassifier:
    """A model with what pretrained encoders have: channels of the feed-forward part that are far larger than others."""
    model = EelbertClassifier.from_preset(saved("means"))
    for block in model.backbone.blocks:
        kernel = ops.convert_to_numpy(block.output_dense.kernel).copy()
        kernel[:, :2] *= 60
        block.output_dense.kernel.assign(kernel)
        gamma = ops.convert_to_numpy(block.output_norm.gamma).copy()
        gamma[:2] /= 60
        block.output_norm.gamma.assign(gamma)
    return model


def test_outliers_keep_no_steps_from_other_channels(monkeypatch):
    """Int8 is closer to the model by far, float32 is the same but for rounding, and shared weights are stored once."""
    model = with_outliers()
    expected = np.asarray(model(TEXTS, training=False))
    files = []
    for skipped in (False, True):
        with monkeypatch.context() as patch:
            if skipped:
                patch.setattr(quantize_int8, "equalize_residuals", lambda graph, rows: None)
            files.append(micro.to_micro(with_outliers(), "int8", TEXTS)[0].to_bytes())
    errors = [np.square(logits(data) - expected).mean() for data in files]
    assert errors[0] < errors[1] / 4
    assert len(files[0]) < len(files[1]) + 2048


def test_equalizing_changes_no_result(monkeypatch):
    """Each use of the one block gets an operator that multiplies what its weights divide."""
    monkeypatch.setattr(micro, "sums_as_products", lambda graph: None)
    graph = Graph(micro.to_micro(with_outliers(), "none", TEXTS)[0].to_bytes())
    before, operators = logits(graph.to_bytes()), len(graph.operators)
    quantize_int8.equalize_residuals(graph, Calibration([(row[None],) for row in TEXTS]))
    after = logits(graph.to_bytes())
    assert len(graph.operators) == operators + 2
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 * np.abs(before).max())


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_sums_over_rows_are_products(monkeypatch, quantize):
    """The same logits, and neither MEAN nor SUM over the last axis is left."""
    files = []
    for skipped in (False, True):
        with monkeypatch.context() as patch:
            if skipped:
                patch.setattr(micro, "sums_as_products", lambda graph: None)
            files.append(micro.to_micro(EelbertClassifier.from_preset(saved("means")), quantize, TEXTS)[0].to_bytes())
    new, old = (Graph(data) for data in files)
    assert not any(graph_name in ("MEAN", "SUM") and shape for graph_name, shape in _sums(new))
    assert len(_sums(old)) >= 5
    found, expected = map(logits, files)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if quantize == "none" else 0.2)


@pytest.mark.parametrize("model", ["means", "normalized", "pair"])
def test_two_kinds_of_comparison(monkeypatch, model):
    """LESS and EQUAL give what six kinds do, to the bit."""
    rows = encode_texts(hard_inputs(model == "pair", 40, seed=5), 64)
    files = []
    for skipped in (False, True):
        with monkeypatch.context() as patch:
            if skipped:
                patch.setattr(micro, "merge_comparisons", lambda graph: None)
            files.append(micro.to_micro(EelbertClassifier.from_preset(saved(model)), "none", rows)[0].to_bytes())
    kinds = [{graph.name(o) for o in graph.operators} & COMPARISONS for graph in map(Graph, files)]
    assert kinds[0] == {"EQUAL", "LESS"} < kinds[1]
    runs = [LiteRT(data) for data in files]
    for row in rows:
        np.testing.assert_array_equal(*(run(row[None]) for run in runs))


def _sums(graph: Graph) -> list[tuple[str, bool]]:
    """Each sum and mean, and whether it runs along a row of floats."""
    found = []
    for operator in graph.operators:
        if graph.name(operator) in ("MEAN", "SUM"):
            source, axes = int(operator.inputs[0]), np.atleast_1d(graph.constant(int(operator.inputs[1])))
            shape = graph.shape(source)
            others = [shape[axis] for axis in axes if axis % len(shape) != len(shape) - 1]
            along = len(others) < len(axes) and max(others, default=1) == 1
            found.append((graph.name(operator), along and graph.is_float(source)))
    return found
