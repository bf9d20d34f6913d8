"""The web page: its JavaScript against Python, and the page itself in a headless Chromium."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import NORMALIZATIONS
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import as_data, encode_texts
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.text.windows import Windows
from eelbert_tf.tflite.checks.hard_texts import hard_inputs, hard_texts
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests import browser, small_taggers
from tests.pages import example
from tests.small_models import FILE, TASKS, converted, trained
from tests.task_texts import task_rows

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "tflite" / "kits" / "web"
VENDORED = ROOT / "build" / "web" / "node_modules"  # where `make web` puts it
READY = ROOT / "eelbert_tf" / "saving" / "presets" / "uno_en_sst2" / "model.tflite"  # what `make web` shows
GOLDEN = Path(__file__).parent / "golden" / "hash.json"
WINDOWS = Path(__file__).parent / "golden" / "windows.json"

# Reads a list of [function, arguments...] and writes the list of results.
NODE = """
import { readFileSync } from "node:fs";
import * as text from TEXT;
const calls = JSON.parse(readFileSync(0, "utf8"));
const plain = (_, x) => (x instanceof Int32Array ? [...x] : x);
console.log(JSON.stringify(calls.map(([name, ...args]) => text[name](...args)), plain));
"""
LIMITS = ((16, 64), (9, 40), (4, 7))  # max_tokens, max_bytes


def _node(calls: list[list[Any]]) -> list[Any]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    program = NODE.replace("TEXT", json.dumps((WEB / "text.js").as_uri()))
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _words(data: bytes, max_tokens: int, max_bytes: int, pair: bool, normalization: int) -> list[Any]:
    words = tokenize(data, max_tokens, max_bytes, pair, normalization)
    return [[list(w) for w in words.first], None if words.second is None else [list(w) for w in words.second]]


def test_golden_vectors_in_javascript():
    golden = json.loads(GOLDEN.read_text())
    texts = [
        (list(bytes.fromhex(r["data"])), r["max_tokens"], r["max_bytes"], r["pair"], normalization, r["tokens"])
        for normalization, key in enumerate(("texts", "normalized_texts"))
        for r in golden[key]
    ]
    found = _node([["tokenize", *arguments] for *arguments, _ in texts])
    cls, sep = b"[CLS]".hex(), b"[SEP]".hex()
    for (first, second), (*_, expected) in zip(found, texts, strict=True):
        slots = [cls, *(bytes(word).hex() for word in first), sep]
        if second is not None:
            slots += [*(bytes(word).hex() for word in second), sep]
        assert slots == expected
    decodable = [r for r in golden["pairs"] if _is_utf8(r["first"], r["second"])]
    assert len(decodable) > 10
    first_second = [[bytes.fromhex(r[key]).decode() for key in ("first", "second")] for r in decodable]
    calls = [["toBytes", *texts, r["max_bytes"]] for texts, r in zip(first_second, decodable, strict=True)]
    for data, record in zip(_node(calls), decodable, strict=True):
        assert bytes(data[: record["max_bytes"]]).hex() == record["joined"]


def _is_utf8(*texts: str) -> bool:
    try:
        return all(bytes.fromhex(text).decode() is not None for text in texts)
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("pair", [False, True])
def test_the_same_bytes_words_and_cuts_as_in_python(pair, normalization):
    """Texts that a page can hold, lone surrogates among them; and any bytes, for the words."""
    strings = [text for text in hard_texts(400) if isinstance(text, str)]
    texts: list[Any] = list(zip(strings, strings[::-1], strict=True)) if pair else strings
    texts += [(" " * 3_000, "b"), ("\x1fa\x1f", "\u3000" * 3_000)] if pair else ["\ud83d\ude00" + " " * 3_000]
    calls: list[list[Any]] = []
    expected: list[Any] = []
    for max_tokens, max_bytes in LIMITS:
        hash_fields = {"normalization": normalization} if normalization else {}  # an older file has none
        config = {"hash": hash_fields}
        metadata = {"max_tokens": max_tokens, "max_bytes": max_bytes, "pair": pair, "config": config}
        for text in texts:
            first, second = text if pair else (text, None)
            calls += [["inputs", first, second, metadata], ["read", first, second, metadata]]
            words = _words(as_data(text, max_bytes), max_tokens, max_bytes, pair, normalization)
            truncated = is_truncated(text, max_tokens, max_bytes, pair, normalization)
            data = encode_texts([text], max_bytes)[0].tolist()
            expected.append([{"input": data, "signature": "serving_default", "share": 1}])
            expected.append({"words": words, "truncated": truncated})
        for data in (as_data(text, max_bytes) for text in hard_inputs(pair, 400)):
            calls.append(["tokenize", list(data), max_tokens, max_bytes, pair, normalization])
            expected.append(_words(data, max_tokens, max_bytes, pair, normalization))
    for call, found, wanted in zip(calls, _node(calls), expected, strict=True):
        assert found == wanted, call


def test_windows_in_javascript():
    """Where they lie, what a model is run on and with which share, and what is left out."""
    cases = json.loads(WINDOWS.read_text())["windows"]
    limits = ("max_tokens", "max_bytes", "overlap", "normalization")
    calls = [["findWindows", list(bytes.fromhex(r["data"])), *(r[name] for name in limits)] for r in cases]
    for found, record in zip(_node(calls), cases, strict=True):
        assert [[w["start"], w["end"], w["tokens"]] for w in found] == record["windows"]
    calls, expected = [], []
    for overlap, normalization in ((0, 0), (3, 1)):
        config = {"hash": {"normalization": normalization}}
        metadata = {"max_tokens": 9, "max_bytes": 40, "max_windows": 3, "window_overlap": overlap, "config": config}
        windows = Windows(9, 40, 3, overlap, normalization)
        for text in (text for text in hard_texts(300) if isinstance(text, str)):
            calls += [["inputs", text, None, metadata], ["read", text, None, metadata]]
            parts, shares = windows.cut_and_weigh(text)
            expected += [(encode_texts(parts, 40), shares), windows.is_truncated(text)]
    for found, wanted in zip(_node(calls), expected, strict=True):
        if isinstance(wanted, bool):
            assert found["truncated"] == wanted
        else:
            # what is read, white space around it left out
            assert [row["share"] for row in found] == pytest.approx(wanted[1])
            for row, data in zip(found, wanted[0].tolist(), strict=True):
                words = [_words(bytes(d).rstrip(b"\0"), 9, 40, False, 1) for d in (row["input"], data)]
                assert words[0] == words[1]


@pytest.mark.parametrize("pair", [False, True])
def test_lengths_in_javascript(pair):
    """The shortest graph that holds a text is the one that Python takes."""
    metadata = Metadata(40, 200, 2, pair=pair, config={"hash": {"normalization": 1}}, lengths=[(6, 30), (12, 70)])
    texts = [as_data(text, 200) for text in hard_inputs(pair, 300)]
    fields = dataclasses.asdict(metadata)
    lengths = [metadata.length_for(data) for data in texts]
    assert len(set(lengths)) == 3
    for found, length in zip(_node([["fit", list(data), fields] for data in texts]), lengths, strict=True):
        assert found["signature"] == metadata.signature(length)
        assert len(found["input"]) == length.bytes


# Reads the path of a file and logits, and writes an answer and what `classify` needs for each text.
ANSWERS = """
import { readFileSync } from "node:fs";
import { readMetadata } from METADATA;
import { answer, decide, names, probabilities } from SCORES;
const { path, logits } = JSON.parse(readFileSync(0, "utf8"));
const metadata = readMetadata(new Uint8Array(readFileSync(path)));
const chosen = (row) => decide(probabilities(row, metadata), metadata).map((i) => names(metadata)[i]);
const isNumber = metadata.task === "regression";
console.log(JSON.stringify(logits.map((row) => [answer(row, metadata), isNumber ? [] : chosen(row)])));
"""


@pytest.mark.parametrize("task", TASKS)
def test_answers_in_javascript(task):
    """Of each task's file: the same classes, probabilities and numbers as in Python."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    runtime = EelbertRuntime(trained(task) / FILE)
    texts = [row[0] for row in task_rows(task, 40, seed=3)[1]] + ["who wrote that book?", "", "#life lol"]
    logits = runtime.predict(texts)
    program = ANSWERS
    for name in ("metadata", "scores"):
        program = program.replace(name.upper(), json.dumps((WEB / f"{name}.js").as_uri()))
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        input=json.dumps({"path": str(trained(task) / FILE), "logits": logits.tolist()}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    outputs = runtime.metadata.outputs
    for row, (found, chosen) in zip(logits, json.loads(done.stdout), strict=True):
        expected = outputs.answer(row)
        expected.pop("reason", None)
        assert list(found) == list(expected)
        for key, value in expected.items():
            close = isinstance(value, dict | float)
            assert found[key] == (pytest.approx(value, rel=1e-9, abs=1e-12) if close else value)
            assert not isinstance(value, dict) or list(found[key]) == list(value)
        if task != "regression":
            assert chosen == expected.get("labels", [expected.get("label")])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """What `python -m http.server --directory folder` does; the address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[tuple[browser.Browser, str]]:
    """A browser, and the address of the page with a small int8 model, served as `make web` does."""
    programs = browser.find()
    if programs is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    if shutil.which("make") is None or shutil.which("npm") is None:
        pytest.skip("make and npm are needed to fetch LiteRT.js")
    made = subprocess.run(["make", "-s", str(VENDORED.relative_to(ROOT))], cwd=ROOT, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"npm could not fetch LiteRT.js: {made.stderr[-300:]}")
    site = tmp_path_factory.mktemp("site")
    for file in (*WEB.glob("*.html"), *WEB.glob("*.css"), *WEB.glob("*.js"), VENDORED):
        (site / file.name).symlink_to(file)
    (site / "model.tflite").symlink_to(converted("small", quantize="int8", lengths=[6, 10])[0])
    with _served(site) as address, browser.start(*programs, _free_port()) as window:
        window.site = site
        yield window, address


SHOWN = """return {
    label: document.querySelector("#answer").textContent,
    second: !document.querySelector("#pair").hidden,
    size: document.querySelector("#size").textContent,
    time: document.querySelector("#time").textContent,
    truncated: document.querySelector("#truncated").textContent,
    message: document.querySelector("#message").textContent,
    words: [...document.querySelectorAll("#words span")].map((e) => e.textContent),
    scores: Object.fromEntries([...document.querySelectorAll("#bars .track")].map(
        (e) => [e.getAttribute("aria-label"), Number(e.getAttribute("aria-valuenow"))])),
}"""


def _assert_shown(window: browser.Browser, runtime: EelbertRuntime, text: Any) -> dict[str, Any]:
    """Waits for what Python computes: the page may still be at the text before."""
    ranked = runtime.classify(text)
    expected = pytest.approx(dict(ranked), abs=1e-5)
    shown = window.wait(SHOWN, lambda s: s["scores"] == expected and s["time"].endswith(" ms"), seconds=10)
    assert shown["scores"] == expected
    assert shown["label"] == ranked[0][0]
    assert shown["time"].endswith(" ms")
    return shown


def _open(page: tuple[browser.Browser, str]) -> browser.Browser:
    window, address = page
    window.requests()
    window.open(address)
    loaded = window.wait(SHOWN, lambda s: s["size"] != "–" or "Loading" not in s["message"])
    assert loaded["message"] == ""
    return window


def test_page_shows_what_python_computes(page):
    """Typed text, key by key; nothing is asked of any other machine."""
    window = _open(page)
    path = converted("small", quantize="int8", lengths=[6, 10])[0]
    runtime = EelbertRuntime(path)
    assert window.script(SHOWN)["size"] == f"{round(path.stat().st_size / 1000)} kB"
    assert window.script(SHOWN)["label"] == "–"
    window.type("#text", "Turn ON the lights, naïve café!")
    shown = _assert_shown(window, runtime, "Turn ON the lights, naïve café!")
    assert shown["words"] == ["turn", "on", "the", "lights", ",", "naïve", "café", "!"]
    assert shown["truncated"] == ""
    window.type("#text", " and so on" * 8 + " zebra")
    shown = window.wait(SHOWN, lambda s: s["truncated"])
    assert "Longer" in shown["truncated"]
    assert "zebra" not in shown["words"]

    asked = [urllib.parse.urlsplit(url) for url in window.requests()]
    paths = {url.path for url in asked if url.hostname == "127.0.0.1"}
    assert {"/", "/model.tflite", "/page.js"} <= paths
    assert any(path.endswith(".wasm") for path in paths)
    others = {url.scheme for url in asked if url.hostname != "127.0.0.1"}
    assert others <= {"data", "chrome", "chrome-untrusted"}  # the browser's own


PREDICT = """const { Eelbert } = await import("./eelbert.js");
const model = await Eelbert.load("model.tflite");
const logits = [];
for (const text of TEXTS) logits.push([...await model.predict(text)]);
model.close();
return logits;"""


def test_examples(page):
    """The first is filled in, classified and selected; a button, by mouse or by keyboard, fills in another."""
    runtime = EelbertRuntime(READY)
    examples = json.loads((WEB / "examples.json").read_text("utf-8"))
    window = _ready(page)
    _assert_shown(window, runtime, examples[0])
    assert window.script("return document.querySelector('#text').selectionEnd") == len(examples[0])
    window.script("document.querySelectorAll('#examples button')[2].click()")
    _assert_shown(window, runtime, examples[2])
    window.type("#examples button:nth-child(2)", "\ue007")  # Enter
    _assert_shown(window, runtime, examples[1])
    window.type("#file", str(converted("regression")[0]))
    window.wait("return document.querySelector('#examples').hidden", bool)
    assert window.script("return document.querySelector('#examples').hidden")


def test_examples_in_many_languages(page):
    """Those of examples/many_languages, with a model that folds the letters of all alphabets."""
    path = converted("normalized", quantize="int8")[0]
    runtime, examples = EelbertRuntime(path), example("many_languages/house_requests").page_examples()
    window, address = page
    folder = window.site / "languages"
    folder.mkdir()
    for file in (*(path for path in WEB.glob("*.[hc]*")), *WEB.glob("*.js"), VENDORED):
        (folder / file.name).symlink_to(file)
    (folder / "model.tflite").symlink_to(path)
    (folder / "examples.json").write_text(json.dumps(examples), "utf-8")
    window = _open((window, f"{address}languages/"))
    for number, text in enumerate(examples):
        window.script(f"document.querySelectorAll('#examples button')[{number}].click()")
        _assert_shown(window, runtime, text)


def _ready(page: tuple[browser.Browser, str]) -> browser.Browser:
    """The page with a preset and examples, as `make web` serves it without a model of one's own."""
    window, address = page
    folder = window.site / "ready"
    if not folder.exists():
        folder.mkdir()
        for file in (*(path for path in WEB.glob("*.[hcj]*") if "package" not in path.name), VENDORED, READY):
            (folder / file.name).symlink_to(file)
    return _open((window, f"{address}ready/"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours(page, scheme):
    """Text stands out from its ground by 4.5 to 1 and more, as WCAG asks, in the light and in the dark.

    With the environment variable EELBERT_PICTURE=docs/web it makes the pictures of the pages.
    """
    window = _ready(page)
    window.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.command("Emulation.setDeviceMetricsOverride", width=1080, height=820, deviceScaleFactor=1, mobile=False)
    try:
        window.wait(SHOWN, lambda s: s["time"].endswith(" ms"))
        for selector in ("#text", "#answer", "#examples button", "header p", "#room", "footer p"):
            assert window.script(CONTRAST.replace("SELECTOR", json.dumps(selector))) > 4.5, selector
        ground = window.script("return getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", ground)[0]) < 64) == (scheme == "dark")
        if picture := os.environ.get("EELBERT_PICTURE"):
            taken = window.command("Page.captureScreenshot", format="png")["data"]
            Path(f"{picture}-{scheme}.png").write_bytes(base64.b64decode(taken))
    finally:
        window.command("Emulation.clearDeviceMetricsOverride")
        window.command("Emulation.setEmulatedMedia", features=[])


CONTRAST = """
const part = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
let node = document.querySelector(SELECTOR);
const ink = colour(getComputedStyle(node).color);
while (node && colour(getComputedStyle(node).backgroundColor)[3] === 0) node = node.parentElement;
const [a, b] = [light(ink), light(colour(getComputedStyle(node ?? document.body).backgroundColor))];
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);"""


SORTED = """return Object.fromEntries([...document.querySelectorAll("section li")].map(
    (e) => [e.firstChild.textContent, e.closest("section").id]))"""


def test_support_mail_is_sorted(page):
    """The page of examples/support_mail, on the small model: each mail is in the queue that Python says."""
    window, address = page
    runtime = EelbertRuntime(converted("small", quantize="int8", lengths=[6, 10])[0])
    folder = window.site / "support"
    folder.mkdir()
    mails = ["my parcel is late", "größer, bitte", "where is my invoice?"]
    for file in (*WEB.glob("*.js"), *(ROOT / "examples" / "support_mail").glob("*.[hcj]*"), VENDORED):
        (folder / file.name).symlink_to(file)
    (folder / "model.tflite").symlink_to(converted("small", quantize="int8", lengths=[6, 10])[0])
    (folder / "mails.json").write_text(json.dumps(mails))
    window.open(f"{address}support/index.html")
    window.wait(SORTED, lambda found: len(found) == len(mails))
    window.type("#mail", "one more")
    window.script("document.querySelector('button').click()")
    found = window.wait(SORTED, lambda found: len(found) == len(mails) + 1)
    assert found == {text: f"queue-{runtime.classify(text)[0][0]}" for text in [*mails, "one more"]}


def test_logits_of_hard_texts(page):
    """The JavaScript runtime by itself, as a page of one's own would call it."""
    window = _open(page)
    texts = [text for text in hard_texts(300) if isinstance(text, str)]
    found = np.array(window.script(PREDICT.replace("TEXTS", json.dumps(texts))))
    expected = EelbertRuntime(converted("small", quantize="int8", lengths=[6, 10])[0]).predict(texts)
    assert abs(found - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).min() > 0.1


def test_other_models_in_the_page(page, tmp_path):
    """A model for pairs shows a second field, a regression a number; a damaged file changes nothing but a message."""
    window = _open(page)
    path = converted("pair", quantize="int8")[0]
    window.type("#file", str(path))
    assert window.wait(SHOWN, lambda s: s["second"])["second"]
    window.type("#text", "A man eats.")
    window.type("#second", "Nobody eats here")
    _assert_shown(window, EelbertRuntime(path), ("A man eats.", "Nobody eats here"))

    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.tflite").write_bytes(data)
    window.type("#file", str(tmp_path / "damaged.tflite"))
    assert "damaged" in window.wait(SHOWN, lambda s: "damaged" in s["message"])["message"]
    (tmp_path / "other.tflite").write_bytes(b"something else")
    window.type("#file", str(tmp_path / "other.tflite"))
    assert "eelbert convert" in window.wait(SHOWN, lambda s: "eelbert convert" in s["message"])["message"]

    path = converted("regression")[0]
    window.type("#file", str(path))
    number = EelbertRuntime(path).predict(["A man eats."])[0, 0]
    shown = window.wait(SHOWN, lambda s: s["label"] == f"{number:.3f}", seconds=10)
    assert float(shown["label"]) == pytest.approx(number, abs=1e-3)
    assert shown["message"] == ""
    assert not shown["second"]
    assert shown["scores"] == {}


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_page_fits_the_screen(page, width):
    window = _open(page)
    window.type("#text", "averyveryverylongword" * 5 + " and some words more")
    window.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 800
    )
    try:
        assert window.script("return document.documentElement.scrollWidth") <= width
    finally:
        window.command("Emulation.clearDeviceMetricsOverride")


TAG = """
import { readFileSync } from "node:fs";
import { decodeSpans } from SPANS;
import { toBytes } from TEXT;
const { tags, positions, names, text, max_bytes } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(decodeSpans(tags, positions, names, toBytes(text, null, max_bytes))));
"""


def test_spans_of_a_tagger_in_javascript():
    """What the file gives for a text, decoded by the page's modules, without a browser."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    path, _ = small_taggers.converted("mobile", "int8")
    runtime, text = EelbertRuntime(path), "weather in São Paulo at noon ?"
    (outputs,) = runtime.tag_outputs([text])
    values = {name: outputs[name].tolist() for name in ("tags", "positions")}
    metadata = runtime.metadata
    given = json.dumps({**values, "names": metadata.names, "text": text, "max_bytes": metadata.max_bytes})
    program = TAG.replace("SPANS", json.dumps((WEB / "spans.js").as_uri()))
    program = program.replace("TEXT", json.dumps((WEB / "text.js").as_uri()))
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    for found, span in zip(json.loads(done.stdout), runtime.tag(text)["spans"], strict=True):
        assert text[found["start"] : found["end"]] == span["text"]
        assert (found["label"], found["startByte"], found["endByte"]) == (
            span["label"],
            span["start_byte"],
            span["end_byte"],
        )
        assert found["score"] == pytest.approx(span["score"])
