"""The front door is typed: editors and mypy see the classes behind names that are loaded on first use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forms import ROOT

SCRIPT = """\
from eelbert_tf import (
    EelbertBackbone, EelbertClassifier, EelbertSentenceEncoder, HashedTexts, InputError, WordPiece, named_config
)
from eelbert_tf.tflite import EelbertRuntime, convert

classifier = EelbertClassifier.from_preset("uno_en", labels=["bad", "good"])
reveal_type(classifier)
reveal_type(EelbertSentenceEncoder.from_preset("uno_en"))
reveal_type(EelbertBackbone.from_preset("uno_en"))
reveal_type(HashedTexts())
reveal_type(WordPiece([]))
reveal_type(named_config("eelbert_uno"))
reveal_type(InputError("..."))
reveal_type(EelbertRuntime("reviews.tflite"))
reveal_type(convert)
classifier.save_to_preset(3)
"""


def test_types_of_the_front_door(tmp_path: Path) -> None:
    """A user's script under `mypy --strict`: each name has its type, and a wrong argument is seen."""
    pytest.importorskip("mypy")
    package = tmp_path / "stubs" / "eelbert_tf"
    package.mkdir(parents=True)
    for path in [*(ROOT / "eelbert_tf").iterdir(), ROOT / "training", ROOT / "tflite"]:  # under their installed names
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--strict", "--follow-imports=silent", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    types = [line.partition('Revealed type is "')[2].rstrip('"') for line in lines if "Revealed type" in line]
    assert [name.rpartition(".")[2] for name in types[:-1]] == [
        *("EelbertClassifier", "EelbertSentenceEncoder", "EelbertBackbone", "HashedTexts", "WordPiece"),
        *("EelbertConfig", "InputError", "EelbertRuntime"),
    ]
    assert types[-1].startswith("def (")
    errors = [line for line in lines if ": error: " in line]
    assert len(errors) == 1, done.stdout
    assert 'Argument 1 to "save_to_preset"' in errors[0]
