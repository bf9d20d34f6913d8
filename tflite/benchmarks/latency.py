"""Latency of one text, from string to logits: EELBERT-UNO and `uno_en` on bytes beside BERT-tiny on WordPiece ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.runtimes.interpreter import LiteRT

from .timing import interleave, summary

SLOTS = (16, 32, 64, 128)
BYTES_PER_SLOT = 4
# The shape of each model, and how it is quantized.
OURS = {
    "eelbert_uno": ("eelbert_uno", "none"),
    "eelbert_uno_int8": ("eelbert_uno", "int8"),
    "uno_en_int8": ("uno_en", "int8"),
}
METHOD = (
    "LiteRT, one thread, one text at a time, random weights, two classes. The models take turns on every text, in one "
    "process; p50 and p95 are over all texts and rounds. EELBERT, in float32 and with int8 weights, is given the UTF-8 "
    "bytes of the text and splits and hashes them inside the model; BERT-tiny, in float32, is given the ids of 30,522 "
    "WordPieces, and its tokenization is timed in the same turn. ratio = median of EELBERT / (median of BERT-tiny + "
    "median of its tokenization)."
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


def bytes_to_tflite(name: str, slots: int, quantize: str) -> bytes:
    """An EELBERT classifier on bytes as `eelbert convert` writes it: int32 `[1, L]` to float32 `[1, 2]`.

    Args:
        name: a named size, or a preset whose shape it is.
        slots: T.
        quantize: as `convert` takes it.
    """
    from eelbert_tf.config import CONFIG_NAMES, named_config
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.saving.folders import find_model
    from eelbert_tf.saving.info import read_info
    from eelbert_tf.tflite.conversion.convert import MOBILE
    from eelbert_tf.tflite.conversion.export import to_tflite
    from eelbert_tf.tflite.flatbuffer.finish import finish
    from eelbert_tf.tflite.runtimes.models import metadata_of

    limits = {"max_position_embeddings": slots, "max_tokens": slots, "max_bytes": slots * BYTES_PER_SLOT}
    config = named_config(name) if name in CONFIG_NAMES else read_info(find_model(name))[0].config
    model = EelbertClassifier(EelbertBackbone(config.replace(**limits)), 2)
    graph = to_tflite(model)
    MOBILE[quantize](graph)
    return finish(graph, metadata_of(model, "mobile", quantize))


def _run_bytes(run: Callable[[np.ndarray], np.ndarray], width: int, text: str) -> np.ndarray:
    return run(encode_texts([text], width))


def _run_ids(run: Callable[[np.ndarray], np.ndarray], ids: dict[str, np.ndarray], text: str) -> np.ndarray:
    return run(ids[text])


def run_suite(texts: Sequence[str], rounds: int = 5) -> dict[str, Any]:
    """Measures the models at several lengths.

    Args:
        texts: what to classify.
        rounds: passes over the texts.

    Returns:
        The method, and for each length the times, the file sizes and the ratio.
    """
    vocabulary = wordpiece_vocabulary(texts)
    rows = []
    for slots in SLOTS:
        width = slots * BYTES_PER_SLOT
        ours = {name: bytes_to_tflite(shape, slots, quantize) for name, (shape, quantize) in OURS.items()}
        theirs = ids_to_tflite(bert_classifier("bert_tiny", slots))
        tokenize = rust_tokenizer(vocabulary, slots)
        ids = {text: tokenize(text) for text in texts}
        calls: dict[str, Callable[[str], Any]] = {
            **{name: partial(_run_bytes, LiteRT(model), width) for name, model in ours.items()},
            "tokenization": tokenize,
            "bert_tiny": partial(_run_ids, LiteRT(theirs), ids),
        }
        times = interleave(calls, texts, rounds)
        medians = {name: float(np.median(values)) for name, values in times.items()}
        baseline = medians["bert_tiny"] + medians["tokenization"]
        figures: dict[str, Any] = {name: summary(values) for name, values in times.items()}
        figures["bert_tiny"]["bytes"] = len(theirs)
        for name, model in ours.items():
            figures[name] |= {"bytes": len(model), "ratio": round(medians[name] / baseline, 3)}
        rows.append({"max_tokens": slots, "max_bytes": width, **figures})
    return {"method": METHOD, "texts": len(texts), "rounds": rounds, "rows": rows}
