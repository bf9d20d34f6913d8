"""Texts whose parts have names, from files: words with a tag each, or texts with spans.

Three forms are read, all in UTF-8, plain or packed with gzip or xz:

- CSV or TSV with the columns `tokens` and `tags`: words and BIO tags, each separated by one space; and, where texts
  have a class, `intent` or `label`.
- CoNLL: a word and its tag on each line, in the first and the last of some columns, and a blank line behind each text.
  A line `# intent: NAME` above a text gives its class.
- JSON lines: objects with lists under `tokens` and `tags`; or with `text` and `spans`, of which each has `start`,
  `end` (characters) and `label`.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from eelbert_tf.errors import InputError

from .records import is_json, read_json, read_records, row_error
from .texts import STDIN, open_text, suffix

OUTSIDE = "O"
# Other ways to write tags, by their first letter: the last word of a span, and a span of one word (BIOES, BILOU).
_KINDS = {"B": "B", "I": "I", "E": "I", "L": "I", "M": "I", "S": "B", "U": "B", "W": "B"}
_INTENT_LINE = re.compile(r"#\s*(?:intent|label)\s*[:=]\s*(.*)")
_DOCUMENT_START = "-DOCSTART-"
INTENT_COLUMNS = ("intent", "label")
_PEEKED = 4096  # bytes in which the header lies
FORMS = "CSV with the columns tokens and tags, CoNLL columns, or JSON lines"


class NamedPart(NamedTuple):
    """A part of a text, by characters."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class TaggedText:
    """One text with its spans.

    Args:
        line: where it begins in the file, from 1.
        text: the text; words of a file have one space between them.
        spans: its parts that have names, in their order.
        words: the words of the file; of a text with spans, what white space divides.
        intent: the class of the whole, or `None`.
    """

    line: int
    text: str
    spans: list[NamedPart]
    words: list[str]
    intent: str | None = None

    def as_answer(self) -> dict[str, Any]:
        """The text's answer as `EelbertTagger.fit` takes it."""
        return {"label": self.intent, "spans": [part._asdict() for part in self.spans]}


def read_tagged(path: str | os.PathLike[str]) -> list[TaggedText]:
    """All texts of a file.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.
    """
    return list(iter_tagged(path))


def iter_tagged(path: str | os.PathLike[str]) -> Iterator[TaggedText]:
    """The texts of a file, one by one.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.
    """
    name = os.fspath(path)
    count, with_intent = 0, False
    with open_text(name, FORMS, unit="row") as file:
        for text in _texts(file, name):
            count += 1
            if count == 1:
                with_intent = text.intent is not None
            elif with_intent != (text.intent is not None):
                what = "no intent, which the texts before have" if with_intent else "an intent, which none before has"
                raise row_error(path, text.line, f"{what}; give every text one, or none")
            yield text
    if not count:
        raise InputError(f"{name}: holds no texts; expected {FORMS}")


def _texts(file: BinaryIO, path: str) -> Iterator[TaggedText]:
    if is_json(path):
        return _json_texts(file, path)
    if suffix(path) == ".csv" or _has_header(file):
        return _table_texts(file, path)
    return _conll_texts(file, path)


def _has_header(file: BinaryIO) -> bool:
    """Whether the first line of an open file names the columns of tokens and tags."""
    first = file.peek(_PEEKED).split(b"\n")[0].decode("utf-8", "replace")  # type: ignore[attr-defined]
    return {"tokens", "tags"} <= set(re.split(r"[\t,;|\"\r]+", first))


def holds_tags(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds tagged texts in a form that no other task reads: CoNLL, or a header of tokens and tags.

    Raises:
        InputError: it cannot be opened.
    """
    if suffix(path) in (".conll", ".bio", ".iob", ".iob2"):
        return True
    if os.fspath(path) == STDIN or is_json(path):
        return False
    with open_text(path, FORMS) as file:
        return _has_header(file)


def _table_texts(file: BinaryIO, path: str) -> Iterator[TaggedText]:
    """Texts of a CSV or TSV file.

    Raises:
        InputError: a column is missing, or a row is wrong.
    """
    wanted = ("tokens", "tags")
    records = read_records(file, path, lambda header: set(wanted) <= set(header))
    start, header = next(records)
    header = [name.strip() for name in header]
    for name in wanted:
        if header.count(name) != 1:
            found = ", ".join(map(repr, header[:10]))
            raise row_error(path, start, f"expected one column `{name}` in the header; columns found: {found}")
    tokens, tags = map(header.index, wanted)
    intent = next((header.index(name) for name in INTENT_COLUMNS if name in header), None)
    for line, fields in records:
        if not any(map(str.strip, fields)):
            continue
        if len(fields) != len(header):
            raise row_error(path, line, f"{len(fields)} columns; expected {len(header)} as in the header")
        whole = None if intent is None else fields[intent].strip()
        if whole == "":
            raise row_error(path, line, f"the column `{header[intent or 0]}` is empty; fill it, or drop the row")
        yield _from_words(fields[tokens].split(), fields[tags].split(), whole, path, line)


def _conll_texts(lines: Iterable[bytes], path: str) -> Iterator[TaggedText]:
    """Texts of columns.

    Raises:
        InputError: a line has one column alone, or another number than the first.
    """
    words: list[str] = []
    tags: list[str] = []
    intent: str | None = None
    begin, width = 0, 0
    for number, line in enumerate(itertools.chain(lines, [b"\n"]), 1):
        text = line.decode("utf-8").strip("\r\n")
        if not text.strip():
            if words and words != [_DOCUMENT_START]:
                yield _from_words(words, tags, intent, path, begin)
            words, tags = [], []
            intent = None
            continue
        if not words and (found := _INTENT_LINE.fullmatch(text.strip())):
            intent = found[1].strip()
            continue
        columns = text.split("\t") if "\t" in text else text.split()
        if not words and text.startswith("#") and len(columns) != width:
            continue  # another comment
        width = width or len(columns)
        if len(columns) != width or width < 2:
            expected = f"{width} as before" if width > 1 else "a word and its tag"
            raise row_error(path, number, f"{len(columns)} column{'s' * (len(columns) > 1)}; expected {expected}")
        begin = begin if words else number
        words.append(columns[0].strip())
        tags.append(columns[-1].strip())


def _json_texts(file: BinaryIO, path: str) -> Iterator[TaggedText]:
    """Texts of JSON lines.

    Raises:
        InputError: an object has neither form, or a span is outside of its text.
    """
    for line, values in read_json(file, path):
        intent = next((values[name] for name in INTENT_COLUMNS if values.get(name) is not None), None)
        if intent is not None and not isinstance(intent, str):
            raise row_error(path, line, f"the intent is {intent!r:.40}; expected a string")
        if "tokens" in values or "tags" in values:
            lists = [values.get(name) for name in ("tokens", "tags")]
            if not all(isinstance(x, list) and all(isinstance(word, str) for word in x) for x in lists):
                raise row_error(path, line, "expected lists of strings under `tokens` and `tags`")
            tokens, tags = lists
            yield _from_words(tokens or [], tags or [], intent, path, line)
        else:
            yield _from_spans(values.get("text"), values.get("spans"), intent, path, line)


def _from_words(words: Sequence[str], tags: Sequence[str], intent: str | None, path: str, line: int) -> TaggedText:
    """A text of words with their tags. An I that continues nothing begins a span.

    Raises:
        InputError: words and tags differ in number, or a tag is none.
    """
    if len(words) != len(tags):
        raise row_error(path, line, f"{len(words)} tokens and {len(tags)} tags; expected one tag for each token")
    if not words:
        raise row_error(path, line, "no tokens; drop the row")
    spans: list[NamedPart] = []
    place, before = 0, ""
    for word, tag in zip(words, tags, strict=True):
        if not word or len(word.split()) != 1:
            raise row_error(path, line, f"the token {word!r:.40} is empty or has white space in it")
        end = place + len(word)
        kind, hyphen, name = tag.partition("-")
        if tag != OUTSIDE and (kind not in _KINDS or not hyphen or not name):
            raise row_error(path, line, f"the tag {tag[:40]!r} is none; expected O, or B- or I- with a name behind it")
        if tag == OUTSIDE:
            name = ""
        elif _KINDS[kind] == "I" and name == before:
            spans[-1] = spans[-1]._replace(end=end)
        else:
            spans.append(NamedPart(name, place, end))
        before = "" if kind in "ELSUW" else name
        place = end + 1
    return TaggedText(line, " ".join(words), spans, list(words), intent)


def _from_spans(text: Any, spans: Any, intent: str | None, path: str, line: int) -> TaggedText:
    """A text with spans.

    Raises:
        InputError: they are missing, or a span is outside of the text or overlaps another.
    """
    if not isinstance(text, str) or not isinstance(spans, list):
        raise row_error(path, line, "expected `text` and a list `spans`, or lists `tokens` and `tags`")
    if not text.strip():
        raise row_error(path, line, "the text is empty; drop the row")
    found: list[NamedPart] = []
    for span in spans:
        keys = ("start", "end", "label")
        parts = [span.get(key) for key in keys] if isinstance(span, dict) else span
        if (
            not isinstance(parts, list)
            or len(parts) != 3
            or not all(type(part) is kind for part, kind in zip(parts, (int, int, str), strict=True))
        ):
            raise row_error(path, line, f"the span {span!r:.60} is none; expected `start`, `end` and `label`")
        start, end, label = parts
        if not 0 <= start < end <= len(text) or not text[start:end].strip() or not label.strip():
            raise row_error(path, line, f"the span {start} to {end} holds nothing of the text ({len(text)} characters)")
        found.append(NamedPart(label, start, end))
    found.sort(key=lambda part: part.start)
    for first, second in itertools.pairwise(found):
        if second.start < first.end:
            raise row_error(
                path, line, f"the spans {first.start} to {first.end} and {second.start} to {second.end} overlap"
            )
    return TaggedText(line, text, found, text.split(), intent)


def span_names(texts: Sequence[TaggedText], path: str | os.PathLike[str]) -> list[str]:
    """The names of the spans of training texts, sorted.

    Raises:
        InputError: no text has a span.
    """
    names = sorted({part.label for text in texts for part in text.spans})
    if not names:
        raise InputError(f"{Path(path)}: no text has a span: every tag is O; expected B- and I- tags")
    return names


def intent_names(texts: Sequence[TaggedText], path: str | os.PathLike[str]) -> list[str] | None:
    """The classes of training texts, sorted; `None` where they have none.

    Raises:
        InputError: there is only one.
    """
    names = sorted({text.intent for text in texts if text.intent is not None})
    if len(names) == 1:
        raise InputError(
            f"{Path(path)}: all {len(texts)} texts have the intent {names[0]!r}; expected two intents or more, or none"
        )
    return names or None
