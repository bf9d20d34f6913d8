"""Embeddings: files for devices, and the commands that write, index and search them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf import EelbertSentenceEncoder, InputError
from eelbert_tf.scores import shorten
from eelbert_tf.tflite import EelbertRuntime, TflmRuntime
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.compare import TOLERANCES, compare_embeddings
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.index import Index, quantize
from tests.kits import STRICT, compile_with
from tests.small_models import CONFIGS, converted, saved
from tests.test_predict import refuse, run

WIDTH = CONFIGS["encoder"].hidden_size
TEXTS = ["turn on the light", "play a song", "größer 😀", "", "what time is it?", "turn off the light", "a song"]
FILES: dict[str, dict[str, Any]] = {
    "mobile": {},
    "mobile-int8": {"quantize": "int8"},
    "micro-int8": {"target": "micro", "quantize": "int8", "calibration": tuple(hard_inputs(False, 60, seed=5))},
}
# Of 16 numbers computed in 8 bits; `docs/embeddings.md` has the figures of a model.
CLOSE = {"mobile": 0.99999, "mobile-int8": 0.99, "micro-int8": 0.9}


def embeddings_of(texts: list[Any]) -> np.ndarray:
    return EelbertSentenceEncoder.from_preset(saved("encoder")).predict(texts, verbose=0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of questions with answers, one of them with a comma, quotes and no ASCII."""
    path = tmp_path / "faq.csv"
    rows = ["question,answer", *(f'"{text}","answer {i}, ""größer"""' for i, text in enumerate(TEXTS))]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_files_give_the_models_embeddings(name):
    path, report = converted("encoder", **FILES[name])
    assert (report["task"], report["width"], report["labels"]) == ("embedding", WIDTH, None)
    texts = hard_inputs(False, 40, seed=8)[:40]
    expected = embeddings_of(texts)
    for runtime in [EelbertRuntime(path), *([TflmRuntime(path)] if "micro" in name else [])]:
        found = runtime.embed(texts)
        assert found.dtype == np.float32
        assert found.shape == (40, WIDTH)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        assert (found * expected).sum(axis=1).min() > CLOSE[name]
        half = runtime.embed(texts, WIDTH // 2)
        np.testing.assert_allclose(half, shorten(found, WIDTH // 2), atol=1e-7)
        np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)
        assert runtime.answer(TEXTS[0])["embedding"] == pytest.approx(runtime.embed(TEXTS[:1])[0].tolist())
        with pytest.raises(ValueError, match=r"from 1 to 16.*width=17"):
            runtime.embed(texts, 17)
        with pytest.raises(ValueError, match="no classes"):
            runtime.classify("a")


@pytest.mark.parametrize("target", ["mobile", "micro"])
def test_an_encoder_whose_lexicon_reaches_the_output(tmp_path, target):
    """Its files give what Keras gives, at length 1."""
    encoder = EelbertSentenceEncoder.from_preset(saved("codes"))
    assert encoder.backbone.config.lexicon_skip
    expected = encoder.predict(TEXTS, verbose=0)
    convert(encoder, tmp_path / "a.tflite", target=target)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(EelbertRuntime(tmp_path / "a.tflite").embed(TEXTS), expected, atol=1e-5)


def test_an_encoder_in_memory_and_that_of_a_classifier(tmp_path):
    """Both convert; a model with a class of its own says that it gives no embeddings."""
    encoder = EelbertSentenceEncoder.from_preset(saved("small"))
    convert(encoder, tmp_path / "a.tflite")
    found = EelbertRuntime(tmp_path / "a.tflite").embed(TEXTS)
    np.testing.assert_allclose(found, encoder.predict(TEXTS, verbose=0), atol=1e-5)
    with pytest.raises(ValueError, match="gives no embeddings"):
        EelbertRuntime(converted("small")[0]).embed(TEXTS)
    with pytest.raises(InputError, match="--task: expected one of embedding"):
        convert(saved("small"), tmp_path / "b.tflite", task="classification")


def test_a_file_that_is_not_as_good_is_refused():
    encoder = EelbertSentenceEncoder.from_preset(saved("encoder"))

    class Other:
        def predict(self, texts: list[str]) -> np.ndarray:
            return -encoder.predict(texts, verbose=0)

    with pytest.raises(InputError, match=r"a mean cosine of -1\.000"):
        compare_embeddings(encoder, Other(), TEXTS, TOLERANCES["int8"])


@pytest.mark.parametrize("width", [None, 8])
def test_embed(capsys, tmp_path, table, width):
    """The same numbers from a table and from lines, by Keras and by LiteRT, as an array and as JSON lines."""
    expected = shorten(embeddings_of(TEXTS), width)
    options = [] if width is None else ["--width", width]
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS) + "\n", "utf-8")
    for model, source in ((saved("encoder"), [table, "--text-columns", "question"]), (converted("encoder")[0], [None])):
        source = [tmp_path / "lines.txt"] if source == [None] else source
        for name in ("a.npy", "a.jsonl"):
            output = tmp_path / name
            report = run(capsys, "embed", "--model", model, "--input", *source, "--output", output, *options)[-1]
            assert (report["n"], report["width"], report["truncated"]) == (len(TEXTS), width or WIDTH, 0)
            if name == "a.npy":
                found = np.load(output)
                assert found.dtype == np.float32
            else:
                lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
                assert [line["text"] for line in lines] == TEXTS
                found = np.array([line["embedding"] for line in lines])
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_search(capsys, tmp_path, table):
    """Among the texts of a table and in its index: the same matches, the nearest first."""
    path, index = converted("encoder")[0], tmp_path / "faq.index"
    read = ["--text-columns", "question", "--label-column", "answer"]
    report = run(capsys, "index", "--model", path, "--texts", table, "--output", index, *read)[-1]
    assert report == {"output": str(index), "n": len(TEXTS), "width": WIDTH, "bytes": index.stat().st_size}
    queries = ["play the song", TEXTS[0]]
    given = [word for query in queries for word in ("--query", query)]
    found = run(capsys, "search", "--model", path, "--index", index, *given, "--top", 3)
    expected = embeddings_of(TEXTS) @ embeddings_of(queries).T
    for query, line, cosines in zip(queries, found, expected.T, strict=True):
        assert line["query"] == query
        matches = line["matches"]
        assert len(matches) == 3
        assert [match["text"] for match in matches] == [TEXTS[match["id"]] for match in matches]
        assert [match["label"] for match in matches] == [f'answer {match["id"]}, "größer"' for match in matches]
        assert [match["score"] for match in matches] == pytest.approx(np.sort(cosines)[::-1][:3], abs=0.03)
        assert [match["score"] for match in matches] == pytest.approx(cosines[[m["id"] for m in matches]], abs=0.03)
    assert found[1]["matches"][0]["id"] == 0
    assert run(capsys, "search", "--model", path, "--texts", table, *read, *given, "--top", 3) == found
    (tmp_path / "queries.txt").write_text("\n".join(queries), "utf-8")
    asked = ["--input", tmp_path / "queries.txt", "--top", 3]
    assert run(capsys, "search", "--model", path, "--index", index, *asked) == found
    by_keras = run(capsys, "search", "--model", saved("encoder"), "--texts", table, *read, "--query", TEXTS[0])
    assert by_keras[0]["matches"][0]["text"] == TEXTS[0]
    assert len(by_keras[0]["matches"]) == 5


def test_index_file(tmp_path):
    """Its parts come back; any damage, and another model, are seen."""
    labels = [b"x", b"", b"\xff\x00", *[b""] * 4]
    index = Index.build(embeddings_of(TEXTS), TEXTS, labels, width=8, model_crc32=7)
    np.testing.assert_array_equal(index.vectors, quantize(shorten(embeddings_of(TEXTS), 8)))
    data = index.to_bytes()
    again = Index.from_bytes(data, "a.index")
    np.testing.assert_array_equal(again.vectors, index.vectors)
    assert (again.texts, again.labels, again.model_crc32) == ([text.encode() for text in TEXTS], labels, 7)
    for position in (*range(0, 60, 3), len(data) - 1):
        bad = bytearray(data)
        bad[position] ^= 4
        with pytest.raises(InputError, match=r"^a\.index: (no index|an index of version|damaged)"):
            Index.from_bytes(bytes(bad), "a.index")
    for cut in (0, 7, 31, len(data) - 1):
        with pytest.raises(InputError, match=r"^a\.index: (no index|damaged)"):
            Index.from_bytes(data[:cut], "a.index")
    with pytest.raises(ValueError, match="7 embeddings, 6 texts, 6 labels"):
        Index.build(embeddings_of(TEXTS), TEXTS[1:])


CASES = json.loads((Path(__file__).parent / "golden" / "index.json").read_text("utf-8"))["cases"]
ROOT = Path(__file__).resolve().parent.parent
WEB, C = (ROOT / "tflite" / "kits" / name for name in ("web", "c"))
TOPS = (1, 3, 50)
UNIT = 127**2


def expected_lines() -> list[str]:
    """What is found in each index for each query, for each number of texts to find: ids with sums of products."""
    found = [query["matches"][:top] for case in CASES for query in case["queries"] for top in TOPS]
    return [" ".join(f"{i}:{product}" for i, product, *_ in matches) for matches in found]


def test_golden_index():
    lines = []
    for case in CASES:
        index = Index.from_bytes(bytes.fromhex(case["index"]), "", case["model_crc32"])
        assert index.to_bytes().hex() == case["index"]
        for query in case["queries"]:
            for top in TOPS:
                (matches,) = index.search(np.array([query["embedding"]], np.float32), top)
                lines.append(" ".join(f"{match.id}:{round(match.score * UNIT)}" for match in matches))
            assert [[m.text.decode(), m.label.decode()] for m in matches] == [match[2:] for match in query["matches"]]
        with pytest.raises(InputError, match=r"^b\.index: was made with another model"):
            Index.from_bytes(bytes.fromhex(case["index"]), "b.index", case["model_crc32"] ^ 1)
    assert lines == expected_lines()


SEARCH_IN_NODE = """
import { readFileSync } from "node:fs";
import { Index } from INDEX;
const message = (call) => { try { call(); return ""; } catch (error) { return error.message; } };
for (const { index, model_crc32, queries } of JSON.parse(readFileSync(0, "utf8"))) {
  const data = new Uint8Array(Buffer.from(index, "hex"));
  const read = new Index(data, model_crc32);
  const line = ({ id, score }) => `${id}:${Math.round(score * 127 ** 2)}`;
  for (const { embedding } of queries) {
    const found = [1, 3, 50].map((top) => read.search(Float32Array.from(embedding), top));
    for (const matches of found) console.log(matches.map(line).join(" "));
    console.log(JSON.stringify(found[2].map(({ text, label }) => [text, label])));
  }
  const damaged = data.slice();
  damaged[40] ^= 1;
  for (const [bytes, crc] of [[data.slice(1), model_crc32], [damaged, model_crc32], [data, model_crc32 + 1]]) {
    console.log(message(() => new Index(bytes, crc)));
  }
}
"""


def test_golden_index_in_javascript():
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    program = SEARCH_IN_NODE.replace("INDEX", json.dumps((WEB / "index.js").as_uri()))
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=json.dumps(CASES), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line[:1].isdigit()] == expected_lines()
    assert [json.loads(line) for line in lines if line.startswith("[")] == [
        [match[2:] for match in query["matches"]] for case in CASES for query in case["queries"]
    ]
    refused = ["not a file that eelbert index", "damaged", "another model"] * len(CASES)
    messages = [line for line in lines if line[0] in "TI"]
    assert all(part in line for part, line in zip(refused, messages, strict=True))


SEARCH_IN_C = """\
#include <stdio.h>
#include <stdlib.h>
#include "eelbert_index.h"

/* Reads: bytes of the index, its model, queries, their width; the index, a byte off a word; the queries. */
int main(void)
{
    static unsigned char data[1 << 16];
    static float embedding[64];
    eelbert_match matches[50];
    unsigned long length, model, queries, width, i, k, top;
    size_t found, size;

    while (scanf("%lu %lu %lu %lu", &length, &model, &queries, &width) == 4) {
        eelbert_index index;
        unsigned value;

        for (i = 0; i < length; i++)
            data[i + 1] = (unsigned char)(scanf("%2x", &value) == 1 ? value : 0);
        data[41] ^= 1;
        if (eelbert_index_open(&index, data + 1, length, (uint32_t)model) != EELBERT_INDEX_DAMAGED)
            return 1;
        data[41] ^= 1;
        if (eelbert_index_open(&index, data + 2, length, (uint32_t)model) != EELBERT_INDEX_FOREIGN ||
            eelbert_index_open(&index, data + 1, 31, (uint32_t)model) != EELBERT_INDEX_FOREIGN ||
            eelbert_index_open(&index, data + 1, length, (uint32_t)model ^ 1) != EELBERT_INDEX_OTHER_MODEL ||
            eelbert_index_open(&index, data + 1, length, (uint32_t)model) != 0)
            return 2;
        for (k = 0; k < queries; k++) {
            for (i = 0; i < width; i++)
                if (scanf("%f", &embedding[i]) != 1)
                    return 3;
            for (top = 1; top <= 50; top = top == 1 ? 3 : top == 3 ? 50 : 51) {
                found = eelbert_index_search(&index, embedding, width, matches, top);
                for (i = 0; i < found; i++)
                    printf("%s%lu:%.0f", i ? " " : "", (unsigned long)matches[i].id, matches[i].score * 127.0 * 127.0);
                printf("\\n");
            }
            for (i = 0; i < found; i++) {
                const char *text = eelbert_index_text(&index, matches[i].id, &size);
                printf("%.*s|", (int)size, text);
                text = eelbert_index_label(&index, matches[i].id, &size);
                printf("%.*s|", (int)size, text);
            }
            printf("\\n");
        }
        if (eelbert_index_search(&index, embedding, index.width - 1, matches, 1) != 0)
            return 4;
    }
    return 0;
}
"""


def test_golden_index_in_c(tmp_path):
    (tmp_path / "main.c").write_text(SEARCH_IN_C)
    sources = ["-I", C, C / "eelbert_index.c", tmp_path / "main.c"]
    compile_with(
        "gcc", "-std=c99", "-O1", *STRICT, "-fsanitize=undefined,address", *sources, "-lm", "-o", tmp_path / "a"
    )
    compile_with("g++", "-x", "c++", "-std=c++11", *STRICT, "-fsyntax-only", "-I", C, C / "eelbert_index.c")
    given = []
    for case in CASES:
        queries = [query["embedding"] for query in case["queries"]]
        given += [len(case["index"]) // 2, case["model_crc32"], len(queries), len(queries[0])]
        given += [case["index"][i : i + 2] for i in range(0, len(case["index"]), 2)]
        given += [repr(number) for query in queries for number in query]
    done = subprocess.run(
        [tmp_path / "a"], input=" ".join(map(str, given)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for i, line in enumerate(lines) if i % 4 < 3] == expected_lines()
    assert lines[3::4] == [
        "".join(f"{text}|{label}|" for *_, text, label in query["matches"])
        for case in CASES
        for query in case["queries"]
    ]


def test_refusals(capsys, tmp_path, table):
    """One line each, and nothing is left."""
    path, output = converted("encoder")[0], tmp_path / "a.index"
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "odd.csv").write_text("text,label\na,b\nc,d,e\n")
    (tmp_path / "null.csv").write_text("text,answer\na,b\nc,\n")
    index = tmp_path / "other.index"
    Index.build(np.eye(1, 4), ["a"], model_crc32=5).write(index)
    before = set(os.listdir(tmp_path))
    texts = ["--texts", table, "--text-columns", "question"]
    query = ["--query", "a"]
    for arguments, message in [
        (["embed", "--model", path, "--input", table, "--output", tmp_path / "a.csv"], "--output: expected a name"),
        (["embed", "--model", path, "--input", table, "--output", tmp_path / "a.npy"], "row 1: no header with a col"),
        (["embed", "--model", path, "--input", tmp_path / "odd.csv", "--output", tmp_path / "a.npy"], "row 3: 3 col"),
        (["embed", "--model", path, "--input", tmp_path / "empty.txt", "--output", tmp_path / "a.npy"], "is empty"),
        (["embed", "--model", path, "--width", 99, "--input", table, "--output", tmp_path / "a.npy"], "from 1 to 16"),
        (["embed", "--model", converted("small")[0], "--input", table, "--output", tmp_path / "a.npy"], "--task embed"),
        (["index", "--model", saved("encoder"), *texts, "--output", output], "eelbert convert --task embedding"),
        (["index", "--model", path, "--texts", tmp_path / "null.csv", "--label-column", "answer", "--output", output],
         "row 3: the label in column `answer` is empty"),
        (["index", "--model", path, "--texts", tmp_path / "empty.txt", "--output", output], "is empty"),
        (["search", "--model", path, *texts, *query, "--top", 0], "--top: expected 1 or more"),
        (["search", "--model", path, "--index", table, *query], "no index"),
        (["search", "--model", path, "--index", index, *query], "made with another model"),
        (["search", "--model", path, "--index", index, *query, "--width", 4], "--width: is settled in the index"),
        (["search", "--model", saved("encoder"), "--runtime", "litert", *texts, *query], "runs TFLite files"),
        (["evaluate", "--model", path, "--test", table], "gives embeddings"),
        (["convert", "--model", saved("encoder"), "--test", table, "--output", output], "--test: is for models"),
        (["predict", "--model", saved("encoder"), "--text", "a"], "or see eelbert embed"),
    ]:  # fmt: skip
        assert message in refuse(capsys, *arguments), arguments
        assert set(os.listdir(tmp_path)) == before, arguments
