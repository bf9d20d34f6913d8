"""Sentence teachers: models whose sentence embeddings a smaller one learns to give.

A teacher is a BERT in Hugging Face's layout, such as those of sentence-transformers, or any model of this project. A
sentence's embedding is the mean of the last block's output over its tokens, a word's the mean over its own tokens; both
are brought to length 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from eelbert_tf.config import POLICIES
from eelbert_tf.disk.files import replace_file, reserve
from eelbert_tf.disk.progress import Progress
from eelbert_tf.disk.refusals import about
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.task import stored_preprocessor
from eelbert_tf.preprocessing.wordpiece import RESERVED, WordPiece
from eelbert_tf.saving.folders import weights_digest
from eelbert_tf.saving.huggingface import is_foreign
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.training.corpus.parts import read_arrays
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.corpus.sentences import Sentences
from eelbert_tf.training.tokens.masking import Specials, add_specials, spread_pieces
from eelbert_tf.training.tokens.pieces import encode_words

# Rows int32 [n, W] of word ids to float32 [n, 1 + W, d]: the mean of each sentence, then that of each of its words.
Embed = Callable[[np.ndarray], np.ndarray]
# A model's inputs, which of their T slots are used, int [B, T], and the word each belongs to, int [B, T], -1 for none.
Reading = tuple[dict[str, Any], np.ndarray, np.ndarray]

MAX_PIECES = 64
_TOGETHER = 128  # sentences per batch
_PART = 8192  # sentences between two writes
_FITTED = 8192  # sentences that the projection is fitted on


def load_teacher(folder: str, corpus: Corpus, precision: str = "none") -> Embed:
    """A function that embeds sentences of the corpus, and their words."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        return _bert(folder, corpus) if is_foreign(folder) else _own(folder, corpus)
    finally:
        keras.config.set_dtype_policy(policy)


def _bert(folder: str, corpus: Corpus) -> Embed:
    stored = read_stored(folder)
    backbone = EelbertBackbone.from_stored(stored, max_tokens=MAX_PIECES)
    preprocessor = stored_preprocessor(stored, backbone)
    assert isinstance(preprocessor, WordPiece)
    vocabulary = preprocessor.ids
    pad, _, cls, sep, mask = (vocabulary[piece] for piece in RESERVED)
    specials = Specials(cls, sep, mask, pad)
    pieces, ends = encode_words(corpus, vocabulary)

    def read(rows: np.ndarray) -> Reading:
        spread, owner = spread_pieces(rows, pieces, ends, MAX_PIECES - 2)
        ids = add_specials(spread, specials)
        used = int((spread >= 0).sum(axis=1).max()) + 2
        width = min(MAX_PIECES, -used // 8 * -8)  # few widths: each is traced once
        ids, owner = ids[:, :width], np.pad(owner, ((0, 0), (1, 1)), constant_values=-1)[:, :width]
        mask = (ids != pad).astype(np.int32)
        return {"token_ids": ids, "padding_mask": mask}, mask, owner

    return _embedder(backbone, read)


def _own(folder: str, corpus: Corpus) -> Embed:
    from eelbert_tf.training.tokens.words import WordTables

    backbone = EelbertBackbone.from_preset(folder)
    config = backbone.config
    if config.hash is None:
        raise InputError(f"--teacher: {folder}: a BERT of this project cannot teach; take one with a hash")
    tokens = WordTables(corpus, config, name="teacher_words")

    def read(rows: np.ndarray) -> Reading:
        ids = add_specials(rows, tokens.specials)[:, : config.max_tokens]
        inputs = tokens(ids)
        owner = np.where(ids < tokens.specials.cls, np.arange(-1, ids.shape[1] - 1), -1)
        return inputs, np.asarray(inputs["padding_mask"]), owner

    return _embedder(backbone, read)


def _embedder(backbone: Any, read: Callable[[np.ndarray], Reading]) -> Embed:
    import keras
    from keras import ops

    class Means(keras.Model):
        """The last block's output, averaged by a matrix: float32 `[B, n, d]` of float32 `[B, n, T]`."""

        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone
            self.built = True

        def call(self, inputs: dict[str, Any]) -> Any:
            inputs = dict(inputs)
            means = inputs.pop("means")
            return ops.matmul(means, ops.cast(self.backbone(inputs)["sequence_output"], "float32"))

    model = Means()
    model.compile(jit_compile=False)  # XLA is no faster here, and slower in bfloat16

    def embed(rows: np.ndarray) -> np.ndarray:
        order = np.argsort((rows >= 0).sum(axis=1), kind="stable")  # like-sized sentences together: little padding
        found = np.empty((len(rows), 1 + rows.shape[1], backbone.config.hidden_size), np.float32)
        for start in range(0, len(rows), _TOGETHER):
            chosen = order[start : start + _TOGETHER]
            inputs, used, owner = read(rows[chosen])
            belongs = owner[:, None, :] == np.arange(rows.shape[1])[:, None]  # [B, W, T]
            means = np.concatenate([used[:, None, :] > 0, belongs], axis=1).astype(np.float32)
            means /= np.maximum(means.sum(axis=2, keepdims=True), 1.0)
            found[chosen] = model.predict_on_batch({**inputs, "means": means})
        return found

    return embed


def teacher_targets(folder: str, sentences: Sentences, size: int, precision: str = "none") -> np.ndarray:
    """What a teacher says of some sentences and of each of their words, in `size` dimensions; computed once, then read.

    The directions kept are those in which the teacher's embeddings of the first sentences are largest, so that scalar
    products between sentences stay as they are as far as may be.

    Args:
        folder: the teacher's.
        sentences: the sentences, numbered from 0.
        size: dimensions.
        precision: the teacher's arithmetic, a name in `POLICIES`.

    Returns:
        float16 `[n, 1 + W, size]`, mapped from the disk, of length 1 each: the sentence, then its words; zero where
        there is no word.

    Raises:
        InputError: the teacher cannot be read, or the place cannot be written.
    """
    corpus = sentences.corpus
    identity = [
        weights_digest(folder),
        corpus.fingerprint,
        len(sentences),
        sentences.width,
        sentences.seed,
        size,
        precision,
    ]
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    place = corpus.directory / "cache"
    targets, state = place / f"teacher-{name}.f16", place / f"teacher-{name}.npz"
    place.mkdir(exist_ok=True)
    shape = (len(sentences), 1 + sentences.width, size)
    done, basis = 0, None
    kept = read_arrays(state) if targets.is_file() else None
    if kept is not None:
        done, basis = int(kept["done"]), kept["basis"]
    if done < len(sentences):
        embed = load_teacher(folder, corpus, precision)
        if basis is None:
            basis = _basis(embed(sentences.rows(np.arange(min(_FITTED, len(sentences)))))[:, 0], size)
        if not done:
            reserve(targets, 2 * int(np.prod(shape)))
        with about(targets):
            array = np.memmap(targets, np.float16, "r+", shape=shape)
        with Progress("teacher", len(sentences), "sentence", initial=done) as progress:
            for start in range(done, len(sentences), _PART):
                stop = min(start + _PART, len(sentences))
                found = embed(sentences.rows(np.arange(start, stop))) @ basis
                array[start:stop] = found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-6)
                array.flush()
                with replace_file(state) as temporary:
                    np.savez(temporary, done=stop, basis=basis)
                progress.update(stop - start)
    with about(targets):
        return np.memmap(targets, np.float16, "r", shape=shape)


def _basis(embeddings: np.ndarray, size: int) -> np.ndarray:
    """The directions in which embeddings `[n, d]` are largest: float32 `[d, size]`, orthonormal columns.

    Raises:
        InputError: the teacher has fewer dimensions than that.
    """
    if size > embeddings.shape[1]:
        raise InputError(
            f"--teacher: gives {embeddings.shape[1]} dimensions, fewer than the {size} of the model that is to learn"
        )
    _, vectors = np.linalg.eigh(embeddings.T.astype(np.float64) @ embeddings)
    return np.ascontiguousarray(vectors[:, ::-1][:, :size].astype(np.float32))
