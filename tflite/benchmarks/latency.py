"""Latency of one text, from string to logits: EELBERT and its presets on bytes beside BERT-tiny on WordPiece ids."""

from __future__ import annotations

import dataclasses
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import as_data
from eelbert_tf.tflite.flatbuffer.metadata import Length, Metadata
from eelbert_tf.tflite.runtimes.interpreter import LiteRT, Signatures
from eelbert_tf.tflite.runtimes.litert import Runtime

from .timing import interleave, summary

SLOTS = (16, 32, 64, 128)
BYTES_PER_SLOT = 4
# The shape of each model, how it is quantized, and whether its file has shorter graphs.
OURS = {
    "eelbert_uno": ("eelbert_uno", "none", False),
    "eelbert_uno_int8": ("eelbert_uno", "int8", False),
    "uno_en_int8": ("uno_en", "int8", False),
    "uno_en_int8_lengths": ("uno_en", "int8", True),
    "tiny_en_int8_lengths": ("tiny_en", "int8", True),
}
METHOD = (
    "LiteRT, one thread, one text at a time, random weights, two classes. The models take turns on every text, in one "
    "process; p50 and p95 are over all texts and rounds. EELBERT, in float32 and with int8 weights, is given the UTF-8 "
    "bytes of the text and splits and hashes them inside the model; where its file has several lengths, its runtime "
    "counts tokens and takes the shortest graph that holds them. BERT-tiny, in float32, is given the ids of 30,522 "
    "WordPieces, and its tokenization is timed in the same turn. ratio = median of EELBERT / (median of BERT-tiny + "
    "median of its tokenization). Texts are as they are, or joined until they fill all slots."
)


def wordpiece_vocabulary(texts: Sequence[str], size: int = 30522) -> list[str]:
    """A vocabulary of BERT's size for timing: the texts' words and word ends, filled up with unused entries."""
    words = Counter(word for text in texts for word in text.lower().split())
    letters = sorted({c for word in words for c in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    pieces += [word for word, _ in words.most_common(12000)]
    pieces += [f"##{word[-n:]}" for word, _ in words.most_common(3000) for n in (2, 3)]
    unique = list(dict.fromkeys(pieces))[:size]
    return unique + [f"[unused{i}]" for i in range(size - len(unique))]


def rust_tokenizer(vocabulary: Sequence[str], slots: int) -> Callable[[str], np.ndarray]:
    """WordPiece by Hugging Face's `tokenizers`, in Rust: the fastest a user would find. int32 `[1, slots]`.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from tokenizers.implementations import BertWordPieceTokenizer
    except ImportError:
        raise InputError("the BERT baseline needs tokenizers: pip install 'eelbert-tf[bench]'") from None
    tokenizer = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary)})
    tokenizer.enable_truncation(slots)
    tokenizer.enable_padding(length=slots)
    return lambda text: np.array([tokenizer.encode(text).ids], np.int32)


def bert_classifier(config_name: str, slots: int) -> Any:
    """A BERT classifier of two classes with random weights."""
    from eelbert_tf.config import named_config
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier

    config = named_config(config_name).replace(max_position_embeddings=slots, max_tokens=slots)
    return EelbertClassifier(EelbertBackbone(config), 2)


def ids_to_tflite(model: Any) -> bytes:
    """A BERT classifier on token ids as a float TFLite file: int32 `[1, T]` to float32 `[1, C]`."""
    import tensorflow as tf

    from eelbert_tf.tflite.conversion.export import with_constant_weights

    call = with_constant_weights(model)

    @tf.function(input_signature=[tf.TensorSpec((1, model.backbone.config.max_tokens), tf.int32)])
    def serve(ids: Any) -> Any:
        mask = tf.cast(ids != 0, tf.int32)
        return call({"token_ids": ids, "padding_mask": mask})

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], model)
    return converter.convert()


def bytes_to_tflite(name: str, slots: int, quantize: str, lengths: bool = False) -> tuple[bytes, Metadata]:
    """An EELBERT classifier on bytes as `eelbert convert` writes it: int32 `[1, L]` to float32 `[1, 2]`.

    Args:
        name: a named size, or a preset whose shape it is.
        slots: T.
        quantize: as `convert` takes it.
        lengths: whether it has shorter graphs.

    Returns:
        The file, and what it says of itself.
    """
    from eelbert_tf.config import CONFIG_NAMES, named_config
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.saving.folders import find_model
    from eelbert_tf.saving.info import read_info
    from eelbert_tf.tflite.conversion.convert import MOBILE
    from eelbert_tf.tflite.conversion.lengths import shorter_lengths, to_graphs
    from eelbert_tf.tflite.flatbuffer.finish import finish
    from eelbert_tf.tflite.runtimes.models import metadata_of

    limits = {"max_position_embeddings": slots, "max_tokens": slots, "max_bytes": slots * BYTES_PER_SLOT}
    config = named_config(name) if name in CONFIG_NAMES else read_info(find_model(name))[0].config
    model = EelbertClassifier(EelbertBackbone(config.replace(**limits)), 2)
    metadata = metadata_of(model, "mobile", quantize)
    shorter = shorter_lengths(None if lengths else [], metadata.whole)
    metadata = dataclasses.replace(metadata, lengths=shorter)
    graphs = to_graphs(model, shorter)
    for graph in graphs:
        MOBILE[quantize](graph)
    return finish(graphs[0], metadata, graphs[1:]), metadata


def fill(texts: Sequence[str], slots: int) -> list[str]:
    """As many texts, each followed by the next ones until they have a word for every slot."""
    words = [text.split() for text in texts]
    joined = []
    for number in range(len(texts)):
        some: list[str] = []
        while len(some) < slots:
            some += words[number % len(words)] or ["-"]
            number += 1
        joined.append(" ".join(some))
    return joined


class _Ours(Runtime):
    """A file of bytes, from text to logits, in memory."""

    def __init__(self, data: bytes, metadata: Metadata) -> None:
        super().__init__(metadata, zlib.crc32(data))
        self._graphs = Signatures(data)

    def invoke(self, row: np.ndarray, length: Length) -> list[np.ndarray]:
        """Runs LiteRT on one text: see `Runtime`."""
        return list(self._graphs(self.metadata.signature(length), row).values())

    def __call__(self, text: str) -> np.ndarray:
        return self._run(as_data(text, self.metadata.max_bytes))[0]


def _run_ids(run: Callable[[np.ndarray], np.ndarray], ids: dict[str, np.ndarray], text: str) -> np.ndarray:
    return run(ids[text])


def run_suite(texts: Sequence[str], rounds: int = 5) -> dict[str, Any]:
    """Measures the models at several lengths.

    Args:
        texts: what to classify.
        rounds: passes over the texts.

    Returns:
        The method, and for each length and kind of text the times, the file sizes and the ratio.
    """
    vocabulary = wordpiece_vocabulary(texts)
    rows = []
    for slots in SLOTS:
        ours = {
            name: bytes_to_tflite(shape, slots, quantize, several) for name, (shape, quantize, several) in OURS.items()
        }
        theirs = ids_to_tflite(bert_classifier("bert_tiny", slots))
        sizes = {"bert_tiny": len(theirs)} | {name: len(model) for name, (model, _) in ours.items()}
        tokenize, bert = rust_tokenizer(vocabulary, slots), LiteRT(theirs)
        files = {name: _Ours(*file) for name, file in ours.items()}
        for kind, some in (("as they are", texts), ("filling all slots", fill(texts, slots))):
            ids = {text: tokenize(text) for text in some}
            on_ids = partial(_run_ids, bert, ids)
            figures = _measure({**files, "tokenization": tokenize, "bert_tiny": on_ids}, some, rounds, sizes)
            rows.append({"max_tokens": slots, "max_bytes": slots * BYTES_PER_SLOT, "texts": kind, **figures})
    return {"method": METHOD, "texts": len(texts), "rounds": rounds, "rows": rows}


def _measure(
    calls: dict[str, Callable[[str], Any]], texts: Sequence[str], rounds: int, sizes: dict[str, int]
) -> dict[str, Any]:
    """Times of all models and of the tokenization, sizes of files, and ratios of our own."""
    times = interleave(calls, texts, rounds)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    baseline = medians["bert_tiny"] + medians["tokenization"]
    figures: dict[str, Any] = {name: summary(values) for name, values in times.items()}
    for name, size in sizes.items():
        figures[name]["bytes"] = size
    for name in OURS:
        figures[name]["ratio"] = round(medians[name] / baseline, 3)
    return figures
