"""Speed of pretraining: EELBERT-UNO compared with KerasHub's BertMaskedLM and with the machine's matrix products."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import BERT_VOCAB_SIZE, EelbertConfig, named_config
from eelbert_tf.errors import InputError
from eelbert_tf.training.pretrain.settings import Settings
from eelbert_tf.training.tokens.stream import BatchStream, for_fit

SETTINGS = Settings(steps=1_000_000, batch_size=128, sequence_length=64, output_words=4096)
STEPS = {"eelbert_uno": 40, "finetune": 40, "keras_hub": 8}  # per round: each then takes about the same time
_SQUARE = 2048
_WORDS = 200_000  # in the corpus

METHOD = (
    "Batches of 128 sequences of 64 tokens, 15 % of the words masked, float32, both with AdamW and compiled by XLA, "
    "all cores, the same process, measured in turn. A round of each is one `model.fit` of some steps, after one that "
    "compiles; its time is from the end of the first step to the end of the last. A token is a slot of the batch, "
    "padding included. eelbert_uno is what `eelbert pretrain` runs, masking on the host included: hashed input, 4,096 "
    "output words, the masked positions gathered before the last block's output. keras_hub is "
    "keras_hub.models.BertMaskedLM of the same shape (2 layers, width 128, 2 heads, feed-forward 128, no dropout) "
    "with BERT's table of 30,522 pieces at input and output, its ids masked anew by its MaskedLMMaskGenerator in "
    "tf.data. finetune is what `eelbert finetune` runs on texts that fill as many slots, with its dropout of 0.1: an "
    "encoder of the same shape under a head of four classes, each distinct word hashed once before the first step. "
    "FLOPs of a step are those of its matrix products, two for each multiplication and addition: forward, "
    "and twice that backward, save for the product with the output words' vectors, which are frozen and need no "
    "gradient; element-wise work is not counted. The peak is the rate of the product of two float32 matrices of 2,048 "
    "x 2,048, the best of several before each round, by TensorFlow's kernels or by XLA, whichever is faster; share = "
    "FLOPs per second of the median round / the median of these peaks."
)


def run_suite(texts: Sequence[str], rounds: int = 5) -> dict[str, Any]:
    """Measures pretraining, fine-tuning and KerasHub's pretraining in turn.

    Args:
        texts: the corpus; they are repeated, and generated words are added to have 4,096 distinct ones.
        rounds: how often each is measured.

    Returns:
        The method, tokens per second of each (median, lowest, highest), the ratio of pretraining to KerasHub's and of
        fine-tuning to pretraining, and the share of the peak.

    Raises:
        InputError: KerasHub is not installed, or the backend is not TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError("the training suite compares on TensorFlow; set KERAS_BACKEND=tensorflow")
    tokens = SETTINGS.tokens_per_step
    with tempfile.TemporaryDirectory() as folder:
        fits = {
            "eelbert_uno": _eelbert(texts, Path(folder)),
            "finetune": _finetune(texts),
            "keras_hub": _keras_hub(),
        }
        seconds: dict[str, list[float]] = {name: [] for name in fits}
        peaks: dict[str, list[float]] = {"square": [], "output": []}
        for turn in range(rounds + 1):
            for name, product in _products().items():
                peaks[name].append(product())
            for name, fit in fits.items():
                clock = _clock()
                fit(STEPS[name], clock)
                if turn:
                    seconds[name].append((clock.times[-1] - clock.times[0]) / (STEPS[name] - 1))
    ours, tuned, theirs = (np.median(seconds[name]) for name in fits)
    flops, peak = step_flops(named_config("eelbert_uno"), SETTINGS), float(np.median(peaks["square"][1:]))
    return {
        "method": METHOD,
        "rounds": rounds,
        "cores": os.cpu_count(),
        **{name: _summary(tokens / np.array(values)) for name, values in seconds.items()},
        "ratio": round(float(theirs / ours), 2),
        "finetune_to_pretraining": round(float(ours / tuned), 2),
        "step_ms": round(float(ours) * 1e3, 1),
        "step_gflop": round(flops / 1e9, 2),
        "gflops": round(flops / ours / 1e9, 1),
        "peak_gflops": round(peak / 1e9, 1),
        "output_product_gflops": round(float(np.median(peaks["output"][1:])) / 1e9, 1),
        "share_of_peak": round(flops / ours / peak, 3),
    }


def step_flops(config: EelbertConfig, settings: Settings) -> int:
    """Floating-point operations of the matrix products in one step of `mlm` with hashed input (see `METHOD`)."""
    batch, length, size = settings.batch_size, settings.sequence_length, config.hidden_size
    masked = max(1, round(settings.mask_rate * length))  # masked positions of a row
    multiplied = 0  # multiplications, each with an addition
    for block in range(config.num_hidden_layers):
        rows = length if block < config.num_hidden_layers - 1 else masked  # the last block computes these only
        multiplied += 2 * length * size * size  # keys and values
        multiplied += 2 * rows * size * size  # queries and the attention's output
        multiplied += 2 * rows * length * size  # scores and contexts
        multiplied += 2 * rows * size * config.intermediate_size
    multiplied += masked * size * size  # the head's transform
    output = masked * size * settings.output_words
    return 2 * batch * (3 * multiplied + 2 * output)


def _summary(rates: np.ndarray) -> dict[str, int]:
    """Tokens per second."""
    low, median, high = np.percentile(rates, [0, 50, 100])
    return {"tokens_per_second": round(float(median)), "lowest": round(float(low)), "highest": round(float(high))}


def _clock() -> Any:
    """A callback that records when each step ended."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.times.append(time.perf_counter())

    return Clock()


def _eelbert(texts: Sequence[str], folder: Path) -> Callable[[int, Any], None]:
    """This project's training: a function that does some steps and reports to a callback."""
    from eelbert_tf.training.corpus.reader import Corpus
    from eelbert_tf.training.corpus.sources import Source
    from eelbert_tf.training.corpus.writer import build_corpus
    from eelbert_tf.training.pretrain.run import build_model

    words = [word for text in texts for word in text.split()]
    words = (words * (_WORDS // max(1, len(words)) + 1))[:_WORDS]
    words += [f"{'abcdefghij'[i % 10]}{i}" for i in range(SETTINGS.output_words)]
    documents = [" ".join(words[i : i + 2000]) for i in range(0, len(words), 2000)]
    (folder / "text.txt").write_text("\n\n".join(documents), "utf-8")
    build_corpus([Source(str(folder / "text.txt"), "documents")], folder / "corpus", 1)
    corpus = Corpus(folder / "corpus")
    model = build_model(corpus, named_config("eelbert_uno"), SETTINGS)
    model.compile(model.optimizer, jit_compile=True)
    corrupt = model.objective.corruption(SETTINGS.sequence_length)
    stream = BatchStream(corpus.sequences(SETTINGS.sequence_length), corrupt, SETTINGS.batch_size)

    def fit(steps: int, clock: Any) -> None:
        data = for_fit(lambda: stream.batches(0, steps), stream.batch(0))
        model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])

    return fit


def _finetune(texts: Sequence[str]) -> Callable[[int, Any], None]:
    """This project's fine-tuning, in the same form."""
    import keras

    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.models.optimizer import adamw

    slots, batch = SETTINGS.sequence_length, SETTINGS.batch_size
    words = [word for text in texts for word in text.split() if word.isalnum()] or ["word"]
    words = (words * (_WORDS // len(words) + 1))[:_WORDS]
    long = [" ".join(words[i : i + slots]) for i in range(0, len(words) - slots, slots)]
    steps = STEPS["finetune"]
    long = (long * (steps * batch // len(long) + 1))[: steps * batch]
    config = named_config("eelbert_uno").replace(max_tokens=slots, max_bytes=64 * slots)
    model = EelbertClassifier(EelbertBackbone(config), 4)
    model.compile(adamw(model, 1e-3, SETTINGS.steps), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ready, labels = model.ready(long, model.word_hashes(), SETTINGS.steps), np.arange(len(long)) % 4

    def fit(_: int, clock: Any) -> None:  # as many steps as there are batches
        model.fit(ready, labels, batch, verbose=0, callbacks=[clock])

    return fit


def _keras_hub() -> Callable[[int, Any], None]:
    """KerasHub's training, in the same form.

    Raises:
        InputError: KerasHub is not installed.
    """
    import keras
    import tensorflow as tf

    try:
        import keras_hub
    except ImportError:
        raise InputError("the training suite needs keras-hub: pip install 'keras-hub>=0.21,<1'") from None
    config = named_config("eelbert_uno")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=BERT_VOCAB_SIZE,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        max_sequence_length=config.max_position_embeddings,
        dropout=0.0,
    )
    model = keras_hub.models.BertMaskedLM(backbone)
    optimizer = keras.optimizers.AdamW(SETTINGS.learning_rate, global_clipnorm=SETTINGS.clip_norm)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
    length, rng = SETTINGS.sequence_length, np.random.default_rng(0)
    ids = rng.integers(5, BERT_VOCAB_SIZE, (SETTINGS.batch_size, length), np.int32)
    ids[:, 0], ids[:, -1], mask = 2, 3, 4
    masker = keras_hub.layers.MaskedLMMaskGenerator(
        vocabulary_size=BERT_VOCAB_SIZE,
        mask_selection_rate=SETTINGS.mask_rate,
        mask_token_id=mask,
        mask_selection_length=round(SETTINGS.mask_rate * length),
        unselectable_token_ids=[0, 2, 3],
    )

    def features(ids: Any) -> tuple[Any, Any, Any]:
        masked = masker(ids)
        inputs = {
            "token_ids": masked["token_ids"],
            "segment_ids": tf.zeros_like(ids),
            "padding_mask": tf.ones_like(ids, tf.bool),
            "mask_positions": masked["mask_positions"],
        }
        return inputs, masked["mask_ids"], masked["mask_weights"]

    data = tf.data.Dataset.from_tensors(ids).repeat().map(features, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return lambda steps, clock: model.fit(data, steps_per_epoch=steps, verbose=0, callbacks=[clock])


def _products() -> dict[str, Callable[[], float]]:
    """Functions that measure matrix products in FLOPs per second: square matrices, and the step's largest product."""
    masked = SETTINGS.batch_size * round(SETTINGS.mask_rate * SETTINGS.sequence_length)
    size = named_config("eelbert_uno").hidden_size
    return {
        "square": lambda: _best(_SQUARE, _SQUARE, _SQUARE),
        "output": lambda: _best(masked, size, SETTINGS.output_words),
    }


def _best(rows: int, inner: int, columns: int, repeats: int = 6) -> float:
    """The highest rate in some products of `[rows, inner]` and `[inner, columns]`, in FLOPs per second."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    a, b = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ((rows, inner), (inner, columns)))
    seconds = []
    for compiled in (False, True):
        product = tf.function(tf.matmul, jit_compile=compiled)
        product(a, b)
        for _ in range(repeats):
            begin = time.perf_counter()
            product(a, b)
            seconds.append(time.perf_counter() - begin)
    return 2 * rows * inner * columns / min(seconds)
