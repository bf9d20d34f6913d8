"""What a frozen encoder makes of texts, beside their words: the features that heads are fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.disk.progress import Progress
from eelbert_tf.linear.heads import TextFeatures
from eelbert_tf.preprocessing.base import EncodedTexts
from eelbert_tf.preprocessing.batches import OrderedBatches
from eelbert_tf.preprocessing.windowed_texts import WindowedTexts
from eelbert_tf.text.ngrams import NEIGHBOURS

_BATCH_SIZE = 128


def text_features(backbone: Any, texts: EncodedTexts, quiet: bool = True) -> TextFeatures:
    """The encoder's output and the n-grams of texts, in one pass.

    Of a text of several windows it is their mean, by the number of their tokens: what its logits are made of.

    Args:
        backbone: an `EelbertBackbone`.
        texts: at least one, encoded.
        quiet: whether to show no progress.

    Returns:
        The features, in the order of the texts.
    """
    from scipy.sparse import csr_matrix

    windows, unit = (texts.windows(), "window") if isinstance(texts, WindowedTexts) else (texts, "text")
    batches = OrderedBatches(windows, None, _BATCH_SIZE)
    order = np.argsort(batches.restore(np.arange(len(windows))))
    with_ngrams = backbone.config.hash is not None
    pooled, keys, are_pairs, rows, counts, begin = [], [], [], [], [], 0
    progress = Progress("reading", len(windows), unit, quiet=quiet)
    for i in range(len(batches)):
        found = backbone(batches[i][0], training=False, pooled_only=True, with_ngrams=with_ngrams)
        pooled.append(ops.convert_to_numpy(ops.cast(found["pooled_output"], "float32")))
        if with_ngrams:
            row, place = np.nonzero(ops.convert_to_numpy(found["ngrams"].counts))
            keys.append(ops.convert_to_numpy(found["ngrams"].keys)[row, place].view(np.uint32))
            are_pairs.append(place // found["padding_mask"].shape[1] == NEIGHBOURS)
            filled = ops.convert_to_numpy(found["padding_mask"]).sum(axis=1)
            counts.append(1 / np.sqrt(filled[row], dtype=np.float32))
            rows.append(order[begin + row])
        begin += len(pooled[-1])
        progress.update(len(pooled[-1]))
    progress.close()
    empty = [np.zeros(0, np.uint32)]
    known, first, columns = np.unique(np.concatenate(keys or empty), return_index=True, return_inverse=True)
    values, texts_of = np.concatenate(counts or empty), np.concatenate(rows or empty)
    features = batches.restore(np.concatenate(pooled))
    if isinstance(texts, WindowedTexts):
        features = texts.mean(features)
        values, texts_of = values * texts.shares()[texts_of], texts.owners()[texts_of]
    size = (len(texts), len(known))
    matrix = csr_matrix((values.astype(np.float32), (texts_of, columns)), shape=size)  # adds what is there twice
    kinds = np.concatenate(are_pairs or [np.zeros(0, bool)])[first]
    return TextFeatures(features, matrix, known, kinds)
