"""The sample set: the same everywhere, balanced, disjoint, and neither trivial nor hopeless for a bag of words."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from eelbert_tf.training.finetune.device_commands import LABELS, device_commands


def test_deterministic():
    """The digest holds the grammar still: figures in the documentation refer to it."""
    assert device_commands() == device_commands()
    assert device_commands(1) != device_commands(0)
    digest = hashlib.sha256(repr(device_commands()).encode()).hexdigest()
    assert digest[:16] == "34cb3c1d1c213f3d"


@pytest.mark.parametrize("seed", range(5))
def test_balanced_and_disjoint(seed):
    train, test = device_commands(seed)
    assert Counter(label for _, label in train) == dict.fromkeys(LABELS, 60)
    assert Counter(label for _, label in test) == dict.fromkeys(LABELS, 20)
    texts = [text for text, _ in train + test]
    assert len(set(texts)) == len(texts) == 640
    assert not any("{" in text or "}" in text or "  " in text for text in texts)
    assert max(map(len, texts)) < 128


def test_bounds():
    with pytest.raises(ValueError, match="per_class=3"):
        device_commands(per_class=3)
    train, test = device_commands(per_class=2000)
    assert len(train) + len(test) == 16_000


def test_bag_of_words():
    pytest.importorskip("sklearn")
    from eelbert_tf.training.finetune.baselines import TfidfLogisticRegression

    train, test = device_commands()
    model = TfidfLogisticRegression().fit([text for text, _ in train], [label for _, label in train])
    predicted = model.predict([text for text, _ in test])
    accuracy = sum(label == guess for (_, label), guess in zip(test, predicted, strict=True)) / len(test)
    assert 0.75 < accuracy < 0.97
    assert 4_000 < model.size_bytes() < 20_000
    assert 0 < model.ms_per_text([text for text, _ in test[:10]], repeats=1) < 100
    assert TfidfLogisticRegression(ngrams=2).fit([("aa bb", "cc"), ("dd", "ee")], ["x", "y"]).predict(
        [("dd", "ee")]
    ) == ["y"]
