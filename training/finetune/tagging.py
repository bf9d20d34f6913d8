"""What the fine-tuning of a tagger has of its own: its start, its recipe, and what its texts are seen as."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eelbert_tf import metrics
from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.tables import Table
from eelbert_tf.disk.tagged import TaggedText
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.tagger import EelbertTagger
from eelbert_tf.text.spans import OUTSIDE, tags_of_words

from .labelled import Labelled
from .recipe import BACKBONE_RATE, Recipe, default_patience
from .start import SCRATCH, changing
from .survey import TAGGING, Survey, survey

# Tags need more passes than classes: a name in a text is often the only one of its kind.
STEPS = 2500
LEAST_EPOCHS, MOST_EPOCHS = 10, 40
RATE = 3e-3  # peak of the learning rate: tables of words begin at zero


def tagging_recipe(
    texts: int, pretrained: bool, epochs: int | None, batch_size: int, learning_rate: float | None, seed: int = 0
) -> Recipe:
    """A recipe whose passes and learning rate suit a file where they are `None`: about `STEPS` steps.

    Args:
        texts: number of texts to learn from.
        pretrained: whether the encoder begins with what it knows.
        epochs: passes.
        batch_size: texts per step.
        learning_rate: the peak.
        seed: fixes the order and dropout.

    Raises:
        InputError: a number is out of range.
    """
    if epochs is None:
        epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(STEPS * batch_size / max(texts, 1))))
    rate = RATE if learning_rate is None else learning_rate
    share = BACKBONE_RATE if pretrained else 1.0
    return Recipe(epochs, batch_size, rate, seed=seed, patience=default_patience(epochs), backbone_rate=share)


def start_tagger(
    preset: str,
    config: EelbertConfig | None,
    names: Sequence[str],
    intents: Sequence[str] | None,
    changes: dict[str, Any],
) -> EelbertTagger:
    """The tagger to fine-tune, with a fresh head or with one that was saved for the same names.

    Args:
        preset: "scratch" for fresh weights of `config`, a preset's name, or a model directory.
        config: used from scratch only.
        names: names of spans.
        intents: classes of whole texts, or `None`.
        changes: fields of the configuration to change, `max_tokens` for example.

    Raises:
        InputError: there is no such preset, or it cannot be changed like that.
    """
    with changing(preset, changes):
        if preset == SCRATCH and config is not None:
            return EelbertTagger(EelbertBackbone(config.replace(**changes), name="backbone"), names, intents)
        return EelbertTagger.from_preset(preset, names=names, labels=intents, **changes)


def survey_tagged(files: Sequence[tuple[str, Sequence[TaggedText]]], config: EelbertConfig | None) -> Survey:
    """Looks at tagged texts, as `survey.survey` at labelled ones: at the names of their spans, and at their intents.

    Args:
        files: paths, with their texts: the one to learn from, and perhaps a held-out one.
        config: the model's; `None` where it is not known.
    """

    def look(label: Callable[[TaggedText], Any], task: str, config: EelbertConfig | None) -> Survey:
        tables = [
            Table(Path(path), [row.text for row in rows], [label(row) for row in rows], [row.line for row in rows])
            for path, rows in files
        ]
        return survey(tables[0], tables[1] if len(tables) > 1 else None, task, config)

    found = look(lambda row: tuple(part.label for part in row.spans), TAGGING, config)
    if files[0][1][0].intent is None:
        return found
    whole = look(lambda row: str(row.intent), "classification", None)
    facts = {**found.facts, "intents": whole.facts["classes"]}
    return Survey(facts, list(dict.fromkeys([*found.warnings, *whole.warnings])))


def commonest_tags(train: Labelled, dev: Labelled) -> dict[str, float]:
    """Figures of the simplest tagger: it gives each word the tag that it had most often, and unknown ones none.

    Args:
        train: `Tagged` texts to count.
        dev: those to judge by.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train.labels:
        for word, tag in zip(row.words, tags_of_words(row.text, row.words, row.spans), strict=True):
            counts[word.casefold()][tag] += 1
    common = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    truth = [tags_of_words(row.text, row.words, row.spans) for row in dev.labels]
    said = [[common.get(word.casefold(), OUTSIDE) for word in row.words] for row in dev.labels]
    return metrics.tagging_figures(truth, said)
