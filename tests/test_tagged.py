"""Files of tagged texts: their forms, and one clear line for what is wrong."""

from __future__ import annotations

import pytest

from eelbert_tf import InputError
from eelbert_tf.disk.tagged import holds_tags, intent_names, read_tagged, span_names

ALARM = ("wake me at nine", [("time", 11, 15)], "alarm")
MUSIC = ("play Miles Davis", [("artist", 5, 16)], "music")
FORMS = {
    "a.csv": "tokens,tags,intent\nwake me at nine,O O O B-time,alarm\nplay Miles Davis,O B-artist I-artist,music\n",
    "a.tsv": "label\ttags\ttokens\nalarm\tO O O B-time\twake me at nine\n"
    "music\tO B-artist I-artist\tplay Miles Davis\n",
    "a.conll": "# intent: alarm\nwake V O\nme P O\nat I O\nnine N S-time\n\n"
    "# intent: music\nplay V O\nMiles N B-artist\nDavis N L-artist\n",
    "a.txt": "# intent = alarm\nwake\tO\nme\tO\nat\tO\nnine\tI-time\n\n\n# label: music\nplay\tO\nMiles\tI-artist\n"
    "Davis\tI-artist\n\n",
    "a.jsonl": '{"text": "wake me at nine", "spans": [{"start": 11, "end": 15, "label": "time"}], "intent": "alarm"}\n'
    '{"tokens": ["play", "Miles", "Davis"], "tags": ["O", "B-artist", "I-artist"], "label": "music"}\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_say_the_same(tmp_path, name):
    path = tmp_path / name
    path.write_text(FORMS[name])
    texts = read_tagged(path)
    assert [(text.text, [tuple(part) for part in text.spans], text.intent) for text in texts] == [ALARM, MUSIC]
    assert span_names(texts, path) == ["artist", "time"]
    assert intent_names(texts, path) == ["alarm", "music"]
    assert holds_tags(path) == (name in ("a.csv", "a.tsv", "a.conll"))


def test_documents_and_spans_without_intents(tmp_path):
    path = tmp_path / "eng.train"
    path.write_text(
        "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\nBonn NNP I-NP I-LOC\nand C O B-LOC\n"
    )
    first, second = read_tagged(path)
    assert (first.line, first.spans, first.intent) == (3, [("ORG", 0, 2)], None)
    assert [tuple(part) for part in second.spans] == [("LOC", 0, 4), ("LOC", 5, 8)]
    assert intent_names([first, second], path) is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "tokens,tags\na b,O\n", "row 2: 2 tokens and 1 tags"),
        ("a.csv", "text,label\na b,O\n", "row 1: expected one column `tokens`"),
        ("a.csv", "tokens,tags\na b,O X-y\n", "row 2: the tag 'X-y' is none; expected O, or B-"),
        ("a.csv", "tokens,tags,intent\na,O,\n", "row 2: the column `intent` is empty"),
        ("a.csv", "tokens,tags\n", "holds no texts"),
        ("a.conll", "a O\n\nb\n", "row 3: 1 column; expected 2 as before"),
        ("a.conll", "only text\n", "row 1: the tag 'text' is none"),
        ("a.conll", "# intent: x\na O\n\nb O\n", "row 4: no intent, which the texts before have"),
        ("a.jsonl", '{"tokens": ["a"]}\n', "row 1: expected lists of strings"),
        ("a.jsonl", '{"text": "ab"}\n', "row 1: expected `text` and a list `spans`"),
        ("a.jsonl", '{"text": "ab", "spans": [[1, 5, "x"]]}\n', "row 1: the span 1 to 5 holds nothing"),
        (
            "a.jsonl",
            '{"text": "abc", "spans": [[0, 2, "x"], [1, 3, "y"]]}\n',
            "row 1: the spans 0 to 2 and 1 to 3 overlap",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_tagged(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_nothing_to_learn_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("tokens,tags,intent\na b,O O,x\n")
    with pytest.raises(InputError, match="no text has a span"):
        span_names(read_tagged(path), path)
    with pytest.raises(InputError, match="all 1 texts have the intent 'x'"):
        intent_names(read_tagged(path), path)
