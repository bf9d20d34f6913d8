"""Small inputs for every command, and what tells a whole output from none and from half of one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import keras

from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import WEIGHTS_FILE
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.training.corpus.reader import Corpus
from tests.configs import TINY
from tests.small_corpora import topical_text
from tests.small_models import saved

ABSENT = "absent"
_whole: set[str] = set()  # contents of folders that were loaded and found whole: thousands of tries leave a few
TEXTS = ["turn on the lights", "größer", ""]


@dataclasses.dataclass(frozen=True)
class Job:
    """A command that writes, and how to look at what it wrote.

    Args:
        arguments: the command and its options, less the output.
        look: `ABSENT`, or something that is equal for equal outputs. Raises an InputError for one that is refused.
        resumes: whether the same command, run again, goes on.
        output: the option that names the output.
        name: the output's name.
    """

    arguments: list[str]
    look: Callable[[Path], str]
    resumes: bool = False
    output: str = "--output"
    name: str = "out"


def make_inputs(folder: Path) -> None:
    """Labelled texts, plain text, a corpus's text, an encoder, a shape, and GLUE's smallest layout."""
    rng = random.Random(0)
    rows = [(f"turn {word} {rng.random()}", word) for word in ("on", "off") for _ in range(40)]
    rng.shuffle(rows)
    (folder / "train.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (folder / "texts.txt").write_text("\n".join(text for text, _ in rows * 40))
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    keras.utils.set_random_seed(0)
    EelbertBackbone(TINY).save_to_preset(folder / "encoder")
    (folder / "corpus.txt").write_bytes(topical_text(15_000))
    glue = folder / "glue" / "SST-2"
    glue.mkdir(parents=True)
    for name in ("train", "dev"):
        lines = "".join(f"{text}\t{int(label == 'on')}\n" for text, label in rows)
        (glue / f"{name}.tsv").write_text("sentence\tlabel\n" + lines)


def finetune(folder: Path) -> Job:
    """Eighty texts, many epochs, each of which writes."""
    options = f"--train {folder}/train.csv --preset {folder}/encoder --epochs 12 --batch-size 16"
    return Job(["finetune", *options.split()], look_at_classifier)


def convert(_: Path) -> Job:
    """A small classifier."""
    return Job(["convert", "--model", str(saved("small"))], look_at_file, name="out.tflite")


def corpus(folder: Path) -> Job:
    """Two megabytes in many parts."""
    options = f"--input {folder}/corpus.txt --shard-bytes 30000 --workers 1"
    return Job(["corpus", *options.split()], look_at_corpus, resumes=True)


def pretrain(folder: Path, steps: int = 40) -> Job:
    """A few steps, each with a checkpoint."""
    options = f"--corpus {folder}/corpus --config {folder}/tiny.json --sequence-length 16 --batch-size 16 --resume"
    options += f" --steps {steps} --no-jit --eval-every 50 --log-every 10 --checkpoint-minutes 1e-9"
    return Job(["pretrain", *options.split()], look_at_encoder, resumes=True)


def look_at_classifier(path: Path) -> str:
    """Its weights, and whether it predicts: tried once for each content."""
    if not path.exists() and not list(path.parent.glob(f".{path.name}.tmp-*/old-*")):
        return ABSENT
    if not path.exists() or (content := _content(path)) not in _whole:
        EelbertClassifier.from_preset(path).predict(TEXTS, verbose=0)
        content = _content(path)
        _whole.add(content)
    return hashlib.sha256((path / WEIGHTS_FILE).read_bytes()).hexdigest()


def _content(path: Path) -> str:
    """A digest of the names and the bytes of a folder's files."""
    state = hashlib.sha256()
    for file in sorted(file for file in path.iterdir() if file.is_file()):
        state.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return state.hexdigest()


def look_at_encoder(path: Path) -> str:
    """The weights of a pretraining run's model."""
    if not (path / WEIGHTS_FILE).exists():
        return ABSENT
    if (content := _content(path)) not in _whole:
        EelbertBackbone.from_preset(path)
        _whole.add(content)
    return hashlib.sha256((path / WEIGHTS_FILE).read_bytes()).hexdigest()


def look_at_file(path: Path) -> str:
    """A TFLite file's logits."""
    return EelbertRuntime(path).predict(TEXTS).tobytes().hex() if path.exists() else ABSENT


def look_at_corpus(path: Path) -> str:
    """Every file of a corpus; an unfinished one says so, and counts as absent.

    Raises:
        InputError: it is damaged.
    """
    try:
        Corpus(path)
    except InputError as error:
        if "no such folder" in str(error) or "unfinished" in str(error):
            return ABSENT
        raise
    state = hashlib.sha256()
    for file in sorted(file for file in path.iterdir() if file.is_file()):
        state.update(file.name.encode() + file.read_bytes())
    return state.hexdigest()
