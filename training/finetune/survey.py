"""What is understood of labelled files before anything is trained, and what looks like a mistake in them."""

from __future__ import annotations

import itertools
import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.labels import joined_by
from eelbert_tf.disk.tables import Table, Text, check_labels, sort_labels
from eelbert_tf.disk.unused import unused_text_columns
from eelbert_tf.text.strings import to_bytes
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.text.words import split_words

from .windows import about_windows

TAGGING = "tagging"
FEW = 5  # texts of a class
_NAMED = 5  # examples in a warning
_SHOWN = 20  # classes on the terminal
_MISSING = {"", "-", "?", "n/a", "na", "nan", "none", "null", "<na>", "nat"}
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
KINDS = {"classes": "classes", "spans": "names of spans", "intents": "intents"}  # what is counted in facts
_MOST_NUMBERS = 20  # whole numbers that may well be the numbers of classes


@dataclass(frozen=True)
class Survey:
    """What was found in labelled files.

    Args:
        facts: for the report: `rows`, `classes` with their counts (or `labels` of a regression, by column where there
            are several; of tagged texts `spans` and `intents`), `words` and `tokens` of a text, `truncated`, `windows`
            where long texts are read in several, and the same of the development file as `dev`.
        warnings: a line for each thing that is probably a mistake, each with the fix.
    """

    facts: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The facts for a terminal."""
        facts = self.facts
        found = [f"{facts['rows']:,} rows", _lengths(facts)]
        for kind, called in KINDS.items():
            if kind in facts:
                counts = sorted(facts[kind].items(), key=lambda item: -item[1])
                named = ", ".join(f"{name} {count:,}" for name, count in counts[:_SHOWN])
                found.insert(-1, f"{len(counts):,} {called}: {named}" + (", ..." if len(counts) > _SHOWN else ""))
        if "labels" in facts:
            labels = facts["labels"]
            several = labels if isinstance(next(iter(labels.values())), dict) else {"labels": labels}
            for name, numbers in reversed(several.items()):
                found.insert(1, "{} from {least:g} to {greatest:g}, on average {mean:.4g}".format(name, **numbers))
        lines = [f"{facts['file']}: {'; '.join(found)}"]
        if "dev" in facts:
            lines.append(f"{facts['dev']['file']}: {facts['dev']['rows']:,} rows; {_lengths(facts['dev'])}")
        return lines


def _lengths(facts: dict[str, Any]) -> str:
    words = facts["words"]
    line = f"{words['median']:,} words a text, {words['most']:,} at most"
    if windows := facts.get("windows"):
        line += f"; {windows['longer']:,} longer than a window, read in up to {windows['read']} windows each"
    return line + (f"; {facts['truncated']:,} longer than the model reads" if facts["truncated"] else "")


def survey(
    train: Table,
    dev: Table | None,
    task: str,
    config: EelbertConfig | None,
    columns: Sequence[str] = (),
) -> Survey:
    """Looks at labelled files as a careful colleague would.

    Args:
        train: what is to be learned.
        dev: what is held out, if anything.
        task: what labels are: one of `scores.TASKS`; or "tagging" for the names of the parts of each text.
        config: the model's, which says how much of a text it reads; `None` where that is not known.
        columns: the columns that are read, to find texts in others.

    Returns:
        Facts and warnings.
    """
    facts, counts = _facts(train, config), Counter(_names(train))
    warnings: list[str] = []
    if task == "regression":
        numbers = np.asarray(train.labels, np.float64).reshape(len(train), -1).T
        if train.columns:
            facts["labels"] = dict(zip(train.columns, map(_about_numbers, numbers), strict=True))
        else:
            facts["labels"] = _about_numbers(numbers[0])
    else:
        found = sort_labels(counts) if task == TAGGING else check_labels(train, task) or sorted(counts)
        facts["spans" if task == TAGGING else "classes"] = {name: counts[name] for name in found}
        warnings += _about_classes(counts, train, task)
    warnings += _about_texts(train, task)
    if columns and (others := unused_text_columns(train.path, columns)):
        names = " ".join(others[:_NAMED])
        single = isinstance(train.texts[0], str)
        pair = f"--text-columns {columns[0]} {others[0]}" if single else f"--text-columns {others[0]}"
        warnings.append(f"{train.path}: texts in a column that is not used: {names}; to read it too: {pair}")
    in_windows = task != TAGGING and isinstance(train.texts[0], str)
    warnings += _about_length(train, facts, config, in_windows)
    if dev is not None:
        facts["dev"] = _facts(dev, config)
        warnings += [*_about_both(train, dev), *_about_length(dev, facts["dev"], config, in_windows)]
        unseen = Counter(name for name in _names(dev) if name not in counts)
        if unseen and task != "regression":
            facts["dev"]["unseen"] = dict(unseen)
            warnings.append(f"{dev.path}: {unseen_labels(unseen)}")
    return Survey(facts, warnings)


def _about_numbers(numbers: np.ndarray) -> dict[str, float]:
    return {"least": float(numbers.min()), "greatest": float(numbers.max()), "mean": float(f"{numbers.mean():.5g}")}


def _names(table: Table) -> list[str]:
    """Every label of every text by its name."""
    return [str(name) for label in table.labels for name in (label if isinstance(label, tuple) else (label,))]


def unseen_labels(counts: dict[str, int]) -> str:
    """A warning of labels that the model does not know, with the number of their texts."""
    total = sum(counts.values())
    return (
        f"{_texts(total)} with a label that does not occur in training count as wrong: {_some(counts)}; correct the "
        "labels, or add such texts to the training file"
    )


def _facts(table: Table, config: EelbertConfig | None) -> dict[str, Any]:
    words = [sum(len(split_words(to_bytes(side), 0)) for side in _sides(text)) for text in table.texts]
    facts: dict[str, Any] = {
        "file": table.path.name,
        "rows": len(table),
        "words": {"median": round(median(words)), "most": max(words)},
        "truncated": 0,
    }
    if config is not None and config.hash is not None:
        specials = 2 + isinstance(table.texts[0], tuple)
        tokens = [count + specials for count in words]
        facts["tokens"] = {"median": round(median(tokens)), "most": max(tokens), "read": config.max_tokens}
        if config.max_windows == 1:
            cut = [_is_cut(text, count, config) for text, count in zip(table.texts, tokens, strict=True)]
            facts["truncated"] = sum(cut)
        else:
            facts["windows"] = windows = about_windows(table.texts, config)
            facts["truncated"] = windows.pop("cut")
    return facts


def _is_cut(text: Text, tokens: int, config: EelbertConfig) -> bool:
    """Whether the model reads only a part of a text: looked at closely only where it may be so."""
    assert config.hash is not None
    pair = isinstance(text, tuple)
    size = sum(len(to_bytes(side)) for side in _sides(text)) + pair
    if not config.hash.normalization and tokens <= config.max_tokens and size <= config.max_bytes:
        return False
    return is_truncated(text, config.max_tokens, config.max_bytes, pair, config.hash.normalization)


def _about_classes(counts: Counter[str], table: Table, task: str) -> Iterable[str]:
    """What is odd about the names of classes, and the number of their texts."""
    if task not in ("multilabel", TAGGING) and len(counts) > max(10, sum(counts.values()) / 2):
        yield (
            f"{len(counts):,} classes for {sum(counts.values()):,} texts: nearly every row has a label of its own; is "
            "it the right column? Name another with --label-column, or see --task regression"
        )
        return
    if task == "classification" and (scale := _scale(list(counts))):
        yield f"{scale}; if they are amounts or grades and no kinds, give --task regression"
    few = {name: count for name, count in counts.items() if count < FEW}
    if few:
        one, more = ("name", "names") if task == TAGGING else ("class", "classes")
        what, them = (f"1 {one} has", "it") if len(few) == 1 else (f"{len(few)} {more} have", "them")
        yield f"{what} fewer than {FEW} texts: {_some(few)}; add some, or merge {them} with another {one}"
    twins = defaultdict(list)
    for name in counts:
        twins[_same(name)].append(name)
    for names in twins.values():
        if len(names) > 1:
            yield f"labels that look like one class: {_some({n: counts[n] for n in names})}; write them alike"
    if task == "classification" and (separator := joined_by(list(map(str, table.labels)))):
        several = [name for name in counts if separator in name.strip(separator)]
        yield (
            f"labels that look like several in one: {_some({name: counts[name] for name in several})}; if they are, "
            f"read them with --task multilabel --label-separator {shlex.quote(separator)}"
        )
    missing = {name: count for name, count in counts.items() if name.strip().casefold() in _MISSING}
    if missing:
        yield f"labels that look like none at all: {_some(missing)}; drop these rows, or fill the labels in"


def _scale(names: list[str]) -> str:
    """What makes labels look like numbers on a scale; empty where they do not."""
    try:
        values = sorted(float(name) for name in names)
    except ValueError:
        return ""
    if any(not value.is_integer() for value in values) or any("." in name for name in names):
        return f"the {len(names)} labels are numbers with decimals: {_some(names)}"
    if len(values) > _MOST_NUMBERS:
        return f"the labels are {len(values)} whole numbers: {_some(names)}"
    if len(values) >= 5 and values == [float(i + 1) for i in range(len(values))]:
        return f"the labels are the numbers from 1 to {len(values)}"
    return ""


def _same(name: str) -> str:
    """What is left of a label's name without capitals, accents' composition, spaces and invisible characters."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).casefold().split())


def _about_texts(table: Table, task: str) -> Iterable[str]:
    """Texts that stand in a table more than once."""
    labels = defaultdict(set)
    rows = defaultdict(list)
    for text, label, line in zip(table.texts, table.labels, table.lines, strict=True):
        labels[text].add(frozenset(label) if isinstance(label, tuple) else label)
        rows[text].append(line)
    torn = [text for text, found in labels.items() if len(found) > 1]
    if torn and task != "regression":
        where = "; ".join(f"rows {', '.join(map(str, rows[text][:2]))}: {_show(text)}" for text in torn[:2])
        yield f"{table.path}: {_texts(len(torn))} under two labels or more ({where}); keep the right one of each"


def _about_both(train: Table, dev: Table) -> Iterable[str]:
    """Texts that stand in both tables."""
    known = set(train.texts)
    both = [line for text, line in zip(dev.texts, dev.lines, strict=True) if text in known]
    if both:
        where = ", ".join(map(str, both[:_NAMED])) + (", ..." if len(both) > _NAMED else "")
        yield (
            f"{dev.path}: {_texts(len(both))} also stand in {train.path} (row {where}): the scores will be too good; "
            "drop them from one of the two"
        )


def _about_length(table: Table, facts: dict[str, Any], config: EelbertConfig | None, in_windows: bool) -> Iterable[str]:
    """Texts that the model cannot read whole, though perhaps in windows."""
    if config is None or not facts["truncated"]:
        return
    if windows := facts.get("windows"):
        yield (
            f"{table.path}: {facts['truncated']:,} of {facts['rows']:,} texts are longer than {config.max_windows} "
            f"windows of {config.max_tokens} tokens and {config.max_bytes} bytes, and are cut; to read all: --windows "
            f"{windows['most']}"
        )
        return
    sizes = (sum(len(to_bytes(side)) for side in _sides(text)) for text in table.texts)
    tokens, size = facts["tokens"]["most"], max(sizes)
    wanted = [("--max-tokens", tokens)] if config.max_tokens < tokens <= config.max_position_embeddings else []
    wanted += [("--max-bytes", -(-size // 64) * 64)] if config.max_bytes < size < 2**20 else []
    fix = " ".join(f"{option} {number}" for option, number in wanted)
    too_many = tokens > config.max_position_embeddings
    if in_windows:
        windows = f"--windows {about_windows(table.texts, config)['most']}"
        fix = f"to read all: {windows}" if too_many or not fix else f"to read all: {fix}, or {windows}"
    elif too_many:
        limit = f"the model has {config.max_position_embeddings} positions"
        fix = f"{limit}: cut them into parts, or put what decides first" + (f"; {fix}" if fix else "")
    else:
        fix = f"to read all: {fix}"
    yield (
        f"{table.path}: {facts['truncated']:,} of {facts['rows']:,} texts are longer than the {config.max_tokens} "
        f"tokens and {config.max_bytes} bytes that the model reads, and are cut; {fix}"
    )


def _sides(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count:,} texts"


def _some(names: Iterable[str] | dict[str, int]) -> str:
    """A few names, with their counts where there are any."""
    shown = list(itertools.islice(names, _NAMED + 1))
    parts = [f"{_show(name)} {names[name]:,}" if isinstance(names, dict) else _show(name) for name in shown[:_NAMED]]
    return ", ".join(parts) + (", ..." if len(shown) > _NAMED else "")


def _show(text: Text) -> str:
    line = " / ".join(_sides(text))
    return repr(line if len(line) <= 40 else line[:37] + "...")
