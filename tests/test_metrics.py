"""Metrics against scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from eelbert_tf import metrics


@pytest.mark.parametrize("classes", [2, 5])
def test_classes(classes):
    rng = np.random.default_rng(classes)
    truth, predicted = rng.integers(0, classes, (2, 300))
    truth[truth == 1] = 0  # a class that is predicted and never occurs
    assert metrics.accuracy(truth, predicted) == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted))
    expected = sklearn.metrics.f1_score(truth, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(truth, predicted, classes + 1) == pytest.approx(expected)
    expected = sklearn.metrics.matthews_corrcoef(truth, predicted)
    assert metrics.matthews(truth, predicted, classes) == pytest.approx(expected)


def test_numbers_with_ties():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 11, 200) / 2
    predicted = np.round(truth + rng.normal(0, 2, 200))
    assert metrics.pearson(truth, predicted) == pytest.approx(scipy.stats.pearsonr(truth, predicted)[0])
    assert metrics.spearman(truth, predicted) == pytest.approx(scipy.stats.spearmanr(truth, predicted)[0])
    expected = sklearn.metrics.root_mean_squared_error(truth, predicted)
    assert metrics.rmse(truth, predicted) == pytest.approx(expected)


def test_constant_sides_score_nothing():
    """Where a coefficient is undefined it is 0, not NaN."""
    assert (
        metrics.matthews([0, 1], [1, 1])
        == metrics.pearson([0.0, 1.0], [2.0, 2.0])
        == metrics.spearman([1, 1], [1, 2])
        == 0.0
    )
    assert metrics.f1_scores([0, 0], [0, 0], 2).tolist() == [1.0, 0.0]
