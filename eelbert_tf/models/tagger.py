"""Tags and slots: parts of a text that have names, and beside them, where wanted, the class of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.base import Preprocessor
from eelbert_tf.preprocessing.batches import OrderedBatches
from eelbert_tf.preprocessing.columns import as_texts, one_line
from eelbert_tf.preprocessing.targets import class_targets
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.text import positions, splitting
from eelbert_tf.text.spans import Span, answer, tag_names, tags_of_tokens
from eelbert_tf.text.strings import as_data, pad_bytes, to_bytes

from .backbone import EelbertBackbone, unit_mean
from .layers import to_byte_tensor
from .optimizer import AdamW
from .presets import assign
from .tagging_layers import TokenFeatures, Window, tags_loss
from .task import BATCH_SIZE, Task, stored_preprocessor

Tensor = Any

LEARNING_RATE = 1e-3  # without a schedule; `eelbert finetune` has one
NO_LABEL = -1


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertTagger(Task):
    """Finds parts of texts: names, places and times in sentences, or the slots of a command beside its intent.

    The encoder's output and what the bytes say of each word (`TokenFeatures`) go through a layer that sees a token and
    those beside it. The loss is that of a conditional random field with the transitions of BIO.

    Args:
        backbone: an `EelbertBackbone` with a hash, for single texts.
        names: names of spans.
        labels: names of the classes of whole texts, intents for example; `None` where texts have none.
        units: width of the layer before the tags.
        dropout: rate on its input and its output.
        features: arguments of `TokenFeatures` that differ from its defaults.
        preprocessor: turns texts into the backbone's inputs; by default what suits the backbone.
        lexicon: whether the tags see the lexicon's part of each token too, where the backbone has `lexicon_skip`.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them.

    Call arguments:
        inputs: texts, or bytes as the backbone takes them.
        training: whether dropout applies.

    Returns:
        A dictionary: `tags` float32 `[B, T, 2 n + 1]`, logits in the order of `spans.tag_names`; `positions` int32
        `[B, T, 2]`, first byte and byte behind the last of each token, both 0 where there is none; with `labels` also
        `label` float32 `[B, C]`, logits.

    Raises:
        ValueError: names are missing or occur twice, or the backbone is one of pairs or has a vocabulary.

    Example:

    >>> tagger = EelbertTagger(EelbertBackbone.from_name("eelbert_uno"), ["time"], labels=["alarm", "weather"])
    >>> answer = {"label": "alarm", "spans": [{"start": 11, "end": 15, "label": "time"}]}
    >>> history = tagger.fit(["wake me at nine"], [answer], verbose=0)
    >>> spans = tagger.tag("wake me at ten")["spans"]
    """

    preset_kinds = ("backbone", "classifier", "tagger")

    def __init__(
        self,
        backbone: EelbertBackbone,
        names: Sequence[str],
        labels: Sequence[str] | None = None,
        units: int = 128,
        dropout: float = 0.2,
        features: dict[str, Any] | None = None,
        preprocessor: Preprocessor | None = None,
        lexicon: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, preprocessor, **kwargs)
        config = backbone.config
        if backbone.pair or config.hash is None:
            kind = "pairs" if backbone.pair else "a vocabulary"
            raise ValueError(f"A tagger reads bytes of single texts. Received: a backbone with {kind}")
        for argument, values in (("names", names), ("labels", labels or ())):
            if isinstance(values, str) or len(set(values)) < len(values):
                raise ValueError(f"`{argument}` must differ from one another. Received: {argument}={values!r:.200}")
        if not names:
            raise ValueError("`names` must hold at least one name of a span. Received none")
        self.names = [str(name) for name in names]
        self.labels = None if not labels else [str(label) for label in labels]
        self.units = units
        self.lexicon = lexicon
        self.dropout_rate = dropout
        policy = self.dtype_policy
        self.token_features = TokenFeatures(config.hash, name="features", dtype=policy, **(features or {}))
        self.beside_encoded = Window(units, 1, name="beside_encoded", dtype=policy)
        self.beside_words = Window(units, 2, name="beside_words", dtype=policy)
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=policy)
        self.tagger = keras.layers.Dense(len(tag_names(self.names)), dtype=policy.variable_dtype, name="tagger")
        self.classifier = (
            keras.layers.Dense(len(self.labels), dtype=policy.variable_dtype, name="classifier")
            if self.labels
            else None
        )
        self.build()
        self.compile()

    def build(self, input_shape: Any = None) -> None:
        """Creates the head."""
        if self.built:
            return
        config = self.backbone.config
        self.token_features.build()
        self.beside_encoded.build((None, None, config.hidden_size))
        self.beside_words.build((None, None, self.token_features.size))
        self.tagger.build((None, None, self.units))
        if self.classifier is not None:
            self.classifier.build((None, self.backbone.pooled_size + self.units))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        fields = inputs if isinstance(inputs, dict) else {"bytes": inputs}
        if "bytes" not in fields:
            raise ValueError(f"A tagger takes texts, or `bytes`. Received keys: {sorted(fields)}")
        backbone = self.backbone
        config = backbone.config
        data = to_byte_tensor(fields["bytes"], config.max_bytes)
        mask = fields.get("padding_mask")
        slots = config.max_tokens if mask is None else ops.shape(mask)[1]
        tokens, layout = splitting.lay_out(backbone.hash_embedding.split(data), config.max_bytes, slots)
        features, places = self.token_features(data, tokens=tokens, layout=layout, num_slots=slots, training=training)
        encoded = backbone({**fields, "bytes": data}, training=training)
        seen = encoded["token_output" if self.lexicon else "sequence_output"]
        x = self.beside_encoded(self.dropout(seen, training=training))
        x = ops.relu(x + self.beside_words(self.dropout(features, training=training)))  # [B, T, units]
        found = {
            "tags": self.tagger(self.dropout(x, training=training)),
            "positions": ops.cast(places, "int32"),
        }
        if self.classifier is not None:
            whole = [encoded["pooled_output"], unit_mean(x, ops.cast(encoded["padding_mask"], x.dtype))]
            found["label"] = self.classifier(self.dropout(ops.concatenate(whole, axis=-1), training=training))
        return found

    def compile(self, optimizer: Any = "auto", **kwargs: Any) -> None:
        """`keras.Model.compile`; the loss is the tagger's own.

        Args:
            optimizer: by default AdamW at 0.001 that decays matrices alone and clips gradients at a norm of 1.
            **kwargs: as Keras takes them.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0)
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model from a file of Keras as it was compiled; `config` is what `get_compile_config` gave."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of a batch: of its tags, by token, and of its classes, by text.

        Args:
            x: not used.
            y: int32 `[B, 1 + max_tokens]`, as `encode_answers` gives them.
            y_pred: what the call gives.
            sample_weight: float `[B]`, the weight of each text.
            training: not used.

        Returns:
            A scalar.
        """
        logits = ops.cast(y_pred["tags"], "float32")
        tags = y[:, 1 : 1 + ops.shape(logits)[1]]
        weights = ops.ones_like(logits[:, 0, 0]) if sample_weight is None else ops.cast(sample_weight, "float32")
        count = ops.sum(ops.cast(ops.greater_equal(tags, 0), "float32") * ops.expand_dims(weights, 1))
        loss = ops.sum(tags_loss(logits, tags) * weights) / ops.maximum(count, 1.0)
        if self.classifier is not None:
            known = weights * ops.cast(ops.greater_equal(y[:, 0], 0), "float32")
            each = keras.losses.sparse_categorical_crossentropy(
                ops.maximum(y[:, 0], 0), ops.cast(y_pred["label"], "float32"), from_logits=True
            )
            loss = loss + ops.sum(each * known) / ops.maximum(ops.sum(known), 1e-6)
        return loss

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """`keras.Model.fit` on texts, in batches of about one length.

        Args:
            x: texts.
            y: for each its answer, as `tag` gives it: a dictionary with `spans`, of which each has `start` and `end`,
                characters of the text, and `label`; and with `label`, where the model has `labels`. Or spans alone.
            batch_size: texts per step; 32 by default.
            **kwargs: as `Task.fit` takes them.

        Returns:
            The loss of each epoch, as `history`.

        Raises:
            ValueError: texts and answers do not fit one another, or the model.
        """
        if kwargs.get("class_weight") is not None:
            raise ValueError("A tagger takes no `class_weight`; give texts a `sample_weight`.")
        if _are_targets(y):  # of texts that are perhaps encoded already
            return super().fit(x, y, batch_size, **kwargs)
        texts = self._texts(x)
        if isinstance(kwargs.get("validation_data"), tuple):
            held_out, truth, *rest = kwargs["validation_data"]
            held_out = self._texts(held_out)
            kwargs["validation_data"] = (held_out, self.encode_answers(held_out, truth), *rest)
        return super().fit(texts, self.encode_answers(texts, y), batch_size, **kwargs)

    def evaluate(  # type: ignore[override]
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """`keras.Model.evaluate` on texts.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: texts per step; 32 by default.
            **kwargs: as `Task.evaluate` takes them.

        Returns:
            The loss.

        Raises:
            ValueError: as `fit`.
        """
        if not _are_targets(y):
            x = self._texts(x)
            y = self.encode_answers(x, y)
        return super().evaluate(x, y, batch_size, **kwargs)

    def _build_training(self, targets: np.ndarray) -> None:
        if self.compiled and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _texts(self, x: Any) -> list[Any]:
        texts = as_texts(x, False)
        if texts is None:
            raise ValueError(f"A tagger learns from texts. Received: {one_line(x)}")
        return texts

    def encode_answers(self, texts: Sequence[str | bytes], answers: Any) -> np.ndarray:
        """Answers as the loss takes them.

        Args:
            texts: what they are of.
            answers: as in `fit`; or what this gives.

        Returns:
            int32 `[n, 1 + max_tokens]`: the number of the class, -1 for none, and the tags of tokens, -1 for no token.

        Raises:
            ValueError: there are more or fewer than texts, or one is wrong; the message names its row.
        """
        if _are_targets(answers):
            return answers
        rows = list(answers)
        if len(rows) != len(texts):
            raise ValueError(f"Expected one answer per text. Received: {len(texts)} texts and {len(rows)} answers")
        targets = np.full((len(rows), 1 + self.backbone.config.max_tokens), NO_LABEL, np.int32)
        whole = [row.get("label") if isinstance(row, dict) else None for row in rows]
        if self.labels and any(label is not None for label in whole):
            targets[:, 0] = class_targets(whole, self.labels, len(self.labels))
        for row, (text, given, place) in enumerate(zip(texts, rows, self.token_positions(texts), strict=True)):
            spans = [self._span(span, text, row) for span in (given["spans"] if isinstance(given, dict) else given)]
            targets[row, 1:] = tags_of_tokens(spans, place, self.names)
        return targets

    def _span(self, span: Any, text: str | bytes, row: int) -> Span:
        """A span by characters as one by bytes.

        Raises:
            ValueError: it has no place in the text, or an unknown name.
        """
        keys = ("start", "end", "label")
        start, end, label = (span[key] for key in keys) if isinstance(span, dict) else span[:3]
        if label not in self.names:
            raise ValueError(
                f"Unknown name of a span in row {row}. Known: {self.names!r:.200}. Received: {label!r:.100}"
            )
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"A span in row {row} is outside of its text of {len(text)} characters. Received: {span!r}"
            )
        return Span(label, len(to_bytes(text[:start])), len(to_bytes(text[:end])))

    def token_positions(self, texts: Sequence[str | bytes]) -> np.ndarray:
        """Bytes of the tokens that the model sees.

        Args:
            texts: strings or bytes.

        Returns:
            int32 `[n, max_tokens, 2]`, as its call gives them.
        """
        config = self.backbone.config
        normalization = config.hash.normalization if config.hash is not None else 0
        rows = [as_data(text, config.max_bytes) for text in texts]
        found = np.zeros((len(rows), config.max_tokens, 2), np.int32)
        order = np.argsort([len(row) for row in rows], kind="stable")
        for chunk in np.array_split(order, max(1, len(rows) // 256)):
            if not len(chunk):
                continue
            width = min(config.max_bytes, max(16, -len(rows[chunk[-1]]) // 16 * -16))
            slots = min(config.max_tokens, width + 2)
            data = ops.convert_to_tensor(pad_bytes([rows[i] for i in chunk], width).astype(np.int32))
            tokens, layout = splitting.lay_out(splitting.split(data, normalization), config.max_bytes, slots)
            places = positions.token_positions(data, *positions.marks(tokens, layout, slots), normalization)
            found[chunk, :slots] = ops.convert_to_numpy(places)
        return found

    def predict(  # type: ignore[override]
        self, x: Any, batch_size: int | None = None, **kwargs: Any
    ) -> dict[str, np.ndarray]:
        """What the call gives for texts, in their order and with `max_tokens` slots.

        Args:
            x: texts.
            batch_size: texts per step; 32 by default.
            **kwargs: not used; as Keras takes them.

        Returns:
            As the call, of all texts.
        """
        encoded = self.encode(self._texts(x))
        assert encoded is not None
        if not len(encoded):
            encoded = self.encode([""])
            return {name: values[:0] for name, values in self.predict_on_batch(encoded).items()}
        found: dict[str, np.ndarray] = self.predict_batches(OrderedBatches(encoded, None, batch_size or BATCH_SIZE))
        return found

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:  # type: ignore[override]
        """`keras.Model.predict_on_batch` that also takes texts.

        Args:
            x: texts, or the backbone's inputs.

        Returns:
            As the call, with `max_tokens` slots.
        """
        inputs = self._inputs(x)
        found = super(Task, self).predict_on_batch(x if inputs is None else inputs)
        missing = self.backbone.config.max_tokens - found["tags"].shape[1]
        slots = ((0, 0), (0, missing), (0, 0))
        return {name: x if name == "label" else np.pad(x, slots) for name, x in found.items()}

    def tag(self, texts: Any) -> Any:
        """The spans of texts, and their classes: the same answers as the runtimes for devices give.

        Args:
            texts: a text, or a column of them.

        Returns:
            For one text, a dictionary: `spans`, of which each has `label`, `text`, `start` and `end` (characters),
            `start_byte`, `end_byte` and `score`; and with `labels` also `label`, `score` and `scores`. For a column, a
            list of these.
        """
        one = isinstance(texts, str | bytes)
        rows = self._texts([texts] if one else texts)
        found = self.predict(rows)
        answers = [
            answer({name: values[i] for name, values in found.items()}, self.names, self.labels, to_bytes(text))
            for i, text in enumerate(rows)
        ]
        return answers[0] if one else answers

    def answer(self, texts: Any) -> Any:
        """What is said of texts, in one form for every task: as `tag`.

        Args:
            texts: a text, or a column of them.

        Returns:
            A dictionary, or a list of them.
        """
        return self.tag(texts)

    def scale_outputs(self, tags: float, label: float = 1.0) -> None:
        """Multiplies logits by positive factors, in the weights: the likeliest tags and classes stay so.

        Args:
            tags: factor of the tags' logits.
            label: of those of the classes of whole texts.
        """
        heads = [(self.tagger, tags), *([(self.classifier, label)] if self.classifier is not None else [])]
        for head, factor in heads:
            for weight in head.weights:
                weight.assign(ops.convert_to_numpy(weight) * np.float32(factor))

    @property
    def num_outputs(self) -> int:
        """Logits of a token."""
        return len(tag_names(self.names))

    @property
    def num_classes(self) -> int:
        """Classes of whole texts; 0 where they have none."""
        return len(self.labels or ())

    @property
    def task(self) -> str:
        """What the model does."""
        return "tagging"

    def describe(self) -> ModelInfo:
        """What `config.json` is to say of the model."""
        sizes = self.token_features.sizes()
        head = {"names": self.names, "units": self.units, "features": sizes, "lexicon": self.lexicon}
        return ModelInfo(self.backbone.config, "tagger", False, self.num_classes, self.labels, "tagging", head=head)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        return {
            **super().get_config(),
            "names": self.names,
            "labels": self.labels,
            "units": self.units,
            "dropout": self.dropout_rate,
            "features": self.token_features.sizes(),
            "lexicon": self.lexicon,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EelbertTagger:
        """The inverse of `get_config`; before there was `lexicon`, tags did not see it."""
        tagger: EelbertTagger = super().from_config({"lexicon": False, **config})
        return tagger

    @classmethod
    def from_preset(
        cls,
        name: str | Path,
        *,
        names: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        units: int = 128,
        dropout: float = 0.2,
        features: dict[str, Any] | None = None,
        dtype: Any = None,
        **changes: Any,
    ) -> EelbertTagger:
        """A tagger from a preset or a folder; its head is fresh where none for these names was saved.

        Args:
            name: a preset's name, or a folder that `save_to_preset` wrote.
            names: names of spans; as saved by default.
            labels: names of the classes of whole texts; with `names` `None` for none, else as saved.
            units: width of the layer before the tags, of a fresh head.
            dropout: rate on input and output of the layer before the tags.
            features: arguments of `TokenFeatures`, of a fresh head.
            dtype: a dtype policy; Keras's global one by default.
            **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

        Returns:
            The tagger.

        Raises:
            InputError: there is no such model, it is damaged, or it has no head and no names are given.
            ValueError: a change is out of range.
        """
        stored = read_stored(name)
        info = stored.info
        kept = info.kind == "tagger" and (
            names is None or (list(names) == info.head["names"] and list(labels or ()) == list(info.labels or ()))
        )
        if names is None:
            if not kept:
                raise InputError(f"{name}: an encoder without tags: train it first (eelbert finetune), or give `names`")
            names, labels = info.head["names"], [label or "" for label in info.labels] if info.labels else None
        backbone = EelbertBackbone.from_stored(stored, False, dtype, **changes)
        lexicon = True
        if kept:
            units, features, lexicon = info.head["units"], info.head["features"], info.head.get("lexicon", False)
        tagger = cls(backbone, names, labels, units, dropout, features, stored_preprocessor(stored, backbone), lexicon)
        if kept:
            assign(tagger, stored)
        return tagger


def _are_targets(y: Any) -> bool:
    """Whether answers are encoded already."""
    return isinstance(y, np.ndarray) and y.dtype == np.int32
