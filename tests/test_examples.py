"""The programs in examples/, on small models."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests import small_taggers
from tests.forms import ROOT
from tests.kits import STAND_IN, STRICT, compile_with, stand_in, write
from tests.pages import example
from tests.small_models import LABELS, converted


def test_messages() -> None:
    """As many of each class, no sentence in both parts."""
    messages = example("spam_filter/messages")
    train, test = messages.messages("train", 200, 0), messages.messages("test", 200, 0)
    for rows in (train, test):
        assert len(rows) == len({text for text, _ in rows}) == 200
        assert sum(label == "spam" for _, label in rows) == 100
    assert not {text for text, _ in train} & {text for text, _ in test}


def ask(app: Any, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    """One request to an ASGI application: status and body."""
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    asyncio.run(app({**scope, "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def test_spam_service() -> None:
    """A batch comes back in its order, what is wrong with its reason, and both are counted."""
    pytest.importorskip("starlette")
    path = converted("small")[0]
    app, runtime = example("spam_filter/service").create_app(path), EelbertRuntime(path)
    texts = ["turn on", "größer", "", "w " * 300]
    status, body = ask(app, "POST", "/classify", json.dumps({"texts": texts}).encode())
    assert status == 200
    results = json.loads(body)["results"]
    assert [result["label"] for result in results] == [runtime.classify(text)[0][0] for text in texts]
    assert [result["truncated"] for result in results] == [False, False, False, True]
    for bad in (b"", b"[]", b'{"texts": "a"}', b'{"texts": [1]}', b"\xff", b"[" * 100_000):
        status, body = ask(app, "POST", "/classify", bad)
        assert status == 400
        assert "texts" in json.loads(body)["error"]
    assert ask(app, "POST", "/classify", json.dumps({"texts": [""] * 257}).encode())[0] == 413
    assert ask(app, "POST", "/classify", b" " * (1 << 20) + b"{}")[0] == 413
    assert json.loads(ask(app, "GET", "/health")[1]) == {"status": "ok", "model": f"{runtime.crc32:08x}"}
    metrics = dict(line.rsplit(" ", 1) for line in ask(app, "GET", "/metrics")[1].splitlines() if line[0] != "#")
    assert metrics['requests_total{status="200"}'] == "1"
    assert metrics['requests_total{status="400"}'] == "6"
    assert metrics['requests_total{status="413"}'] == "2"
    assert sum(int(metrics.get(f'texts_total{{label="{label}"}}', 0)) for label in LABELS) == len(texts)
    assert metrics["truncated_texts_total"] == "1"
    assert metrics['request_seconds_bucket{le="+Inf"}'] == metrics["request_seconds_count"] == "9"


def test_commands() -> None:
    """A tag for each word, no span that begins inside, every intent and every slot."""
    rows = example("voice_slots/commands").commands(400, 0)
    assert {intent for *_, intent in rows} == {"light", "alarm", "music", "heating"}
    for words, tags, _ in rows:
        kinds = tags.split()
        assert len(words.split()) == len(kinds)
        for before, tag in zip(["O", *kinds], kinds, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
    assert {tag[2:] for _, tags, _ in rows for tag in tags.split() if tag != "O"} == {"room", "level", "time", "title"}


# Each run's outputs come from a file.
TAGGER_OUTPUTS = """\
    static std::FILE *const outputs = std::fopen(std::getenv("OUTPUTS"), "rb");
    std::size_t count = std::fread(tags, sizeof(tags), 1, outputs);
    count += std::fread(positions, sizeof(positions), 1, outputs) + std::fread(logits, sizeof(logits), 1, outputs);
    if (count != 3)
        return kTfLiteError;
"""


def test_voice_slots(tmp_path: Path) -> None:
    """The C program, with the kit of a small tagger, says what Python says; TFLite Micro itself is not here."""
    path, _ = small_taggers.converted("micro", "int8")
    runtime = EelbertRuntime(path)
    write(tmp_path, runtime.metadata, path.read_bytes())
    (tmp_path / "stand_in.cc").write_text(stand_in(TAGGER_OUTPUTS))
    texts = ["weather in São Paulo at noon ?", "", "wake me at half past ten", 'a "quoted" \\ one']
    with (tmp_path / "outputs").open("wb") as file:
        for outputs in runtime.tag_outputs(texts):
            for name, dtype in (("tags", "<f4"), ("positions", "<i4"), ("label", "<f4")):
                file.write(outputs[name].astype(dtype).tobytes())
    include = ["-I", tmp_path, "-I", STAND_IN]
    sources = [tmp_path / "stand_in.cc", tmp_path / "eelbert_classifier.cc"]
    main = ROOT / "examples" / "voice_slots" / "main.c"
    for source in (main, *(tmp_path / f"eelbert_{part}.c" for part in ("model", "front_end", "windows", "spans"))):
        sources.append(tmp_path / f"{source.stem}.o")
        compile_with("gcc", "-std=c99", *STRICT, *include, "-c", source, "-o", sources[-1])
    compile_with("g++", "-std=c++17", *STRICT, *include, *sources, "-o", tmp_path / "program")
    run = subprocess.run(
        [tmp_path / "program"],
        input="\n".join([*texts, ""]).encode(),
        env={"OUTPUTS": str(tmp_path / "outputs")},
        capture_output=True,
        check=True,
    )
    for line, text in zip(run.stdout.decode().splitlines(), texts, strict=True):
        expected = runtime.tag(text)
        slots = [{"name": span["label"], "value": span["text"]} for span in expected["spans"]]
        assert json.loads(line) == {"intent": expected["label"], "slots": slots}


def test_mails() -> None:
    """All different, as many for each queue."""
    rows = example("support_mail/mails").mails(0)
    assert len({text for text, _ in rows}) == len(rows) == 160
    assert Counter(queue for _, queue in rows) == dict.fromkeys(("billing", "delivery", "defect", "account"), 40)


def test_house_requests() -> None:
    """Learned is English alone; other languages have as many texts of each matter, and all stand on the page."""
    house = example("many_languages/house_requests")
    english, others = house.english(), house.others()
    assert all(text.isascii() for text, _ in english)
    assert set(Counter((matter, language) for _, matter, language in others).values()) == {2}
    assert {matter for _, matter, _ in others} == {matter for _, matter in english}
    languages = {text: language for text, _, language in others}
    assert sorted(languages[text] for text in house.page_examples()) == sorted(set(languages.values()))
