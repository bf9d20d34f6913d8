"""Text classification, with one label or several, and regression: a dense layer on what the encoder makes of a text."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf.config import PACKAGE, LexicalConfig
from eelbert_tf.disk.progress import Progress
from eelbert_tf.errors import InputError, InputWarning
from eelbert_tf.linear.heads import Heads, fit_heads
from eelbert_tf.preprocessing.base import Preprocessor
from eelbert_tf.preprocessing.columns import as_list, as_texts, one_line
from eelbert_tf.preprocessing.targets import binary_targets, class_targets, multilabel_targets, number_targets
from eelbert_tf.reports.evaluation import evaluate
from eelbert_tf.reports.page import write_report
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.scores import TASKS, Outputs

from .backbone import EelbertBackbone
from .checks import check_count
from .frozen import text_features
from .lexical import LexicalHead
from .optimizer import AdamW
from .presets import assign
from .target_unit import TargetUnit
from .task import Task, stored_preprocessor
from .windows import mean_of_windows, split_windows

Tensor = Any

LEXICAL_LOGITS = "lexical_logits"  # among the backbone's inputs: float [B, num_classes], in place of the lexical head's
LEARNING_RATE = 5e-4  # without a schedule; `eelbert finetune` has one


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertClassifier(Task):
    """Texts in, logits out: a dropout and a dense layer on the pooled output.

    It is compiled when it is made: AdamW, and cross-entropy with accuracy or, for a regression, the mean squared error.
    `compile` changes that. `fit`, `evaluate` and `predict` take texts as they are, and labels as names or numbers.

    Args:
        backbone: an `EelbertBackbone`.
        num_classes: number of logits; as many as there are labels by default, else 2, and 1 for binary and regression.
            One logit makes a classification a binary one.
        labels: names of the classes, in the order of the logits; of a binary task two, the second being the logit's;
            of a regression the names of its numbers. A classification's may end with `None`, the class of texts that
            belong to no other: the answer to them has no label.
        dropout: rate before the dense layer.
        task: "classification" for one class a text, "binary" for one of two with a single logit, "multilabel" for any
            number of labels a text, or "regression".
        thresholds: probabilities from which on the second of two classes, or each of several labels, is given; 0.5 by
            default.
        preprocessor: turns texts into the backbone's inputs; by default what suits a backbone with a hash.
        lexical: size of a lexical head beside the dense layer, empty until `fit_head` fills it; `None` for none.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them.

    Call arguments:
        inputs: texts, or anything the backbone takes; a dictionary of such with one more axis, `[B, W, ...]`, is of
            texts in windows, whose logits are averaged by their tokens.
        training: whether dropout applies.

    Returns:
        float `[B, num_classes]`: logits, or numbers in the unit of the targets; float32 also where the layers compute
        in half precision.

    Raises:
        ValueError: labels do not fit `num_classes`, or the preprocessor does not fit the backbone.

    Example:

    >>> classifier = EelbertClassifier(EelbertBackbone.from_name("eelbert_uno"), labels=["bad", "good"])
    >>> history = classifier.fit(["a fine film", "a waste of time"], ["good", "bad"], verbose=0)
    >>> label, probability = classifier.classify("a fine waste of a film")[0]
    """

    preset_kinds = ("backbone", "classifier")
    hash_words_once = True
    reads_windows = True

    def __init__(
        self,
        backbone: EelbertBackbone,
        num_classes: int | None = None,
        labels: Sequence[str | None] | None = None,
        dropout: float = 0.1,
        task: str = "classification",
        preprocessor: Preprocessor | None = None,
        lexical: LexicalConfig | dict[str, Any] | None = None,
        thresholds: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, preprocessor, **kwargs)
        task, num_classes = _task_and_size(task, num_classes, labels)
        if isinstance(labels, str):
            raise ValueError(f"`labels` must be a list of names. Received: labels={labels!r:.100}")
        self.num_classes = num_classes
        self.labels = None if labels is None else [None if label is None else str(label) for label in labels]
        self.dropout_rate = dropout
        self.task = task
        self.thresholds = thresholds
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)
        normal = keras.initializers.TruncatedNormal(stddev=backbone.config.initializer_range)
        self.classifier = keras.layers.Dense(
            num_classes, kernel_initializer=normal, dtype=self.dtype_policy.variable_dtype, name="classifier"
        )
        self.lexical: Any = None
        self._set_lexical(lexical)
        self.target_unit = TargetUnit(num_classes, name="target_unit") if task == "regression" else None
        self.build()
        self.compile()

    def _set_lexical(self, config: LexicalConfig | dict[str, Any] | None) -> None:
        """Puts an empty lexical head in place of the one that there is, unless that has this size, or takes it away.

        Raises:
            ValueError: the backbone has a vocabulary in place of a hash.
        """
        if config == (None if self.lexical is None else self.lexical.config):
            return  # what was compiled stays
        if self.built:  # Keras guards what is built; none of this is trainable, so that an optimizer does not mind
            self._tracker.unlock()
        if self.lexical is not None:
            self._layers.remove(self.lexical)
            self.lexical = None
        if config is not None:
            if self.backbone.config.hash is None:
                raise ValueError("A lexical head looks up words by their hash. Received: a backbone with a vocabulary")
            self.lexical = LexicalHead(config, self.num_classes, self.backbone.config.hash, name="lexical")
        if self.built:
            if self.lexical is not None:
                with self._open_name_scope():  # weights are saved by their paths
                    self.lexical.build()
            self._tracker.lock()
            self.train_function = self.test_function = self.predict_function = None

    def remove_lexical(self) -> None:
        """Takes away the lexical head, for an export of what else there is."""
        self._set_lexical(None)

    def build(self, input_shape: Any = None) -> None:
        """Creates the head."""
        if not self.built:
            self.classifier.build((None, self.backbone.pooled_size))
            if self.lexical is not None:
                self.lexical.build()
            self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        given = inputs.get(LEXICAL_LOGITS) if isinstance(inputs, dict) else None
        wanted = self.lexical is not None and given is None
        inputs, window_mask = split_windows(inputs)
        encoded = self.backbone(inputs, training=training, pooled_only=True, with_ngrams=wanted)
        outputs = self.classifier(self.dropout(encoded["pooled_output"], training=training))
        if wanted and "ngrams" not in encoded:
            raise ValueError(
                f"A lexical head reads words: pass `bytes`, or `{LEXICAL_LOGITS}` beside other inputs. "
                f"Received keys: {sorted(inputs)}"
            )
        if wanted:
            outputs = outputs + self.lexical(encoded["ngrams"], encoded["padding_mask"])
        if window_mask is not None:
            outputs = mean_of_windows(outputs, window_mask)
        if given is not None:
            given = keras.ops.cast(given, outputs.dtype)  # a mixed policy casts inputs
            outputs += keras.ops.reshape(given, (-1, self.num_classes))  # a batch of a stream has lost the number
        return outputs if self.target_unit is None else self.target_unit(outputs)

    def compile(self, optimizer: Any = "auto", loss: Any = "auto", *, metrics: Any = "auto", **kwargs: Any) -> None:
        """`keras.Model.compile`, with defaults for the model's task.

        Args:
            optimizer: by default AdamW at 0.0005 that decays matrices alone and clips gradients at a norm of 1.
            loss: by default cross-entropy of logits with class indices, or of each logit by itself where there are
                several labels a text or one logit; of a regression the mean squared error. A regression's loss sees
                numbers of mean 0 and spread 1, whatever the loss is; its metrics see numbers as they are.
            metrics: by default the accuracy; of a regression, none.
            **kwargs: as Keras takes them.

        Warns:
            InputWarning: the loss is that of several labels a text, which the model's task is not.
        """
        if self.task == "classification" and isinstance(loss, keras.losses.BinaryCrossentropy):
            warnings.warn(
                "BinaryCrossentropy trains each logit by itself; the answers of a classification are a softmax of all: "
                'build the model with task="multilabel", or leave the loss out.',
                InputWarning,
                stacklevel=2,
            )
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0)
        if isinstance(loss, str) and loss == "auto":
            if self.task == "regression":
                loss = keras.losses.MeanSquaredError()
            elif self.task == "classification":
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            else:
                loss = keras.losses.BinaryCrossentropy(from_logits=True)
        if isinstance(metrics, str) and metrics == "auto":
            each = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)  # of logits: a probability of 0.5
            metrics = {"regression": None, "classification": ["accuracy"]}.get(self.task, [each])
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model from a file of Keras as it was compiled; `config` is what `get_compile_config` gave."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
        **kwargs: Any,
    ) -> Tensor:
        """`keras.Model.compute_loss`; a regression's loss sees numbers of mean 0 and spread 1.

        Args:
            x: as Keras takes it.
            y: targets, in the user's unit.
            y_pred: what the model gave, in the same unit.
            sample_weight: as Keras takes it.
            training: likewise.
            **kwargs: likewise.

        Returns:
            The loss, a scalar.
        """
        if self.target_unit is not None and y is not None and y_pred is not None:
            y, y_pred = self.target_unit.standardize(y), self.target_unit.standardize(y_pred)
        return super().compute_loss(x, y, y_pred, sample_weight, training=training, **kwargs)

    def learn_unit(self, targets: np.ndarray) -> None:
        """Takes the mean and the spread of targets for those of the head's numbers; `fit` does so by itself.

        What the model gives stays the same, save where it has not learned yet.

        Args:
            targets: float `[n]` or `[n, num_classes]`, of a regression.
        """
        unit = self.target_unit
        if unit is None:
            return
        columns = np.asarray(targets, np.float64).reshape(len(targets), -1)
        mean, scale = columns.mean(axis=0), columns.std(axis=0)
        scale = np.where(scale > 1e-7 * np.abs(mean), scale, 1.0)  # of targets that are all the same
        if unit.is_known:
            old_mean, old_scale = unit.values()
            if (old_mean == mean.astype(np.float32)).all() and (old_scale == scale.astype(np.float32)).all():
                return  # a training that goes on has the same weights to the last bit
            self.scale_outputs(old_scale / scale, (old_mean - mean) / scale)
        unit.set(mean, scale)

    def scale_outputs(self, factor: Any, shift: Any = 0.0) -> None:
        """Makes the head give `outputs * factor + shift`, in its weights.

        Args:
            factor: float, or one for each output; 0 makes an output a constant, the shift.
            shift: likewise.
        """
        kernel, bias = (np.asarray(keras.ops.convert_to_numpy(v), np.float64) for v in self.classifier.weights)
        self.classifier.kernel.assign((kernel * factor).astype(np.float32))
        self.classifier.bias.assign((bias * factor + shift).astype(np.float32))
        if self.lexical is not None:
            words = np.asarray(keras.ops.convert_to_numpy(self.lexical.kernel), np.float64)
            self.lexical.kernel.assign((words * factor).astype(np.float32))

    def fold_unit(self) -> None:
        """Makes the unit of a regression's targets part of the head's weights, for good, before an export."""
        unit = self.target_unit
        if unit is not None and unit.is_known:
            mean, scale = unit.values()
            self.scale_outputs(scale, mean)
        self.target_unit = None

    def targets(self, y: Any) -> np.ndarray:
        """Labels as the loss takes them.

        Args:
            y: a column of class names or of class indices, or probabilities `[n, num_classes]`; lists of names, or 0
                and 1 for each label, `[n, num_classes]`, where there are several labels a text; numbers `[n]` or
                `[n, num_classes]` for a regression.

        Returns:
            int32 `[n]`, or float32 `[n]` or `[n, num_classes]`.

        Raises:
            ValueError: a label is missing or wrong; the message names its row.
        """
        if self.task == "regression":
            return number_targets(y, self.num_classes)
        if self.task == "multilabel":
            return multilabel_targets(y, self.labels, self.num_classes)
        if self.task == "binary":
            return binary_targets(y, self.labels)
        return class_targets(y, self.labels, self.num_classes)

    def fit_head(
        self,
        x: Any,
        y: Any,
        *,
        lexical: bool | None = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        seed: int = 0,
        verbose: int = 1,
    ) -> dict[str, Any]:
        """Fits the dense layer and a lexical head beside it, on the encoder as it is: convex, in seconds.

        It suits few texts, and is where a training of the encoder may start from. How much the words count, and the
        encoder, is chosen on held-out parts of the texts.

        Args:
            x: texts, or pairs of texts, as in `fit`.
            y: a label for each, as in `fit`.
            lexical: whether there is a lexical head; by default where it helps on the held-out parts.
            class_weight: as in `fit`.
            sample_weight: as in `fit`.
            seed: fixes the held-out parts.
            verbose: 0 to show no progress.

        Returns:
            Whether there is a `lexical` head, its number of `ngrams`, the `strength` of the encoder beside the words,
            and the loss on held-out texts, `held_out_loss_with_words` and `held_out_loss_of_encoder`.

        Raises:
            ValueError: texts, labels and weights do not fit one another, or there are no texts.
        """
        heads, report = self.find_heads(x, y, lexical, class_weight, sample_weight, seed, quiet=not verbose)
        self.set_heads(heads)
        return report

    def find_heads(
        self,
        x: Any,
        y: Any,
        lexical: bool | None = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        seed: int = 0,
        for_training: bool = False,
        held_out_words: bool = False,
        quiet: bool = False,
    ) -> tuple[Heads, dict[str, Any]]:
        """What `fit_head` would set; a regression learns the unit of its targets.

        Args:
            x: as in `fit_head`.
            y: likewise.
            lexical: likewise.
            class_weight: likewise.
            sample_weight: likewise.
            seed: likewise.
            for_training: whether the encoder may be trained from these heads. The dense layer is then zero for one
                that has learned nothing yet, whose outputs differ so little that large weights would be put on them.
            held_out_words: whether the heads are to hold what words say of each text, learned from others.
            quiet: whether to show no progress.

        Returns:
            The weights, and what `fit_head` reports.

        Raises:
            ValueError: as `fit_head`.
        """
        texts = self.encode(x)
        if texts is None:
            raise ValueError("`fit_head` takes texts in a column, not a stream or the backbone's inputs.")
        targets = self.targets(y)
        check_count(len(texts), targets, "label")
        weights = self._combined_weights(sample_weight, class_weight, targets)
        if self.task == "classification" and targets.ndim == 1:
            targets = np.eye(self.num_classes, dtype=np.float32)[targets]
        targets = targets.reshape(len(targets), -1)
        if self.target_unit is not None:
            self.learn_unit(targets)
            mean, scale = self.target_unit.values()
            targets = (targets - mean) / scale
        loss = {"regression": "squares", "classification": "softmax"}.get(self.task, "sigmoid")
        features = text_features(self.backbone, texts, quiet)
        if for_training and features.are_alike():
            features = features.without_encoder()
        config = self.backbone.config
        with Progress("fitting heads", None, "step", quiet=quiet) as progress:
            how = (loss, weights, lexical, seed, held_out_words, progress.update)
            return fit_heads(features, targets, config.hash, *how)

    def set_heads(self, heads: Heads) -> None:
        """Takes over the weights of heads that were fitted.

        Args:
            heads: of the dense layer, and of a lexical head in place of the one that there is.
        """
        self.classifier.kernel.assign(heads.kernel)
        self.classifier.bias.assign(heads.bias)
        self._set_lexical(None if heads.lexical is None else heads.lexical.config)
        if heads.lexical is not None:
            self.lexical.set_table(heads.lexical)

    @property
    def num_outputs(self) -> int:
        """Logits, or numbers, of a text."""
        return self.num_classes

    @property
    def num_labels(self) -> int:
        """Classes that `class_weight` may name."""
        return len(self.outputs.names)

    @property
    def thresholds(self) -> list[float] | None:
        """Least probabilities of the second of two classes, or of each of several labels; `None` for 0.5."""
        return None if self._thresholds is None else list(self._thresholds)

    @thresholds.setter
    def thresholds(self, values: Sequence[float] | None) -> None:
        self._thresholds = None if values is None else [float(value) for value in values]
        self.outputs.check()

    @property
    def outputs(self) -> Outputs:
        """How the logits are read."""
        return Outputs(self.task, self.num_classes, self.labels, self.thresholds)

    def classify(self, texts: Any) -> Any:
        """The classes of texts, the likeliest first: the same answers as the runtimes for devices give.

        Args:
            texts: a text, or a tuple of two for a model of pairs; or a column of them.

        Returns:
            For one text, each class with its probability; for a column, a list of such lists.

        Raises:
            ValueError: the model is a regression: use `predict`.
        """
        if self.task == "regression":
            raise ValueError("A regression gives numbers and no classes: use `predict`.")
        return self._read(texts, self.outputs.rank)

    def answer(self, texts: Any) -> Any:
        """What is said of texts, in one form for every task: what `eelbert predict` and the runtimes say.

        Args:
            texts: as in `classify`.

        Returns:
            For one text, `label`, `score` and `scores`; or `labels` and `scores` where there may be several; or the
            `value` of a regression, or its `values` by name. For a column, a list of these.
        """
        return self._read(texts, self.outputs.answer)

    def _read(self, texts: Any, read: Callable[[np.ndarray], Any]) -> Any:
        """What is read from the logits of one text, or of each text of a column."""
        one = isinstance(texts, str | bytes) or (
            self.backbone.pair and isinstance(texts, tuple) and all(isinstance(side, str | bytes) for side in texts)
        )
        found = [read(logits) for logits in self.predict([texts] if one else texts, verbose=0)]
        return found[0] if one else found

    def report(self, texts: Any, labels: Any, path: str | Path | None = None) -> dict[str, Any]:
        """What the model is worth on labelled texts.

        Args:
            texts: as in `evaluate`.
            labels: for each text a class's name or number; a list of names where there may be several; or a number.
                Names that the model does not know count as wrong.
            path: a page to write, and beside it the same as JSON.

        Returns:
            `n`, `figures`, and of classes also `classes` with precision, recall, F1 and support of each, `confusion`
            (the true class by row), `calibration`, `unseen_labels`; and the worst `mistakes`.

        Raises:
            InputError: the page cannot be written.
            ValueError: texts and labels do not fit one another.
        """
        rows, values = as_texts(texts, self.backbone.pair), as_list(labels)
        if rows is None or values is None or len(rows) != len(values):
            raise ValueError(f"Expected texts and a label for each. Received: {one_line(texts)} and {one_line(labels)}")
        if self.task in ("classification", "binary"):
            values = [value if isinstance(value, str) else self.outputs.names[int(value)] for value in values]
        found = evaluate(self.predict(rows, verbose=0), values, self.outputs, rows)
        if path is not None:
            write_report({"title": Path(path).stem, "evaluation": found}, path)
        return found

    def describe(self) -> ModelInfo:
        """What `config.json` is to say of the model."""
        backbone = self.backbone
        return ModelInfo(
            backbone.config,
            "classifier",
            backbone.pair,
            self.num_classes,
            self.labels,
            self.task,
            lexical=None if self.lexical is None else self.lexical.config,
            thresholds=self.thresholds,
            target_unit=None if self.target_unit is None else self.target_unit.to_dict(),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "labels": self.labels,
            "dropout": self.dropout_rate,
            "task": self.task,
            "lexical": None if self.lexical is None else dataclasses.asdict(self.lexical.config),
            "thresholds": self.thresholds,
        }

    @classmethod
    def from_preset(
        cls,
        name: str | Path,
        *,
        labels: Sequence[str | None] | None = None,
        num_classes: int | None = None,
        pair: bool | None = None,
        task: str | None = None,
        dropout: float = 0.1,
        dtype: Any = None,
        **changes: Any,
    ) -> EelbertClassifier:
        """A classifier from a preset or a folder; its head is fresh where none for these classes was saved.

        Args:
            name: a preset's name, a folder that `save_to_preset` wrote, or a BERT in Hugging Face's layout.
            labels: names of the classes; as saved by default.
            num_classes: number of the classes; as saved by default.
            pair: whether the input is to be pairs; as saved by default.
            task: as for the constructor; as saved by default.
            dropout: rate before the dense layer.
            dtype: a dtype policy; Keras's global one by default.
            **changes: fields of the configuration to change that do not touch the weights, `max_tokens` or
                `max_windows` for example.

        Returns:
            The classifier.

        Raises:
            InputError: there is no such model, it is damaged, or it has no head and no classes are given.
            ValueError: a change is out of range.
        """
        stored = read_stored(name)
        info = stored.info
        kept = info.kind == "classifier" and pair in (None, info.pair) and _is_saved(info, task, num_classes, labels)
        if kept:
            labels, num_classes, task = info.labels, info.num_classes, info.task
        elif labels is None and num_classes is None and task not in ("binary", "regression"):
            raise InputError(
                f"{name}: an encoder without a classification head: fine-tune it first (eelbert finetune), or give "
                "`labels` or `num_classes`"
            )
        elif info.kind == "classifier":
            message = f"{name}: a fresh head takes the place of the saved one, which is for {info.task}"
            names = f" of {', '.join(map(str, info.labels)):.100}" if info.labels else ""
            warnings.warn(message + names, InputWarning, stacklevel=2)
        backbone = EelbertBackbone.from_stored(stored, pair, dtype, **changes)
        preprocessor = stored_preprocessor(stored, backbone, cls.reads_windows)
        lexical = info.lexical if kept else None
        classifier = cls(backbone, num_classes, labels, dropout, task or "classification", preprocessor, lexical)
        if kept:
            assign(classifier, stored)
            classifier.thresholds = info.thresholds
            if classifier.target_unit is not None:
                classifier.target_unit.set(**(info.target_unit or {"mean": [0.0], "scale": [1.0]}))
        return classifier


def _is_saved(info: ModelInfo, task: str | None, num_classes: int | None, labels: Sequence[str | None] | None) -> bool:
    """Whether the head that is asked for is the one that was saved."""
    return (
        task in (None, info.task)
        and num_classes in (None, info.num_classes)
        and (labels is None or list(labels) == info.labels)
    )


def _task_and_size(task: str, num_classes: int | None, labels: Sequence[str | None] | None) -> tuple[str, int]:
    """The task, and how many logits it has.

    Raises:
        ValueError: there is no such task, or it has another number.
    """
    if task not in TASKS:
        raise ValueError(f"`task` must be one of {', '.join(TASKS)}. Received: task={task!r}")
    if task == "classification" and num_classes == 1:
        task = "binary"
    if task == "binary":
        if num_classes not in (None, 1, 2):
            raise ValueError(f"A binary task has one logit for two classes. Received: num_classes={num_classes}")
        return task, 1
    if num_classes is None:
        num_classes = len(labels) if labels is not None else 1 if task == "regression" else 2
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
    return task, num_classes
