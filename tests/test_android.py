"""The Android kit on a plain JVM: its helper against Python and the golden vectors, with LiteRT of this machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from eelbert_tf.config import NORMALIZATIONS
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import as_data, encode_texts, join_pair
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.tflite.checks.hard_texts import hard_inputs, hard_texts
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests import small_taggers
from tests.small_models import LABELS, converted, with_metadata
from tests.test_embeddings import CASES as CASES_OF_INDEX
from tests.test_embeddings import TOPS, expected_lines
from tests.test_spans import CASES, numbers_of

ROOT = Path(__file__).resolve().parent.parent
KIT = ROOT / "tflite" / "kits" / "android"
EXAMPLE = ROOT / "examples" / "android_view_model"
HARNESS = Path(__file__).parent / "java"
GOLDEN = Path(__file__).parent / "golden" / "hash.json"
WINDOWS = Path(__file__).parent / "golden" / "windows.json"
STRICT = ["-Xlint:all,-options", "-Werror", "--release", "8"]
LIMITS = ((16, 64), (9, 40), (4, 7))  # max_tokens, max_bytes


class Java:
    """The helper in a JVM. What it asks of LiteRT is answered by LiteRT, in this process.

    Args:
        classes: folder of the compiled classes.
        main: the class that runs, and its arguments.
    """

    def __init__(self, classes: Path, main: Sequence[str] = ("eelbert.android.Calls",)) -> None:
        self.classes = classes
        command = ["java", "-Xshare:auto", "-Dfile.encoding=UTF-8", "-cp", str(classes), *main]
        self._jvm = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.runtime: EelbertRuntime | None = None
        self.loaded: list[int] = []  # checksums of the models that the helper gave to LiteRT
        self.signatures: list[str] = []  # of the graphs that ran

    def __call__(self, name: str, *arguments: Any) -> str:
        """The answer to a call."""
        self._write(" ".join([name, *map(str, arguments)]))
        return self.answer()

    def answer(self) -> str:
        """The next line that is an answer; what comes before it is for LiteRT."""
        assert self._jvm.stdout is not None
        for line in self._jvm.stdout:
            if line.startswith("="):
                return line[1:].rstrip("\n")
            kind, name, *values = line.split()
            if kind == "load":
                self.loaded.append(int(name, 16))
            else:
                assert kind == "run"
                assert self.runtime is not None
                metadata = self.runtime.metadata
                (length,) = (one for one in (*metadata.shorter, metadata.whole) if metadata.signature(one) == name)
                self.signatures.append(name)
                outputs = self.runtime.invoke(np.array([values], np.int32), length)
                self._write(" ".join(str(bits) for values in outputs for bits in values.view(np.uint32).ravel()))
        raise AssertionError("the JVM ended")

    def _write(self, line: str) -> None:
        assert self._jvm.stdin is not None
        self._jvm.stdin.write(line + "\n")
        self._jvm.stdin.flush()

    def close(self) -> None:
        """Ends the JVM."""
        self._jvm.communicate(timeout=20)


@pytest.fixture(scope="module")
def java(tmp_path_factory) -> Iterator[Java]:
    """The helper's sources, compiled for Java 8 without a warning, beside what stands for Android."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("javac is not installed (Debian: default-jdk-headless)")
    classes = tmp_path_factory.mktemp("classes")
    sources = [path for folder in (KIT / "eelbert", EXAMPLE, HARNESS) for path in folder.rglob("*.java")]
    done = subprocess.run(["javac", *STRICT, "-d", classes, *sources], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    jvm = Java(classes)
    yield jvm
    jvm.close()


def _hex(text: str | None) -> str:
    return "-" if text is None else "x" + text.encode("utf-16-be", "surrogatepass").hex()


def test_golden_spans_in_java(java):
    for case in CASES:
        found = np.array(java("spans", *numbers_of(case)).split(), np.float64).reshape(-1, 6)
        expected = [[k, start, end, first, last, score] for k, start, end, _, _, first, last, score in case["spans"]]
        np.testing.assert_allclose(found, np.reshape(expected, (-1, 6)), atol=2e-6)


def test_tagger(java):
    path, _ = small_taggers.converted("mobile", "int8")
    java.runtime = EelbertRuntime(path)
    text = "weather in São Paulo at noon ?"
    answer = java.runtime.tag(text)
    labels, spans = java("tag", path, _hex(text)).split(" ")[:3], java("tag", path, _hex(text)).split(" ")[3:]
    assert {label.split(":")[0]: float(label.split(":")[1]) for label in labels} == pytest.approx(answer["scores"])
    for found, span in zip(spans, answer["spans"], strict=True):
        label, *numbers = found.split(":")
        assert label == span["label"]
        assert [*map(float, numbers)] == pytest.approx(
            [span[k] for k in ("start", "end", "start_byte", "end_byte", "score")]
        )


def _flag(value: bool) -> str:
    return str(value).lower()


def _words(data: bytes, max_tokens: int, max_bytes: int, pair: bool, normalization: int) -> str:
    words = tokenize(data, max_tokens, max_bytes, pair, normalization)
    lists = [words.first] if words.second is None else [words.first, words.second]
    return "|".join(",".join(word.hex() for word in words) for words in lists)


def test_golden_vectors_in_java(java):
    golden = json.loads(GOLDEN.read_text())
    for normalization, record in [(n, r) for n, key in enumerate(("texts", "normalized_texts")) for r in golden[key]]:
        limits = record["max_tokens"], record["max_bytes"], _flag(record["pair"]), normalization
        first, *second = java("words", "x" + record["data"], *limits).split("|")
        tokens = [b"[CLS]".hex(), *filter(None, first.split(",")), b"[SEP]".hex()]
        if second:
            tokens += [*filter(None, second[0].split(",")), b"[SEP]".hex()]
        assert tokens == record["tokens"]
    checked = 0
    for record in golden["pairs"]:
        try:
            first, second = (bytes.fromhex(record[key]).decode() for key in ("first", "second"))
        except UnicodeDecodeError:
            continue  # no Java string has these bytes
        joined = java("join", _hex(first), _hex(second), record["max_bytes"])
        assert joined[: 2 * record["max_bytes"]] == record["joined"]
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("pair", [False, True])
def test_the_same_bytes_words_and_cuts_as_in_python(java, pair, normalization):
    """Texts that Java can hold, lone surrogates among them; and any bytes, for the words."""
    strings = [text for text in hard_texts(200) if isinstance(text, str)]
    texts: list[Any] = list(zip(strings, strings[::-1], strict=True)) if pair else strings
    texts += [(" " * 3_000, "b"), ("\x1fa\x1f", "\u3000" * 3_000)] if pair else ["\ud83d\ude00" + " " * 3_000]
    for max_tokens, max_bytes in LIMITS:
        limits = max_tokens, max_bytes, _flag(pair), normalization
        for text in texts:
            first, second = map(_hex, text if pair else (text, None))
            encoded = np.array(java("encode", first, second, max_bytes).split(), np.int32)
            np.testing.assert_array_equal(encoded, encode_texts([text], max_bytes)[0])
            cut = is_truncated(text, max_tokens, max_bytes, pair, normalization)
            assert java("truncated", first, second, *limits) == _flag(cut), text
        for data in (as_data(text, max_bytes) for text in hard_inputs(pair, 200)):
            expected = _words(data, max_tokens, max_bytes, pair, normalization)
            assert java("words", "x" + data.hex(), *limits) == expected, data
    if pair:
        assert java("join", _hex("a b"), _hex("c"), 64) == join_pair("a b", "c", 64).hex()


@pytest.mark.parametrize("name", ["small", "normalized_pair"])
def test_lengths(java, name):
    """Each text goes through the graph that Python takes for it."""
    path = converted(name, lengths=[6, 10])[0]
    java.runtime = runtime = EelbertRuntime(path)
    java.signatures.clear()
    metadata, expected = runtime.metadata, []
    for first in (
        "on",
        "",
        "turn on the lights",
        "é" * 20,
        "a-b-c-d",
        "one two three four five six seven eight nine",
        "x" * 36,
    ):
        second = None if name == "small" else "now"
        text = first if second is None else (first, second)
        expected.append(metadata.signature(metadata.length_for(as_data(text, metadata.max_bytes))))
        found = float(java("predict", path, _hex(first), _hex(second)))
        assert found == runtime.predict([text])[0, 0]
    assert java.signatures == expected
    assert len(set(expected)) == 3


def test_golden_windows_in_java(java):
    for record in json.loads(WINDOWS.read_text())["windows"]:
        limits = (record[name] for name in ("max_tokens", "max_bytes", "overlap", "normalization"))
        assert json.loads(java("windows", "x" + record["data"], *limits)) == record["windows"]


def test_long_texts(java, tmp_path):
    """A file that says that texts are read in windows: Java cuts and averages as Python does."""
    data, path = converted("small", quantize="int8")[0].read_bytes(), tmp_path / "long.tflite"
    path.write_bytes(with_metadata(data, max_windows=3, window_overlap=2))
    java.runtime = runtime = EelbertRuntime(path)
    for text in ("turn on the lights", "", "word " * 20, "naïve café, " * 12, "x" * 90, "one two " * 99):
        scores = [float(field.split(":")[1]) for field in java("classify", path, _hex(text), "-").split(" ")]
        assert scores == pytest.approx([score for _, score in runtime.classify(text)], abs=1e-6)
        assert java("long", path, _hex(text)) == _flag(runtime.is_truncated(text))


@pytest.mark.parametrize("name", ["small", "pair", "normalized_pair"])
def test_one_call_classifies_as_python_does(java, name):
    """From an asset to ranked classes, the model run by LiteRT."""
    path = converted(name, quantize="int8")[0]
    java.runtime = EelbertRuntime(path)
    java.loaded.clear()
    for first in ("Turn ON the lights, naïve café!", "", "a" * 300, "größer 😀"):
        text = first if name == "small" else (first, "and off")
        answer = java("classify", path, _hex(first), _hex(None if name == "small" else "and off"))
        scores = [(bytes.fromhex(label).decode(), float(p)) for label, p in (s.split(":") for s in answer.split())]
        expected = java.runtime.classify(text)
        assert [label for label, _ in scores] == [label for label, _ in expected]
        assert [p for _, p in scores] == pytest.approx([p for _, p in expected], rel=1e-12)
    assert java.loaded == [zlib.crc32(path.read_bytes())] * 4
    limits = java.runtime.metadata
    labels = ",".join(label.encode().hex() for label in LABELS)
    kind = f"false {_flag(name != 'small')} {int('normalized' in name)}"
    assert java("metadata", path) == f"{limits.max_tokens} {limits.max_bytes} {kind} {labels}"


def test_golden_index_in_java(java):
    lines = []
    for case in CASES_OF_INDEX:
        for query in case["queries"]:
            for top in TOPS:
                answer = java("search", "x" + case["index"], case["model_crc32"], top, *query["embedding"]).split()
                lines.append(" ".join(":".join(match.split(":")[:2]) for match in answer))
            strings = [[bytes.fromhex(part).decode() for part in match.split(":")[2:]] for match in answer]
            assert strings == [match[2:] for match in query["matches"]]
        for data, crc, message in [
            (case["index"][2:], 0, "not a file that eelbert index"),
            (case["index"][:-2], 0, "damaged"),
            (case["index"], 7, "another model"),
        ]:
            assert message in java("search", "x" + data, crc, 1, 1.0)
    assert lines == expected_lines()


def test_embedding(java):
    path = converted("encoder", quantize="int8")[0]
    java.runtime = EelbertRuntime(path)
    crc32, numbers = java("embed", path, _hex("größer 😀")).split(" ", 1)
    assert int(crc32) == java.runtime.crc32 == zlib.crc32(path.read_bytes())
    np.testing.assert_array_equal(np.array(json.loads(numbers), np.float32), java.runtime.embed(["größer 😀"])[0])
    assert "no embeddings" in java("embed", converted("small", quantize="int8")[0], _hex("a"))


def test_regression_gives_a_number(java):
    path = converted("regression")[0]
    java.runtime = EelbertRuntime(path)
    assert float(java("predict", path, _hex("a b c"), "-")) == java.runtime.predict(["a b c"])[0, 0]
    assert "use predict" in java("classify", path, _hex("a"), "-")


def test_view_model(java, tmp_path):
    """examples/android_view_model: the last of many texts counts; a damaged model is told; its thread ends."""
    path = converted("small", quantize="int8")[0]
    texts = ["t", "turn", "turn on", "turn on the lights " + "now " * 30]
    shutil.copy(path, tmp_path / "model.tflite")
    jvm = Java(java.classes, ["eelbert.example.Typing", str(tmp_path), *texts])
    jvm.runtime = EelbertRuntime(path)
    label, is_truncated, error = jvm.answer().split("\t")
    assert (label, is_truncated, error) == (jvm.runtime.classify(texts[-1])[0][0], "true", "null")
    jvm.close()
    (tmp_path / "model.tflite").write_bytes(path.read_bytes()[:-1])
    jvm = Java(java.classes, ["eelbert.example.Typing", str(tmp_path), *texts])
    label, _, error = jvm.answer().split("\t")
    assert label == "null"
    assert "damaged" in error
    jvm.close()


def test_damaged_files_never_reach_litert(java, tmp_path):
    data = converted("small", quantize="int8")[0].read_bytes()
    start = data.index(b'{"format": "eelbert"')
    bad = tmp_path / "bad.tflite"
    java.loaded.clear()
    cases = [data[:cut] for cut in (0, 7, 100, start + 5, start + 60, len(data) - 1)]
    for position in (*range(0, len(data), len(data) // 40), *range(start - 4, start + 120, 3)):
        flipped = bytearray(data)
        flipped[position] ^= 4
        cases.append(bytes(flipped))
    for case in cases:
        bad.write_bytes(case)
        answer = java("metadata", bad)
        assert answer.startswith("error "), case[:20]
        assert re.search("damaged|version", answer), answer
    assert java.loaded == []


def test_app_refers_to_what_is_there():
    """Identifiers of resources, and the activity that the manifest starts: no Android SDK checks them here."""
    main = KIT / "app" / "src" / "main"
    source = (main / "java" / "eelbert" / "demo" / "MainActivity.java").read_text()
    android = "{http://schemas.android.com/apk/res/android}"
    layout = ET.parse(main / "res" / "layout" / "main.xml").getroot()
    ids = {element.get(f"{android}id", "").removeprefix("@+id/") for element in layout.iter()}
    assert set(re.findall(r"\bR\.id\.(\w+)", source)) <= ids
    strings = {element.get("name") for element in ET.parse(main / "res" / "values" / "strings.xml").getroot()}
    manifest = ET.parse(main / "AndroidManifest.xml").getroot()
    used = re.findall(r"@string/(\w+)", "".join(p.read_text() for p in main.rglob("*.xml")))
    assert set(used) == strings
    (activity,) = manifest.iter("activity")
    assert f"class {activity.get(f'{android}name', '').removeprefix('.')} " in source
    assert list(manifest.iter("uses-permission")) == []
