"""The runtime for devices: light, safe in threads, and unmoved by files that are not ours."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

from eelbert_tf.errors import InputError
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.stderr import stderr_of, without_notes
from tests.small_models import LABELS, converted


def test_needs_neither_tensorflow_nor_keras():
    """In a process of its own, from import to classes."""
    program = (
        "import sys; from eelbert_tf.tflite import EelbertRuntime\n"
        f"print(EelbertRuntime({str(converted('small')[0])!r}).classify('hello'))\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'jax', 'flatbuffers'}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_nothing_reaches_the_terminal(tmp_path):
    """LiteRT's note that it has made a delegate stays away; so does everything else where all is well."""
    (tmp_path / "texts.csv").write_text("text\none\ntwo\n")
    search = ["search", "--model", converted("encoder")[0], "--texts", tmp_path / "texts.csv", "--query", "one"]
    for command in (["predict", "--model", converted("small")[0], "--text", "hello"], search):
        done = subprocess.run(
            [sys.executable, "-m", "eelbert_tf", *map(str, command)], capture_output=True, text=True, check=True
        )
        assert done.stdout
        assert done.stderr == ""


def test_warnings_of_native_code_are_passed_on(capfd):
    """From any thread: one at a time is redirected."""

    def speak(number: int) -> None:
        with without_notes():
            os.write(2, b"INFO: a note\n")
            os.write(2, b"ERROR: %d\n" % number)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, range(32)))
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(f"ERROR: {number}" for number in range(32))
    assert stderr_of(lambda: os.write(2, b"INFO: a note\n")) == "INFO: a note\n"
    assert capfd.readouterr().err == ""


def test_classify():
    runtime = EelbertRuntime(converted("small")[0])
    ranked = runtime.classify("Turn on the lights!")
    logits = runtime.predict(["Turn on the lights!"])[0]
    assert {label for label, _ in ranked} == set(LABELS)
    assert ranked[0][0] == LABELS[logits.argmax()]
    assert sum(score for _, score in ranked) == pytest.approx(1)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)


def test_pairs_and_numbers():
    pairs = EelbertRuntime(converted("pair")[0])
    assert pairs.predict([("a b", "c"), ("a", "b c")]).shape == (2, 3)
    assert np.ptp(pairs.predict([("a b", "c"), ("a", "b c")]), axis=0).max() > 1e-3
    number = EelbertRuntime(converted("regression")[0])
    assert number.predict(["a", "b"]).shape == (2, 1)
    with pytest.raises(ValueError, match="predict"):
        number.classify("a")
    assert number.predict([]).shape == (0, 1)


def test_threads():
    """64 threads share one object."""
    runtime = EelbertRuntime(converted("small")[0])
    texts = hard_inputs(False, 256)
    expected = runtime.predict(texts)
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda text: runtime.predict([text])[0], texts))
    np.testing.assert_array_equal(np.stack(found), expected)


def test_pickled():
    """With the file in it: it may be gone where the copy is used."""
    runtime = EelbertRuntime(converted("small")[0])
    copied = pickle.loads(pickle.dumps(runtime))
    assert copied.metadata == runtime.metadata
    np.testing.assert_array_equal(copied.predict(["a b"]), runtime.predict(["a b"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked():
    """While another thread is in the middle of a text, with threads of LiteRT's own."""
    program = f"""
import os, signal
from eelbert_tf.tflite import EelbertRuntime
runtime = EelbertRuntime({str(converted("small")[0])!r}, threads=2)
label = runtime.classify("a b")[0]
with runtime._lock:
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(runtime.classify("a b")[0] != label)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert runtime.classify("a b")[0] == label
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_named_as_a_preset():
    assert EelbertRuntime("uno_en_sst2").classify("a wonderful film")[0][0] == "positive"
    with pytest.raises(InputError, match="no such file"):
        EelbertRuntime("uno_en")  # it comes with no file


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", False),
        ("one two", False),
        ("w " * 14, False),  # 16 slots, two of them special
        ("w " * 15, True),
        ("w" + " " * 5_000, False),  # white space is no loss
        ("w" + "\u3000" * 5_000, False),
        ("w" + " " * 5_000 + "w", True),
        ("a" * 63, False),
        ("a" * 65, True),
        (b"\xff\x00", False),
    ],
)
def test_is_truncated(text, cut):
    assert EelbertRuntime(converted("small")[0]).is_truncated(text) == cut


def test_is_truncated_in_pairs():
    runtime = EelbertRuntime(converted("pair")[0])
    assert not runtime.is_truncated(("one two", "three"))
    assert runtime.is_truncated(("w " * 10, "w " * 10))
    assert runtime.is_truncated(("a" * 40, "b" * 40))
    assert not runtime.is_truncated((" " * 3_000, "three"))
    assert not runtime.is_truncated(("one", "two" + "\u3000" * 3_000))


@pytest.mark.parametrize("text", ["a", " ", "a ", "\u00c2\u00a9"])
def test_is_truncated_of_millions_of_bytes(text):
    """In time proportional to the text: quadratic time would be hours here."""
    assert is_truncated(text * 2_000_000, 16, 64, False) == (not text.isspace())


def damaged_files():
    """Names, contents and what the message must say."""
    data = converted("small")[0].read_bytes()
    middle = len(data) // 2
    start = data.index(b'"format_version": 1')
    yield "empty", b"", "not a TFLite file"
    yield "text", b"PK\x03\x04 something else entirely", "not a TFLite file"
    yield "half", data[:middle], "damaged"
    yield "longer", data + b"\0", "damaged"
    yield "one bit", data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], "damaged"
    yield "checksum", data.replace(b'"crc32": "', b'"crc32": "0', 1), "damaged"
    yield "version", data[:start] + b'"format_version": 2' + data[start + 19 :], "format version 2"
    yield "foreign", data.replace(b'"format": "eelbert"', b'"format": "another"'), "did not write"


@pytest.mark.parametrize("number", range(8))
def test_bad_files(tmp_path, number):
    """One line that names the file; the process lives on."""
    name, data, message = list(damaged_files())[number]
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        EelbertRuntime(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_any_damage_is_seen():
    """Random bits, anywhere in the file."""
    from eelbert_tf.tflite.flatbuffer.metadata import read_metadata

    data = converted("small")[0].read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        bad = bytearray(data)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        with pytest.raises(InputError):
            read_metadata(bytes(bad), "a.tflite")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        EelbertRuntime(tmp_path / "a.tflite")
    with pytest.raises(InputError, match="is a folder"):
        EelbertRuntime(tmp_path)
