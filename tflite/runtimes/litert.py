"""Classifies texts with a TFLite file: needs NumPy and LiteRT, neither TensorFlow nor Keras.

>>> runtime = EelbertRuntime("model.tflite")
>>> runtime.classify("turn on the lights")[0]
('lights_on', 0.98)
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import preset_file
from eelbert_tf.scores import EMBEDDING, shorten
from eelbert_tf.text.spans import answer
from eelbert_tf.text.strings import Text, TextOrPair, as_data, pad_bytes, to_bytes
from eelbert_tf.tflite.flatbuffer.metadata import Length, Metadata, read_file, read_metadata
from eelbert_tf.tflite.flatbuffer.verify import TAGGER_OUTPUTS

from .finite import check_logits
from .interpreter import Signatures


class Runtime:
    """What the runtimes share: texts in, logits out, one text at a time.

    Args:
        metadata: labels, limits and kind of the model.
        crc32: of the file, by which an index knows its model.
    """

    def __init__(self, metadata: Metadata, crc32: int) -> None:
        self.metadata = metadata
        self.crc32 = crc32
        self._lock = threading.Lock()

    def invoke(self, row: np.ndarray, length: Length) -> list[np.ndarray]:
        """Runs the model on one text. Called with the lock held.

        Args:
            row: int32 `[1, length.bytes]`.
            length: which of the model's graphs runs.

        Returns:
            The outputs: float32 `[1, num_classes]`; of a tagger `[1, T, tags]`, int32 `[1, T, 2]`, and where texts as
            wholes have classes, float32 `[1, num_classes]`.
        """
        raise NotImplementedError

    def _run(self, data: bytes) -> list[np.ndarray]:
        """The outputs for the bytes of one text, by the shortest graph that holds it."""
        length = self.metadata.length_for(data)
        row = pad_bytes([data], length.bytes).astype(np.int32)
        with self._lock:
            return self.invoke(row, length)

    def predict(self, texts: Iterable[TextOrPair]) -> np.ndarray:
        """Logits of some texts; of a text that is longer than the model's input, their mean over its windows.

        Args:
            texts: strings or bytes, or tuples of two for a model of pairs.

        Returns:
            float32 `[n, num_classes]`, the rows in the order of the texts.

        Raises:
            InputError: a result is NaN or infinite.
        """
        rows = self._predict_texts(texts)
        return np.stack(rows) if rows else np.zeros((0, self.metadata.num_classes), np.float32)

    def _predict_texts(self, texts: Iterable[TextOrPair]) -> list[np.ndarray]:
        """Logits of each text, float32 `[num_classes]`."""
        return [self._predict_text(text) for text in texts]

    def _predict_text(self, text: TextOrPair) -> np.ndarray:
        """Logits of one text, float32 `[num_classes]`: the mean over its windows, where it is longer than one."""
        windows = self.metadata.windows
        if windows is None or isinstance(text, tuple | list):
            return self._logits([text])[0]
        parts, shares = windows.cut_and_weigh(text)
        return np.asarray(shares @ self._logits(parts), np.float32)

    def _logits(self, texts: Sequence[TextOrPair]) -> np.ndarray:
        """Logits of texts that are read in one window each, float32 `[n, num_classes]`."""
        data = (as_data(text, self.metadata.max_bytes) for text in texts)
        return check_logits(np.stack([self._run(row)[0][0] for row in data]))

    def predict_bytes(self, data: np.ndarray) -> np.ndarray:
        """Logits of texts that are bytes already.

        Args:
            data: int32 `[n, max_bytes]`, UTF-8 with zeros behind it, as `encode_texts` gives it.

        Returns:
            float32 `[n, num_classes]`.

        Raises:
            InputError: a result is NaN or infinite.
        """
        rows = data.astype(np.uint8)
        logits = [self._run(row.tobytes().rstrip(b"\0"))[0][0] for row in rows]
        return check_logits(np.stack(logits) if logits else np.zeros((0, self.metadata.num_classes), np.float32))

    def embed(self, texts: Iterable[TextOrPair], width: int | None = None) -> np.ndarray:
        """Embeddings of some texts; the product of two of them is their cosine.

        Args:
            texts: strings or bytes, or tuples of two for a model of pairs.
            width: how many of their first numbers to keep; all by default.

        Returns:
            float32 `[n, width]`, rows of length 1 in the order of the texts.

        Raises:
            InputError: a result is NaN or infinite.
            ValueError: the model gives something else, or is not so wide.
        """
        if self.metadata.task != EMBEDDING:
            raise ValueError(
                f"This model is for {self.metadata.task}, and gives no embeddings: convert an EelbertSentenceEncoder."
            )
        return shorten(self.predict(texts), width)

    def classify(self, text: TextOrPair) -> list[tuple[str | None, float]]:
        """The classes of a text, the likeliest first.

        Args:
            text: a string or bytes, or a tuple of two for a model of pairs.

        Returns:
            Each class with its probability; `None` stands for none of the classes.

        Raises:
            ValueError: the model has no classes: it is a regression or a tagger, or gives embeddings.
        """
        if self.metadata.task == "tagging":
            raise ValueError("A tagger gives spans: use `tag`.")
        return self.metadata.outputs.rank(self.predict([text])[0])

    def answer(self, text: TextOrPair) -> dict[str, Any]:
        """What is said of a text, in one form for every task: what `eelbert predict` says.

        Args:
            text: a string or bytes, or a tuple of two for a model of pairs.

        Returns:
            `label`, `score` and `scores`; or `labels` and `scores` where there may be several; or the `value` of a
            regression, or its `values` by name; or the `spans` of a tagger; or an `embedding`.
        """
        if self.metadata.task == "tagging" and not isinstance(text, tuple):
            return self.tag(text)
        return self.metadata.outputs.answer(self.predict([text])[0])

    def tag_outputs(self, texts: Iterable[Text]) -> list[dict[str, np.ndarray]]:
        """What a tagger gives for texts.

        Args:
            texts: strings or bytes.

        Returns:
            For each `tags`, float32 `[T, tags]`, `positions`, int32 `[T, 2]`, and where texts as wholes have classes,
            `label`, float32 `[num_classes]`.

        Raises:
            InputError: a result is NaN or infinite.
        """
        found = []
        for text in texts:
            outputs = self._run(as_data(text, self.metadata.max_bytes))
            found.append({name: values[0].copy() for name, values in zip(TAGGER_OUTPUTS, outputs, strict=False)})
            check_logits(found[-1]["tags"].reshape(1, -1))
            for name in TAGGER_OUTPUTS[:2]:  # a shorter graph has fewer slots
                spare = self.metadata.max_tokens - len(found[-1][name])
                found[-1][name] = np.pad(found[-1][name], ((0, spare), (0, 0)))
        return found

    def tag(self, text: Text) -> dict[str, Any]:
        """The spans of a text, and its class where texts have one.

        Args:
            text: a string or bytes.

        Returns:
            As `EelbertTagger.tag`.

        Raises:
            ValueError: the model is a classifier, or a regression.
        """
        if self.metadata.task != "tagging":
            raise ValueError("This model gives a class or a number, and no spans: use `classify` or `predict`.")
        (outputs,) = self.tag_outputs([text])
        return answer(outputs, self.metadata.names, self.metadata.labels, to_bytes(text))

    def is_truncated(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of a text, since it is longer than its windows together.

        Args:
            text: a string or bytes, or a tuple of two for a model of pairs.

        Returns:
            `True` where something is left out.
        """
        return self.metadata.is_truncated(text)


class EelbertRuntime(Runtime):
    """A TFLite file that `eelbert convert` wrote, ready to classify.

    Safe to share between threads: a lock lets one text through at a time. For more than one at a time give each
    thread an object of its own, or `predict` several workers. It can be pickled, with the file in it; a forked process
    loads the file again.

    Args:
        path: the file, or the name of a preset that comes with one, `uno_en_sst2` for example.
        threads: threads that LiteRT may use for one text; more than one seldom helps.
        workers: texts that `predict` runs at the same time, each with an interpreter of its own.

    Attributes:
        metadata: labels, limits and kind of the model.

    Raises:
        InputError: there is no such file, or it is damaged, not ours, or of another version.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 1, workers: int = 1) -> None:
        data, metadata = read_file(preset_file(os.fspath(path)) or path)
        self._start(data, metadata, threads, os.fspath(path), workers)

    def _start(self, data: bytes, metadata: Metadata, threads: int, name: str, workers: int = 1) -> None:
        super().__init__(metadata, zlib.crc32(data))
        self._data, self._threads, self._name = data, threads, name
        self._others: list[EelbertRuntime] = []  # who work beside this one
        for _ in range(1, workers):
            other = EelbertRuntime.__new__(EelbertRuntime)
            other._start(data, metadata, threads, name)
            self._others.append(other)
        self._interpreter: Signatures | None = self._load()
        _alive.add(self)

    def _load(self) -> Signatures:
        try:
            return Signatures(self._data, self._threads)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{self._name}: LiteRT cannot load it: {error}") from None

    def __getstate__(self) -> tuple[bytes, int, str, int]:
        return self._data, self._threads, self._name, 1 + len(self._others)

    def __setstate__(self, state: tuple[bytes, int, str, int]) -> None:
        data, threads, name, workers = state
        self._start(data, read_metadata(data, name), threads, name, workers)

    def _predict_texts(self, texts: Iterable[TextOrPair]) -> list[np.ndarray]:
        """Logits of each text, float32 `[num_classes]`; the texts are divided among the workers."""
        texts = list(texts)
        workers = [super()._predict_texts, *(other._predict_texts for other in self._others)][: len(texts)]
        if len(workers) < 2:
            return super()._predict_texts(texts)
        shares = (texts[number :: len(workers)] for number in range(len(workers)))
        with ThreadPoolExecutor(len(workers)) as pool:
            found = list(pool.map(lambda worker, share: worker(share), workers, shares))
        return [found[number % len(workers)][number // len(workers)] for number in range(len(texts))]

    def renew(self) -> None:
        """Forgets an interpreter and a lock that a fork has copied: their threads are not here."""
        self._interpreter, self._lock = None, threading.Lock()

    def invoke(self, row: np.ndarray, length: Length) -> list[np.ndarray]:
        """Runs LiteRT on one text. Called with the lock held.

        Args:
            row: int32 `[1, length.bytes]`.
            length: which of the file's graphs runs.

        Returns:
            The outputs.

        Raises:
            InputError: LiteRT gives up: the file is damaged in a way that only shows while it runs.
        """
        if self._interpreter is None:
            self._interpreter = self._load()
        try:
            outputs = self._interpreter(self.metadata.signature(length), row)
        except RuntimeError as error:
            raise InputError(f"LiteRT cannot run the model: {error}. Copy or convert its file again") from None
        return [outputs[name] for name in TAGGER_OUTPUTS if name in outputs] or list(outputs.values())


_alive: weakref.WeakSet[EelbertRuntime] = weakref.WeakSet()


def _after_fork() -> None:
    for runtime in list(_alive):
        runtime.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
