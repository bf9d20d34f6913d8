"""Text to tokens and pairs to bytes: `keras.ops` and the TensorFlow graph against the reference."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from eelbert_tf.config import SEPARATOR_BYTE, HashConfig
from eelbert_tf.text import splitting, strings
from eelbert_tf.text.reference import CLS, SEP, tokenize
from eelbert_tf.tflite.checks.hard_texts import PIECES
from tests.forms import FORMS, Form, by_ops, check, padded
from tests.make_golden import GOLDEN

SMALL = HashConfig(widths=(2, 1))
BATCH = 16
MAX_BYTES = (4, 5, 16, 33)

texts = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=40).map(b"".join)
batches = st.lists(texts, min_size=BATCH, max_size=BATCH)
examples = settings(max_examples=25, deadline=None, derandomize=True, database=None)
compiled = {name: tf.function(lambda x, f=form: by_ops(x, f)) for name, form in FORMS.items()}


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    """The golden file."""
    return json.loads(GOLDEN.read_text(encoding="ascii"))


def test_golden_texts(vectors: dict[str, Any]) -> None:
    """The golden texts give the golden tokens, and `keras.ops` agrees with the reference on each."""
    for record in vectors["texts"]:
        data = bytes.fromhex(record["data"])
        form = Form(SMALL, record["max_tokens"], record["max_bytes"], record["pair"])
        tokens, segments = tokenize(data, form.max_tokens, form.max_bytes, form.pair).with_specials()
        assert [token.hex() for token in tokens] == record["tokens"]
        assert segments == record["segments"]
        check([data], form, by_ops(ops.convert_to_tensor(padded([data], form.max_bytes)), form))


def test_golden_normalized_texts(vectors: dict[str, Any]) -> None:
    """The same for `normalization=1`."""
    config = HashConfig(widths=(2, 1), normalization=1)
    for record in vectors["normalized_texts"]:
        data = bytes.fromhex(record["data"])
        form = Form(config, record["max_tokens"], record["max_bytes"], record["pair"])
        tokens, segments = tokenize(data, form.max_tokens, form.max_bytes, form.pair, 1).with_specials()
        assert [token.hex() for token in tokens] == record["tokens"]
        assert segments == record["segments"]
        check([data], form, by_ops(ops.convert_to_tensor(padded([data], form.max_bytes)), form))


def test_golden_pairs(vectors: dict[str, Any]) -> None:
    """The golden pairs join to the golden bytes, on the host and in the graph."""
    for record in vectors["pairs"]:
        first, second, joined = (bytes.fromhex(record[key]) for key in ("first", "second", "joined"))
        assert strings.as_data((first, second), record["max_bytes"]) == joined
        found = strings.decode_pairs(tf.constant([first]), tf.constant([second]), record["max_bytes"])
        assert (found.numpy() == padded([joined], record["max_bytes"])).all()


def test_byte_tables() -> None:
    """Every lead byte with the edges of every range behind it, inside a word."""
    edges = (0x20, 0x41, 0x7F, 0x80, 0x81, 0x82, 0x8F, 0x90, 0x9E, 0x9F, 0xA0, 0xA3, 0xA4, 0xAB, 0xAC, 0xBF, 0xC0)
    ends = (0x21, 0x7F, 0x80, 0x8F, 0x90, 0xAF, 0xB0, 0xBF, 0xC0)
    cases = [b"a" + bytes(case) + b"\x80z" for case in itertools.product(range(256), edges, ends)]
    width = len(cases[0]) + 2
    split = splitting.split(ops.convert_to_tensor(padded(cases, width)))
    chars, starts, continues = (np.asarray(x) for x in split[:3])
    assert not (starts * continues).any()
    for i, case in enumerate(cases):
        found: list[bytes] = []
        for c, start, goes_on in zip(chars[i].tolist(), starts[i].tolist(), continues[i].tolist(), strict=True):
            if start:
                found.append(bytes([c]))
            elif goes_on:
                found[-1] += bytes([c])
        assert found == tokenize(case, width, width).first, case


@pytest.mark.parametrize("name", ["texts", "pairs", "normalized", "normalized pairs"])
@examples
@given(batch=batches)
def test_random_texts(name: str, batch: list[bytes]) -> None:
    """Any bytes give the reference's tokens, layout, lexicon rows and embeddings."""
    form = FORMS[name]
    check(batch, form, compiled[name](tf.constant(padded(batch, form.max_bytes))))


@examples
@given(first=batches, second=batches, max_bytes=st.sampled_from(MAX_BYTES))
def test_random_pairs(first: list[bytes], second: list[bytes], max_bytes: int) -> None:
    """The graph joins and cuts pairs as the host does; both sides keep their share."""
    expected = [strings.as_data(pair, max_bytes) for pair in zip(first, second, strict=True)]
    found = strings.decode_pairs(tf.constant(first), tf.constant(second), max_bytes)
    assert (found.numpy() == padded(expected, max_bytes)).all()
    for joined, a, b in zip(expected, first, second, strict=True):
        assert len(joined) <= max_bytes
        left, _, right = joined.partition(bytes([SEPARATOR_BYTE]))
        clean_a, clean_b = (side.replace(b"\x1f", b" ") for side in (a, b))
        assert clean_a.startswith(left)
        assert clean_b.startswith(right)
        if len(a) + len(b) < max_bytes:
            assert (left, right) == (clean_a, clean_b)
        else:
            assert len(right) >= min(len(b), (max_bytes - 1) // 2)


@examples
@given(batch=batches)
def test_random_strings(batch: list[bytes]) -> None:
    """`decode_strings` and `encode_texts` are zero-padded, cut bytes, for any shape and for strings that are empty."""
    expected = padded([text.replace(b"\x1f", b" ") for text in batch], 24)
    assert (strings.encode_texts(batch, 24) == expected).all()
    assert (strings.decode_strings(tf.constant(batch), 24).numpy() == expected).all()
    square = tf.reshape(tf.constant(batch), (4, BATCH // 4))  # tokens
    assert (strings.decode_strings(square, 24).numpy() == padded(batch, 24).reshape(4, -1, 24)).all()
    assert int(strings.longest(square, 24)) == max(1, min(24, max(map(len, batch))))


@pytest.mark.parametrize("pair", [False, True])
def test_a_separator_in_a_text_of_its_own_makes_no_pair(pair: bool) -> None:
    """It is white space for a model of single texts, and for one of pairs that is given one text."""
    for text in ("yes\x1fno", b"yes\x1fno"):
        found = tokenize(strings.as_data(text, 64), 16, 64, pair)
        assert (found.first, found.second) == ([b"yes", b"no"], None)
        assert strings.decode_strings(tf.constant([text]), 6).numpy().tolist() == [list(b"yes no")]
    assert tokenize(strings.as_data(("yes\x1fno", "c"), 64), 16, 64, True).second == [b"c"]


def test_the_reference_tokenizer_takes_time_in_proportion_to_a_word() -> None:
    """One word of a million bytes took a minute where each byte copied the word."""
    start = time.perf_counter()
    assert tokenize(b"a" * 2_000_000, 16, 2_000_001).first == [b"a" * 2_000_000]
    assert time.perf_counter() - start < 20


def test_to_bytes_takes_any_string() -> None:
    """Text is UTF-8, lone surrogates included; bytes stay as they are."""
    assert strings.to_bytes("é") == b"\xc3\xa9"
    assert strings.to_bytes("\ud83d") == b"\xed\xa0\xbd"
    assert strings.to_bytes("\ude00\ud83d" + "\ud83d" + "\ude00") == b"\xed\xb8\x80\xed\xa0\xbd" + "\U0001f600".encode()
    assert strings.to_bytes(b"\xff") == b"\xff"
    assert strings.encode_texts([("a", b"b")], 4).tolist() == [[97, 31, 98, 0]]
    assert strings.encode_texts([""], 4).tolist() == [[0, 0, 0, 0]]


def test_cuts() -> None:
    """Tokens beyond the slots go, the last byte read drops its token, and a lone token stays."""

    def words(data: bytes, max_tokens: int = 16, max_bytes: int = 16) -> list[bytes]:
        return tokenize(data, max_tokens, max_bytes).first

    assert words(b"a b c d", max_tokens=4) == [b"a", b"b"]
    assert words(b"one three", max_bytes=8) == [b"one"]
    assert words(b"one three", max_bytes=9) == [b"one"]
    assert words(b"one three", max_bytes=10) == [b"one", b"three"]
    assert words(b"onethree", max_bytes=4) == [b"onet"]
    assert words(b"") == []


def test_pairs_are_cut_longest_first() -> None:
    """Taking tokens from the longer side, one at a time, ends where the rule does; on a tie the second loses one."""
    for a, b, room in itertools.product(range(9), range(9), range(1, 10)):
        x, y = a, b
        while x + y > room:
            x, y = (x - 1, y) if x > y else (x, y - 1)
        tokens = tokenize(b"x " * a + b"\x1f" + b"y " * b, room + 3, 64, pair=True)
        assert (len(tokens.first), len(tokens.second or [])) == (x, y)
        assert tokens.with_specials()[0] == [CLS, *[b"x"] * x, SEP, *[b"y"] * y, SEP]


def test_split_and_layout_take_symbolic_inputs() -> None:
    """Shapes and types of `keras.Input` tensors come out as those of real ones."""
    import keras

    symbolic = by_ops(keras.Input((64,), dtype="int32"), FORMS["pairs"])
    concrete = by_ops(ops.zeros((3, 64), "int32"), FORMS["pairs"])
    for key, value in concrete.items():
        assert symbolic[key].shape[1:] == tuple(value.shape)[1:]
        assert symbolic[key].dtype == keras.backend.standardize_dtype(value.dtype)
