"""What a firmware kit tests on a board: a few texts, and what TFLite Micro gave for them here."""

from __future__ import annotations

from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.spans import decode
from eelbert_tf.text.strings import TextOrPair, as_data, to_bytes
from eelbert_tf.tflite.kits.c_sources import Expected
from eelbert_tf.tflite.runtimes.litert import Runtime

# None of them is a user's. Several scripts, one that is no UTF-8, one that is longer than most models' input.
TEXTS: tuple[str | bytes, ...] = (
    "",
    "ok",
    "NO!!!",
    "Turn on the lights, please!",
    "turn off the heating in the kitchen at 7:30 tomorrow",
    "a wonderful film with a clever story",
    "The plot is dull and the jokes are old.",
    "How do I get my money back?",
    "my parcel has not arrived, and nobody answers the phone",
    "Schalte bitte das Licht in der Küche aus",
    "¿dónde está la estación de tren?",
    "明天会下雨吗",
    "Привет, как дела?",
    "mail me: someone@example.com, 50 % off",
    b"caf\xe9 \xff\x00 bytes",
    "one two three four five six seven eight nine ten eleven twelve " * 4,
)


def expected(runtime: Runtime) -> list[Expected]:
    """Runs a model on the texts, or on pairs of neighbours where it takes pairs."""
    if runtime.metadata.pair:
        return [_of_text(runtime, pair) for pair in zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True)]
    return [_of_text(runtime, text) for text in TEXTS]


def _of_text(runtime: Runtime, text: TextOrPair) -> Expected:
    metadata = runtime.metadata
    data = as_data(text, metadata.max_bytes) if isinstance(text, tuple | list) else to_bytes(text)
    if metadata.task == "tagging":
        (outputs,) = runtime.tag_outputs([data])
        spans = decode(outputs["tags"], outputs["positions"], metadata.names, data[: metadata.max_bytes])
        found = [(metadata.names.index(span.label), span.start, span.end) for span in spans]
        values = metadata.outputs.probabilities(outputs["label"]).tolist() if metadata.num_classes else []
        return Expected(data, values, found)
    logits = runtime.predict([text])[0]
    if metadata.task in ("regression", EMBEDDING):
        return Expected(data, logits.tolist(), [])
    return Expected(data, metadata.outputs.probabilities(logits).tolist(), [])
