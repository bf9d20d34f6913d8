"""A tagger from training to devices: Keras, LiteRT and TFLite Micro say the same, and the command line takes it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from eelbert_tf import EelbertBackbone, EelbertTagger, InputError
from eelbert_tf.__main__ import main
from eelbert_tf.config import HashConfig
from eelbert_tf.models.tagging_layers import tags_loss
from eelbert_tf.saving.checksum import CHECKSUM_FIELD
from eelbert_tf.text.spans import best_tags
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.flatbuffer.metadata import read_file
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests import small_taggers
from tests.configs import TINY
from tests.conftest import randomize

TEXT = "will it rain in New York at 5 pm ?"
SMALL = {"word_rows": 16, "word_width": 2, "affix_rows": 8, "affix_width": 2}


def test_loss_is_that_of_all_tags_that_bio_allows():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 5)).astype(np.float32)
    tags = np.array([[-1, 1, 3, -1], [-1, 0, 2, 4], [-1, -1, -1, -1]], np.int32)

    def allowed(row: tuple[int, ...]) -> bool:
        return all(tag < 3 or (i > 0 and row[i - 1] in (tag, tag - 2)) for i, tag in enumerate(row))

    expected = []
    for row, gold in zip(logits.astype(np.float64), tags, strict=True):
        tokens = np.flatnonzero(gold >= 0)
        ways = [way for way in itertools.product(range(5), repeat=len(tokens)) if allowed(way)]
        sums = np.array([row[tokens, way].sum() if len(tokens) else 0.0 for way in ways])
        expected.append(np.log(np.exp(sums).sum()) - row[tokens, gold[tokens]].sum())
        if len(tokens):
            assert best_tags(row[tokens]) == list(ways[int(sums.argmax())])
    np.testing.assert_allclose(np.asarray(tags_loss(logits, tags)), expected, atol=1e-5)


@pytest.mark.parametrize("normalization", [0, 1])
def test_positions_are_those_of_the_bytes(normalization):
    backbone = EelbertBackbone(TINY.replace(hash=HashConfig(widths=(6, 5, 5), normalization=normalization)))
    tagger = EelbertTagger(backbone, ["x"], units=4, features=SMALL)
    texts = ["wake me At nine-ten", "Zoë\u00ad naïve ｄ \u200bx，é", "", "x" * 70]
    words = [
        [text.encode()[a:b] for a, b in places.tolist() if b]
        for text, places in zip(texts, tagger.token_positions(texts), strict=True)
    ]
    assert words[0] == [b"wake", b"me", b"At", b"nine", b"-", b"ten"]
    assert words[2:] == [[], [b"x" * 64]]
    assert b"".join(words[1]).decode("utf-8", "ignore").startswith("Zo")
    assert np.array_equal(tagger.token_positions(texts), np.asarray(tagger(texts)["positions"]))


def test_bad_arguments_are_refused():
    backbone = EelbertBackbone(TINY)
    for names in ([], ["a", "a"], "ab"):
        with pytest.raises(ValueError, match="names"):
            EelbertTagger(backbone, names, features=SMALL)
    tagger = EelbertTagger(backbone, ["a"], ["p", "q"], units=4, features=SMALL)
    for answer, message in (
        ([{"start": 0, "end": 9, "label": "a"}], "outside of its text"),
        ([(0, 1, "b")], "Unknown name"),
    ):
        with pytest.raises(ValueError, match=message):
            tagger.fit(["some"], [answer], verbose=0)
    with pytest.raises(ValueError, match="one answer per text"):
        tagger.fit(["some"], [], verbose=0)


def test_tags_see_the_lexicons_part(tmp_path):
    """Where the backbone adds it to its output; a tagger saved before that was so keeps its answers."""
    config = TINY.replace(pooling="mean", lexicon_size=64, lexicon_width=6, lexicon_codes=3, lexicon_skip=True)
    new = randomize(EelbertTagger(EelbertBackbone(config), ["a"], ["p", "q"], units=4, features=SMALL))
    new.save_to_preset(tmp_path / "model")
    assert np.array_equal(EelbertTagger.from_preset(tmp_path / "model").predict([TEXT])["tags"], tags_of(new))
    path = tmp_path / "model" / "config.json"
    fields = json.loads(path.read_text("utf-8"))
    del fields["head"]["lexicon"], fields[CHECKSUM_FIELD]
    path.write_text(json.dumps(fields), "utf-8")
    old = EelbertTagger.from_preset(tmp_path / "model")
    arguments = old.get_config()
    del arguments["lexicon"]
    assert [old.lexicon, EelbertTagger.from_config(arguments).lexicon] == [False, False]
    assert np.abs(tags_of(new) - tags_of(old)).max() > 1e-3
    assert convert(new, tmp_path / "new.tflite")["max_abs_diff"] < 1e-4
    for model in (new, old):
        model.backbone.lexicon_scale.assign(np.zeros(config.hidden_size, np.float32))
    np.testing.assert_allclose(tags_of(new), tags_of(old), atol=1e-6)


def tags_of(tagger: EelbertTagger) -> np.ndarray:
    found: np.ndarray = tagger.predict([TEXT])["tags"]
    return found


@pytest.fixture(scope="module")
def tagger() -> EelbertTagger:
    return EelbertTagger.from_preset(small_taggers.trained() / "model")


def test_it_has_learned_the_grammar(tagger):
    answer = tagger.tag(TEXT)
    spans = [(span["label"], span["text"], span["start_byte"]) for span in answer["spans"]]
    assert spans == [("place", "New York", 16), ("time", "5 pm", 28)]
    assert answer["label"] == "weather"
    assert all(TEXT[span["start"] : span["end"]] == span["text"] for span in answer["spans"])


@pytest.mark.parametrize(
    ("target", "quantize", "runtime", "near"),
    [("mobile", "int8", EelbertRuntime, 0.05), ("micro", "int8", TflmRuntime, 0.3)],
)
def test_devices_say_what_keras_says(tagger, target, quantize, runtime, near):
    path, report = small_taggers.converted(target, quantize)
    metadata = read_file(path)[1]
    assert (metadata.task, metadata.labels) == ("tagging", ["alarm", "hello", "weather"])
    assert metadata.tags == report["tags"] == ["O", "B-place", "B-time", "I-place", "I-time"]
    model = runtime(path)
    found, expected = model.tag(TEXT), tagger.tag(TEXT)
    assert found["label"] == expected["label"]
    for one, other in zip(found["spans"], expected["spans"], strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=near)
        assert one == other
    with pytest.raises(ValueError, match="use `tag`"):
        model.classify(TEXT)


def test_command_line(capsys):
    folder = small_taggers.trained()
    path, _ = small_taggers.converted("mobile", "int8")
    assert main(["evaluate", "--model", str(path), "--test", str(folder / "test.csv")]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["n"] == 40
    assert min(figures[name] for name in ("entity_f1", "token_accuracy", "accuracy")) > 0.9
    assert main(["predict", "--model", str(path), "--text", TEXT]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [span["text"] for span in answer["spans"]] == ["New York", "5 pm"]


def test_command_line_names_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "train.csv"
    path.write_text("tokens,tags\na b,O\n")
    arguments = ["finetune", "--task", "tagging", "--train", str(path), "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert f"{path}, row 2: 2 tokens and 1 tags" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="without tags"):
        EelbertTagger.from_preset("uno_en")
