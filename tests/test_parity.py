"""The parity command: every way from a text to its class gives the same, and a way that does not is seen."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.pages import script
from tests.small_models import saved

parity = script("parity")
Comparison, all_front_ends, main = parity.Comparison, parity.all_front_ends, parity.main


@pytest.mark.parametrize("name", ["pair", "normalized_pair"])
def test_all_ways_agree(capsys, tmp_path, name):
    """A model with all that there is, on lines of a file and fuzzed bytes."""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    texts, output = tmp_path / "texts.txt", tmp_path / "parity.json"
    lines = "one line\nanother, longer line of text\nÉ\u00adtat, ẾẞΆЙ ไม่ ＡＢ！ e\u0301\n".encode()
    texts.write_bytes((lines + b"\xff\x00 bytes\n") * 20)
    options = ["--model", str(saved(name)), "--texts", str(texts), "--count", "140", "--output", str(output)]
    assert main(options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads(output.read_text())
    assert (result["texts"], result["lines_of_files"], result["holds"]) == (140, 70, True)
    assert set(result["token_counts_that_differ"]) == {
        *("keras_strings", "keras_bytes", "litert", "tflm", "c", "reference")
    }
    assert not any(result["token_counts_that_differ"].values())
    embeddings = result["embeddings_max_abs_diff"]
    assert max(embeddings["keras_bytes"], embeddings["litert"], embeddings["tflm"]) <= 1e-6
    assert embeddings["c"] <= 8e-6  # this model's pooling multiplies by the root of the bytes, of which there are 64
    assert 0 < max(result["logits_max_abs_diff"].values()) <= 1e-5


def test_words_as_long_as_a_text(tmp_path):
    """C rounds once; sums of float32 round at each byte, and always to the same side where all bytes are the same."""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    front_ends = all_front_ends(str(saved("uno")), {}, tmp_path)
    texts = [bytes([c]) * 128 for c in (53, 102, 146, 192, 216)] + [b"0f" * 64, b" " + b"\xd8" * 127]
    (name, front_end), *others = front_ends.items()
    expected, mask = front_end(texts)
    assert (name, mask.sum(axis=1).tolist()) == ("keras_strings", [3] * len(texts))
    for name, front_end in others:
        found, filled = front_end(texts)
        assert (filled == mask).all()
        assert np.abs(found - expected).max() <= 1e-6, name


def test_bad_input(capsys):
    assert main(["--model", str(saved("pair")), "--texts", "nothing.txt"]) == 2
    assert "nothing.txt: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["count", "embedding", "nan", "logit"])
def test_differences_are_seen(wrong):
    """One token, one number: each is enough."""
    found = Comparison()
    vectors, lengths, logits = np.zeros((2, 3, 4), np.float32), np.full((2, 3), 5), np.zeros((2, 3), np.float32)
    found.add_counts("a", np.array([3, 3]), np.array([3, 3]))
    found.add_embeddings("a", vectors, vectors, lengths)
    found.add_logits("a", logits, logits)
    assert found.holds()
    far = {"embedding": np.float32(2e-6), "nan": np.float32("nan")}.get(wrong, np.float32(0))
    other = vectors.copy()
    other[1, 2, 3] = far
    found.add_counts("b", np.array([3, 3 + (wrong == "count")]), np.array([3, 3]))
    found.add_embeddings("b", other, vectors, lengths)
    found.add_logits("b", logits + np.float32(2e-5 * (wrong == "logit")), logits)
    assert not found.holds()
    assert found.beyond["b"] == (wrong in ("embedding", "nan"))
