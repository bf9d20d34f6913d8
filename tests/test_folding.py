"""`normalization=1`: the rules against Unicode itself, and each way to follow them against the reference."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from eelbert_tf.config import EelbertConfig, HashConfig, named_config
from eelbert_tf.text import folding, normalizing
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.words import split_words
from eelbert_tf.tflite.checks.hard_texts import PIECES
from tests.forms import padded
from tests.make_letters import COVERED, MARK, ROOT, SOURCES, folded, rewrite

BLOCKS = {
    "Latin-1": range(0xA1, 0x100),
    "Latin Extended-A": range(0x100, 0x180),
    "Latin Extended-B": range(0x180, 0x250),
    "Greek": range(0x370, 0x400),
    "Cyrillic": range(0x400, 0x530),
    "Armenian": range(0x530, 0x590),
    "Hebrew": range(0x590, 0x600),
    "Arabic": range(0x600, 0x700),
    "Latin Extended Additional": range(0x1E00, 0x1F00),
    "Greek Extended": range(0x1F00, 0x2000),
}
# Letters that keep their own form: it has no more bytes than the folded one, or as many as three.
KEPT = {*"ŉȺȾևẚ", *(chr(c) for c in range(0x1EFA, 0x1F00))}
INVISIBLE = (
    "\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe00\ufe0e\ufe0f\u061c\u200e\u200f\u202a\u202e\u2066\U000e0100\U000e0067"
)


def words(text: str | bytes) -> list[str]:
    """The tokens of a text that is not cut."""
    data = text if isinstance(text, bytes) else text.encode()
    return [token.decode("utf-8", "replace") for token in tokenize(data, 10**9, 10**9, normalization=1).first]


def letters(block: range) -> list[str]:
    return [chr(c) for c in block if unicodedata.category(chr(c))[0] in "LN" and chr(c) not in KEPT]


@pytest.mark.parametrize("name", BLOCKS)
def test_letters_are_those_of_unicode(name: str) -> None:
    """Each letter becomes what full case folding and the loss of its marks make of it, alone and within a word."""
    found = letters(BLOCKS[name])
    assert len(found) > 25
    for letter in found:
        assert words(letter) == [folded(letter)], hex(ord(letter))
        assert words(f"x{letter}y") == [f"x{folded(letter)}y"], hex(ord(letter))


@pytest.mark.parametrize("name", BLOCKS)
def test_cases_are_equal(name: str) -> None:
    """Capital, small and title case of each letter are one, where they are one character of the table or of ASCII."""
    compared = 0
    for letter in set(letters(BLOCKS[name])) - {"ı"}:  # whose capital is that of i
        for other in {letter.upper(), letter.lower(), letter.title(), letter.casefold()} - KEPT - {letter}:
            if len(other) == 1 and (ord(other) in COVERED or other.isascii()):
                assert words(letter) == words(other), hex(ord(letter))
                compared += 1
    assert compared > 25 or name in ("Hebrew", "Arabic")
    assert words("ẞ") == words("ß") == words("SS")


@pytest.mark.parametrize("name", BLOCKS)
def test_composed_and_decomposed_are_equal(name: str) -> None:
    """NFC and NFD, and for compositions that NFC itself undoes the character as it is."""
    for letter in letters(BLOCKS[name]):
        forms = {form: unicodedata.normalize(form, letter) for form in ("NFC", "NFD")}
        assert words(letter) == words(forms["NFC"]) == words(forms["NFD"]), hex(ord(letter))


def test_letters_that_keep_their_form() -> None:
    """Those whose folded form is longer in bytes, or as long as three; none else."""
    kept = set()
    for code in COVERED:
        letter = chr(code)
        if unicodedata.category(letter)[0] in "LN" and words(letter) != [folded(letter)]:
            kept.add(letter)
            assert len(folded(letter).encode()) >= min(3, len(letter.encode()) + 1)
            assert words(letter) == [letter]
    assert kept == KEPT - {c for c in KEPT if folded(c) == c}


def test_full_width_is_ascii() -> None:
    """All that NFKC makes ASCII of in this block."""
    wide = [chr(c) for c in range(0xFF01, 0xFF5F)]
    for character in wide:
        plain = unicodedata.normalize("NFKC", character)
        assert plain.isascii()
        assert words(f"a{character}b") == words(f"a{plain}b")


@pytest.mark.parametrize("character", INVISIBLE)
def test_invisible_characters_are_dropped(character: str) -> None:
    """Within a word, at its ends, alone and several in a row, also inside a composed letter."""
    for text in ("won{}derful", "{}wonderful{}", "won{0}{0}{0}derful", "{} wonderful {}", "w\u0301on{}d\u0301erful"):
        assert words(text.format(*[character] * 3)) == ["wonderful"]


def test_marks_are_dropped() -> None:
    """U+0300 to U+036F, and the vowel points of Hebrew and Arabic; not the vowel signs of Indian scripts."""
    for code in range(0x300, 0x370):
        assert words(f"e{chr(code)}t") == ["et"]
    assert words("שָׁלוֹם") == ["שלום"]
    assert words("أَهْلًا") == ["اهلا"]
    assert words("किताब") == ["किताब"]


@pytest.mark.parametrize("space", "\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000")
def test_spaces(space: str) -> None:
    """All white space of Unicode separates."""
    assert words(f"a{space}b") == ["a", "b"]


def test_spaces_are_all_of_unicode() -> None:
    """`str.isspace`, but for control characters, which are all white space below U+0080 and dropped above."""
    found = [chr(c) for c in range(0x110000) if chr(c).isspace() and not 0xD800 <= c < 0xE000]
    assert all(words(f"a{c}b") == ["a", "b"] for c in found)
    assert [code for first, last in folding.SPACES for code in range(first, last + 1)] == [
        ord(c) for c in found if ord(c) >= 0x80
    ]


@pytest.mark.parametrize("sign", "¿¡«»·§،؛؟۔٪॥।״־։՞።፡་、。「」｡…—’“€£©°×÷№→≠❤☀✓中豈😀🏽\U00020000\u20e3︙﹏")
def test_signs_are_tokens(sign: str) -> None:
    """Punctuation of many scripts and signs stand by themselves within a word."""
    assert words(f"a{sign}b{sign}{sign}c") == ["a", sign, "b", sign, sign, "c"]


def test_punctuation_of_unicode() -> None:
    """Below U+0700 every character of the categories P and S is a token by itself."""
    for code in range(0xA1, 0x700):
        if unicodedata.category(chr(code))[0] in "PS":
            assert words(f"a{chr(code)}b") == ["a", chr(code), "b"]


def test_scripts_without_spaces() -> None:
    """Letters begin a token, and the signs that belong to them go on with it; a Latin letter too, as one does."""
    assert words("ภาษาไทย") == ["ภา", "ษา", "ไ", "ท", "ย"]
    assert words("ພາສາລາວ") == ["ພາ", "ສາ", "ລາ", "ວ"]
    assert words("မြန်မာ။") == ["မြ", "န်", "မာ", "။"]
    assert words("ខ្មែរ។") == ["ខ្", "មែ", "រ", "។"]
    assert words("abกb c") == ["ab", "กb", "c"]
    sentences = (  # "There are no spaces between the words.", about; docs/hash.md has the figures
        "ภาษาไทยไม่มีช่องว่างระหว่างคำ คนอ่านแยกเองได้",
        "ພາສາລາວບໍ່ມີຊ່ອງຫວ່າງ",
        "မြန်မာစာတွင်စကားလုံးများကြားနေရာလွတ်မရှိပါ",
        "ភាសាខ្មែរមិនមានដកឃ្លារវាងពាក្យ",
    )
    assert sum(len(s.encode()) for s in sentences) == 412
    assert [len(words(s)) for s in sentences] == [30, 12, 18, 19]
    assert sum(len(tokenize(s.encode(), 99, 999).first) for s in sentences) == 5


def test_an_older_version_keeps_its_tokens() -> None:
    """Without the field, and with 0, nothing is folded but ASCII."""
    data = "É ＡＢ soft\u00adhyphen ¿a".encode()
    plain = tokenize(data, 99, 99)
    assert plain == tokenize(data, 99, 99, normalization=0)
    assert [t.decode() for t in plain.first] == ["É", "ＡＢ", "soft\u00adhyphen", "¿a"]
    assert named_config("eelbert_uno").hash == HashConfig(widths=(43, 43, 42), normalization=0)


def test_configurations() -> None:
    """The field has a default, is saved, and only known versions are taken."""
    fields = named_config("eelbert_uno").to_dict()
    del fields["hash"]["normalization"]
    assert EelbertConfig.from_dict(fields).hash == HashConfig(normalization=0)
    new = EelbertConfig(hash=HashConfig(normalization=1))
    assert EelbertConfig.from_dict(new.to_dict()) == new
    with pytest.raises(ValueError, match=r"`normalization` must be 0 or 1 .* Received: normalization=2"):
        HashConfig(normalization=2)


@pytest.mark.parametrize("name", SOURCES)
def test_tables_in_all_sources(name: str) -> None:
    """Each language has the same runs, those that tests/make_letters.py writes."""
    text = (ROOT / name).read_text("utf-8")
    assert text.count(MARK) == 1
    assert rewrite(text, SOURCES[name]) == text
    assert len(re.findall(r"0x[0-9A-Fa-f]{8},", text)) == len(folding._RUNS)


def test_runs_fit_their_bits() -> None:
    """They rise, do not overlap, and lie in the covered code points."""
    end = 0
    for run in folding._RUNS:
        place, more = run >> 20, run >> 13 & 0x7F
        assert end <= place
        end = place + more + 1
    assert end <= len(COVERED) == len(folding.TWO_BYTES) + len(folding.THREE_BYTES)


def tokens_of(columns: tuple[np.ndarray, ...], row: int) -> list[bytes]:
    """Tokens from the marks of `normalize`."""
    found: list[bytes] = []
    for c, start, goes_on in zip(*(x[row].tolist() for x in columns[:3]), strict=True):
        assert not (start and goes_on)
        if start:
            found.append(bytes([c]))
        elif goes_on:
            found[-1] += bytes([c])
    return found


def check(texts: list[bytes], scatter: bool) -> None:
    """Asserts that the graph has the reference's tokens and separators."""
    width = max(map(len, texts)) + 1
    columns = tuple(np.asarray(x) for x in normalizing.normalize(ops.convert_to_tensor(padded(texts, width)), scatter))
    for row, text in enumerate(texts):
        assert tokens_of(columns, row) == tokenize(text, 10**9, 10**9, normalization=1).first, text
        assert columns[3][row].sum() == text.count(b"\x1f")


@pytest.mark.parametrize("scatter", [True, False])
def test_every_character(scatter: bool) -> None:
    """Every sequence of one, two and three bytes that is a character, and the edges of those of four."""
    codes = [c for c in range(0x10000) if not 0xD800 <= c < 0xE000]
    codes += [c + d for c in (0x10000, 0x1F000, 0x1F600, 0x40000, 0xE0000, 0xE0200, 0x10FFFF) for d in (-1, 0, 1, 64)]
    characters = ["".join(("a", chr(c), "b ")).encode() for c in codes if c < 0x110000]
    texts = [b"".join(characters[i : i + 128]) for i in range(0, len(characters), 128)]
    check(texts, scatter)


def test_byte_tables() -> None:
    """Every lead byte with the edges of every range behind it, inside a word."""
    edges: tuple[int, ...] = (
        0x20,
        0x41,
        0x7F,
        0x80,
        0x81,
        0x82,
        0x83,
        0x8F,
        0x90,
        0x9A,
        0x9E,
        0x9F,
        0xA0,
        0xA5,
        0xAC,
        0xAF,
        0xB0,
    )
    edges += (0xB8, 0xB9, 0xBB, 0xBC, 0xBD, 0xBF, 0xC0)
    ends = (0x21, 0x7F, 0x80, 0x8A, 0x8F, 0x90, 0xA4, 0xAF, 0xB0, 0xBF, 0xC0)
    leads = (*range(0x00, 0x100, 7), *range(0xBF, 0x100))
    cases = [b"a" + bytes(case) + b"\x80z" for case in itertools.product(leads, edges, ends)]
    check(cases, True)


texts_of_pieces = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=30).map(b"".join)


@pytest.mark.parametrize("scatter", [True, False])
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(batch=st.lists(texts_of_pieces, min_size=16, max_size=16))
def test_random_texts(scatter: bool, batch: list[bytes]) -> None:
    """Any bytes, whether dropped ones are closed up by scattering or in steps."""
    check(batch, scatter)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 64, 255, 257, 300])
def test_moving_is_scattering(length: int) -> None:
    """The two ways to close gaps agree, whatever is dropped."""
    rng = np.random.default_rng(length)
    for share in (0, 0.1, 0.5, 0.95, 1):
        gone = rng.random((20, length)) < share
        x = np.where(gone, rng.integers(-256, 0, gone.shape), rng.integers(0, 1024, gone.shape)).astype(np.float32)
        expected = np.zeros_like(x)
        for row in range(20):
            kept = x[row][~gone[row]]
            expected[row, length - len(kept) :] = kept
        for close_gaps in (normalizing._scatter, normalizing._move):
            assert (np.asarray(close_gaps(ops.convert_to_tensor(x[:, None, :, None]))) == expected).all()


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(texts_of_pieces)
def test_words_of_a_corpus_are_those_of_the_reference(data: bytes) -> None:
    """The compiled expression, with its own dictionary of characters."""
    assert split_words(data, 1) == tokenize(data, 10**9, 10**9, normalization=1).first


def test_words_on_long_random_bytes() -> None:
    rng = random.Random(0)
    for data in (bytes(rng.choices(range(256), k=50_000)), b"".join(rng.choices(PIECES, k=50_000))):
        assert split_words(data, 1) == tokenize(data, 10**9, 10**9, normalization=1).first


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(texts_of_pieces)
def test_normal_words_stay(data: bytes) -> None:
    """What is normal already is not changed: a text may be normalized by whoever splits it and by the model again."""
    once = split_words(data.decode("utf-8", "ignore").encode(), 1)
    assert split_words(b" ".join(once), 1) == once


SAME = [
    *(("ÉTAT", "état"), ("Привет", "ПРИВЕТ"), ("ΚΑΛΑ", "καλα"), ("straße", "STRASSE"), ("ａｂｃ", "ABC"), ("Ա", "ա")),
    *(("e\u0301tat", "état"), ("tiếng", "TIE\u0302\u0301NG"), ("a wonderful film", "a won\u00adderful film")),
    *(
        ("a wonderful film", "a won\u200dder\u200bful\ufe0f film"),
        ("wonderful", "\ufeffwonderful"),
        ("é" * 20, "e" * 20),
    ),
]


@pytest.mark.parametrize("target", ["mobile", "micro"])
def test_converted_files_take_texts_for_the_same(target: str) -> None:
    """Capitals, accents and invisible characters change no logit; with normalization 0 each of them does."""
    from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
    from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
    from tests.small_models import converted

    runtime: type = TflmRuntime if target == "micro" else EelbertRuntime
    new, old = (runtime(converted(name, target=target)[0]) for name in ("normalized", "small"))
    for pair in SAME:
        first, second = new.predict(list(pair))
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6, err_msg=str(pair))
        first, second = old.predict(list(pair))
        assert np.abs(first - second).max() > 1e-4, pair
