"""TensorFlow starts without a word where `eelbert_tf.quiet` was imported, as in every script of experiments/."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forms import ROOT

SCRIPTS = [path for path in (ROOT / "experiments").rglob("*.py") if "eelbert_tf" in path.read_text("utf-8")]


def test_tensorflow_says_nothing() -> None:
    """Not of the processor, nor of graphics cards, nor when it first computes."""
    code = "import eelbert_tf.quiet, keras; print(float(keras.ops.sum(keras.ops.ones(3))))"
    variables = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3.0\n", "")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_imported_first(path: Path) -> None:
    """Before anything that may load TensorFlow, at the top of the file or where a script loads it later."""
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append((node.lineno, node.module or ""))
    loading = ("eelbert_tf", "keras", "tensorflow")
    ours = sorted((line, name) for line, name in names if name.partition(".")[0] in loading)
    assert ours[0][1] == "eelbert_tf.quiet"
