"""Tags and spans: Python, JavaScript and C decode the golden vectors alike (Java: test_android.py), and figures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.metrics import entities, tagging_figures
from eelbert_tf.text.spans import (
    Span,
    by_characters,
    character_offset,
    decode,
    tag_names,
    tags_of_tokens,
    tags_of_words,
)
from tests.make_spans import GOLDEN

ROOT = Path(__file__).resolve().parent.parent
CASES = json.loads(GOLDEN.read_text("utf-8"))["cases"]

NODE = """
import { readFileSync } from "node:fs";
import { decodeSpans } from MODULE;
const cases = JSON.parse(readFileSync(0, "utf8"));
const spans = cases.map(({ logits, positions, names, bytes }) =>
  decodeSpans(logits.map((row) => row.map((x) => x / 8)), positions, names, Uint8Array.from(bytes)));
console.log(JSON.stringify(spans));
"""


def _data(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["data"])


def test_golden_vectors_in_python():
    for case in CASES:
        data = _data(case)
        spans = decode(np.array(case["logits"]) / 8, np.array(case["positions"]), case["names"], data)
        for found, (name, start, end, first, last, _, _, score) in zip(spans, case["spans"], strict=True):
            assert found[:3] == (case["names"][name], start, end)
            assert (character_offset(data, start), character_offset(data, end)) == (first, last)
            assert found.score == pytest.approx(score, abs=1e-6)


def test_golden_vectors_in_javascript():
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    program = NODE.replace("MODULE", json.dumps((ROOT / "tflite/kits/web/spans.js").as_uri()))
    cases = json.dumps([{**case, "bytes": list(_data(case))} for case in CASES])
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=cases, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    for case, spans in zip(CASES, json.loads(done.stdout), strict=True):
        for found, (name, start, end, _, _, first, last, score) in zip(spans, case["spans"], strict=True):
            places = [found[key] for key in ("startByte", "endByte", "start", "end")]
            assert [found["label"], *places] == [case["names"][name], start, end, first, last]
            assert found["score"] == pytest.approx(score, abs=1e-6)


def numbers_of(case: dict[str, Any]) -> list[int]:
    """A case as plain numbers: slots, names and bytes, then logits times 8, positions, bytes."""
    data = _data(case)
    logits, positions = (np.ravel(case[key]).tolist() for key in ("logits", "positions"))
    return [len(case["logits"]), len(case["names"]), len(data), *logits, *positions, *data]


def test_golden_vectors_in_c(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path / "spans"
    kit = ROOT / "tflite" / "kits" / "c"
    sources = [ROOT / "tests" / "c" / "spans.c", kit / "eelbert_spans.c"]
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address,undefined"]
    subprocess.run(["gcc", *strict, "-I", kit, *sources, "-lm", "-o", program], check=True)
    text = "\n".join(" ".join(map(str, numbers_of(case))) for case in CASES)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    for case, line in zip(CASES, done.stdout.splitlines(), strict=True):
        found = np.array(line.split(), np.float64).reshape(-1, 4)
        expected = [[name, start, end, score] for name, start, end, *_, score in case["spans"]]
        np.testing.assert_allclose(found, np.reshape(expected, (-1, 4)), atol=2e-6)


def test_tags_of_words_and_back():
    text = "fly to New York , on May-day"
    words = text.split()
    tags = ["O", "O", "B-to", "I-to", "O", "O", "B-when"]
    spans = [Span("to", 7, 15), Span("when", 21, 28)]
    assert tags_of_words(text, words, spans) == tags
    # Of a word that the front end has divided, tokens have tags of their own.
    places = np.array([(0, 0), (0, 3), (4, 6), (7, 10), (11, 15), (16, 17), (18, 20), (21, 24), (24, 25), (25, 28)])
    numbers = tags_of_tokens(spans, places, ["to", "when"]).tolist()
    names = tag_names(["to", "when"])
    expected = ["", "O", "O", "B-to", "I-to", "O", "O", "B-when", "I-when", "I-when"]
    assert [names[k] if k >= 0 else "" for k in numbers] == expected
    logits = np.eye(5)[numbers] * 20
    assert [
        span[:3] for span in by_characters(decode(logits, places, ["to", "when"], text.encode()), text.encode())
    ] == [span[:3] for span in spans]


def test_figures_are_those_of_seqeval():
    """`seqeval` 1.2.2 gave the figures; tags drawn at random, with I that continue nothing."""
    rng = np.random.default_rng(1)
    kinds = ["O", "B-a", "I-a", "B-b", "I-b"]
    truth = [[kinds[i] for i in rng.integers(0, 5, 8)] for _ in range(40)]
    answers = [[tag if rng.random() < 0.7 else kinds[rng.integers(0, 5)] for tag in tags] for tags in truth]
    assert tagging_figures(truth, answers) == pytest.approx(
        {
            "entity_f1": 0.7535545023696683,
            "entity_precision": 0.7464788732394366,
            "entity_recall": 0.7607655502392344,
            "token_accuracy": 0.796875,
        }
    )
    assert entities(["I-a", "I-a", "I-b", "B-b", "O"]) == {("a", 0, 2), ("b", 2, 3), ("b", 3, 4)}
    assert tagging_figures([["O"]], [["O"]])["entity_f1"] == 0
