"""Sentence teachers: models whose sentence embeddings a smaller one learns to give.

A teacher is a BERT in Hugging Face's layout, such as those of sentence-transformers, or any model of this project. A
sentence's embedding is the mean of the last block's output over its tokens, at length 1.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.files import replace_file, reserve
from eelbert_tf.wordpiece import RESERVED

from .corpus import Corpus
from .corpus_parts import read_arrays
from .huggingface import is_bert_folder, load_bert
from .masking import Specials, add_specials, spread_pieces
from .pretrain_pieces import encode_words
from .pretrain_settings import weights_digest
from .sentences import Sentences

Embed = Callable[[np.ndarray], np.ndarray]  # rows int32 [n, W] of word ids to float32 [n, d]

MAX_PIECES = 64
_TOGETHER = 64  # sentences per batch
_PART = 8192  # sentences between two writes
_FITTED = 20_000  # sentences that the projection is fitted on


def load_teacher(folder: str, corpus: Corpus) -> Embed:
    """A function that embeds sentences of the corpus."""
    if is_bert_folder(folder):
        return _bert(folder, corpus)
    return _own(folder, corpus)


def _bert(folder: str, corpus: Corpus) -> Embed:
    backbone, vocabulary = load_bert(folder, max_tokens=MAX_PIECES)
    pad, _, cls, sep, mask = (vocabulary[piece] for piece in RESERVED)
    specials = Specials(cls, sep, mask, pad)
    pieces, ends = encode_words(corpus, vocabulary)

    def inputs(rows: np.ndarray) -> dict[str, np.ndarray]:
        spread, _ = spread_pieces(rows, pieces, ends, MAX_PIECES - 2)
        ids = add_specials(spread, specials)
        used = int((spread >= 0).sum(axis=1).max()) + 2
        ids = ids[:, : min(MAX_PIECES, -used // 8 * -8)]  # few widths: each is traced once
        return {"token_ids": ids, "padding_mask": (ids != pad).astype(np.int32)}

    return _embedder(backbone, inputs)


def _own(folder: str, corpus: Corpus) -> Embed:
    from eelbert_tf.saving import load_backbone

    from .pretrain_words import WordTables

    backbone = load_backbone(folder)
    config = backbone.config
    if config.hash is None:
        raise InputError(f"--teacher: {folder}: a BERT of this project cannot teach; take one with a hash")
    tokens = WordTables(corpus, config, name="teacher_words")
    return _embedder(backbone, lambda rows: tokens(add_specials(rows, tokens.specials)[:, : config.max_tokens]))


def _embedder(backbone: Any, inputs: Callable[[np.ndarray], dict[str, Any]]) -> Embed:
    from eelbert_tf.sentence_encoder import EelbertSentenceEncoder

    encoder = EelbertSentenceEncoder(backbone)

    def embed(rows: np.ndarray) -> np.ndarray:
        order = np.argsort((rows >= 0).sum(axis=1), kind="stable")  # like-sized sentences together: little padding
        found = np.empty((len(rows), backbone.config.hidden_size), np.float32)
        for start in range(0, len(rows), _TOGETHER):
            chosen = order[start : start + _TOGETHER]
            found[chosen] = encoder.predict_on_batch(inputs(rows[chosen]))
        return found

    return embed


def teacher_targets(folder: str, sentences: Sentences, size: int) -> np.ndarray:
    """What a teacher says of some sentences, in `size` dimensions; computed once, then read.

    The directions kept are those in which the teacher's embeddings of the first sentences are largest, so that scalar
    products between sentences stay as they are as far as may be.

    Args:
        folder: the teacher's.
        sentences: the sentences, numbered from 0.
        size: dimensions.

    Returns:
        float16 `[n, size]`, mapped from the disk, of length 1 each.

    Raises:
        InputError: the teacher cannot be read, or the place cannot be written.
    """
    from tqdm import tqdm

    corpus = sentences.corpus
    identity = [weights_digest(folder), corpus.fingerprint, len(sentences), sentences.width, sentences.seed, size]
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    place = corpus.directory / "cache"
    targets, state = place / f"teacher-{name}.f16", place / f"teacher-{name}.npz"
    place.mkdir(exist_ok=True)
    done, basis = 0, None
    kept = read_arrays(state) if targets.is_file() else None
    if kept is not None:
        done, basis = int(kept["done"]), kept["basis"]
    if done < len(sentences):
        embed = load_teacher(folder, corpus)
        if basis is None:
            basis = _basis(embed(sentences.rows(np.arange(min(_FITTED, len(sentences))))), size)
        if not done:
            reserve(targets, len(sentences) * size * 2)
        array = np.memmap(targets, np.float16, "r+", shape=(len(sentences), size))
        with tqdm(total=len(sentences), initial=done, desc="teacher", unit="sentence", file=sys.stderr) as bar:
            for start in range(done, len(sentences), _PART):
                stop = min(start + _PART, len(sentences))
                found = embed(sentences.rows(np.arange(start, stop))) @ basis
                array[start:stop] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
                array.flush()
                with replace_file(state) as temporary:
                    np.savez(temporary, done=stop, basis=basis)
                bar.update(stop - start)
    return np.memmap(targets, np.float16, "r", shape=(len(sentences), size))


def _basis(embeddings: np.ndarray, size: int) -> np.ndarray:
    """The directions in which embeddings `[n, d]` are largest: float32 `[d, size]`, orthonormal columns."""
    if size > embeddings.shape[1]:
        raise InputError(
            f"--teacher: gives {embeddings.shape[1]} dimensions, fewer than the {size} of the model that is to learn"
        )
    _, vectors = np.linalg.eigh(embeddings.T.astype(np.float64) @ embeddings)
    return np.ascontiguousarray(vectors[:, ::-1][:, :size].astype(np.float32))
